//! Functions that give rows.

use super::super::datetime::{self, Interval};
use super::super::decimal::{self, Decimal};
use super::{ANY_ARRAY, Accepts, elements, int, text};
use crate::error::PgError;
use crate::json::{self, Json};
use crate::types::{Composite, Type};
use crate::value::{Row, Value};

/// The most rows that a function may make: 53400 beyond it.
pub(crate) const MAX_ROWS: usize = 1_000_000;

/// Columns of a set; None takes the element's type and the function's name.
type Columns = &'static [(&'static str, Type)];

pub(crate) struct SetBuiltin {
    pub(crate) name: &'static str,
    pub(crate) arguments: &'static [Accepts],
    /// No columns: one, named after the function, of the type of `gives`.
    pub(crate) columns: Columns,
    /// Type of a single column; None is the element type of the first argument.
    pub(crate) gives: Option<Type>,
    pub(crate) run: fn(&[Value]) -> Result<Vec<Row>, PgError>,
}

const JSONB: Accepts = Accepts::Type(Type::Jsonb);
const PAIRS: Columns = &[("key", Type::Text), ("value", Type::Jsonb)];
const TEXT_PAIRS: Columns = &[("key", Type::Text), ("value", Type::Text)];

macro_rules! set {
    ($name:literal, [$($argument:expr),*], $columns:expr, $gives:expr, $run:expr) => {
        SetBuiltin { name: $name, arguments: &[$($argument),*], columns: $columns, gives: $gives, run: $run }
    };
}

pub(crate) static SETS: &[SetBuiltin] = &[
    set!("unnest", [ANY_ARRAY], &[], None, |v| Ok(elements(v, 0)
        .iter()
        .map(|value| vec![value.clone()])
        .collect())),
    set!(
        "generate_series",
        [Accepts::Type(Type::Int4), Accepts::Type(Type::Int4)],
        &[],
        Some(Type::Int4),
        series
    ),
    set!(
        "generate_series",
        [Accepts::Type(Type::Int4), Accepts::Type(Type::Int4), Accepts::Type(Type::Int4)],
        &[],
        Some(Type::Int4),
        series
    ),
    set!(
        "generate_series",
        [Accepts::Type(Type::Int8), Accepts::Type(Type::Int8)],
        &[],
        Some(Type::Int8),
        series
    ),
    set!(
        "generate_series",
        [Accepts::Type(Type::Int8), Accepts::Type(Type::Int8), Accepts::Type(Type::Int8)],
        &[],
        Some(Type::Int8),
        series
    ),
    set!(
        "generate_series",
        [Accepts::Type(Type::Numeric), Accepts::Type(Type::Numeric)],
        &[],
        Some(Type::Numeric),
        numeric_series
    ),
    set!(
        "generate_series",
        [
            Accepts::Type(Type::Timestamptz),
            Accepts::Type(Type::Timestamptz),
            Accepts::Type(Type::Interval)
        ],
        &[],
        Some(Type::Timestamptz),
        time_series
    ),
    set!(
        "generate_series",
        [
            Accepts::Type(Type::Timestamp),
            Accepts::Type(Type::Timestamp),
            Accepts::Type(Type::Interval)
        ],
        &[],
        Some(Type::Timestamp),
        time_series
    ),
    set!(
        "generate_subscripts",
        [ANY_ARRAY, Accepts::Type(Type::Int4)],
        &[],
        Some(Type::Int4),
        |v| {
            let count = if int(v, 1) == 1 { elements(v, 0).len() } else { 0 };
            Ok((1..=count).map(|i| vec![Value::Int(i64::try_from(i).unwrap_or(0))]).collect())
        }
    ),
    set!(
        "pg_get_keywords",
        [],
        &[("word", Type::Text), ("catcode", Type::Char), ("catdesc", Type::Text)],
        None,
        |_| Ok(super::super::parser::keywords()
            .map(|(word, code, kind)| [word, code, kind].map(|t| Value::Text(t.to_owned())).into())
            .collect())
    ),
    // Of information_schema: elements of an `int2vector` with their places.
    set!(
        "_pg_expandarray",
        [ANY_ARRAY],
        &[("x", Type::Int2), ("n", Type::Int4)],
        Some(Type::Composite(Composite::Numbered)),
        |v| Ok((1..).zip(elements(v, 0)).map(|(n, x)| vec![x.clone(), Value::Int(n)]).collect())
    ),
    set!("jsonb_array_elements", [JSONB], &[("value", Type::Jsonb)], Some(Type::Jsonb), |v| array(
        v, false
    )),
    set!("json_array_elements", [JSONB], &[("value", Type::Jsonb)], Some(Type::Jsonb), |v| array(
        v, false
    )),
    set!("jsonb_array_elements_text", [JSONB], &[("value", Type::Text)], Some(Type::Text), |v| {
        array(v, true)
    }),
    set!("json_array_elements_text", [JSONB], &[("value", Type::Text)], Some(Type::Text), |v| {
        array(v, true)
    }),
    set!("jsonb_object_keys", [JSONB], &[], Some(Type::Text), |v| Ok(pairs(v)?
        .into_iter()
        .map(|(key, _)| vec![Value::Text(key)])
        .collect())),
    set!("json_object_keys", [JSONB], &[], Some(Type::Text), |v| Ok(pairs(v)?
        .into_iter()
        .map(|(key, _)| vec![Value::Text(key)])
        .collect())),
    set!("jsonb_each", [JSONB], PAIRS, None, |v| each(v, false)),
    set!("json_each", [JSONB], PAIRS, None, |v| each(v, false)),
    set!("jsonb_each_text", [JSONB], TEXT_PAIRS, None, |v| each(v, true)),
    set!("json_each_text", [JSONB], TEXT_PAIRS, None, |v| each(v, true)),
    set!(
        "regexp_split_to_table",
        [Accepts::Type(Type::Text), Accepts::Type(Type::Text)],
        &[],
        Some(Type::Text),
        |v| {
            Ok(text(v, 0)
                .split(text(v, 1))
                .map(|part| vec![Value::Text(part.to_owned())])
                .collect())
        }
    ),
];

