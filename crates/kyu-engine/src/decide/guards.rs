//! Guards at work: the budget and breaker of each message that a command touches, changed in a copy
//! and written as one fact for each guard at the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::effect::{Effect, Effects};
use crate::guard::{Ended, GuardState};
use crate::ids::{Seq, UnixMs};
use crate::message::{LaneId, Message};
use crate::queue::Queue;
use crate::retry::Guard;
use crate::retry_effect::{Next, RetryEffect};

/// The guards of one queue, as far as a command touches them.
pub(super) struct Guards<'a> {
    queue: &'a Queue,
    config: Option<Guard>,
    now_ms: UnixMs,
    /// `None` is forgotten.
    changed: BTreeMap<Option<Arc<str>>, Option<GuardState>>,
}

impl<'a> Guards<'a> {
    pub(super) fn new(queue: &'a Queue, now_ms: UnixMs) -> Self {
        Self { queue, config: queue.guard_config(), now_ms, changed: BTreeMap::new() }
    }

    /// The guard of a lane, to be changed.
    fn of(&mut self, lane: LaneId) -> Option<(Guard, &mut GuardState)> {
        let config = self.config?;
        let key = self.queue.guard_key(&config, lane)?;
        let (queue, now_ms) = (self.queue, self.now_ms);
        let known = || queue.guards.get(&key).cloned();
        let fresh = || GuardState::new(&config, now_ms);
        let entry = self.changed.entry(key.clone()).or_insert_with(known);
        let guard = entry.get_or_insert_with(fresh);
        guard.refill(&config, now_ms);
        Some((config, guard))
    }

    /// Whether the breaker lets this message be tried; if so, the attempt begins.
    pub(super) fn begin(&mut self, message: &Message) -> bool {
        let Some(config) = self.config.filter(|config| config.breaker.is_some()) else {
            return true;
        };
        let Some(key) = self.queue.guard_key(&config, message.lane) else { return true };
        let now = self.changed.get(&key).map(Option::as_ref);
        let Some(guard) = now.unwrap_or_else(|| self.queue.guards.get(&key)) else { return true };
        if guard.is_shut(&config) {
            return false;
        }
        let mut guard = guard.clone();
        if guard.begin(&config, self.now_ms) {
            self.changed.insert(key, Some(guard));
        }
        true
    }

    /// An attempt is over.
    pub(super) fn end(&mut self, message: &Message, ended: Ended) {
        let now_ms = self.now_ms;
        if let Some((config, guard)) = self.of(message.lane) {
            guard.end(&config, message.history.last_received_at_ms, ended, now_ms);
        }
    }

    /// When a message may be tried again whose delay is over.
    pub(super) fn next(&mut self, message: &Message) -> Next {
        if self.config.is_none_or(|config| config.budget.is_none()) {
            return Next::Now;
        }
        let Some((_, guard)) = self.of(message.lane) else { return Next::Now };
        if guard.is_open() || !guard.take_token() { Next::Parked } else { Next::Now }
    }

    /// Does what time brings, and lets messages go for which there are tokens now, at most so many.
    /// Returns how many went.
    pub(super) fn pass_time(&mut self, most: usize, effects: &mut Effects) -> usize {
        let Some(config) = self.config else {
            let orphans = self.queue.all_parked.iter().take(most);
            let orphans: Vec<Seq> = orphans.map(|(_, seq)| *seq).collect();
            return self.let_go(&orphans, effects);
        };
        let due = |guard: &GuardState| guard.due_ms().is_some_and(|due_ms| due_ms <= self.now_ms);
        let due = self.queue.guards.iter().filter(|(_, guard)| due(guard));
        let due: Vec<_> = due.map(|(key, guard)| (key.clone(), guard.clone())).collect();
        let parked = self.queue.guards_of_parked(&config);
        let busy: Vec<_> =
            parked.iter().filter_map(|lane| self.queue.guard_key(&config, *lane)).collect();
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
        for lane in parked {
            left -= self.release_parked(lane, left, effects);
        }
        most - left
    }

    /// Lets messages go that waited for tokens of a lane's guard, at most so many.
    pub(super) fn release_parked(
        &mut self,
        lane: LaneId,
        most: usize,
        effects: &mut Effects,
    ) -> usize {
        let Some(config) = self.config else { return 0 };
        let mut parked = self.queue.parked_in(&config, lane).peekable();
        if parked.peek().is_none() {
            return 0;
        }
        let mut free: Vec<Seq> = Vec::new();
        match self.of(lane) {
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

    fn let_go(&self, seqs: &[Seq], effects: &mut Effects) -> usize {
        for seq in seqs {
            let (queue, seq) = (self.queue.id(), *seq);
            let retried = RetryEffect::Retried { queue, seq, next: Next::Now, order: None };
            effects.push(Effect::Retry(retried));
        }
        seqs.len()
    }

    /// Writes the guards that have changed.
    pub(super) fn finish(self, effects: &mut Effects) {
        for (key, guard) in self.changed {
            if guard.as_ref() == self.queue.guards.get(&key) {
                continue;
            }
            effects.push(Effect::Retry(RetryEffect::GuardChanged {
                queue: self.queue.id(),
                lane: key.as_deref().map(str::to_owned),
                guard: guard.map(Box::new),
            }));
        }
    }
}
