//! The guards of a queue: which of its messages each is for, and what they hold back.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::guard::GuardState;
use crate::ids::{Seq, UnixMs};
use crate::lane::Change;
use crate::limits::MAX_GUARDED_LANES;
use crate::message::{LaneId, Message, Phase};
use crate::queue::Queue;
use crate::reply::MessageHistory;
use crate::retry::{Guard, GuardKey, Hold};

impl Queue {
    /// The guard's settings, if there is anything to them.
    pub(crate) fn guard_config(&self) -> Option<Guard> {
        self.info.config.guard.filter(|guard| guard.budget.is_some() || guard.breaker.is_some())
    }

    /// Whether failed messages are anything but visible again at once.
    pub(crate) fn retries(&self) -> bool {
        self.info.config.retry.is_some() || self.guard_config().is_some()
    }

    /// The guard that a lane belongs to; `None` if lanes have guards and there are too many.
    pub(crate) fn guard_key(&self, config: &Guard, lane: LaneId) -> Option<Option<Arc<str>>> {
        let key = match config.key {
            GuardKey::Queue => None,
            GuardKey::Lane => self.lanes.get(lane).and_then(|lane| lane.key.clone()),
        };
        let known = key.is_none() || self.guards.contains_key(&key);
        (known || self.guards.len() < MAX_GUARDED_LANES).then_some(key)
    }

    /// The lane that a guard is for, if it is for one that is there.
    fn lane_of_guard(&self, config: &Guard, key: &Option<Arc<str>>) -> Option<LaneId> {
        match (config.key, key) {
            (GuardKey::Queue, _) => None,
            (GuardKey::Lane, None) => Some(LaneId::NONE),
            (GuardKey::Lane, Some(name)) => self.lanes.find(name),
        }
    }

    /// Messages in flight for which a guard is.
    pub(crate) fn in_flight_of_guard(&self, config: &Guard, key: &Option<Arc<str>>) -> u64 {
        match self.lane_of_guard(config, key) {
            Some(lane) => self.lanes.get(lane).map_or(0, |lane| u64::from(lane.in_flight)),
            None if config.key == GuardKey::Queue => self.in_flight(),
            None => 0,
        }
    }

    /// Whether a message is ready for which a guard is.
    pub(crate) fn has_ready_of_guard(&self, config: &Guard, key: &Option<Arc<str>>) -> bool {
        match self.lane_of_guard(config, key) {
            Some(lane) => self.lanes.get(lane).is_some_and(|lane| lane.first().is_some()),
            None => config.key == GuardKey::Queue && self.ready() > 0,
        }
    }

    /// Puts a guard in place of another and shuts or opens its lane.
    pub(crate) fn put_guard(
        &mut self,
        key: Option<Arc<str>>,
        new: Option<GuardState>,
    ) -> Option<GuardState> {
        let config = self.guard_config().unwrap_or_default();
        let shut = new.as_ref().is_some_and(|guard| guard.is_shut(&config));
        match (config.key, &key) {
            (GuardKey::Queue, _) => self.shut = shut,
            (GuardKey::Lane, None) => {
                self.change_lane(LaneId::NONE, Change::Shut(shut));
            }
            (GuardKey::Lane, Some(name)) => {
                if let Some(lane) = self.lanes.find(name) {
                    self.change_lane(lane, Change::Shut(shut));
                }
            }
        }
        match new {
            Some(guard) => self.guards.insert(key, guard),
            None => self.guards.remove(&key),
        }
    }

    /// Puts all guards back into a queue that has none.
    pub(crate) fn put_guards(&mut self, guards: BTreeMap<Option<Arc<str>>, GuardState>) {
        for (key, guard) in guards {
            self.put_guard(key, Some(guard));
        }
    }

    /// The lane of a key, made if it is new, and shut if its guard says so.
    pub(crate) fn lane_of(&mut self, key: Option<&str>) -> LaneId {
        let lane = self.lanes.of_key(key);
        if !self.guards.is_empty()
            && let Some(config) = self.guard_config().filter(|config| config.key == GuardKey::Lane)
        {
            let key: Option<Arc<str>> = key.map(Arc::from);
            let guard = self.guards.get(&key);
            let shut = guard.is_some_and(|guard| guard.is_shut(&config));
            self.change_lane(lane, Change::Shut(shut));
        }
        lane
    }

