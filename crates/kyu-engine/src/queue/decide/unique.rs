//! Unique keys: their holders, and the consequences for a new message.

use std::collections::BTreeSet;

use kyu_model::limits::{MAX_KEY_BYTES, MAX_UNIQUE_MS};
use kyu_model::{
    Context, DuplicateOf, Enqueued, MessageId, Phase, Seq, Unique, UniquePolicy, UniqueScope,
    UnixMs,
};

use crate::effect::Effects;
use crate::queue::message_record::{MessageFact, Removal};
use crate::queue::store::Queue;
use crate::queue::unique::UniqueTaken;

/// The answer of a queue's memory of ids and keys for a new message.
pub(crate) enum Claim {
    Fresh,
    Duplicate(Enqueued),
    Replaces(Replaced),
}

/// A waiting message that a new one with its key replaces.
#[derive(Clone, Copy)]
pub(crate) struct Replaced {
    pub(crate) message_id: MessageId,
    pub(crate) seq: Seq,
    /// Its place in the ready order, if it has one in the state.
    order: Option<u64>,
}

pub(crate) fn is_well_formed(unique: &Unique) -> bool {
    let time_ms = match unique.scope {
        UniqueScope::UntilDone => 0,
        UniqueScope::For(time_ms) | UniqueScope::UntilDoneAndFor(time_ms) => time_ms,
    };
    (1..=MAX_KEY_BYTES).contains(&unique.key.len()) && time_ms <= MAX_UNIQUE_MS
}

/// Looks up the unique key of a new message. `earlier` is a message of the same command with the
/// key, `dropped` the messages that the command removes.
pub(crate) fn claim(
    queue: &Queue,
    unique: &Unique,
    earlier: Option<&Enqueued>,
    dropped: Option<&BTreeSet<Seq>>,
    now_ms: UnixMs,
) -> Claim {
    let replaces = unique.policy == UniquePolicy::Replace;
    if let Some(Enqueued { message_id, seq, .. }) = earlier.copied() {
        return if replaces {
            Claim::Replaces(Replaced { message_id, seq, order: None })
        } else {
            Claim::Duplicate(Enqueued::duplicate(message_id, seq, DuplicateOf::UniqueWaiting))
        };
    }
    let Some(holder) = queue.unique.get(&unique.key) else { return Claim::Fresh };
    let there = |seq: &Seq| !dropped.is_some_and(|dropped| dropped.contains(seq));
    let message = queue.messages.get(holder.seq).filter(|_| there(&holder.seq));
    if !(crate::queue::unique::Holder { there: message.is_some(), ..holder }).holds(now_ms) {
        return Claim::Fresh;
    }
    let (message_id, seq) = (holder.message_id, holder.seq);
    let of = match message {
        None => DuplicateOf::UniqueDone,
        Some(message) if message.phase.in_flight() => DuplicateOf::UniqueInFlight,
        Some(message) if replaces => {
            let order = (message.phase == Phase::Ready).then_some(message.order);
            return Claim::Replaces(Replaced { message_id, seq, order });
        }
        Some(_) => DuplicateOf::UniqueWaiting,
    };
    Claim::Duplicate(Enqueued::duplicate(message_id, seq, of))
}

/// The message that has just been enqueued takes its key, and the place of the one before.
pub(crate) fn take(
    queue: &Queue,
    unique: &Unique,
    enqueued: Enqueued,
    replaces: Option<Replaced>,
    ready_at_ms: Option<UnixMs>,
    ctx: &Context,
    effects: &mut Effects,
) {
    let (id, seq) = (queue.id(), enqueued.seq);
    // One that is in the state has made room before.
    if let Some(old) = replaces.filter(|old| queue.messages.get(old.seq).is_none()) {
        let (queue, reason, at_ms) = (id, Removal::Dropped, Some(ctx.now_ms));
        effects.push(MessageFact::Removed { queue, reason, seqs: vec![old.seq], at_ms });
    }
    let (until_done, time_ms) = match unique.scope {
        UniqueScope::UntilDone => (true, None),
        UniqueScope::For(time_ms) => (false, Some(time_ms)),
        UniqueScope::UntilDoneAndFor(time_ms) => (true, Some(time_ms)),
    };
    effects.push(MessageFact::UniqueTaken(Box::new(UniqueTaken {
        queue: id,
        seq,
        message_id: enqueued.message_id.0,
        key: unique.key.clone(),
        until_done,
        until_ms: time_ms.map(|time_ms| ctx.now_ms.saturating_add(time_ms)),
    })));
    if let (Some(order), None) = (replaces.and_then(|old| old.order), ready_at_ms) {
        let (order, counted) = (Some(order), true);
        effects.push(MessageFact::Released { queue: id, seq, ready_at_ms: None, order, counted });
    }
}
