//! The gateway without threads: decide, append, apply, and hold the reply until the log is durable.
//!
//! Deterministic: time, seeds and the order of calls come from the caller. The [`crate::Broker`]
//! drives one from its engine thread; the simulation and the benchmarks drive theirs step by step.

mod open;
mod receive;
pub mod stopped;
mod upkeep;

use std::sync::Arc;

use kyu_engine::{
    Address, Command, Context, Engine, GiveBack, Outcome, Query, QueueId, Receipt, Reply,
    SessionId, Settle, UnixMs, Wait,
};
use kyu_log::{AppendError, Class, FileLog, Log, SnapshotStore};

use crate::directory::Directory;
use crate::error::Error;
use crate::metrics::{Counter, Metrics};
use crate::options::Policy;
use crate::outbox::{Completion, Held, Outbox, Response, Until};
use crate::pins::Pins;
use crate::seeds::Seeds;
use crate::waiters::Waiters;

pub use open::{CoreOptions, LostMessages, OpenError, QueueMessages};
pub use upkeep::Work;

/// A function that takes completions to their callers. It is called on the thread that drives the core
/// and on the log's writer thread.
pub type Deliver<T> = Arc<dyn Fn(Completion<T>) + Send + Sync>;

/// The delay before the next tick after one that left due work undone because the log is full.
const TICK_RETRY_MS: u64 = 100;

/// A broker without threads, over any log; see the module. `T` identifies a request to its caller.
pub struct Core<T, L = FileLog> {
    engine: Engine,
    log: L,
    /// The end of the last appended record.
    log_end: Address,
    segment_bytes: u64,
    epoch: u32,
    seeds: Seeds,
    now_ms: UnixMs,
    /// The difference by which the wall clock, which governs schedules, is ahead of `now_ms`.
    wall_ahead_ms: i64,
    tick_not_before_ms: UnixMs,
    outbox: Arc<Outbox<T>>,
    /// Replies since the last hand-over to the outbox.
    replies: Vec<(Until, Held<T>)>,
    deliver: Deliver<T>,
    waiters: Waiters<T>,
    long_polls_ended: bool,
    woken: Vec<QueueId>,
    /// Sessions of an earlier process that still hold messages. Identifiers of new sessions must
    /// differ from them.
    stale_sessions: Vec<SessionId>,
    pins: Pins,
    upkeep: upkeep::Upkeep,
    policy: Policy,
    directory: Arc<Directory>,
    metrics: Arc<Metrics>,
    snapshots: SnapshotStore,
}

