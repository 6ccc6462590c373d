//! SQL as clients of pgmq send it: calls of functions, and read-only queries around them. It is not
//! Postgres.
//!
//! This crate reads statements, resolves names and types, and runs them. It knows no bytes of the
//! protocol, no queues and no broker: relations, functions and transactions are those of a [`Host`],
//! settings those of a [`Session`], and memory is paid from a [`Budget`](kyu_budget::Budget).
//!
//! ```text
//!  parse(text) -> [Statement]
//!                    Query ........ prepare(query, declared types, host) -> Prepared
//!                                     .parameters .columns .execute(values, host, session) -> Rows
//!                    CopyOut ...... the same, the door writes the rows as COPY data
//!                    Utility ...... nothing to do: its tag (CREATE EXTENSION)
//!                    everything else is data for the door
//! ```
//!
//! ```text
//!  parser    texts -> statements (ast, and data for the door); DO blocks
//!  resolve   ast -> plan: names, types, overloads, where conditions are asked
//!  run       plan -> rows, in turns
//!  work      what all of them spend: steps between looks at the end of a statement, and memory
//!  types     types, values, their texts and ids, casts, dates, decimals, JSON
//!  builtins  Postgres' own functions;  catalog  pg_catalog and information_schema as relations
//!  host, functions   what this crate asks of whoever has the relations
//! ```
//!
//! Who does what:
//! - **The door** (`wire` of kyu-pgmq) has the session: settings, prepared statements, portals, cursors, and the state machine of
//!   transactions (it calls `Host::begin`, `commit`, ... and says 25P02). It runs the statements that
//!   [`Statement`] names for it. It also converts values from and to their text and binary forms;
//!   [`text`] has both directions of the text form.
//! - **This crate** has the types: it parses, infers the types of parameters, chooses overloads, evaluates.
//!   It reads and writes settings through [`Session`] (`current_setting`, `set_config`).
//! - A [`Prepared`] keeps its plan; executing it again does not parse or choose again. It holds no state of the
//!   engine: a queue that has been dropped meanwhile is an error of its execution.
//!
//! Everything that is not in this surface is refused with 0A000 and one sentence.

#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod builtins;
mod catalog;
pub mod error;
pub mod functions;
pub mod held;
pub mod host;
mod parser;
mod plan;
mod resolve;
mod run;
pub mod types;
pub mod work;

use std::sync::Arc;

use self::plan::Plan;
use self::resolve::Known;
use crate::error::PgError;
use crate::host::Host;
use crate::types::Type;
use crate::types::value::{Column, Row, Value};
pub use parser::{Parsed, Script, block, statement};
pub use run::turns;
use statement::Change;
pub use statement::{
    CopyFormat, CopyOut, Discard, Fetch, Query, Statement, TransactionModes, Utility,
};
pub use types::zones::Zone;
use types::{cast, names};
pub use types::{json, oid, text, value};
use work::Work;

/// The longest text of a statement, in bytes: 54000 beyond it. A batch of large messages must fit.
pub const MAX_STATEMENT_BYTES: usize = 64 << 20;

/// The depth to which expressions and sub-selects may be nested: 54001 beyond it.
pub const MAX_NESTING: u32 = 64;

/// The session that runs a query, as far as the query reads and changes it. Implemented by the
/// door.
pub trait Session: Send {
    /// The value of a run-time setting (`SHOW name`), None if there is none of this name.
    fn setting(&self, name: &str) -> Option<String>;

    /// `set_config(name, value, local)`. 42704 for an unknown name, 22023 for a wrong value.
    fn set(&mut self, name: &str, value: &str, local: bool) -> Result<(), PgError>;

    /// Names and values of all settings, for `pg_settings`.
    fn settings(&self) -> Vec<(String, String)>;

    /// `current_user`.
    fn user(&self) -> &str;

    /// `current_database()`.
    fn database(&self) -> &str;

    /// `pg_notify(channel, payload)`. 22023 where Postgres refuses them.
    fn notify(&mut self, channel: &str, payload: &str) -> Result<(), PgError>;

    /// `pg_backend_pid()`.
    fn backend_pid(&self) -> i32;

    /// True while a transaction block is open (`pg_advisory_xact_lock` and the like do not care;
    /// `txid_current` does).
    fn in_transaction(&self) -> bool;

    /// The time zone that instants are read and written in.
    fn zone(&self) -> Zone {
        Zone::Utc
    }

    /// The time at which the session began, as values of `timestamptz` are.
    fn began(&self) -> i64 {
        0
    }

    /// Tells the client something that is no error.
    fn warn(&mut self, _code: &'static str, _message: String) {}

    /// Remembers the number that a send has given, for `lastval()`.
    fn gave(&mut self, _number: i64) {}

    /// The number that was remembered last.
    fn last_given(&self) -> Option<i64> {
        None
    }

    /// True if the transaction may change nothing (`transaction_read_only`).
    fn is_read_only(&self) -> bool {
        false
    }
}

/// A query whose parameters and columns are known, ready to be executed any number of times.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Types of `$1`, `$2`, ...
    pub parameters: Vec<Type>,
    /// Columns of the result.
    pub columns: Vec<Column>,
    plan: Arc<Plan>,
    /// It changes rows.
    change: Option<Change>,
}

