//! An ordered set of sequence numbers. Dense runs cost a quarter byte a member, so that the ready
//! order of a deep backlog stays in RAM.

use std::collections::BTreeMap;

/// Members by 64-bit words: key `seq / 64`, value a bit for each member.
///
/// Most lanes hold no or one message, and most queues have many lanes, so these two cases take
/// no allocation.
#[derive(Clone, Debug, Default)]
pub(crate) enum SeqSet {
    #[default]
    Empty,
    One(u64),
    Words(BTreeMap<u64, u64>),
}

fn split(seq: u64) -> (u64, u64) {
    (seq / 64, 1 << (seq % 64))
}

impl SeqSet {
    /// Adds a member; false if it was one already.
    pub(crate) fn insert(&mut self, seq: u64) -> bool {
        match self {
            Self::Empty => {
                *self = Self::One(seq);
                true
            }
            Self::One(only) if *only == seq => false,
            Self::One(only) => {
                let mut words = BTreeMap::new();
                for member in [*only, seq] {
                    let (word, bit) = split(member);
                    *words.entry(word).or_insert(0) |= bit;
                }
                *self = Self::Words(words);
                true
            }
            Self::Words(words) => {
                let (word, bit) = split(seq);
                // Most come in order, into the last word: no search.
                let mut last = words.last_entry().filter(|last| *last.key() == word);
                let bits = match &mut last {
                    Some(last) => last.get_mut(),
                    None => words.entry(word).or_insert(0),
                };
                let new = *bits & bit == 0;
                *bits |= bit;
                new
            }
        }
    }

    /// Takes a member out; false if it was none.
    pub(crate) fn remove(&mut self, seq: u64) -> bool {
        match self {
            Self::Empty => false,
            Self::One(only) => {
                let found = *only == seq;
                if found {
                    *self = Self::Empty;
                }
                found
            }
            Self::Words(words) => {
                let (word, bit) = split(seq);
                let Some(bits) = words.get_mut(&word) else { return false };
                let found = *bits & bit != 0;
                *bits &= !bit;
                if *bits == 0 {
                    words.remove(&word);
                }
                if words.is_empty() {
                    *self = Self::Empty;
                }
                found
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// The smallest member.
    pub(crate) fn first(&self) -> Option<u64> {
        match self {
            Self::Empty => None,
            Self::One(only) => Some(*only),
            Self::Words(words) => words
                .first_key_value()
                .map(|(word, bits)| word * 64 + u64::from(bits.trailing_zeros())),
        }
    }

    /// The smallest member greater than `seq`.
    pub(crate) fn after(&self, seq: u64) -> Option<u64> {
        match self {
            Self::Empty => None,
            Self::One(only) => (*only > seq).then_some(*only),
            Self::Words(words) => {
                let from = seq.checked_add(1)?;
                let (word, bit) = split(from);
                let here = words.get(&word).map_or(0, |bits| bits & !(bit - 1));
                if here != 0 {
                    return Some(word * 64 + u64::from(here.trailing_zeros()));
                }
                words
                    .range(word + 1..)
                    .next()
                    .map(|(word, bits)| word * 64 + u64::from(bits.trailing_zeros()))
            }
        }
    }

    /// Members in rising order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        std::iter::successors(self.first(), |seq| self.after(*seq))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_as_an_ordered_set(ops in prop::collection::vec((any::<bool>(), 0u64..300), 0..200)) {
            let mut set = SeqSet::default();
            let mut model = BTreeSet::new();
            for (insert, seq) in ops {
                if insert {
                    prop_assert_eq!(set.insert(seq), model.insert(seq));
                } else {
                    prop_assert_eq!(set.remove(seq), model.remove(&seq));
                }
                prop_assert_eq!(set.first(), model.first().copied());
                prop_assert_eq!(set.is_empty(), model.is_empty());
                prop_assert_eq!(set.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn the_largest_number_is_a_member_like_any_other() {
        let mut set = SeqSet::default();
        set.insert(u64::MAX);
        set.insert(0);
        assert_eq!(set.after(0), Some(u64::MAX));
        assert_eq!(set.after(u64::MAX), None);
    }
}
