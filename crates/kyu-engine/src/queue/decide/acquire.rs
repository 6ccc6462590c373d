//! Acquire: lease the next ready messages; dead-letter those that were received too often.

use kyu_model::limits::{MAX_ACQUIRE, MAX_TICK_MESSAGES};
use kyu_model::{
    Acquire, Answer, Context, DeadReason, Delivery, Lease, Order, Phase, Refusal, Seq,
};

use crate::decision::{Decided, Wait};
use crate::effect::Effects;
use crate::queue::decide::lease::{hand_out, lease_end, phase_under};
use crate::queue::decide::sequences::{Sequences, bury};
use crate::queue::delivery::last_delivery;
use crate::queue::message::Message;
use crate::queue::message_record::{LeaseEnd, MessageFact};
use crate::queue::store::Queue;
use crate::retries::decide::guards::Guards;
use crate::retries::decide::retry::note_consumer;
use crate::state::State;

pub(crate) fn decide(
    state: &mut State,
    command: &Acquire,
    ctx: &Context,
    effects: &mut Effects,
) -> Decided<Acquire> {
    if command.order != Order::OfQueue
        && let Some(queue) = state.queues.get_mut(&command.queue)
    {
        queue.track_heads();
    }
    state.refresh_lanes(command.queue, ctx.now_ms);
    let state = &*state;
    let queue = state.queue(command.queue)?;
    if command.max_messages == 0 || command.max_messages > MAX_ACQUIRE {
        return Err(Refusal::LimitExceeded("messages of one acquire"));
    }
    if *queue.paused {
        return Ok((Vec::new(), Wait::Until(0)));
    }
    let end = lease_end(queue, command.lease, ctx.now_ms);
    let attempt_id = command.attempt_id.as_deref().filter(|_| queue.is_fifo());
    if let Some(replayed) = attempt_id.and_then(|id| replay(queue, id, end, ctx, effects)) {
        return Ok((replayed, Wait::Record));
    }
    let room = u64::from(queue.info.config.max_in_flight).saturating_sub(queue.in_flight());
    if room == 0 {
        // SQS: a standard queue answers OverLimit, a FIFO queue answers nothing.
        return if queue.is_fifo() {
            Ok((Vec::new(), Wait::Until(0)))
        } else {
            Err(Refusal::TooManyInFlight)
        };
    }
    let tokens = queue.lanes.limits.queue_tokens(ctx.now_ms);
    let most = u64::from(command.max_messages).min(room).min(tokens) as usize;
    let mut sequences = Sequences::default();
    let mut guards = Guards::new(queue, ctx.now_ms);
    let (sequences, guard) = (&mut sequences, &mut guards);
    let picked = pick(state, queue, most, command, ctx, (sequences, guard), effects);
    let mut wait_until = if picked.is_empty() { 0 } else { queue.moved_in_by };
    for (_, message) in &picked {
        wait_until = wait_until.max(message.frame.at + u64::from(message.frame.bytes));
    }
    let lease = command.lease;
    let mut deliveries = hand_out(queue, &picked, lease, attempt_id, ctx, sequences, effects);
    if command.with_history {
        for (delivery, (_, message)) in deliveries.iter_mut().zip(&picked) {
            delivery.past_attempts = message.past_attempts();
        }
    }
    note_consumer(queue, command, &picked, end, ctx, effects);
    guards.finish(effects);
    // A limit that the server could forget in a crash would not be a limit.
    let (limits, config) = (&queue.lanes.limits, &queue.info.config);
    let limited = limits.is_metered() || limits.max_in_flight < u32::MAX;
    let exact = queue.is_fifo()
        || limited
        || config.dead_letter.is_some()
        || config.retry.is_some()
        || lease == Lease::Take;
    let wait = if exact && !effects.is_empty() { Wait::Record } else { Wait::Until(wait_until) };
    Ok((deliveries, wait))
}

/// Picks the messages to lease, in order of service.
pub(crate) fn pick(
    state: &State,
    queue: &Queue,
    most: usize,
    command: &Acquire,
    ctx: &Context,
    (sequences, guards): (&mut Sequences, &mut Guards<'_>),
    effects: &mut Effects,
) -> Vec<(Seq, Message)> {
    let max_receives = state.max_receives(queue);
    let mut picked: Vec<(Seq, Message)> = Vec::with_capacity(most.min(16));
    let mut bytes = 0u64;
    let mut passed_over = 0;
    if queue.shut {
        return picked;
    }
    let mut picks = queue.lanes.picks(command.order, ctx.now_ms);
    while picked.len() < most && passed_over < MAX_TICK_MESSAGES {
        let Some((rank, lane)) = picks.next() else { break };
        let seq = queue.seq_at(rank.order);
        let Some(message) = queue.messages.get(seq) else { continue };
        if queue.is_over(&message, ctx.now_ms) {
            passed_over += 1; // the next tick removes it
            continue;
        }
        if message.history.receives >= max_receives {
            bury(state, queue, seq, DeadReason::MaxReceives, ctx, sequences, effects);
            passed_over += 1;
            continue;
        }
        bytes += u64::from(message.frame.bytes);
        if !picked.is_empty() && bytes > command.max_bytes {
            break;
        }
        let attempt = !matches!(command.lease, Lease::Claim(_) | Lease::Take);
        if !guards.begin(seq, &message, attempt) {
            let aside = guards.put_aside(seq, &message, effects);
            if !aside || queue.is_fifo() || command.order != Order::OfQueue {
                // It stops the whole lane, so no order within lanes is broken.
                picks.stop(lane);
            }
            bytes -= u64::from(message.frame.bytes);
            passed_over += 1;
            continue;
        }
        picks.took(lane);
        picked.push((seq, message));
    }
    picked
}

/// Returns the messages of an earlier attempt again, with the same receipts, unless one of them was
/// settled or its visibility changed since (SQS API reference, ReceiveRequestAttemptId).
fn replay(
    queue: &Queue,
    attempt_id: &str,
    end: LeaseEnd,
    ctx: &Context,
    effects: &mut Effects,
) -> Option<Vec<Delivery>> {
    let attempt = queue.attempts.get(attempt_id, ctx.now_ms)?;
    let mut deliveries = Vec::with_capacity(attempt.receipts.len());
    for receipt in &attempt.receipts {
        let message = queue.messages.get(receipt.seq).filter(|m| m.is_held_by(receipt))?;
        if message.phase != Phase::Leased(attempt.leased_until_ms) {
            return None; // its visibility was changed
        }
        let phase = phase_under(end, ctx.now_ms);
        let delivery = last_delivery(queue.id(), receipt.seq, &message);
        deliveries.push(Delivery { receipt: *receipt, phase, ..delivery });
    }
    if let LeaseEnd::At(until_ms) = end {
        let attempt = attempt_id.to_owned();
        effects.push(MessageFact::AttemptRepeated { queue: queue.id(), attempt, until_ms });
    }
    Some(deliveries)
}

/// Returns the messages that an acquire would return first if nothing were paused or limited;
/// leases nothing.
pub(crate) fn peek(queue: &Queue, max_messages: u32) -> Answer {
    let most = max_messages.min(MAX_ACQUIRE) as usize;
    let deliveries = queue.lanes.all_picks().take(most).filter_map(|(rank, _)| {
        let seq = queue.seq_at(rank.order);
        let message = queue.messages.get(seq)?;
        let past_attempts = message.past_attempts();
        Some(Delivery { past_attempts, ..last_delivery(queue.id(), seq, &message) })
    });
    Answer::Peeked(deliveries.collect())
}
