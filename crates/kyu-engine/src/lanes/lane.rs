//! Lanes: the messages of one queue that share a key, and the order in which lanes are served.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kyu_model::{Fairness, Order, QueueConfig, QueueKind, UnixMs};

use crate::lanes::limits::{Gate, Limits};
use crate::lanes::picks::Picks;
use crate::queue::message::{LaneId, Message};
use crate::queue::seq_set::SeqSet;

/// Place in the order of service: priority first, then order of arrival. Unique in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// 255 less the priority, so that the smallest rank is served first.
    pub(crate) urgency: u8,
    pub(crate) order: u64,
}

impl Rank {
    pub(crate) fn new(priority: u8, order: u64) -> Self {
        Self { urgency: u8::MAX - priority, order }
    }
}

/// Place of a lane among those that may be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Turn {
    urgency: u8,
    since_ms: UnixMs,
    /// True if the lane comes after what arrived in the millisecond in which this one was received.
    returned: bool,
    order: u64,
}

impl Turn {
    /// Makes a turn from the rank alone.
    pub(crate) fn plain(rank: Rank) -> Self {
        Self { urgency: rank.urgency, since_ms: 0, returned: false, order: rank.order }
    }

    /// Makes a turn from the time for which the lane's first message has waited. A lane whose
    /// messages come back after a receive goes behind those that came before that receive (recorded
    /// from SQS): a group that fails does not hold up the others, and waits no longer than its
    /// turn.
    pub(crate) fn of_waiting(rank: Rank, first: &Message) -> Self {
        let (enqueued_at_ms, history) = (first.enqueued_at_ms, &first.history);
        Self {
            since_ms: enqueued_at_ms.max(history.last_received_at_ms),
            returned: history.deliveries > 0 && history.last_received_at_ms >= enqueued_at_ms,
            ..Self::plain(rank)
        }
    }

    /// Makes a turn from the priority and then the lane's virtual time.
    pub(crate) fn weighted(rank: Rank, pass: u64) -> Self {
        Self { since_ms: pass, ..Self::plain(rank) }
    }

    /// Returns the turn of the lane's next message after this one took a share of this length.
    pub(crate) fn then(self, next: Rank, stride: u64) -> Self {
        Self { since_ms: self.since_ms + stride, ..Self::plain(next) }
    }

    pub(crate) fn rank(self) -> Rank {
        Rank { urgency: self.urgency, order: self.order }
    }
}

/// Urgency of messages without a priority, which have a set of their own.
const NORMAL: u8 = u8::MAX;

#[derive(Clone, Default)]
pub(crate) struct Lane {
    pub(crate) key: Option<Arc<str>>,
    normal: SeqSet,
    raised: BTreeMap<u8, SeqSet>,
    /// Messages under lease.
    pub(crate) in_flight: u32,
    /// The places of messages in flight, while they block the messages behind them (FIFO).
    blocking: SeqSet,
    /// Places of messages that cannot be received now: leased, held or delayed. Kept only while
    /// [`Lanes::heads`] is.
    hidden: SeqSet,
    /// The lane's place in [`Lanes::heads`].
    head: Option<Rank>,
    /// The lane's turn among the lanes that may be served, or among those held back.
    pub(crate) turn: Option<Turn>,
    pub(crate) gate: Gate,
    /// Messages in any phase.
    pub(crate) messages: u64,
}

impl Lane {
    fn insert(&mut self, rank: Rank) {
        if rank.urgency == NORMAL {
            self.normal.insert(rank.order);
        } else {
            self.raised.entry(rank.urgency).or_default().insert(rank.order);
        }
    }

    fn remove(&mut self, rank: Rank) {
        if rank.urgency == NORMAL {
            self.normal.remove(rank.order);
        } else if let Some(set) = self.raised.get_mut(&rank.urgency) {
            set.remove(rank.order);
            if set.is_empty() {
                self.raised.remove(&rank.urgency);
            }
        }
    }

