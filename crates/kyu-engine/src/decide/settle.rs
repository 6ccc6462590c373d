//! Settle: acknowledge, give back, or dead-letter deliveries.

use crate::command::{Context, Outcome, Settle};
use crate::decide::conclude::{is_claimed, unclaim};
use crate::decide::{Decided, Sequences, Wait, dead_letter};
use crate::effect::{Effect, Effects, MoveReason, Removal};
use crate::ids::{Receipt, Seq};
use crate::limits::MAX_BATCH;
use crate::message::{Message, Standing};
use crate::queue::Queue;
use crate::reply::{Refusal, Reply, Settled};
use crate::state::State;

pub(super) fn decide(
    state: &State,
    command: &Settle,
    ctx: &Context,
    effects: &mut Effects,
) -> Decided {
    let queue = state.queue(command.queue)?;
    if command.items.len() > MAX_BATCH {
        return Err(Refusal::LimitExceeded("items of one settle"));
    }
    let mut sequences = Sequences::default();
    let mut acked: Vec<Seq> = Vec::with_capacity(command.items.len());
    let results = command.items.iter().map(|(receipt, outcome)| {
        let message = match find(queue, receipt) {
            Ok(message) => message,
            Err(settled) => return settled,
        };
        match outcome {
            Outcome::Ack => acked.push(receipt.seq),
            _ if !message.phase.in_flight() => return Settled::Lapsed,
            Outcome::Release { .. } if is_claimed(queue, receipt.seq, &message) => {
                effects.push(unclaim(queue.id(), receipt.seq));
            }
            Outcome::Release { to_tail, delay_ms, counted } => effects.push(Effect::Released {
                queue: queue.id(),
                seq: receipt.seq,
                ready_at_ms: (*delay_ms > 0).then(|| ctx.now_ms.saturating_add(*delay_ms)),
                order: to_tail.then(|| sequences.next(queue)),
                counted: *counted,
            }),
            Outcome::Failed { delay_ms, retry: true, .. } => effects.push(Effect::Released {
                queue: queue.id(),
                seq: receipt.seq,
                ready_at_ms: delay_ms.map(|delay_ms| ctx.now_ms.saturating_add(delay_ms)),
                order: None,
                counted: true,
            }),
            Outcome::Dead | Outcome::Failed { .. } => {
                let reason = MoveReason::Rejected;
                dead_letter(state, queue, receipt.seq, reason, ctx, &mut sequences, effects);
            }
        }
        Settled::Done
    });
    let results = results.collect();
    if !acked.is_empty() {
        effects.push(Effect::Removed { queue: queue.id(), reason: Removal::Acked, seqs: acked });
    }
    Ok((Reply::Settled(results), Wait::Record))
}

/// The message that a receipt may decide about.
fn find(queue: &Queue, receipt: &Receipt) -> Result<Message, Settled> {
    if receipt.queue != queue.id() || receipt.seq >= queue.next_seq {
        return Err(Settled::Foreign);
    }
    let message = queue.messages.get(receipt.seq).ok_or(Settled::Gone)?;
    if message.standing(receipt) == Standing::Stale {
        return Err(Settled::Stale);
    }
    // A standard queue accepts a late acknowledgement as long as nobody else was given the
    // message; a FIFO queue does not, because its lane has moved on.
    if queue.is_fifo() && !message.is_held_by(receipt) {
        return Err(Settled::Lapsed);
    }
    Ok(message)
}
