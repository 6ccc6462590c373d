//! A transaction: what a session has done and not committed.
//!
//! Messages that it sends stay here, under numbers that the engine has reserved. Messages of others
//! that it reads or changes are claimed in the engine for the transaction's session and stand here
//! as this transaction sees them. Queues that it makes or drops are here only. COMMIT is one atomic
//! group; without it, giving back the claims is all there is to undo. See the ADR on transactions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kyu_broker::{
    BySeq, Conclude, ConfigureQueue, CreateQueue, DeleteQueue, EnqueueReserved, Fate, Group,
    PurgeQueue, QueueConfig, QueueId, QueueInfo, QueueName, QueueRef, ReservedMessage, Seq,
    SeqAction, SessionId, UnixMs, archive_name,
};
use kyu_budget::Budget;
use kyu_model::limits::{MAX_ATOMIC, MAX_BATCH};
use kyu_pgsql::error::PgError;
use kyu_pgsql::held::Held;

use super::failure;
use super::limits::{MAX_SAVED_MESSAGES, MAX_TRANSACTION_BYTES, MAX_TRANSACTION_MESSAGES};
use super::locks::Object;
use super::message::{MessageRow, Outgoing};
use super::outbox::CursorMove;
use super::time::from_pg;

/// A message in a savepoint's copy of the state, which shares its content.
const SAVED_BYTES: usize = size_of::<Local>();

const COMMIT_EARLIER: &str = "Commit more often.";

/// An open transaction: its changes so far, and the places to go back to.
#[derive(Debug)]
pub(super) struct OpenTransaction {
    pub(super) session: SessionId,
    pub(super) begun_at_ms: UnixMs,
    /// Every queue in which it may have claims, whatever has been taken back since.
    pub(super) claimed_in: BTreeSet<QueueId>,
    /// It may have claims that its state does not know of.
    pub(super) stray: bool,
    pub(super) state: Pending,
    /// The objects that it has locked, or waits for.
    pub(super) locked: BTreeSet<Object>,
    savepoints: Vec<Savepoint>,
    /// The memory of its state and of its savepoints.
    held: Held,
}

#[derive(Debug)]
struct Savepoint {
    name: String,
    state: Pending,
    locked: BTreeSet<Object>,
}

/// The claims and locks that a transaction gives back when it goes back to a savepoint.
#[derive(Debug, Default)]
pub(super) struct Undone {
    pub(super) claims: Vec<(QueueId, Vec<Seq>)>,
    pub(super) locks: Vec<Object>,
}

/// The changes that a transaction has made so far; a savepoint keeps a copy.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    /// Changes of queues, by the engine's name.
    pub(super) queues: BTreeMap<String, QueueChanges>,
    pub(super) bytes: usize,
    /// Cursors of outboxes, by source.
    pub(super) cursors: BTreeMap<String, CursorMove>,
    /// LISTEN (true) and UNLISTEN, in order; no channel is all of them.
    pub(super) listens: Vec<(bool, Option<String>)>,
}

/// A queue as the transaction sees it.
#[derive(Clone, Debug)]
pub(super) struct QueueChanges {
    /// The queue as it was outside when it was first touched; `None` if it did not exist.
    pub(super) before: Option<Arc<QueueInfo>>,
    pub(super) standing: Standing,
    /// Messages from before are gone.
    pub(super) purged: bool,
    /// A setting of a queue that this transaction made was changed after that.
    pub(super) adjusted: bool,
    /// Settings that it has now, if this transaction gave them.
    pub(super) config: Option<Box<QueueConfig>>,
    pub(super) local: BTreeMap<Seq, Local>,
    /// Next number of a queue that this transaction made.
    pub(super) next_seq: Seq,
    /// The messages that the archive had before are gone.
    pub(super) archive_purged: bool,
    /// Messages that are gone from the archive; it had them before.
    pub(super) unarchived: BTreeSet<Seq>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It was there before.
    Kept,
    /// This transaction made it (after it dropped one of the name, if there was one).
    Made,
    /// It is not there.
    Dropped,
}

