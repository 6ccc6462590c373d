//! The order in which the ready messages of a queue are taken.

use std::cmp::Reverse;
use std::collections::btree_set::Iter;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

use kyu_model::{Fairness, Order, UnixMs};

use crate::lanes::lane::{Lanes, Rank, Turn};
use crate::queue::message::LaneId;

/// The number of messages in flight from which on a lane may be noisy (SQS fair queues).
const NOISY_IN_FLIGHT: u64 = 30;
/// The share of all messages in flight above which such a lane is noisy, as one in this many (SQS
/// fair queues).
const NOISY_SHARE: u64 = 10;

/// Iterator over ready messages in the order in which an acquire should take them.
pub(crate) enum Picks<'a> {
    OfQueue(OfQueue<'a>),
    Grouped(Grouped<'a>),
}

impl<'a> Picks<'a> {
    pub(crate) fn new(lanes: &'a Lanes, order: Order, now_ms: UnixMs) -> Self {
        match order {
            Order::OfQueue => Self::OfQueue(OfQueue::new(lanes, Some(now_ms))),
            Order::LaneByLane | Order::RoundRobin | Order::LaneHeads => {
                Self::Grouped(Grouped::new(lanes, order, now_ms))
            }
        }
    }

    /// Makes picks from all lanes, also those that their limits or a pause hold back.
    pub(crate) fn of_all(lanes: &'a Lanes) -> Self {
        Self::OfQueue(OfQueue::new(lanes, None))
    }

    /// Takes nothing more from the lane of the last pick.
    pub(crate) fn stop(&mut self, id: LaneId) {
        let taken = match self {
            Self::OfQueue(picks) => {
                picks.alone = None;
                &mut picks.taken
            }
            Self::Grouped(picks) => {
                picks.left = None;
                &mut picks.taken
            }
        };
        taken.stopped.insert(id);
    }

    /// Counts the last pick as in flight for the picks that follow.
    pub(crate) fn took(&mut self, id: LaneId) {
        match self {
            Self::OfQueue(picks) => picks.taken.add(id),
            Self::Grouped(picks) => picks.took(id),
        }
    }
}

impl Iterator for Picks<'_> {
    type Item = (Rank, LaneId);

    fn next(&mut self) -> Option<(Rank, LaneId)> {
        match self {
            Self::OfQueue(picks) => picks.next(),
            Self::Grouped(picks) => picks.next(),
        }
    }
}

/// The messages that an acquire took from each lane so far, and may still take.
struct Taken<'a> {
    lanes: &'a Lanes,
    /// The time of the acquire; `None` disregards limits.
    now_ms: Option<UnixMs>,
    by_lane: BTreeMap<LaneId, u64>,
    stopped: BTreeSet<LaneId>,
    total: u64,
}

impl<'a> Taken<'a> {
    fn new(lanes: &'a Lanes, now_ms: Option<UnixMs>) -> Self {
        let now_ms = now_ms.filter(|_| lanes.limits.is_active());
        let (by_lane, stopped) = (BTreeMap::new(), BTreeSet::new());
        Self { lanes, now_ms, by_lane, stopped, total: 0 }
    }

    fn add(&mut self, id: LaneId) {
        self.total += 1;
        if id != LaneId::NONE {
            *self.by_lane.entry(id).or_default() += 1;
        }
    }

    fn of(&self, id: LaneId) -> u64 {
        self.by_lane.get(&id).copied().unwrap_or(0)
    }

    fn is_exhausted(&self, id: LaneId) -> bool {
        if self.stopped.contains(&id) {
            return true;
        }
        let Some(now_ms) = self.now_ms else { return false };
        let room = self.lanes.get(id).map_or(0, |lane| self.lanes.limits.room(lane, now_ms));
        self.of(id) >= room
    }
}

/// Picks in the order of the queue's settings. In a FIFO queue a lane is emptied before the next
/// one is opened; in a standard queue quiet lanes come first and share by rank, then the noisy
/// ones, the one with the fewest in flight first (SQS developer guide, "fair queues"). At most nine
/// lanes can hold more than a tenth, so the search is short.
pub(crate) struct OfQueue<'a> {
    lanes: &'a Lanes,
    servable: Iter<'a, (Turn, LaneId)>,
    held_back: Iter<'a, (Turn, LaneId)>,
    alone: Option<Rank>,
    open: BinaryHeap<Reverse<(Turn, LaneId)>>,
    noisy: Vec<(Turn, LaneId)>,
    taken: Taken<'a>,
}

impl<'a> OfQueue<'a> {
    fn new(lanes: &'a Lanes, now_ms: Option<UnixMs>) -> Self {
        Self {
            lanes,
            servable: lanes.servable.iter(),
            held_back: if now_ms.is_some() { Iter::default() } else { lanes.limits.held_back() },
            alone: lanes
                .alone()
                .filter(|lane| now_ms.is_none() || !lane.gate.shut)
                .and_then(|lane| lane.servable_rank()),
            open: BinaryHeap::new(),
            noisy: Vec::new(),
            taken: Taken::new(lanes, now_ms),
        }
    }

