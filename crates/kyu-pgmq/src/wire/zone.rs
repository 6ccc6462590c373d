//! The session's time zone: `timestamptz` values are instants, and written in it.

use crate::sql::zones;
use crate::types::{Element, Type};
use crate::value::Value;

/// A time zone, as far as it is known here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Zone {
    /// UTC, and every named zone: an instant with `+00` behind it is the right one in all of them.
    #[default]
    Utc,
    /// Seconds east of Greenwich.
    Fixed(i32),
}

/// Farthest offset that Postgres takes.
const MAX_OFFSET_S: i32 = 168 * 3_600;

impl Zone {
    /// Reads the value of `SET TIME ZONE`; `None` for what cannot be a zone.
    ///
    /// Numbers are hours east (`5.5`); offsets behind letters or a sign in a text are POSIX, where
    /// positive is west; `INTERVAL '+02:00'` has come as its text in angle brackets from others.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(hours) = text.parse::<f64>() {
            let seconds = (hours * 3_600.0) as i32;
            return (hours.is_finite() && seconds.abs() <= MAX_OFFSET_S).then(|| Self::of(seconds));
        }
        if let Some(rest) = text.strip_prefix('<') {
            let (_, offset) = rest.split_once('>')?;
            return offset_s(offset).map(|seconds| Self::of(-seconds));
        }
        if text.starts_with(['+', '-']) && text.contains(':') {
            // `SET TIME ZONE INTERVAL '+02:00' HOUR TO MINUTE`: east.
            return offset_s(text).map(Self::of);
        }
        let letters = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (name, rest) = text.split_at(letters);
        if name.len() >= 3 && rest.starts_with(['+', '-']) && !text.contains('/') {
            return offset_s(rest).map(|seconds| Self::of(-seconds));
        }
        let known = matches!(
            text.to_ascii_lowercase().as_str(),
            "utc" | "z" | "zulu" | "local" | "default"
        );
        (known || zones::named(text).is_some()).then_some(Self::Utc)
    }

    fn of(seconds: i32) -> Self {
        if seconds == 0 { Self::Utc } else { Self::Fixed(seconds) }
    }

    /// Appends the text form of a value. `plain` writes it as in UTC.
    pub(super) fn output(
        &self,
        ty: Type,
        value: &Value,
        into: &mut String,
        plain: fn(Type, &Value, &mut String),
    ) {
        let Self::Fixed(seconds) = *self else { return plain(ty, value, into) };
        match (ty, value) {
            (Type::Timestamptz, Value::Timestamp(micros)) if !is_infinite(*micros) => {
                let local = Value::Timestamp(micros + i64::from(seconds) * 1_000_000);
                plain(Type::Timestamp, &local, into);
                push_offset(into, seconds);
            }
            (_, Value::Array(Element::Timestamptz, values)) => {
                self.list(into, ('{', '}'), values, "NULL", plain);
            }
            (_, Value::Row(_, values)) => self.list(into, ('(', ')'), values, "", plain),
            _ => plain(ty, value, into),
        }
    }

    /// An array's or a row's text, in which instants stand quoted, for they contain a space.
    fn list(
        &self,
        into: &mut String,
        (open, close): (char, char),
        values: &[Value],
        null: &str,
        plain: fn(Type, &Value, &mut String),
    ) {
        into.push(open);
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                into.push(',');
            }
            match value {
                Value::Null => into.push_str(null),
                Value::Timestamp(_) => {
                    into.push('"');
                    self.output(Type::Timestamptz, value, into, plain);
                    into.push('"');
                }
                value => {
                    // As the only field of a row: quoting is the writer's business.
                    let mut field = String::new();
                    plain(Type::Record, &Value::Row(Type::Record, vec![value.clone()]), &mut field);
                    into.push_str(
                        field
                            .strip_prefix('(')
                            .and_then(|f| f.strip_suffix(')'))
                            .unwrap_or_default(),
                    );
                }
            }
        }
        into.push(close);
    }
}

fn is_infinite(micros: i64) -> bool {
    micros == i64::MAX || micros == i64::MIN
}

/// `+02`, `+05:30`, `-00:00:01`.
fn push_offset(into: &mut String, seconds: i32) {
    use std::fmt::Write;
    let (sign, s) = if seconds < 0 { ('-', -seconds) } else { ('+', seconds) };
    // Writing to a string does not fail.
    let _ = write!(into, "{sign}{:02}", s / 3_600);
    if s % 3_600 != 0 {
        let _ = write!(into, ":{:02}", s / 60 % 60);
    }
    if s % 60 != 0 {
        let _ = write!(into, ":{:02}", s % 60);
    }
}

/// `+02`, `-5:30`, `+05:30:15` in seconds.
fn offset_s(text: &str) -> Option<i32> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut parts = digits.split(':');
    let hours: i32 = parts.next()?.parse().ok().filter(|hours| (0..=167).contains(hours))?;
    let mut sixtieth = || match parts.next() {
        None => Some(0),
        Some(part) => part.parse::<i32>().ok().filter(|part| (0..60).contains(part)),
    };
    let (minutes, seconds) = (sixtieth()?, sixtieth()?);
    parts.next().is_none().then_some(sign * (hours * 3_600 + minutes * 60 + seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_by_name_number_and_offset() {
        for (text, expected) in [
            ("UTC", Some(Zone::Utc)),
            ("Europe/Berlin", Some(Zone::Utc)),
            ("Etc/GMT+5", Some(Zone::Utc)),
            ("5.5", Some(Zone::Fixed(19_800))),
            ("-7", Some(Zone::Fixed(-25_200))),
            ("<+02>-02", Some(Zone::Fixed(7_200))),
            ("UTC-2", Some(Zone::Fixed(7_200))),
            ("GMT+05:30", Some(Zone::Fixed(-19_800))),
            ("+02:00", Some(Zone::Fixed(7_200))),
            ("", None),
            ("no such zone", None),
            ("Mars/Base", None),
            ("999", None),
        ] {
            assert_eq!(Zone::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn instants_are_written_in_the_zone_wherever_they_stand() {
        let plain = |ty: Type, value: &Value, into: &mut String| match value {
            Value::Timestamp(micros) => {
                into.push_str(&format!(
                    "{}{micros}",
                    if ty == Type::Timestamp { "at " } else { "" }
                ));
            }
            value => into.push_str(&format!("({value:?})")),
        };
        let written = |ty, value| {
            let mut text = String::new();
            Zone::Fixed(19_800).output(ty, &value, &mut text, plain);
            text
        };
        assert_eq!(written(Type::Timestamptz, Value::Timestamp(0)), "at 19800000000+05:30");
        assert_eq!(written(Type::Timestamp, Value::Timestamp(0)), "at 0");
        let array = Value::Array(Element::Timestamptz, vec![Value::Timestamp(0), Value::Null]);
        let expected = "{\"at 19800000000+05:30\",NULL}";
        assert_eq!(written(Type::Array(Element::Timestamptz), array), expected);
    }
}
