//! One session: where its transaction begins and ends.

use std::sync::Arc;

use kyu_broker::{Error, GiveBack, Group, QueueName, Refusal, UnixMs, archive_name};
use kyu_budget::Budget;
use kyu_pgsql::error::{Notice, PgError};
use kyu_pgsql::functions::Functions;
use kyu_pgsql::host::{Host, OverloadId, Relation, ScanBounds};
use kyu_pgsql::value::{Row, Value};

use super::Shared;
use super::failure::{self, conflict};
use super::functions;
use super::limits::{DEADLOCK_TIMEOUT_MS, MAX_CHANNELS};
use super::loading::Loading;
use super::locks::Patience;
use super::time::to_pg;
use super::transaction::{End, OpenTransaction, Standing};

/// One session's access to the queues; see [`Host`].
#[derive(Debug)]
pub struct QueueSession {
    pub(super) shared: Arc<Shared>,
    pub(super) process: u32,
    listener: u64,
    pub(super) transaction: Option<OpenTransaction>,
    /// The budget that its transactions pay from.
    memory: Budget,
    pub(super) loading: Loading,
    notices: Vec<Notice>,
    pub(super) patience: Patience,
}

/// Notices that wait to be told: more are dropped, so that nobody can fill RAM with them.
const MAX_NOTICES: usize = 1_000;

impl QueueSession {
    pub(super) fn new(shared: Arc<Shared>, listener: u64, process: u32, memory: &Budget) -> Self {
        let (lock_timeout_ms, deadlock_timeout_ms) = (0, DEADLOCK_TIMEOUT_MS);
        let patience = Patience { lock_timeout_ms, deadlock_timeout_ms };
        let (transaction, notices, loading) = (None, Vec::new(), Loading::new(memory));
        let memory = memory.clone();
        Self { shared, process, listener, transaction, memory, loading, notices, patience }
    }

    pub(super) fn notice(&mut self, severity: &'static str, code: &'static str, message: String) {
        if self.notices.len() < MAX_NOTICES {
            self.notices.push(Notice { severity, code, message });
        }
    }

    fn now_ms(&self) -> UnixMs {
        let begun = self.transaction.as_ref().map(|transaction| transaction.begun_at_ms);
        begun.unwrap_or_else(|| self.shared.broker.now_ms())
    }

    pub(super) fn now_us(&self) -> i64 {
        to_pg(self.now_ms())
    }

    /// Begins a transaction, unless one is open.
    pub(super) fn begin_transaction(&mut self) {
        if self.transaction.is_none() {
            let broker = &self.shared.broker;
            let transaction =
                OpenTransaction::new(broker.new_session(), broker.now_ms(), &self.memory);
            self.transaction = Some(transaction);
        }
    }

    /// Ends a transaction: gives claims back that it leaves, then lets those go on who wait for it.
    fn finish(&self, transaction: &OpenTransaction, give_back: bool) {
        if give_back && !transaction.claimed_in.is_empty() {
            let queues = transaction.claimed_in.iter().copied().collect();
            self.shared.broker.give_back(GiveBack { session: transaction.session, queues });
        }
        if !transaction.locked.is_empty() {
            self.shared.locks.end(transaction.session);
        }
    }

    pub(super) fn roll_back(&mut self) {
        if let Some(transaction) = self.transaction.take() {
            self.finish(&transaction, true);
        }
    }

    /// One atomic group. If it fails, nothing of the transaction has happened. While it runs the
    /// transaction is still open, so that a session that is dropped meanwhile gives its claims back.
    pub(super) async fn commit_transaction(&mut self) -> Result<(), PgError> {
        let mut committed = self.submit_changes().await;
        // Workers that start together all create their queue.
        while committed.as_ref().is_err_and(|error| error.code == "40001") && self.forget_made() {
            committed = self.submit_changes().await;
        }
        let Some(transaction) = self.transaction.take() else { return committed };
        self.finish(&transaction, committed.is_err() || transaction.stray);
        committed?;
        for (listens, channel) in &transaction.state.listens {
            self.apply_listen(*listens, channel.as_deref());
        }
        let now_ms = self.shared.broker.now_ms();
        for (name, changes) in &transaction.state.queues {
            if let (Some(before), false) = (&changes.before, changes.standing == Standing::Kept) {
                self.shared.hub.forget(before.id);
            }
            let sent = changes.local.values().any(|l| l.sent.is_some() && l.end != End::Removed);
            if sent && let Some(info) = self.outside(name) {
                self.shared.hub.inserted(&info, self.process, now_ms);
            }
        }
        Ok(())
    }

    fn forget_made(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let exists = |name: &str| {
            let (namespace, name) = (shared.namespace.clone(), name.to_owned());
            shared.broker.directory().by_name(&QueueName { namespace, name }).is_some()
        };
        self.transaction.as_mut().is_some_and(|transaction| transaction.state.forget_made(exists))
    }

