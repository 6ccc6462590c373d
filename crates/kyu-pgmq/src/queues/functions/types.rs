//! Types of arguments and results in the table of functions: how SQL calls each, and what it is in
//! Rust. The evaluator has made arguments of the declared types; anything else is a bug of ours.

use std::marker::PhantomData;
use std::sync::Arc;

use kyu_pgsql::error::PgError;
use kyu_pgsql::functions::Returns;
use kyu_pgsql::types::{Composite, Element, Type};
use kyu_pgsql::value::{Row, Value};

use super::super::message::MessageRow;

/// The arguments of a call, taken one after the other.
pub(super) struct Arguments(std::vec::IntoIter<Value>);

impl Arguments {
    pub(super) fn new(values: Vec<Value>) -> Self {
        Self(values.into_iter())
    }

    /// The next one, and those behind it.
    pub(super) fn next<T: Accepted>(mut self) -> Result<(T::Taken, Self), PgError> {
        let taken = self.0.next().and_then(T::take);
        taken.map(|taken| (taken, self)).ok_or_else(|| wrong(&format!("{:?}", T::TYPE)))
    }

    /// There is no more.
    pub(super) fn end(mut self) -> Result<(), PgError> {
        self.0.next().map_or(Ok(()), |_| Err(wrong("too many")))
    }
}

fn wrong(what: &str) -> PgError {
    PgError::new("XX000", format!("a call with other arguments than declared: {what}"))
}

/// A type that an argument may have.
pub(super) trait Accepted {
    /// The type in SQL.
    const TYPE: Type;
    /// The type in Rust. NULL is `None`, or an empty list where that means the same.
    type Taken;

    /// Accepted a value apart; `None` for one of another type.
    fn take(value: Value) -> Option<Self::Taken>;
}

/// A type of one value, or one row, of a result.
pub(super) trait Single {
    /// The type in SQL.
    const TYPE: Type;
    /// The type in Rust.
    type Given;

    fn row(given: Self::Given) -> Row;
}

/// The result of a function: one row, a set, or a table.
pub(super) trait Gives {
    /// Its declaration.
    const RETURNS: Returns;
    /// The type in Rust, which the function's code gives.
    type Given;

    fn rows(given: Self::Given) -> Vec<Row>;
}

/// One row.
pub(super) struct One<T>(PhantomData<T>);

impl<T: Single> Gives for One<T> {
    const RETURNS: Returns = Returns::One(T::TYPE);
    type Given = T::Given;

    fn rows(given: Self::Given) -> Vec<Row> {
        vec![T::row(given)]
    }
}

/// Any number of rows.
pub(super) struct Set<T>(PhantomData<T>);

impl<T: Single> Gives for Set<T> {
    const RETURNS: Returns = Returns::Set(T::TYPE);
    type Given = Vec<T::Given>;

    fn rows(given: Self::Given) -> Vec<Row> {
        given.into_iter().map(T::row).collect()
    }
}

/// `text`.
pub(super) struct Text;
/// `boolean`.
pub(super) struct Bool;
/// `integer`.
pub(super) struct Int4;
/// `bigint`.
pub(super) struct Int8;
/// `bigint[]`. NULL elements are left out: they equal no message's number.
pub(super) struct Int8s;
/// `jsonb`.
pub(super) struct Jsonb;
/// `jsonb[]`.
pub(super) struct Jsonbs;
/// `timestamptz`, in microseconds since 2000.
pub(super) struct Time;
/// `void`.
pub(super) struct Void;
/// `pgmq.message_record`.
pub(super) struct Message;
/// `pgmq.queue_record`.
pub(super) struct Queue;
/// `pgmq.metrics_result`.
pub(super) struct Metrics;

