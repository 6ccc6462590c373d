//! The state machine of transactions, as Postgres has it (`xact.c`, TBLOCK_*).

use kyu_pgsql::error::PgError;
use kyu_pgsql::held::Held;
use kyu_pgsql::host::Host;
use kyu_pgsql::{Statement, TransactionModes};

use super::backend::Status;
use super::server::Queues;
use super::session::{Session, Stop};
use super::settings::Saved;

/// The state of a session's transaction block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum BlockState {
    /// No transaction.
    #[default]
    Idle,
    /// One that nobody began: ends with the group of messages, or the text of a simple query.
    Implicit,
    /// After BEGIN.
    Block,
    /// After an error in a block: 25P02 until it ends.
    Failed,
}

/// A session's transaction.
#[derive(Debug, Default)]
pub(super) struct TransactionBlock {
    pub(super) state: BlockState,
    /// True while the host has it open; not after a failure without a savepoint to go back to.
    pub(super) on_host: bool,
    /// Savepoints in the order in which they were made.
    savepoints: Vec<SessionSavepoint>,
}

#[derive(Debug)]
struct SessionSavepoint {
    name: String,
    settings: Saved,
    /// The memory of the settings.
    _held: Held,
    /// The number of notifications by then.
    said: usize,
}

/// Savepoints of one transaction: 54000 beyond it.
const MAX_SAVEPOINTS: usize = 1_000;

impl TransactionBlock {
    pub(super) fn status(&self) -> Status {
        match self.state {
            BlockState::Idle | BlockState::Implicit => Status::Idle,
            BlockState::Block => Status::Open,
            BlockState::Failed => Status::Failed,
        }
    }

    fn position(&self, name: &str) -> Result<usize, PgError> {
        self.savepoints
            .iter()
            .rposition(|savepoint| savepoint.name == name)
            .ok_or_else(|| PgError::new("3B001", format!("savepoint \"{name}\" does not exist")))
    }
}

/// 25P02.
pub(super) fn aborted() -> PgError {
    PgError::new(
        "25P02",
        "current transaction is aborted, commands ignored until end of transaction block",
    )
}

/// True for a statement that may stand in a failed block.
pub(super) fn ends_failed(statement: &Statement) -> bool {
    matches!(statement, Statement::Commit(_) | Statement::Rollback(_) | Statement::RollbackTo(_))
}

/// True for a statement about transactions, which opens none by itself.
pub(super) fn is_control(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Begin(_)
            | Statement::Commit(_)
            | Statement::Rollback(_)
            | Statement::Savepoint(_)
            | Statement::Release(_)
            | Statement::RollbackTo(_)
    )
}