    async fn submit_changes(&self) -> Result<(), PgError> {
        let Some(transaction) = &self.transaction else { return Ok(()) };
        let broker = self.shared.broker.clone();
        let archive_of = |name: &QueueName| {
            broker.directory().by_name(&archive_name(name)).map(|archive| archive.id)
        };
        let namespace = &self.shared.namespace;
        let mut group = transaction.state.group(transaction.session, namespace, archive_of)?;
        group.extend(self.cursor_commands());
        if group.is_empty() { Ok(()) } else { self.submit_group(group).await }
    }

    async fn submit_group(&self, group: Group) -> Result<(), PgError> {
        match self.shared.broker.ask(group).await {
            Ok(_) => Ok(()),
            Err(Error::Refused(Refusal::Atomic { refusal: Some(inner), .. })) => {
                Err(match *inner {
                    Refusal::QueueNotFound | Refusal::QueueExists(_) => {
                        conflict("a queue was created or dropped")
                    }
                    Refusal::VersionConflict => conflict("the settings of a queue"),
                    Refusal::Ledger(_) => conflict("the cursor of an outbox"),
                    other => failure::refused(other, ""),
                })
            }
            Err(error) => Err(failure::broker(error, "")),
        }
    }

    fn apply_listen(&self, listens: bool, channel: Option<&str>) {
        match (listens, channel) {
            (true, Some(channel)) => self.shared.hub.listen(self.listener, channel),
            (true, None) => {}
            (false, channel) => self.shared.hub.unlisten(self.listener, channel),
        }
    }

    fn note_listen(&mut self, listens: bool, channel: Option<&str>) -> Result<(), PgError> {
        let waiting = self.transaction.as_ref().map_or(0, |open| open.state.listens.len());
        let all = waiting + if listens { self.shared.hub.channels(self.listener) } else { 0 };
        if all >= MAX_CHANNELS {
            let message = format!("a session may not listen to more than {MAX_CHANNELS} channels");
            return Err(PgError::new("54000", message));
        }
        match &mut self.transaction {
            Some(transaction) => {
                transaction.state.listens.push((listens, channel.map(str::to_owned)));
            }
            None => self.apply_listen(listens, channel),
        }
        Ok(())
    }
}

impl Host for QueueSession {
    fn functions(&self) -> Functions {
        functions::ALL
    }

    async fn call(
        &mut self,
        overload: OverloadId,
        arguments: Vec<Value>,
    ) -> Result<Vec<Row>, PgError> {
        let _running = self.loading.begin();
        self.call_function(overload, arguments).await
    }

    async fn scan(
        &mut self,
        relation: &Relation,
        bounds: &ScanBounds,
    ) -> Result<Vec<Row>, PgError> {
        let _running = self.loading.begin();
        self.rows_of(relation, bounds).await
    }

    async fn count(&mut self, relation: &Relation) -> Result<Option<u64>, PgError> {
        match relation {
            Relation::Queue(name) => self.count_messages(name).await.map(Some),
            _ => Ok(None),
        }
    }

    async fn relations(&mut self) -> Result<Vec<Relation>, PgError> {
        Ok(self.all_relations())
    }

    fn fifo_indexed(&self) -> Vec<String> {
        self.with_fifo_index()
    }

    async fn begin(&mut self) -> Result<(), PgError> {
        self.begin_transaction();
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), PgError> {
        self.commit_transaction().await
    }

    async fn rollback(&mut self) {
        self.roll_back();
    }

    async fn savepoint(&mut self, name: &str) -> Result<(), PgError> {
        match &mut self.transaction {
            Some(transaction) => transaction.savepoint(name),
            None => Ok(()),
        }
    }

    async fn rollback_to(&mut self, name: &str) -> Result<(), PgError> {
        let Some(transaction) = &mut self.transaction else { return Ok(()) };
        let owner = transaction.session;
        let undone = transaction.roll_back_to(name)?;
        transaction.stray = true;
        for (queue, seqs) in undone.claims {
            self.unclaim(queue, seqs).await?;
        }
        self.shared.locks.let_go(owner, &undone.locks);
        Ok(())
    }

    async fn release(&mut self, name: &str) -> Result<(), PgError> {
        match &mut self.transaction {
            Some(transaction) => transaction.release(name),
            None => Ok(()),
        }
    }

    fn now(&self) -> i64 {
        self.now_us()
    }

    fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    fn set_patience(&mut self, lock_timeout_ms: u64, deadlock_timeout_ms: u64) {
        self.patience = Patience { lock_timeout_ms, deadlock_timeout_ms };
    }

    fn listen(&mut self, channel: &str) -> Result<(), PgError> {
        self.note_listen(true, Some(channel))
    }

    fn unlisten(&mut self, channel: Option<&str>) -> Result<(), PgError> {
        self.note_listen(false, channel)
    }
}

impl Drop for QueueSession {
    /// A session that ends rolls back.
    fn drop(&mut self) {
        self.roll_back();
        self.shared.hub.leave(self.listener);
    }
}
