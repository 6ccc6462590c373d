//! Values as bytes that are equal if and only if the values are: for sets, groups and joins.

use crate::types::datetime::{self, Interval};
use crate::types::json::{self, Json};
use crate::types::value::Value;

/// The key of a row. Two NULLs are equal, as in GROUP BY, DISTINCT, UNION and INTERSECT.
pub(crate) fn of(values: &[Value]) -> Vec<u8> {
    let mut key = Vec::with_capacity(values.len() * 9);
    for value in values {
        write(value, &mut key);
    }
    key
}

/// The key of a join, where NULL equals nothing: None.
pub(crate) fn of_join(values: &[Value]) -> Option<Vec<u8>> {
    if values.contains(&Value::Null) { None } else { Some(of(values)) }
}

/// Each value begins with a tag and ends by itself, so that rows of values cannot be mixed up.
fn write(value: &Value, key: &mut Vec<u8>) {
    match value {
        Value::Null => key.push(0),
        Value::Bool(flag) => key.extend([1, u8::from(*flag)]),
        Value::Int(number) => fixed(2, *number, key),
        Value::Timestamp(time) => fixed(3, *time, key),
        Value::Float(number) => {
            // -0 equals 0, and NaN equals itself.
            let number = if number.is_nan() { f64::NAN } else { number + 0.0 };
            key.push(4);
            key.extend(number.to_bits().to_be_bytes());
        }
        Value::Numeric(number) => bytes(5, plain(number).as_bytes(), key),
        Value::Text(text) => bytes(6, text.as_bytes(), key),
        Value::Json(text) => document(text, key),
        Value::Interval { months, days, micros } => {
            let interval = Interval { months: *months, days: *days, micros: *micros };
            key.push(8);
            key.extend(datetime::interval_size(interval).to_be_bytes());
        }
        Value::Bytea(value) => bytes(9, value, key),
        Value::Array(_, values) | Value::Row(_, values) => {
            fixed(10, i64::try_from(values.len()).unwrap_or(i64::MAX), key);
            for value in values {
                write(value, key);
            }
        }
        Value::Void => key.push(11),
    }
}

fn fixed(tag: u8, number: i64, key: &mut Vec<u8>) {
    key.push(tag);
    key.extend(number.to_be_bytes());
}

fn bytes(tag: u8, bytes: &[u8], key: &mut Vec<u8>) {
    fixed(tag, i64::try_from(bytes.len()).unwrap_or(i64::MAX), key);
    key.extend_from_slice(bytes);
}

/// A number without the zeros that do not count: 1.0 and 1 are equal.
fn plain(number: &str) -> &str {
    let trimmed = if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number
    };
    if trimmed == "-0" { "0" } else { trimmed }
}

/// `jsonb` has one text for each value, but for zeros behind the point of a number.
fn document(text: &str, key: &mut Vec<u8>) {
    match text.contains('.').then(|| json::parse(text)) {
        Some(Ok(mut tree)) => {
            trim(&mut tree);
            bytes(7, tree.to_string().as_bytes(), key);
        }
        None | Some(Err(_)) => bytes(7, text.as_bytes(), key),
    }
}

fn trim(tree: &mut Json) {
    match tree {
        Json::Number(number) => *number = plain(number).to_owned(),
        Json::Array(values) => values.iter_mut().for_each(trim),
        Json::Object(pairs) => pairs.iter_mut().for_each(|(_, value)| trim(value)),
        Json::Null | Json::Bool(_) | Json::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Element;
    use crate::types::cast::compare;

    fn json(text: &str) -> Value {
        Value::Json(text.into())
    }

    #[test]
    fn keys_are_equal_if_and_only_if_the_values_are() {
        let numeric = |text: &str| Value::Numeric(text.to_owned());
        let text = |text: &str| Value::Text(text.to_owned());
        let months = |months, days| Value::Interval { months, days, micros: 0 };
        let kinds = [
            vec![numeric("1"), numeric("1.0"), numeric("1.50"), numeric("1.5"), numeric("10")],
            vec![numeric("0"), numeric("-0"), numeric("0.00")],
            vec![Value::Float(0.0), Value::Float(-0.0), Value::Float(f64::NAN), Value::Float(1.5)],
            vec![text(""), text("a"), text("a\0"), text("ab")],
            vec![months(1, 0), months(0, 30), months(0, 31)],
            vec![json("1"), json("1.0"), json("[1.50]"), json("[1.5]"), json("\"1.0\"")],
            vec![json("{\"a\": 1.0}"), json("{\"a\": 1.00}"), json("{\"b\": 1.0}")],
            vec![
                Value::Array(Element::Text, vec![text("a"), text("b")]),
                Value::Array(Element::Text, vec![text("ab")]),
                Value::Array(Element::Text, vec![text("a"), Value::Null]),
            ],
        ];
        for values in kinds {
            for a in &values {
                for b in &values {
                    let same = of(std::slice::from_ref(a)) == of(std::slice::from_ref(b));
                    assert_eq!(same, compare(a, b).is_eq(), "{a:?} and {b:?}");
                }
            }
        }
    }

    #[test]
    fn null_equals_itself_in_a_set_and_nothing_in_a_join() {
        assert_eq!(of(&[Value::Null]), of(&[Value::Null]));
        assert_ne!(of(&[Value::Null]), of(&[Value::Text(String::new())]));
        assert_eq!(of_join(&[Value::Int(1), Value::Null]), None);
        assert!(of_join(&[Value::Int(1)]).is_some());
    }
}
