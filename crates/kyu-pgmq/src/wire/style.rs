//! The style in which a session writes values: its time zone, and its style of intervals.

use std::fmt::Write;

use kyu_pgsql::Zone;
use kyu_pgsql::types::Type;
use kyu_pgsql::value::Value;

/// `TimeZone` and `IntervalStyle`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ValueStyle {
    pub(super) zone: Zone,
    /// `iso_8601` instead of `postgres`.
    pub(super) iso_intervals: bool,
}

impl ValueStyle {
    /// Appends the text form of a value. `plain` writes it as in UTC and Postgres' own style.
    pub(super) fn output(
        &self,
        ty: Type,
        value: &Value,
        into: &mut String,
        plain: fn(Type, &Value, &mut String),
    ) {
        match value {
            Value::Interval { months, days, micros } if self.iso_intervals => {
                into.push_str(&iso_interval(*months, *days, *micros));
            }
            value => self.zone.output(ty, value, into, plain),
        }
    }
}

/// `P1Y2M3DT4H5M6.7S`, as Postgres writes it (`EncodeInterval`): each part has its own sign.
fn iso_interval(months: i32, days: i32, micros: i64) -> String {
    if (months, days, micros) == (0, 0, 0) {
        return "PT0S".to_owned();
    }
    let mut text = String::from("P");
    let mut part = |number: i64, unit: char| {
        if number != 0 {
            // Writing to a string does not fail.
            let _ = write!(text, "{number}{unit}");
        }
    };
    part(i64::from(months / 12), 'Y');
    part(i64::from(months % 12), 'M');
    part(i64::from(days), 'D');
    if micros == 0 {
        return text;
    }
    text.push('T');
    let (minutes, rest) = (micros / 60_000_000, micros % 60_000_000);
    for (number, unit) in [(minutes / 60, 'H'), (minutes % 60, 'M')] {
        if number != 0 {
            let _ = write!(text, "{number}{unit}");
        }
    }
    if rest != 0 {
        let sign = if rest < 0 { "-" } else { "" };
        let (seconds, part) = (rest.abs() / 1_000_000, rest.abs() % 1_000_000);
        let _ = write!(text, "{sign}{seconds}");
        if part != 0 {
            let part = format!("{part:06}");
            let _ = write!(text, ".{}", part.trim_end_matches('0'));
        }
        text.push('S');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text that Postgres 15 answers with `intervalstyle = iso_8601`.
    #[test]
    fn intervals_in_iso_8601() {
        for (months, days, micros, expected) in [
            (0, 0, 0, "PT0S"),
            (0, 1, 7_380_000_000, "P1DT2H3M"),
            (14, 3, 14_706_700_000, "P1Y2M3DT4H5M6.7S"),
            (-1, 2, -1_500_000, "P-1M2DT-1.5S"),
            (0, 0, -3_600_000_001, "PT-1H-0.000001S"),
        ] {
            assert_eq!(iso_interval(months, days, micros), expected);
        }
    }
}
