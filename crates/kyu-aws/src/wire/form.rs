//! Parameters of the Query protocol: `name=value` pairs whose names are paths
//! (`MessageAttribute.1.Value.StringValue`), read into a tree, and the tree read by serde.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode;
use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::members::{VALUE_NAME, flat_name, key_name};
use crate::error::Error;
use crate::limits::{MAX_FORM_DEPTH, MAX_FORM_PARAMETERS};

/// A parameter, or the parameters below a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Node<'a> {
    Leaf(Cow<'a, str>),
    /// The fields, in the order in which names first came.
    Branch(Vec<(Cow<'a, str>, Node<'a>)>),
}

/// Reads pairs from several places (URL and body) into one tree.
pub(crate) fn parse<'a>(sources: &[&'a [u8]]) -> Result<Node<'a>, Error> {
    let mut root = Node::Branch(Vec::new());
    let pairs = sources.iter().flat_map(|source| source.split(|byte| *byte == b'&'));
    for (count, pair) in pairs.filter(|pair| !pair.is_empty()).enumerate() {
        if count == MAX_FORM_PARAMETERS {
            return Err(malformed("The request has too many parameters."));
        }
        let (name, value) =
            match memchr::memchr(b'=', pair).and_then(|at| pair.split_at_checked(at)) {
                Some((name, value)) => (name, value.get(1..).unwrap_or_default()),
                None => (pair, &b""[..]),
            };
        root.insert(decode_text(name)?, Node::Leaf(decode_text(value)?))?;
    }
    Ok(root)
}

/// Reads a request type from a tree.
pub(super) fn decode<'r, T: Deserialize<'r>>(node: &'r Node<'r>) -> Result<T, Error> {
    T::deserialize(Value(node)).map_err(|problem| malformed(&problem.to_string()))
}

/// `+` is a space, `%XX` a byte, and the whole must be UTF-8.
fn decode_text(bytes: &[u8]) -> Result<Cow<'_, str>, Error> {
    let not_text = |_| malformed("A parameter is not valid UTF-8.");
    let plain = !bytes.contains(&b'+') && !bytes.contains(&b'%');
    if plain {
        return std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(not_text);
    }
    let spaced: Vec<u8> = bytes.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
    let decoded: Vec<u8> = percent_decode(&spaced).collect();
    String::from_utf8(decoded).map(Cow::Owned).map_err(|error| not_text(error.utf8_error()))
}

fn malformed(reason: &str) -> Error {
    Error::MalformedInput(reason.to_owned())
}

impl<'a> Node<'a> {
    /// The text of a parameter at the root.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.child(name)? {
            Self::Leaf(text) => Some(text),
            Self::Branch(_) => None,
        }
    }

    /// The parameter of that name below this one.
    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Leaf(_) => None,
            Self::Branch(children) => {
                children.iter().find(|(child, _)| child == name).map(|(_, node)| node)
            }
        }
    }

    /// The text, if this is no structure.
    pub(crate) fn leaf(&self) -> Option<&str> {
        match self {
            Self::Leaf(text) => Some(text),
            Self::Branch(_) => None,
        }
    }

    fn insert(&mut self, path: Cow<'a, str>, leaf: Self) -> Result<(), Error> {
        let mut node = self;
        let mut names = path.split('.').enumerate().peekable();
        while let Some((depth, name)) = names.next() {
            if depth == MAX_FORM_DEPTH {
                return Err(malformed("A parameter name has too many parts."));
            }
            let Self::Branch(children) = node else {
                return Err(malformed("A parameter is both a value and a structure."));
            };
            let at = children.iter().position(|(child, _)| child == name);
            if names.peek().is_none() {
                // The first of two equal names counts.
                if at.is_none() {
                    children.push((Cow::Owned(name.to_owned()), leaf));
                }
                return Ok(());
            }
            let at = at.unwrap_or_else(|| {
                children.push((Cow::Owned(name.to_owned()), Self::Branch(Vec::new())));
                children.len() - 1
            });
            let Some((_, child)) = children.get_mut(at) else { return Ok(()) };
            node = child;
        }
        Ok(())
    }

    /// The elements of a flattened list, in the order of their numbers. One parameter without a
    /// number is a list of one, and so is one structure (`Attribute.Name`); an empty parameter is an
    /// empty list: AWS documents and old clients send all three.
    pub(crate) fn elements(&self) -> Result<Vec<&Self>, Problem> {
        match self {
            Self::Leaf(text) if text.is_empty() => Ok(Vec::new()),
            Self::Leaf(_) => Ok(vec![self]),
            Self::Branch(children) => {
                if !children.iter().any(|(name, _)| name.parse::<u32>().is_ok()) {
                    return Ok(vec![self]);
                }
                let numbered = children.iter().map(|(name, node)| {
                    let number = name.parse::<u32>();
                    number.map(|number| (number, node)).map_err(|_| {
                        Problem::custom(format!("'{name}' is not the number of a list element"))
                    })
                });
                let mut numbered = numbered.collect::<Result<Vec<_>, _>>()?;
                numbered.sort_by_key(|(number, _)| *number);
                Ok(numbered.into_iter().map(|(_, node)| node).collect())
            }
        }
    }
}

