//! The whole state: queues, names, move tasks, and what the log must keep for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kyu_machine::{Journaled, JournaledMap, JournaledMembers, Trial, each_part};
use kyu_model::{
    BindingId, BindingInfo, End, ExchangeId, MoveStatus, MoveTask, Phase, QueueConfig, QueueId,
    QueueInfo, QueueName, Refusal, Seq, UnixMs,
};

use crate::exchange::store::Exchange;
use crate::frames::Frames;
use crate::ledger::store::Ledger;
use crate::queue::attempts::Attempt;
use crate::queue::dedup::Original;
use crate::queue::message::Message;
use crate::queue::store::Queue;
use crate::queue::unique::Holder;
use crate::retries::finished::Done;
use crate::retries::guard::GuardState;
use crate::schedule::store::Schedules;

/// A change of the set of queues, for directories outside the engine.
#[derive(Clone, Debug)]
pub enum DirectoryChange {
    /// A queue is new or has new settings.
    Put(Arc<QueueInfo>),
    /// A queue is gone.
    Removed(QueueId),
}

/// Whatever is here, and whatever is in it, takes its changes back after a trial ([`Trial`]).
pub(crate) struct State {
    pub(crate) queues: JournaledMembers<QueueId, Queue>,
    pub(crate) names: JournaledMap<BTreeMap<QueueName, QueueId>>,
    /// The times at which queues were deleted whose names are still remembered.
    pub(crate) deleted_names: JournaledMap<BTreeMap<QueueName, UnixMs>>,
    pub(crate) tasks: JournaledMap<BTreeMap<u64, MoveTask>>,
    pub(crate) exchanges: JournaledMap<BTreeMap<ExchangeId, Arc<Exchange>>>,
    pub(crate) ledger: JournaledMap<Ledger>,
    /// The next token of the ledger.
    pub(crate) next_token: Journaled<u64>,
    pub(crate) schedules: JournaledMap<Schedules>,
    /// The last identifier that a schedule got.
    pub(crate) last_schedule: Journaled<u64>,
    pub(crate) next_queue: Journaled<u32>,
    pub(crate) next_task: Journaled<u64>,
    pub(crate) next_exchange: Journaled<u32>,
    pub(crate) last_time_ms: Journaled<UnixMs>,
    pub(crate) frames: Frames,

    // What follows is derived, and not in snapshots.
    pub(crate) exchange_names: JournaledMap<BTreeMap<QueueName, ExchangeId>>,
    /// The exchange of each binding.
    pub(crate) bindings: JournaledMap<BTreeMap<BindingId, ExchangeId>>,
    /// Queues that keep dead letters, and some that did.
    with_dead: JournaledMap<BTreeSet<QueueId>>,
    /// Queues by the time at which to look at them.
    watch: JournaledMap<BTreeSet<(UnixMs, QueueId)>>,
    /// Queues that the last tick decided about; to be watched anew once that is applied.
    ticked: Journaled<Vec<QueueId>>,
    /// The last tick went to schedules, so that the next one goes to queues.
    pub(crate) schedules_had_turn: Journaled<bool>,
    pub(crate) woken: BTreeSet<QueueId>,
    pub(crate) directory_changes: Journaled<Vec<DirectoryChange>>,
    in_trial: bool,
}

impl Trial for State {
    fn begin_trial(&mut self) {
        self.in_trial = true;
        self.each(|part| part.begin_trial());
    }

    fn roll_back(&mut self) {
        self.in_trial = false;
        self.each(|part| part.roll_back());
    }
}

impl State {
    fn each(&mut self, mut call: impl FnMut(&mut dyn Trial)) {
        each_part!(self, call, journaled {
            queues,
            names,
            deleted_names,
            tasks,
            exchanges,
            ledger,
            next_token,
            schedules,
            last_schedule,
            next_queue,
            next_task,
            next_exchange,
            last_time_ms,
            frames,
            exchange_names,
            bindings,
            with_dead,
            watch,
            ticked,
            schedules_had_turn,
            directory_changes,
        } aside {
            // Who is woken in vain looks once; but tokens that a trial has counted stay counted, and
            // nobody else would wake those who wait for them.
            woken,
            in_trial,
        });
    }
}

