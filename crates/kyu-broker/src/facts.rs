//! What matchers look at in a message: its attributes, and the leaves of a JSON body. Here because
//! every door that publishes needs it, and the engine knows no JSON.

use std::fmt;

use kyu_engine::{Attribute, AttributeValue, BodyFacts, Document, Place, Properties, Value};
use serde_json::Value as Json;

/// Bytes of all paths in a body; each is as long as its names together, so that a short body could
/// name very many. [`TooDeep`].
const MAX_PATH_BYTES: usize = 16 << 20;

/// A body whose leaves cannot be named within bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooDeep;

impl fmt::Display for TooDeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body is too deep for a filter")
    }
}

impl std::error::Error for TooDeep {}

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
pub fn of_body(body: &str) -> Result<BodyFacts, TooDeep> {
    let Ok(Json::Object(object)) = serde_json::from_str(body) else {
        return Ok(BodyFacts::Opaque);
    };
    let mut document = Document::default();
    let mut path_bytes = 0;
    collect(&Json::Object(object), "", None, &mut document, &mut path_bytes)?;
    Ok(BodyFacts::Document(document))
}

fn collect(
    value: &Json,
    path: &str,
    place: Place,
    into: &mut Document,
    path_bytes: &mut usize,
) -> Result<(), TooDeep> {
    match value {
        Json::Object(object) => {
            for (key, below) in object {
                *path_bytes += path.len() + key.len() + 1;
                if *path_bytes > MAX_PATH_BYTES {
                    return Err(TooDeep);
                }
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                collect(below, &path, place, into, path_bytes)?;
            }
        }
        Json::Array(list) => {
            let elements = into.list(place);
            for element in list {
                let place = into.element(elements);
                collect(element, path, place, into, path_bytes)?;
            }
        }
        value => {
            if let Some(value) = leaf(value) {
                into.leaf(path, place, value);
            }
        }
    }
    Ok(())
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
        let list = expected.list(None);
        let first = expected.element(list);
        expected.leaf("a.b.c", first, Value::Number { value: 1.0, text: None });
        let second = expected.element(list);
        let inner = expected.list(second);
        let innermost = expected.element(inner);
        expected.leaf("a.b.c", innermost, Value::Text("x".into()));
        // An empty list has no leaves.
        expected.list(None);
        expected.leaf("a.e", None, Value::Null);
        assert_eq!(found, expected);
        for opaque in ["", "[1]", "\"x\"", "{"] {
            assert_eq!(of_body(opaque), Ok(BodyFacts::Opaque), "{opaque}");
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
