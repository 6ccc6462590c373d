//! Times and intervals.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{BuiltinTable, float, int, string, text};
use crate::error::PgError;
use crate::types::Type;
use crate::types::datetime::{self, Interval};
use crate::types::decimal::Decimal;
use crate::types::value::Value;
use crate::types::zones;

const DAY_MICROS: i64 = 86_400_000_000;
/// Seconds from 1970 to 2000.
const EPOCH_SECONDS: i64 = 946_684_800;

pub(super) fn register(table: &mut BuiltinTable) {
    let (tz, ts, date, interval) = (Type::Timestamptz, Type::Timestamp, Type::Date, Type::Interval);
    for name in ["now", "current_timestamp", "transaction_timestamp", "statement_timestamp"] {
        table.add(name, &[], tz, |cx, _, _| Ok(Value::Timestamp(cx.now)));
    }
    table.add("clock_timestamp", &[], tz, |_, _, _| Ok(Value::Timestamp(clock())));
    table.add("localtimestamp", &[], ts, |cx, _, _| Ok(Value::Timestamp(cx.now)));
    table.add("current_date", &[], date, |cx, _, _| {
        Ok(Value::Timestamp(datetime::midnight(cx.now)))
    });
    table.add("pg_postmaster_start_time", &[], tz, |cx, _, _| Ok(Value::Timestamp(cx.now)));
    for (from, to) in [(tz, tz), (ts, ts), (date, ts)] {
        table.add("+", &[from, interval], to, |_, v, _| {
            Ok(Value::Timestamp(datetime::add(time(v, 0), span(v, 1))?))
        });
        table.add("+", &[interval, from], to, |_, v, _| {
            Ok(Value::Timestamp(datetime::add(time(v, 1), span(v, 0))?))
        });
        table.add("-", &[from, interval], to, |_, v, _| {
            Ok(Value::Timestamp(datetime::add(time(v, 0), datetime::negate_interval(span(v, 1)))?))
        });
    }
    for ty in [tz, ts] {
        table.add("-", &[ty, ty], interval, |_, v, _| {
            Ok(value(datetime::subtract(time(v, 0), time(v, 1))?))
        });
        table.add("age", &[ty, ty], interval, |_, v, _| {
            Ok(value(datetime::subtract(time(v, 0), time(v, 1))?))
        });
        table.add("date_trunc", &[Type::Text, ty], ty, |_, v, _| {
            Ok(Value::Timestamp(datetime::truncate(text(v, 0), time(v, 1))?))
        });
        table.add("to_char", &[ty, Type::Text], Type::Text, |_, v, _| {
            Ok(string(datetime::format(time(v, 0), text(v, 1))))
        });
    }
    table.add("age", &[tz], interval, |cx, v, _| {
        Ok(value(datetime::subtract(datetime::midnight(cx.now), time(v, 0))?))
    });
    table.add("-", &[date, date], Type::Int4, |_, v, _| {
        Ok(Value::Int(time(v, 0).saturating_sub(time(v, 1)) / DAY_MICROS))
    });
    table.add("+", &[date, Type::Int4], date, |_, v, _| {
        Ok(Value::Timestamp(time(v, 0).saturating_add(int(v, 1).saturating_mul(DAY_MICROS))))
    });
    table.add("-", &[date, Type::Int4], date, |_, v, _| {
        Ok(Value::Timestamp(time(v, 0).saturating_sub(int(v, 1).saturating_mul(DAY_MICROS))))
    });
    intervals(table);
    fields(table);
    table.add("to_timestamp", &[Type::Float8], tz, |_, v, _| {
        Ok(Value::Timestamp(datetime::from_unix(float(v, 0))?))
    });
    table.add("timezone", &[Type::Text, tz], ts, |_, v, _| zoned(v, 1));
    table.add("timezone", &[Type::Text, ts], tz, |_, v, _| zoned(v, -1));
}

/// Now, whatever the transaction says.
fn clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX) - EPOCH_SECONDS * 1_000_000
}

fn time(values: &[Value], at: usize) -> i64 {
    match values.get(at) {
        Some(Value::Timestamp(time)) => *time,
        _ => 0,
    }
}

fn span(values: &[Value], at: usize) -> Interval {
    match values.get(at) {
        Some(Value::Interval { months, days, micros }) => {
            Interval { months: *months, days: *days, micros: *micros }
        }
        _ => Interval::default(),
    }
}

