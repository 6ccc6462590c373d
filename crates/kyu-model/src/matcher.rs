//! Matchers: which publications a binding wants. Compiled by doors from their own languages (SNS
//! filter policies), so that the engine knows values and comparisons but no syntax.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::document::{Document, Leaf, Wish};

/// A matcher: the condition under which a binding receives a publication.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Matcher {
    /// Every publication.
    #[default]
    Everything,
    /// Those whose attributes pass.
    Attributes(Filter),
    /// Those whose body is a document that passes.
    Body(Filter),
}

/// Alternatives; one must hold. An alternative holds when each of its tests does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// The alternatives, each a list of tests.
    pub alternatives: Vec<Vec<Test>>,
}

/// A test of one property; one of the conditions must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// The property: an attribute's name, or the names down to a leaf of the body, with dots.
    pub path: String,
    /// The conditions.
    pub conditions: Vec<Condition>,
}

/// A condition on the values of a property.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// A value is this.
    Is(Literal),
    /// A value is none of these.
    AnythingBut(Vec<Literal>),
    /// A value is text and begins with none of these.
    AnythingButPrefix(Vec<String>),
    /// A value is text and begins so.
    Prefix(String),
    /// A value is text and ends so.
    Suffix(String),
    /// A value is this text, upper and lower case being the same.
    SameIgnoringCase(String),
    /// A value is a number between these bounds.
    Within(Range),
    /// A value is the text of an address in this network.
    Network(Network),
    /// The property is there, or is not.
    Exists(bool),
}

/// A value to compare with.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(f64),
    /// Text.
    Text(String),
}

/// Bounds of numbers; a missing one is open.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Range {
    /// Lower bound.
    pub low: Option<Bound>,
    /// Upper bound.
    pub high: Option<Bound>,
}

/// One end of a [`Range`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// The number.
    pub value: f64,
    /// True if the number itself is inside the range.
    pub inclusive: bool,
}

/// A network of IP addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its first address.
    pub first: std::net::IpAddr,
    /// The number of leading bits that all its addresses share.
    pub prefix_bits: u8,
}

/// A value of a publication.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A number; attributes also keep how it was written, and compare with text by that.
    Number {
        /// The number.
        value: f64,
        /// The number as it was written.
        text: Option<String>,
    },
    /// Text.
    Text(String),
}

/// Properties of a publication, each with its values: several where the publication has a list.
pub type Properties = BTreeMap<String, Vec<Value>>;

/// The facts about a publication that matchers may look at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Attributes by name.
    pub attributes: Properties,
    /// The body.
    pub body: BodyFacts,
}

/// A publication's body, as far as it was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum BodyFacts {
    /// It was not looked at; a publish that needs it is refused, and then it must be.
    #[default]
    Unread,
    /// It is no document: no filter of bodies lets it pass.
    Opaque,
    /// Its leaves by path.
    Document(Document),
}

impl Matcher {
    /// Returns true if the publication is wanted. A body that was not read passes no filter;
    /// publishing makes sure that it was read.
    pub fn wants(&self, facts: &Facts) -> bool {
        match (self, &facts.body) {
            (Self::Everything, _) => true,
            // Without any attribute even those that must be absent are not looked for (SNS
            // developer guide, "Key matching").
            (Self::Attributes(filter), _) => {
                !facts.attributes.is_empty() && filter.passes(&facts.attributes)
            }
            (Self::Body(filter), BodyFacts::Document(document)) => filter.passes_body(document),
            (Self::Body(_), BodyFacts::Unread | BodyFacts::Opaque) => false,
        }
    }

    /// The most comparisons that a publication with these facts can cost.
    pub fn work(&self, facts: &Facts) -> usize {
        match (self, &facts.body) {
            (Self::Body(_), BodyFacts::Document(document)) => {
                document.size().saturating_mul(self.conditions())
            }
            _ => 0,
        }
    }