/// A type of arguments that one kind of [`Value`] holds, which may be NULL.
macro_rules! accepted {
    ($($name:ident = $ty:expr, $variant:ident as $taken:ty;)*) => {$(
        impl Accepted for $name {
            const TYPE: Type = $ty;
            type Taken = Option<$taken>;

            fn take(value: Value) -> Option<Self::Taken> {
                match value {
                    Value::Null => Some(None),
                    Value::$variant(taken) => Some(Some(taken)),
                    _ => None,
                }
            }
        }
    )*};
}

accepted! {
    Text = Type::Text, Text as String;
    Bool = Type::Bool, Bool as bool;
    Int4 = Type::Int4, Int as i64;
    Int8 = Type::Int8, Int as i64;
    Jsonb = Type::Jsonb, Json as Arc<str>;
    Time = Type::Timestamptz, Timestamp as i64;
}

impl Accepted for Int8s {
    const TYPE: Type = Type::Array(Element::Int8);
    type Taken = Vec<i64>;

    fn take(value: Value) -> Option<Self::Taken> {
        match value {
            Value::Null => Some(Vec::new()),
            Value::Array(_, items) => {
                Some(items.into_iter().filter_map(|item| Int8::take(item)?).collect())
            }
            _ => None,
        }
    }
}

impl Accepted for Jsonbs {
    const TYPE: Type = Type::Array(Element::Jsonb);
    type Taken = Option<Vec<Option<Arc<str>>>>;

    fn take(value: Value) -> Option<Self::Taken> {
        match value {
            Value::Null => Some(None),
            Value::Array(_, items) => {
                items.into_iter().map(Jsonb::take).collect::<Option<_>>().map(Some)
            }
            _ => None,
        }
    }
}

/// A type of results that is one value.
macro_rules! single {
    ($($name:ident = $ty:expr, $given:ty, |$value:pat_param| $row:expr;)*) => {$(
        impl Single for $name {
            const TYPE: Type = $ty;
            type Given = $given;

            fn row($value: $given) -> Row {
                $row
            }
        }
    )*};
}

single! {
    Void = Type::Void, (), |()| vec![Value::Void];
    Bool = Type::Bool, bool, |value| vec![Value::Bool(value)];
    Int4 = Type::Int4, i64, |value| vec![Value::Int(value)];
    Int8 = Type::Int8, i64, |value| vec![Value::Int(value)];
    Text = Type::Text, Option<String>, |value| vec![value.map_or(Value::Null, Value::Text)];
    Jsonb = Type::Jsonb, Arc<str>, |value| vec![Value::Json(value)];
    Message = Type::Composite(Composite::MessageRecord), MessageRow, |row| row.record();
    Queue = Type::Composite(Composite::QueueRecord), Row, |row| row;
    Metrics = Type::Composite(Composite::MetricsResult), Row, |row| row;
}

/// A result with columns of its own.
macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident($($column:ident: $ty:ident),*);)*) => {$(
        $(#[$doc])*
        pub(super) struct $name;

        impl Gives for $name {
            const RETURNS: Returns =
                Returns::Table(&[$((stringify!($column), <$ty as Accepted>::TYPE)),*]);
            type Given = Vec<Row>;

            fn rows(given: Vec<Row>) -> Vec<Row> {
                given
            }
        }
    )*};
}

tables! {
    /// The messages that a routing key gave, in every queue.
    TopicIds(queue_name: Text, msg_id: Int8);
    /// Bindings of topics.
    Bindings(pattern: Text, queue_name: Text, bound_at: Time, compiled_regex: Text);
    /// The bindings that a routing key meets.
    Routes(pattern: Text, queue_name: Text, compiled_regex: Text);
    /// Queues that notify.
    Throttles(queue_name: Text, throttle_interval_ms: Int4, last_notified_at: Time);
    /// All of one queue.
    QueueInfo(
        queue_name: Text, queue_length: Int8, newest_msg_age_sec: Int4, oldest_msg_age_sec: Int4,
        total_messages: Int8, scrape_time: Time, queue_visible_length: Int8,
        default_partition_length: Int8, is_partitioned: Bool, is_unlogged: Bool, created_at: Time
    );
}
