//! Statements, as far as `wire` must tell them apart.

use std::sync::Arc;

use crate::parser::ast::Select;
use crate::parser::block::Block;
use crate::types::Type;

/// One statement of a text.
#[derive(Clone, Debug)]
pub enum Statement {
    /// SELECT, VALUES, WITH, TABLE, and the DELETE, UPDATE, INSERT, TRUNCATE and ALTER TABLE that pgmq's functions can do.
    Query(Query),
    /// `COPY (query) TO STDOUT`.
    CopyOut(CopyOut),
    /// A statement without anything to do here.
    Utility(Utility),
    /// `BEGIN`, `START TRANSACTION`.
    Begin(TransactionModes),
    /// `COMMIT`, `END`. With `true`, `AND CHAIN`.
    Commit(bool),
    /// `ROLLBACK`, `ABORT`. With `true`, `AND CHAIN`.
    Rollback(bool),
    /// `SAVEPOINT name`.
    Savepoint(String),
    /// `RELEASE [SAVEPOINT] name`.
    Release(String),
    /// `ROLLBACK TO [SAVEPOINT] name`.
    RollbackTo(String),
    /// `SET TRANSACTION` (false), `SET SESSION CHARACTERISTICS AS TRANSACTION` (true).
    SetTransaction(TransactionModes, bool),
    /// `SET [LOCAL] name = value`; no value is `DEFAULT`. Names are in lower case; `TIME ZONE` is `timezone`,
    /// `NAMES` is `client_encoding`. A list is joined by `, `.
    Set {
        /// The name of the setting.
        name: String,
        /// Text; None for DEFAULT.
        value: Option<String>,
        /// Only until the end of the transaction.
        local: bool,
    },
    /// `SHOW name`; `all` for all; `transaction_isolation` for `TRANSACTION ISOLATION LEVEL`.
    Show(String),
    /// `RESET name`; None is `RESET ALL`.
    Reset(Option<String>),
    /// `DISCARD ...`.
    Discard(Discard),
    /// `PREPARE name (types) AS statement`.
    Prepare {
        /// The name of the prepared statement.
        name: String,
        /// Declared types; may be fewer than there are parameters.
        types: Vec<Type>,
        /// The statement that is prepared.
        query: Query,
    },
    /// `EXECUTE name (arguments)`: a query of one row with the arguments, if there are any. Bring the values to the
    /// statement's types with [`crate::assign`].
    Execute {
        /// The name of the prepared statement.
        name: String,
        /// Gives one row.
        arguments: Option<Query>,
    },
    /// `DEALLOCATE name`; None is ALL.
    Deallocate(Option<String>),
    /// `DECLARE name CURSOR FOR query`.
    Declare {
        /// The name of the cursor.
        name: String,
        /// `WITH HOLD`.
        hold: bool,
        /// `BINARY`.
        binary: bool,
        /// The query.
        query: Query,
    },
    /// `FETCH` or `MOVE`.
    Fetch(Fetch),
    /// `CLOSE name`; None is ALL.
    Close(Option<String>),
    /// `LISTEN channel`.
    Listen(String),
    /// `UNLISTEN channel`; None is `*`.
    Unlisten(Option<String>),
    /// `NOTIFY channel [, payload]`.
    Notify(String, String),
    /// `DO $$ ... $$`.
    Do(Arc<Block>),
}

/// A query, opaque to `wire`: hand it to [`crate::prepare`].
#[derive(Clone, Debug)]
pub struct Query {
    pub(crate) select: Arc<Select>,
    /// The text that it stands in, for positions in errors.
    pub(crate) text: Arc<str>,
    /// It was a statement that changes rows.
    pub(crate) change: Option<Change>,
}

impl Query {
    /// About what it takes in memory: it is no larger than its text allows.
    pub fn bytes(&self) -> usize {
        self.text.len() * 8
    }
}

/// A statement that changes rows, written as a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// The tag of CommandComplete, without the count of rows: `DELETE`, `INSERT 0`, `TRUNCATE
    /// TABLE`.
    pub(crate) tag: &'static str,
    /// It has RETURNING: it gives rows.
    pub(crate) returning: bool,
}

/// `COPY (query) TO STDOUT`.
#[derive(Clone, Debug)]
pub struct CopyOut {
    /// The query whose rows are copied.
    pub query: Query,
    /// The format of its lines.
    pub format: CopyFormat,
    /// True if a first line has the names.
    pub header: bool,
    /// The text between values; the format's default if None.
    pub delimiter: Option<char>,
    /// The text of NULL; the format's default if None.
    pub null: Option<String>,
}

/// Format of COPY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    /// Tabs, `\N`.
    Text,
    /// Commas, double quotes.
    Csv,
    /// With lengths.
    Binary,
}

/// A statement without anything to do here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Utility {
    /// The tag of CommandComplete: `CREATE EXTENSION`.
    pub tag: &'static str,
    /// A NOTICE to send before, with its SQLSTATE.
    pub notice: Option<(&'static str, String)>,
}

/// The modes that stand behind BEGIN.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionModes {
    /// `ISOLATION LEVEL ...`, in lower case: `read committed`.
    pub isolation: Option<&'static str>,
    /// `READ ONLY` (true), `READ WRITE` (false).
    pub read_only: Option<bool>,
    /// `[NOT] DEFERRABLE`.
    pub deferrable: Option<bool>,
    /// It was `START TRANSACTION`, which is its tag then.
    pub start: bool,
}

/// The things that DISCARD drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discard {
    /// All of it, settings and LISTEN included.
    All,
    /// `PLANS`.
    Plans,
    /// `SEQUENCES`.
    Sequences,
    /// `TEMP`.
    Temp,
}

/// `FETCH count FROM cursor`. Cursors only go forwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The name of the cursor.
    pub cursor: String,
    /// At most so many rows; None is all. Negative: backwards, which is refused with 55000.
    pub count: Option<i64>,
    /// `MOVE`: rows are skipped, not sent.
    pub skip: bool,
}