    /// Returns the number of conditions, which is the matcher's share of the work of a publish.
    pub fn conditions(&self) -> usize {
        match self {
            Self::Everything => 0,
            Self::Attributes(filter) | Self::Body(filter) => {
                filter.alternatives.iter().flatten().map(|test| test.conditions.len()).sum()
            }
        }
    }
}

impl Filter {
    fn passes(&self, properties: &Properties) -> bool {
        self.alternatives.iter().any(|tests| tests.iter().all(|test| test.holds(properties)))
    }

    /// Returns true if the body passes, as in [`Filter::passes`], and all that the tests of an
    /// alternative find in one list stands in the same element of it.
    fn passes_body(&self, document: &Document) -> bool {
        self.alternatives.iter().any(|tests| {
            let wishes: Option<Vec<_>> = tests.iter().map(|test| test.wish(document)).collect();
            wishes.is_some_and(|wishes| document.agree(wishes.into_iter().flatten().collect()))
        })
    }
}

impl Test {
    fn holds(&self, properties: &Properties) -> bool {
        let values = properties.get(&self.path);
        self.conditions.iter().any(|condition| match condition {
            Condition::Exists(wanted) => *wanted == values.is_some(),
            condition => values.into_iter().flatten().any(|value| condition.holds(value)),
        })
    }
}

impl Test {
    /// The leaves that make it hold; `Some(None)` if it holds because there are none anywhere.
    fn wish<'d>(&'d self, document: &'d Document) -> Option<Option<Wish<'d>>> {
        let absent_will_do = self.conditions.contains(&Condition::Exists(false));
        let Some(all) = document.at(&self.path) else { return absent_will_do.then_some(None) };
        let holds = |leaf: &&Leaf| {
            self.conditions.iter().any(|condition| match condition {
                Condition::Exists(wanted) => *wanted,
                condition => condition.holds(&leaf.value),
            })
        };
        let leaves: Vec<_> = all.iter().filter(holds).collect();
        let or_absent = absent_will_do.then_some(all);
        let possible = absent_will_do || !leaves.is_empty();
        possible.then_some(Some(Wish { path: &self.path, leaves, or_absent }))
    }
}

impl Condition {
    fn holds(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Is(literal), value) => literal.equals(value),
            // Nothing is not a value that could be something else.
            (Self::AnythingBut(_), Value::Null) => false,
            (Self::AnythingBut(literals), value) => !literals.iter().any(|one| one.equals(value)),
            (Self::AnythingButPrefix(starts), Value::Text(text)) => {
                !starts.iter().any(|start| text.starts_with(start.as_str()))
            }
            (Self::Prefix(start), Value::Text(text)) => text.starts_with(start.as_str()),
            (Self::Suffix(end), Value::Text(text)) => text.ends_with(end.as_str()),
            (Self::SameIgnoringCase(wanted), Value::Text(text)) => text
                .chars()
                .flat_map(char::to_lowercase)
                .eq(wanted.chars().flat_map(char::to_lowercase)),
            (Self::Within(range), Value::Number { value, .. }) => range.has(*value),
            (Self::Network(network), Value::Text(text)) => {
                text.parse().is_ok_and(|address| network.has(address))
            }
            _ => false,
        }
    }
}

impl Literal {
    fn equals(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(wanted), Value::Bool(flag)) => wanted == flag,
            (Self::Number(wanted), Value::Number { value, .. }) => {
                compare(*wanted, *value).is_some_and(Ordering::is_eq)
            }
            (Self::Text(wanted), Value::Text(text)) => wanted == text,
            (Self::Text(wanted), Value::Number { text, .. }) => text.as_ref() == Some(wanted),
            _ => false,
        }
    }
}

impl Range {
    fn has(&self, value: f64) -> bool {
        let meets = |bound: Bound, past: Ordering| {
            let order = compare(value, bound.value);
            order == Some(past) || (bound.inclusive && order == Some(Ordering::Equal))
        };
        let above = self.low.is_none_or(|low| meets(low, Ordering::Greater));
        let below = self.high.is_none_or(|high| meets(high, Ordering::Less));
        above && below
    }
}

