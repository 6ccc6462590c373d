//! Lists and maps that keep no more than the API allows, and count the rest: `{}` is three bytes on
//! the wire and hundreds in memory, so a request must not decide how many are kept.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Text;
use crate::error::Error;

/// The first `MAX` elements of a list.
#[derive(Clone, Debug)]
pub(crate) struct List<T, const MAX: usize> {
    pub(crate) kept: Vec<T>,
    /// The number of entries that were sent.
    pub(crate) sent: usize,
}

/// The first `MAX` entries of a map.
#[derive(Clone, Debug)]
pub(crate) struct Map<'a, V, const MAX: usize> {
    pub(crate) kept: BTreeMap<Text<'a>, V>,
    /// The number of entries that were sent.
    pub(crate) sent: usize,
}

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self { kept: Vec::new(), sent: 0 }
    }
}

impl<V, const MAX: usize> Default for Map<'_, V, MAX> {
    fn default() -> Self {
        Self { kept: BTreeMap::new(), sent: 0 }
    }
}

impl<T, const MAX: usize> List<T, MAX> {
    /// The elements, unless there were more than are kept.
    pub(crate) fn within(self, parameter: &str) -> Result<Vec<T>, Error> {
        check(self.sent, MAX, parameter).map(|()| self.kept)
    }
}

impl<'a, V, const MAX: usize> Map<'a, V, MAX> {
    /// The entries, unless there were more than are kept.
    pub(crate) fn within(self, parameter: &str) -> Result<BTreeMap<Text<'a>, V>, Error> {
        check(self.sent, MAX, parameter).map(|()| self.kept)
    }
}

fn check(sent: usize, max: usize, parameter: &str) -> Result<(), Error> {
    if sent <= max {
        return Ok(());
    }
    Err(Error::InvalidParameterValue(format!(
        "Parameter {parameter} has {sent} elements, maximum allowed is {max}."
    )))
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keeping<T, const MAX: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Keeping<T, MAX> {
            type Value = List<T, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
                let mut kept = Vec::new();
                while kept.len() < MAX {
                    match from.next_element()? {
                        Some(element) => kept.push(element),
                        None => return Ok(List { sent: kept.len(), kept }),
                    }
                }
                let mut sent = kept.len();
                while from.next_element::<IgnoredAny>()?.is_some() {
                    sent += 1;
                }
                Ok(List { kept, sent })
            }
        }
        deserializer.deserialize_seq(Keeping(PhantomData))
    }
}

impl<'de: 'a, 'a, V: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Map<'a, V, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keeping<'a, V, const MAX: usize>(PhantomData<(&'a (), V)>);
        impl<'de: 'a, 'a, V: Deserialize<'de>, const MAX: usize> Visitor<'de> for Keeping<'a, V, MAX> {
            type Value = Map<'a, V, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
                let mut kept = BTreeMap::new();
                while kept.len() < MAX {
                    match from.next_entry::<Text<'a>, V>()? {
                        Some((key, value)) => kept.insert(key, value),
                        None => return Ok(Map { sent: kept.len(), kept }),
                    };
                }
                let mut sent = kept.len();
                while from.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    sent += 1;
                }
                Ok(Map { kept, sent })
            }
        }
        deserializer.deserialize_map(Keeping(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_counted_and_not_kept() {
        let list: List<u8, 2> = serde_json::from_str("[1,2,{\"any\":[]},4]").unwrap();
        assert_eq!((list.kept.as_slice(), list.sent), (&[1, 2][..], 4));
        assert!(list.within("P").is_err());
        let list: List<u8, 2> = serde_json::from_str("[1,2]").unwrap();
        assert_eq!(list.within("P"), Ok(vec![1, 2]));
        let map: Map<'_, u8, 1> = serde_json::from_str(r#"{"a":1,"b":2,"c":3}"#).unwrap();
        assert_eq!((map.kept.len(), map.sent), (1, 3));
    }
}
