//! The host of SQL: pgmq's functions, relations of the engine's state, and transactions.

use std::future::Future;

use crate::error::{Notice, PgError};
use crate::functions::Functions;
use crate::types::value::{Column, Row, Value};
use crate::types::{Composite, Type};

/// Names one overload of a function, in the table of [`Host::functions`]. Shape of arguments: exactly
/// the declared ones in order, defaults filled in, values of the declared types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverloadId(pub u16);

/// A relation that is a view of the engine's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `pgmq.q_<name>`: what waits or is in flight.
    Queue(String),
    /// `pgmq.a_<name>`: the archive.
    Archive(String),
    /// `pgmq.meta`.
    Meta,
    /// `pgmq.topic_bindings`.
    TopicBindings,
    /// `pgmq.notify_insert_throttle`.
    NotifyInsertThrottle,
}

impl Relation {
    /// The relation of a table of schema `pgmq`, whether it exists or not.
    pub(crate) fn of_table(table: &str) -> Option<Self> {
        match table {
            "meta" => Some(Self::Meta),
            "topic_bindings" => Some(Self::TopicBindings),
            "notify_insert_throttle" => Some(Self::NotifyInsertThrottle),
            _ => {
                let queue = table.strip_prefix("q_").map(|name| Self::Queue(name.to_owned()));
                let archive =
                    || table.strip_prefix("a_").map(|name| Self::Archive(name.to_owned()));
                queue.or_else(archive)
            }
        }
    }

    /// Its columns.
    pub(crate) fn columns(&self) -> Vec<Column> {
        let column = |name: &str, ty| Column { name: name.to_owned(), ty };
        match self {
            Self::Queue(_) => Composite::MessageRecord.as_columns(),
            Self::Archive(_) => {
                let mut columns = Composite::MessageRecord.as_columns();
                columns.insert(4, column("archived_at", Type::Timestamptz));
                columns
            }
            Self::Meta => Composite::QueueRecord.as_columns(),
            Self::TopicBindings => vec![
                column("pattern", Type::Text),
                column("queue_name", Type::Text),
                column("bound_at", Type::Timestamptz),
                column("compiled_regex", Type::Text),
            ],
            Self::NotifyInsertThrottle => vec![
                column("queue_name", Type::Varchar),
                column("throttle_interval_ms", Type::Int4),
                column("last_notified_at", Type::Timestamptz),
            ],
        }
    }
}

/// The bounds of a scan: rows that it may leave out. The evaluator filters again, so ignoring it is
/// correct.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanBounds {
    /// Only this `msg_id`.
    pub msg_id: Option<i64>,
    /// At most this many rows in order of `msg_id`.
    pub limit: Option<u64>,
}

/// One database session's access to the queues. Statements of a session run one after the other.
///
/// Outside [`Host::begin`] .. [`Host::commit`] every call takes effect, durably, when it returns.
/// Inside, its effects are visible to this session only, until the commit makes them durable and
/// visible in one atomic step. Dropping the host rolls back.
pub trait Host: Send {
    /// The functions that [`Host::call`] knows.
    fn functions(&self) -> Functions;

    /// Calls a function; its result rows have the columns that the function table declares.
    fn call(
        &mut self,
        overload: OverloadId,
        arguments: Vec<Value>,
    ) -> impl Future<Output = Result<Vec<Row>, PgError>> + Send;

    /// Rows of a relation, in order of `msg_id` for queues and archives. 42P01 if there is none.
    fn scan(
        &mut self,
        relation: &Relation,
        bounds: &ScanBounds,
    ) -> impl Future<Output = Result<Vec<Row>, PgError>> + Send;

    /// The number of rows that a scan would give, if that is known without one.
    fn count(
        &mut self,
        _relation: &Relation,
    ) -> impl Future<Output = Result<Option<u64>, PgError>> + Send {
        async { Ok(None) }
    }

    /// Relations that exist now, for the catalogue.
    fn relations(&mut self) -> impl Future<Output = Result<Vec<Relation>, PgError>> + Send;

    /// Names of the queues with an index on their headers (`q_<name>_fifo_idx`), for the catalogue.
    fn fifo_indexed(&self) -> Vec<String> {
        Vec::new()
    }

    /// Begins a transaction.
    fn begin(&mut self) -> impl Future<Output = Result<(), PgError>> + Send;

    /// Makes everything since [`Host::begin`] durable and visible, or nothing.
    fn commit(&mut self) -> impl Future<Output = Result<(), PgError>> + Send;

    /// Takes everything since [`Host::begin`] back.
    fn rollback(&mut self) -> impl Future<Output = ()> + Send;

    /// Marks a place inside a transaction.
    fn savepoint(&mut self, name: &str) -> impl Future<Output = Result<(), PgError>> + Send;

    /// Takes back everything since the newest savepoint of this name, which stays. 3B001 if none.
    fn rollback_to(&mut self, name: &str) -> impl Future<Output = Result<(), PgError>> + Send;

    /// Forgets a savepoint and those after it. 3B001 if none.
    fn release(&mut self, name: &str) -> impl Future<Output = Result<(), PgError>> + Send;

    /// The time of the current transaction (`now()`), microseconds since 2000-01-01 UTC.
    fn now(&self) -> i64;

    /// Notices since the last call.
    fn take_notices(&mut self) -> Vec<Notice>;

    /// Sets how long statements from now on wait for other transactions: `lock_timeout` (0 for as
    /// long as it takes; then 55P03) and `deadlock_timeout`, after which 40P01 ends a circle of
    /// waiting.
    fn set_patience(&mut self, _lock_timeout_ms: u64, _deadlock_timeout_ms: u64) {}

    /// `LISTEN channel`: notifications of the channel go to this session from the commit on.
    /// 54000 beyond what a session may listen to.
    fn listen(&mut self, channel: &str) -> Result<(), PgError>;

    /// `UNLISTEN channel`, or all of them.
    fn unlisten(&mut self, channel: Option<&str>) -> Result<(), PgError>;
}
