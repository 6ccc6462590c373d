//! The limits and pauses that keep a lane with ready messages from giving any. Such a lane is
//! *held back*: it is set aside, so that an acquire never looks at it, however many there are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kyu_model::{Fairness, LaneLimits, LaneStats, QueueConfig, RateLimit, UnixMs};

use crate::lanes::buckets::Buckets;
use crate::lanes::lane::{Lane, Lanes, Rank, Turn};
use crate::queue::message::LaneId;

/// Virtual time that a delivery of a lane with weight 1 takes.
const STRIDE: u64 = 1 << 20;

/// The limits' state of one lane.
#[derive(Clone, Default)]
pub(crate) struct Gate {
    pub(crate) paused: bool,
    /// True if its guard (see [`crate::retries::guard`]) lets nothing through.
    pub(crate) shut: bool,
    /// The lane's bucket: see [`crate::lanes::buckets`].
    pub(crate) full_at_ns: u64,
    /// True if the lane is held back.
    pub(super) held_back: bool,
    /// The time at which the lane gets a token, if it waits for one.
    token_ms: Option<UnixMs>,
    /// Weighted sharing: virtual time of the next delivery.
    pass: u64,
}

/// The limits of all lanes of a queue.
#[derive(Clone)]
pub(crate) struct Limits {
    pub(crate) fairness: Fairness,
    pub(crate) max_in_flight: u32,
    pub(crate) rate: Option<RateLimit>,
    pub(crate) queue_rate: Option<RateLimit>,
    default_weight: u32,
    weights: BTreeMap<Arc<str>, u32>,
    pub(crate) paused: BTreeSet<Arc<str>>,
    pub(crate) buckets: Buckets,
    /// True if any of the fields above may hold back lanes.
    active: bool,

    // What follows is derived, and not in snapshots.
    /// The time up to which tokens have been counted; lanes are servable or held back as of this
    /// time.
    now_ms: UnixMs,
    held_back: BTreeSet<(Turn, LaneId)>,
    /// Lanes held back that time alone makes servable.
    token_times: BTreeSet<(UnixMs, LaneId)>,
    /// The time at which the queue's own bucket has a token again.
    queue_token_ms: Option<UnixMs>,
    /// Weighted sharing: virtual time of the last delivery. Lanes that come (back) start here.
    virtual_now: u64,
}

impl Limits {
    pub(crate) fn new(config: &QueueConfig) -> Self {
        let mut limits = Self {
            fairness: config.fairness,
            max_in_flight: u32::MAX,
            rate: None,
            queue_rate: None,
            default_weight: 1,
            weights: BTreeMap::new(),
            paused: BTreeSet::new(),
            buckets: Buckets::default(),
            active: false,
            now_ms: 0,
            held_back: BTreeSet::new(),
            token_times: BTreeSet::new(),
            queue_token_ms: None,
            virtual_now: 0,
        };
        limits.set(config);
        limits
    }

    fn set(&mut self, config: &QueueConfig) {
        let LaneLimits { max_in_flight, rate, default_weight, weights } = &config.lanes;
        self.fairness = config.fairness;
        self.max_in_flight = max_in_flight.unwrap_or(u32::MAX);
        self.rate = *rate;
        self.queue_rate = config.rate;
        self.default_weight = *default_weight;
        self.weights = weights.iter().map(|(key, weight)| (key.as_str().into(), *weight)).collect();
        self.note_active();
    }

    fn note_active(&mut self) {
        self.active =
            self.max_in_flight < u32::MAX || self.rate.is_some() || !self.paused.is_empty();
    }

    pub(crate) fn weight(&self, key: Option<&str>) -> u32 {
        let own = key.and_then(|key| self.weights.get(key)).copied();
        own.unwrap_or(self.default_weight).max(1)
    }

    /// Returns the gate of a new lane.
    pub(super) fn gate(&self, key: &str) -> Gate {
        if !self.active {
            return Gate::default();
        }
        let paused = self.paused.contains(key);
        Gate { paused, full_at_ns: self.buckets.lane(key), ..Gate::default() }
    }

    /// Returns the time at which a lane that is out of tokens has one again.
    pub(crate) fn token_ms(&self, lane: &Lane) -> Option<UnixMs> {
        let token_ms = self.rate?.next_token_ms(lane.gate.full_at_ns);
        (token_ms > self.now_ms && lane.key.is_some()).then_some(token_ms)
    }

