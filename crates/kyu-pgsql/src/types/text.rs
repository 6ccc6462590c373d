//! Text forms of values, both directions, as Postgres reads and prints them (DateStyle ISO, TimeZone
//! UTC, IntervalStyle postgres, bytea hex). `wire` uses them for text parameters and results.

use std::fmt::Write as _;

use crate::error::PgError;
use crate::types::datetime::{self, Interval};
use crate::types::decimal;
use crate::types::json;
use crate::types::names;
use crate::types::value::Value;
use crate::types::{Element, Type};

/// Reads the text form of a type. `'now'` and its kin are not known here: they mean the epoch.
///
/// # Errors
/// 22P02 `invalid input syntax for type integer: "x"`, 22003 out of range, 22007 and 22008 for times,
/// 22P05 for `\u0000` in jsonb.
pub fn input(ty: Type, text: &str) -> Result<Value, PgError> {
    input_at(ty, text, 0)
}

/// The same, with the time that `'now'` means.
pub(crate) fn input_at(ty: Type, text: &str, now: i64) -> Result<Value, PgError> {
    let invalid = || {
        let message = format!("invalid input syntax for type {}: \"{text}\"", names::display(ty));
        PgError::new("22P02", message)
    };
    Ok(match ty {
        Type::Bool => Value::Bool(boolean(text).ok_or_else(invalid)?),
        Type::Int2 | Type::Int4 | Type::Int8 => integer(ty, text)?,
        Type::Oid | Type::Regclass | Type::Regtype | Type::Regproc => {
            Value::Int(i64::from(text.trim().parse::<u32>().map_err(|_| invalid())?))
        }
        Type::Float8 => Value::Float(float(text).ok_or_else(invalid)?),
        Type::Numeric => Value::Numeric(match text.trim().to_ascii_lowercase().as_str() {
            "nan" => "NaN".to_owned(),
            "infinity" | "inf" => "Infinity".to_owned(),
            "-infinity" | "-inf" => "-Infinity".to_owned(),
            number => decimal::normalize(number)?.ok_or_else(invalid)?,
        }),
        Type::Text | Type::Varchar | Type::Unknown => Value::Text(text.to_owned()),
        Type::Name => {
            let end = (0..=63).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            Value::Text(text.get(..end.min(text.len())).unwrap_or(text).to_owned())
        }
        Type::Char => Value::Text(text.chars().take(1).collect()),
        Type::Json => {
            json::check(text)?;
            Value::Json(text.into())
        }
        Type::Jsonb => Value::Json(json::canonical(text)?.into()),
        Type::Timestamptz | Type::Timestamp => {
            Value::Timestamp(datetime::parse(text, names::display(ty), now)?)
        }
        Type::Date => Value::Timestamp(datetime::midnight(datetime::parse(text, "date", now)?)),
        Type::Interval => {
            let Interval { months, days, micros } = datetime::parse_interval(text)?;
            Value::Interval { months, days, micros }
        }
        Type::Bytea => Value::Bytea(bytes(text).ok_or_else(|| match text.strip_prefix("\\x") {
            Some(hex) => bad_hex(hex),
            None => invalid(),
        })?),
        Type::Uuid => Value::Text(uuid(text).ok_or_else(invalid)?),
        Type::Void => Value::Void,
        Type::Record | Type::Composite(_) => return row(ty, text, now),
        Type::Array(element) if element.lower_bound() == 0 => {
            let values =
                text.split_ascii_whitespace().map(|part| input_at(element.ty(), part, now));
            Value::Array(element, values.collect::<Result<_, _>>()?)
        }
        Type::Array(element) => return array(element, text, now),
    })
}

fn boolean(text: &str) -> Option<bool> {
    let text = text.trim().to_ascii_lowercase();
    let prefix = |word: &str, least: usize| text.len() >= least && word.starts_with(&text);
    if text == "1" || text == "on" || prefix("true", 1) || prefix("yes", 1) {
        Some(true)
    } else if text == "0" || prefix("off", 2) || prefix("false", 1) || prefix("no", 1) {
        Some(false)
    } else {
        None
    }
}

