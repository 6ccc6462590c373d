//! One queue: its messages and the indexes that follow from them. [`Queue::replace`] is the only
//! way in, so that no index can disagree with the messages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kyu_machine::{Journaled, JournaledMap, Trial, each_part};
use kyu_model::{
    Address, DedupScope, Phase, QueueConfig, QueueId, QueueInfo, QueueKind, QueueStats,
    QueueTotals, Seq, SessionId, UnixMs,
};

use crate::lanes::buckets::Buckets;
use crate::lanes::lane::{Change, Lanes, Rank, Turn};
use crate::lanes::pause_ends::PauseEnds;
use crate::queue::attempts::Attempts;
use crate::queue::chunk::Messages;
use crate::queue::dedup::Dedup;
use crate::queue::ends::Ends;
use crate::queue::message::{LaneId, Message};
use crate::queue::seq_set::SeqSet;
use crate::queue::unique::UniqueKeys;
use crate::retries::finished::Finished;
use crate::retries::guard::GuardState;
use crate::retries::guard_keys::{GuardKeys, GuardValue};

pub(crate) struct Queue {
    pub(crate) info: Arc<QueueInfo>,
    pub(crate) messages: Messages,
    pub(crate) lanes: Lanes,
    pub(crate) dedup: JournaledMap<Dedup>,
    pub(crate) attempts: JournaledMap<Attempts>,
    /// Messages acknowledged after more than one delivery.
    pub(crate) finished: Journaled<Arc<Finished>>,
    /// The guards that differ from new ones: those of lanes or attribute values by key, and under
    /// `None` that of the queue or of messages without a key.
    pub(crate) guards: BTreeMap<Option<Arc<str>>, GuardState>,
    /// The attribute values that guards protect.
    pub(crate) guard_keys: GuardKeys,
    /// The guard of the whole queue lets nothing through.
    pub(crate) shut: bool,
    pub(crate) unique: JournaledMap<UniqueKeys>,
    pub(crate) totals: Journaled<QueueTotals>,
    /// The next sequence number; also gives places at the tail of the ready order.
    pub(crate) next_seq: Journaled<Seq>,
    pub(crate) purged_at_ms: Option<UnixMs>,
    /// True if the queue is paused: receives get nothing.
    pub(crate) paused: Journaled<bool>,
    /// The times at which pauses end by themselves.
    pub(crate) pause_ends: Journaled<PauseEnds>,
    /// The address just behind the beginning of the last record that moved a message in. What was
    /// moved is handed out only when that record is durable: a crash would take the sequence number
    /// back and give it to another message, which the receipt would then name. Not part of the
    /// state: after a restart every record is durable.
    pub(crate) moved_in_by: Address,
    /// Age of the youngest message that is in age order.
    pub(crate) newest_ms: Journaled<UnixMs>,

    /// The phase that messages under a claim were in, and go back to.
    pub(crate) claims: JournaledMap<BTreeMap<Seq, Phase>>,
    /// The greatest sequence number that was enqueued: what is enqueued later with a smaller one
    /// (it was reserved) is not in age order.
    pub(crate) newest_seq: Journaled<Seq>,

    ready: u64,
    archived: u64,
    delayed: u64,
    in_flight: u64,
    pub(crate) bytes: u64,
    /// Messages whose phase ends by time.
    deadlines: BTreeSet<(UnixMs, Seq)>,
    /// Messages with an expiry of their own.
    expiries: BTreeSet<(UnixMs, Seq)>,
    /// Enqueue times of messages out of age order.
    ages: BTreeSet<(UnixMs, Seq)>,
    /// Starts of the retention of those messages that a look at the ages in order does not find:
    /// out of age order, with a start of their own, or before `looked_at`.
    retained: BTreeSet<(UnixMs, Seq)>,
    /// The sequence number up to which a search for old messages has come: messages before it that
    /// were old enough could not be taken, because they were delayed, under lease and so on. The
    /// search does not look at them again.
    looked_at: Seq,
    /// Dead letters that are kept here.
    pub(crate) dead: BTreeSet<Seq>,
    /// True if kept dead letters may have a queue to go to; the next tick looks. Not part of the
    /// state.
    pub(crate) dead_may_go: Journaled<bool>,
    /// The ends of the last messages that were not acknowledged.
    pub(crate) ends: Journaled<Arc<Ends>>,
    /// The sequence number below which all messages were gone after the last purge.
    pub(crate) purged_below: Seq,
    /// Messages that wait for a token, by lane and place in the order, and all of them by place.
    pub(crate) parked: BTreeMap<LaneId, BTreeSet<(u64, Seq)>>,
    pub(crate) all_parked: BTreeSet<(u64, Seq)>,
    /// Messages whose place in the ready order is not their sequence number, by place.
    reordered: BTreeMap<u64, Seq>,
    pub(crate) sessions: BTreeMap<SessionId, SeqSet>,
    /// The time at which the state next looks here; never later than there is work.
    pub(crate) watched_ms: Journaled<Option<UnixMs>>,
    /// The parts of the queue before a trial that cannot take their changes back by themselves,
    /// because indexes and lanes depend on them.
    before: Option<Box<Before>>,
}

