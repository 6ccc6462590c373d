//! Documents: the leaves of a body by path, each with the list elements that it stands in, so that
//! conditions on several paths can be asked of the same element of a list.
//!
//! The rules are those of AWS' rule engine (`event-ruler`, "arrays"): leaves of different elements
//! of one list do not match together; a value that is itself the element of a list stands where the
//! list stands; and absence is asked of the elements that tests with earlier paths have chosen.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::matcher::{Properties, Value};

/// The most tests of one alternative that are asked of the same elements; further ones are asked
/// each by itself. A policy of SNS has at most five keys, so none comes near this.
const MAX_JOINED_TESTS: usize = 128;
/// The most tests of one alternative that may hold by a value or by absence and are tried both
/// ways. Each doubles the combinations of a policy, of which SNS takes 150; further ones need a
/// value.
const MAX_OPEN_TESTS: usize = 8;

/// The leaves of a body by path, with the lists and elements around them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    leaves: BTreeMap<String, Vec<Leaf>>,
    leaf_count: usize,
    /// Elements of lists, each with its list. An element comes before those inside it.
    elements: Vec<List>,
    lists: Vec<ListInfo>,
    /// The paths of lists, numbered.
    list_paths: BTreeMap<String, u32>,
}

/// A value and its place in the document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Leaf {
    pub value: Value,
    place: Place,
}

/// A test's demand on a document: one of these leaves, or, if absence is allowed, that the path has
/// no leaf.
#[derive(Clone, Debug)]
pub(crate) struct Wish<'d> {
    pub path: &'d str,
    pub leaves: Vec<&'d Leaf>,
    /// All leaves of the path, if it may also be absent.
    pub or_absent: Option<&'d [Leaf]>,
}

/// The innermost list element around something; `None` if no list is around it.
pub type Place = Option<u32>;

/// A list of a document, whose elements are being added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List(u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ListInfo {
    around: Place,
    /// An index into the paths of lists.
    path: u32,
}

/// A set of tests, by their places in the order of paths.
type Tests = u128;

/// The way in which a wish is to be fulfilled in one attempt.
#[derive(Clone, Copy)]
enum Sought<'w, 'd> {
    OneOf(&'w [&'d Leaf]),
    Absent(&'d [Leaf]),
}

impl Document {
    /// Adds a list that stands in `around`, at a path.
    pub fn list(&mut self, around: Place, path: &str) -> List {
        let paths = u32::try_from(self.list_paths.len()).unwrap_or(u32::MAX);
        let path = match self.list_paths.get(path) {
            Some(number) => *number,
            None => *self.list_paths.entry(path.to_owned()).or_insert(paths),
        };
        let number = u32::try_from(self.lists.len()).unwrap_or(u32::MAX);
        self.lists.push(ListInfo { around, path });
        List(number)
    }

    /// Adds the next element of a list that is an object or a list. Other values are leaves of the
    /// place around the list.
    pub fn element(&mut self, list: List) -> Place {
        let number = u32::try_from(self.elements.len()).ok()?;
        self.elements.push(list);
        Some(number)
    }

    /// Adds a leaf at a path.
    pub fn leaf(&mut self, path: &str, place: Place, value: Value) {
        self.leaf_count += 1;
        match self.leaves.get_mut(path) {
            Some(leaves) => leaves.push(Leaf { value, place }),
            None => {
                self.leaves.insert(path.to_owned(), vec![Leaf { value, place }]);
            }
        }
    }

    pub(crate) fn at(&self, path: &str) -> Option<&[Leaf]> {
        self.leaves.get(path).map(Vec::as_slice)
    }

    /// Returns the number of leaves and elements, which is the most that one test can make a filter
    /// look at.
    pub(crate) fn size(&self) -> usize {
        self.leaf_count + self.elements.len()
    }