fn integer(ty: Type, text: &str) -> Result<Value, PgError> {
    let trimmed = text.trim();
    let name = names::display(ty);
    let digits = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PgError::new(
            "22P02",
            format!("invalid input syntax for type {name}: \"{text}\""),
        ));
    }
    let value = trimmed.parse::<i64>().ok().filter(|value| fits(ty, *value));
    let range =
        || PgError::new("22003", format!("value \"{trimmed}\" is out of range for type {name}"));
    value.map(Value::Int).ok_or_else(range)
}

/// Checks that an integer type has the value.
pub(crate) fn fits(ty: Type, value: i64) -> bool {
    match ty {
        Type::Int2 => i16::try_from(value).is_ok(),
        Type::Int4 => i32::try_from(value).is_ok(),
        Type::Oid => u32::try_from(value).is_ok(),
        _ => true,
    }
}

fn float(text: &str) -> Option<f64> {
    let text = text.trim();
    match text.to_ascii_lowercase().as_str() {
        "nan" => Some(f64::NAN),
        "infinity" | "inf" | "+infinity" => Some(f64::INFINITY),
        "-infinity" | "-inf" => Some(f64::NEG_INFINITY),
        _ => text.parse().ok(),
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    if let Some(hex) = text.strip_prefix("\\x") {
        let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let pairs = digits.chunks(2);
        return pairs
            .map(|pair| {
                std::str::from_utf8(pair)
                    .ok()
                    .filter(|p| p.len() == 2)
                    .and_then(|p| u8::from_str_radix(p, 16).ok())
            })
            .collect();
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'\\' {
            out.push(*first);
            continue;
        }
        if let Some(tail) = rest.strip_prefix(b"\\") {
            out.push(b'\\');
            rest = tail;
        } else {
            let octal = rest.get(..3).and_then(|digits| std::str::from_utf8(digits).ok())?;
            out.push(u8::from_str_radix(octal, 8).ok()?);
            rest = rest.get(3..)?;
        }
    }
    Some(out)
}

fn bad_hex(hex: &str) -> PgError {
    let message = match hex.chars().find(|c| !c.is_ascii_hexdigit() && !c.is_ascii_whitespace()) {
        Some(digit) => format!("invalid hexadecimal digit: \"{digit}\""),
        None => "invalid hexadecimal data: odd number of digits".to_owned(),
    };
    PgError::new("22023", message)
}

fn uuid(text: &str) -> Option<String> {
    let text = text.trim();
    let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
    let digits: String =
        inner.chars().filter(|c| *c != '-').collect::<String>().to_ascii_lowercase();
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let part = |from, to| digits.get(from..to).unwrap_or("");
    Some(format!(
        "{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    ))
}

/// `{a,"b c",NULL}`.
fn array(element: Element, text: &str, now: i64) -> Result<Value, PgError> {
    let malformed = |detail: &str| {
        let error = PgError::new("22P02", format!("malformed array literal: \"{text}\""));
        PgError { detail: Some(detail.to_owned()), ..error }
    };
    let trimmed = text.trim();
    let Some(inner) = trimmed.strip_prefix('{') else {
        return Err(malformed("Array value must start with \"{\" or dimension information."));
    };
    let Some(inner) = inner.strip_suffix('}') else {
        return Err(malformed("Unexpected end of input."));
    };
    if inner.trim().is_empty() {
        return Ok(Value::Array(element, Vec::new()));
    }
    let parts = split(inner, false).ok_or_else(|| malformed("Unexpected array element."))?;
    let mut values = Vec::with_capacity(parts.len());
    for (part, quoted) in parts {
        let value = if !quoted && part.eq_ignore_ascii_case("null") {
            Value::Null
        } else if !quoted && (part.is_empty() || part.starts_with('{')) {
            return Err(if part.is_empty() {
                malformed("Unexpected \",\" character.")
            } else {
                PgError::new("0A000", "arrays of more than one dimension are not supported")
            });
        } else {
            input_at(element.ty(), &part, now)?
        };
        values.push(value);
    }
    Ok(Value::Array(element, values))
}

/// `(1,"a b",)`.
fn row(ty: Type, text: &str, now: i64) -> Result<Value, PgError> {
    let Type::Composite(composite) = ty else {
        return Err(PgError::new("0A000", "input of anonymous composite types is not implemented"));
    };
    let malformed = || PgError::new("22P02", format!("malformed record literal: \"{text}\""));
    let inner =
        text.trim().strip_prefix('(').and_then(|t| t.strip_suffix(')')).ok_or_else(malformed)?;
    let parts = split(inner, true).ok_or_else(malformed)?;
    if parts.len() != composite.columns().len() {
        return Err(malformed());
    }
    let mut values = Vec::new();
    for ((part, quoted), (_, ty)) in parts.into_iter().zip(composite.columns()) {
        values.push(if part.is_empty() && !quoted {
            Value::Null
        } else {
            input_at(*ty, &part, now)?
        });
    }
    Ok(Value::Row(ty, values))
}

/// Splits at commas outside quotes; says for each part whether it was quoted.
fn split(text: &str, row: bool) -> Option<Vec<(String, bool)>> {
    let mut parts = Vec::new();
    let mut characters = text.chars().peekable();
    loop {
        let (mut part, mut quoted) = (String::new(), false);
        let mut inside = false;
        loop {
            match characters.next() {
                Some('\\') => part.push(characters.next()?),
                Some('"') if inside && row && characters.peek() == Some(&'"') => {
                    characters.next();
                    part.push('"');
                }
                Some('"') => {
                    inside = !inside;
                    quoted = true;
                }
                Some(',') if !inside => {
                    parts.push((trimmed(part, quoted, row), quoted));
                    break;
                }
                Some(other) => part.push(other),
                None if inside => return None,
                None => {
                    parts.push((trimmed(part, quoted, row), quoted));
                    return Some(parts);
                }
            }
        }
    }
}

fn trimmed(part: String, quoted: bool, row: bool) -> String {
    if quoted || row { part } else { part.trim().to_owned() }
}

/// Appends the text form of a value; nothing for NULL (which has no text).
pub fn output(ty: Type, value: &Value, into: &mut String) {
    match value {
        Value::Null | Value::Void => {}
        Value::Bool(value) => into.push(if *value { 't' } else { 'f' }),
        Value::Int(value) => {
            let _ = write!(into, "{value}");
        }
        Value::Float(value) => into.push_str(&float_text(*value)),
        Value::Numeric(text) | Value::Text(text) => into.push_str(text),
        Value::Json(text) => into.push_str(text),
        Value::Timestamp(time) => {
            if ty == Type::Date {
                let infinite = *time == datetime::INFINITY || *time == datetime::NEGATIVE_INFINITY;
                let date = if infinite {
                    datetime::to_text(*time)
                } else {
                    datetime::date_text(datetime::Civil::of(*time))
                };
                into.push_str(&date);
            } else {
                let text = datetime::to_text(*time);
                into.push_str(&text);
                if ty == Type::Timestamptz && !text.ends_with('y') {
                    into.push_str("+00");
                }
            }
        }
        Value::Interval { months, days, micros } => {
            let interval = Interval { months: *months, days: *days, micros: *micros };
            into.push_str(&datetime::interval_text(interval));
        }
        Value::Bytea(bytes) => {
            into.push_str("\\x");
            for byte in bytes {
                let _ = write!(into, "{byte:02x}");
            }
        }
        Value::Array(element, values) => output_array(*element, values, into),
        Value::Row(ty, values) => output_row(*ty, values, into),
    }
}

/// The shortest text that reads back the same, as Postgres since 12.
fn float_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-5..1e15).contains(&size) {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    format!("{value}")
}

fn output_array(element: Element, values: &[Value], into: &mut String) {
    if element.lower_bound() == 0 {
        for (i, value) in values.iter().enumerate() {
            into.push_str(if i > 0 { " " } else { "" });
            output(element.ty(), value, into);
        }
        return;
    }
    into.push('{');
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            into.push(',');
        }
        if *value == Value::Null {
            into.push_str("NULL");
            continue;
        }
        let mut text = String::new();
        output(element.ty(), value, &mut text);
        let plain = !text.is_empty()
            && !text.eq_ignore_ascii_case("null")
            && !text.contains(|c: char| {
                matches!(c, '{' | '}' | ',' | '"' | '\\') || c.is_ascii_whitespace()
            });
        if plain { into.push_str(&text) } else { quote(&text, "\\", into) }
    }
    into.push('}');
}