/// Parts of a queue as they were before a trial, as far as it changed them.
#[derive(Default)]
struct Before {
    messages: BTreeMap<Seq, Option<Message>>,
    /// Settings, and the buckets that go with them.
    settings: Option<(Arc<QueueInfo>, Buckets)>,
    guards: BTreeMap<GuardValue, Option<GuardState>>,
    guard_values: BTreeMap<Seq, GuardValue>,
    buckets: BTreeMap<Option<Arc<str>>, u64>,
    paused_lanes: BTreeMap<Arc<str>, bool>,
}

impl Trial for Queue {
    fn begin_trial(&mut self) {
        self.before = Some(Box::default());
        self.each(|part| part.begin_trial());
    }

    fn roll_back(&mut self) {
        if let Some(before) = self.before.take() {
            self.put_back(*before);
        }
        self.each(|part| part.roll_back());
        self.lanes.sweep();
    }
}

impl Queue {
    fn each(&mut self, mut call: impl FnMut(&mut dyn Trial)) {
        each_part!(self, call, journaled {
            dedup,
            attempts,
            finished,
            unique,
            totals,
            next_seq,
            paused,
            pause_ends,
            newest_ms,
            claims,
            newest_seq,
            dead_may_go,
            ends,
            watched_ms,
        } aside {
            // Put back by hand: see `Before`.
            info,
            messages,
            lanes,
            guards,
            guard_keys,
            shut,
            before,
            // Never changed in the life of a queue: a purge makes another.
            purged_at_ms,
            purged_below,
            // Not changed in a trial.
            moved_in_by,
            // These follow from the messages; `looked_at` only says how they are looked for.
            ready,
            archived,
            delayed,
            in_flight,
            bytes,
            deadlines,
            expiries,
            ages,
            retained,
            looked_at,
            dead,
            parked,
            all_parked,
            reordered,
            sessions,
        });
    }

    /// Returns true if changes to this queue are part of a trial and may be taken back.
    pub(crate) fn in_trial(&self) -> bool {
        self.before.is_some()
    }

    /// Notes a guard that was changed, for a trial.
    pub(crate) fn keep_guard(&mut self, key: GuardValue, old: Option<&GuardState>) {
        if let Some(before) = &mut self.before {
            before.guards.entry(key).or_insert_with(|| old.cloned());
        }
    }

    /// Notes a message's value that was changed, for a trial.
    pub(crate) fn keep_guard_value(&mut self, seq: Seq, old: GuardValue) {
        if let Some(before) = &mut self.before {
            before.guard_values.entry(seq).or_insert(old);
        }
    }

    fn put_back(&mut self, before: Before) {
        let Before { messages, settings, guards, guard_values, buckets, paused_lanes } = before;
        // All are removed first, because one may have taken another's place in the order.
        for seq in messages.keys() {
            self.replace(*seq, None);
        }
        for (seq, message) in messages {
            if message.is_some() {
                self.replace(seq, message);
            }
        }
        // What a guard shuts depends on the settings that it was made under.
        for key in guards.keys() {
            self.put_guard(key.clone(), None);
        }
        if let Some((info, buckets)) = settings {
            self.info = info;
            let (messages, reordered) = (&self.messages, &self.reordered);
            let turn_of = |rank| turn_of_waiting(messages, reordered, rank);
            self.lanes.set_limits(&self.info.config, buckets, turn_of);
            self.put_guards(self.guards.clone());
        }
        for (key, guard) in guards {
            self.put_guard(key, guard);
        }
        for (seq, value) in guard_values {
            self.set_guard_value(seq, value);
        }
        for (lane, full_at_ns) in buckets {
            self.set_bucket(lane.as_ref(), full_at_ns);
        }
        for (lane, paused) in paused_lanes {
            self.set_lane_paused(&lane, paused);
        }
    }
}

