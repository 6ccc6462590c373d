//! One session: which function a call means, and where its transaction begins and ends.

use std::sync::Arc;

use kyu_broker::{
    Command, Error, GiveBack, Order, QueueName, Refusal, Reply, UnixMs, archive_name,
};
use kyu_pgsql::error::{Notice, PgError};
use kyu_pgsql::functions::Functions;
use kyu_pgsql::host::{Host, OverloadId, Relation, ScanBounds};
use kyu_pgsql::value::{Row, Value};

use super::Shared;
use super::admin::Kind;
use super::arguments::Arguments;
use super::by_id::Show;
use super::failure::{self, conflict};
use super::functions::{self, overload as f};
use super::limits::DEADLOCK_TIMEOUT_MS;
use super::locks::Patience;
use super::message::{MessageRow, Outgoing};
use super::read::{Poll, Read};
use super::send::{Delay, batch};
use super::time::to_pg;
use super::transaction::{End, Standing, Transaction};
use super::{names, topics};

/// One session's access to the queues; see [`Host`].
#[derive(Debug)]
pub struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) process: u32,
    listener: u64,
    pub(super) transaction: Option<Transaction>,
    notices: Vec<Notice>,
    pub(super) patience: Patience,
}

/// Notices that wait to be told: more are dropped, so that nobody can fill RAM with them.
const MAX_NOTICES: usize = 1_000;