fn output_row(ty: Type, values: &[Value], into: &mut String) {
    let columns = match ty {
        Type::Composite(composite) => composite.columns(),
        _ => &[],
    };
    into.push('(');
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            into.push(',');
        }
        if *value == Value::Null {
            continue;
        }
        let ty = columns.get(i).map_or_else(|| guess(value), |(_, ty)| *ty);
        let mut text = String::new();
        output(ty, value, &mut text);
        let plain = !text.is_empty()
            && !text.contains(|c: char| {
                matches!(c, '(' | ')' | ',' | '"' | '\\') || c.is_ascii_whitespace()
            });
        if plain { into.push_str(&text) } else { quote(&text, "", into) }
    }
    into.push(')');
}

/// In quotes: arrays escape with a backslash, rows by doubling.
fn quote(text: &str, escape: &str, into: &mut String) {
    into.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            if escape.is_empty() { into.push(character) } else { into.push_str(escape) }
        }
        into.push(character);
    }
    into.push('"');
}

/// The type of a value that stands in an anonymous row.
pub fn guess(value: &Value) -> Type {
    match value {
        Value::Null | Value::Text(_) => Type::Text,
        Value::Bool(_) => Type::Bool,
        Value::Int(_) => Type::Int8,
        Value::Float(_) => Type::Float8,
        Value::Numeric(_) => Type::Numeric,
        Value::Json(_) => Type::Jsonb,
        Value::Timestamp(_) => Type::Timestamptz,
        Value::Interval { .. } => Type::Interval,
        Value::Bytea(_) => Type::Bytea,
        Value::Array(element, _) => Type::Array(*element),
        Value::Row(ty, _) => *ty,
        Value::Void => Type::Void,
    }
}