    pub(crate) fn unpark(&mut self, seq: Seq, message: &Message) {
        let place = (message.order, seq);
        self.all_parked.remove(&place);
        if let Some(lane) = self.parked.get_mut(&message.lane) {
            lane.remove(&place);
            if lane.is_empty() {
                self.parked.remove(&message.lane);
            }
        }
    }

    /// The guards that have parked messages, each once, with one of its lanes.
    pub(crate) fn guards_of_parked(&self, config: &Guard) -> Vec<LaneId> {
        match config.key {
            GuardKey::Queue => self.parked.keys().next().copied().into_iter().collect(),
            GuardKey::Lane => self.parked.keys().copied().collect(),
        }
    }

    /// Messages that wait for a token of a lane's guard, first one first.
    pub(crate) fn parked_in(
        &self,
        config: &Guard,
        lane: LaneId,
    ) -> impl Iterator<Item = (u64, Seq)> + '_ {
        let all = (config.key == GuardKey::Queue).then_some(&self.all_parked);
        all.or_else(|| self.parked.get(&lane)).into_iter().flatten().copied()
    }

    /// When time next has work for the guards.
    pub(crate) fn guards_due_ms(&self) -> Option<UnixMs> {
        if self.guards.is_empty() && self.all_parked.is_empty() {
            return None;
        }
        let guards = self.guards.values().filter_map(GuardState::due_ms).min();
        let parked = match self.guard_config() {
            None => self.all_parked.first().map(|_| 0),
            Some(config) => {
                let lanes = self.guards_of_parked(&config).into_iter();
                lanes.filter_map(|lane| self.token_due_ms(lane)).min()
            }
        };
        [guards, parked].into_iter().flatten().min()
    }

    /// When there is a token for the first message that waits for one of a lane's guard. At once if
    /// nobody gives out tokens any more.
    pub(crate) fn token_due_ms(&self, lane: LaneId) -> Option<UnixMs> {
        let Some(config) = self.guard_config() else { return Some(0) };
        let Some(budget) = config.budget else { return Some(0) };
        let Some(key) = self.guard_key(&config, lane) else { return Some(0) };
        let Some(guard) = self.guards.get(&key) else { return Some(0) };
        (!guard.is_open()).then(|| guard.token_at_ms(&budget, 1))
    }

    /// When time next has work for one guard.
    pub(crate) fn guard_due_ms(&self, key: &Option<Arc<str>>) -> Option<UnixMs> {
        let config = self.guard_config()?;
        let lane = match (config.key, key) {
            (GuardKey::Lane, Some(name)) => self.lanes.find(name),
            (GuardKey::Lane, None) => Some(LaneId::NONE),
            (GuardKey::Queue, _) => self.parked.keys().next().copied(),
        };
        let parked = lane.filter(|lane| self.parked.contains_key(lane));
        let token = parked.and_then(|lane| self.token_due_ms(lane));
        let own = self.guards.get(key).and_then(GuardState::due_ms);
        [own, token].into_iter().flatten().min()
    }

    /// What has happened to a message.
    pub(crate) fn history_of(&self, seq: Seq) -> Option<MessageHistory> {
        let message = self.messages.get(seq)?;
        let trail = message.trail.as_deref();
        Some(MessageHistory {
            receive_count: message.history.receives,
            dead_letter_source: message.source.clone(),
            dead_reason: message.dead_reason,
            past_attempts: message.past_attempts(),
            forgotten_attempts: trail.map_or(0, |trail| trail.forgotten),
            consumer: trail.and_then(|trail| trail.consumer.clone()),
            hold: self.hold_of(&message),
        })
    }

    /// Why a message is held back beyond what its queue's order and limits say, if it is.
    pub(crate) fn hold_of(&self, message: &Message) -> Option<Hold> {
        if let Phase::Backoff(until_ms) = message.phase {
            return Some(Hold::Backoff { until_ms });
        }
        let config = self.guard_config()?;
        let guard = self.guards.get(&self.guard_key(&config, message.lane)?)?;
        if let Some(hold) = guard.hold(&config).filter(|_| !message.phase.in_flight()) {
            return Some(hold);
        }
        let budget = config.budget.filter(|_| message.phase == Phase::Parked)?;
        let before = self.parked_in(&config, message.lane);
        let ahead = before.take_while(|(order, _)| *order < message.order).count() as u64;
        Some(Hold::Budget { ahead, until_ms: guard.token_at_ms(&budget, ahead + 1) })
    }
}
