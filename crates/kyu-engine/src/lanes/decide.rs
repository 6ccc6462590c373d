//! Pausing and resuming a queue, or one of its lanes, for ever or for a time. Both are idempotent
//! and durable.

use kyu_model::limits::{MAX_KEY_BYTES, MAX_PAUSED_LANES};
use kyu_model::{Context, Refusal, SetPaused};

use crate::decision::{Decided, Wait};
use crate::effect::Effects;
use crate::queue::record::QueueFact;
use crate::queue::store::Queue;
use crate::state::State;

pub(crate) fn decide(
    state: &State,
    command: &SetPaused,
    ctx: &Context,
    effects: &mut Effects,
) -> Decided<SetPaused> {
    let queue = state.queue(command.queue)?;
    let (paused_lanes, paused) = (&queue.lanes.limits.paused, command.paused);
    let until_ms = command.until_ms.filter(|_| paused);
    let (was_paused, was_until_ms) = match command.lane.as_deref() {
        None => (*queue.paused, queue.pause_ends.queue),
        Some(lane) => (paused_lanes.contains(lane), queue.pause_ends.lanes.get(lane).copied()),
    };
    let changed = (was_paused, was_until_ms) != (paused, until_ms);
    if let (Some(lane), false, true) = (&command.lane, was_paused, paused) {
        if lane.is_empty() || lane.len() > MAX_KEY_BYTES {
            return Err(Refusal::LimitExceeded("bytes of a lane's key"));
        }
        if paused_lanes.len() >= MAX_PAUSED_LANES {
            return Err(Refusal::LimitExceeded("paused lanes"));
        }
    }
    if changed {
        let (queue, at_ms) = (command.queue, ctx.now_ms);
        effects.push(match command.lane.clone() {
            None => QueueFact::Paused { queue, at_ms, paused },
            Some(lane) => QueueFact::LanePaused { queue, at_ms, lane, paused },
        });
        if let Some(until_ms) = until_ms {
            let lane = command.lane.clone();
            effects.push(QueueFact::PauseEnds { queue, lane, until_ms });
        }
    }
    Ok((changed, Wait::Record))
}

/// Ends the pauses whose time is over.
pub(crate) fn end_due(queue: &Queue, ctx: &Context, effects: &mut Effects) {
    let (ends, id, at_ms) = (&queue.pause_ends, queue.id(), ctx.now_ms);
    if ends.queue.is_some_and(|until_ms| until_ms <= at_ms) {
        effects.push(QueueFact::Paused { queue: id, at_ms, paused: false });
    }
    for (lane, _) in ends.lanes.iter().filter(|(_, until_ms)| **until_ms <= at_ms) {
        let lane = lane.as_ref().to_owned();
        effects.push(QueueFact::LanePaused { queue: id, at_ms, lane, paused: false });
    }
}