    pub(crate) fn first(&self) -> Option<Rank> {
        if let Some((urgency, set)) = self.raised.first_key_value() {
            return set.first().map(|order| Rank { urgency: *urgency, order });
        }
        self.normal.first().map(|order| Rank { urgency: NORMAL, order })
    }

    /// Returns the next ready message of this lane.
    pub(crate) fn after(&self, rank: Rank) -> Option<Rank> {
        if rank.urgency == NORMAL {
            return self.normal.after(rank.order).map(|order| Rank { order, ..rank });
        }
        if let Some(order) = self.raised.get(&rank.urgency).and_then(|set| set.after(rank.order)) {
            return Some(Rank { order, ..rank });
        }
        let next = self.raised.range(rank.urgency + 1..).next();
        next.and_then(|(urgency, set)| Some(Rank { urgency: *urgency, order: set.first()? }))
            .or_else(|| self.normal.first().map(|order| Rank { urgency: NORMAL, order }))
    }
}

/// All lanes of a queue; index 0 is for messages without a key.
#[derive(Clone)]
pub(crate) struct Lanes {
    pub(crate) all: Vec<Lane>,
    pub(crate) by_key: BTreeMap<Arc<str>, LaneId>,
    free: Vec<LaneId>,
    /// Lanes that lost their last message and have not been given back yet.
    vacant: Vec<LaneId>,
    /// Lanes that may be served, by turn. Not kept while lane 0 is the only one.
    pub(crate) servable: BTreeSet<(Turn, LaneId)>,
    /// Lanes whose first message is ready, by that message. Kept from the first acquire on that
    /// asks for an [`Order`] of its own.
    pub(crate) heads: Option<BTreeSet<(Rank, LaneId)>>,
    pub(crate) limits: Limits,
    /// A message in flight blocks those behind it in its lane (FIFO).
    locking: bool,
    /// Lanes with a message in flight.
    pub(crate) with_in_flight: u64,
    pub(crate) in_flight: u64,
}

impl Lanes {
    pub(crate) fn new(config: &QueueConfig) -> Self {
        Self {
            all: vec![Lane::default()],
            by_key: BTreeMap::new(),
            free: Vec::new(),
            vacant: Vec::new(),
            servable: BTreeSet::new(),
            heads: None,
            limits: Limits::new(config),
            locking: config.kind == QueueKind::Fifo,
            with_in_flight: 0,
            in_flight: 0,
        }
    }

    fn get_mut(&mut self, id: LaneId) -> Option<&mut Lane> {
        self.all.get_mut(id.0 as usize)
    }

    pub(crate) fn get(&self, id: LaneId) -> Option<&Lane> {
        self.all.get(id.0 as usize)
    }

    /// Returns the lane of a key, if there is one.
    pub(crate) fn find(&self, key: &str) -> Option<LaneId> {
        self.by_key.get(key).copied()
    }

    /// Returns the lane of a key, and makes it if it is new.
    pub(crate) fn of_key(&mut self, key: Option<&str>) -> LaneId {
        let Some(key) = key else { return LaneId::NONE };
        if let Some(id) = self.by_key.get(key) {
            return *id;
        }
        let key: Arc<str> = key.into();
        let gate = self.limits.gate(&key);
        let lane = Lane { key: Some(key.clone()), gate, ..Lane::default() };
        let id = match self.free.pop() {
            Some(id) => {
                if let Some(place) = self.get_mut(id) {
                    *place = lane;
                }
                id
            }
            None => {
                if self.all.len() == 1 {
                    self.note_first();
                }
                self.all.push(lane);
                LaneId(self.all.len() as u32 - 1)
            }
        };
        self.by_key.insert(key, id);
        self.vacant.push(id); // until its first message
        id
    }

    /// Notes that lane 0 is no longer alone: from now on it stands in `servable` like any other.
    fn note_first(&mut self) {
        // Messages of FIFO queues always have a key, so no lane's waiting time is asked for.
        let turn = self.turn(LaneId::NONE, Turn::plain);
        self.place(LaneId::NONE, turn);
    }