    /// Returns true if the lane is held back. Messages without a lane are not limited, but may be
    /// guarded.
    fn holds_back(&self, lane: &Lane) -> bool {
        let limited = || {
            lane.gate.paused
                || lane.in_flight >= self.max_in_flight
                || self.token_ms(lane).is_some()
        };
        lane.gate.shut || (self.active && lane.key.is_some() && limited())
    }

    /// Returns the number of messages that a lane may still give.
    pub(crate) fn room(&self, lane: &Lane, now_ms: UnixMs) -> u64 {
        if !self.active || lane.key.is_none() {
            return u64::MAX;
        }
        if lane.gate.paused {
            return 0;
        }
        let tokens = self.rate.map_or(u64::MAX, |r| r.available(lane.gate.full_at_ns, now_ms));
        tokens.min(u64::from(self.max_in_flight.saturating_sub(lane.in_flight)))
    }

    /// Returns true if any lane may be held back.
    pub(crate) fn is_active(&self) -> bool {
        self.active
    }

    /// Returns true if deliveries take tokens.
    pub(crate) fn is_metered(&self) -> bool {
        self.rate.is_some() || self.queue_rate.is_some()
    }

    /// Returns the number of messages that the queue may still give at this time by its own rate.
    pub(crate) fn queue_tokens(&self, now_ms: UnixMs) -> u64 {
        let rate = self.queue_rate.as_ref();
        rate.map_or(u64::MAX, |rate| rate.available(self.buckets.queue_full_at_ns, now_ms))
    }

    /// Returns the next time at which something that a rate holds back becomes receivable.
    pub(crate) fn next_token_ms(&self) -> Option<UnixMs> {
        let lane_ms = self.token_times.first().map(|(at_ms, _)| *at_ms);
        [lane_ms, self.queue_token_ms].into_iter().flatten().min()
    }

    pub(super) fn held_back(&self) -> std::collections::btree_set::Iter<'_, (Turn, LaneId)> {
        self.held_back.iter()
    }

    /// Returns the turn of a lane with this first message, in weighted sharing.
    pub(super) fn weighted_turn(&self, lane: &mut Lane, first: Rank) -> Turn {
        if lane.turn.is_none() || lane.gate.held_back {
            lane.gate.pass = lane.gate.pass.max(self.virtual_now);
        }
        Turn::weighted(first, lane.gate.pass)
    }

    /// Returns the virtual time between two deliveries of a lane.
    pub(crate) fn stride(&self, lane: &Lane) -> u64 {
        STRIDE / u64::from(self.weight(lane.key.as_deref()))
    }
}

impl Lanes {
    /// Puts a lane where it belongs: among the servable, among those held back, or nowhere.
    pub(super) fn place(&mut self, id: LaneId, turn: Option<Turn>) {
        let Some(lane) = self.all.get_mut(id.0 as usize) else { return };
        let held_back = turn.is_some() && self.limits.holds_back(lane);
        if lane.turn != turn || lane.gate.held_back != held_back {
            if let Some(before) = lane.turn {
                let from = if lane.gate.held_back {
                    &mut self.limits.held_back
                } else {
                    &mut self.servable
                };
                from.remove(&(before, id));
            }
            if let Some(turn) = turn {
                let to = if held_back { &mut self.limits.held_back } else { &mut self.servable };
                to.insert((turn, id));
            }
            lane.turn = turn;
            lane.gate.held_back = held_back;
        }
        let token_ms = if held_back { self.limits.token_ms(lane) } else { None };
        if lane.gate.token_ms != token_ms {
            lane.gate.token_ms.map(|at_ms| self.limits.token_times.remove(&(at_ms, id)));
            token_ms.map(|at_ms| self.limits.token_times.insert((at_ms, id)));
            lane.gate.token_ms = token_ms;
        }
        if let Some(heads) = &mut self.heads {
            lane.place_head(id, heads);
        }
    }

    /// Places a lane anew whose limits may have changed; returns true if it has become servable.
    fn place_again(&mut self, id: LaneId) -> bool {
        let Some(lane) = self.all.get_mut(id.0 as usize) else { return false };
        let was_held_back = lane.gate.held_back;
        let mut turn = lane.turn;
        if let (Some(before), Fairness::Weighted) = (turn, self.limits.fairness) {
            turn = Some(self.limits.weighted_turn(lane, before.rank()));
        }
        self.place(id, turn);
        was_held_back && self.get(id).is_some_and(|lane| !lane.gate.held_back)
    }

