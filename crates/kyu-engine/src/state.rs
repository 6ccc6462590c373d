//! The whole state: queues, names, move tasks, and what the log must keep for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::attempts::Attempt;
use crate::chunk::Messages;
use crate::config::{QueueConfig, QueueInfo, QueueTotals};
use crate::dedup::Original;
use crate::ends::{End, Ends};
use crate::exchange::{BindingId, BindingInfo, Exchange, ExchangeId};
use crate::finished::{Done, Finished};
use crate::guard::GuardState;
use crate::guard_keys::GuardValue;
use crate::ids::{Address, QueueId, QueueName, Seq, UnixMs};
use crate::ledger::{Ledger, LedgerDue, LedgerEntry, LedgerKey};
use crate::message::{FrameRef, Message, Phase};
use crate::queue::Queue;
use crate::rate::Buckets;
use crate::reply::{MoveStatus, MoveTask, Refusal};
use crate::schedule::Schedules;
use crate::unique::Holder;

/// A change of the set of queues, for directories outside the engine.
#[derive(Clone, Debug)]
pub enum DirectoryChange {
    /// A queue is new or has new settings.
    Put(Arc<QueueInfo>),
    /// A queue is gone.
    Removed(QueueId),
}

pub(crate) struct State {
    pub(crate) queues: BTreeMap<QueueId, Queue>,
    pub(crate) names: BTreeMap<QueueName, QueueId>,
    /// When queues were deleted whose names are still remembered.
    pub(crate) deleted_names: BTreeMap<QueueName, UnixMs>,
    pub(crate) tasks: BTreeMap<u64, MoveTask>,
    pub(crate) exchanges: BTreeMap<ExchangeId, Arc<Exchange>>,
    pub(crate) ledger: Ledger,
    pub(crate) schedules: Schedules,
    pub(crate) next_queue: u32,
    pub(crate) next_task: u64,
    pub(crate) next_exchange: u32,
    pub(crate) last_time_ms: UnixMs,
    /// Frames that several messages share, with how many; any other live frame has one.
    pub(crate) shared: BTreeMap<Address, u32>,

    // What follows is derived, and not in snapshots.
    pub(crate) exchange_names: BTreeMap<QueueName, ExchangeId>,
    /// The exchange of each binding.
    pub(crate) bindings: BTreeMap<BindingId, ExchangeId>,
    pub(crate) ledger_due: LedgerDue,
    /// Queues that keep dead letters, and some that did.
    with_dead: BTreeSet<QueueId>,
    segment_bytes: u64,
    /// Bytes of live frames by log segment.
    live: BTreeMap<u64, u64>,
    /// Queues by the time at which to look at them.
    watch: BTreeSet<(UnixMs, QueueId)>,
    /// Queues that the last tick decided about; to be watched anew once that is applied.
    ticked: Vec<QueueId>,
    pub(crate) woken: BTreeSet<QueueId>,
    pub(crate) directory_changes: Vec<DirectoryChange>,
    /// While a trial runs: how to take back what it does.
    journal: Option<Vec<Undo>>,
    /// Directory changes before the trial.
    changes_before: usize,
}