    /// Returns true if one leaf can be taken for each wish such that all agree: no two of them
    /// stand in different elements of the same list, and what shall be absent is not in the
    /// elements that were chosen for the paths that sort before it.
    ///
    /// Takes time in proportion to the leaves asked for and to [`Self::size`], for each way to
    /// choose between a value and its absence.
    pub(crate) fn agree(&self, mut wishes: Vec<Wish<'_>>) -> bool {
        wishes.sort_by(|a, b| by_path(a.path, b.path));
        wishes.truncate(MAX_JOINED_TESTS);
        let is_open = |wish: &Wish<'_>| wish.or_absent.is_some() && !wish.leaves.is_empty();
        let open: Vec<usize> =
            wishes.iter().enumerate().filter(|(_, w)| is_open(w)).map(|(at, _)| at).collect();
        let ways = 1u32 << open.len().min(MAX_OPEN_TESTS);
        (0..ways).any(|way| {
            let is_absent = |at: usize| {
                let bit = open.iter().take(MAX_OPEN_TESTS).position(|other| *other == at);
                bit.is_some_and(|bit| way >> bit & 1 == 1)
            };
            let sought: Vec<_> = wishes
                .iter()
                .enumerate()
                .map(|(at, wish)| {
                    let sought = match wish.or_absent {
                        Some(all) if wish.leaves.is_empty() || is_absent(at) => Sought::Absent(all),
                        _ => Sought::OneOf(&wish.leaves),
                    };
                    (wish.path, sought)
                })
                .collect();
            Attempt::new(self, &sought).succeeds()
        })
    }
}

/// One attempt to find all that is sought: what each place of a document has of it, from the
/// innermost elements outwards.
///
/// Without lists around, a leaf agrees with every other; so of a path with leaves at several depths
/// the outermost is taken. An element of a list is as good as another if it has everything that
/// the list must give; which one, nobody outside can tell.
struct Attempt<'a> {
    document: &'a Document,
    wanted: Tests,
    absent: Tests,
    /// For each path of a list, the tests at it and below.
    below: Vec<Tests>,
    /// For each test, those of a later path.
    after: Vec<Tests>,
    /// For each place (the last stands for no list): the tests whose leaves stand directly there or
    /// around it.
    around: Vec<Tests>,
    /// The tests for which a place, or one element of each list in it, has a leaf.
    has: Vec<Tests>,
    /// The absence tests that have a leaf anywhere in a place.
    anywhere: Vec<Tests>,
    /// The absence tests that do not hold in a place once it was chosen.
    broken: Vec<Tests>,
}

impl<'a> Attempt<'a> {
    fn new(document: &'a Document, sought: &[(&str, Sought<'_, '_>)]) -> Self {
        let places = document.elements.len() + 1;
        let mut below = vec![0; document.list_paths.len()];
        for (path, number) in &document.list_paths {
            let tests = sought.iter().enumerate().filter(|(_, (other, _))| is_below(other, path));
            if let Some(below) = below.get_mut(*number as usize) {
                *below = tests.fold(0, |tests, (at, _)| tests | 1 << at);
            }
        }
        let after = sought.iter().map(|(path, _)| {
            let later =
                sought.iter().enumerate().filter(|(_, (other, _))| by_path(path, other).is_lt());
            later.fold(0, |tests, (at, _)| tests | 1 << at)
        });
        let after = after.collect();
        let empty = || vec![0; places];
        let (has, anywhere) = (empty(), empty());
        let (around, broken) = (Vec::new(), Vec::new());
        let mut attempt =
            Self { document, wanted: 0, absent: 0, below, after, around, has, anywhere, broken };
        for (at, (_, sought)) in sought.iter().enumerate() {
            let test = 1 << at;
            match sought {
                Sought::OneOf(leaves) => {
                    attempt.wanted |= test;
                    leaves.iter().for_each(|leaf| attempt.mark(leaf, test));
                }
                Sought::Absent(leaves) => {
                    attempt.absent |= test;
                    leaves.iter().for_each(|leaf| attempt.mark(leaf, test));
                }
            }
        }
        attempt
    }

    fn mark(&mut self, leaf: &Leaf, test: Tests) {
        let at = self.index(leaf.place);
        let marks = if self.wanted & test != 0 { &mut self.has } else { &mut self.anywhere };
        if let Some(tests) = marks.get_mut(at) {
            *tests |= test;
        }
    }

