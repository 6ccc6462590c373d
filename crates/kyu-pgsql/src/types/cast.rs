//! Casts: which types become which, and how (`pg_cast` of PostgreSQL 15, and what is accepted here
//! besides).

use crate::error::PgError;
use crate::types::Type;
use crate::types::datetime::{self, Interval};
use crate::types::decimal::Decimal;
use crate::types::json::{self, Json};
use crate::types::names::display;
use crate::types::text::{self, fits};
use crate::types::value::Value;

/// True if a function may be given one type for another without being asked.
pub(crate) fn implicit(from: Type, to: Type) -> bool {
    use Type::{
        Char, Date, Float8, Int2, Int4, Int8, Json, Jsonb, Name, Numeric, Oid, Regclass, Regproc,
        Regtype, Text, Timestamp, Timestamptz, Unknown, Varchar,
    };
    if from == to || from == Unknown {
        return true;
    }
    match (from, to) {
        (Int2, Int4 | Int8 | Float8 | Numeric | Oid | Regclass | Regtype | Regproc)
        | (Int4, Int8 | Float8 | Numeric | Oid | Regclass | Regtype | Regproc)
        | (Int8, Float8 | Numeric | Oid | Regclass | Regtype | Regproc)
        | (Numeric, Float8)
        | (Varchar, Text | Name)
        | (Text, Varchar | Name | Regclass)
        | (Varchar, Regclass)
        | (Name | Char, Text | Varchar)
        | (Date, Timestamp | Timestamptz)
        | (Timestamp, Timestamptz)
        | (Oid, Regclass | Regtype | Regproc)
        | (Regclass | Regtype | Regproc, Oid)
        // Postgres refuses these: it makes clients write casts that say nothing.
        | (Json | Text | Varchar, Jsonb) => true,
        (Type::Array(from), Type::Array(to)) => implicit(from.ty(), to.ty()),
        (Type::Composite(_), Type::Record) => true,
        _ => false,
    }
}

fn is_number(ty: Type) -> bool {
    matches!(ty, Type::Int2 | Type::Int4 | Type::Int8 | Type::Float8 | Type::Numeric)
}

pub(crate) fn is_text(ty: Type) -> bool {
    matches!(ty, Type::Text | Type::Varchar | Type::Name | Type::Char | Type::Unknown)
}

/// True if storing converts it: numbers among each other, anything to text.
pub(crate) fn assignable(from: Type, to: Type) -> bool {
    implicit(from, to)
        || (is_number(from) && is_number(to))
        || is_text(to)
        || (from == Type::Jsonb && to == Type::Json)
        || (from == Type::Timestamptz && matches!(to, Type::Timestamp | Type::Date))
        || (from == Type::Timestamp && to == Type::Date)
}

/// True if `CAST` converts it.
pub(crate) fn explicit(from: Type, to: Type) -> bool {
    if assignable(from, to) || is_text(from) {
        return true;
    }
    match (from, to) {
        (Type::Bool, Type::Int4) | (Type::Int4, Type::Bool) => true,
        (Type::Jsonb, to) => is_number(to) || to == Type::Bool,
        (Type::Json, Type::Jsonb) | (Type::Interval, Type::Interval) => true,
        (Type::Oid | Type::Regclass | Type::Regtype | Type::Regproc, to) => {
            matches!(
                to,
                Type::Int4
                    | Type::Int8
                    | Type::Oid
                    | Type::Regclass
                    | Type::Regtype
                    | Type::Regproc
            )
        }
        (from, Type::Oid | Type::Regclass | Type::Regtype | Type::Regproc) => is_number(from),
        (Type::Array(from), Type::Array(to)) => explicit(from.ty(), to.ty()),
        (Type::Record, Type::Composite(_)) | (Type::Composite(_), Type::Composite(_)) => true,
        _ => false,
    }
}

/// `cannot cast type bigint to uuid`.
pub(crate) fn cannot(from: Type, to: Type) -> PgError {
    PgError::new("42846", format!("cannot cast type {} to {}", display(from), display(to)))
}