/// One step back.
enum Undo {
    Message {
        queue: QueueId,
        seq: Seq,
        old: Option<Message>,
    },
    Counters {
        queue: QueueId,
        next_seq: Seq,
        newest_seq: Seq,
        newest_ms: UnixMs,
        totals: QueueTotals,
    },
    Claim {
        queue: QueueId,
        seq: Seq,
        old: Option<Phase>,
    },
    /// The queue was made (`None`), deleted or emptied.
    Queue {
        id: QueueId,
        old: Option<Box<Queue>>,
    },
    Name {
        name: QueueName,
        id: Option<QueueId>,
        deleted_at_ms: Option<UnixMs>,
        next_queue: u32,
    },
    Info {
        id: QueueId,
        old: Arc<QueueInfo>,
        buckets: Buckets,
    },
    Task {
        old: MoveTask,
    },
    Dedup {
        queue: QueueId,
        key: String,
        old: Option<Original>,
    },
    Attempt {
        queue: QueueId,
        id: String,
        old: Option<Attempt>,
    },
    Bucket {
        queue: QueueId,
        lane: Option<Arc<str>>,
        full_at_ns: u64,
    },
    Live {
        segment: u64,
        old: Option<u64>,
    },
    Shared {
        at: Address,
        old: Option<u32>,
    },
    Exchange {
        id: ExchangeId,
        old: Option<Arc<Exchange>>,
    },
    Ledger {
        key: LedgerKey,
        old: Option<Arc<LedgerEntry>>,
        next_token: u64,
    },
    Unique {
        queue: QueueId,
        key: String,
        old: Option<Holder>,
    },
    Time {
        last_time_ms: UnixMs,
    },
    Guard {
        queue: QueueId,
        lane: Option<Arc<str>>,
        old: Option<GuardState>,
    },
    GuardValue {
        queue: QueueId,
        seq: Seq,
        old: GuardValue,
    },
    Finished {
        queue: QueueId,
        old: Arc<Finished>,
    },
    Ends {
        queue: QueueId,
        old: Arc<Ends>,
    },
}

/// How long the name of a deleted queue is remembered (SQS asks for 60 seconds).
pub(crate) const NAME_MEMORY_MS: u64 = 120_000;

impl State {
    pub(crate) fn new(segment_bytes: u64) -> Self {
        Self {
            queues: BTreeMap::new(),
            names: BTreeMap::new(),
            deleted_names: BTreeMap::new(),
            tasks: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            ledger: Ledger::default(),
            schedules: Schedules::default(),
            next_queue: 1,
            next_task: 1,
            next_exchange: 1,
            last_time_ms: 0,
            shared: BTreeMap::new(),
            exchange_names: BTreeMap::new(),
            bindings: BTreeMap::new(),
            ledger_due: LedgerDue::default(),
            with_dead: BTreeSet::new(),
            segment_bytes: segment_bytes.max(1),
            live: BTreeMap::new(),
            watch: BTreeSet::new(),
            ticked: Vec::new(),
            woken: BTreeSet::new(),
            directory_changes: Vec::new(),
            journal: None,
            changes_before: 0,
        }
    }

    pub(crate) fn queue(&self, id: QueueId) -> Result<&Queue, Refusal> {
        self.queues.get(&id).ok_or(Refusal::QueueNotFound)
    }

    pub(crate) fn by_name(&self, name: &QueueName) -> Option<&Queue> {
        self.queues.get(self.names.get(name)?)
    }

    pub(crate) fn exchange_by_name(&self, name: &QueueName) -> Option<&Exchange> {
        self.exchanges.get(self.exchange_names.get(name)?).map(Arc::as_ref)
    }

    pub(crate) fn exchange(&self, name: &QueueName) -> Result<&Exchange, Refusal> {
        self.exchange_by_name(name).ok_or(Refusal::ExchangeNotFound)
    }

    pub(crate) fn binding(&self, id: BindingId) -> Result<&Arc<BindingInfo>, Refusal> {
        let owner = self.bindings.get(&id).and_then(|owner| self.exchanges.get(owner));
        owner.and_then(|owner| owner.bindings.get(&id)).ok_or(Refusal::BindingNotFound)
    }

