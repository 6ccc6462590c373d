//! The guards of a queue: the messages that each is for, and those that it holds back.

use std::collections::BTreeMap;
use std::sync::Arc;

use kyu_model::limits::MAX_GUARDED_LANES;
use kyu_model::{Guard, GuardKey, Hold, MessageHistory, Phase, Seq, UnixMs};

use crate::lanes::lane::Change;
use crate::queue::message::{LaneId, Message};
use crate::queue::store::Queue;
use crate::retries::guard::GuardState;
use crate::retries::guard_keys::GuardValue;

/// The key by which a message's guard is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    Lane(LaneId),
    /// The guard is found by an attribute's value.
    Value(GuardValue),
}

impl Queue {
    /// The key by which a message's guard is found.
    pub(crate) fn whose(&self, seq: Seq, lane: LaneId) -> Whose {
        let key = self.info.config.guard.map(|guard| guard.key);
        match key {
            Some(GuardKey::Attribute) => Whose::Value(self.guard_keys.get(seq)),
            Some(GuardKey::Queue | GuardKey::Lane) | None => Whose::Lane(lane),
        }
    }

    /// Notes the value by which a message is guarded.
    pub(crate) fn set_guard_value(&mut self, seq: Seq, value: GuardValue) {
        let message = self.messages.get(seq);
        let value = value.filter(|_| message.is_some());
        let old = self.guard_keys.set(seq, value, message.as_ref());
        self.keep_guard_value(seq, old);
    }

    /// Returns the guard's settings, if they have a budget or a breaker.
    pub(crate) fn guard_config(&self) -> Option<Guard> {
        self.info.config.guard.filter(|guard| guard.budget.is_some() || guard.breaker.is_some())
    }

    /// Returns true if failed messages may have to wait before they are visible again.
    pub(crate) fn retries(&self) -> bool {
        self.info.config.retry.is_some() || self.guard_config().is_some()
    }

    /// Returns the key of these messages' guard; `None` if there are too many guards.
    pub(crate) fn guard_key(&self, config: &Guard, whose: &Whose) -> Option<GuardValue> {
        let key = match (config.key, whose) {
            (GuardKey::Queue, _) => None,
            (_, Whose::Lane(lane)) => self.lanes.get(*lane).and_then(|lane| lane.key.clone()),
            (_, Whose::Value(value)) => value.clone(),
        };
        let known = key.is_none() || self.guards.contains_key(&key);
        (known || self.guards.len() < MAX_GUARDED_LANES).then_some(key)
    }

    /// Returns the lane that a guard is for, if that lane exists.
    pub(crate) fn lane_of_guard(&self, config: &Guard, key: &Option<Arc<str>>) -> Option<LaneId> {
        match (config.key, key) {
            (GuardKey::Queue | GuardKey::Attribute, _) => None,
            (GuardKey::Lane, None) => Some(LaneId::NONE),
            (GuardKey::Lane, Some(name)) => self.lanes.find(name),
        }
    }

    /// Returns the number of messages in flight that a guard is for.
    pub(crate) fn in_flight_of_guard(&self, config: &Guard, key: &Option<Arc<str>>) -> u64 {
        match self.lane_of_guard(config, key) {
            Some(lane) => self.lanes.get(lane).map_or(0, |lane| u64::from(lane.in_flight)),
            // By attribute nobody counts them: no more than all.
            None if config.key != GuardKey::Lane => self.in_flight(),
            None => 0,
        }
    }

    /// Returns true if a message is ready that this guard is for.
    pub(crate) fn has_ready_of_guard(&self, config: &Guard, key: &Option<Arc<str>>) -> bool {
        match self.lane_of_guard(config, key) {
            Some(lane) => self.lanes.get(lane).is_some_and(|lane| lane.first().is_some()),
            None => config.key != GuardKey::Lane && self.ready() > 0,
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
            (GuardKey::Attribute, _) => {}
            (GuardKey::Lane, None) => {
                self.change_lane(LaneId::NONE, Change::Shut(shut));
            }
            (GuardKey::Lane, Some(name)) => {
                if let Some(lane) = self.lanes.find(name) {
                    self.change_lane(lane, Change::Shut(shut));
                }
            }
        }
        let old = match new {
            Some(guard) => self.guards.insert(key.clone(), guard),
            None => self.guards.remove(&key),
        };
        self.keep_guard(key, old.as_ref());
        old
    }

    /// Puts all guards back into a queue that has none.
    pub(crate) fn put_guards(&mut self, guards: BTreeMap<Option<Arc<str>>, GuardState>) {
        for (key, guard) in guards {
            self.put_guard(key, Some(guard));
        }
    }

