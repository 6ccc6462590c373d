//! The engine's interface: decide, apply, replay, ask, freeze.

use std::io;
use std::sync::Arc;

use kyu_model::limits::MAX_LISTED;
use kyu_model::wire::Malformed;
use kyu_model::{
    Address, Answer, BindingId, BindingInfo, Browse, Command, Context, ExchangeInfo, Explain,
    HistoryOf, LedgerStats, ListBindings, ListExchanges, ListGuards, ListLanes, MoveTask, Peek,
    Query, QueueId, QueueInfo, QueueName, QueueStats, QueueTotals, Refusal, Seq, SessionId, UnixMs,
};

use crate::decide;
use crate::decision::Decision;
use crate::effect::Effects;
use crate::explain::explain;
use crate::ledger::decide::answer as ledger_answer;
use crate::load_error::LoadError;
use crate::queue::decide::acquire::peek;
use crate::queue::decide::by_seq::browse;
use crate::schedule::decide::schedule::answer as schedule_answer;
use crate::snapshot::{self, Frozen};
use crate::state::{DirectoryChange, State};

/// The state machine. `decide` says what follows from a command, `apply` makes it so; the state
/// is always what a replay of the applied records gives.
pub struct Engine {
    state: State,
}

/// A frame that messages need, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveFrame {
    /// Its address.
    pub at: Address,
    /// Its length.
    pub bytes: u32,
    /// The messages that need it.
    pub owners: Vec<(QueueId, Seq)>,
}

impl Engine {
    /// An empty engine over a log whose segments have this length.
    pub fn new(segment_bytes: u64) -> Self {
        Self { state: State::new(segment_bytes) }
    }

    /// Loads what [`Frozen::write`] wrote.
    pub fn load(from: &mut impl io::Read, segment_bytes: u64) -> Result<Self, LoadError> {
        Ok(Self { state: snapshot::load(from, segment_bytes)? })
    }

    /// Decides a command: returns its effects and its reply. The visible state does not change.
    ///
    /// The caller appends `effects.bytes()` to the log unless they are empty, calls
    /// [`Engine::apply`] and [`crate::Reply::place`] with the address that the record got, and
    /// gives the reply when `wait` is over.
    pub fn decide(&mut self, command: &Command, ctx: &Context) -> Result<Decision, Refusal> {
        let mut effects = Effects::default();
        let (reply, wait) = decide::decide(&mut self.state, command, ctx, &mut effects)?;
        Ok(Decision { effects, reply, wait })
    }

    /// Makes the facts so. `record_at` is the address of the record's first byte.
    pub fn apply(&mut self, effects: &Effects, record_at: Address) {
        self.state.apply(effects, record_at);
        self.state.watch_ticked();
    }

    /// Applies a record read back from the log.
    pub fn replay(&mut self, record_at: Address, record: &[u8]) -> Result<(), Malformed> {
        let effects = Effects::decode(record)?;
        self.state.apply(&effects, record_at);
        Ok(())
    }

    /// Answers a question at a time that is not before the last command's; only [`Query::Explain`]
    /// needs the time. The visible state does not change.
    pub fn query_at(&mut self, query: &Query, now_ms: UnixMs) -> Result<Answer, Refusal> {
        let Query::Explain(Explain { queue, seq }) = query else { return self.query(query) };
        self.state.refresh_lanes(*queue, now_ms);
        Ok(Answer::Explained(Box::new(explain(&self.state, *queue, *seq, now_ms)?)))
    }

    /// The counts of a queue.
    pub fn stats(&self, queue: QueueId) -> Result<QueueStats, Refusal> {
        Ok(self.state.queue(queue)?.stats())
    }

    /// The totals of a queue since it was created.
    pub fn totals(&self, queue: QueueId) -> Result<QueueTotals, Refusal> {
        Ok(*self.state.queue(queue)?.totals)
    }