/// A message that the transaction sent or claimed, as it sees it now.
#[derive(Clone, Debug)]
pub(super) struct Local {
    /// The message that the commit is to enqueue.
    pub(super) sent: Option<Arc<Outgoing>>,
    pub(super) row: MessageRow,
    /// Reads of this transaction.
    pub(super) reads: u32,
    /// Its visibility was set.
    pub(super) shown: bool,
    pub(super) end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Live,
    Removed,
    Archived,
}

impl Local {
    pub(super) fn is_visible(&self, now_us: i64) -> bool {
        self.end == End::Live && self.row.vt_us <= now_us
    }

    fn bytes(&self) -> usize {
        self.sent.as_ref().map_or(self.row.bytes(), |sent| sent.bytes())
    }

    /// The fate of a claimed message, or of one that the same group enqueues.
    fn fate(&self) -> Fate {
        let at_ms = self.row.last_read_at_ms;
        match self.end {
            End::Removed => Fate::Removed,
            End::Archived => Fate::Archived { times: self.reads, at_ms },
            End::Live if self.reads == 0 && !self.shown => Fate::Untouched,
            End::Live => {
                Fate::Received { times: self.reads, at_ms, ready_at_ms: from_pg(self.row.vt_us) }
            }
        }
    }
}

impl QueueChanges {
    pub(super) fn of(before: Arc<QueueInfo>) -> Self {
        Self {
            before: Some(before),
            standing: Standing::Kept,
            purged: false,
            adjusted: false,
            config: None,
            local: BTreeMap::new(),
            next_seq: 1,
            archive_purged: false,
            unarchived: BTreeSet::new(),
        }
    }

    pub(super) fn made(before: Option<Arc<QueueInfo>>, config: QueueConfig) -> Self {
        Self {
            before,
            standing: Standing::Made,
            purged: false,
            adjusted: false,
            config: Some(Box::new(config)),
            local: BTreeMap::new(),
            next_seq: 1,
            archive_purged: false,
            unarchived: BTreeSet::new(),
        }
    }

    /// The queue in the engine, if messages from before are still there.
    pub(super) fn engine_queue(&self) -> Option<&Arc<QueueInfo>> {
        self.before.as_ref().filter(|_| self.standing == Standing::Kept && !self.purged)
    }

    /// Settings that it has now.
    pub(super) fn config(&self) -> Option<&QueueConfig> {
        let before = self.before.as_ref().filter(|_| self.standing == Standing::Kept);
        self.config.as_deref().or(before.map(|info| &info.config))
    }

    fn target(&self, name: &QueueName) -> QueueRef {
        match (&self.before, self.standing) {
            (Some(info), Standing::Kept) => QueueRef::Id(info.id),
            _ => QueueRef::Name(name.clone()),
        }
    }
}

/// An archive of a queue.
pub(super) fn archive_command(queue: &QueueName) -> CreateQueue {
    CreateQueue {
        name: archive_name(queue),
        config: Box::new(super::queue_config()),
        name_reuse_wait_ms: 0,
    }
}

impl OpenTransaction {
    pub(super) fn new(session: SessionId, begun_at_ms: UnixMs, memory: &Budget) -> Self {
        Self {
            session,
            begun_at_ms,
            claimed_in: BTreeSet::new(),
            stray: false,
            state: Pending::default(),
            locked: BTreeSet::new(),
            savepoints: Vec::new(),
            held: Held::new(memory),
        }
    }

    /// The memory that its state and its savepoints take.
    fn bytes(&self) -> usize {
        let saved: usize = self.savepoints.iter().map(|saved| saved.state.messages()).sum();
        self.state.bytes + saved * SAVED_BYTES
    }