    /// Puts a message in place of another. Says nothing about frames: see [`State::hold`].
    pub(crate) fn put(&mut self, id: QueueId, seq: Seq, new: Option<Message>) -> Option<Message> {
        let mut queue = self.queues.get_mut(&id)?;
        if new.is_none() && queue.guard_keys.get(seq).is_some() {
            // While the message is there, so that a roll-back finds it there again.
            self.set_guard_value(id, seq, None);
            queue = self.queues.get_mut(&id)?;
        }
        let leaves = new.is_none() && queue.unique.has_holders();
        let phase = new.as_ref().map(|message| message.phase);
        let (old, done) = queue.replace(seq, new);
        let unclaimed = old
            .as_ref()
            .is_some_and(|old| matches!(old.phase, Phase::Held(_)) && phase != Some(old.phase));
        if done.wakes {
            self.woken.insert(id);
        }
        if matches!(phase, Some(Phase::Dead(_))) {
            self.with_dead.insert(id);
        }
        if let Some(due_ms) = done.due_ms
            && queue.watched_ms.is_none_or(|watched| due_ms < watched)
        {
            self.watch(id, Some(due_ms));
        }
        if let Some(journal) = &mut self.journal {
            journal.push(Undo::Message { queue: id, seq, old: old.clone() });
        }
        if leaves {
            self.free_unique(id, seq);
        }
        if unclaimed {
            self.set_claim(id, seq, None);
        }
        old
    }