/// The follow-up of a change to a message: the waiting receivers to wake, and the time to look
/// again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FollowUp {
    /// True if a message may have become receivable.
    pub(crate) wakes: bool,
    /// The time by which a tick has work here; `None` if the change brings none.
    pub(crate) due_ms: Option<UnixMs>,
}

impl Queue {
    pub(crate) fn new(info: Arc<QueueInfo>) -> Self {
        let lanes = Lanes::new(&info.config);
        Self {
            info,
            messages: Messages::default(),
            lanes,
            dedup: JournaledMap::default(),
            attempts: JournaledMap::default(),
            finished: Journaled::default(),
            guards: BTreeMap::new(),
            guard_keys: GuardKeys::default(),
            shut: false,
            unique: JournaledMap::default(),
            totals: Journaled::default(),
            next_seq: Journaled::new(1),
            purged_at_ms: None,
            paused: Journaled::default(),
            pause_ends: Journaled::default(),
            newest_ms: Journaled::default(),
            moved_in_by: 0,
            claims: JournaledMap::default(),
            newest_seq: Journaled::default(),
            ready: 0,
            archived: 0,
            delayed: 0,
            in_flight: 0,
            bytes: 0,
            deadlines: BTreeSet::new(),
            expiries: BTreeSet::new(),
            ages: BTreeSet::new(),
            retained: BTreeSet::new(),
            looked_at: 0,
            dead: BTreeSet::new(),
            dead_may_go: Journaled::new(true),
            ends: Journaled::default(),
            purged_below: 0,
            parked: BTreeMap::new(),
            all_parked: BTreeSet::new(),
            reordered: BTreeMap::new(),
            sessions: BTreeMap::new(),
            watched_ms: Journaled::default(),
            before: None,
        }
    }

    pub(crate) fn id(&self) -> QueueId {
        self.info.id
    }

    pub(crate) fn is_fifo(&self) -> bool {
        self.info.config.kind == QueueKind::Fifo
    }

    /// Puts a message in place of another and keeps every index right.
    pub(crate) fn replace(
        &mut self,
        seq: Seq,
        new: Option<Message>,
    ) -> (Option<Message>, FollowUp) {
        let mut follow_up = FollowUp::default();
        let old = self.messages.replace(seq, new.as_ref());
        if let Some(before) = &mut self.before {
            before.messages.entry(seq).or_insert_with(|| old.clone());
        }
        if let Some(old) = &old {
            follow_up.wakes |= self.unindex(seq, old);
        }
        if let Some(new) = &new {
            follow_up.wakes |= self.index(seq, new);
            follow_up.due_ms =
                [new.phase.deadline(), new.expires_at_ms()].into_iter().flatten().min();
            if let Some(expiry) = self.retention_ends(new) {
                follow_up.due_ms = Some(follow_up.due_ms.map_or(expiry, |due| due.min(expiry)));
            }
            follow_up.due_ms =
                [follow_up.due_ms, self.lanes.limits.next_token_ms()].into_iter().flatten().min();
            if new.phase == Phase::Parked {
                let token = self.waiting_due_ms(&self.whose(seq, new.lane));
                follow_up.due_ms = [follow_up.due_ms, token].into_iter().flatten().min();
            }
        }
        (old, follow_up)
    }

