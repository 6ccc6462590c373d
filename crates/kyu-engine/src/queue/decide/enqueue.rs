//! Enqueue: validate each message, give it its place, and store its content once.

use std::collections::{BTreeMap, BTreeSet};

use kyu_model::limits::{MAX_BATCH, MAX_CONTENT_BYTES, MAX_KEY_BYTES, MAX_TARGETS};
use kyu_model::{
    BindingId, Content, Context, DuplicateOf, Enqueue, EnqueueRefusal, EnqueueReserved, Enqueued,
    MessageId, NewMessage, Overflow, QueueId, QueueRef, Refusal, ReservedMessage, Seq, UnixMs,
    encode_frame,
};
use smallvec::SmallVec;

use crate::decision::{Decided, Wait};
use crate::effect::Effects;
use crate::queue::decide::sequences::Sequences;
use crate::queue::decide::unique::{self, Claim, Replaced};
use crate::queue::message_record::{EnqueuedFact, MessageFact, Removal};
use crate::queue::store::Queue;
use crate::retries::record::RetryFact;
use crate::state::State;

/// The bytes that a message takes in the record beside its content, in the common case.
const ROOM_BYTES: usize = 128;

pub(crate) fn decide(
    state: &State,
    command: &Enqueue,
    ctx: &Context,
    effects: &mut Effects,
) -> Decided<Enqueue> {
    if command.messages.len() > MAX_BATCH {
        return Err(Refusal::LimitExceeded("messages of one enqueue"));
    }
    let contents = command.messages.iter().map(|message| message.content.len() + ROOM_BYTES);
    effects.reserve(command.messages.len(), contents.sum());
    let mut batch = Batch::new(state, ctx);
    let results = command.messages.iter().enumerate();
    let results = results.map(|(i, message)| batch.add(i as u64, message, effects)).collect();
    Ok((results, Wait::Record))
}

/// Enqueues messages under numbers that were reserved for them: all, or the command is refused.
pub(crate) fn reserved(
    state: &State,
    command: &EnqueueReserved,
    ctx: &Context,
    effects: &mut Effects,
) -> Decided<EnqueueReserved> {
    if command.messages.len() > MAX_BATCH {
        return Err(Refusal::LimitExceeded("messages of one enqueue"));
    }
    let queue = find_queue(state, &command.queue)?;
    let mut batch = Batch::new(state, ctx);
    let mut results = Vec::with_capacity(command.messages.len());
    let mut taken = BTreeSet::new();
    for (i, reserved) in command.messages.iter().enumerate() {
        if queue.messages.get(reserved.seq).is_some() || !taken.insert(reserved.seq) {
            return Err(Refusal::LimitExceeded("messages of one sequence number"));
        }
        let message = &reserved.message;
        let lane_missing = queue.is_fifo() && message.lane.is_none();
        let checked = match check_shape(message) {
            Ok(()) if lane_missing => Err(EnqueueRefusal::LaneRequired(queue.id())),
            other => other,
        };
        let target = Target { queue, via: None, dedups: true };
        let message_id = new_message_id(ctx.seed, i as u64);
        results.push(checked.and_then(|()| {
            batch.place_at(message_id, message, &[target], Some(reserved), effects)
        }));
    }
    Ok((results, Wait::Record))
}

/// Notes by which value of the queue's attribute the message is guarded.
fn note_guard_key(queue: &Queue, seq: Seq, message: &NewMessage, effects: &mut Effects) {
    let Some(name) = &queue.info.config.guard_attribute else { return };
    let value = Content::attribute_in(&message.content, name);
    let fits = |value: &String| !value.is_empty() && value.len() <= MAX_KEY_BYTES;
    if let Some(value) = value.filter(fits) {
        let queue = queue.id();
        effects.push(RetryFact::GuardKey { queue, seq, value });
    }
}

/// Returns the queue that a reference of a group means.
pub(crate) fn find_queue<'a>(state: &'a State, queue: &QueueRef) -> Result<&'a Queue, Refusal> {
    match queue {
        QueueRef::Id(id) => state.queue(*id),
        QueueRef::Name(name) => state.by_name(name).ok_or(Refusal::QueueNotFound),
    }
}