    /// The entries of the ledger, counted.
    pub fn ledger_stats(&self) -> LedgerStats {
        self.state.ledger.stats()
    }

    /// Answers a question. [`Query::Explain`] is answered as of the last command that changed
    /// something.
    pub fn query(&self, query: &Query) -> Result<Answer, Refusal> {
        Ok(match query {
            Query::Stats(id) => Answer::Stats(self.stats(*id)?),
            Query::Totals(id) => Answer::Totals(self.totals(*id)?),
            Query::DeadLetterSources(name) => {
                let sources = self.queues().filter(|info| {
                    info.config.dead_letter.as_ref().is_some_and(|rule| rule.target == *name)
                });
                let mut names: Vec<_> = sources.map(|info| info.name.clone()).collect();
                names.sort();
                Answer::DeadLetterSources(names)
            }
            Query::MoveTasks(source) => {
                self.state.queue(*source)?;
                let tasks = self.state.tasks.values().rev().filter(|task| task.source == *source);
                Answer::MoveTasks(tasks.cloned().collect::<Vec<MoveTask>>())
            }
            Query::Exchange(name) => {
                let exchange = self.state.exchange(name)?;
                Answer::Exchange(exchange.info.clone(), exchange.stats())
            }
            Query::Exchanges(ListExchanges { namespace, after, max }) => {
                Answer::Exchanges(self.exchanges(namespace, after.as_deref(), *max))
            }
            Query::Binding(id) => Answer::Binding(self.state.binding(*id)?.clone()),
            Query::Bindings(ListBindings { exchange, after, max }) => {
                Answer::Bindings(self.bindings(exchange.as_ref(), *after, *max)?)
            }
            Query::Ledger(query) => Answer::Ledger(ledger_answer(&self.state, query)),
            Query::Browse(Browse { queue, from, max_messages, only_ready }) => {
                browse(self.state.queue(*queue)?, *from, *max_messages, *only_ready)
            }
            Query::Explain(Explain { queue, seq }) => {
                let now_ms = *self.state.last_time_ms;
                Answer::Explained(Box::new(explain(&self.state, *queue, *seq, now_ms)?))
            }
            Query::Lanes(ListLanes { queue, after, max }) => {
                let lanes = &self.state.queue(*queue)?.lanes;
                Answer::Lanes(lanes.stats(after.as_deref(), (*max).min(MAX_LISTED)))
            }
            Query::Guards(ListGuards { queue, after, max }) => {
                let (queue, max) = (self.state.queue(*queue)?, (*max).min(MAX_LISTED));
                let now_ms = *self.state.last_time_ms;
                Answer::Guards(queue.guard_stats(after.as_deref(), max, now_ms))
            }
            Query::PausedLanes(queue) => {
                let paused = &self.state.queue(*queue)?.lanes.limits.paused;
                Answer::PausedLanes(paused.iter().map(|key| key.as_ref().to_owned()).collect())
            }
            Query::Schedule(query) => Answer::Schedule(schedule_answer(&self.state, query)?),
            Query::Peek(Peek { queue, max_messages }) => {
                peek(self.state.queue(*queue)?, *max_messages)
            }
            Query::History(HistoryOf { queue, seq }) => {
                Answer::History(self.state.queue(*queue)?.history_of(*seq).map(Box::new))
            }
        })
    }

    fn exchanges(
        &self,
        namespace: &str,
        after: Option<&str>,
        max: usize,
    ) -> Vec<Arc<ExchangeInfo>> {
        let name = after.unwrap_or_default().to_owned();
        let from = QueueName { namespace: namespace.to_owned(), name };
        let named = self.state.exchange_names.range(from..);
        named
            .take_while(|(name, _)| name.namespace == namespace)
            .filter(|(name, _)| after.is_none_or(|after| name.name.as_str() > after))
            .take(max.min(MAX_LISTED))
            .filter_map(|(_, id)| self.state.exchanges.get(id))
            .map(|exchange| exchange.info.clone())
            .collect()
    }

