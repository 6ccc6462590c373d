//! The account of a running statement: steps between looks at its end, and memory.
//!
//! Every loop of the parser, the resolver and the evaluator counts its rounds here. Counting is how
//! `statement_timeout` and a cancel reach code that does not wait for anything, and how the
//! asynchronous part knows when it is time to let others run.

use std::sync::Arc;

use kyu_budget::Budget;

use crate::error::PgError;
use crate::held::Held;
use crate::types::value::{Row, Value};

/// Steps between two looks at whether the statement has been ended: some tens of microseconds.
const STEPS_BETWEEN_LOOKS: u32 = 512;

/// Steps after which the asynchronous part lets others run: about a millisecond.
const STEPS_BETWEEN_YIELDS: u32 = 8_192;

/// The depth to which queries may call each other while they run: 54001 beyond it. A nesting that
/// the parser accepts stays below it; what a thread's stack takes is several times as much.
const MAX_DEPTH: u32 = 100;

/// Most rows at each stage of a query: 53400 beyond it.
pub const MAX_ROWS: usize = 1_000_000;

/// Bytes of input that count as one step, where a function walks over all of it.
const BYTES_A_STEP: usize = 64;

/// A watch over what may end a statement from outside: a timeout, a cancel, a client that has gone.
pub trait Watch: Send + Sync {
    /// The error that ends the statement, once there is a reason.
    fn interrupted(&self) -> Option<PgError>;
}

/// Nobody ends the statement.
impl Watch for () {
    fn interrupted(&self) -> Option<PgError> {
        None
    }
}

/// Counts what one statement does.
pub struct Work {
    watch: Arc<dyn Watch>,
    memory: Held,
    steps: u64,
    looks: u64,
    until_look: u32,
    until_yield: u32,
    depth: u32,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work").field("steps", &self.steps).finish_non_exhaustive()
    }
}

impl Work {
    /// The work of one statement of a session that has this budget.
    pub fn new(watch: Arc<dyn Watch>, budget: &Budget) -> Self {
        Self {
            watch,
            memory: Held::new(budget),
            steps: 0,
            looks: 0,
            until_look: STEPS_BETWEEN_LOOKS,
            until_yield: STEPS_BETWEEN_YIELDS,
            depth: 0,
        }
    }

    /// Work that nobody ends, with memory of its own: for tests and fuzzing.
    pub fn alone() -> Self {
        Self::new(Arc::new(()), &Budget::process(1 << 30))
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The number of looks at whether it has been ended.
    pub fn looks(&self) -> u64 {
        self.looks
    }

    /// Bytes held now.
    pub fn held_bytes(&self) -> usize {
        self.memory.bytes()
    }

    /// Takes the memory over: what it holds goes on living, and is given back with the result.
    pub fn into_held(self) -> Held {
        self.memory
    }

    /// Counts one step.
    ///
    /// # Errors
    /// The error that ended the statement, such as 57014.
    pub(crate) fn step(&mut self) -> Result<(), PgError> {
        self.spend(1)
    }

    /// Counts several steps.
    pub(crate) fn spend(&mut self, steps: u32) -> Result<(), PgError> {
        self.steps = self.steps.saturating_add(u64::from(steps));
        self.until_yield = self.until_yield.saturating_sub(steps);
        match self.until_look.checked_sub(steps) {
            Some(left) => {
                self.until_look = left;
                Ok(())
            }
            None => self.look(),
        }
    }

    /// Counts a walk over so many bytes.
    pub(crate) fn walk(&mut self, bytes: usize) -> Result<(), PgError> {
        self.spend(u32::try_from(bytes / BYTES_A_STEP).unwrap_or(u32::MAX))
    }

    #[cold]
    fn look(&mut self) -> Result<(), PgError> {
        self.until_look = STEPS_BETWEEN_LOOKS;
        self.looks += 1;
        self.watch.interrupted().map_or(Ok(()), Err)
    }

    /// Lets others run if it has been a while. Every loop that makes rows waits here.
    pub(crate) async fn breathe(&mut self) -> Result<(), PgError> {
        self.step()?;
        if self.until_yield == 0 {
            self.until_yield = STEPS_BETWEEN_YIELDS;
            tokio::task::yield_now().await;
            self.look()?;
        }
        Ok(())
    }

    /// Takes memory; given back by [`Work::back_to`], or when the statement's result is gone.
    ///
    /// # Errors
    /// 53200.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), PgError> {
        self.memory.grow(bytes)
    }

    /// Asks whether a value of this size could be made, before it is.
    pub(crate) fn afford(&mut self, bytes: usize) -> Result<(), PgError> {
        let before = self.memory.bytes();
        self.memory.grow(bytes)?;
        self.memory.back_to(before);
        self.walk(bytes)
    }

    /// A place to go back to.
    pub(crate) fn mark(&self) -> usize {
        self.memory.bytes()
    }

    /// Gives back what was taken since a mark.
    pub(crate) fn back_to(&mut self, mark: usize) {
        self.memory.back_to(mark);
    }

    /// Gives back what was taken since a mark, except for the rows that came out of it.
    pub(crate) fn keep(&mut self, mark: usize, rows: &[Row]) -> Result<(), PgError> {
        let bytes = rows.iter().map(row_bytes).sum();
        self.memory.back_to(mark);
        self.memory.grow(bytes)
    }

    /// Goes one query deeper.
    ///
    /// # Errors
    /// 54001 above the bound.
    pub(crate) fn enter(&mut self) -> Result<(), PgError> {
        if self.depth >= MAX_DEPTH {
            return Err(too_deep());
        }
        self.depth += 1;
        Ok(())
    }

    /// Leaves what [`Work::enter`] entered.
    pub(crate) fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// Checks that one more row may join so many.
    ///
    /// # Errors
    /// 53400 above [`MAX_ROWS`].
    pub(crate) fn room(rows: usize) -> Result<(), PgError> {
        if rows >= MAX_ROWS { Err(too_many_rows()) } else { Ok(()) }
    }
}

/// The error that Postgres gives for a statement that is nested too deeply.
pub(crate) fn too_deep() -> PgError {
    PgError::new("54001", "stack depth limit exceeded")
        .hint("Write the statement with less nesting; lists and arrays may be long.")
}

pub(crate) fn too_many_rows() -> PgError {
    PgError::new("53400", format!("a query may not make more than {MAX_ROWS} rows"))
        .hint("Read fewer rows at a time.")
}

/// The memory that a row takes.
pub(crate) fn row_bytes(row: &Row) -> usize {
    size_of::<Row>() + row.iter().map(value_bytes).sum::<usize>()
}

/// The memory that a value takes. A shared text counts each time: whoever holds it keeps it alive.
pub fn value_bytes(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Text(text) | Value::Numeric(text) => text.len(),
            Value::Json(text) => text.len(),
            Value::Bytea(bytes) => bytes.len(),
            Value::Array(_, values) | Value::Row(_, values) => values.iter().map(value_bytes).sum(),
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Timestamp(_)
            | Value::Interval { .. }
            | Value::Void => 0,
        }
}

/// The memory that the tree of a JSON text takes at most: its bytes, and a node for each separator.
pub(crate) fn json_bytes(text: &str) -> usize {
    let separators = memchr::memchr2_iter(b',', b':', text.as_bytes()).count();
    text.len() + (separators + 1) * 2 * size_of::<crate::types::json::Json>()
}
