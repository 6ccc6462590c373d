//! In which order the ready messages of a queue are taken.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use crate::command::Order;
use crate::lane::{Lanes, Rank, Turn};
use crate::lane_policy::Fairness;
use crate::message::LaneId;

/// A lane is noisy from this many messages in flight on ...
const NOISY_IN_FLIGHT: u64 = 30;
/// ... if they are more than one in this many of all in flight (SQS fair queues).
const NOISY_SHARE: u64 = 10;

/// Iterator over ready messages in the order in which an acquire should take them.
pub(crate) enum Picks<'a> {
    OfQueue(OfQueue<'a>),
    Grouped(Grouped<'a>),
}

impl<'a> Picks<'a> {
    pub(crate) fn new(lanes: &'a Lanes, order: Order) -> Self {
        match order {
            Order::OfQueue => Self::OfQueue(OfQueue::new(lanes)),
            grouped => Self::Grouped(Grouped::new(lanes, grouped)),
        }
    }

    /// Counts the last pick as in flight for the picks that follow.
    pub(crate) fn took(&mut self, id: LaneId) {
        match self {
            Self::OfQueue(picks) => picks.took(id),
            Self::Grouped(picks) => picks.left = None,
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

/// By the settings of the queue. In a FIFO queue a lane is emptied before the next one is
/// opened; in a standard queue quiet lanes come first and share by rank, then the noisy ones,
/// the one with the fewest in flight first (SQS developer guide, "fair queues"). At most nine
/// lanes can hold more than a tenth, so the search is short.
pub(crate) struct OfQueue<'a> {
    lanes: &'a Lanes,
    rest: std::collections::btree_set::Iter<'a, (Turn, LaneId)>,
    alone: Option<Rank>,
    open: BinaryHeap<Reverse<(Rank, LaneId)>>,
    noisy: Vec<(Rank, LaneId)>,
    taken: BTreeMap<LaneId, u64>,
    taken_total: u64,
}

impl<'a> OfQueue<'a> {
    fn new(lanes: &'a Lanes) -> Self {
        Self {
            lanes,
            rest: lanes.servable(),
            alone: lanes.alone().and_then(|lane| lane.servable_rank()),
            open: BinaryHeap::new(),
            noisy: Vec::new(),
            taken: BTreeMap::new(),
            taken_total: 0,
        }
    }

    fn in_flight(&self, id: LaneId) -> u64 {
        let lane = self.lanes.get(id).map_or(0, |lane| u64::from(lane.in_flight));
        lane + self.taken.get(&id).copied().unwrap_or(0)
    }

    fn is_noisy(&self, id: LaneId) -> bool {
        let mine = self.in_flight(id);
        let all = self.lanes.in_flight + self.taken_total;
        id != LaneId::NONE && mine >= NOISY_IN_FLIGHT && mine * NOISY_SHARE > all
    }

    /// The next lane by turn, with its first message.
    fn unopened(&mut self) -> Option<(Rank, LaneId)> {
        self.rest.next().map(|(turn, id)| (turn.rank(), *id))
    }

    fn next_lane(&mut self) -> Option<(Rank, LaneId)> {
        if self.lanes.locking() {
            return self.open.pop().map(|Reverse(pick)| pick).or_else(|| self.unopened());
        }
        let strict = self.lanes.fairness() == Fairness::StrictOrder;
        loop {
            let unopened = self.rest.clone().next().map(|(turn, id)| (turn.rank(), *id));
            let opened = self.open.peek().map(|Reverse(pick)| *pick);
            let (rank, id) = match (unopened, opened) {
                (None, None) => break,
                (Some(unopened), opened) if opened.is_none_or(|opened| unopened < opened) => {
                    self.unopened()?
                }
                _ => self.open.pop()?.0,
            };
            if strict || !self.is_noisy(id) {
                return Some((rank, id));
            }
            self.noisy.push((rank, id));
        }
        let quietest = (0..self.noisy.len())
            .min_by_key(|i| self.noisy.get(*i).map(|n| (self.in_flight(n.1), n.0)))?;
        Some(self.noisy.swap_remove(quietest))
    }

    fn took(&mut self, id: LaneId) {
        *self.taken.entry(id).or_default() += 1;
        self.taken_total += 1;
    }

    fn next(&mut self) -> Option<(Rank, LaneId)> {
        if let Some(rank) = self.alone {
            self.alone = self.lanes.alone().and_then(|lane| lane.servable_after(rank));
            return Some((rank, LaneId::NONE));
        }
        let (rank, id) = self.next_lane()?;
        if let Some(next) = self.lanes.get(id).and_then(|lane| lane.servable_after(rank)) {
            self.open.push(Reverse((next, id)));
        }
        Some((rank, id))
    }
}

/// With the order in each lane kept: see [`Order`]. The lanes must be tracking their heads.
pub(crate) struct Grouped<'a> {
    lanes: &'a Lanes,
    order: Order,
    rest: std::collections::btree_set::Iter<'a, (Rank, LaneId)>,
    /// Next messages of lanes that gave one already.
    open: VecDeque<(Rank, LaneId)>,
    /// The last pick, until it is taken.
    left: Option<(Rank, LaneId)>,
}

impl<'a> Grouped<'a> {
    fn new(lanes: &'a Lanes, order: Order) -> Self {
        Self { lanes, order, rest: lanes.heads(), open: VecDeque::new(), left: None }
    }

    fn after(&self, (rank, id): (Rank, LaneId)) -> Option<(Rank, LaneId)> {
        let lane = self.lanes.get(id)?;
        let next = lane.after(rank).filter(|next| lane.stands_before_hidden(*next))?;
        Some((next, id))
    }

    fn next(&mut self) -> Option<(Rank, LaneId)> {
        // A head that was passed over (expired, or on its way to the dead letters) is none.
        let passed = self.left.take().filter(|_| self.order == Order::LaneHeads);
        let instead = passed.and_then(|pick| self.after(pick));
        let mut unopened = || self.rest.next().copied();
        let pick = match self.order {
            Order::LaneHeads => instead.or_else(unopened),
            Order::RoundRobin => unopened().or_else(|| self.open.pop_front()),
            _ => self.open.pop_front().or_else(unopened),
        }?;
        if self.order != Order::LaneHeads
            && let Some(next) = self.after(pick)
        {
            self.open.push_back(next);
        }
        self.left = Some(pick);
        Some(pick)
    }
}
