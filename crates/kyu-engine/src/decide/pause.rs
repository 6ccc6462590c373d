//! Pausing and resuming a queue, or one of its lanes. Idempotent, and durable.

use crate::command::{Context, SetPaused};
use crate::decide::{Decided, Wait};
use crate::effect::{Effect, Effects};
use crate::limits::{MAX_KEY_BYTES, MAX_PAUSED_LANES};
use crate::reply::{Refusal, Reply};
use crate::state::State;

pub(super) fn decide(
    state: &State,
    command: &SetPaused,
    ctx: &Context,
    effects: &mut Effects,
) -> Decided {
    let queue = state.queue(command.queue)?;
    let (paused_lanes, paused) = (&queue.lanes.limits.paused, command.paused);
    let changed = match command.lane.as_deref() {
        None => queue.paused != paused,
        Some(lane) => paused_lanes.contains(lane) != paused,
    };
    if let (Some(lane), true, true) = (&command.lane, changed, paused) {
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
            None => Effect::QueuePaused { queue, at_ms, paused },
            Some(lane) => Effect::LanePaused { queue, at_ms, lane, paused },
        });
    }
    Ok((Reply::PausedSet { changed }, Wait::Record))
}