    fn index(&mut self, seq: Seq, message: &Message) -> bool {
        self.bytes += u64::from(message.frame.bytes);
        if message.order != seq {
            self.reordered.insert(message.order, seq);
        }
        let mut wakes = self.change_lane(message.lane, Change::Joined);
        match message.phase {
            Phase::Ready => {
                self.ready += 1;
                let rank = Rank::new(message.priority, message.order);
                wakes |= self.change_lane(message.lane, Change::Ready(rank));
            }
            Phase::Backoff(_) | Phase::Parked => {
                self.delayed += 1;
                self.change_lane(message.lane, Change::Blocked(message.order));
                if message.phase == Phase::Parked {
                    self.guard_keys.note(seq, message);
                    self.parked.entry(message.lane).or_default().insert((message.order, seq));
                    self.all_parked.insert((message.order, seq));
                }
            }
            Phase::Delayed(_) => {
                self.delayed += 1;
                if self.lanes.tracks_heads() {
                    self.change_lane(message.lane, Change::Delayed(message.order));
                }
            }
            Phase::Archived(_) => self.archived += 1,
            Phase::Dead(_) => {
                self.dead.insert(seq);
            }
            Phase::Leased(_) | Phase::Held(_) => {
                self.in_flight += 1;
                self.change_lane(message.lane, Change::Leased(message.order));
            }
        }
        if let Some(deadline) = message.phase.deadline() {
            self.deadlines.insert((deadline, seq));
        }
        if let Phase::Held(session) = message.phase {
            self.sessions.entry(session).or_default().insert(seq);
        }
        if let Some(expires_at_ms) = message.expires_at_ms() {
            self.expiries.insert((expires_at_ms, seq));
        }
        if message.out_of_age_order && !message.phase.is_archived() {
            self.ages.insert((message.enqueued_at_ms, seq));
        }
        if self.is_retained_by_start(seq, message) {
            self.retained.insert((message.retained_from(), seq));
        }
        wakes
    }

    /// Returns true if a message is among [`Queue::retained`].
    fn is_retained_by_start(&self, seq: Seq, message: &Message) -> bool {
        message.phase.is_retained() && (!message.ages_in_order() || seq < self.looked_at)
    }

    fn unindex(&mut self, seq: Seq, message: &Message) -> bool {
        let mut wakes = false;
        self.bytes -= u64::from(message.frame.bytes);
        match message.phase {
            Phase::Ready => {
                self.ready -= 1;
                let rank = Rank::new(message.priority, message.order);
                self.change_lane(message.lane, Change::NotReady(rank));
            }
            Phase::Backoff(_) | Phase::Parked => {
                self.delayed -= 1;
                wakes = self.change_lane(message.lane, Change::Unblocked(message.order));
                if message.phase == Phase::Parked {
                    self.unpark(seq, message);
                }
            }
            Phase::Delayed(_) => {
                self.delayed -= 1;
                if self.lanes.tracks_heads() {
                    wakes = self.change_lane(message.lane, Change::Undelayed(message.order));
                }
            }
            Phase::Archived(_) => self.archived -= 1,
            Phase::Dead(_) => {
                self.dead.remove(&seq);
            }
            Phase::Leased(_) | Phase::Held(_) => {
                // A queue at its limit has had nothing to give, whatever its lanes have.
                wakes = self.in_flight >= u64::from(self.info.config.max_in_flight);
                self.in_flight -= 1;
                wakes |= self.change_lane(message.lane, Change::Unleased(message.order));
            }
        }
        if let Some(deadline) = message.phase.deadline() {
            self.deadlines.remove(&(deadline, seq));
        }
        if let Phase::Held(session) = message.phase
            && let Some(held) = self.sessions.get_mut(&session)
        {
            held.remove(seq);
            if held.is_empty() {
                self.sessions.remove(&session);
            }
        }
        if let Some(expires_at_ms) = message.expires_at_ms() {
            self.expiries.remove(&(expires_at_ms, seq));
        }
        if message.out_of_age_order {
            self.ages.remove(&(message.enqueued_at_ms, seq));
        }
        if self.is_retained_by_start(seq, message) {
            self.retained.remove(&(message.retained_from(), seq));
        }
        if message.order != seq {
            self.reordered.remove(&message.order);
        }
        self.change_lane(message.lane, Change::Left);
        wakes
    }

    pub(crate) fn change_lane(&mut self, lane: LaneId, change: Change) -> bool {
        let (messages, reordered) = (&self.messages, &self.reordered);
        self.lanes.change(lane, change, |rank| turn_of_waiting(messages, reordered, rank))
    }

    /// Takes over new settings, from this time on.
    pub(crate) fn configure(&mut self, config: &QueueConfig, at_ms: UnixMs) {
        if let Some(before) = &mut self.before {
            let settings = || (self.info.clone(), self.lanes.limits.buckets.clone());
            before.settings.get_or_insert_with(settings);
        }
        let info = Arc::make_mut(&mut self.info);
        info.config.clone_from(config);
        info.version += 1;
        info.modified_at_ms = at_ms;
        let (messages, reordered) = (&self.messages, &self.reordered);
        let turn_of = |rank| turn_of_waiting(messages, reordered, rank);
        self.lanes.configure(config, at_ms, turn_of);
    }

