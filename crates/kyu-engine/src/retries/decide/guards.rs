//! Applying guards: the budget and breaker of each message that a command touches, changed in a
//! copy and written as one fact for each guard at the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use kyu_model::{Guard, Seq, UnixMs};

use crate::effect::Effects;
use crate::queue::message::Message;
use crate::queue::store::Queue;
use crate::retries::guard::{AttemptSignal, GuardState};
use crate::retries::guard_keys::GuardValue;
use crate::retries::queue_guards::Whose;
use crate::retries::record::{Next, RetryFact};

/// The guards of one queue, as far as a command touches them.
pub(crate) struct Guards<'a> {
    queue: &'a Queue,
    config: Option<Guard>,
    now_ms: UnixMs,
    /// The guards that have changed, by key; `None` as a state forgets the guard.
    changed: BTreeMap<Option<Arc<str>>, Option<GuardState>>,
}

impl<'a> Guards<'a> {
    pub(crate) fn new(queue: &'a Queue, now_ms: UnixMs) -> Self {
        Self { queue, config: queue.guard_config(), now_ms, changed: BTreeMap::new() }
    }

    /// Returns a guard for changing it.
    fn of(&mut self, whose: &Whose) -> Option<(Guard, &mut GuardState)> {
        let config = self.config?;
        let key = self.queue.guard_key(&config, whose)?;
        let (queue, now_ms) = (self.queue, self.now_ms);
        let known = || queue.guards.get(&key).cloned();
        let fresh = || GuardState::new(&config, now_ms);
        let entry = self.changed.entry(key.clone()).or_insert_with(known);
        let guard = entry.get_or_insert_with(fresh);
        guard.refill(&config, now_ms);
        Some((config, guard))
    }

    /// Returns true if the breaker lets this message be handed out; if so and it is an attempt, the
    /// attempt begins.
    pub(crate) fn begin(&mut self, seq: Seq, message: &Message, is_attempt: bool) -> bool {
        let Some(config) = self.config.filter(|config| config.breaker.is_some()) else {
            return true;
        };
        let whose = self.queue.whose(seq, message.lane);
        let Some(key) = self.queue.guard_key(&config, &whose) else { return true };
        let now = self.changed.get(&key).map(Option::as_ref);
        let Some(guard) = now.unwrap_or_else(|| self.queue.guards.get(&key)) else { return true };
        if guard.is_shut(&config) {
            return false;
        }
        let mut guard = guard.clone();
        if is_attempt && guard.begin(&config, self.now_ms) {
            self.changed.insert(key, Some(guard));
        }
        true
    }

    /// Puts a message aside that [`Guards::begin`] refused, where its guard does not shut a whole
    /// lane or queue. Returns true if it did.
    pub(crate) fn put_aside(&mut self, seq: Seq, message: &Message, effects: &mut Effects) -> bool {
        let whose = self.queue.whose(seq, message.lane);
        if !matches!(whose, Whose::Value(_)) {
            return false;
        }
        if message.history.receives > 0
            && let Some((config, guard)) = self.of(&whose)
        {
            guard.return_token(&config);
        }
        let (queue, next) = (self.queue.id(), Next::Parked);
        effects.push(RetryFact::Retried { queue, seq, next, order: None });
        true
    }

    /// Tells the message's guard that an attempt is over.
    pub(crate) fn end(&mut self, seq: Seq, message: &Message, signal: AttemptSignal) {
        let now_ms = self.now_ms;
        let whose = self.queue.whose(seq, message.lane);
        if let Some((config, guard)) = self.of(&whose) {
            guard.end(&config, message.history.last_received_at_ms, signal, now_ms);
        }
    }

    /// Returns when a message whose delay is over may be tried again.
    pub(crate) fn next(&mut self, seq: Seq, message: &Message) -> Next {
        if self.config.is_none_or(|config| config.budget.is_none()) {
            return Next::Now;
        }
        let whose = self.queue.whose(seq, message.lane);
        let Some((_, guard)) = self.of(&whose) else { return Next::Now };
        if guard.is_open() || !guard.take_token() { Next::Parked } else { Next::Now }
    }