/// The text of a value.
pub fn to_string(ty: Type, value: &Value) -> String {
    let mut text = String::new();
    output(ty, value, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Composite;

    #[test]
    fn texts_go_in_and_come_out_as_postgres_prints_them() {
        let message = Type::Composite(Composite::MessageRecord);
        for (ty, text, expected) in [
            (Type::Bool, " yes ", "t"),
            (Type::Int8, "-9223372036854775808", "-9223372036854775808"),
            (Type::Float8, "1e20", "1e+20"),
            (Type::Float8, "0.1", "0.1"),
            (Type::Numeric, "1.50", "1.50"),
            (Type::Jsonb, "{\"b\":1,\"a\":[]}", "{\"a\": [], \"b\": 1}"),
            (Type::Json, "{\"b\":1}", "{\"b\":1}"),
            (Type::Timestamptz, "2024-01-02T03:04:05+01", "2024-01-02 02:04:05+00"),
            (Type::Array(Element::Int8), "{1, 2,NULL}", "{1,2,NULL}"),
            (Type::Array(Element::Text), r#"{a,"b c","d\"e",""}"#, r#"{a,"b c","d\"e",""}"#),
            (Type::Array(Element::Jsonb), r#"{"{\"a\": 1}"}"#, r#"{"{\"a\": 1}"}"#),
            (Type::Bytea, "\\x00ff", "\\x00ff"),
            (
                Type::Uuid,
                "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
                "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            ),
            (
                message,
                r#"(1,1,"2024-01-01 00:00:00+00",,"2024-01-01 00:00:30+00","{""a"": 1}",)"#,
                r#"(1,1,"2024-01-01 00:00:00+00",,"2024-01-01 00:00:30+00","{""a"": 1}",)"#,
            ),
        ] {
            assert_eq!(to_string(ty, &input(ty, text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn texts_of_no_value_are_refused_with_the_code_of_postgres() {
        for (ty, text, code, message) in [
            (Type::Int4, "x", "22P02", "invalid input syntax for type integer: \"x\""),
            (
                Type::Int4,
                "3000000000",
                "22003",
                "value \"3000000000\" is out of range for type integer",
            ),
            (Type::Bool, "2", "22P02", "invalid input syntax for type boolean: \"2\""),
            (Type::Array(Element::Int8), "8", "22P02", "malformed array literal: \"8\""),
            (Type::Jsonb, "{", "22P02", "invalid input syntax for type json"),
            (
                Type::Timestamptz,
                "soon",
                "22007",
                "invalid input syntax for type timestamp with time zone: \"soon\"",
            ),
        ] {
            let error = input(ty, text).unwrap_err();
            assert_eq!((error.code, error.message.as_str()), (code, message));
        }
    }
}
