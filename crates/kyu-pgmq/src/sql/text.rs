//! Text forms of values, both directions, as Postgres reads and prints them (DateStyle ISO, TimeZone UTC,
//! IntervalStyle postgres, bytea hex). `wire` uses them for text parameters and results.

use crate::error::PgError;
use crate::types::Type;
use crate::value::Value;

/// Reads the text form of a type.
///
/// # Errors
/// 22P02 `invalid input syntax for type integer: "x"`, 22003 out of range, 22007 and 22008 for times, 22P05 for `\u0000`.
pub fn input(_ty: Type, _text: &str) -> Result<Value, PgError> {
    Err(PgError::new("0A000", "not built yet"))
}

/// Appends the text form of a value; nothing for NULL (which has no text).
pub fn output(_ty: Type, _value: &Value, _into: &mut String) {}