    pub(super) fn savepoint(&mut self, name: &str) -> Result<(), PgError> {
        let saved: usize = self.savepoints.iter().map(|saved| saved.state.messages()).sum();
        if saved + self.state.messages() > MAX_SAVED_MESSAGES {
            let message = "too many messages in the savepoints of this transaction";
            return Err(failure::too_much(message, "Use fewer savepoints, or commit earlier."));
        }
        self.held.grow(self.state.messages() * SAVED_BYTES)?;
        let (state, locked) = (self.state.clone(), self.locked.clone());
        self.savepoints.push(Savepoint { name: name.to_owned(), state, locked });
        Ok(())
    }

    fn position(&self, name: &str) -> Result<usize, PgError> {
        let at = self.savepoints.iter().rposition(|saved| saved.name == name);
        at.ok_or_else(|| PgError::new("3B001", format!("savepoint \"{name}\" does not exist")))
    }

    pub(super) fn release(&mut self, name: &str) -> Result<(), PgError> {
        let at = self.position(name)?;
        self.savepoints.truncate(at);
        self.held.back_to(self.bytes());
        Ok(())
    }

    /// Back to a savepoint; the claims and locks since then, which are to be given back.
    pub(super) fn roll_back_to(&mut self, name: &str) -> Result<Undone, PgError> {
        let at = self.position(name)?;
        self.savepoints.truncate(at + 1);
        let Some(saved) = self.savepoints.last() else { return Ok(Undone::default()) };
        let undone = std::mem::replace(&mut self.state, saved.state.clone());
        let locks = self.locked.difference(&saved.locked).cloned().collect();
        self.locked.clone_from(&saved.locked);
        self.held.back_to(self.bytes());
        let mut back = Vec::new();
        for (name, changes) in &undone.queues {
            let Some(info) = &changes.before else { continue };
            let kept = self.state.queues.get(name);
            let is_kept = |seq: &Seq| kept.is_some_and(|kept| kept.local.contains_key(seq));
            let claimed = changes.local.iter().filter(|(_, local)| local.sent.is_none());
            let seqs: Vec<Seq> = claimed.map(|(seq, _)| *seq).filter(|seq| !is_kept(seq)).collect();
            if !seqs.is_empty() {
                back.push((info.id, seqs));
            }
        }
        Ok(Undone { claims: back, locks })
    }

    /// Notes a message. 54000 beyond what a transaction may hold.
    pub(super) fn note(&mut self, queue: &str, local: Local) -> Result<(), PgError> {
        self.state.check_room(1)?;
        self.held.grow(local.bytes())?;
        self.state.bytes += local.bytes();
        if self.state.bytes > MAX_TRANSACTION_BYTES {
            return Err(failure::too_much("too many bytes in one transaction", COMMIT_EARLIER));
        }
        if let Some(changes) = self.state.queues.get_mut(queue) {
            changes.local.insert(local.row.seq, local);
        }
        Ok(())
    }
}

impl Pending {
    fn messages(&self) -> usize {
        let of = |changes: &QueueChanges| changes.local.len() + changes.unarchived.len();
        self.queues.values().map(of).sum()
    }

    /// 54000 if so many messages more are too many.
    pub(super) fn check_room(&self, more: usize) -> Result<(), PgError> {
        if self.messages() + more > MAX_TRANSACTION_MESSAGES {
            let message = "too many messages in one transaction";
            return Err(failure::too_much(message, COMMIT_EARLIER));
        }
        Ok(())
    }

    /// Forgets queues that it made and did nothing else with, where somebody else has made them
    /// meanwhile: `create` is content with that. Returns whether there were any.
    pub(super) fn forget_made(&mut self, exists: impl Fn(&str) -> bool) -> bool {
        let before = self.queues.len();
        self.queues.retain(|name, changes| {
            let only_made = changes.standing == Standing::Made
                && changes.before.is_none()
                && !changes.adjusted
                && changes.next_seq == 1;
            !(only_made && exists(name))
        });
        self.queues.len() < before
    }

