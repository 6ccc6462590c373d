//! Settle: acknowledge, give back, or dead-letter deliveries.

use kyu_model::limits::MAX_BATCH;
use kyu_model::{AttemptEnd, Context, Outcome, Receipt, Refusal, Seq, Settle, Settled};

use crate::decision::{Decided, Wait};
use crate::effect::Effects;
use crate::queue::decide::conclude::{is_claimed, unclaim};
use crate::queue::decide::sequences::Sequences;
use crate::queue::message::{Message, Standing};
use crate::queue::message_record::{MessageFact, Removal};
use crate::queue::store::Queue;
use crate::retries::decide::retry::{Failure, RunningAttempts};
use crate::retries::record::{RetryFact, StaleAck};
use crate::state::State;

pub(crate) fn decide(
    state: &State,
    command: &Settle,
    ctx: &Context,
    effects: &mut Effects,
) -> Decided<Settle> {
    let queue = state.queue(command.queue)?;
    if command.items.len() > MAX_BATCH {
        return Err(Refusal::LimitExceeded("items of one settle"));
    }
    let mut sequences = Sequences::default();
    let mut attempts = RunningAttempts::new(state, queue, ctx);
    let mut acked: Vec<Seq> = Vec::with_capacity(command.items.len());
    let results = command.items.iter().map(|(receipt, outcome)| {
        let message = match find(queue, receipt) {
            Ok(message) => message,
            Err(settled) if *outcome == Outcome::Ack => {
                return stale_ack(queue, receipt, settled, effects);
            }
            Err(settled) => return settled,
        };
        if *outcome == Outcome::Ack {
            acked.push(receipt.seq);
            attempts.succeeded(receipt.seq, &message, effects);
            return Settled::Done;
        }
        if !message.phase.in_flight() {
            return Settled::Lapsed;
        }
        unsuccessful(&mut attempts, receipt.seq, &message, outcome, &mut sequences, effects);
        Settled::Done
    });
    let results = results.collect();
    if !acked.is_empty() {
        let (queue, reason) = (queue.id(), Removal::Acked);
        effects.push(MessageFact::Removed { queue, reason, seqs: acked, at_ms: None });
    }
    attempts.guards.finish(effects);
    Ok((results, Wait::Record))
}

fn unsuccessful(
    attempts: &mut RunningAttempts<'_>,
    seq: Seq,
    message: &Message,
    outcome: &Outcome,
    sequences: &mut Sequences,
    effects: &mut Effects,
) {
    let retried = !matches!(outcome, Outcome::Dead | Outcome::Failed { retry: false, .. });
    if retried && is_claimed(attempts.queue, seq, message) {
        return unclaim(attempts.queue, vec![seq], attempts.ctx, effects);
    }
    match outcome {
        Outcome::Ack => {}
        Outcome::Release { to_tail, delay_ms, counted: true } => {
            let delay_ms = (*delay_ms > 0).then_some(*delay_ms);
            let (end, error) = (AttemptEnd::Failed, None);
            let failure = Failure { end, error, delay_ms, to_tail: *to_tail };
            // Without a policy the consumer alone says where the message goes.
            if attempts.queue.retries() {
                return attempts.failed(seq, message, &failure, sequences, effects);
            }
            attempts.remember(seq, end, None, effects);
            effects.push(MessageFact::Released {
                queue: attempts.queue.id(),
                seq,
                ready_at_ms: delay_ms.map(|delay_ms| attempts.ctx.now_ms.saturating_add(delay_ms)),
                order: to_tail.then(|| sequences.next(attempts.queue)),
                counted: true,
            });
            if delay_ms.is_none() {
                attempts.queue.note_receivable(&[seq], attempts.ctx.now_ms, effects);
            }
        }
        Outcome::Release { to_tail, delay_ms, counted: false } => {
            let ready_at_ms =
                (*delay_ms > 0).then(|| attempts.ctx.now_ms.saturating_add(*delay_ms));
            let place = (ready_at_ms, to_tail.then(|| sequences.next(attempts.queue)));
            attempts.given_back(seq, message, AttemptEnd::GivenBack, place, effects);
        }
        Outcome::Failed { error, delay_ms, retry: true } => {
            let (end, error) = (AttemptEnd::Failed, Some(error.as_str()));
            let failure = Failure { end, error, delay_ms: *delay_ms, to_tail: false };
            attempts.failed(seq, message, &failure, sequences, effects);
        }
        Outcome::Failed { error, retry: false, .. } => {
            attempts.rejected(seq, message, Some(error), sequences, effects);
        }
        Outcome::Dead => attempts.rejected(seq, message, None, sequences, effects),
    }
}

/// Returns the message that a receipt may decide about.
fn find(queue: &Queue, receipt: &Receipt) -> Result<Message, Settled> {
    if receipt.queue != queue.id() || receipt.seq >= *queue.next_seq {
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

/// Counts an acknowledgement by a delivery that was followed by another, or came after another's
/// acknowledgement, and accepts it where the queue's policy allows.
fn stale_ack(queue: &Queue, receipt: &Receipt, settled: Settled, effects: &mut Effects) -> Settled {
    let (what, answer) = match settled {
        Settled::Stale if queue.info.config.fencing.accept_late_acks => {
            (StaleAck::Accepted, Settled::Done)
        }
        Settled::Stale => (StaleAck::Refused, settled),
        Settled::Gone if queue.finished.get(receipt.seq).is_some_and(|d| d.is_other(receipt)) => {
            (StaleAck::Gone, settled)
        }
        Settled::Done | Settled::Gone | Settled::Lapsed | Settled::Foreign => return settled,
    };
    let (queue, seq) = (queue.id(), receipt.seq);
    let (epoch, delivery) = (receipt.epoch, receipt.delivery);
    effects.push(RetryFact::StaleAck { queue, seq, epoch, delivery, what });
    answer
}