pub(crate) fn too_many_rows() -> PgError {
    PgError::new("53400", format!("a query may not make more than {MAX_ROWS} rows"))
        .hint("Read fewer rows at a time.")
}

fn zero_step() -> PgError {
    PgError::new("22023", "step size cannot equal zero")
}

fn series(values: &[Value]) -> Result<Vec<Row>, PgError> {
    let (mut at, last) = (int(values, 0), int(values, 1));
    let step = if values.len() > 2 { int(values, 2) } else { 1 };
    if step == 0 {
        return Err(zero_step());
    }
    let mut rows = Vec::new();
    while if step > 0 { at <= last } else { at >= last } {
        if rows.len() >= MAX_ROWS {
            return Err(too_many_rows());
        }
        rows.push(vec![Value::Int(at)]);
        let Some(next) = at.checked_add(step) else { break };
        at = next;
    }
    Ok(rows)
}

fn numeric_series(values: &[Value]) -> Result<Vec<Row>, PgError> {
    let mut at = Decimal::parse(text(values, 0))?;
    let mut rows = Vec::new();
    while decimal::compare(&at.to_text(), text(values, 1)).is_le() {
        if rows.len() >= MAX_ROWS {
            return Err(too_many_rows());
        }
        rows.push(vec![Value::Numeric(at.to_text())]);
        at = at.add(Decimal::from_i64(1))?;
    }
    Ok(rows)
}

fn time_series(values: &[Value]) -> Result<Vec<Row>, PgError> {
    let (
        Some(Value::Timestamp(first)),
        Some(Value::Timestamp(last)),
        Some(Value::Interval { months, days, micros }),
    ) = (values.first(), values.get(1), values.get(2))
    else {
        return Ok(Vec::new());
    };
    let step = Interval { months: *months, days: *days, micros: *micros };
    let size = datetime::interval_size(step);
    if size == 0 {
        return Err(zero_step());
    }
    let mut at = *first;
    let mut rows = Vec::new();
    while if size > 0 { at <= *last } else { at >= *last } {
        if rows.len() >= MAX_ROWS {
            return Err(too_many_rows());
        }
        rows.push(vec![Value::Timestamp(at)]);
        at = datetime::add(at, step)?;
    }
    Ok(rows)
}

fn one(json: &Json, plain: bool) -> Value {
    if plain {
        json.to_plain_text().map_or(Value::Null, Value::Text)
    } else {
        Value::Json(json.to_string().into())
    }
}

fn array(values: &[Value], plain: bool) -> Result<Vec<Row>, PgError> {
    match json::parse(text(values, 0))? {
        Json::Array(values) => Ok(values.iter().map(|value| vec![one(value, plain)]).collect()),
        Json::Object(_) => Err(PgError::new("22023", "cannot extract elements from an object")),
        _ => Err(PgError::new("22023", "cannot extract elements from a scalar")),
    }
}

fn pairs(values: &[Value]) -> Result<Vec<(String, Json)>, PgError> {
    match json::parse(text(values, 0))? {
        Json::Object(pairs) => Ok(pairs),
        Json::Array(_) => Err(PgError::new("22023", "cannot call jsonb_object_keys on an array")),
        _ => Err(PgError::new("22023", "cannot call jsonb_object_keys on a scalar")),
    }
}

fn each(values: &[Value], plain: bool) -> Result<Vec<Row>, PgError> {
    Ok(pairs(values)?
        .into_iter()
        .map(|(key, value)| vec![Value::Text(key), one(&value, plain)])
        .collect())
}
