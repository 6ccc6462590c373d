//! Extend: move the deadline of leases, or give messages back at once.
//!
//! A standard queue obeys any receipt of the message, as SQS does (recorded): a lease that has
//! lapsed runs again, and an earlier receipt moves the deadline of the lease that runs now. A FIFO
//! queue obeys only the receipt whose lease runs, because its lane has moved on.

use crate::command::{Context, Extend};
use crate::decide::conclude::is_claimed;
use crate::decide::{Decided, Sequences, Wait, back_in_order};
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
    let mut sequences = Sequences::default();
    let results = command
        .items
        .iter()
        .map(|(receipt, run_ms)| one(queue, receipt, *run_ms, ctx, &mut sequences, effects));
    Ok((Reply::Extended(results.collect()), Wait::Record))
}

fn one(
    queue: &Queue,
    receipt: &Receipt,
    run_ms: u64,
    ctx: &Context,
    sequences: &mut Sequences,
    effects: &mut Effects,
) -> Extended {
    if receipt.queue != queue.id() || receipt.seq >= queue.next_seq {
        return Extended::Foreign;
    }
    let Some(message) = queue.messages.get(receipt.seq) else { return Extended::Gone };
    let running = message.phase.in_flight();
    let obeys = match message.phase {
        // A transaction has it.
        _ if is_claimed(queue, receipt.seq, &message) => false,
        _ if queue.is_fifo() => message.is_held_by(receipt),
        Phase::Held(_) => message.is_held_by(receipt),
        Phase::Leased(_) => true,
        // What was given back uncounted is over: a second return would take back another attempt.
        Phase::Ready => message.history.deliveries > 0 && !message.history.given_back,
        Phase::Delayed(_) | Phase::Archived(_) => false,
    };
    if !obeys {
        return Extended::NotInFlight;
    }
    if run_ms == 0 && !running {
        return Extended::Done; // it is visible already
    }
    if run_ms == 0 {
        effects.push(back_in_order(queue, receipt.seq, message.history.receives, sequences));
        return Extended::Done;
    }
    let until_ms = ctx.now_ms.saturating_add(run_ms);
    if until_ms > message.history.last_received_at_ms.saturating_add(MAX_LEASE_MS) {
        return Extended::TooLong;
    }
    // A session's lease has no deadline that could move.
    if !matches!(message.phase, Phase::Held(_)) {
        effects.push(Effect::Extended { queue: queue.id(), seq: receipt.seq, until_ms });
    }
    Extended::Done
}