    /// Returns the turn of a lane, if it has a message to give and nothing limits it.
    pub(crate) fn turn(&mut self, id: LaneId, turn_of: impl FnOnce(Rank) -> Turn) -> Option<Turn> {
        let lane = self.all.get_mut(id.0 as usize)?;
        let first = lane.servable_rank()?;
        Some(match self.limits.fairness {
            Fairness::Weighted => self.limits.weighted_turn(lane, first),
            Fairness::QuietFirst | Fairness::StrictOrder if self.locking => turn_of(first),
            Fairness::QuietFirst | Fairness::StrictOrder => Turn::plain(first),
        })
    }

    /// Changes a lane and keeps `servable` right. Returns true if the lane has become servable, or
    /// got another ready message while it was. `turn_of` gives the turn of a lane by its first
    /// message.
    pub(crate) fn change(
        &mut self,
        id: LaneId,
        change: Change,
        turn_of: impl FnOnce(Rank) -> Turn,
    ) -> bool {
        let (locking, alone) = (self.locking, self.all.len() == 1);
        let Some(lane) = self.all.get_mut(id.0 as usize) else { return false };
        let in_flight_before = lane.in_flight;
        lane.note(change, locking, self.heads.is_some());
        self.in_flight = self.in_flight + u64::from(lane.in_flight) - u64::from(in_flight_before);
        let was_in_flight = in_flight_before > 0;
        match (was_in_flight, lane.in_flight > 0) {
            (false, true) => self.with_in_flight += 1,
            (true, false) => self.with_in_flight = self.with_in_flight.saturating_sub(1),
            _ => {}
        }
        if lane.messages == 0 && id != LaneId::NONE {
            self.vacant.push(id);
        }
        if !matches!(change, Change::Joined | Change::Left) {
            if !alone {
                let turn = self.turn(id, turn_of);
                self.place(id, turn);
            } else if let (Some(heads), Some(lane)) = (&mut self.heads, self.all.first_mut()) {
                lane.place_head(id, heads);
            }
        }
        match change {
            Change::Ready(_) | Change::Unleased(_) | Change::Unblocked(_) | Change::Shut(false) => {
                self.gives(id)
            }
            Change::Undelayed(_) => self.get(id).is_some_and(|lane| lane.head.is_some()),
            Change::Joined
            | Change::Left
            | Change::NotReady(_)
            | Change::Leased(_)
            | Change::Delayed(_)
            | Change::Blocked(_)
            | Change::Shut(true) => false,
        }
    }

    /// Returns true if a lane has a message to give and may give it.
    fn gives(&self, id: LaneId) -> bool {
        let lane = self.get(id).filter(|lane| !lane.gate.held_back && !lane.gate.shut);
        lane.is_some_and(|lane| lane.servable_rank().is_some())
    }

    /// Keeps the heads from now on. `hidden` are the messages that cannot be received now.
    pub(crate) fn track_heads(&mut self, hidden: impl Iterator<Item = (LaneId, u64)>) {
        for (id, order) in hidden {
            if let Some(lane) = self.get_mut(id) {
                lane.hidden.insert(order);
            }
        }
        let mut heads = BTreeSet::new();
        for (index, lane) in self.all.iter_mut().enumerate() {
            lane.place_head(LaneId(index as u32), &mut heads);
        }
        self.heads = Some(heads);
    }

    pub(crate) fn tracks_heads(&self) -> bool {
        self.heads.is_some()
    }

    pub(crate) fn locking(&self) -> bool {
        self.locking
    }

    /// Returns the only lane, if there never was another.
    pub(crate) fn alone(&self) -> Option<&Lane> {
        self.all.first().filter(|_| self.all.len() == 1)
    }