impl<T: Send + 'static, L: Log> Core<T, L> {
    /// Moves time forward: ticks that are due, then long polls whose time is over. Time never goes
    /// back; call it before the commands of a batch.
    pub fn advance(&mut self, now_ms: UnixMs) {
        self.now_ms = self.now_ms.max(now_ms);
        self.tick();
        while let Some(waiter) = self.waiters.pop_expired(self.now_ms) {
            self.reply_empty(waiter.ticket);
        }
    }

    /// Sets the difference by which the wall clock is ahead of the time of [`Core::advance`]; negative
    /// if it is behind.
    pub fn see_wall(&mut self, wall_ahead_ms: i64) {
        self.wall_ahead_ms = wall_ahead_ms;
    }

    /// Carries out a command and answers under `ticket` once its effects are durable.
    pub fn submit(&mut self, command: &Command, ticket: T) {
        match self.execute(command) {
            Ok((reply, until)) => self.reply(ticket, Ok(Response::Reply(reply)), until),
            Err(error) => self.reply(ticket, Err(error), self.all()),
        }
        self.serve_woken();
    }

    /// Answers a query under `ticket` once everything it may have seen is durable.
    pub fn query(&mut self, query: &Query, ticket: T) {
        self.metrics.add(Counter::Queries, 1);
        let answer = self.engine.query_at(query, self.now_ms);
        let result = answer.map(Response::Answer).map_err(Error::Refused);
        self.reply(ticket, result, self.all());
        // Looking at the time may have found tokens that somebody waits for.
        self.serve_woken();
    }

    /// Returns deliveries that nobody took to their queue: at once, to their old place, and uncounted.
    pub fn abandon(&mut self, queue: QueueId, receipts: Vec<Receipt>) {
        self.metrics.add(Counter::AbandonedDeliveries, receipts.len() as u64);
        let back = || Outcome::Release { to_tail: false, delay_ms: 0, counted: false };
        let items = receipts.into_iter().map(|receipt| (receipt, back())).collect();
        // If this fails (the queue is gone, the log is full) the leases lapse in their own time.
        let _lapses_later = self.execute(&Command::Settle(Settle { queue, items }));
        self.serve_woken();
    }

    /// Gives back the claims of a transaction that did not commit.
    pub fn give_back(&mut self, claims: GiveBack) {
        // A full log keeps room for what does not grow; if that is used up too, the claims end with
        // the process.
        if let Err(error) = self.execute(&Command::GiveBack(claims)) {
            tracing::warn!(%error, "giving back the claims of a transaction");
        }
        self.serve_woken();
    }

    /// Hands over the replies collected so far: each is delivered as soon as it is durable.
    /// Call it after every batch of commands.
    pub fn hand_over(&mut self) {
        if self.replies.is_empty() {
            return;
        }
        let mut done = Vec::new();
        self.outbox.hold(&mut self.replies, &mut done);
        for completion in done {
            (self.deliver)(completion);
        }
    }

    /// The time at which [`Core::advance`] or [`Core::upkeep`] next has work, if nothing else happens.
    pub fn next_wake_ms(&self) -> Option<UnixMs> {
        let tick_ms = self
            .engine
            .next_due_beside(self.wall_ahead_ms)
            .map(|due| due.max(self.tick_not_before_ms));
        let wakes = [tick_ms, self.waiters.next_deadline_ms(), self.next_upkeep_ms()];
        wakes.into_iter().flatten().min()
    }

    /// The state, for checks.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The log: a stepped one must be flushed by the caller.
    pub fn log(&mut self) -> &mut L {
        &mut self.log
    }

    /// The durable queues.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Counters of this core.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Number of this run of the log.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The time of the last [`Core::advance`].
    pub fn now_ms(&self) -> UnixMs {
        self.now_ms
    }

    /// Does one bounded tick, if one is due. The rest is done after the commands that wait.
    fn tick(&mut self) {
        let due = |core: &Self| {
            let next_ms = core.engine.next_due_beside(core.wall_ahead_ms);
            next_ms.is_some_and(|at_ms| at_ms <= core.now_ms)
        };
        if self.now_ms < self.tick_not_before_ms || !due(self) {
            return;
        }
        let mut ticked = self.execute(&Command::Tick);
        if matches!(ticked, Err(Error::StorageFull)) {
            // A tick of schedules, which sends messages; the next one is for what shrinks the log.
            ticked = self.execute(&Command::Tick);
        }
        self.serve_woken();
        let goes_on = matches!(ticked, Ok((Reply::Ticked { more: true }, _)));
        if !goes_on && due(self) {
            self.tick_not_before_ms = self.now_ms + TICK_RETRY_MS;
        }
    }

    /// Decides a command, appends its effects to the log and applies them. On an error nothing has
    /// changed.
    fn execute(&mut self, command: &Command) -> Result<(Reply, Until), Error> {
        self.metrics.add(Counter::Commands, 1);
        let context = Context {
            now_ms: self.now_ms,
            wall_ms: self.now_ms.saturating_add_signed(self.wall_ahead_ms),
            seed: self.seeds.next(),
            epoch: self.epoch,
        };
        let mut decision = self.engine.decide(command, &context).inspect_err(|_| {
            self.metrics.add(Counter::Refusals, 1);
        })?;
        if !decision.effects.is_empty() {
            let class = if decision.effects.grows() { Class::Grow } else { Class::Shrink };
            let appended = self
                .log
                .append(class, decision.effects.bytes())
                .map_err(|error| self.append_error(error))?;
            self.engine.apply(&decision.effects, appended.body_at.0);
            decision.reply.place(appended.body_at.0);
            self.log_end = appended.end.0;
            let changes = self.engine.take_directory_changes();
            if !changes.is_empty() {
                self.replies.push((self.all(), Held::Directory(changes)));
            }
        }
        self.metrics.count_reply(&decision.reply);
        let until = match decision.wait {
            Wait::Record => self.all(),
            Wait::Until(end) => Until::Frames(end),
        };
        Ok((decision.reply, until))
    }

    fn append_error(&self, error: AppendError) -> Error {
        match error {
            AppendError::Full => {
                self.metrics.add(Counter::StorageFull, 1);
                Error::StorageFull
            }
            AppendError::TooLarge { .. } => {
                Error::Refused(kyu_engine::Refusal::LimitExceeded("bytes of a log record"))
            }
            AppendError::Failed => Error::Internal,
            // Another owner has the log: this server is over, and its clients go to that one.
            AppendError::Sealed { .. } => Error::ShuttingDown,
        }
    }

    /// The condition that everything appended so far is durable.
    fn all(&self) -> Until {
        Until::Log(self.log_end)
    }

    fn reply(&mut self, ticket: T, result: Result<Response, Error>, until: Until) {
        let completion = Completion { ticket, result, pin: self.pins.pin() };
        self.replies.push((until, Held::Reply(completion)));
    }
}