    /// Sets a token bucket: of the queue, or of a lane.
    pub(crate) fn set_bucket(&mut self, lane: Option<&Arc<str>>, full_at_ns: u64) {
        if let Some(before) = &mut self.before {
            let buckets = &self.lanes.limits.buckets;
            let old = || lane.map_or(buckets.queue_full_at_ns, |key| buckets.lane(key));
            before.buckets.entry(lane.cloned()).or_insert_with(old);
        }
        match lane {
            None => self.lanes.set_queue_bucket(full_at_ns),
            Some(key) => self.lanes.set_lane_bucket(key, full_at_ns),
        }
    }

    /// Pauses or resumes a lane, whether or not it has messages.
    pub(crate) fn set_lane_paused(&mut self, lane: &str, paused: bool) {
        if let Some(before) = &mut self.before {
            let old = || self.lanes.limits.paused.contains(lane);
            before.paused_lanes.entry(lane.into()).or_insert_with(old);
        }
        self.lanes.set_lane_paused(lane, paused);
    }

    /// The queue without its messages.
    pub(crate) fn purged(&self, at_ms: UnixMs) -> Self {
        let mut empty = Self::new(self.info.clone());
        *empty.next_seq = *self.next_seq;
        *empty.newest_ms = *self.newest_ms;
        *empty.newest_seq = *self.newest_seq;
        *empty.totals = *self.totals;
        empty.totals.purged += self.len();
        empty.purged_at_ms = Some(at_ms);
        *empty.paused = *self.paused;
        *empty.pause_ends = (*self.pause_ends).clone();
        empty.lanes.outlive(&self.lanes.limits);
        *empty.finished = (*self.finished).clone();
        *empty.ends = (*self.ends).clone();
        empty.purged_below = *self.next_seq;
        empty.put_guards(self.guards.clone());
        empty
    }

    /// Prepares for acquires with an order of their own: from now on the lanes know which messages
    /// cannot be received. Costs nothing to those who never ask.
    pub(crate) fn track_heads(&mut self) {
        if self.lanes.tracks_heads() {
            return;
        }
        let timed = self.deadlines.iter().map(|(_, seq)| *seq);
        let held = self.sessions.values().flat_map(SeqSet::iter);
        let parked = self.all_parked.iter().map(|(_, seq)| *seq);
        let hidden = timed.chain(held).chain(parked).filter_map(|seq| {
            let message = self.messages.get(seq)?;
            Some((message.lane, message.order))
        });
        self.lanes.track_heads(hidden);
    }

    /// The message at a place of the ready order.
    pub(crate) fn seq_at(&self, order: u64) -> Seq {
        self.reordered.get(&order).copied().unwrap_or(order)
    }