/// The room, ids and keys that earlier messages of the same batch have taken.
#[derive(Default)]
struct Added {
    sequences: Sequences,
    /// Messages and bytes by queue.
    sizes: BTreeMap<QueueId, (u64, u64)>,
    ids: BTreeMap<(QueueId, String), Enqueued>,
    /// Messages by unique key.
    unique: BTreeMap<(QueueId, String), Enqueued>,
    dropped: BTreeMap<QueueId, BTreeSet<Seq>>,
}

/// Messages of one command on their way into queues.
pub(crate) struct Batch<'a> {
    state: &'a State,
    ctx: &'a Context,
    added: Added,
}

/// A queue that gets a message.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) queue: &'a Queue,
    /// The binding that the message shall remember.
    pub(crate) via: Option<BindingId>,
    /// True if the queue looks at the message's deduplication id.
    pub(crate) dedups: bool,
}

/// The targets of a message. Nearly every message has one, and then no memory of the heap is taken.
type Targets<'a> = SmallVec<[Target<'a>; 1]>;

/// The targets that do not know a message yet, with the message that it replaces there.
type Fresh<'a> = SmallVec<[(Target<'a>, Option<Replaced>); 1]>;

impl<'a> Batch<'a> {
    pub(crate) fn new(state: &'a State, ctx: &'a Context) -> Self {
        Self { state, ctx, added: Added::default() }
    }

    pub(crate) fn add(
        &mut self,
        index: u64,
        message: &NewMessage,
        effects: &mut Effects,
    ) -> Result<Enqueued, EnqueueRefusal> {
        check_shape(message)?;
        if message.queues.is_empty() || message.queues.len() > MAX_TARGETS {
            return Err(EnqueueRefusal::Malformed);
        }
        let targets = self.targets(message)?;
        self.place(new_message_id(self.ctx.seed, index), message, &targets, effects)
    }