/// Converts a value. NULL stays NULL. Names of tables and types are not known here.
pub(crate) fn cast(value: Value, from: Type, to: Type, now: i64) -> Result<Value, PgError> {
    if from == to || value == Value::Null {
        return Ok(value);
    }
    match (&value, from, to) {
        (
            Value::Int(number),
            _,
            Type::Int2
            | Type::Int4
            | Type::Int8
            | Type::Oid
            | Type::Regclass
            | Type::Regtype
            | Type::Regproc,
        ) => {
            if fits(to, *number) {
                Ok(value)
            } else {
                Err(out_of_range(to))
            }
        }
        (_, Type::Unknown | Type::Text | Type::Varchar | Type::Name | Type::Char, _)
            if !is_text(to) =>
        {
            match &value {
                Value::Text(written) => text::input_at(to, written, now),
                _ => Ok(value),
            }
        }
        (Value::Text(written), _, _) if is_text(to) => text::input_at(to, written, now),
        (_, from, to) if is_number(from) && is_number(to) => number(&value, to),
        (Value::Bool(flag), _, Type::Int4) => Ok(Value::Int(i64::from(*flag))),
        (Value::Int(number), _, Type::Bool) => Ok(Value::Bool(*number != 0)),
        (Value::Json(written), Type::Jsonb, to) if is_number(to) || to == Type::Bool => {
            from_json(written, to, now)
        }
        (Value::Json(written), Type::Json, Type::Jsonb) => {
            json::canonical(written).map(|text| Value::Json(text.into()))
        }
        (Value::Json(_), Type::Jsonb, Type::Json) => Ok(value),
        (Value::Timestamp(time), _, Type::Date) => Ok(Value::Timestamp(datetime::midnight(*time))),
        (Value::Timestamp(_), _, Type::Timestamp | Type::Timestamptz) => Ok(value),
        (Value::Array(element, values), _, Type::Array(to)) => {
            let cast = |value: &Value| cast(value.clone(), element.ty(), to.ty(), now);
            Ok(Value::Array(to, values.iter().map(cast).collect::<Result<_, _>>()?))
        }
        (Value::Row(_, values), _, Type::Record | Type::Composite(_)) => {
            Ok(Value::Row(to, values.clone()))
        }
        (_, _, to) if is_text(to) => {
            let written = match &value {
                Value::Bool(flag) => flag.to_string(),
                other => text::to_string(from, other),
            };
            text::input_at(to, &written, now)
        }
        _ => Err(cannot(from, to)),
    }
}

pub(crate) fn out_of_range(ty: Type) -> PgError {
    let name = if ty == Type::Oid { "OID" } else { display(ty) };
    PgError::new("22003", format!("{name} out of range"))
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "ranges are checked"
)]
fn number(value: &Value, to: Type) -> Result<Value, PgError> {
    Ok(match (value, to) {
        (Value::Int(number), Type::Float8) => Value::Float(*number as f64),
        (Value::Int(number), Type::Numeric) => Value::Numeric(number.to_string()),
        (Value::Float(number), Type::Numeric) => {
            let written = text::to_string(Type::Float8, &Value::Float(*number));
            text::input(Type::Numeric, &written)?
        }
        (Value::Float(number), _) => {
            // Half to even, as Postgres' rint().
            let rounded = number.round_ties_even();
            let fits_i64 =
                (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&rounded);
            if !fits_i64 || !fits(to, rounded as i64) {
                return Err(out_of_range(to));
            }
            Value::Int(rounded as i64)
        }
        (Value::Numeric(written), Type::Float8) => text::input(Type::Float8, written)?,
        (Value::Numeric(written), _) => {
            let number = Decimal::parse(written)
                .ok()
                .and_then(Decimal::to_i64)
                .filter(|number| fits(to, *number));
            Value::Int(number.ok_or_else(|| out_of_range(to))?)
        }
        (other, _) => other.clone(),
    })
}