    /// Notes or forgets the phase that a message was in when it was claimed.
    pub(crate) fn set_claim(&mut self, id: QueueId, seq: Seq, before: Option<Phase>) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let old = match before {
            Some(phase) => queue.claims.insert(seq, phase),
            None => queue.claims.remove(&seq),
        };
        if let Some(journal) = &mut self.journal
            && old != before
        {
            journal.push(Undo::Claim { queue: id, seq, old });
        }
    }

    /// Notes when to look at a queue next.
    pub(crate) fn watch(&mut self, id: QueueId, at_ms: Option<UnixMs>) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        if let Some(before) = queue.watched_ms {
            self.watch.remove(&(before, id));
        }
        queue.watched_ms = at_ms;
        if let Some(at_ms) = at_ms {
            self.watch.insert((at_ms, id));
        }
    }

    /// Queues to look at by `now_ms`, each watched anew for exactly when it has work.
    pub(crate) fn due_queues(&mut self, now_ms: UnixMs, most: usize) -> Vec<QueueId> {
        let due = self.watch.range(..=(now_ms, QueueId(u32::MAX)));
        let due: Vec<QueueId> = due.map(|(_, id)| *id).take(most).collect();
        for id in &due {
            self.refresh_lanes(*id, now_ms);
            self.pass_by(*id, now_ms);
            let at_ms = self.queues.get(id).and_then(Queue::next_due_ms);
            self.watch(*id, at_ms);
        }
        self.ticked.clone_from(&due);
        due
    }

    /// Passes over what a tick would look at in vain, now and again.
    fn pass_by(&mut self, id: QueueId, now_ms: UnixMs) {
        let Some(queue) = self.queues.get(&id) else { return };
        let go = queue.dead_may_go && self.dead_that_go(queue, 1).next().is_some();
        if let Some(queue) = self.queues.get_mut(&id) {
            queue.dead_may_go = go;
            queue.pass_retention(now_ms);
        }
    }

    /// Watches the queues of the last tick for exactly their next work.
    pub(crate) fn watch_ticked(&mut self) {
        for id in std::mem::take(&mut self.ticked) {
            let at_ms = self.queues.get(&id).and_then(Queue::next_due_ms);
            self.watch(id, at_ms);
        }
    }

    /// By the clock of leases, from which the wall clock is `wall_ahead_ms` away.
    pub(crate) fn next_due_ms(&self, wall_ahead_ms: i64) -> Option<UnixMs> {
        let queues = self.watch.first().map(|(at, _)| *at);
        let tasks = self.tasks.values().filter_map(task_due_ms).min();
        let names = self.deleted_names.values().min().map(|at| at + NAME_MEMORY_MS);
        let (ledger, schedules) = (self.ledger_due.first_ms(), self.schedules.first_due_ms());
        let schedules =
            schedules.map(|at_ms| at_ms.saturating_add_signed(wall_ahead_ms.saturating_neg()));
        [queues, tasks, names, ledger, schedules].into_iter().flatten().min()
    }

    /// Counts a frame as live, for `shares` messages.
    pub(crate) fn hold(&mut self, frame: FrameRef, shares: u32) {
        if shares > 1 {
            if self.shared.contains_key(&frame.at) {
                return;
            }
            self.set_shared(frame.at, Some(shares));
        }
        self.count_live(frame);
    }

    /// Counts a frame as live, once.
    pub(crate) fn count_live(&mut self, frame: FrameRef) {
        let segment = frame.at / self.segment_bytes;
        let bytes = self.live.get(&segment).copied().unwrap_or(0) + u64::from(frame.bytes);
        self.set_live(segment, Some(bytes));
    }

    /// One message less needs the frame.
    pub(crate) fn free(&mut self, frame: FrameRef) {
        if let Some(shares) = self.shared.get(&frame.at).copied() {
            self.set_shared(frame.at, (shares > 2).then(|| shares - 1));
            return;
        }
        let segment = frame.at / self.segment_bytes;
        let bytes = self.live.get(&segment).copied().unwrap_or(0);
        let left = bytes.saturating_sub(u64::from(frame.bytes));
        self.set_live(segment, (left > 0).then_some(left));
    }

    /// No message of these needs its frame any more. Neighbours lie in the same segment, so the
    /// books are changed once a run and not once a message.
    pub(crate) fn free_all(&mut self, messages: &Messages) {
        let mut run: Option<(u64, u64)> = None;
        for (_, message) in messages.iter() {
            let frame = message.frame;
            if !self.shared.is_empty() && self.shared.contains_key(&frame.at) {
                self.free(frame);
                continue;
            }
            let segment = frame.at / self.segment_bytes;
            match &mut run {
                Some((of, bytes)) if *of == segment => *bytes += u64::from(frame.bytes),
                _ => {
                    self.free_run(run.replace((segment, u64::from(frame.bytes))));
                }
            }
        }
        self.free_run(run);
    }

    fn free_run(&mut self, run: Option<(u64, u64)>) {
        let Some((segment, bytes)) = run else { return };
        let left = self.live_bytes(segment).saturating_sub(bytes);
        self.set_live(segment, (left > 0).then_some(left));
    }

    /// The frame now stands somewhere else, for all that share it.
    pub(crate) fn shift(&mut self, from: FrameRef, to: FrameRef) {
        let shares = self.shared.get(&from.at).copied();
        self.set_shared(from.at, None);
        self.free(from);
        self.hold(to, shares.unwrap_or(1));
    }

    fn set_shared(&mut self, at: Address, shares: Option<u32>) {
        let old = match shares {
            Some(shares) => self.shared.insert(at, shares),
            None => self.shared.remove(&at),
        };
        if let Some(journal) = &mut self.journal {
            journal.push(Undo::Shared { at, old });
        }
    }

    fn set_live(&mut self, segment: u64, bytes: Option<u64>) {
        let old = match bytes {
            Some(bytes) => self.live.insert(segment, bytes),
            None => self.live.remove(&segment),
        };
        if let Some(journal) = &mut self.journal {
            journal.push(Undo::Live { segment, old });
        }
    }

    pub(crate) fn live_bytes(&self, segment: u64) -> u64 {
        self.live.get(&segment).copied().unwrap_or(0)
    }

    pub(crate) fn segment_range(&self, segment: u64) -> (Address, Address) {
        let from = segment.saturating_mul(self.segment_bytes);
        (from, from.saturating_add(self.segment_bytes))
    }

    /// Notes counters before they change, for a trial.
    pub(crate) fn keep_counters(&mut self, id: QueueId) {
        let Some(journal) = &mut self.journal else { return };
        if let Some(queue) = self.queues.get(&id) {
            journal.push(Undo::Counters {
                queue: id,
                next_seq: queue.next_seq,
                newest_seq: queue.newest_seq,
                newest_ms: queue.newest_ms,
                totals: queue.totals,
            });
        }
    }

    /// Notes a bucket before it changed, for a trial.
    pub(crate) fn keep_bucket(&mut self, queue: QueueId, lane: Option<Arc<str>>, full_at_ns: u64) {
        if let Some(journal) = &mut self.journal {
            journal.push(Undo::Bucket { queue, lane, full_at_ns });
        }
    }

    /// Counts tokens up to this time, and wakes who waits for one.
    pub(crate) fn refresh_lanes(&mut self, id: QueueId, now_ms: UnixMs) {
        if let Some(queue) = self.queues.get_mut(&id)
            && queue.lanes.limits.is_metered()
            && queue.lanes.refresh(now_ms)
        {
            self.woken.insert(id);
        }
    }

    /// Notes an exchange before it changes, for a trial.
    pub(crate) fn keep_exchange(&mut self, id: ExchangeId) {
        let Some(journal) = &mut self.journal else { return };
        journal.push(Undo::Exchange { id, old: self.exchanges.get(&id).cloned() });
    }

    pub(crate) fn remember_id(&mut self, id: QueueId, key: &str, original: Original) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let old = queue.dedup.replace(key, Some(original));
        let due_ms = original.until_ms.saturating_add(crate::queue::SWEEP_SLACK_MS);
        if queue.watched_ms.is_none_or(|watched| due_ms < watched) {
            self.watch(id, Some(due_ms));
        }
        if let Some(journal) = &mut self.journal {
            journal.push(Undo::Dedup { queue: id, key: key.to_owned(), old });
        }
    }

    pub(crate) fn remember_attempt(&mut self, id: QueueId, attempt_id: &str, attempt: Attempt) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let due_ms = attempt.until_ms.saturating_add(crate::queue::SWEEP_SLACK_MS);
        let old = queue.attempts.replace(attempt_id, Some(attempt));
        if queue.watched_ms.is_none_or(|watched| due_ms < watched) {
            self.watch(id, Some(due_ms));
        }
        if let Some(journal) = &mut self.journal {
            journal.push(Undo::Attempt { queue: id, id: attempt_id.to_owned(), old });
        }
    }

    /// Puts the holder of a unique key in place of another.
    pub(crate) fn put_holder(&mut self, id: QueueId, key: &str, new: Option<Holder>) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let old = queue.unique.replace(key, new);
        let due_ms = new.and_then(|holder| holder.until_ms);
        let due_ms = due_ms.map(|until_ms| until_ms.saturating_add(crate::queue::SWEEP_SLACK_MS));
        if due_ms.is_some_and(|due_ms| queue.watched_ms.is_none_or(|watched| due_ms < watched)) {
            self.watch(id, due_ms);
        }
        if let Some(journal) = &mut self.journal {
            journal.push(Undo::Unique { queue: id, key: key.to_owned(), old });
        }
    }

    /// Puts a ledger entry in place of another.
    pub(crate) fn put_entry(&mut self, key: &LedgerKey, new: Option<Arc<LedgerEntry>>) {
        let next_token = self.ledger.next_token;
        let old = self.ledger.replace(key, new.clone());
        self.ledger_due.change(old.as_ref(), new.as_ref());
        if let Some(journal) = &mut self.journal {
            journal.push(Undo::Ledger { key: key.clone(), old, next_token });
        }
    }

    /// Puts a guard in place of another (or of none).
    pub(crate) fn put_guard(
        &mut self,
        id: QueueId,
        lane: Option<Arc<str>>,
        new: Option<GuardState>,
    ) -> Option<GuardState> {
        let queue = self.queues.get_mut(&id)?;
        let old = queue.put_guard(lane.clone(), new);
        let due_ms = queue.guard_due_ms(&lane);
        if let Some(due_ms) = due_ms
            && queue.watched_ms.is_none_or(|watched| due_ms < watched)
        {
            self.watch(id, Some(due_ms));
        }
        self.woken.insert(id);
        if let Some(journal) = &mut self.journal {
            journal.push(Undo::Guard { queue: id, lane, old: old.clone() });
        }
        old
    }

    /// Notes the value by which a message is guarded.
    pub(crate) fn set_guard_value(&mut self, id: QueueId, seq: Seq, value: GuardValue) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let old = queue.set_guard_value(seq, value);
        if let Some(journal) = &mut self.journal {
            journal.push(Undo::GuardValue { queue: id, seq, old });
        }
    }

    /// Other settings begin with new guards.
    pub(crate) fn change_guards(&mut self, id: QueueId, new: &QueueConfig) {
        let same = |config: &QueueConfig| {
            config.guard == new.guard && config.guard_attribute == new.guard_attribute
        };
        let Some(queue) = self.queues.get(&id).filter(|queue| !same(&queue.info.config)) else {
            return;
        };
        let keys: Vec<_> = queue.guards.keys().cloned().collect();
        for key in keys {
            self.put_guard(id, key, None);
        }
    }

    /// Remembers the delivery by which a message was finished.
    pub(crate) fn remember_finished(&mut self, id: QueueId, seq: Seq, done: Done) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        if let Some(journal) = &mut self.journal {
            journal.push(Undo::Finished { queue: id, old: queue.finished.clone() });
        }
        Arc::make_mut(&mut queue.finished).add(seq, done);
    }

    /// Remembers how a message went.
    pub(crate) fn remember_end(&mut self, id: QueueId, end: End) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        if let Some(journal) = &mut self.journal {
            journal.push(Undo::Ends { queue: id, old: queue.ends.clone() });
        }
        Arc::make_mut(&mut queue.ends).add(end);
    }

    /// A queue of this name is there: dead letters that wait for it may go.
    pub(crate) fn wake_dead(&mut self, name: &QueueName) {
        let with_dead = std::mem::take(&mut self.with_dead);
        for id in with_dead {
            let Some(queue) = self.queues.get_mut(&id).filter(|queue| !queue.dead.is_empty())
            else {
                continue;
            };
            self.with_dead.insert(id);
            if queue.info.config.dead_go_to(name) {
                queue.dead_may_go = true;
                let due_ms = queue.next_due_ms();
                self.watch(id, due_ms);
            }
        }
    }

    /// From here on changes can be taken back by [`State::roll_back`].
    pub(crate) fn begin_trial(&mut self) {
        self.journal = Some(vec![Undo::Time { last_time_ms: self.last_time_ms }]);
        self.changes_before = self.directory_changes.len();
    }

    pub(crate) fn in_trial(&self) -> bool {
        self.journal.is_some()
    }

    /// Takes back everything since [`State::begin_trial`].
    pub(crate) fn roll_back(&mut self) {
        let steps = self.journal.take().unwrap_or_default();
        for step in steps.into_iter().rev() {
            self.undo(step);
        }
        self.directory_changes.truncate(self.changes_before);
        for queue in self.queues.values_mut() {
            queue.lanes.sweep();
        }
    }

    fn undo(&mut self, step: Undo) {
        match step {
            Undo::Message { queue, seq, old } => {
                self.put(queue, seq, old);
            }
            Undo::Counters { queue, next_seq, newest_seq, newest_ms, totals } => {
                if let Some(queue) = self.queues.get_mut(&queue) {
                    queue.next_seq = next_seq;
                    queue.newest_seq = newest_seq;
                    queue.newest_ms = newest_ms;
                    queue.totals = totals;
                }
            }
            Undo::Dedup { queue, key, old } => {
                if let Some(queue) = self.queues.get_mut(&queue) {
                    queue.dedup.replace(&key, old);
                }
            }
            Undo::Attempt { queue, id, old } => {
                if let Some(queue) = self.queues.get_mut(&queue) {
                    queue.attempts.replace(&id, old);
                }
            }
            Undo::Bucket { queue, lane, full_at_ns } => self.set_bucket(queue, lane, full_at_ns),
            Undo::Live { segment, old } => self.set_live(segment, old),
            Undo::Shared { at, old } => self.set_shared(at, old),
            Undo::Exchange { id, old } => {
                if let Some(old) = old {
                    self.exchanges.insert(id, old);
                }
            }
            Undo::Ledger { key, old, next_token } => {
                self.put_entry(&key, old);
                self.ledger.next_token = next_token;
            }
            Undo::Unique { queue, key, old } => self.put_holder(queue, &key, old),
            Undo::Guard { queue, lane, old } => {
                if let Some(queue) = self.queues.get_mut(&queue) {
                    queue.put_guard(lane, old);
                }
            }
            Undo::GuardValue { queue, seq, old } => self.set_guard_value(queue, seq, old),
            Undo::Finished { queue, old } => {
                if let Some(queue) = self.queues.get_mut(&queue) {
                    queue.finished = old;
                }
            }
            Undo::Ends { queue, old } => {
                if let Some(queue) = self.queues.get_mut(&queue) {
                    queue.ends = old;
                }
            }
            Undo::Time { last_time_ms } => self.last_time_ms = last_time_ms,
            Undo::Claim { queue, seq, old } => self.set_claim(queue, seq, old),
            Undo::Queue { .. } | Undo::Name { .. } | Undo::Info { .. } | Undo::Task { .. } => {
                self.undo_directory(step);
            }
        }
    }
}