    /// The one atomic group that makes it all so; empty if there is nothing to make so.
    ///
    /// `archive_of` says which archive a queue has outside.
    pub(super) fn group(
        &self,
        session: SessionId,
        namespace: &str,
        archive_of: impl Fn(&QueueName) -> Option<QueueId>,
    ) -> Result<Group, PgError> {
        let mut group = Group::new();
        for (name, changes) in &self.queues {
            let name = QueueName { namespace: namespace.to_owned(), name: name.clone() };
            directory_commands(&name, changes, archive_of(&name), &mut group);
            if changes.standing != Standing::Dropped {
                message_commands(&name, changes, session, &mut group);
            }
        }
        if group.len() > MAX_ATOMIC {
            let message = "too many queues and messages in one transaction";
            return Err(failure::too_much(message, COMMIT_EARLIER));
        }
        Ok(group)
    }
}

fn directory_commands(
    name: &QueueName,
    changes: &QueueChanges,
    archive: Option<QueueId>,
    group: &mut Group,
) {
    let archived = changes.local.values().any(|local| local.end == End::Archived);
    match (&changes.before, changes.standing) {
        (before, Standing::Made | Standing::Dropped) => {
            let dropped = before.as_ref().map(|info| info.id).into_iter().chain(archive);
            group.extend(dropped.map(|queue| DeleteQueue { queue }));
            if changes.standing == Standing::Made {
                group.push(CreateQueue {
                    name: name.clone(),
                    config: changes.config.clone().unwrap_or_default(),
                    name_reuse_wait_ms: 0,
                });
                group.push(archive_command(name));
            }
        }
        (Some(info), Standing::Kept) => {
            if let Some(config) = &changes.config {
                group.push(ConfigureQueue {
                    queue: info.id,
                    config: config.clone(),
                    expected_version: info.version,
                });
            }
            match archive {
                None if archived => {
                    group.push(archive_command(name));
                }
                None => {}
                Some(queue) => unarchive_commands(queue, changes, group),
            }
        }
        (None, Standing::Kept) => {}
    }
}

/// Comes before what is newly archived.
fn unarchive_commands(queue: QueueId, changes: &QueueChanges, group: &mut Group) {
    if changes.archive_purged {
        group.push(PurgeQueue { queue, cooldown_ms: 0 });
    }
    let remove = |seqs| BySeq { queue, seqs, action: SeqAction::Remove };
    let gone: Vec<Seq> = changes.unarchived.iter().copied().collect();
    group.extend(in_chunks(gone).map(remove));
}

fn message_commands(
    name: &QueueName,
    changes: &QueueChanges,
    session: SessionId,
    group: &mut Group,
) {
    let is_fifo = changes.config().is_some_and(|config| config.kind == kyu_broker::QueueKind::Fifo);
    let (mut claimed, mut sent, mut fates) = (Vec::new(), Vec::new(), Vec::new());
    for (seq, local) in &changes.local {
        match &local.sent {
            None => claimed.push((*seq, local.fate())),
            Some(_) if local.end == End::Removed => {}
            Some(out) => {
                sent.push(ReservedMessage {
                    seq: *seq,
                    ready_at_ms: from_pg(local.row.vt_us),
                    message: out.to(QueueId(0), is_fifo),
                });
                if local.reads > 0 || local.end == End::Archived {
                    fates.push((*seq, local.fate()));
                }
            }
        }
    }
    let target = || changes.target(name);
    let conclude = |items| Conclude { session, queue: target(), items };
    group.extend(in_chunks(claimed).map(conclude));
    // What was archived before the purge is in the archive by now; what was sent after it stays.
    if let (true, Some(info)) = (changes.purged, &changes.before) {
        group.push(PurgeQueue { queue: info.id, cooldown_ms: 0 });
    }
    for messages in in_chunks(sent) {
        group.push(EnqueueReserved { queue: target(), messages });
    }
    group.extend(in_chunks(fates).map(conclude));
}

fn in_chunks<T>(items: Vec<T>) -> impl Iterator<Item = Vec<T>> {
    let mut items = items.into_iter().peekable();
    std::iter::from_fn(move || {
        items.peek()?;
        Some(items.by_ref().take(MAX_BATCH).collect())
    })
}