    pub(crate) fn heads(&self) -> std::collections::btree_set::Iter<'_, (Rank, LaneId)> {
        const NO_HEADS: &BTreeSet<(Rank, LaneId)> = &BTreeSet::new();
        self.heads.as_ref().unwrap_or(NO_HEADS).iter()
    }

    /// Gives back lanes without messages. Not called while a change may still be rolled back,
    /// because a rolled-back message names its lane by index.
    pub(crate) fn sweep(&mut self) {
        while let Some(id) = self.vacant.pop() {
            let Some(lane) = self.all.get_mut(id.0 as usize) else { continue };
            if lane.messages > 0 {
                continue;
            }
            if let Some(key) = lane.key.take() {
                self.by_key.remove(&key);
                self.free.push(id);
            }
        }
    }

    /// Returns the lanes' keys by index.
    pub(crate) fn keys(&self) -> Vec<Option<Arc<str>>> {
        self.all.iter().map(|lane| lane.key.clone()).collect()
    }

    /// Returns ready messages in the order in which an acquire should take them at this time, up to
    /// which tokens must have been counted.
    pub(crate) fn picks(&self, order: Order, now_ms: UnixMs) -> Picks<'_> {
        Picks::new(self, order, now_ms)
    }

    /// Returns ready messages in order of delivery, as if nothing limited their lanes.
    pub(crate) fn all_picks(&self) -> Picks<'_> {
        Picks::of_all(self)
    }
}

/// A change of a lane.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Joined,
    Left,
    Ready(Rank),
    NotReady(Rank),
    /// A message at this place of the order was leased.
    Leased(u64),
    Unleased(u64),
    /// A message at this place of the order cannot be received before its time.
    Delayed(u64),
    Undelayed(u64),
    /// A message at this place of the order waits for its next attempt; it holds up those behind
    /// it in a FIFO lane.
    Blocked(u64),
    Unblocked(u64),
    /// The lane's guard lets nothing through, or lets through again.
    Shut(bool),
}

impl Lane {
    /// Applies a change. With `locking`, messages that are not ready hold up those behind them;
    /// with `heads`, they are noted as hidden.
    fn note(&mut self, change: Change, locking: bool, heads: bool) {
        match change {
            Change::Joined => self.messages += 1,
            Change::Left => self.messages = self.messages.saturating_sub(1),
            Change::Ready(rank) => self.insert(rank),
            Change::NotReady(rank) => self.remove(rank),
            Change::Shut(shut) => self.gate.shut = shut,
            Change::Leased(order) | Change::Blocked(order) => {
                self.in_flight += u32::from(matches!(change, Change::Leased(_)));
                if locking && self.key.is_some() {
                    self.blocking.insert(order);
                }
                if heads {
                    self.hidden.insert(order);
                }
            }
            Change::Unleased(order) | Change::Unblocked(order) => {
                let fewer = u32::from(matches!(change, Change::Unleased(_)));
                self.in_flight = self.in_flight.saturating_sub(fewer);
                self.blocking.remove(order);
                self.hidden.remove(order);
            }
            Change::Delayed(order) => {
                if heads {
                    self.hidden.insert(order);
                }
            }
            Change::Undelayed(order) => {
                self.hidden.remove(order);
            }
        }
    }

    /// Returns true if no message in flight stands before this one. Messages of a FIFO queue always
    /// have a key, so lane 0 never blocks.
    fn may_serve(&self, rank: Rank) -> bool {
        self.blocking.first().is_none_or(|blocking| rank.order < blocking)
    }

    /// Returns the first place of a message in flight that blocks those behind it (FIFO).
    pub(crate) fn first_blocking(&self) -> Option<u64> {
        self.blocking.first()
    }

    pub(crate) fn servable_rank(&self) -> Option<Rank> {
        self.first().filter(|rank| self.may_serve(*rank))
    }

    pub(crate) fn servable_after(&self, rank: Rank) -> Option<Rank> {
        self.after(rank).filter(|next| self.may_serve(*next))
    }