    /// Returns a place's index; the last index stands for no list.
    fn index(&self, place: Place) -> usize {
        place.map_or(self.document.elements.len(), |number| number as usize)
    }

    fn list_of(&self, element: usize) -> Option<ListInfo> {
        let List(list) = *self.document.elements.get(element)?;
        self.document.lists.get(list as usize).copied()
    }

    fn succeeds(mut self) -> bool {
        self.broken = self.anywhere.clone();
        self.look_around();
        for element in (0..self.document.elements.len()).rev() {
            if let Some(list) = self.list_of(element) {
                self.hand_on(element, list);
            }
        }
        let root = self.index(None);
        at(&self.has, root) & self.wanted == self.wanted && at(&self.broken, root) == 0
    }

    fn look_around(&mut self) {
        self.around = self.has.clone();
        let root = self.index(None);
        for element in 0..root {
            let Some(list) = self.list_of(element) else { continue };
            let outside = at(&self.around, self.index(list.around));
            if let Some(tests) = self.around.get_mut(element) {
                *tests |= outside;
            }
        }
    }

    /// Hands on what one element of a list has to the place around the list. Everything inside the
    /// element must have been handed on to it before.
    fn hand_on(&mut self, element: usize, list: ListInfo) {
        let place = self.index(list.around);
        let below = at(&self.below, list.path as usize);
        let needed = below & self.wanted & !at(&self.around, place);
        // Absences behind the first test that chooses an element here are asked of that element.
        let first = needed.trailing_zeros() as usize;
        let asked_inside = if needed == 0 { 0 } else { below & at(&self.after, first) };
        let anywhere = at(&self.anywhere, element);
        let is_whole = at(&self.has, element) & needed == needed;
        let is_right = at(&self.broken, element) & asked_inside == 0;
        if is_whole
            && is_right
            && let Some(has) = self.has.get_mut(place)
        {
            *has |= needed;
        }
        if let Some(tests) = self.anywhere.get_mut(place) {
            *tests |= anywhere;
        }
        if let Some(tests) = self.broken.get_mut(place) {
            *tests |= anywhere & !asked_inside;
        }
    }
}

fn at(tests: &[Tests], index: usize) -> Tests {
    tests.get(index).copied().unwrap_or(0)
}

/// Returns true if a path equals another or continues it.
fn is_below(path: &str, other: &str) -> bool {
    path.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Compares paths in the order of AWS' rule engine, by UTF-16 units.
fn by_path(a: &str, b: &str) -> Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}