/// A mistake in a parameter.
#[derive(Debug)]
pub(crate) struct Problem {
    parameter: Option<String>,
    reason: String,
}

impl Problem {
    fn at(mut self, name: &str) -> Self {
        self.parameter = Some(match self.parameter {
            Some(below) => format!("{name}.{below}"),
            None => name.to_owned(),
        });
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parameter) = &self.parameter {
            write!(f, "Parameter {parameter}: ")?;
        }
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Problem {}

impl serde::de::Error for Problem {
    fn custom<T: fmt::Display>(reason: T) -> Self {
        Self { parameter: None, reason: reason.to_string() }
    }
}

/// A node, read by serde.
struct Value<'de>(&'de Node<'de>);

impl<'de> Value<'de> {
    fn leaf(&self) -> Result<&'de str, Problem> {
        match self.0 {
            Node::Leaf(text) => Ok(text),
            Node::Branch(_) => Err(Problem::custom("a structure stands where a value should")),
        }
    }
}

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_borrowed_str(self.leaf()?)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let text = self.leaf()?;
        let number = text.parse().map_err(|_| Problem::custom(format!("'{text}' is no integer")));
        visitor.visit_i64(number?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_seq(Elements(self.0.elements()?.into_iter()))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_map(Entries { rest: self.0.elements()?.into_iter(), value: None })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        structure: &'static str,
        members: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_map(Members { node: self.0, structure, rest: members.iter(), value: None })
    }

    /// Also a structure may be skipped.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct tuple tuple_struct enum identifier
    }
}

struct Elements<'de>(std::vec::IntoIter<&'de Node<'de>>);

impl<'de> SeqAccess<'de> for Elements<'de> {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Problem> {
        self.0.next().map(|node| seed.deserialize(Value(node))).transpose()
    }
}

/// A map is a list of structures with a key and a value.
struct Entries<'de> {
    rest: std::vec::IntoIter<&'de Node<'de>>,
    value: Option<&'de Node<'de>>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Problem> {
        let Some(entry) = self.rest.next() else { return Ok(None) };
        let key = entry.child(key_name("")).or_else(|| entry.child(key_name("Tag")));
        let key = key.ok_or_else(|| Problem::custom("an entry has no name"))?;
        self.value =
            Some(entry.child(VALUE_NAME).ok_or_else(|| Problem::custom("an entry has no value"))?);
        seed.deserialize(Value(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        let value = self.value.take().ok_or_else(|| Problem::custom("an entry has no value"))?;
        seed.deserialize(Value(value))
    }
}

/// The members of a structure that are there; other parameters are not looked at.
struct Members<'de> {
    node: &'de Node<'de>,
    structure: &'static str,
    rest: std::slice::Iter<'static, &'static str>,
    value: Option<(&'static str, &'de Node<'de>)>,
}

impl<'de> MapAccess<'de> for Members<'de> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Problem> {
        for member in self.rest.by_ref() {
            let name = flat_name(self.structure, member);
            if let Some(node) = self.node.child(name) {
                self.value = Some((name, node));
                return seed.deserialize(BorrowedStrDeserializer::new(member)).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        let (name, node) = self.value.take().ok_or_else(|| Problem::custom("no value"))?;
        seed.deserialize(Value(node)).map_err(|problem| problem.at(name))
    }
}