    /// Returns true if every message before this one can be received.
    pub(crate) fn stands_before_hidden(&self, rank: Rank) -> bool {
        self.hidden.first().is_none_or(|hidden| rank.order < hidden)
    }

    pub(crate) fn place_head(&mut self, id: LaneId, heads: &mut BTreeSet<(Rank, LaneId)>) {
        let head = self.first().filter(|rank| self.stands_before_hidden(*rank));
        let head = head.filter(|_| !self.gate.held_back && !self.gate.shut);
        let before = std::mem::replace(&mut self.head, head);
        if before != head {
            before.map(|rank| heads.remove(&(rank, id)));
            head.map(|rank| heads.insert((rank, id)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(locking: bool, messages: &[(&str, u8)]) -> Lanes {
        let kind = if locking { QueueKind::Fifo } else { QueueKind::Standard };
        let mut lanes = Lanes::new(&QueueConfig { kind, ..QueueConfig::default() });
        for (order, (key, priority)) in messages.iter().enumerate() {
            let id = lanes.of_key((!key.is_empty()).then_some(*key));
            lanes.change(id, Change::Joined, Turn::plain);
            lanes.change(id, Change::Ready(Rank::new(*priority, order as u64)), Turn::plain);
        }
        lanes.sweep();
        lanes
    }

    fn orders(lanes: &Lanes) -> Vec<u64> {
        lanes.picks(Order::OfQueue, 0).map(|(rank, _)| rank.order).collect()
    }

    #[test]
    fn without_keys_the_order_is_priority_then_arrival() {
        assert_eq!(
            orders(&lanes(false, &[("", 0), ("", 9), ("", 0), ("", 9), ("", 3)])),
            [1, 3, 4, 0, 2]
        );
    }

    #[test]
    fn a_fifo_lane_is_emptied_before_the_next_is_opened() {
        assert_eq!(orders(&lanes(true, &[("a", 0), ("b", 0), ("a", 0), ("b", 0)])), [0, 2, 1, 3]);
    }

    #[test]
    fn a_message_in_flight_blocks_those_behind_it_in_its_fifo_lane() {
        let mut lanes = lanes(true, &[("a", 0), ("b", 0), ("a", 0), ("a", 0)]);
        let a = lanes.of_key(Some("a"));
        lanes.change(a, Change::NotReady(Rank::new(0, 2)), Turn::plain);
        lanes.change(a, Change::Leased(2), Turn::plain);
        assert_eq!(orders(&lanes), [0, 1], "the one before it may go");
        lanes.change(a, Change::NotReady(Rank::new(0, 0)), Turn::plain);
        lanes.change(a, Change::Leased(0), Turn::plain);
        assert_eq!(orders(&lanes), [1]);
        assert!(!lanes.change(a, Change::Unleased(0), Turn::plain), "the other still blocks");
        assert!(lanes.change(a, Change::Unleased(2), Turn::plain), "the lane is servable again");
        assert_eq!(orders(&lanes), [1, 3]);
    }

    #[test]
    fn quiet_lanes_come_before_a_noisy_one() {
        let mut messages = vec![("noisy", 0); 5];
        messages.extend([("quiet", 0), ("", 0)]);
        let mut lanes = lanes(false, &messages);
        let noisy = lanes.of_key(Some("noisy"));
        for _ in 0..30 {
            lanes.change(noisy, Change::Leased(0), Turn::plain);
        }
        assert_eq!(orders(&lanes), [5, 6, 0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_lane_without_messages_is_given_back() {
        let mut lanes = lanes(false, &[("a", 0)]);
        let a = lanes.of_key(Some("a"));
        lanes.change(a, Change::NotReady(Rank::new(0, 0)), Turn::plain);
        lanes.change(a, Change::Left, Turn::plain);
        lanes.sweep();
        assert!(lanes.by_key.is_empty());
        assert_eq!(lanes.of_key(Some("b")), a, "its index is used again");
    }
}