/// What a trial notes before the set of queues changes, and how it is taken back.
impl State {
    pub(crate) fn keep_queue(&mut self, id: QueueId, old: Option<Queue>) {
        if let Some(journal) = &mut self.journal {
            journal.push(Undo::Queue { id, old: old.map(Box::new) });
        }
    }

    pub(crate) fn keep_name(&mut self, name: &QueueName) {
        let Some(journal) = &mut self.journal else { return };
        journal.push(Undo::Name {
            name: name.clone(),
            id: self.names.get(name).copied(),
            deleted_at_ms: self.deleted_names.get(name).copied(),
            next_queue: self.next_queue,
        });
    }

    pub(crate) fn keep_info(&mut self, id: QueueId) {
        let Some(journal) = &mut self.journal else { return };
        if let Some(queue) = self.queues.get(&id) {
            let buckets = queue.lanes.limits.buckets.clone();
            journal.push(Undo::Info { id, old: queue.info.clone(), buckets });
        }
    }

    /// Forgets the move tasks of a queue.
    pub(crate) fn drop_tasks(&mut self, source: QueueId) {
        if let Some(journal) = &mut self.journal {
            let dropped = self.tasks.values().filter(|task| task.source == source);
            journal.extend(dropped.map(|task| Undo::Task { old: task.clone() }));
        }
        self.tasks.retain(|_, task| task.source != source);
    }