/// The time for which the name of a deleted queue is remembered, in milliseconds (SQS asks for 60
/// seconds).
pub(crate) const NAME_MEMORY_MS: u64 = 120_000;

impl State {
    pub(crate) fn new(segment_bytes: u64) -> Self {
        Self {
            queues: JournaledMembers::default(),
            names: JournaledMap::default(),
            deleted_names: JournaledMap::default(),
            tasks: JournaledMap::default(),
            exchanges: JournaledMap::default(),
            ledger: JournaledMap::default(),
            next_token: Journaled::new(1),
            schedules: JournaledMap::default(),
            last_schedule: Journaled::new(0),
            next_queue: Journaled::new(1),
            next_task: Journaled::new(1),
            next_exchange: Journaled::new(1),
            last_time_ms: Journaled::new(0),
            frames: Frames::new(segment_bytes),
            exchange_names: JournaledMap::default(),
            bindings: JournaledMap::default(),
            with_dead: JournaledMap::default(),
            watch: JournaledMap::default(),
            ticked: Journaled::default(),
            schedules_had_turn: Journaled::default(),
            woken: BTreeSet::new(),
            directory_changes: Journaled::default(),
            in_trial: false,
        }
    }

    /// Returns true if changes are part of a trial and may be taken back.
    pub(crate) fn in_trial(&self) -> bool {
        self.in_trial
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

    /// Puts a message in place of another. Says nothing about frames: see [`Frames::hold`].
    pub(crate) fn put(&mut self, id: QueueId, seq: Seq, new: Option<Message>) -> Option<Message> {
        let queue = self.queues.get_mut(&id)?;
        if new.is_none() && queue.guard_keys.get(seq).is_some() {
            queue.set_guard_value(seq, None);
        }
        let leaves = new.is_none() && queue.unique.has_holders();
        let phase = new.as_ref().map(|message| message.phase);
        let (old, done) = queue.replace(seq, new);
        let unclaimed = old
            .as_ref()
            .is_some_and(|old| matches!(old.phase, Phase::Held(_)) && phase != Some(old.phase));
        if unclaimed {
            queue.claims.remove(&seq);
        }
        if done.wakes {
            self.wake(id);
        }
        if matches!(phase, Some(Phase::Dead(_))) {
            self.with_dead.insert(&id, ());
        }
        self.watch_by(id, done.due_ms);
        if leaves {
            self.free_unique(id, seq);
        }
        old
    }

    /// Says that a message of a queue may have become receivable.
    pub(crate) fn wake(&mut self, id: QueueId) {
        self.woken.insert(id);
    }

    /// Watches a queue for this time at the latest.
    pub(crate) fn watch_by(&mut self, id: QueueId, due_ms: Option<UnixMs>) {
        let Some(due_ms) = due_ms else { return };
        let Some(queue) = self.queues.get(&id) else { return };
        if queue.watched_ms.is_none_or(|watched| due_ms < watched) {
            self.watch(id, Some(due_ms));
        }
    }

    /// Notes when to look at a queue next.
    pub(crate) fn watch(&mut self, id: QueueId, at_ms: Option<UnixMs>) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        if let Some(before) = std::mem::replace(&mut *queue.watched_ms, at_ms) {
            self.watch.remove(&(before, id));
        }
        if let Some(at_ms) = at_ms {
            self.watch.insert(&(at_ms, id), ());
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
        *self.ticked = due.clone();
        due
    }

    /// Passes over what a tick would look at in vain, now and again.
    fn pass_by(&mut self, id: QueueId, now_ms: UnixMs) {
        let Some(queue) = self.queues.get(&id) else { return };
        let go = *queue.dead_may_go && self.dead_that_go(queue, 1).next().is_some();
        if let Some(queue) = self.queues.get_mut(&id) {
            *queue.dead_may_go = go;
            queue.pass_retention(now_ms);
        }
    }

    /// Watches the queues of the last tick for exactly their next work.
    pub(crate) fn watch_ticked(&mut self) {
        for id in std::mem::take(&mut *self.ticked) {
            let at_ms = self.queues.get(&id).and_then(Queue::next_due_ms);
            self.watch(id, at_ms);
        }
    }

    /// Returns the time at which a tick next has work, by the clock of leases; the wall clock is
    /// `wall_ahead_ms` before it.
    pub(crate) fn next_due_ms(&self, wall_ahead_ms: i64) -> Option<UnixMs> {
        let queues = self.watch.first().map(|(at, _)| *at);
        let tasks = self.tasks.values().filter_map(task_due_ms).min();
        let names = self.deleted_names.values().min().map(|at| at + NAME_MEMORY_MS);
        let (ledger, schedules) = (self.ledger.first_due_ms(), self.schedules.first_due_ms());
        let schedules =
            schedules.map(|at_ms| at_ms.saturating_add_signed(wall_ahead_ms.saturating_neg()));
        [queues, tasks, names, ledger, schedules].into_iter().flatten().min()
    }

    /// Counts tokens up to this time, and wakes who waits for one.
    pub(crate) fn refresh_lanes(&mut self, id: QueueId, now_ms: UnixMs) {
        if let Some(queue) = self.queues.get_mut(&id)
            && queue.lanes.limits.is_metered()
            && queue.lanes.refresh(now_ms)
        {
            self.wake(id);
        }
    }

    pub(crate) fn remember_id(&mut self, id: QueueId, key: &str, original: Original) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        queue.dedup.insert(key, original);
        self.watch_by(
            id,
            Some(original.until_ms.saturating_add(crate::queue::store::SWEEP_SLACK_MS)),
        );
    }