impl<Q: Queues> Session<'_, Q> {
    /// Opens a transaction.
    pub(super) async fn start(&mut self, state: BlockState) -> Result<(), PgError> {
        self.host.begin().await?;
        self.transaction = TransactionBlock { state, on_host: true, ..TransactionBlock::default() };
        self.context.settings.begin();
        self.context.in_block = state == BlockState::Block;
        Ok(())
    }

    /// Ends the transaction. An error means that nothing of it happened.
    pub(super) async fn end(&mut self, commit: bool) -> Result<(), PgError> {
        let ended = match (self.transaction.on_host, commit) {
            (true, true) => self.host.commit().await,
            (true, false) => {
                self.host.rollback().await;
                Ok(())
            }
            (false, _) => Ok(()),
        };
        self.transaction = TransactionBlock::default();
        self.context.in_block = false;
        self.context.settings.end(commit && ended.is_ok());
        if commit && ended.is_ok() {
            self.tell_others();
        }
        self.context.said.clear();
        self.context.settle();
        self.portals.retain(|_, portal| portal.held && commit);
        ended
    }

    /// After an error.
    pub(super) async fn fail_transaction(&mut self) {
        match self.transaction.state {
            BlockState::Idle | BlockState::Failed => {}
            // Rolling back does not fail.
            BlockState::Implicit => drop(self.end(false).await),
            BlockState::Block => {
                self.transaction.state = BlockState::Failed;
                if !self.transaction.on_host {
                    return;
                }
                // Claims and locks are given back now, not when the client says so: nobody else
                // waits for a transaction that can only go back.
                let back = match self.transaction.savepoints.last() {
                    Some(savepoint) => self.host.rollback_to(&savepoint.name).await.is_ok(),
                    None => false,
                };
                if !back && self.transaction.savepoints.is_empty() {
                    self.host.rollback().await;
                    self.transaction.on_host = false;
                }
            }
        }
    }

    /// Runs a statement of [`is_control`]; gives its tag.
    pub(super) async fn control(&mut self, statement: &Statement) -> Result<&'static str, Stop> {
        match statement {
            Statement::Begin(modes) => self.begin_block(modes).await,
            Statement::Commit(chain) => self.end_block(true, *chain).await,
            Statement::Rollback(chain) => self.end_block(false, *chain).await,
            Statement::Savepoint(name) => self.savepoint(name).await,
            Statement::Release(name) => self.release(name).await,
            Statement::RollbackTo(name) => self.roll_back_to(name).await,
            _ => Ok(""),
        }
    }

    async fn begin_block(&mut self, modes: &TransactionModes) -> Result<&'static str, Stop> {
        match self.transaction.state {
            BlockState::Idle => self.start(BlockState::Block).await?,
            // What ran before it in the same text becomes part of the block.
            BlockState::Implicit => {
                self.transaction.state = BlockState::Block;
                self.context.in_block = true;
            }
            BlockState::Block => self.warn("25001", "there is already a transaction in progress"),
            BlockState::Failed => return Err(aborted().into()),
        }
        self.set_modes(modes, true)?;
        Ok(if modes.start { "START TRANSACTION" } else { "BEGIN" })
    }

    /// Settings that stand for the modes of a transaction. READ ONLY is obeyed; the others have no
    /// other effect, for a transaction here is one atomic step whatever it asked for.
    pub(super) fn set_modes(
        &mut self,
        modes: &TransactionModes,
        transaction: bool,
    ) -> Result<(), PgError> {
        let prefix = if transaction { "transaction" } else { "default_transaction" };
        let on = |on: bool| if on { "on" } else { "off" };
        for (name, value) in [
            ("isolation", modes.isolation),
            ("read_only", modes.read_only.map(on)),
            ("deferrable", modes.deferrable.map(on)),
        ] {
            if let Some(value) = value {
                self.context.set_setting(&format!("{prefix}_{name}"), value, transaction)?;
            }
        }
        Ok(())
    }

    async fn end_block(&mut self, commit: bool, chain: bool) -> Result<&'static str, Stop> {
        let tag = match (commit, self.transaction.state) {
            // COMMIT of what failed takes it back, and says so.
            (true, BlockState::Failed) | (false, _) => "ROLLBACK",
            (true, _) => "COMMIT",
        };
        match self.transaction.state {
            BlockState::Idle | BlockState::Implicit if chain => {
                let verb = if commit { "COMMIT" } else { "ROLLBACK" };
                let message = format!("{verb} AND CHAIN can only be used in transaction blocks");
                return Err(PgError::new("25P01", message).into());
            }
            BlockState::Idle => self.warn("25P01", "there is no transaction in progress"),
            BlockState::Implicit => {
                self.warn("25P01", "there is no transaction in progress");
                self.end(commit).await?;
            }
            BlockState::Block | BlockState::Failed => {
                self.end(tag == "COMMIT").await?;
                if chain {
                    self.start(BlockState::Block).await?;
                }
            }
        }
        Ok(tag)
    }

    fn demand_block(&self, what: &str) -> Result<(), Stop> {
        match self.transaction.state {
            BlockState::Block => Ok(()),
            BlockState::Failed => Err(aborted().into()),
            BlockState::Idle | BlockState::Implicit => {
                let message = format!("{what} can only be used in transaction blocks");
                Err(PgError::new("25P01", message).into())
            }
        }
    }

    async fn savepoint(&mut self, name: &str) -> Result<&'static str, Stop> {
        self.demand_block("SAVEPOINT")?;
        if self.transaction.savepoints.len() >= MAX_SAVEPOINTS {
            let message = format!("more than {MAX_SAVEPOINTS} savepoints in a transaction");
            return Err(PgError::new("54000", message).into());
        }
        let held = self.hold(self.context.settings.bytes())?;
        self.host.savepoint(name).await?;
        self.transaction.savepoints.push(SessionSavepoint {
            _held: held,
            name: name.to_owned(),
            settings: self.context.settings.save(),
            said: self.context.said.len(),
        });
        Ok("SAVEPOINT")
    }

    async fn release(&mut self, name: &str) -> Result<&'static str, Stop> {
        self.demand_block("RELEASE SAVEPOINT")?;
        let at = self.transaction.position(name)?;
        self.host.release(name).await?;
        self.transaction.savepoints.truncate(at);
        Ok("RELEASE")
    }

    async fn roll_back_to(&mut self, name: &str) -> Result<&'static str, Stop> {
        if self.transaction.state != BlockState::Failed {
            self.demand_block("ROLLBACK TO SAVEPOINT")?;
        }
        let at = self.transaction.position(name)?;
        self.host.rollback_to(name).await?;
        self.transaction.savepoints.truncate(at + 1);
        self.transaction.state = BlockState::Block;
        if let Some(savepoint) = self.transaction.savepoints.last() {
            self.context.settings.restore(&savepoint.settings);
            self.context.said.truncate(savepoint.said);
            self.context.settle();
        }
        Ok("ROLLBACK")
    }

    /// Refuses statements that Postgres refuses in a block.
    pub(super) fn forbid_block(&self, what: &str) -> Result<(), Stop> {
        if self.transaction.state == BlockState::Block {
            let message = format!("{what} cannot run inside a transaction block");
            return Err(PgError::new("25001", message).into());
        }
        Ok(())
    }

    /// DECLARE CURSOR without WITH HOLD.
    pub(super) fn demand_block_for_cursor(&self) -> Result<(), Stop> {
        match self.transaction.state {
            // A text of several statements is a block of its own.
            BlockState::Implicit => Ok(()),
            _ => self.demand_block("DECLARE CURSOR"),
        }
    }
}