    fn undo_directory(&mut self, step: Undo) {
        match step {
            Undo::Queue { id, old } => {
                self.watch(id, None);
                let due_ms = old.as_ref().and_then(|queue| queue.next_due_ms());
                match old {
                    Some(mut queue) => {
                        queue.watched_ms = None;
                        self.queues.insert(id, *queue);
                        self.watch(id, due_ms);
                    }
                    None => {
                        self.queues.remove(&id);
                    }
                }
            }
            Undo::Name { name, id, deleted_at_ms, next_queue } => {
                self.next_queue = next_queue;
                match id {
                    Some(id) => self.names.insert(name.clone(), id),
                    None => self.names.remove(&name),
                };
                match deleted_at_ms {
                    Some(at_ms) => self.deleted_names.insert(name, at_ms),
                    None => self.deleted_names.remove(&name),
                };
            }
            Undo::Info { id, old, buckets } => {
                if let Some(queue) = self.queues.get_mut(&id) {
                    queue.restore(old, buckets);
                }
            }
            Undo::Task { old } => {
                self.tasks.insert(old.id, old);
            }
            _ => {}
        }
    }
}

/// When a running task may move its next message.
pub(crate) fn task_due_ms(task: &MoveTask) -> Option<UnixMs> {
    if task.status != MoveStatus::Running {
        return None;
    }
    Some(match task.max_per_second {
        None => task.started_at_ms,
        Some(rate) => {
            task.started_at_ms.saturating_add((task.moved + 1) * 1_000 / u64::from(rate.max(1)))
        }
    })
}
