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

    /// Whether one leaf can be taken of each group such that all agree: no two of them stand in
    /// different elements of the same list. A group with a leaf outside of lists agrees with all.
    pub(crate) fn agree(&self, mut groups: Vec<Vec<&Leaf>>) -> bool {
        groups.retain(|group| group.iter().all(|leaf| leaf.element.is_some()));
        let mut left = MAX_COMPARISONS;
        // The smallest first: fewer dead ends.
        groups.sort_by_key(Vec::len);
        self.choose(&groups, &mut Vec::new(), &mut left).unwrap_or(true)
    }

    /// `None` when there have been too many comparisons.
    fn choose(
        &self,
        groups: &[Vec<&Leaf>],
        chosen: &mut Vec<Place>,
        left: &mut usize,
    ) -> Option<bool> {
        let Some((group, rest)) = groups.split_first() else { return Some(true) };
        for leaf in group {
            *left = left.checked_sub(1 + chosen.len())?;
            if chosen.iter().all(|other| self.are_together(*other, leaf.element)) {
                chosen.push(leaf.element);
                let found = self.choose(rest, chosen, left);
                chosen.pop();
                if found != Some(false) {
                    return found;
                }
            }
        }
        Some(false)
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
            document.agree(wanted.iter().map(group).collect())
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
        let of = |path| document.at(path).unwrap().iter().collect::<Vec<_>>();
        assert!(document.agree(vec![of("p"), of("q")]), "given up in favour of delivering");
    }
}
