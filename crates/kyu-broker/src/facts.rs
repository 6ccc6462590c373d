//! The facts of a message that matchers look at: its attributes, and the leaves of a JSON body. They
//! are made here because every door that publishes needs them, and the engine knows no JSON.

use std::fmt;

use kyu_engine::{Attribute, AttributeValue, BodyFacts, Document, Place, Properties, Value};
use serde_json::Value as Json;

/// Bytes of all paths in a body; each is as long as its names together, so that a short body could
/// name very many. [`Unreadable::TooDeep`].
const MAX_PATH_BYTES: usize = 16 << 20;

/// The reason why a body cannot be filtered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The names of its leaves exceed the bound.
    TooDeep,
    /// Two lists in one object have the same path, because a name has a dot in it. Which of them
    /// has what a filter wants would have to be guessed.
    SamePath,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooDeep => "the body is too deep for a filter",
            Self::SamePath => "two lists of the body have the same path for a filter",
        })
    }
}

impl std::error::Error for Unreadable {}

/// The attributes. Binary ones cannot be filtered (SNS developer guide, "Message filtering").
pub fn of_attributes(attributes: &[Attribute]) -> Properties {
    let readable = attributes.iter().filter_map(|attribute| match &attribute.value {
        AttributeValue::Text(text) => Some((attribute, text)),
        AttributeValue::Binary(_) => None,
    });
    readable.map(|(attribute, text)| (attribute.name.clone(), values(attribute, text))).collect()
}

fn values(attribute: &Attribute, text: &str) -> Vec<Value> {
    if attribute.data_type == "String.Array" {
        let list: Result<Vec<Json>, _> = serde_json::from_str(text);
        return list.unwrap_or_default().iter().filter_map(leaf).collect();
    }
    let is_number = attribute.data_type.split('.').next() == Some("Number");
    match text.parse().ok().filter(|_| is_number) {
        Some(value) => vec![Value::Number { value, text: Some(text.to_owned()) }],
        None => vec![Value::Text(text.to_owned())],
    }
}

/// The leaves of a body that is a JSON object, by the names that lead to them; a list's elements
/// all have the list's name. A name with a dot in it and two names count as the same (recorded).
pub fn of_body(body: &str) -> Result<BodyFacts, Unreadable> {
    let Ok(Json::Object(object)) = serde_json::from_str(body) else {
        return Ok(BodyFacts::Opaque);
    };
    let mut reader = Reader::default();
    reader.object(&object, None, None)?;
    if reader.has_dotted_names && have_same_path(&mut reader.lists) {
        return Err(Unreadable::SamePath);
    }
    Ok(BodyFacts::Document(reader.document))
}

/// A body that is being read. The depth of calls is that of the JSON, which its parser bounds.
#[derive(Default)]
struct Reader {
    document: Document,
    path_bytes: usize,
    has_dotted_names: bool,
    /// The paths of the lists that are not elements of another list.
    lists: Vec<(Place, String)>,
}

impl Reader {
    fn object(
        &mut self,
        object: &serde_json::Map<String, Json>,
        path: Option<&str>,
        place: Place,
    ) -> Result<(), Unreadable> {
        for (name, below) in object {
            self.path_bytes += path.map_or(0, str::len) + name.len() + 1;
            if self.path_bytes > MAX_PATH_BYTES {
                return Err(Unreadable::TooDeep);
            }
            self.has_dotted_names |= name.contains('.');
            let below_path = path.map(|path| format!("{path}.{name}"));
            let below_path = below_path.as_deref().unwrap_or(name);
            if below.is_array() {
                self.lists.push((place, below_path.to_owned()));
            }
            self.value(below, below_path, place)?;
        }
        Ok(())
    }