    /// Puts a message into all of its targets, except those that know it already. The answer is
    /// about the first target.
    pub(crate) fn place(
        &mut self,
        message_id: MessageId,
        message: &NewMessage,
        targets: &[Target<'a>],
        effects: &mut Effects,
    ) -> Result<Enqueued, EnqueueRefusal> {
        self.place_at(message_id, message, targets, None, effects)
    }

    fn place_at(
        &mut self,
        message_id: MessageId,
        message: &NewMessage,
        targets: &[Target<'a>],
        reserved: Option<&ReservedMessage>,
        effects: &mut Effects,
    ) -> Result<Enqueued, EnqueueRefusal> {
        let first = targets.first().ok_or(EnqueueRefusal::Malformed)?.queue;
        let mut fresh = Fresh::new();
        let mut original = None;
        for target in targets {
            match self.claim(target, message) {
                Claim::Duplicate(found) => original = original.or(Some(found)),
                Claim::Fresh => fresh.push((*target, None)),
                Claim::Replaces(old) => fresh.push((*target, Some(old))),
            }
        }
        if let (true, Some(original)) = (fresh.is_empty(), original) {
            return Ok(original);
        }
        let bytes = message.content.len() as u64;
        self.make_all_room(&fresh, bytes, effects)?;
        let keys = (message.lane.as_deref(), message.dedup_id.as_deref());
        let place = effects
            .frame(|out| encode_frame(message_id, self.ctx.now_ms, keys, &message.content, out));
        let shares = fresh.len() as u32;
        let mut answer = None;
        for (target, replaces) in fresh {
            let queue = target.queue;
            let seq = reserved.map_or_else(|| self.added.sequences.next(queue), |r| r.seq);
            let replaced = replaces.map(|old| old.message_id);
            let enqueued = Enqueued { replaced, ..Enqueued::new(message_id, seq) };
            if queue.id() == first.id() {
                answer = Some(enqueued);
            }
            self.note(&target, message, enqueued, bytes);
            let window_ms = queue.info.config.dedup_window_ms;
            let ready_at_ms = match reserved {
                Some(r) => Some(r.ready_at_ms).filter(|at_ms| *at_ms > self.ctx.now_ms),
                None => self.ready_at_ms(queue, message),
            };
            effects.push(MessageFact::Enqueued(EnqueuedFact {
                queue: queue.id(),
                seq,
                at_ms: self.ctx.now_ms,
                ready_at_ms,
                expires_at_ms: message.expires_at_ms,
                priority: message.priority,
                lane: message.lane.clone(),
                dedup: target
                    .dedup_id(message)
                    .map(|id| (id.to_owned(), self.ctx.now_ms.saturating_add(window_ms))),
                message_id: message_id.0,
                frame: place,
                shares,
                via: target.via,
            }));
            note_guard_key(queue, seq, message, effects);
            if let Some(unique) = &message.unique {
                unique::take(queue, unique, enqueued, replaces, ready_at_ms, self.ctx, effects);
            }
        }
        Ok(answer.or(original).unwrap_or(Enqueued::new(message_id, 0)))
    }

    /// Returns the target queues, each once.
    fn targets(&self, message: &NewMessage) -> Result<Targets<'a>, EnqueueRefusal> {
        let mut targets = Targets::new();
        for id in &message.queues {
            let state: &'a State = self.state;
            let queue = state.queues.get(id).ok_or(EnqueueRefusal::QueueNotFound(*id))?;
            if queue.is_fifo() && message.lane.is_none() {
                return Err(EnqueueRefusal::LaneRequired(*id));
            }
            if !targets.iter().any(|target| target.queue.id() == *id) {
                targets.push(Target { queue, via: None, dedups: true });
            }
        }
        Ok(targets)
    }

    /// Returns the message that this one repeats within the window.
    fn original(&self, target: &Target<'_>, message: &NewMessage) -> Option<Enqueued> {
        let queue = target.queue;
        let key = queue.dedup_key(message.lane.as_deref(), target.dedup_id(message)?);
        let (message_id, seq) = match queue.dedup.get(&key, self.ctx.now_ms) {
            Some(original) => (original.message_id, original.seq),
            None => {
                let earlier = self.added.ids.get(&(queue.id(), key))?;
                (earlier.message_id, earlier.seq)
            }
        };
        Some(Enqueued::duplicate(message_id, seq, DuplicateOf::DedupId))
    }

    /// Looks a message up in the target's memory of ids and keys.
    fn claim(&self, target: &Target<'_>, message: &NewMessage) -> Claim {
        if let Some(original) = self.original(target, message) {
            return Claim::Duplicate(original);
        }
        let Some(unique) = &message.unique else { return Claim::Fresh };
        let id = target.queue.id();
        let earlier = self.added.unique.get(&(id, unique.key.clone()));
        let dropped = self.added.dropped.get(&id);
        unique::claim(target.queue, unique, earlier, dropped, self.ctx.now_ms)
    }

    fn note(&mut self, target: &Target<'_>, message: &NewMessage, enqueued: Enqueued, bytes: u64) {
        let queue = target.queue;
        if let Some(id) = target.dedup_id(message) {
            let key = queue.dedup_key(message.lane.as_deref(), id);
            self.added.ids.insert((queue.id(), key), enqueued);
        }
        if let Some(unique) = &message.unique {
            self.added.unique.insert((queue.id(), unique.key.clone()), enqueued);
        }
        if queue.info.config.max_messages.is_some() || queue.info.config.max_bytes.is_some() {
            let (messages, total) = self.added.sizes.entry(queue.id()).or_default();
            *messages += 1;
            *total += bytes;
        }
    }

    fn ready_at_ms(&self, queue: &Queue, message: &NewMessage) -> Option<UnixMs> {
        let delay_ms = message.delay_ms.unwrap_or(queue.info.config.delay_ms);
        (delay_ms > 0).then(|| self.ctx.now_ms.saturating_add(delay_ms))
    }

    /// Makes room in all targets, or in none; a message that is to be replaced counts as gone.
    fn make_all_room(
        &mut self,
        fresh: &[(Target<'a>, Option<Replaced>)],
        bytes: u64,
        effects: &mut Effects,
    ) -> Result<(), EnqueueRefusal> {
        let mut removed: Vec<(QueueId, Seq)> = Vec::new();
        let made = fresh.iter().try_for_each(|(target, old)| {
            let replaced = old.filter(|old| target.queue.messages.get(old.seq).is_some());
            self.make_room(target.queue, bytes, replaced.map(|old| old.seq), &mut removed)
        });
        if made.is_ok() {
            for (queue, seq) in removed {
                let (reason, seqs, at_ms) = (Removal::Dropped, vec![seq], Some(self.ctx.now_ms));
                effects.push(MessageFact::Removed { queue, reason, seqs, at_ms });
            }
            return Ok(());
        }
        for (queue, seq) in removed {
            self.added.dropped.entry(queue).or_default().remove(&seq);
        }
        made
    }

    /// Keeps a queue within its limits, by refusing or by dropping its oldest ready messages.
    /// `replaced` is removed in any case.
    fn make_room(
        &mut self,
        queue: &Queue,
        bytes: u64,
        replaced: Option<Seq>,
        removed: &mut Vec<(QueueId, Seq)>,
    ) -> Result<(), EnqueueRefusal> {
        if let Some(seq) = replaced {
            self.added.dropped.entry(queue.id()).or_default().insert(seq);
            removed.push((queue.id(), seq));
        }
        let config = &queue.info.config;
        let (most_messages, most_bytes) =
            (config.max_messages.unwrap_or(u64::MAX), config.max_bytes.unwrap_or(u64::MAX));
        if most_messages == u64::MAX && most_bytes == u64::MAX {
            return Ok(());
        }
        let (added_messages, added_bytes) =
            self.added.sizes.get(&queue.id()).copied().unwrap_or_default();
        let dropped = self.added.dropped.entry(queue.id()).or_default();
        let size_of = |seq: &Seq| queue.messages.get(*seq).map_or(0, |m| u64::from(m.frame.bytes));
        let mut freed: u64 = dropped.iter().map(size_of).sum();
        let mut heads = queue.lanes.all_picks().map(|(rank, _)| queue.seq_at(rank.order));
        loop {
            let messages = queue.len() + added_messages - dropped.len() as u64;
            let total = (queue.bytes + added_bytes).saturating_sub(freed);
            if messages < most_messages && total.saturating_add(bytes) <= most_bytes {
                return Ok(());
            }
            if config.overflow == Overflow::Refuse {
                return Err(EnqueueRefusal::QueueFull(queue.id()));
            }
            let Some(seq) = heads.find(|seq| !dropped.contains(seq)) else {
                return Err(EnqueueRefusal::QueueFull(queue.id()));
            };
            freed += size_of(&seq);
            dropped.insert(seq);
            removed.push((queue.id(), seq));
        }
    }
}

impl Target<'_> {
    fn dedup_id<'m>(&self, message: &'m NewMessage) -> Option<&'m str> {
        message.dedup_id.as_deref().filter(|_| self.dedups)
    }
}

