//! The budget of a session's statements, and where they run: what is short where its socket is
//! served, everything else in [`Turns`](kyu_pgsql::turns::Turns).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use kyu_budget::Level;
use kyu_pgsql::error::PgError;
use kyu_pgsql::held::Held;
use kyu_pgsql::host::Host;
use kyu_pgsql::types::Type;
use kyu_pgsql::value::{Row, Value};
use kyu_pgsql::work::{Watch, Work, value_bytes};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::server::Queues;
use super::session::{Session, Stop, interruptible};

/// Texts and parameters up to this size are read where the socket is served: it takes less than a
/// millisecond.
const SHORT_BYTES: usize = 32 << 10;

/// The part of a session that a CancelRequest reaches.
#[derive(Debug, Default)]
pub(super) struct Cancel {
    asked: AtomicBool,
    /// Wakes what waits.
    pub(super) notify: Notify,
}

impl Cancel {
    /// Ends what the session runs now.
    pub(super) fn ask(&self) {
        self.asked.store(true, Relaxed);
        self.notify.notify_waiters();
    }

    /// A new message begins: what was asked before was for the one before it.
    pub(super) fn forget(&self) {
        self.asked.store(false, Relaxed);
    }
}

/// The end of one statement.
struct StatementEnd {
    cancel: Arc<Cancel>,
    deadline: Option<Instant>,
}

impl Watch for StatementEnd {
    fn interrupted(&self) -> Option<PgError> {
        if self.cancel.asked.load(Relaxed) {
            return Some(PgError::new("57014", super::session::BY_USER));
        }
        let over = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        over.then(|| PgError::new("57014", super::session::BY_TIMEOUT))
    }
}

/// The rows that a query gave, and the memory that they take.
pub(super) struct Fetched {
    pub(super) rows: Vec<Row>,
    pub(super) tag: String,
    pub(super) held: Held,
}

impl<Q: Queues> Session<'_, Q> {
    /// The time by which the statement that begins now must have ended: `statement_timeout`, or
    /// that of the block that it is a step of.
    fn deadline(&self) -> Option<Instant> {
        let ms = self.context.settings.statement_timeout_ms();
        let own = (ms > 0).then(|| Instant::now() + Duration::from_millis(ms));
        own.into_iter().chain(self.block_deadline).min()
    }

    /// The steps and the memory that a statement may spend.
    pub(super) fn statement_work(&self) -> Work {
        let end = StatementEnd { cancel: Arc::clone(&self.cancel), deadline: self.deadline() };
        let most = self.port.limits.statement_memory_bytes;
        Work::new(Arc::new(end), &self.budget.within(Level::Statement, most))
    }

    /// A share of the session's memory.
    pub(super) fn hold(&self, bytes: usize) -> Result<Held, PgError> {
        let mut held = Held::new(&self.budget);
        held.grow(bytes)?;
        Ok(held)
    }

    /// Reads a text, with the memory that it takes.
    pub(super) async fn read(&mut self, text: &str) -> Result<(kyu_pgsql::Script, Held), Stop> {
        let mut work = self.statement_work();
        let deadline = self.deadline();
        let long = text.len() > SHORT_BYTES;
        let parse = async { kyu_pgsql::parse(text, &mut work) };
        let parse = self.port.turns.apart(long, parse);
        let script = interruptible(&mut self.connection, &self.cancel, deadline, parse).await?;
        Ok((script, work.into_held()))
    }

    /// The next statement of a text.
    pub(super) async fn next_statement(
        &mut self,
        script: &mut kyu_pgsql::Script,
    ) -> Result<Option<(kyu_pgsql::Parsed, bool)>, Stop> {
        let mut work = self.statement_work();
        Ok(script.next(&mut work)?)
    }

    /// Finds out all that can be known of a query before it runs.
    pub(super) async fn resolve(
        &mut self,
        query: &kyu_pgsql::Query,
        declared: &[Type],
        bytes: usize,
    ) -> Result<kyu_pgsql::Prepared, Stop> {
        let mut work = self.statement_work();
        let deadline = self.deadline();
        let prepare = kyu_pgsql::prepare(query, declared, &mut self.host, &mut work);
        let prepare = self.port.turns.apart(bytes > SHORT_BYTES * 8, prepare);
        interruptible(&mut self.connection, &self.cancel, deadline, prepare).await
    }

    /// Runs a query that is prepared.
    pub(super) async fn fetch(
        &mut self,
        prepared: &kyu_pgsql::Prepared,
        values: &[Value],
    ) -> Result<Fetched, Stop> {
        let mut work = self.statement_work();
        let deadline = self.deadline();
        let (lock_timeout_ms, deadlock_timeout_ms) = self.context.settings.patience_ms();
        self.host.set_patience(lock_timeout_ms, deadlock_timeout_ms);
        let bytes: usize = values.iter().map(value_bytes).sum();
        let long = bytes > SHORT_BYTES * 8 || !prepared.is_short();
        let run = prepared.execute(values, &mut self.host, &mut self.context, &mut work);
        let run = self.port.turns.apart(long, run);
        let kyu_pgsql::Rows { rows, tag } =
            interruptible(&mut self.connection, &self.cancel, deadline, run).await?;
        Ok(Fetched { rows, tag, held: work.into_held() })
    }
}