    /// Returns the lane of a key; a new lane is made, and shut if its guard says so.
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
        self.guard_keys.note_gone(seq, message);
        self.all_parked.remove(&place);
        if let Some(lane) = self.parked.get_mut(&message.lane) {
            lane.remove(&place);
            if lane.is_empty() {
                self.parked.remove(&message.lane);
            }
        }
    }

    /// Returns the guards for which messages wait, each once.
    pub(crate) fn waited_for(&self, config: &Guard) -> Vec<Whose> {
        let mut lanes = self.parked.keys().map(|lane| Whose::Lane(*lane));
        match config.key {
            GuardKey::Queue => lanes.next().into_iter().collect(),
            GuardKey::Lane => lanes.collect(),
            GuardKey::Attribute => {
                self.guard_keys.waited_for().cloned().map(Whose::Value).collect()
            }
        }
    }

    /// Returns the messages that wait for a token of a guard, first one first; for a guard by
    /// attribute, only those that failed.
    pub(crate) fn parked_in(
        &self,
        config: &Guard,
        whose: &Whose,
    ) -> impl Iterator<Item = (u64, Seq)> + '_ {
        let parked = match (config.key, whose) {
            (GuardKey::Queue, _) => Some(&self.all_parked),
            (_, Whose::Lane(lane)) => self.parked.get(lane),
            (_, Whose::Value(value)) => {
                self.guard_keys.waiting(value).map(|waiting| &waiting.retries)
            }
        };
        parked.into_iter().flatten().copied()
    }

    /// Returns the time at which a tick next has work for the guards.
    pub(crate) fn guards_due_ms(&self) -> Option<UnixMs> {
        if self.guards.is_empty() && self.all_parked.is_empty() {
            return None;
        }
        let guards = self.guards.values().filter_map(GuardState::due_ms).min();
        let parked = match self.guard_config() {
            None => self.all_parked.first().map(|_| 0),
            Some(config) => {
                let waited_for = self.waited_for(&config).into_iter();
                waited_for.filter_map(|whose| self.waiting_due_ms(&whose)).min()
            }
        };
        [guards, parked].into_iter().flatten().min()
    }

    /// Returns the time at which the first message that waits for a guard may go on: at once if
    /// nobody gives out tokens any more, and `None` if it does not come with time alone.
    pub(crate) fn waiting_due_ms(&self, whose: &Whose) -> Option<UnixMs> {
        let Some(config) = self.guard_config() else { return Some(0) };
        let guard = self.guard_key(&config, whose).and_then(|key| self.guards.get(&key));
        let token_ms = match (guard, config.budget) {
            (Some(guard), Some(budget)) if !guard.is_open() => guard.token_at_ms(&budget, 1),
            (Some(_), Some(_)) => return None,
            _ => 0,
        };
        let Whose::Value(value) = whose else { return Some(token_ms) };
        if guard.is_some_and(|guard| guard.grantable(&config) == 0) {
            return None;
        }
        let waiting = self.guard_keys.waiting(value)?;
        Some(if waiting.first.is_empty() { token_ms } else { 0 })
    }

    /// Returns the time at which a tick next has work for one guard.
    pub(crate) fn guard_due_ms(&self, key: &Option<Arc<str>>) -> Option<UnixMs> {
        let config = self.guard_config()?;
        let parked = |lane: &LaneId| self.parked.contains_key(lane);
        let whose = match (config.key, key) {
            (GuardKey::Queue, _) => self.parked.keys().next().copied().map(Whose::Lane),
            (GuardKey::Lane, _) => self.lane_of_guard(&config, key).filter(parked).map(Whose::Lane),
            (GuardKey::Attribute, value) => {
                self.guard_keys.waiting(value).map(|_| Whose::Value(value.clone()))
            }
        };
        let token = whose.and_then(|whose| self.waiting_due_ms(&whose));
        let own = self.guards.get(key).and_then(GuardState::due_ms);
        [own, token].into_iter().flatten().min()
    }

    /// Returns the history of a message.
    pub(crate) fn history_of(&self, seq: Seq) -> Option<MessageHistory> {
        let message = self.messages.get(seq)?;
        let trail = message.trail.as_deref();
        Some(MessageHistory {
            receive_count: message.history.receives,
            total_receive_count: message.total_receives(),
            dead_letter_source: message.source_queue().cloned(),
            dead_reason: message.dead_reason,
            past_attempts: message.past_attempts(),
            forgotten_attempts: trail.map_or(0, |trail| trail.forgotten),
            consumer: trail.and_then(|trail| trail.consumer.clone()),
            hold: self.hold_of(seq, &message),
        })
    }

    /// Returns what holds back a message beyond its queue's order and limits, if anything does.
    pub(crate) fn hold_of(&self, seq: Seq, message: &Message) -> Option<Hold> {
        if let Phase::Backoff(until_ms) = message.phase {
            return Some(Hold::Backoff { until_ms });
        }
        let config = self.guard_config()?;
        let whose = self.whose(seq, message.lane);
        let guard = self.guards.get(&self.guard_key(&config, &whose)?)?;
        let waits = matches!(whose, Whose::Value(_)) && message.phase == Phase::Parked;
        if let Some(hold) = guard.hold(&config, waits).filter(|_| !message.phase.in_flight()) {
            return Some(hold);
        }
        let first = matches!(whose, Whose::Value(_)) && message.history.receives == 0;
        let budget = config.budget.filter(|_| message.phase == Phase::Parked && !first)?;
        let before = self.parked_in(&config, &whose);
        let ahead = before.take_while(|(order, _)| *order < message.order).count() as u64;
        Some(Hold::Budget { ahead, until_ms: guard.token_at_ms(&budget, ahead + 1) })
    }
}