/// Numbers to the sixth decimal, which is what AWS' rule engine tells apart; beyond its five
/// billion, where it compares none, as they are.
fn compare(one: f64, other: f64) -> Option<Ordering> {
    const LARGEST: f64 = 5e9;
    // The product of a number with six decimals may lie a little below its integer.
    let micros = |value: f64| (value * 1e6 * (1.0 + 2.0 * f64::EPSILON)).trunc();
    if one.abs() <= LARGEST && other.abs() <= LARGEST {
        micros(one).partial_cmp(&micros(other))
    } else {
        one.partial_cmp(&other)
    }
}

impl Network {
    fn has(&self, address: std::net::IpAddr) -> bool {
        use std::net::IpAddr;
        let (first, address, width) = match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                (u128::from(first.to_bits()), u128::from(address.to_bits()), 32)
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => (first.to_bits(), address.to_bits(), 128),
            _ => return false,
        };
        let free_bits = 128u32.min(width - u32::from(self.prefix_bits).min(width));
        // A shift by all bits is none in Rust, but leaves nothing to compare.
        let network = |bits: u128| bits.checked_shr(free_bits).unwrap_or(0);
        network(first) == network(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    fn number(value: f64) -> Value {
        Value::Number { value, text: Some(value.to_string()) }
    }

    #[test]
    fn conditions_and_values() {
        let is = |literal: &str| Condition::Is(Literal::Text(literal.into()));
        let but = |literals: Vec<Literal>| Condition::AnythingBut(literals);
        let range = |low, high| {
            let bound = |inclusive| move |value| Bound { value, inclusive };
            Condition::Within(Range {
                low: Option::map(low, bound(false)),
                high: Option::map(high, bound(true)),
            })
        };
        let network = |first: &str, prefix_bits| {
            Condition::Network(Network { first: first.parse().unwrap(), prefix_bits })
        };
        for (condition, value, expected) in [
            (is("a"), text("a"), true),
            (is("a"), text("A"), false),
            (is("5"), number(5.0), true),
            (is("5"), Value::Number { value: 5.0, text: None }, false),
            (Condition::Is(Literal::Number(5.0)), number(5.0), true),
            (Condition::Is(Literal::Number(5.0)), text("5"), false),
            (Condition::Is(Literal::Null), Value::Null, true),
            (Condition::Is(Literal::Bool(true)), Value::Bool(true), true),
            (but(vec![Literal::Text("a".into())]), text("b"), true),
            (but(vec![Literal::Text("a".into())]), text("a"), false),
            (but(vec![Literal::Number(1.0)]), number(1.0), false),
            (but(vec![Literal::Number(1.0)]), Value::Null, false),
            (Condition::AnythingButPrefix(vec!["x-".into()]), text("y"), true),
            (Condition::AnythingButPrefix(vec!["x-".into()]), text("x-y"), false),
            (Condition::Prefix("ab".into()), text("abc"), true),
            (Condition::Prefix("12".into()), number(123.0), false),
            (Condition::Suffix("bc".into()), text("abc"), true),
            (Condition::SameIgnoringCase("ÄB".into()), text("äb"), true),
            (Condition::Is(Literal::Number(100.123_456_789)), number(100.123_456_1), true),
            (Condition::Is(Literal::Number(100.123_456)), number(100.123_457), false),
            (Condition::Is(Literal::Number(0.000_249)), number(0.000_248_9), false),
            (Condition::Is(Literal::Number(-5.0)), number(-5.000_000_1), true),
            (Condition::Is(Literal::Number(6e15 + 1.0)), number(6e15), false),
            (Condition::Is(Literal::Number(0.0)), number(-0.0), true),
            (range(Some(0.29), None), number(0.290_000_1), false),
            (range(Some(0.0), Some(100.0)), number(100.000_000_1), true),
            (range(Some(0.0), Some(100.0)), number(100.0), true),
            (range(Some(0.0), Some(100.0)), number(0.0), false),
            (range(None, Some(1.5)), number(-7.0), true),
            (range(Some(0.0), None), text("5"), false),
            (network("10.0.0.0", 24), text("10.0.0.255"), true),
            (network("10.0.0.0", 24), text("10.0.1.0"), false),
            (network("0.0.0.0", 0), text("255.1.1.1"), true),
            (network("10.0.0.0", 24), text("::1"), false),
            (network("2001:db8::", 32), text("2001:db8:1::1"), true),
            (network("::", 0), text("ff::"), true),
        ] {
            assert_eq!(condition.holds(&value), expected, "{condition:?} on {value:?}");
        }
    }

    #[test]
    fn a_list_passes_with_one_of_its_values_and_what_is_absent_only_as_absent() {
        let test =
            |conditions| Filter { alternatives: vec![vec![Test { path: "p".into(), conditions }]] };
        let list: Properties = BTreeMap::from([("p".into(), vec![text("a"), text("b")])]);
        let but_a = vec![Condition::AnythingBut(vec![Literal::Text("a".into())])];
        assert!(test(but_a.clone()).passes(&list));
        assert!(!test(but_a).passes(&Properties::new()));
        assert!(test(vec![Condition::Exists(false)]).passes(&Properties::new()));
        assert!(test(vec![Condition::Exists(true)]).passes(&list));
        let empty: Properties = BTreeMap::from([("p".into(), vec![])]);
        assert!(test(vec![Condition::Exists(true)]).passes(&empty));
    }

    /// `exists: false` is asked of the element of the list in which the other tests hold, as AWS'
    /// rule engine does: of those whose paths sort before it.
    #[test]
    fn what_is_absent_from_one_element_of_a_list() {
        let mut document = Document::default();
        let list = document.list(None, "r");
        for (kind, error) in [("a", None), ("b", Some("bad"))] {
            let element = document.element(list);
            document.leaf("r.kind", element, text(kind));
            if let Some(error) = error {
                document.leaf("r.error", element, text(error));
                document.leaf("r.mistake", element, text(error));
            }
        }
        let passes = |kind: &str, path: &str, conditions: Vec<Condition>| {
            let is_kind = Condition::Is(Literal::Text(kind.into()));
            let tests = vec![
                Test { path: path.into(), conditions },
                Test { path: "r.kind".into(), conditions: vec![is_kind] },
            ];
            Filter { alternatives: vec![tests] }.passes_body(&document)
        };
        let absent = || vec![Condition::Exists(false)];
        assert!(passes("a", "r.mistake", absent()), "only the other element has one");
        assert!(!passes("b", "r.mistake", absent()));
        assert!(!passes("a", "r.error", absent()), "asked before the kind: of the whole list");
        assert!(passes("b", "r.nothing", absent()));
        let bad = Condition::Is(Literal::Text("bad".into()));
        assert!(passes("b", "r.mistake", vec![bad.clone(), Condition::Exists(false)]));
        assert!(passes("a", "r.mistake", vec![bad, Condition::Exists(false)]));
    }

    #[test]
    fn a_publication_without_attributes_passes_no_filter_of_them() {
        let absent = Test { path: "p".into(), conditions: vec![Condition::Exists(false)] };
        let matcher = Matcher::Attributes(Filter { alternatives: vec![vec![absent]] });
        let with = |attributes| Facts { attributes, ..Facts::default() };
        assert!(!matcher.wants(&with(Properties::new())));
        assert!(matcher.wants(&with(BTreeMap::from([("q".into(), vec![text("v")])]))));
        assert!(!matcher.wants(&with(BTreeMap::from([("p".into(), vec![text("v")])]))));
    }

    #[test]
    fn only_a_document_passes_a_filter_of_bodies() {
        let matcher = Matcher::Body(Filter { alternatives: vec![vec![]] });
        let wanted = |body| matcher.wants(&Facts { body, ..Facts::default() });
        assert!(!wanted(BodyFacts::Opaque));
        assert!(wanted(BodyFacts::Document(Document::default())));
    }
}