    fn value(&mut self, value: &Json, path: &str, place: Place) -> Result<(), Unreadable> {
        match value {
            Json::Object(object) => return self.object(object, Some(path), place),
            Json::Array(values) => {
                let list = self.document.list(place, path);
                for value in values {
                    // Values of other types have the place of the list.
                    let is_element = matches!(value, Json::Object(_) | Json::Array(_));
                    let place = if is_element { self.document.element(list) } else { place };
                    self.value(value, path, place)?;
                }
            }
            value => {
                if let Some(value) = leaf(value) {
                    self.document.leaf(path, place, value);
                }
            }
        }
        Ok(())
    }
}

/// Returns true if two lists in the same place have the same path, or the path of one begins with that
/// of the other.
fn have_same_path(lists: &mut [(Place, String)]) -> bool {
    // Sorted by names, a path comes right before the paths that begin with it.
    lists.sort_by(|(place, path), (other_place, other)| {
        place.cmp(other_place).then_with(|| path.split('.').cmp(other.split('.')))
    });
    lists.windows(2).any(|two| match two {
        [(place, path), (other_place, other)] => {
            let leads_on = |rest: &str| rest.is_empty() || rest.starts_with('.');
            place == other_place && other.strip_prefix(path.as_str()).is_some_and(leads_on)
        }
        _ => false,
    })
}

fn leaf(value: &Json) -> Option<Value> {
    match value {
        Json::Null => Some(Value::Null),
        Json::Bool(flag) => Some(Value::Bool(*flag)),
        Json::Number(number) => number.as_f64().map(|value| Value::Number { value, text: None }),
        Json::String(text) => Some(Value::Text(text.clone())),
        Json::Array(_) | Json::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_by_path() {
        let body = r#"{"a":{"b":[{"c":1},[{"c":"x"}]],"d":[]},"a.e":null}"#;
        let BodyFacts::Document(found) = of_body(body).unwrap() else { panic!() };
        let mut expected = Document::default();
        let list = expected.list(None, "a.b");
        let first = expected.element(list);
        expected.leaf("a.b.c", first, Value::Number { value: 1.0, text: None });
        let second = expected.element(list);
        let inner = expected.list(second, "a.b");
        let innermost = expected.element(inner);
        expected.leaf("a.b.c", innermost, Value::Text("x".into()));
        // An empty list has no leaves.
        expected.list(None, "a.d");
        expected.leaf("a.e", None, Value::Null);
        assert_eq!(found, expected);
        for opaque in ["", "[1]", "\"x\"", "{"] {
            assert_eq!(of_body(opaque), Ok(BodyFacts::Opaque), "{opaque}");
        }
    }

    #[test]
    fn values_of_a_list_stand_around_it_and_lists_of_one_path_are_refused() {
        let BodyFacts::Document(found) = of_body(r#"{"t":["x",{"n":null}],"":{"k":1}}"#).unwrap()
        else {
            panic!()
        };
        let mut expected = Document::default();
        expected.leaf(".k", None, Value::Number { value: 1.0, text: None });
        let list = expected.list(None, "t");
        expected.leaf("t", None, Value::Text("x".into()));
        let element = expected.element(list);
        expected.leaf("t.n", element, Value::Null);
        assert_eq!(found, expected);
        for (body, is_clear) in [
            (r#"{"a":{"b":[{"c":1}]},"a.b":[{"c":2}]}"#, false),
            (r#"{"a":[{"b":[1]}],"a.b":[2],"a-b":[]}"#, false),
            (r#"{"a":{"b":[{"c":1}]},"a.b":{"c":2},"a.bc":[]}"#, true),
            (r#"{"l":[{"a.b":[1]},{"a":{"b":[1]}}]}"#, true),
            (r#"{"l":[[1],[2]],"a.b":1}"#, true),
        ] {
            assert_eq!(of_body(body).is_ok(), is_clear, "{body}");
        }
    }

    #[test]
    fn a_short_body_cannot_name_paths_without_end() {
        let deep = format!("{{\"{}\":{{{}}}}}", "k".repeat(100_000), {
            let leaves: Vec<_> = (0..1_000).map(|at| format!("\"{at}\":0")).collect();
            leaves.join(",")
        });
        assert!(of_body(&deep).is_err());
    }
}
