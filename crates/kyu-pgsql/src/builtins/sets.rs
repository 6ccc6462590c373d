//! Functions that give rows.

use super::{ANY_ARRAY, Accepts, elements, int, text};
use crate::error::PgError;
use crate::types::datetime::{self, Interval};
use crate::types::decimal::{self, Decimal};
use crate::types::json::{self, Json};
use crate::types::value::{Column, Row, Value};
use crate::types::{Composite, Type};
use crate::work::{Work, json_bytes, row_bytes};

/// Columns of a set; None takes the element's type and the function's name.
type Columns = &'static [(&'static str, Type)];

pub(crate) struct SetBuiltin {
    pub(crate) name: &'static str,
    pub(crate) arguments: &'static [Accepts],
    /// No columns: one, named after the function, of the type of `gives`.
    pub(crate) columns: Columns,
    /// Type of a single column; None is the element type of the first argument.
    pub(crate) gives: Option<Type>,
    pub(crate) run: fn(&[Value], &mut Work) -> Result<Vec<Row>, PgError>,
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
    set!("unnest", [ANY_ARRAY], &[], None, |v, work| gather(
        elements(v, 0).iter().map(|value| vec![value.clone()]),
        work
    )),
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
        |v, work| {
            let count = if int(v, 1) == 1 { elements(v, 0).len() } else { 0 };
            gather((1..).take(count).map(|i| vec![Value::Int(i)]), work)
        }
    ),
    set!(
        "pg_get_keywords",
        [],
        &[("word", Type::Text), ("catcode", Type::Char), ("catdesc", Type::Text)],
        None,
        |_, work| gather(
            crate::parser::keywords()
                .map(|row| <[&str; 3]>::from(row).map(|t| Value::Text(t.to_owned())).into()),
            work
        )
    ),
    // Of information_schema: elements of an `int2vector` with their places.
    set!(
        "_pg_expandarray",
        [ANY_ARRAY],
        &[("x", Type::Int2), ("n", Type::Int4)],
        Some(Type::Composite(Composite::Numbered)),
        |v, work| gather(
            (1..).zip(elements(v, 0)).map(|(n, x)| vec![x.clone(), Value::Int(n)]),
            work
        )
    ),
    set!(
        "jsonb_array_elements",
        [JSONB],
        &[("value", Type::Jsonb)],
        Some(Type::Jsonb),
        |v, work| { array(v, false, work) }
    ),
    set!(
        "json_array_elements",
        [JSONB],
        &[("value", Type::Jsonb)],
        Some(Type::Jsonb),
        |v, work| { array(v, false, work) }
    ),
    set!(
        "jsonb_array_elements_text",
        [JSONB],
        &[("value", Type::Text)],
        Some(Type::Text),
        |v, work| { array(v, true, work) }
    ),
    set!(
        "json_array_elements_text",
        [JSONB],
        &[("value", Type::Text)],
        Some(Type::Text),
        |v, work| { array(v, true, work) }
    ),
    set!("jsonb_object_keys", [JSONB], &[], Some(Type::Text), |v, work| gather(
        pairs(v, work)?.into_iter().map(|(key, _)| vec![Value::Text(key)]),
        work
    )),
    set!("json_object_keys", [JSONB], &[], Some(Type::Text), |v, work| gather(
        pairs(v, work)?.into_iter().map(|(key, _)| vec![Value::Text(key)]),
        work
    )),
    set!("jsonb_each", [JSONB], PAIRS, None, |v, work| each(v, false, work)),
    set!("json_each", [JSONB], PAIRS, None, |v, work| each(v, false, work)),
    set!("jsonb_each_text", [JSONB], TEXT_PAIRS, None, |v, work| each(v, true, work)),
    set!("json_each_text", [JSONB], TEXT_PAIRS, None, |v, work| each(v, true, work)),
    set!(
        "regexp_split_to_table",
        [Accepts::Type(Type::Text), Accepts::Type(Type::Text)],
        &[],
        Some(Type::Text),
        |v, work| {
            let parts = text(v, 0).split(text(v, 1));
            gather(parts.map(|part| vec![Value::Text(part.to_owned())]), work)
        }
    ),
];

/// `unnest(a, b)`: the elements side by side, NULL where an array has no more.
pub(crate) fn unnest_all(values: &[Value], work: &mut Work) -> Result<Vec<Row>, PgError> {
    let length = (0..values.len()).map(|at| elements(values, at).len()).max().unwrap_or(0);
    let row = |i: usize| -> Row {
        let element = |at| elements(values, at).get(i).cloned().unwrap_or(Value::Null);
        (0..values.len()).map(element).collect()
    };
    gather((0..length).map(row), work)
}