fn value(interval: Interval) -> Value {
    Value::Interval { months: interval.months, days: interval.days, micros: interval.micros }
}

fn intervals(table: &mut BuiltinTable) {
    let (interval, float8) = (Type::Interval, Type::Float8);
    table.add("+", &[interval, interval], interval, |_, v, _| {
        Ok(value(datetime::add_intervals(span(v, 0), span(v, 1))?))
    });
    table.add("-", &[interval, interval], interval, |_, v, _| {
        Ok(value(datetime::add_intervals(span(v, 0), datetime::negate_interval(span(v, 1)))?))
    });
    table.add("-", &[interval], interval, |_, v, _| {
        Ok(value(datetime::negate_interval(span(v, 0))))
    });
    table.add("*", &[interval, float8], interval, |_, v, _| {
        Ok(value(datetime::multiply_interval(span(v, 0), float(v, 1))))
    });
    table.add("*", &[float8, interval], interval, |_, v, _| {
        Ok(value(datetime::multiply_interval(span(v, 1), float(v, 0))))
    });
    table.add("/", &[interval, float8], interval, |_, v, _| {
        if float(v, 1) == 0.0 {
            return Err(PgError::new("22012", "division by zero"));
        }
        Ok(value(datetime::multiply_interval(span(v, 0), 1.0 / float(v, 1))))
    });
    let int4 = Type::Int4;
    // The resolver brings named arguments into this order.
    table.add(
        "make_interval",
        &[int4, int4, int4, int4, int4, int4, float8],
        interval,
        |_, v, _| {
            let units = ["year", "month", "week", "day", "hour", "minute"];
            let mut total = datetime::unit_interval(float(v, 6), "second").unwrap_or_default();
            for (i, unit) in units.into_iter().enumerate() {
                let amount = i32::try_from(int(v, i)).map(f64::from).unwrap_or(0.0);
                let part = datetime::unit_interval(amount, unit).unwrap_or_default();
                total = datetime::add_intervals(total, part)?;
            }
            Ok(value(total))
        },
    );
}

fn fields(table: &mut BuiltinTable) {
    for ty in [Type::Timestamptz, Type::Timestamp, Type::Date, Type::Interval] {
        table.add("extract", &[Type::Text, ty], Type::Numeric, |_, v, t| {
            let (digits, scale) = field(v, t)?;
            let number = Decimal::parse(&scaled(digits, scale))?;
            Ok(Value::Numeric(number.to_text()))
        });
        table.add("date_part", &[Type::Text, ty], Type::Float8, |_, v, t| {
            let (digits, scale) = field(v, t)?;
            Ok(Value::Float(scaled(digits, scale).parse().unwrap_or(0.0)))
        });
    }
}

fn field(values: &[Value], types: &[Type]) -> Result<(i64, u32), PgError> {
    let unit = text(values, 0).to_ascii_lowercase();
    let found = match values.get(1) {
        Some(Value::Timestamp(time)) => datetime::field(&unit, *time),
        _ => datetime::interval_field(&unit, span(values, 1)),
    };
    found.ok_or_else(|| {
        let ty = types.get(1).map_or("", |ty| crate::types::names::display(*ty));
        PgError::new("22023", format!("unit \"{unit}\" not recognized for type {ty}"))
    })
}

/// Digits with so many of them after the point.
fn scaled(digits: i64, scale: u32) -> String {
    let scale = usize::try_from(scale).unwrap_or(0);
    let sign = if digits < 0 { "-" } else { "" };
    let text = format!("{:0>width$}", digits.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = text.split_at_checked(text.len() - scale).unwrap_or((&text, ""));
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// `AT TIME ZONE`: UTC, offsets, abbreviations, and names of places.
fn zoned(values: &[Value], sign: i64) -> Result<Value, PgError> {
    let zone = text(values, 0);
    if let Some(place) = zones::named(zone) {
        let time = time(values, 1);
        let moved =
            if sign > 0 { zones::local(&place, time) } else { zones::instant(&place, time) };
        return Ok(Value::Timestamp(moved));
    }
    let unknown = || PgError::new("22023", format!("time zone \"{zone}\" not recognized"));
    let probe = format!("2000-01-01 00:00:00 {zone}");
    let offset = datetime::parse(&probe, "timestamp", 0).map_err(|_| unknown())?;
    // The probe is midnight at the zone's place: -offset.
    Ok(Value::Timestamp(time(values, 1).saturating_sub(sign * offset)))
}