    /// Does the guards' work that is due, and releases messages for which there are tokens now, at
    /// most so many. Returns the number of messages that it released.
    pub(crate) fn pass_time(&mut self, most: usize, effects: &mut Effects) -> usize {
        let Some(config) = self.config else {
            let orphans = self.queue.all_parked.iter().take(most);
            let orphans: Vec<Seq> = orphans.map(|(_, seq)| *seq).collect();
            return self.let_go(&orphans, effects);
        };
        let due = |guard: &GuardState| guard.due_ms().is_some_and(|due_ms| due_ms <= self.now_ms);
        let due = self.queue.guards.iter().filter(|(_, guard)| due(guard));
        let due: Vec<_> = due.map(|(key, guard)| (key.clone(), guard.clone())).collect();
        let parked = self.queue.waited_for(&config);
        let busy: Vec<_> =
            parked.iter().filter_map(|whose| self.queue.guard_key(&config, whose)).collect();
        for (key, mut guard) in due {
            let in_flight = self.queue.in_flight_of_guard(&config, &key);
            if guard.is_idle(self.now_ms) {
                // A closing breaker stays while there is something that it could hold back.
                let waits = guard.is_closing() && self.queue.has_ready_of_guard(&config, &key);
                if waits {
                    guard.refill(&config, self.now_ms);
                    self.changed.insert(key, Some(guard));
                } else if !busy.contains(&key) {
                    self.changed.insert(key, None);
                }
            } else if guard.pass_time(&config, in_flight, self.now_ms) {
                self.changed.insert(key, Some(guard));
            }
        }
        let mut left = most;
        for whose in parked {
            left -= self.release_parked(&whose, left, effects);
        }
        most - left
    }

    /// Releases at most `most` messages that waited for a guard.
    pub(crate) fn release_parked(
        &mut self,
        whose: &Whose,
        most: usize,
        effects: &mut Effects,
    ) -> usize {
        let Some(config) = self.config else { return 0 };
        if let Whose::Value(value) = whose {
            return self.release_waiting(value, most, effects);
        }
        let mut parked = self.queue.parked_in(&config, whose).peekable();
        if parked.peek().is_none() {
            return 0;
        }
        let mut free: Vec<Seq> = Vec::new();
        match self.of(whose) {
            Some((_, guard)) if config.budget.is_some() => {
                while free.len() < most && !guard.is_open() && guard.has_token() {
                    let Some((_, seq)) = parked.next() else { break };
                    guard.take_token();
                    free.push(seq);
                }
            }
            _ => free.extend(parked.map(|(_, seq)| seq).take(most)),
        }
        self.let_go(&free, effects)
    }

    /// Releases messages of a guard by attribute: as many as may begin, those with the lowest place
    /// first; a retry takes a token.
    fn release_waiting(&mut self, value: &GuardValue, most: usize, effects: &mut Effects) -> usize {
        let queue = self.queue;
        let Some(waiting) = queue.guard_keys.waiting(value) else { return 0 };
        let now_ms = self.now_ms;
        let mut first = waiting.first.iter().peekable();
        let mut retries = waiting.retries.iter().peekable();
        let mut free: Vec<Seq> = Vec::new();
        match self.of(&Whose::Value(value.clone())) {
            None => free.extend(first.chain(retries).map(|(_, seq)| *seq).take(most)),
            Some((config, guard)) => {
                let most = most.min(guard.grantable(&config) as usize);
                while free.len() < most {
                    let has_token = config.budget.is_none() || guard.has_token();
                    let retry = retries.peek().filter(|_| has_token);
                    let is_retry = match (first.peek(), retry) {
                        (Some(first), Some(retry)) => retry < first,
                        (None, Some(_)) => true,
                        _ => false,
                    };
                    let next = if is_retry { retries.next() } else { first.next() };
                    let Some((_, seq)) = next else { break };
                    if is_retry && config.budget.is_some() {
                        guard.take_token();
                    }
                    free.push(*seq);
                }
                guard.grant(&config, u32::try_from(free.len()).unwrap_or(u32::MAX), now_ms);
            }
        }
        self.let_go(&free, effects)
    }

    fn let_go(&self, seqs: &[Seq], effects: &mut Effects) -> usize {
        for seq in seqs {
            let (queue, seq) = (self.queue.id(), *seq);
            let retried = RetryFact::Retried { queue, seq, next: Next::Now, order: None };
            effects.push(retried);
        }
        self.queue.note_receivable(seqs, self.now_ms, effects);
        seqs.len()
    }

    /// Writes the guards that have changed.
    pub(crate) fn finish(self, effects: &mut Effects) {
        for (key, guard) in self.changed {
            if guard.as_ref() == self.queue.guards.get(&key) {
                continue;
            }
            effects.push(RetryFact::GuardChanged {
                queue: self.queue.id(),
                lane: key.as_deref().map(str::to_owned),
                guard: guard.map(Box::new),
            });
        }
    }
}