    pub(crate) fn remember_attempt(&mut self, id: QueueId, attempt_id: &str, attempt: Attempt) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let due_ms = attempt.until_ms.saturating_add(crate::queue::store::SWEEP_SLACK_MS);
        queue.attempts.insert(attempt_id, attempt);
        self.watch_by(id, Some(due_ms));
    }

    /// Puts the holder of a unique key in place of another.
    pub(crate) fn put_holder(&mut self, id: QueueId, key: &str, new: Option<Holder>) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        queue.unique.replace(key, new);
        let due_ms = new.and_then(|holder| holder.until_ms);
        self.watch_by(id, due_ms.map(|at| at.saturating_add(crate::queue::store::SWEEP_SLACK_MS)));
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
        self.watch_by(id, due_ms);
        self.wake(id);
        old
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
        Arc::make_mut(&mut queue.finished).add(seq, done);
    }

    /// Remembers how a message went.
    pub(crate) fn remember_end(&mut self, id: QueueId, end: End) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        Arc::make_mut(&mut queue.ends).add(end);
    }

    /// A queue of this name is there: dead letters that wait for it may go.
    pub(crate) fn wake_dead(&mut self, name: &QueueName) {
        for id in self.with_dead.iter().copied().collect::<Vec<_>>() {
            let Some(queue) = self.queues.get(&id).filter(|queue| !queue.dead.is_empty()) else {
                self.with_dead.remove(&id);
                continue;
            };
            if queue.info.config.dead_go_to(name)
                && let Some(queue) = self.queues.get_mut(&id)
            {
                *queue.dead_may_go = true;
                let due_ms = queue.next_due_ms();
                self.watch(id, due_ms);
            }
        }
    }

    /// Forgets the move tasks of a queue.
    pub(crate) fn drop_tasks(&mut self, source: QueueId) {
        let dropped = self.tasks.values().filter(|task| task.source == source);
        for id in dropped.map(|task| task.id).collect::<Vec<_>>() {
            self.tasks.remove(&id);
        }
    }
}

/// Returns the time at which a running task may move its next message.
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