    /// Returns messages whose phase ends at or before `now_ms`, first deadline first.
    pub(crate) fn due(&self, now_ms: UnixMs) -> impl Iterator<Item = Seq> + '_ {
        self.deadlines.range(..=(now_ms, Seq::MAX)).map(|(_, seq)| *seq)
    }

    /// Returns messages past their own expiry or the queue's retention.
    pub(crate) fn expired(&self, now_ms: UnixMs, most: usize) -> BTreeSet<Seq> {
        let mut expired: BTreeSet<Seq> =
            self.expiries.range(..=(now_ms, Seq::MAX)).map(|(_, seq)| *seq).take(most).collect();
        let Some(by_ms) = now_ms.checked_sub(self.info.config.retention_ms) else {
            return expired;
        };
        let by_start = self.retained.range(..=(by_ms, Seq::MAX)).map(|(_, seq)| *seq);
        expired.extend(by_start.take(most));
        let old = self.messages.in_age_order(self.looked_at);
        let old = old.take_while(|(_, m)| m.enqueued_at_ms <= by_ms).take(MAX_LOOKED_AT);
        let old = old.filter(|(_, m)| m.ages_in_order()).map(|(seq, _)| seq);
        expired.extend(old.take(most));
        expired
    }

    /// Passes over old messages that retention may not take now; those that it may take later are
    /// found by their start then. Not part of the state: it changes how messages are looked for,
    /// not which are found.
    pub(crate) fn pass_retention(&mut self, now_ms: UnixMs) {
        let Some(by_ms) = now_ms.checked_sub(self.info.config.retention_ms) else { return };
        let old = self.messages.in_age_order(self.looked_at).take(MAX_LOOKED_AT);
        let passed = old.take_while(|(_, m)| m.enqueued_at_ms <= by_ms && !m.ages_in_order());
        if let Some((last, _)) = passed.last() {
            self.looked_at = last + 1;
        }
    }

    /// Returns the exact time at which a tick next has work here.
    pub(crate) fn next_due_ms(&self) -> Option<UnixMs> {
        let in_order = self.messages.in_age_order(self.looked_at).next();
        let in_order = in_order.map(|(_, message)| message.enqueued_at_ms);
        let by_start = self.retained.first().map(|(at, _)| *at);
        let first = [in_order, by_start].into_iter().flatten().min();
        let retention = first.and_then(|at| at.checked_add(self.info.config.retention_ms));
        [
            self.deadlines.first().map(|(at, _)| *at),
            self.expiries.first().map(|(at, _)| *at),
            retention,
            (*self.dead_may_go && !self.dead.is_empty()).then_some(0),
            self.dedup.first_expiry().map(|at| at.saturating_add(SWEEP_SLACK_MS)),
            self.attempts.first_expiry().map(|at| at.saturating_add(SWEEP_SLACK_MS)),
            self.guards_due_ms(),
            self.pause_ends.first_due_ms(),
            self.unique.first_expiry().map(|at| at.saturating_add(SWEEP_SLACK_MS)),
            self.lanes.limits.next_token_ms(),
            self.lanes.limits.buckets.first_full_ms().map(|at| at.saturating_add(SWEEP_SLACK_MS)),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn oldest_enqueued_at_ms(&self) -> Option<UnixMs> {
        let in_order = self.messages.oldest_in_age_order().map(|(_, at)| at);
        let out_of_order = self.ages.first().map(|(at, _)| *at);
        [in_order, out_of_order].into_iter().flatten().min()
    }

    fn newest_enqueued_at_ms(&self) -> Option<UnixMs> {
        let in_order = self.messages.newest_in_age_order();
        let out_of_order = self.ages.last().map(|(at, _)| *at);
        [in_order, out_of_order].into_iter().flatten().max()
    }

    pub(crate) fn stats(&self) -> QueueStats {
        QueueStats {
            ready: self.ready,
            delayed: self.delayed,
            held: self.all_parked.len() as u64,
            in_flight: self.in_flight,
            bytes: self.bytes,
            lanes_in_flight: self.lanes.with_in_flight,
            paused: *self.paused,
            paused_until_ms: self.pause_ends.queue,
            oldest_enqueued_at_ms: self.oldest_enqueued_at_ms(),
            newest_enqueued_at_ms: self.newest_enqueued_at_ms(),
            archived: self.archived,
            dead: self.dead.len() as u64,
            last_seq: *self.next_seq - 1,
        }
    }

    pub(crate) fn ready(&self) -> u64 {
        self.ready
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight
    }

    pub(crate) fn len(&self) -> u64 {
        self.ready + self.delayed + self.in_flight + self.archived + self.dead.len() as u64
    }

    /// The key under which a deduplication id is remembered.
    pub(crate) fn dedup_key(&self, lane: Option<&str>, id: &str) -> String {
        let lane = lane.filter(|_| self.info.config.dedup_scope == DedupScope::Lane);
        Dedup::key(lane, id)
    }

    pub(crate) fn lane_key(&self, message: &Message) -> Option<&str> {
        self.lanes.get(message.lane).and_then(|lane| lane.key.as_deref())
    }
}

/// The turn of a FIFO lane with this first message.
fn turn_of_waiting(messages: &Messages, reordered: &BTreeMap<u64, Seq>, rank: Rank) -> Turn {
    let seq = reordered.get(&rank.order).copied().unwrap_or(rank.order);
    messages.get(seq).map_or(Turn::plain(rank), |first| Turn::of_waiting(rank, &first))
}

/// Messages that one look for old ones passes over, so that no command waits long behind it.
const MAX_LOOKED_AT: usize = 10_000;

/// Forgetting expired ids is housekeeping: it waits so that one tick forgets many.
pub(crate) const SWEEP_SLACK_MS: u64 = 10_000;
