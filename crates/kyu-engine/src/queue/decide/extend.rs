//! Extend: move the deadline of leases, or give messages back at once.
//!
//! A standard queue obeys the latest receipt of the message: a lease that has lapsed runs again. A
//! FIFO queue obeys only the receipt whose lease runs, because its lane has moved on. Where the
//! queue's fencing says so, an earlier receipt moves the deadline of the lease that runs now, as in
//! SQS (recorded); but none gives back what somebody else has.

use kyu_model::limits::{MAX_BATCH, MAX_LEASE_MS};
use kyu_model::{AttemptEnd, Context, Extend, Extended, Phase, Receipt, Refusal};

use crate::decision::{Decided, Wait};
use crate::effect::Effects;
use crate::queue::decide::conclude::is_claimed;
use crate::queue::decide::sequences::Sequences;
use crate::queue::message::Standing;
use crate::queue::message_record::MessageFact;
use crate::retries::decide::retry::{Failure, RunningAttempts};
use crate::state::State;

pub(crate) fn decide(
    state: &State,
    command: &Extend,
    ctx: &Context,
    effects: &mut Effects,
) -> Decided<Extend> {
    let queue = state.queue(command.queue)?;
    if command.items.len() > MAX_BATCH {
        return Err(Refusal::LimitExceeded("items of one extend"));
    }
    let mut sequences = Sequences::default();
    let mut attempts = RunningAttempts::new(state, queue, ctx);
    let results = command
        .items
        .iter()
        .map(|(receipt, run_ms)| one(&mut attempts, receipt, *run_ms, &mut sequences, effects));
    let results = results.collect();
    attempts.guards.finish(effects);
    Ok((results, Wait::Record))
}

fn one(
    attempts: &mut RunningAttempts<'_>,
    receipt: &Receipt,
    run_ms: u64,
    sequences: &mut Sequences,
    effects: &mut Effects,
) -> Extended {
    let (queue, ctx) = (attempts.queue, attempts.ctx);
    if receipt.queue != queue.id() || receipt.seq >= *queue.next_seq {
        return Extended::Foreign;
    }
    let Some(message) = queue.messages.get(receipt.seq) else { return Extended::Gone };
    let running = message.phase.in_flight();
    let fenced = queue.info.config.fencing.refuse_stale_extends;
    let obeys = match message.phase {
        // A transaction has it.
        _ if is_claimed(queue, receipt.seq, &message) => false,
        // Nobody gives back what somebody else has.
        _ if (fenced || run_ms == 0) && message.standing(receipt) == Standing::Stale => false,
        _ if queue.is_fifo() => message.is_held_by(receipt),
        Phase::Held(_) => message.is_held_by(receipt),
        Phase::Leased(_) => true,
        // What was given back uncounted is over: a second return would take back another attempt.
        Phase::Ready | Phase::Backoff(_) | Phase::Parked => {
            // A lapsed lease that ran again could be one more than the lane may have.
            let may_run_again = queue.lanes.limits.max_in_flight == u32::MAX;
            may_run_again && message.history.deliveries > 0 && !message.history.given_back
        }
        Phase::Delayed(_) | Phase::Archived(_) | Phase::Dead(_) => false,
    };
    if !obeys {
        return Extended::NotInFlight;
    }
    if run_ms == 0 && !running {
        return Extended::Done; // it is visible already
    }
    if run_ms == 0 {
        // The SQS way to say that it failed.
        let (end, error) = (AttemptEnd::Failed, None);
        let failure = Failure { end, error, delay_ms: None, to_tail: false };
        attempts.failed(receipt.seq, &message, &failure, sequences, effects);
        return Extended::Done;
    }
    let until_ms = ctx.now_ms.saturating_add(run_ms);
    if until_ms > message.history.last_received_at_ms.saturating_add(MAX_LEASE_MS) {
        return Extended::TooLong;
    }
    // A session's lease has no deadline that could move.
    if !matches!(message.phase, Phase::Held(_)) {
        effects.push(MessageFact::Extended { queue: queue.id(), seq: receipt.seq, until_ms });
    }
    Extended::Done
}
