//! Arguments of a call, one after the other, as Rust types. The evaluator has made them of the
//! declared types; anything else is a bug of ours.

use std::sync::Arc;

use kyu_pgsql::error::PgError;
use kyu_pgsql::value::Value;

pub(super) struct Arguments(std::vec::IntoIter<Value>);

impl Arguments {
    pub(super) fn new(values: Vec<Value>) -> Self {
        Self(values.into_iter())
    }

    fn next(&mut self) -> Result<Value, PgError> {
        self.0.next().ok_or_else(|| wrong("an argument is missing"))
    }

    pub(super) fn text(&mut self) -> Result<Option<String>, PgError> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            _ => Err(wrong("text")),
        }
    }

    pub(super) fn int(&mut self) -> Result<Option<i64>, PgError> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::Int(int) => Ok(Some(int)),
            _ => Err(wrong("integer")),
        }
    }

    pub(super) fn json(&mut self) -> Result<Option<Arc<str>>, PgError> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::Json(json) => Ok(Some(json)),
            _ => Err(wrong("jsonb")),
        }
    }

    /// Microseconds since 2000.
    pub(super) fn time(&mut self) -> Result<Option<i64>, PgError> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::Timestamp(us) => Ok(Some(us)),
            _ => Err(wrong("timestamptz")),
        }
    }

    /// NULL elements are left out: they equal no message's number.
    pub(super) fn ints(&mut self) -> Result<Vec<i64>, PgError> {
        match self.next()? {
            Value::Null => Ok(Vec::new()),
            Value::Array(_, items) => {
                let ints = items.into_iter().filter_map(|item| match item {
                    Value::Int(int) => Some(int),
                    _ => None,
                });
                Ok(ints.collect())
            }
            _ => Err(wrong("bigint[]")),
        }
    }

    pub(super) fn jsons(&mut self) -> Result<Option<Vec<Option<Arc<str>>>>, PgError> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::Array(_, items) => {
                let jsons = items.into_iter().map(|item| match item {
                    Value::Json(json) => Some(json),
                    _ => None,
                });
                Ok(Some(jsons.collect()))
            }
            _ => Err(wrong("jsonb[]")),
        }
    }
}

fn wrong(what: &str) -> PgError {
    PgError::new("XX000", format!("a call with other arguments than declared: {what}"))
}
