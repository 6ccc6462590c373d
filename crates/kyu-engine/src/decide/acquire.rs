//! Acquire: lease the next ready messages; dead-letter those that were received too often.

use std::sync::Arc;

use crate::command::{Acquire, Context, Lease, Order};
use crate::decide::{Decided, Sequences, Wait, back_in_order, dead_letter, dead_letter_target};
use crate::effect::{Effect, Effects, LeaseEnd, MoveReason};
use crate::ids::{QueueId, Receipt, Seq, UnixMs};
use crate::limits::{MAX_ACQUIRE, MAX_LEASE_MS, MAX_TICK_MESSAGES};
use crate::message::{Message, Phase};
use crate::queue::Queue;
use crate::reply::{Answer, Delivery, Refusal, Reply};
use crate::state::State;

pub(super) fn decide(
    state: &mut State,
    command: &Acquire,
    ctx: &Context,
    effects: &mut Effects,
) -> Decided {
    if command.order != Order::OfQueue
        && let Some(queue) = state.queues.get_mut(&command.queue)
    {
        queue.track_heads();
    }
    let state = &*state;
    let queue = state.queue(command.queue)?;
    if command.max_messages == 0 || command.max_messages > MAX_ACQUIRE {
        return Err(Refusal::LimitExceeded("messages of one acquire"));
    }
    let end = lease_end(queue, command.lease, ctx.now_ms);
    let attempt_id = command.attempt_id.as_deref().filter(|_| queue.is_fifo());
    if let Some(replayed) = attempt_id.and_then(|id| replay(queue, id, end, ctx, effects)) {
        return Ok((Reply::Acquired(replayed), Wait::Record));
    }
    let room = u64::from(queue.info.config.max_in_flight).saturating_sub(queue.stats().in_flight);
    if room == 0 {
        // SQS: a standard queue answers OverLimit, a FIFO queue answers nothing.
        return if queue.is_fifo() {
            Ok((Reply::Acquired(Vec::new()), Wait::Until(0)))
        } else {
            Err(Refusal::TooManyInFlight)
        };
    }
    let most = u64::from(command.max_messages).min(room) as usize;
    let mut sequences = Sequences::default();
    let picked = pick(state, queue, most, command, ctx, &mut sequences, effects);
    let mut wait_until = if picked.is_empty() { 0 } else { queue.moved_in_by };
    let mut deliveries = Vec::with_capacity(picked.len());
    for (seq, message) in &picked {
        wait_until = wait_until.max(message.frame.at + u64::from(message.frame.bytes));
        deliveries.push(next_delivery(queue.id(), *seq, message, ctx));
    }
    if !picked.is_empty() {
        effects.push(Effect::Leased {
            queue: queue.id(),
            at_ms: ctx.now_ms,
            epoch: ctx.epoch,
            end,
            attempt: attempt_id.map(str::to_owned),
            seqs: picked.iter().map(|(seq, _)| *seq).collect(),
        });
        if end == LeaseEnd::At(ctx.now_ms) {
            // A visibility timeout of 0: received, and visible again in the same moment.
            for (seq, message) in &picked {
                let receives = message.history.receives + 1;
                effects.push(back_in_order(queue, *seq, receives, &mut sequences));
            }
        }
    }
    let exact = queue.is_fifo() || queue.info.config.dead_letter.is_some();
    let wait = if exact && !effects.is_empty() { Wait::Record } else { Wait::Until(wait_until) };
    Ok((Reply::Acquired(deliveries), wait))
}

fn lease_end(queue: &Queue, lease: Lease, now_ms: UnixMs) -> LeaseEnd {
    match lease {
        Lease::QueueDefault => LeaseEnd::At(now_ms + queue.info.config.visibility_timeout_ms),
        Lease::For(lease_ms) => LeaseEnd::At(now_ms + lease_ms.min(MAX_LEASE_MS)),
        Lease::Session(session) => LeaseEnd::Session(session),
    }
}

