//! The types that values have, with their values, texts, ids and casts. Their binary forms are the
//! door's business.

pub(crate) mod cast;
pub(crate) mod datetime;
pub(crate) mod decimal;
pub mod json;
pub(crate) mod names;
pub mod oid;
pub mod text;
pub mod value;
pub(crate) mod zones;

use self::value::Column;

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
    /// `date`: a [`crate::types::value::Value::Timestamp`] at midnight.
    Date,
    /// `oid`.
    Oid,
    /// `regclass`; in results its value is the text, as Postgres prints it.
    Regclass,
    /// `regtype`, likewise.
    Regtype,
    /// `regproc`, likewise.
    Regproc,
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

/// Composite types of the pgmq extension, with columns as in pgmq 1.13.0, and one of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Composite {
    /// `pgmq.message_record`.
    MessageRecord,
    /// `pgmq.queue_record`.
    QueueRecord,
    /// `pgmq.metrics_result`.
    MetricsResult,
    /// The result of `information_schema._pg_expandarray`; it has no name and no object id.
    Numbered,
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
    /// `oidvector`: written with spaces between, and counted from 0.
    OidVector,
    /// `int2vector`, likewise.
    Int2Vector,
    /// `"char"[]`.
    Char,
    /// `pgmq.message_record[]`.
    MessageRecord,
}

impl Type {
    /// Its category: `pg_type.typcategory`.
    pub(crate) fn category(self) -> char {
        match self {
            Self::Bool => 'B',
            Self::Int2
            | Self::Int4
            | Self::Int8
            | Self::Float8
            | Self::Numeric
            | Self::Oid
            | Self::Regclass
            | Self::Regtype
            | Self::Regproc => 'N',
            Self::Text | Self::Varchar | Self::Name => 'S',
            Self::Timestamptz | Self::Timestamp | Self::Date => 'D',
            Self::Interval => 'T',
            Self::Array(_) => 'A',
            Self::Composite(_) => 'C',
            Self::Void | Self::Record => 'P',
            Self::Unknown => 'X',
            Self::Char => 'Z',
            Self::Json | Self::Jsonb | Self::Bytea | Self::Uuid => 'U',
        }
    }
}

impl Composite {
    /// Its name in schema `pgmq`.
    pub fn name(self) -> &'static str {
        match self {
            Self::MessageRecord => "message_record",
            Self::QueueRecord => "queue_record",
            Self::MetricsResult => "metrics_result",
            Self::Numbered => "record",
        }
    }

    /// Its columns in order, as those of a result.
    pub(crate) fn as_columns(self) -> Vec<Column> {
        let column = |(name, ty): &(&str, Type)| Column { name: (*name).to_owned(), ty: *ty };
        self.columns().iter().map(column).collect()
    }

    /// Its columns in order. Clients that decode by position rely on it.
    pub fn columns(self) -> &'static [(&'static str, Type)] {
        match self {
            Self::MessageRecord => &[
                ("msg_id", Type::Int8),
                ("read_ct", Type::Int4),
                ("enqueued_at", Type::Timestamptz),
                ("last_read_at", Type::Timestamptz),
                ("vt", Type::Timestamptz),
                ("message", Type::Jsonb),
                ("headers", Type::Jsonb),
            ],
            Self::QueueRecord => &[
                ("queue_name", Type::Varchar),
                ("is_partitioned", Type::Bool),
                ("is_unlogged", Type::Bool),
                ("created_at", Type::Timestamptz),
            ],
            Self::MetricsResult => &[
                ("queue_name", Type::Text),
                ("queue_length", Type::Int8),
                ("newest_msg_age_sec", Type::Int4),
                ("oldest_msg_age_sec", Type::Int4),
                ("total_messages", Type::Int8),
                ("scrape_time", Type::Timestamptz),
                ("queue_visible_length", Type::Int8),
                ("default_partition_length", Type::Int8),
            ],
            Self::Numbered => &[("x", Type::Int2), ("n", Type::Int4)],
        }
    }
}

impl Element {
    /// The place that the first element of an array has.
    pub fn lower_bound(self) -> i32 {
        i32::from(!matches!(self, Self::OidVector | Self::Int2Vector))
    }

    /// The type of the elements.
    pub fn ty(self) -> Type {
        match self {
            Self::Bool => Type::Bool,
            Self::Int2 | Self::Int2Vector => Type::Int2,
            Self::Int4 => Type::Int4,
            Self::Int8 => Type::Int8,
            Self::Float8 => Type::Float8,
            Self::Text => Type::Text,
            Self::Varchar => Type::Varchar,
            Self::Name => Type::Name,
            Self::Json => Type::Json,
            Self::Jsonb => Type::Jsonb,
            Self::Timestamptz => Type::Timestamptz,
            Self::Oid | Self::OidVector => Type::Oid,
            Self::Char => Type::Char,
            Self::MessageRecord => Type::Composite(Composite::MessageRecord),
        }
    }
}