    /// Counts tokens up to this time; returns true if something may have become receivable.
    pub(crate) fn refresh(&mut self, now_ms: UnixMs) -> bool {
        self.limits.now_ms = self.limits.now_ms.max(now_ms);
        let mut wakes = self.limits.queue_token_ms.take_if(|at_ms| *at_ms <= now_ms).is_some();
        while let Some((at_ms, id)) = self.limits.token_times.first().copied() {
            if at_ms > now_ms {
                break;
            }
            wakes |= self.place_again(id);
        }
        wakes
    }

    /// Pauses or resumes a lane, whether or not it has messages.
    pub(crate) fn set_lane_paused(&mut self, key: &str, paused: bool) {
        if paused {
            self.limits.paused.insert(key.into());
        } else {
            self.limits.paused.remove(key);
        }
        self.limits.note_active();
        if let Some(id) = self.by_key.get(key).copied()
            && let Some(lane) = self.all.get_mut(id.0 as usize)
        {
            lane.gate.paused = paused;
            self.place_again(id);
        }
    }

    pub(crate) fn set_queue_bucket(&mut self, full_at_ns: u64) {
        self.limits.buckets.queue_full_at_ns = full_at_ns;
        let token_ms = self.limits.queue_rate.map(|rate| rate.next_token_ms(full_at_ns));
        self.limits.queue_token_ms = token_ms.filter(|at_ms| *at_ms > self.limits.now_ms);
    }

    pub(crate) fn set_lane_bucket(&mut self, key: &Arc<str>, full_at_ns: u64) {
        self.limits.buckets.set_lane(key, full_at_ns);
        if let Some(id) = self.by_key.get(key).copied()
            && let Some(lane) = self.all.get_mut(id.0 as usize)
        {
            lane.gate.full_at_ns = full_at_ns;
            self.place_again(id);
        }
    }

    /// Charges the lane for a delivery, in weighted sharing.
    pub(crate) fn charge(&mut self, id: LaneId) {
        if self.limits.fairness != Fairness::Weighted {
            return;
        }
        let Some(lane) = self.all.get_mut(id.0 as usize) else { return };
        self.limits.virtual_now = self.limits.virtual_now.max(lane.gate.pass);
        lane.gate.pass += self.limits.stride(lane);
    }

    /// Adopts new settings from this time on. `turn_of` gives the turn of a FIFO lane by its first
    /// message.
    pub(crate) fn configure(
        &mut self,
        config: &QueueConfig,
        at_ms: UnixMs,
        turn_of: impl Fn(Rank) -> Turn,
    ) {
        let mut buckets = std::mem::take(&mut self.limits.buckets);
        buckets.adopt(config.rate.as_ref(), config.lanes.rate.as_ref(), at_ms);
        self.set_limits(config, buckets, turn_of);
    }

    /// Puts settings and buckets in place of others, and every lane where it then belongs.
    pub(crate) fn set_limits(
        &mut self,
        config: &QueueConfig,
        buckets: Buckets,
        turn_of: impl Fn(Rank) -> Turn,
    ) {
        self.limits.set(config);
        self.limits.buckets = buckets;
        self.set_queue_bucket(self.limits.buckets.queue_full_at_ns);
        if self.alone().is_some() {
            return;
        }
        for index in 0..self.all.len() {
            let id = LaneId(index as u32);
            let Some(lane) = self.all.get_mut(index) else { continue };
            lane.gate.full_at_ns =
                lane.key.as_deref().map_or(0, |key| self.limits.buckets.lane(key));
            let turn = self.turn(id, &turn_of);
            self.place(id, turn);
        }
    }

    /// Takes over what outlives a purge: pauses, and tokens that were used.
    pub(crate) fn outlive(&mut self, old: &Limits) {
        let limits = &mut self.limits;
        (limits.paused, limits.buckets) = (old.paused.clone(), old.buckets.clone());
        (limits.now_ms, limits.queue_token_ms) = (old.now_ms, old.queue_token_ms);
        limits.virtual_now = old.virtual_now;
        limits.note_active();
    }

    /// Returns the counts of lanes by key, from the first after a given one.
    pub(crate) fn stats(&self, after: Option<&str>, max: usize) -> Vec<LaneStats> {
        use std::ops::Bound::{Excluded, Unbounded};
        let range = (after.map_or(Unbounded, Excluded), Unbounded);
        let lanes = self.by_key.range::<str, _>(range).take(max);
        let stats = lanes.filter_map(|(key, id)| {
            let lane = self.get(*id)?;
            Some(LaneStats {
                key: key.as_ref().to_owned(),
                messages: lane.messages,
                in_flight: lane.in_flight,
                paused: lane.gate.paused,
                next_token_at_ms: self.limits.token_ms(lane),
                weight: self.limits.weight(Some(key)),
            })
        });
        stats.collect()
    }
}
