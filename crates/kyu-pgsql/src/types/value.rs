//! Values, apart from how they are written on the wire.

use std::sync::Arc;

use crate::types::{Element, Type};

/// One value. Its declared [`Type`] (the width of an integer, text or varchar) stands beside it, in
/// the [`Column`] or the parameter's description.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// `bool`.
    Bool(bool),
    /// `int2`, `int4`, `int8`, `oid`.
    Int(i64),
    /// `float8`.
    Float(f64),
    /// `numeric`, as its decimal text.
    Numeric(String),
    /// Every kind of text, and literals whose type is unknown.
    Text(String),
    /// `json` as written, `jsonb` in its canonical text (keys by length then bytes, one space after
    /// `:` and `,`). Shared: a message goes from the wire to the queue, or back, through several
    /// rows without a copy.
    Json(Arc<str>),
    /// `timestamptz` and `timestamp`: microseconds since 2000-01-01 00:00 UTC, as on the wire.
    Timestamp(i64),
    /// `interval`.
    Interval {
        /// Months, kept apart because their length varies.
        months: i32,
        /// Days, kept apart because of daylight saving time.
        days: i32,
        /// Microseconds.
        micros: i64,
    },
    /// `bytea`.
    Bytea(Vec<u8>),
    /// One-dimensional array.
    Array(Element, Vec<Value>),
    /// A row of a composite type, or an anonymous one.
    Row(Type, Vec<Value>),
    /// The result of a `void` function.
    Void,
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: Type,
}

/// One row of a result, as many values as there are columns.
pub type Row = Vec<Value>;
