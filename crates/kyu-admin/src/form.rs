//! Bodies of requests: JSON into types, and what is wrong with one in words, with the place of it
//! (a JSON pointer, RFC 6901).

use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};

use crate::content::escaped;
use crate::problem::{Code, Problem};

/// Reads a body. The place of a mistake is looked for in a second reading only: keeping it slows
/// down the first.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        let mut json = serde_json::Deserializer::from_slice(body);
        let again: Result<T, _> = serde_path_to_error::deserialize(&mut json);
        match again {
            Err(placed) => malformed(placed.inner(), pointer(placed.path())),
            // Something stands behind the end of the document.
            Ok(_) => malformed(&error, None),
        }
    })
}

/// Makes a type of JSON that is parsed already.
pub(crate) fn of_value<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value)
        .map_err(|placed| malformed(placed.inner(), pointer(placed.path())))
}

fn malformed(error: &serde_json::Error, pointer: Option<String>) -> Problem {
    let text = error.to_string();
    match error.classify() {
        Category::Data => {
            let position = format!(" at line {} column {}", error.line(), error.column());
            let detail = in_words(text.strip_suffix(&position).unwrap_or(&text));
            Problem { pointer, ..Problem::new(Code::MalformedRequest, detail) }
        }
        Category::Syntax | Category::Eof | Category::Io => {
            Problem::new(Code::MalformedRequest, format!("The body is not JSON: {text}."))
        }
    }
}

/// The place as a JSON pointer; `None` for the whole document.
fn pointer(path: &Path) -> Option<String> {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Map { key } => {
                pointer.push('/');
                pointer.push_str(&escaped(key));
            }
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            // Which of several forms is meant is no place in the document.
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    (!pointer.is_empty()).then_some(pointer)
}

/// The words of serde for people who do not know our types.
fn in_words(text: &str) -> String {
    for kind in ["invalid type: ", "invalid value: ", "invalid length: "] {
        if let Some((found, wanted)) =
            text.strip_prefix(kind).and_then(|rest| rest.split_once(", expected "))
        {
            return format!(
                "Here is {}; {} is expected.",
                found_in_words(found),
                wanted_in_words(wanted)
            );
        }
    }
    let name_and_rest = |prefix: &str| text.strip_prefix(prefix)?.split_once('`');
    if let Some((name, _)) = name_and_rest("missing field `") {
        return format!("The field {name:?} is missing.");
    }
    if let Some((name, _)) = name_and_rest("duplicate field `") {
        return format!("The field {name:?} is there twice.");
    }
    if let Some((name, known)) = name_and_rest("unknown field `") {
        let known = listed(known);
        return match known.as_str() {
            "" => format!("There is no field {name:?}: none is taken here."),
            known => format!("There is no field {name:?}; there are {known}."),
        };
    }
    if let Some((name, known)) = name_and_rest("unknown variant `") {
        return format!("{name:?} is none of {}.", listed(known));
    }
    if text.starts_with("data did not match any variant of untagged enum") {
        return "This has none of the forms that are taken here.".to_owned();
    }
    let mut sentence = text.to_owned();
    if !sentence.ends_with('.') {
        sentence.push('.');
    }
    sentence
}

/// The names between backticks.
fn listed(text: &str) -> String {
    let names: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
    names.join(", ")
}

fn found_in_words(found: &str) -> String {
    let (kind, value) = found.split_once(' ').unwrap_or((found, ""));
    let value = value.trim_matches('`');
    match kind {
        "string" => format!("the string {value}"),
        "integer" => format!("the number {value}"),
        "floating" => format!("the number {}", value.trim_start_matches("point `")),
        "boolean" => value.to_owned(),
        "null" => "null".to_owned(),
        "map" => "an object".to_owned(),
        "sequence" => "an array".to_owned(),
        _ => found.to_owned(),
    }
}

fn wanted_in_words(wanted: &str) -> String {
    let whole = |bits: u32| format!("a whole number from 0 to {}", u64::MAX >> (64 - bits));
    match wanted {
        "u8" => whole(8),
        "u16" => whole(16),
        "u32" => whole(32),
        "u64" | "usize" => whole(64),
        "i64" | "i32" => "a whole number".to_owned(),
        "a map" => "an object".to_owned(),
        "a sequence" => "an array".to_owned(),
        "a borrowed string" | "variant identifier" | "string or map" => "a string".to_owned(),
        "a boolean" | "a string" => wanted.to_owned(),
        _ if wanted.contains("struct ") || wanted.contains("tagged enum ") => {
            "an object".to_owned()
        }
        _ if wanted.contains("enum ") => "one of its names".to_owned(),
        _ => wanted.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::api;

    fn said<T: DeserializeOwned>(body: &str) -> (String, String) {
        let problem = read::<T>(body.as_bytes()).err().unwrap();
        assert_eq!(problem.code, Code::MalformedRequest);
        (problem.pointer.unwrap_or_default(), problem.detail.into_owned())
    }

    #[test]
    fn what_is_wrong_is_said_in_plain_words_with_its_place() {
        for (body, pointer, detail) in [
            (
                r#"{"delay_ms":"5m"}"#,
                "/delay_ms",
                "Here is the string \"5m\"; a whole number from 0 to 18446744073709551615 is expected.",
            ),
            (
                r#"{"priority":256}"#,
                "/priority",
                "Here is the number 256; a whole number from 0 to 255 is expected.",
            ),
            (
                r#"{"priority":-1.5}"#,
                "/priority",
                "Here is the number -1.5; a whole number from 0 to 255 is expected.",
            ),
            (r#"{"body":{}}"#, "/body", "Here is an object; a string is expected."),
            (r#"{"unique":{}}"#, "/unique", "The field \"key\" is missing."),
            (
                r#"{"unique":{"key":"k","policy":"keeep"}}"#,
                "/unique/policy",
                "\"keeep\" is none of keep, replace.",
            ),
            (r#"{"lane":"a","lane":"b"}"#, "", "The field \"lane\" is there twice."),
            (
                r#"{"attributes":{"a/b~":7}}"#,
                "/attributes/a~1b~0",
                "This has none of the forms that are taken here.",
            ),
        ] {
            let expected = (pointer.to_owned(), detail.to_owned());
            assert_eq!(said::<api::NewMessage>(body), expected, "{body}");
        }
        let (pointer, detail) = said::<api::SendBatch>(r#"{"messages":[{},{"bdy":"x"}]}"#);
        assert_eq!(pointer, "/messages/1/bdy");
        assert!(
            detail.starts_with("There is no field \"bdy\"; there are body, body_base64"),
            "{detail}"
        );
    }

    #[test]
    fn what_is_no_json_says_where() {
        let (pointer, detail) = said::<Value>("{\n  \"a\": }");
        assert_eq!(
            (pointer.as_str(), detail.as_str()),
            ("", "The body is not JSON: expected value at line 2 column 8.")
        );
        let (_, detail) = said::<api::NewMessage>("{} x");
        assert_eq!(detail, "The body is not JSON: trailing characters at line 1 column 4.");
    }
}
