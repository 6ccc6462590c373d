//! Documents: the leaves of a body by path, each with the list elements that it stands in, so that
//! conditions on several paths can be asked of the same element of a list.

use std::collections::BTreeMap;

use crate::matcher::{Properties, Value};

/// Pairs of leaves that one filter compares. Beyond that, conditions are asked each by itself, as if
/// the document had no lists: a publication is rather delivered than lost.
const MAX_COMPARISONS: usize = 100_000;

/// A body's leaves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    leaves: BTreeMap<String, Vec<Leaf>>,
    /// Elements of lists; an index into this names one.
    elements: Vec<Element>,
    lists: u32,
}

/// A value, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Leaf {
    pub(crate) value: Value,
    element: Place,
}

/// What a test asks of a document: one of these leaves, or, where that will do, that no leaf of the
/// path is there.
#[derive(Clone, Debug)]
pub(crate) struct Wish<'d> {
    pub(crate) path: &'d str,
    pub(crate) leaves: Vec<&'d Leaf>,
    /// All leaves of the path, if it may also be absent.
    pub(crate) or_absent: Option<&'d [Leaf]>,
}

/// What was taken so far, each with its path.
#[derive(Default)]
struct Chosen<'d> {
    places: Vec<(&'d str, Place)>,
    absent: Vec<(&'d str, &'d [Leaf])>,
}

/// The innermost list element around something; `None` if no list is around it.
pub type Place = Option<u32>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Element {
    /// The element around the list.
    around: Place,
    list: u32,
    depth: u32,
}

/// A list of a document, whose elements are being added.
#[derive(Clone, Copy, Debug)]
pub struct List {
    around: Place,
    number: u32,
}

impl Document {
    /// A list that stands in `around`.
    pub fn list(&mut self, around: Place) -> List {
        self.lists += 1;
        List { around, number: self.lists }
    }

    /// The next element of a list.
    pub fn element(&mut self, list: List) -> Place {
        let around = list.around.and_then(|around| self.elements.get(around as usize));
        let depth = around.map_or(1, |around| around.depth + 1);
        let number = u32::try_from(self.elements.len()).ok()?;
        self.elements.push(Element { around: list.around, list: list.number, depth });
        Some(number)
    }

    /// A leaf at a path.
    pub fn leaf(&mut self, path: &str, element: Place, value: Value) {
        match self.leaves.get_mut(path) {
            Some(leaves) => leaves.push(Leaf { value, element }),
            None => {
                self.leaves.insert(path.to_owned(), vec![Leaf { value, element }]);
            }
        }
    }

    pub(crate) fn at(&self, path: &str) -> Option<&[Leaf]> {
        self.leaves.get(path).map(Vec::as_slice)
    }

    /// Whether one leaf can be taken for each wish such that all agree: no two of them stand in
    /// different elements of the same list. A wish with a leaf outside of lists agrees with all.
    pub(crate) fn agree(&self, mut wishes: Vec<Wish<'_>>) -> bool {
        wishes.retain(|wish| wish.leaves.iter().all(|leaf| leaf.element.is_some()));
        let mut left = MAX_COMPARISONS;
        // The smallest first: fewer dead ends.
        wishes.sort_by_key(|wish| wish.leaves.len());
        self.choose(&wishes, &mut Chosen::default(), &mut left).unwrap_or(true)
    }

    /// `None` when there have been too many comparisons.
    fn choose<'d>(
        &self,
        wishes: &[Wish<'d>],
        chosen: &mut Chosen<'d>,
        left: &mut usize,
    ) -> Option<bool> {
        let Some((wish, rest)) = wishes.split_first() else { return self.are_absent(chosen, left) };
        for leaf in &wish.leaves {
            *left = left.checked_sub(1 + chosen.places.len())?;
            if chosen.places.iter().all(|(_, other)| self.are_together(*other, leaf.element)) {
                chosen.places.push((wish.path, leaf.element));
                let found = self.choose(rest, chosen, left);
                chosen.places.pop();
                if found != Some(false) {
                    return found;
                }
            }
        }
        let Some(leaves) = wish.or_absent else { return Some(false) };
        chosen.absent.push((wish.path, leaves));
        let found = self.choose(rest, chosen, left);
        chosen.absent.pop();
        found
    }

