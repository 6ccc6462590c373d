//! The types that values have. Their OIDs and wire forms are `wire`'s business.

/// A type of the Postgres catalogue, as far as clients of pgmq meet it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Type {
    /// `bool`.
    Bool,
    /// `int2`.
    Int2,
    /// `int4`.
    Int4,
    /// `int8`.
    Int8,
    /// `float8`.
    Float8,
    /// `numeric`.
    Numeric,
    /// `text`.
    Text,
    /// `varchar`.
    Varchar,
    /// `name`.
    Name,
    /// `"char"`.
    Char,
    /// `json`.
    Json,
    /// `jsonb`.
    Jsonb,
    /// `timestamptz`.
    Timestamptz,
    /// `timestamp`.
    Timestamp,
    /// `interval`.
    Interval,
    /// `oid`, and `regclass`, `regtype`, `regproc` where their text does not matter.
    Oid,
    /// `regclass`.
    Regclass,
    /// `bytea`.
    Bytea,
    /// `uuid`.
    Uuid,
    /// `void`: functions that return nothing; its text is empty.
    Void,
    /// A literal or parameter whose type nothing has fixed yet.
    Unknown,
    /// An anonymous row.
    Record,
    /// A composite type of pgmq.
    Composite(Composite),
    /// An array of one of the types above.
    Array(Element),
}

/// Composite types of the pgmq extension. Columns as in pgmq 1.13.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Composite {
    /// `pgmq.message_record`.
    MessageRecord,
    /// `pgmq.queue_record`.
    QueueRecord,
    /// `pgmq.metrics_result`.
    MetricsResult,
}

/// Element types of arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Element {
    /// `bool[]`.
    Bool,
    /// `int2[]`.
    Int2,
    /// `int4[]`.
    Int4,
    /// `int8[]`.
    Int8,
    /// `float8[]`.
    Float8,
    /// `text[]`.
    Text,
    /// `varchar[]`.
    Varchar,
    /// `name[]`.
    Name,
    /// `json[]`.
    Json,
    /// `jsonb[]`.
    Jsonb,
    /// `timestamptz[]`.
    Timestamptz,
    /// `oid[]`.
    Oid,
    /// `"char"[]`.
    Char,
    /// `pgmq.message_record[]`.
    MessageRecord,
}