/// The messages to lease, in order of service.
fn pick(
    state: &State,
    queue: &Queue,
    most: usize,
    command: &Acquire,
    ctx: &Context,
    sequences: &mut Sequences,
    effects: &mut Effects,
) -> Vec<(Seq, Message)> {
    let max_receives = dead_letter_target(state, queue)
        .and(queue.info.config.dead_letter.as_ref())
        .map_or(u32::MAX, |rule| rule.max_receives);
    let mut picked: Vec<(Seq, Message)> = Vec::with_capacity(most.min(16));
    let mut bytes = 0u64;
    let mut passed_over = 0;
    let mut picks = queue.lanes.picks(command.order);
    while picked.len() < most && passed_over < MAX_TICK_MESSAGES {
        let Some((rank, lane)) = picks.next() else { break };
        let seq = queue.seq_at(rank.order);
        let Some(message) = queue.messages.get(seq) else { continue };
        if is_expired(queue, &message, ctx.now_ms) {
            passed_over += 1; // the next tick removes it
            continue;
        }
        if message.history.receives >= max_receives {
            dead_letter(state, queue, seq, MoveReason::MaxReceives, ctx, sequences, effects);
            passed_over += 1;
            continue;
        }
        bytes += u64::from(message.frame.bytes);
        if !picked.is_empty() && bytes > command.max_bytes {
            break;
        }
        picks.took(lane);
        picked.push((seq, message));
    }
    picked
}

fn is_expired(queue: &Queue, message: &Message, now_ms: UnixMs) -> bool {
    let retained_until = message.enqueued_at_ms.saturating_add(queue.info.config.retention_ms);
    retained_until <= now_ms || message.expires_at_ms.is_some_and(|at| at <= now_ms)
}

/// The delivery that leasing this message makes.
fn next_delivery(queue: QueueId, seq: Seq, message: &Message, ctx: &Context) -> Delivery {
    let history = &message.history;
    let first = history.first_received_at_ms;
    Delivery {
        receipt: Receipt { queue, seq, delivery: history.deliveries + 1, epoch: ctx.epoch },
        frame_at: message.frame.at,
        frame_bytes: message.frame.bytes,
        receive_count: history.receives + 1,
        first_received_at_ms: if first == 0 { ctx.now_ms } else { first },
        dead_letter_source: message.source.clone(),
        via: message.via,
        dead_reason: None,
        past_attempts: Vec::new(),
    }
}

/// The messages of an earlier attempt again, with the same receipts, unless one of them was
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
        deliveries.push(Delivery {
            receipt: *receipt,
            frame_at: message.frame.at,
            frame_bytes: message.frame.bytes,
            receive_count: message.history.receives,
            first_received_at_ms: message.history.first_received_at_ms,
            dead_letter_source: message.source.clone(),
            via: message.via,
            dead_reason: None,
            past_attempts: Vec::new(),
        });
    }
    if let LeaseEnd::At(until_ms) = end {
        let attempt = attempt_id.to_owned();
        effects.push(Effect::AttemptRepeated { queue: queue.id(), attempt, until_ms });
    }
    Some(deliveries)
}

/// What an acquire would return first; leases nothing.
pub(crate) fn peek(queue: &Queue, max_messages: u32) -> Answer {
    let most = max_messages.min(MAX_ACQUIRE) as usize;
    let deliveries = queue.lanes.picks(Order::OfQueue).take(most).filter_map(|(rank, _)| {
        let seq = queue.seq_at(rank.order);
        let message = queue.messages.get(seq)?;
        Some(Delivery {
            receipt: Receipt {
                queue: queue.id(),
                seq,
                delivery: message.history.deliveries,
                epoch: message.history.epoch,
            },
            frame_at: message.frame.at,
            frame_bytes: message.frame.bytes,
            receive_count: message.history.receives,
            first_received_at_ms: message.history.first_received_at_ms,
            dead_letter_source: message.source.as_ref().map(Arc::clone),
            via: message.via,
            dead_reason: None,
            past_attempts: Vec::new(),
        })
    });
    Answer::Peeked(deliveries.collect())
}
