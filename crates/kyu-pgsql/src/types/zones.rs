//! Named time zones (`Europe/Berlin`), by the rules that are compiled in. Times are microseconds since 2000.

use std::sync::OnceLock;

use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

use crate::types::datetime::{self, INFINITY, NEGATIVE_INFINITY};
use crate::types::value::Value;
use crate::types::{Element, Type};

/// From 1970 to 2000.
const EPOCH_S: i64 = 946_684_800;
const MICROS: i64 = 1_000_000;

/// The zone of a name, in any case; None if there is none.
pub(crate) fn named(name: &str) -> Option<TimeZone> {
    static ZONES: OnceLock<TimeZoneDatabase> = OnceLock::new();
    ZONES.get_or_init(TimeZoneDatabase::bundled).get(name).ok()
}

/// The local time of an instant. Times beyond the years that rules are made for are those of UTC.
pub(crate) fn local(zone: &TimeZone, instant: i64) -> i64 {
    let offset = timestamp(instant).map_or(0, |at| zone.to_offset(at).seconds());
    shifted(instant, i64::from(offset))
}

/// The instant of a local time. Where clocks are put forward, a time in between is read by the offset before;
/// where they are put back, a time that comes twice is read by the one after (as Postgres: standard time).
pub(crate) fn instant(zone: &TimeZone, local: i64) -> i64 {
    let offset = timestamp(local).map_or(0, |at| {
        let civil = TimeZone::UTC.to_datetime(at);
        match zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Gap { before, .. } => before,
            AmbiguousOffset::Fold { after, .. } => after,
        }
        .seconds()
    });
    shifted(local, -i64::from(offset))
}

fn timestamp(micros: i64) -> Option<Timestamp> {
    Timestamp::from_second(micros.div_euclid(MICROS).checked_add(EPOCH_S)?).ok()
}

fn shifted(micros: i64, seconds: i64) -> i64 {
    match micros {
        INFINITY | NEGATIVE_INFINITY => micros,
        finite => finite.saturating_add(seconds * MICROS),
    }
}

/// The session's time zone (`TimeZone`): instants are read and written in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Zone {
    /// UTC.
    #[default]
    Utc,
    /// Seconds east of Greenwich.
    Fixed(i32),
    /// One of the IANA database.
    Named(TimeZone),
}

/// Farthest offset that Postgres takes.
const MAX_OFFSET_S: i32 = 168 * 3_600;

impl Zone {
    /// Reads the value of `SET TIME ZONE`; `None` for what cannot be a zone.
    ///
    /// Numbers are hours east (`5.5`); offsets behind letters or a sign in a text are POSIX, where
    /// positive is west; `INTERVAL '+02:00'` has come as its text in angle brackets from others.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(hours) = text.parse::<f64>() {
            #[expect(clippy::cast_possible_truncation, reason = "the bound is checked")]
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
        match text.to_ascii_lowercase().as_str() {
            "utc" | "z" | "zulu" | "local" | "default" => Some(Self::Utc),
            _ => named(text).map(Self::Named),
        }
    }

    fn of(seconds: i32) -> Self {
        if seconds == 0 { Self::Utc } else { Self::Fixed(seconds) }
    }

    /// Seconds east of Greenwich at an instant.
    fn offset_at(&self, instant: i64) -> i32 {
        match self {
            Self::Utc => 0,
            Self::Fixed(seconds) => *seconds,
            Self::Named(zone) => timestamp(instant).map_or(0, |at| zone.to_offset(at).seconds()),
        }
    }

    /// The local time of an instant.
    pub(crate) fn local(&self, instant: i64) -> i64 {
        shifted(instant, i64::from(self.offset_at(instant)))
    }

    /// The instant of a local time.
    pub(crate) fn instant(&self, local: i64) -> i64 {
        match self {
            Self::Utc => local,
            Self::Fixed(seconds) => shifted(local, -i64::from(*seconds)),
            Self::Named(zone) => instant(zone, local),
        }
    }

    /// A `timestamptz` that was read from a text: one without an offset was local time.
    pub fn read(&self, text: &str, time: i64) -> i64 {
        if *self != Self::Utc && datetime::is_local(text) { self.instant(time) } else { time }
    }

    /// Appends the text form of a value. `plain` writes it as in UTC.
    pub fn output(
        &self,
        ty: Type,
        value: &Value,
        into: &mut String,
        plain: fn(Type, &Value, &mut String),
    ) {
        if *self == Self::Utc {
            return plain(ty, value, into);
        }
        match (ty, value) {
            (Type::Timestamptz, Value::Timestamp(INFINITY | NEGATIVE_INFINITY)) => {
                plain(ty, value, into);
            }
            (Type::Timestamptz, Value::Timestamp(instant)) => {
                plain(Type::Timestamp, &Value::Timestamp(self.local(*instant)), into);
                push_offset(into, self.offset_at(*instant));
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
    use crate::types::text;

    #[test]
    fn times_of_places_follow_their_rules() {
        let shown = |micros| {
            text::to_string(Type::Timestamp, &crate::types::value::Value::Timestamp(micros))
        };
        let read = |text: &str| crate::types::datetime::parse(text, "timestamp", 0).unwrap();
        let berlin = named("europe/berlin").unwrap();
        for (utc, there) in [
            ("2024-07-01 12:00:00", "2024-07-01 14:00:00"),
            ("2024-01-01 12:00:00.5", "2024-01-01 13:00:00.5"),
        ] {
            assert_eq!(shown(local(&berlin, read(utc))), there);
            assert_eq!(shown(instant(&berlin, read(there))), utc);
        }
        // Skipped, and twice.
        assert_eq!(shown(instant(&berlin, read("2024-03-31 02:30:00"))), "2024-03-31 01:30:00");
        assert_eq!(shown(instant(&berlin, read("2024-10-27 02:30:00"))), "2024-10-27 01:30:00");
        assert_eq!(local(&berlin, INFINITY), INFINITY);
        assert!(named("Mars/Base").is_none());
    }

    #[test]
    fn zones_by_name_number_and_offset() {
        for (text, expected) in [
            ("UTC", Some(Zone::Utc)),
            ("Europe/Berlin", named("Europe/Berlin").map(Zone::Named)),
            ("Etc/GMT+5", named("Etc/GMT+5").map(Zone::Named)),
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
