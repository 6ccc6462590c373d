//! Extend: move the deadline of running leases, or give messages back at once.

use crate::command::{Context, Extend};
use crate::decide::{Decided, Wait};
use crate::effect::{Effect, Effects};
use crate::ids::Receipt;
use crate::limits::{MAX_BATCH, MAX_LEASE_MS};
use crate::message::Phase;
use crate::queue::Queue;
use crate::reply::{Extended, Refusal, Reply};
use crate::state::State;

pub(super) fn decide(
    state: &State,
    command: &Extend,
    ctx: &Context,
    effects: &mut Effects,
) -> Decided {
    let queue = state.queue(command.queue)?;
    if command.items.len() > MAX_BATCH {
        return Err(Refusal::LimitExceeded("items of one extend"));
    }
    let results =
        command.items.iter().map(|(receipt, run_ms)| one(queue, receipt, *run_ms, ctx, effects));
    Ok((Reply::Extended(results.collect()), Wait::Record))
}

fn one(
    queue: &Queue,
    receipt: &Receipt,
    run_ms: u64,
    ctx: &Context,
    effects: &mut Effects,
) -> Extended {
    if receipt.queue != queue.id() || receipt.seq >= queue.next_seq {
        return Extended::Foreign;
    }
    let Some(message) = queue.messages.get(receipt.seq) else { return Extended::Gone };
    if !message.is_held_by(receipt) {
        return Extended::NotInFlight;
    }
    let (queue, seq) = (queue.id(), receipt.seq);
    if run_ms == 0 {
        let (ready_at_ms, order, counted) = (None, None, true);
        effects.push(Effect::Released { queue, seq, ready_at_ms, order, counted });
        return Extended::Done;
    }
    let until_ms = ctx.now_ms.saturating_add(run_ms);
    if until_ms > message.history.last_received_at_ms.saturating_add(MAX_LEASE_MS) {
        return Extended::TooLong;
    }
    // A session's lease has no deadline that could move.
    if let Phase::Leased(_) = message.phase {
        effects.push(Effect::Extended { queue, seq, until_ms });
    }
    Extended::Done
}