impl Session {
    pub(super) fn new(shared: Arc<Shared>, listener: u64, process: u32) -> Self {
        let (lock_timeout_ms, deadlock_timeout_ms) = (0, DEADLOCK_TIMEOUT_MS);
        let patience = Patience { lock_timeout_ms, deadlock_timeout_ms };
        Self { shared, process, listener, transaction: None, notices: Vec::new(), patience }
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
            let transaction = Transaction::new(broker.new_session(), broker.now_ms());
            self.transaction = Some(transaction);
        }
    }

    /// Ends a transaction: gives claims back that it leaves, then lets those go on who wait for it.
    fn finish(&self, transaction: &Transaction, give_back: bool) {
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
        let mut commands =
            transaction.state.commands(transaction.session, namespace, archive_of)?;
        commands.extend(self.cursor_commands());
        if commands.is_empty() { Ok(()) } else { self.submit_group(commands).await }
    }

    async fn submit_group(&self, commands: Vec<Command>) -> Result<(), PgError> {
        match self.shared.broker.submit(Command::Atomic(commands)).await {
            Ok(Reply::Atomic(_)) => Ok(()),
            Ok(_) => Err(failure::broker(Error::Internal, "")),
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

    fn note_listen(&mut self, listens: bool, channel: Option<&str>) {
        match &mut self.transaction {
            Some(transaction) => {
                transaction.state.listens.push((listens, channel.map(str::to_owned)));
            }
            None => self.apply_listen(listens, channel),
        }
    }

    async fn call_function(
        &mut self,
        overload: OverloadId,
        a: &mut Arguments,
    ) -> Result<Vec<Row>, PgError> {
        match overload {
            _ if within(overload, f::SEND, f::SEND_TOPIC_HEADERS_DELAY) => {
                self.call_send(overload, a).await
            }
            _ if within(overload, f::READ, f::READ_WITH_POLL) => self.call_read(overload, a).await,
            f::POP | f::PEEK => self.call_read(overload, a).await,
            f::SET_VT_ID_SECONDS | f::SET_VT_ID_AT | f::SET_VT_IDS_SECONDS | f::SET_VT_IDS_AT => {
                self.call_set_vt(overload, a).await
            }
            f::DELETE_ID
            | f::DELETE_IDS
            | f::DELETE_FENCED
            | f::ARCHIVE_ID
            | f::ARCHIVE_IDS
            | f::DELETE_ARCHIVED_ID
            | f::DELETE_ARCHIVED_IDS => self.call_by_id(overload, a).await,
            f::BIND_TOPIC
            | f::UNBIND_TOPIC
            | f::TEST_ROUTING
            | f::LIST_TOPIC_BINDINGS
            | f::LIST_TOPIC_BINDINGS_OF
            | f::VALIDATE_ROUTING_KEY
            | f::VALIDATE_TOPIC_PATTERN => self.call_topics(overload, a).await,
            f::ENABLE_NOTIFY_INSERT
            | f::DISABLE_NOTIFY_INSERT
            | f::UPDATE_NOTIFY_INSERT
            | f::LIST_NOTIFY_INSERT_THROTTLES
            | f::CREATE_FIFO_INDEX
            | f::CREATE_FIFO_INDEXES_ALL
            | f::SET_DEAD_LETTER
            | f::SET_RETENTION => self.call_settings(overload, a).await,
            f::OUTBOX_POSITION | f::OUTBOX_TAKE_OVER | f::OUTBOX_ADVANCE => {
                self.call_outbox(overload, a).await
            }
            _ => self.call_admin(overload, a).await,
        }
    }

    async fn call_outbox(
        &mut self,
        overload: OverloadId,
        a: &mut Arguments,
    ) -> Result<Vec<Row>, PgError> {
        let missing = |what| PgError::new("22004", format!("{what} must not be null"));
        let source = a.text()?.ok_or_else(|| missing("source"))?;
        if overload == f::OUTBOX_POSITION {
            let position = self.outbox_position(&source).await?;
            return Ok(vec![vec![position.map_or(Value::Null, Value::Text)]]);
        }
        if overload == f::OUTBOX_TAKE_OVER {
            let relay = a.text()?.ok_or_else(|| missing("relay"))?;
            let position = self.outbox_take_over(&source, &relay).await?;
            return Ok(vec![vec![Value::Text(position)]]);
        }
        let expected = a.text()?;
        let position = a.text()?.ok_or_else(|| missing("position"))?;
        self.outbox_advance(&source, expected.as_deref(), position).await?;
        Ok(vec![vec![Value::Void]])
    }

    async fn call_send(
        &mut self,
        overload: OverloadId,
        a: &mut Arguments,
    ) -> Result<Vec<Row>, PgError> {
        let target = a.text()?;
        let single = within(overload, f::SEND, f::SEND_HEADERS_AT)
            || within(overload, f::SEND_TOPIC, f::SEND_TOPIC_HEADERS_DELAY);
        let message = if single { a.json()? } else { None };
        let messages = if single { None } else { a.jsons()? };
        let has_headers = within(overload, f::SEND_HEADERS, f::SEND_HEADERS_AT)
            || within(overload, f::SEND_BATCH_HEADERS, f::SEND_BATCH_HEADERS_AT)
            || within(overload, f::SEND_BATCH_TOPIC_HEADERS, f::SEND_BATCH_TOPIC_HEADERS_AT)
            || overload == f::SEND_TOPIC_HEADERS_DELAY;
        let headers = if has_headers && single { a.json()? } else { None };
        let headers_of_each = if has_headers && !single { a.jsons()? } else { None };
        let delay = match overload {
            f::SEND | f::SEND_HEADERS | f::SEND_BATCH | f::SEND_BATCH_HEADERS => Delay::OfQueue,
            f::SEND_BATCH_TOPIC | f::SEND_BATCH_TOPIC_HEADERS => Delay::OfQueue,
            f::SEND_AT
            | f::SEND_HEADERS_AT
            | f::SEND_BATCH_AT
            | f::SEND_BATCH_HEADERS_AT
            | f::SEND_BATCH_TOPIC_AT
            | f::SEND_BATCH_TOPIC_HEADERS_AT => Delay::At(a.time()?),
            f::SEND_TOPIC => Delay::Seconds(Some(0)),
            _ => Delay::Seconds(a.int()?),
        };
        match overload {
            _ if within(overload, f::SEND, f::SEND_HEADERS_AT) => {
                let out = vec![Outgoing::new(message, headers)?];
                Ok(ids(self.send(target, out, delay).await?))
            }
            _ if within(overload, f::SEND_BATCH, f::SEND_BATCH_HEADERS_AT) => {
                // The real one looks at the batch first.
                let out = batch(messages, headers_of_each)?;
                Ok(ids(self.send(target, out, delay).await?))
            }
            _ if within(overload, f::SEND_TOPIC, f::SEND_TOPIC_HEADERS_DELAY) => {
                let delay_s = match delay {
                    Delay::Seconds(seconds) => seconds,
                    _ => Some(0),
                };
                let queues = self.send_topic(target, message, headers, delay_s).await?;
                Ok(vec![vec![Value::Int(queues)]])
            }
            _ => {
                let key = topics::check_key(target.as_deref())?.to_owned();
                let out = batch(messages, headers_of_each)?;
                let sent = self.send_to_all(&key, out, delay).await?;
                let rows = sent.into_iter().flat_map(|(queue, ids)| {
                    ids.into_iter().map(move |id| vec![Value::Text(queue.clone()), Value::Int(id)])
                });
                Ok(rows.collect())
            }
        }
    }

    async fn call_read(
        &mut self,
        overload: OverloadId,
        a: &mut Arguments,
    ) -> Result<Vec<Row>, PgError> {
        let queue = a.text()?;
        if overload == f::PEEK {
            let qty = a.int()?;
            return Ok(records(self.peek(queue, qty).await?));
        }
        let read = if overload == f::POP {
            Read { pop: true, ..Read::new(Some(0), a.int()?) }
        } else {
            let (vt_s, qty) = (a.int()?, a.int()?);
            let order = match overload {
                f::READ_GROUPED | f::READ_GROUPED_WITH_POLL => Order::LaneByLane,
                f::READ_GROUPED_RR | f::READ_GROUPED_RR_WITH_POLL => Order::RoundRobin,
                f::READ_GROUPED_HEAD | f::READ_GROUPED_HEAD_WITH_POLL => Order::LaneHeads,
                _ => Order::OfQueue,
            };
            let polls = matches!(
                overload,
                f::READ_WITH_POLL
                    | f::READ_GROUPED_WITH_POLL
                    | f::READ_GROUPED_RR_WITH_POLL
                    | f::READ_GROUPED_HEAD_WITH_POLL
            );
            let poll = match polls {
                true => Some(Poll { max_s: a.int()?, interval_ms: a.int()? }),
                false => None,
            };
            let conditional = match overload {
                f::READ | f::READ_WITH_POLL => a.json()?,
                _ => None,
            };
            // As LIMIT, NULL is all; these two compare with it, and NULL is more than nothing.
            let compared = matches!(order, Order::LaneByLane | Order::RoundRobin);
            let qty = if compared { qty.or(Some(0)) } else { qty };
            Read { order, poll, conditional, ..Read::new(vt_s, qty) }
        };
        Ok(records(self.read(queue, read).await?))
    }

    async fn call_set_vt(
        &mut self,
        overload: OverloadId,
        a: &mut Arguments,
    ) -> Result<Vec<Row>, PgError> {
        let queue = a.text()?;
        let of_ids = match overload {
            f::SET_VT_ID_SECONDS | f::SET_VT_ID_AT => a.int()?.into_iter().collect(),
            _ => a.ints()?,
        };
        let show = match overload {
            f::SET_VT_ID_SECONDS | f::SET_VT_IDS_SECONDS => Show::In(a.int()?),
            _ => Show::At(a.time()?),
        };
        Ok(records(self.set_vt(queue, &of_ids, show).await?))
    }

    async fn call_by_id(
        &mut self,
        overload: OverloadId,
        a: &mut Arguments,
    ) -> Result<Vec<Row>, PgError> {
        let queue = a.text()?;
        let many = matches!(overload, f::DELETE_IDS | f::ARCHIVE_IDS | f::DELETE_ARCHIVED_IDS);
        let of_ids = if many { a.ints()? } else { a.int()?.into_iter().collect() };
        let done = match overload {
            f::ARCHIVE_ID | f::ARCHIVE_IDS => self.archive(queue, &of_ids).await?,
            f::DELETE_ARCHIVED_ID | f::DELETE_ARCHIVED_IDS => {
                self.delete_archived(queue, &of_ids).await?
            }
            // NULL equals no count.
            f::DELETE_FENCED => match a.int()? {
                Some(read_ct) => self.delete(queue, &of_ids, Some(read_ct)).await?,
                None => Vec::new(),
            },
            _ => self.delete(queue, &of_ids, None).await?,
        };
        if many {
            return Ok(ids(done));
        }
        Ok(vec![vec![Value::Bool(!done.is_empty())]])
    }

    async fn call_topics(
        &mut self,
        overload: OverloadId,
        a: &mut Arguments,
    ) -> Result<Vec<Row>, PgError> {
        let first = match overload {
            f::LIST_TOPIC_BINDINGS => return Ok(self.list_topic_bindings(None)),
            _ => a.text()?,
        };
        Ok(match overload {
            f::BIND_TOPIC => {
                let queue = a.text()?;
                self.bind_topic(first, queue).await?;
                void()
            }
            f::UNBIND_TOPIC => {
                let queue = a.text()?;
                vec![vec![Value::Bool(self.unbind_topic(first, queue).await?)]]
            }
            f::TEST_ROUTING => self.test_routing(first.as_deref())?,
            f::LIST_TOPIC_BINDINGS_OF => match first {
                Some(queue) => self.list_topic_bindings(Some(&queue)),
                None => Vec::new(),
            },
            f::VALIDATE_ROUTING_KEY => {
                topics::check_key(first.as_deref())?;
                vec![vec![Value::Bool(true)]]
            }
            _ => {
                topics::check_pattern(first.as_deref())?;
                vec![vec![Value::Bool(true)]]
            }
        })
    }

    async fn call_settings(
        &mut self,
        overload: OverloadId,
        a: &mut Arguments,
    ) -> Result<Vec<Row>, PgError> {
        match overload {
            f::LIST_NOTIFY_INSERT_THROTTLES => return Ok(self.throttles()),
            f::CREATE_FIFO_INDEXES_ALL => {
                for queue in self.all_queues() {
                    self.create_fifo_index(Some(queue.name)).await?;
                }
                return Ok(void());
            }
            _ => {}
        }
        let queue = a.text()?;
        match overload {
            f::ENABLE_NOTIFY_INSERT => self.enable_notify_insert(queue, a.int()?).await?,
            f::UPDATE_NOTIFY_INSERT => self.update_notify_insert(queue, a.int()?).await?,
            f::DISABLE_NOTIFY_INSERT => self.disable_notify_insert(queue).await?,
            f::SET_DEAD_LETTER => {
                let (target, max_reads) = (a.text()?, a.int()?);
                self.set_dead_letter(queue, target, max_reads).await?;
            }
            f::SET_RETENTION => self.set_retention(queue, a.int()?).await?,
            _ => self.create_fifo_index(queue).await?,
        }
        Ok(void())
    }

    async fn call_admin(
        &mut self,
        overload: OverloadId,
        a: &mut Arguments,
    ) -> Result<Vec<Row>, PgError> {
        match overload {
            f::LIST_QUEUES => {
                return Ok(self.all_queues().iter().map(|queue| queue.record()).collect());
            }
            f::METRICS_ALL => return self.metrics_all().await,
            _ => {}
        }
        let queue = a.text()?;
        match overload {
            f::CREATE | f::CREATE_NON_PARTITIONED => self.create(queue, Kind::Plain).await?,
            f::CREATE_UNLOGGED => self.create(queue, Kind::Unlogged).await?,
            f::CREATE_PARTITIONED => {
                let (_interval, _retention, premake) = (a.text()?, a.text()?, a.int()?);
                if let Some(premake) = premake.filter(|premake| *premake < 1) {
                    let message = format!("premake must be at least 1, got {premake}");
                    return Err(failure::raise(message));
                }
                self.create(queue, Kind::Partitioned).await?;
            }
            f::DROP_QUEUE => return Ok(vec![vec![Value::Bool(self.drop_queue(queue).await?)]]),
            f::DROP_QUEUE_PARTITIONED => {
                let message = "drop_queue(queue_name, partitioned) is deprecated and will be \
                               removed in PGMQ v2.0. Use drop_queue(queue_name) instead";
                self.notice("WARNING", "01000", message.to_owned());
                self.drop_queue(queue).await?;
                return Ok(vec![vec![Value::Bool(true)]]);
            }
            f::PURGE_QUEUE => return Ok(vec![vec![Value::Int(self.purge_queue(queue).await?)]]),
            f::PURGE_ARCHIVE => {
                return Ok(vec![vec![Value::Int(self.purge_archive(queue).await?)]]);
            }
            f::METRICS => return Ok(vec![self.metrics(queue).await?]),
            f::Q_INFO => return Ok(vec![self.q_info(queue).await?]),
            f::DETACH_ARCHIVE => {
                names::table(queue.as_deref(), Some("a"))?;
                let message = "detach_archive(queue_name) is deprecated and is a no-op. It will \
                               be removed in PGMQ v2.0. Archive tables are no longer member \
                               objects.";
                self.notice("WARNING", "01000", message.to_owned());
            }
            f::CONVERT_ARCHIVE_PARTITIONED => self.convert_archive(queue)?,
            f::FORMAT_TABLE_NAME => {
                let prefix = a.text()?;
                let table = names::table(queue.as_deref(), prefix.as_deref())?;
                return Ok(vec![vec![table.map_or(Value::Null, Value::Text)]]);
            }
            f::VALIDATE_QUEUE_NAME => names::validate(queue.as_deref())?,
            f::ACQUIRE_QUEUE_LOCK => {
                if let Some(queue) = queue {
                    self.take_name(&queue).await?;
                }
            }
            _ => return Err(PgError::new("0A000", "this function is not built")),
        }
        Ok(void())
    }

    /// Archives are not in partitions; there is nothing to convert.
    fn convert_archive(&mut self, queue: Option<String>) -> Result<(), PgError> {
        let table = names::table(queue.as_deref(), Some("a"))?.unwrap_or_default();
        if queue.and_then(|queue| self.look_up(&queue)).is_none() {
            self.notice("NOTICE", "00000", format!("Table {table}s does not exists"));
        }
        Ok(())
    }
}

/// Whether an overload stands between two others in the table.
fn within(overload: OverloadId, first: OverloadId, last: OverloadId) -> bool {
    (first..=last).contains(&overload)
}

fn void() -> Vec<Row> {
    vec![vec![Value::Void]]
}

fn ids(ids: Vec<i64>) -> Vec<Row> {
    ids.into_iter().map(|id| vec![Value::Int(id)]).collect()
}

fn records(rows: Vec<MessageRow>) -> Vec<Row> {
    rows.iter().map(MessageRow::record).collect()
}

impl Host for Session {
    fn functions(&self) -> Functions {
        functions::ALL
    }

    async fn call(
        &mut self,
        overload: OverloadId,
        arguments: Vec<Value>,
    ) -> Result<Vec<Row>, PgError> {
        self.call_function(overload, &mut Arguments::new(arguments)).await
    }

    async fn scan(
        &mut self,
        relation: &Relation,
        bounds: &ScanBounds,
    ) -> Result<Vec<Row>, PgError> {
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

    fn listen(&mut self, channel: &str) {
        self.note_listen(true, Some(channel));
    }

    fn unlisten(&mut self, channel: Option<&str>) {
        self.note_listen(false, channel);
    }
}

impl Drop for Session {
    /// A session that ends rolls back.
    fn drop(&mut self) {
        self.roll_back();
        self.shared.hub.leave(self.listener);
    }
}