/// The result of a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// As many values in each as the query has columns.
    pub rows: Vec<Row>,
    /// `SELECT 3`, `DELETE 1`.
    pub tag: String,
}

/// Splits a text into its statements. A text of nothing but spaces, comments and semicolons has none.
///
/// # Errors
/// 42601 with the position, 54000 above [`MAX_STATEMENT_BYTES`], 54001 above [`MAX_NESTING`], 0A000 for what
/// Postgres knows and this server does not; what `work` ends it with.
pub fn parse(text: &str, work: &mut Work) -> Result<Script, PgError> {
    parser::parse(text, work)
}

/// Chooses overloads and types. `declared` are the parameter types of the Parse message, [`Type::Unknown`] where the
/// client leaves them to the server; it may be shorter than the list of parameters.
///
/// # Errors
/// As Postgres: 42P01, 42703, 42883, 42725, 42804, 42P18, ...
pub async fn prepare<H: Host>(
    query: &Query,
    declared: &[Type],
    host: &mut H,
    work: &mut Work,
) -> Result<Prepared, PgError> {
    // Most statements name no queue's table, and asking for all of them costs more than a send.
    let known = Known { functions: host.functions(), relations: None, now: host.now() };
    let mut resolved = resolve::resolve(query, declared, known, work)?;
    if resolved.names_tables {
        let relations = host.relations().await?;
        let known = Known { relations: Some(&relations), now: host.now(), ..known };
        resolved = resolve::resolve(query, declared, known, work)?;
    }
    let silent = query.change.is_some_and(|change| !change.returning);
    let columns = if silent { Vec::new() } else { resolved.plan.columns.clone() };
    let (parameters, plan) = (resolved.parameters, Arc::new(resolved.plan));
    Ok(Prepared { parameters, columns, plan, change: query.change })
}

impl Prepared {
    /// True if it calls the host at most once, and nothing that is computed from the answer can
    /// fail: then [`Prepared::execute`] is all or nothing by itself, and the door opens no
    /// transaction around it. False is always correct, and slower.
    pub fn is_one_call(&self) -> bool {
        !self.plan.takes && self.has_the_shape_of_one_call()
    }

    fn has_the_shape_of_one_call(&self) -> bool {
        self.change.is_none() && plan::is_one_call(&self.plan)
    }

    /// True if it takes no longer than a call of the host: no rows are made but the call's, and no
    /// function is called that may take long. The door runs such a query where its socket is served.
    pub fn is_short(&self) -> bool {
        self.has_the_shape_of_one_call() && plan::is_short(&self.plan)
    }

    /// True if it gives rows; otherwise there is a count in the tag only.
    pub fn gives_rows(&self) -> bool {
        self.change.is_none_or(|change| change.returning)
    }

    /// Runs it. `values` has one value for each of [`Prepared::parameters`], of that type.
    ///
    /// # Errors
    /// Those of evaluation (22012, 22P02, ...) and those of the host.
    pub async fn execute<H: Host, S: Session>(
        &self,
        values: &[Value],
        host: &mut H,
        session: &mut S,
        work: &mut Work,
    ) -> Result<Rows, PgError> {
        let facts = if catalog::is_needed(&self.plan) {
            catalog::Facts::new(host.functions(), host.relations().await?, host.fifo_indexed())
        } else {
            catalog::Facts::new(host.functions(), Vec::new(), Vec::new())
        };
        let mut executor = run::execute::Executor::new(host, session, values, facts, work);
        let mut rows = executor.query(&self.plan).await?;
        let tag = match self.change {
            None => format!("SELECT {}", rows.len()),
            Some(Change { tag: tag @ ("TRUNCATE TABLE" | "ALTER TABLE"), .. }) => tag.to_owned(),
            Some(Change { tag, .. }) => format!("{tag} {}", rows.len()),
        };
        if !self.gives_rows() {
            rows.clear();
        }
        executor.name_objects(&mut rows, &self.columns).await?;
        Ok(Rows { tag, rows })
    }
}

/// Brings a value to another type, as an assignment does: `EXECUTE name (argument)`.
///
/// # Errors
/// 42804 where no assignment cast exists, and those of the conversion.
pub fn assign(value: Value, from: Type, to: Type) -> Result<Value, PgError> {
    // The evaluator has made literals text; they take any type.
    if from == Type::Text || cast::assignable(from, to) {
        return cast::cast(value, from, to, 0);
    }
    let (from, to) = (names::display(from), names::display(to));
    Err(PgError::new(
        "42804",
        format!("parameter of type {from} cannot be coerced to the expected type {to}"),
    )
    .hint("You will need to rewrite or cast the expression."))
}