    fn in_flight(&self, id: LaneId) -> u64 {
        let lane = self.lanes.get(id).map_or(0, |lane| u64::from(lane.in_flight));
        lane + self.taken.of(id)
    }

    fn is_noisy(&self, id: LaneId) -> bool {
        let mine = self.in_flight(id);
        let all = self.lanes.in_flight + self.taken.total;
        id != LaneId::NONE && mine >= NOISY_IN_FLIGHT && mine * NOISY_SHARE > all
    }

    /// Returns the next lane by turn that has given nothing yet.
    fn peek_unopened(&self) -> Option<(Turn, LaneId)> {
        let first = [self.servable.clone().next(), self.held_back.clone().next()];
        first.into_iter().flatten().min().copied()
    }

    fn unopened(&mut self) -> Option<(Turn, LaneId)> {
        let first = self.peek_unopened()?;
        let from_servable = self.servable.clone().next() == Some(&first);
        if from_servable { self.servable.next().copied() } else { self.held_back.next().copied() }
    }

    fn next_lane(&mut self) -> Option<(Turn, LaneId)> {
        if self.lanes.locking() {
            return self.open.pop().map(|Reverse(pick)| pick).or_else(|| self.unopened());
        }
        let quiet_first = self.lanes.limits.fairness == Fairness::QuietFirst;
        loop {
            let unopened = self.peek_unopened();
            let opened = self.open.peek().map(|Reverse(pick)| *pick);
            let (turn, id) = match (unopened, opened) {
                (None, None) => break,
                (Some(unopened), opened) if opened.is_none_or(|opened| unopened < opened) => {
                    self.unopened()?
                }
                _ => self.open.pop()?.0,
            };
            if !quiet_first || !self.is_noisy(id) {
                return Some((turn, id));
            }
            self.noisy.push((turn, id));
        }
        let quietest = (0..self.noisy.len())
            .min_by_key(|i| self.noisy.get(*i).map(|n| (self.in_flight(n.1), n.0)))?;
        Some(self.noisy.swap_remove(quietest))
    }

    fn next(&mut self) -> Option<(Rank, LaneId)> {
        if let Some(rank) = self.alone {
            self.alone = self.lanes.alone().and_then(|lane| lane.servable_after(rank));
            return Some((rank, LaneId::NONE));
        }
        loop {
            let (turn, id) = self.next_lane()?;
            if self.taken.is_exhausted(id) {
                continue;
            }
            let lane = self.lanes.get(id)?;
            if let Some(next) = lane.servable_after(turn.rank()) {
                let next = match self.lanes.limits.fairness {
                    Fairness::Weighted => turn.then(next, self.lanes.limits.stride(lane)),
                    Fairness::QuietFirst | Fairness::StrictOrder => Turn::plain(next),
                };
                self.open.push(Reverse((next, id)));
            }
            return Some((turn.rank(), id));
        }
    }
}

/// Picks that keep the order within each lane: see [`Order`]. The lanes must be tracking their
/// heads.
pub(crate) struct Grouped<'a> {
    lanes: &'a Lanes,
    order: Order,
    rest: Iter<'a, (Rank, LaneId)>,
    /// Next messages of lanes that gave one already.
    open: VecDeque<(Rank, LaneId)>,
    /// The last pick, until it is taken.
    left: Option<(Rank, LaneId)>,
    taken: Taken<'a>,
}

impl<'a> Grouped<'a> {
    fn new(lanes: &'a Lanes, order: Order, now_ms: UnixMs) -> Self {
        let rest = lanes.heads();
        let taken = Taken::new(lanes, Some(now_ms));
        Self { lanes, order, rest, open: VecDeque::new(), left: None, taken }
    }

    fn took(&mut self, id: LaneId) {
        self.taken.add(id);
        self.left = None;
    }

    fn after(&self, (rank, id): (Rank, LaneId)) -> Option<(Rank, LaneId)> {
        let lane = self.lanes.get(id)?;
        let next = lane.after(rank).filter(|next| lane.stands_before_hidden(*next))?;
        Some((next, id))
    }

    fn next(&mut self) -> Option<(Rank, LaneId)> {
        // A head that was passed over (expired, or on its way to the dead letters) does not count.
        let passed = self.left.take().filter(|_| self.order == Order::LaneHeads);
        let instead = passed.and_then(|pick| self.after(pick));
        if let Some(instead) = instead {
            self.left = Some(instead);
            return Some(instead);
        }
        loop {
            let pick = match self.order {
                Order::LaneHeads => self.rest.next().copied(),
                Order::RoundRobin => self.rest.next().copied().or_else(|| self.open.pop_front()),
                Order::LaneByLane | Order::OfQueue => {
                    self.open.pop_front().or_else(|| self.rest.next().copied())
                }
            }?;
            if self.taken.is_exhausted(pick.1) {
                continue;
            }
            if self.order != Order::LaneHeads
                && let Some(next) = self.after(pick)
            {
                self.open.push_back(next);
            }
            self.left = Some(pick);
            return Some(pick);
        }
    }
}