    /// Whether none of the leaves that must not be there stands together with what was chosen for
    /// the paths that sort before theirs: the order in which AWS' rule engine asks.
    fn are_absent(&self, chosen: &Chosen<'_>, left: &mut usize) -> Option<bool> {
        for (path, leaves) in &chosen.absent {
            *left = left.checked_sub(leaves.len() * (1 + chosen.places.len()))?;
            let before = || chosen.places.iter().filter(|(other, _)| other < path);
            let is_there =
                |leaf: &Leaf| before().all(|(_, other)| self.are_together(*other, leaf.element));
            if leaves.iter().any(is_there) {
                return Some(false);
            }
        }
        Some(true)
    }

    /// Whether no list has two places in different elements of it.
    fn are_together(&self, a: Place, b: Place) -> bool {
        let element = |place: Place| self.elements.get(place? as usize);
        let (mut a, mut b) = (a, b);
        // Up to the same depth, then together to where they part.
        while let (Some(of_a), Some(of_b)) = (element(a), element(b)) {
            if a == b {
                return true;
            }
            match of_a.depth.cmp(&of_b.depth) {
                std::cmp::Ordering::Greater => a = of_a.around,
                std::cmp::Ordering::Less => b = of_b.around,
                std::cmp::Ordering::Equal if of_a.list == of_b.list => return false,
                std::cmp::Ordering::Equal => (a, b) = (of_a.around, of_b.around),
            }
        }
        true
    }
}

impl From<Properties> for Document {
    /// Of values that stand in no list.
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

    /// Leaves of `{"a": [{"x": .., "y": ..}, ..], "b": [..]}` by path.
    #[test]
    fn leaves_of_different_elements_of_one_list_do_not_agree() {
        let mut document = Document::default();
        let a = document.list(None);
        for number in 0..2 {
            let element = document.element(a);
            for name in ["x", "y"] {
                let value = Value::Text(format!("{name}{number}"));
                document.leaf(&format!("a.{name}"), element, value);
            }
            let inner = document.list(element);
            for deeper in 0..2 {
                let element = document.element(inner);
                document.leaf("a.z", element, Value::Text(format!("z{number}{deeper}")));
            }
        }
        let b = document.list(None);
        let element = document.element(b);
        document.leaf("b", element, Value::Text("b0".into()));
        document.leaf("c", None, Value::Text("c0".into()));
        let agree = |wanted: &[&str]| {
            let group = |wanted: &&str| {
                let all = document.leaves.values().flatten();
                all.filter(|leaf| leaf.value == Value::Text((*wanted).into())).collect()
            };
            let wish = |leaves| Wish { path: "p", leaves, or_absent: None };
            document.agree(wanted.iter().map(group).map(wish).collect())
        };
        assert!(agree(&["x0", "y0"]));
        assert!(!agree(&["x0", "y1"]));
        assert!(agree(&["x1", "y1", "b0", "c0"]), "another list is no contradiction");
        assert!(agree(&["x0", "z01"]));
        assert!(!agree(&["x0", "z10"]), "deeper in another element");
        assert!(!agree(&["z00", "z01"]));
        assert!(agree(&[]));
    }

    #[test]
    fn a_large_document_costs_a_bounded_number_of_comparisons() {
        let mut document = Document::default();
        let list = document.list(None);
        for _ in 0..2_000 {
            for path in ["p", "q"] {
                let element = document.element(list);
                document.leaf(path, element, Value::Null);
            }
        }
        let of = |path| {
            let leaves = document.at(path).unwrap();
            Wish { path, leaves: leaves.iter().collect(), or_absent: None }
        };
        assert!(document.agree(vec![of("p"), of("q")]), "given up in favour of delivering");
        let absent = |path| Wish { leaves: Vec::new(), or_absent: document.at(path), path };
        assert!(document.agree(vec![of("p"), absent("q")]), "likewise");
    }
}