fn from_json(written: &str, to: Type, now: i64) -> Result<Value, PgError> {
    let value = json::parse(written)?;
    let kind = match &value {
        Json::Number(number) if is_number(to) => {
            return cast(Value::Numeric(number.clone()), Type::Numeric, to, now);
        }
        Json::Bool(flag) if to == Type::Bool => return Ok(Value::Bool(*flag)),
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "numeric",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    };
    Err(PgError::new("22023", format!("cannot cast jsonb {kind} to type {}", display(to))))
}

/// A value as `jsonb`, as `to_jsonb` makes it. `names` are the keys of a row.
pub(crate) fn to_json(value: &Value, ty: Type, names: &[String]) -> Result<Json, PgError> {
    Ok(match (value, ty) {
        (Value::Null | Value::Void, _) => Json::Null,
        (Value::Bool(flag), _) => Json::Bool(*flag),
        (Value::Int(number), Type::Int2 | Type::Int4 | Type::Int8 | Type::Unknown) => {
            Json::Number(number.to_string())
        }
        (Value::Float(_), _) => {
            let written = text::to_string(ty, value);
            match crate::types::decimal::normalize(&written)? {
                Some(number) => Json::Number(number),
                None => Json::String(written),
            }
        }
        (Value::Numeric(number), _) => Json::Number(number.clone()),
        (Value::Json(written), _) => json::parse(written)?,
        (Value::Timestamp(_), _) => {
            let written = text::to_string(ty, value).replacen(' ', "T", 1);
            let zone = if ty == Type::Timestamptz && written.ends_with("+00") { ":00" } else { "" };
            Json::String(format!("{written}{zone}"))
        }
        (Value::Array(element, values), _) => Json::Array(
            values
                .iter()
                .map(|value| to_json(value, element.ty(), &[]))
                .collect::<Result<_, _>>()?,
        ),
        (Value::Row(ty, values), _) => {
            let columns = match ty {
                Type::Composite(composite) => composite.columns(),
                _ => &[],
            };
            let mut pairs = Vec::with_capacity(values.len());
            for (i, value) in values.iter().enumerate() {
                let name = match (names.get(i), columns.get(i)) {
                    (Some(name), _) => name.clone(),
                    (None, Some((name, _))) => (*name).to_owned(),
                    (None, None) => format!("f{}", i + 1),
                };
                let ty = columns.get(i).map_or_else(|| text::guess(value), |(_, ty)| *ty);
                pairs.push((name, to_json(value, ty, &[])?));
            }
            json::object(pairs)
        }
        (other, _) => Json::String(text::to_string(ty, other)),
    })
}

/// Orders two values of one type; NULLs are the caller's business.
pub(crate) fn compare(a: &Value, b: &Value) -> std::cmp::Ordering {
    use std::cmp::Ordering;
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Int(a), Value::Int(b)) | (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
        // NaN is above all.
        (Value::Float(a), Value::Float(b)) => {
            a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
        }
        (Value::Numeric(a), Value::Numeric(b)) => crate::types::decimal::compare(a, b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Json(a), Value::Json(b)) => match (json::parse(a), json::parse(b)) {
            (Ok(a), Ok(b)) => a.compare(&b),
            _ => a.cmp(b),
        },
        (
            Value::Interval { months, days, micros },
            Value::Interval { months: other_months, days: other_days, micros: other_micros },
        ) => {
            let a = Interval { months: *months, days: *days, micros: *micros };
            let b = Interval { months: *other_months, days: *other_days, micros: *other_micros };
            datetime::interval_size(a).cmp(&datetime::interval_size(b))
        }
        (Value::Bytea(a), Value::Bytea(b)) => a.cmp(b),
        (Value::Array(_, a), Value::Array(_, b)) | (Value::Row(_, a), Value::Row(_, b)) => {
            for (a, b) in a.iter().zip(b) {
                let order = match (a, b) {
                    (Value::Null, Value::Null) => Ordering::Equal,
                    (Value::Null, _) => Ordering::Greater,
                    (_, Value::Null) => Ordering::Less,
                    (a, b) => compare(a, b),
                };
                if order.is_ne() {
                    return order;
                }
            }
            a.len().cmp(&b.len())
        }
        _ => Ordering::Equal,
    }
}