/// `jsonb_to_recordset`: a row for each object, its members by the names of the columns.
pub(crate) fn records(
    values: &[Value],
    columns: &[Column],
    many: bool,
    now: i64,
    work: &mut Work,
) -> Result<Vec<Row>, PgError> {
    if values.first() == Some(&Value::Null) {
        return Ok(Vec::new());
    }
    let objects = match (tree(values, work)?, many) {
        (Json::Array(objects), true) => objects,
        (object, false) => vec![object],
        (_, true) => {
            return Err(PgError::new("22023", "cannot call jsonb_to_recordset on a non-array"));
        }
    };
    let mut rows = Vec::new();
    for object in &objects {
        if !matches!(object, Json::Object(_)) {
            let message = "argument of jsonb_to_recordset must be an array of objects";
            return Err(PgError::new("22023", message));
        }
        Work::room(rows.len())?;
        work.step()?;
        let mut row = Row::with_capacity(columns.len());
        for column in columns {
            let member = object.get(&column.name);
            row.push(match (member, column.ty) {
                (None | Some(Json::Null), _) => Value::Null,
                (Some(json), Type::Json | Type::Jsonb) => Value::Json(json.to_string().into()),
                (Some(json), ty) => match json.to_plain_text() {
                    Some(text) => crate::types::text::input_at(ty, &text, now)?,
                    None => Value::Null,
                },
            });
        }
        work.grow(row_bytes(&row))?;
        rows.push(row);
    }
    Ok(rows)
}

/// Rows of a function, each of them paid for as it is made.
fn gather(made: impl Iterator<Item = Row>, work: &mut Work) -> Result<Vec<Row>, PgError> {
    let mut rows = Vec::new();
    for row in made {
        Work::room(rows.len())?;
        work.step()?;
        work.grow(row_bytes(&row))?;
        rows.push(row);
    }
    Ok(rows)
}

fn zero_step() -> PgError {
    PgError::new("22023", "step size cannot equal zero")
}

fn series(values: &[Value], work: &mut Work) -> Result<Vec<Row>, PgError> {
    let (mut at, last) = (int(values, 0), int(values, 1));
    let step = if values.len() > 2 { int(values, 2) } else { 1 };
    if step == 0 {
        return Err(zero_step());
    }
    let mut rows = Vec::new();
    while if step > 0 { at <= last } else { at >= last } {
        Work::room(rows.len())?;
        work.step()?;
        rows.push(vec![Value::Int(at)]);
        let Some(next) = at.checked_add(step) else { break };
        at = next;
    }
    Ok(rows)
}

fn numeric_series(values: &[Value], work: &mut Work) -> Result<Vec<Row>, PgError> {
    let mut at = Decimal::parse(text(values, 0))?;
    let mut rows = Vec::new();
    while decimal::compare(&at.to_text(), text(values, 1)).is_le() {
        Work::room(rows.len())?;
        work.step()?;
        rows.push(vec![Value::Numeric(at.to_text())]);
        at = at.add(Decimal::from_i64(1))?;
    }
    Ok(rows)
}

fn time_series(values: &[Value], work: &mut Work) -> Result<Vec<Row>, PgError> {
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
        Work::room(rows.len())?;
        work.step()?;
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

fn array(values: &[Value], plain: bool, work: &mut Work) -> Result<Vec<Row>, PgError> {
    match tree(values, work)? {
        Json::Array(values) => gather(values.iter().map(|value| vec![one(value, plain)]), work),
        Json::Object(_) => Err(PgError::new("22023", "cannot extract elements from an object")),
        _ => Err(PgError::new("22023", "cannot extract elements from a scalar")),
    }
}

fn pairs(values: &[Value], work: &mut Work) -> Result<Vec<(String, Json)>, PgError> {
    match tree(values, work)? {
        Json::Object(pairs) => Ok(pairs),
        Json::Array(_) => Err(PgError::new("22023", "cannot call jsonb_object_keys on an array")),
        _ => Err(PgError::new("22023", "cannot call jsonb_object_keys on a scalar")),
    }
}

fn each(values: &[Value], plain: bool, work: &mut Work) -> Result<Vec<Row>, PgError> {
    let pairs = pairs(values, work)?.into_iter();
    gather(pairs.map(|(key, value)| vec![Value::Text(key), one(&value, plain)]), work)
}

/// The document that the first argument is.
fn tree(values: &[Value], work: &mut Work) -> Result<Json, PgError> {
    work.afford(json_bytes(text(values, 0)))?;
    json::parse(text(values, 0))
}