/// Checks that a message is within the bounds that hold for all messages; its targets are counted
/// by the callers.
pub(crate) fn check_shape(message: &NewMessage) -> Result<(), EnqueueRefusal> {
    let key_ok = |key: &Option<String>| {
        key.as_ref().is_none_or(|key| !key.is_empty() && key.len() <= MAX_KEY_BYTES)
    };
    if !key_ok(&message.lane) || !key_ok(&message.dedup_id) {
        return Err(EnqueueRefusal::Malformed);
    }
    if message.unique.as_ref().is_some_and(|unique| !unique::is_well_formed(unique)) {
        return Err(EnqueueRefusal::Malformed);
    }
    if message.content.len() > MAX_CONTENT_BYTES {
        return Err(EnqueueRefusal::TooLarge);
    }
    Ok(())
}

/// A version 4 UUID (RFC 9562 section 5.4) from the command's random bits (splitmix64).
pub(crate) fn new_message_id(seed: u64, index: u64) -> MessageId {
    let mut state = seed.wrapping_add(index.wrapping_mul(0xd129_0bd5_8f3b_6a47));
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let bits = u128::from(next()) << 64 | u128::from(next());
    let version = bits & !(0xf << 76) | 0x4 << 76;
    MessageId(version & !(0x3 << 62) | 0x2 << 62)
}