    fn bindings(
        &self,
        exchange: Option<&QueueName>,
        after: Option<BindingId>,
        max: usize,
    ) -> Result<Vec<Arc<BindingInfo>>, Refusal> {
        use std::ops::Bound::{Excluded, Unbounded};
        let range = (after.map_or(Unbounded, Excluded), Unbounded);
        let max = max.min(MAX_LISTED);
        Ok(match exchange {
            Some(name) => {
                let bindings = self.state.exchange(name)?.bindings.range(range);
                bindings.take(max).map(|(_, info)| info.clone()).collect()
            }
            None => {
                let ids = self.state.bindings.range(range).take(max);
                ids.filter_map(|(id, _)| self.state.binding(*id).ok().cloned()).collect()
            }
        })
    }

    /// Returns the time at which the next [`Command::Tick`] may have work. It is never too late,
    /// and sometimes too early.
    pub fn next_due_ms(&self) -> Option<UnixMs> {
        self.next_due_beside(0)
    }

    /// Returns the time of [`Engine::next_due_ms`] for a wall clock that is `wall_ahead_ms` before
    /// the time of commands, or behind it.
    pub fn next_due_beside(&self, wall_ahead_ms: i64) -> Option<UnixMs> {
        self.state.next_due_ms(wall_ahead_ms)
    }

    /// Takes the queues in which a message may have become receivable since the last call, or
    /// that are gone.
    pub fn take_woken(&mut self, woken: &mut Vec<QueueId>) {
        woken.extend(std::mem::take(&mut self.state.woken));
    }

    /// Takes the changes of the set of queues since the last call.
    pub fn take_directory_changes(&mut self) -> Vec<DirectoryChange> {
        std::mem::take(&mut *self.state.directory_changes)
    }

    /// Returns all queues, by identifier.
    pub fn queues(&self) -> impl Iterator<Item = &Arc<QueueInfo>> {
        self.state.queues.values().map(|queue| &queue.info)
    }

    /// Returns the sessions that hold messages. After a restart none of them exists any more.
    pub fn sessions(&self) -> Vec<SessionId> {
        let all = self.state.queues.values().flat_map(|queue| queue.sessions.keys());
        let mut sessions: Vec<SessionId> = all.copied().collect();
        sessions.sort_unstable();
        sessions.dedup();
        sessions
    }

    /// The largest time in any applied record.
    pub fn last_time_ms(&self) -> UnixMs {
        *self.state.last_time_ms
    }

    /// Returns the bytes of frames in a log segment that messages still need.
    pub fn live_bytes(&self, segment: u64) -> u64 {
        self.state.frames.live_bytes(segment)
    }

    /// The frames in a log segment that messages still need, by address.
    pub fn live_frames(&self, segment: u64) -> Vec<LiveFrame> {
        let (from, to) = self.state.frames.segment_range(segment);
        let mut found: Vec<(Address, u32, QueueId, Seq)> = Vec::new();
        for (id, queue) in self.state.queues.iter() {
            let messages = queue.messages.in_addresses(from, to);
            found.extend(messages.map(|(seq, m)| (m.frame.at, m.frame.bytes, *id, seq)));
        }
        found.sort_unstable();
        let mut frames: Vec<LiveFrame> = Vec::new();
        for (at, bytes, queue, seq) in found {
            match frames.last_mut() {
                Some(last) if last.at == at => last.owners.push((queue, seq)),
                _ => frames.push(LiveFrame { at, bytes, owners: vec![(queue, seq)] }),
            }
        }
        frames
    }

    /// The state at this moment, to be written by another thread. Copies pointers, not messages.
    pub fn freeze(&self) -> Frozen {
        Frozen::of(&self.state)
    }

    /// A number that is equal for equal states.
    pub fn digest(&self) -> u64 {
        self.freeze().digest()
    }
}