impl From<Properties> for Document {
    /// Makes a document of values that stand in no list.
    fn from(properties: Properties) -> Self {
        let mut document = Self::default();
        for (path, values) in properties {
            for value in values {
                document.leaf(&path, None, value);
            }
        }
        document
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two lists of pairs: of each element of `a`, `x` and `y`, and within it `z` twice.
    fn nested() -> Document {
        let mut document = Document::default();
        let text = |text: String| Value::Text(text);
        let a = document.list(None, "a");
        for number in 0..2 {
            let element = document.element(a);
            for name in ["x", "y"] {
                document.leaf(&format!("a.{name}"), element, text(format!("{name}{number}")));
            }
            let inner = document.list(element, "a.z");
            for deeper in 0..2 {
                let element = document.element(inner);
                document.leaf("a.z.v", element, text(format!("z{number}{deeper}")));
                document.leaf("a.z.w", element, text(format!("w{number}{deeper}")));
            }
        }
        let b = document.list(None, "b");
        let element = document.element(b);
        document.leaf("b.v", element, text("b0".into()));
        document.leaf("c", None, text("c0".into()));
        document
    }

    fn agree(document: &Document, wanted: &[&str]) -> bool {
        let wish = |wanted: &&str| {
            let value = Value::Text((*wanted).into());
            let has = |leaves: &Vec<Leaf>| leaves.iter().any(|leaf| leaf.value == value);
            let (path, leaves) = document.leaves.iter().find(|(_, leaves)| has(leaves)).unwrap();
            let leaves = leaves.iter().filter(|leaf| leaf.value == value).collect();
            Wish { path, leaves, or_absent: None }
        };
        document.agree(wanted.iter().map(wish).collect())
    }

    #[test]
    fn leaves_of_different_elements_of_one_list_do_not_agree() {
        let document = nested();
        let agree = |wanted: &[&str]| agree(&document, wanted);
        assert!(agree(&["x0", "y0"]));
        assert!(!agree(&["x0", "y1"]));
        assert!(agree(&["x1", "y1", "b0", "c0"]), "another list is no contradiction");
        assert!(agree(&["x0", "z01"]));
        assert!(!agree(&["x0", "z10"]), "deeper in another element");
        assert!(agree(&["z00", "w00", "y0"]));
        assert!(!agree(&["z00", "w01"]));
        assert!(!agree(&["z00", "w10"]));
        assert!(agree(&[]));
    }

    /// A search over pairs of leaves gave up after 100,000 comparisons and said that they agree: a
    /// list of 300 pairs, 7 KB of JSON, delivered what a filter should have kept out.
    #[test]
    fn a_long_list_is_searched_to_its_end() {
        let mut document = Document::default();
        let list = document.list(None, "l");
        let mut add = |leaves: &[(&str, &str)]| {
            let element = document.element(list);
            for (path, value) in leaves {
                document.leaf(path, element, Value::Text((*value).into()));
            }
        };
        for _ in 0..20_000 {
            add(&[("l.p", "yes"), ("l.q", "no")]);
            add(&[("l.p", "no"), ("l.q", "yes"), ("l.r", "no")]);
        }
        let longer = |document: &Document| {
            let mut longer = document.clone();
            let element = longer.element(list);
            for path in ["l.p", "l.q", "l.r"] {
                longer.leaf(path, element, Value::Text("yes".into()));
            }
            longer
        };
        let yes = |document: &Document, paths: &[&str]| {
            let wish = |path: &&'static str| {
                let all = document.at(path).unwrap();
                let is = |leaf: &&Leaf| leaf.value == Value::Text("yes".into());
                (*path, all.iter().filter(is).cloned().collect::<Vec<_>>())
            };
            let paths: Vec<&'static str> = paths
                .iter()
                .map(|p| ["l.p", "l.q", "l.r"].into_iter().find(|q| q == p).unwrap())
                .collect();
            let found: Vec<_> = paths.iter().map(wish).collect();
            let wishes = found.iter().map(|(path, leaves)| Wish {
                path,
                leaves: leaves.iter().collect(),
                or_absent: None,
            });
            document.agree(wishes.collect())
        };
        assert!(!yes(&document, &["l.p", "l.q"]));
        assert!(yes(&longer(&document), &["l.p", "l.q", "l.r"]));
        let absent = |path| Wish { leaves: Vec::new(), or_absent: document.at(path), path };
        let of = |path| {
            let leaves = document.at(path).unwrap();
            Wish { path, leaves: leaves.iter().collect(), or_absent: None }
        };
        assert!(document.agree(vec![of("l.p"), absent("l.r")]), "the first has none");
        assert!(!document.agree(vec![of("l.r"), absent("l.p")]), "asked before: of the whole list");
    }

    /// `{"tags": ["red", {"size": 1}, ["blue"]]}`: in AWS' rule engine a value in a list belongs to
    /// what is around the list, and so agrees with whatever stands in the list's elements.
    #[test]
    fn a_value_in_a_list_stands_where_the_list_stands() {
        let mut document = Document::default();
        let text = |text: &str| Value::Text(text.into());
        let list = document.list(None, "tags");
        document.leaf("tags", None, text("red"));
        let object = document.element(list);
        document.leaf("tags.size", object, text("1"));
        let inner = document.element(list);
        document.list(inner, "tags");
        document.leaf("tags", inner, text("blue"));
        assert!(agree(&document, &["red", "1"]));
        assert!(agree(&document, &["red"]) && agree(&document, &["blue"]));
        assert!(!agree(&document, &["blue", "1"]), "two elements of one list");
    }
}
