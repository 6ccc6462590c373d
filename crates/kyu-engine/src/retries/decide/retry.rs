//! The ends of attempts: what history keeps of them, and when the message is tried again, by the
//! queue's policy or as SQS does without one.

use kyu_model::limits::{MAX_CONSUMER_BYTES, MAX_ERROR_BYTES};
use kyu_model::{Acquire, AttemptEnd, Context, DeadReason, Lease, Seq, UnixMs};

use crate::effect::Effects;
use crate::queue::dead_letters::Place;
use crate::queue::decide::sequences::{Sequences, bury, goes_to_the_back};
use crate::queue::message::Message;
use crate::queue::message_record::{LeaseEnd, MessageFact};
use crate::queue::store::Queue;
use crate::retries::decide::guards::Guards;
use crate::retries::guard::AttemptSignal;
use crate::retries::record::{Next, RetryFact};
use crate::state::State;

/// A failed attempt: its end, and the wishes of its consumer.
pub(crate) struct Failure<'f> {
    pub(crate) end: AttemptEnd,
    pub(crate) error: Option<&'f str>,
    /// The delay that the consumer asks for.
    pub(crate) delay_ms: Option<u64>,
    pub(crate) to_tail: bool,
}

/// The running attempts of one queue, of which one command ends some.
pub(crate) struct RunningAttempts<'a> {
    pub(crate) state: &'a State,
    pub(crate) queue: &'a Queue,
    pub(crate) ctx: &'a Context,
    pub(crate) guards: Guards<'a>,
}

impl<'a> RunningAttempts<'a> {
    pub(crate) fn new(state: &'a State, queue: &'a Queue, ctx: &'a Context) -> Self {
        Self { state, queue, ctx, guards: Guards::new(queue, ctx.now_ms) }
    }

    /// Ends an attempt that counts and failed: the message is tried again, unless it was the last
    /// attempt.
    pub(crate) fn failed(
        &mut self,
        seq: Seq,
        message: &Message,
        failure: &Failure<'_>,
        sequences: &mut Sequences,
        effects: &mut Effects,
    ) {
        self.remember(seq, failure.end, failure.error, effects);
        self.guards.end(seq, message, AttemptSignal::Failure);
        if self.was_last(message) {
            let reason = DeadReason::MaxReceives;
            return bury(self.state, self.queue, seq, reason, self.ctx, sequences, effects);
        }
        let back = failure.to_tail || goes_to_the_back(self.queue, message.history.receives);
        let order = back.then(|| sequences.next(self.queue));
        let delay_ms = failure.delay_ms.unwrap_or_else(|| self.backoff_ms(seq, message));
        let at_ms = (delay_ms > 0).then(|| self.ctx.now_ms.saturating_add(delay_ms));
        if self.queue.retries() {
            let next = at_ms.map_or_else(|| self.guards.next(seq, message), Next::At);
            let queue = self.queue.id();
            effects.push(RetryFact::Retried { queue, seq, next, order });
            if next == Next::Now {
                self.queue.note_receivable(&[seq], self.ctx.now_ms, effects);
            }
        } else {
            self.release(seq, at_ms, order, true, effects);
        }
    }

    /// Ends an attempt that does not count: the message is as before it.
    pub(crate) fn given_back(
        &mut self,
        seq: Seq,
        message: &Message,
        end: AttemptEnd,
        (ready_at_ms, order): (Option<UnixMs>, Option<u64>),
        effects: &mut Effects,
    ) {
        self.remember(seq, end, None, effects);
        self.guards.end(seq, message, AttemptSignal::Neither);
        self.release(seq, ready_at_ms, order, false, effects);
    }

    /// Ends an attempt whose consumer rejected the message for good.
    pub(crate) fn rejected(
        &mut self,
        seq: Seq,
        message: &Message,
        error: Option<&str>,
        sequences: &mut Sequences,
        effects: &mut Effects,
    ) {
        self.remember(seq, AttemptEnd::Rejected, error, effects);
        self.guards.end(seq, message, AttemptSignal::Neither);
        let reason = DeadReason::Rejected;
        bury(self.state, self.queue, seq, reason, self.ctx, sequences, effects);
    }

    /// Ends an attempt that succeeded; messages that wait for tokens may go on.
    pub(crate) fn succeeded(&mut self, seq: Seq, message: &Message, effects: &mut Effects) {
        let first = message.history.receives == 1;
        self.guards.end(seq, message, AttemptSignal::Success { first });
        let whose = self.queue.whose(seq, message.lane);
        let most = kyu_model::limits::MAX_BATCH;
        self.guards.release_parked(&whose, most, effects);
    }

    /// Records the end of an attempt in the history, if the queue keeps one or there is an error to
    /// keep.
    pub(crate) fn remember(
        &self,
        seq: Seq,
        end: AttemptEnd,
        error: Option<&str>,
        effects: &mut Effects,
    ) {
        let error = error.filter(|error| !error.is_empty());
        if error.is_some() || self.queue.info.config.keeps_history() {
            let (queue, at_ms) = (self.queue.id(), self.ctx.now_ms);
            let error = error.map(|error| cut(error, MAX_ERROR_BYTES).to_owned());
            effects.push(RetryFact::AttemptEnded { queue, seq, at_ms, end, error });
        }
    }

    /// Returns true if the policy allows no further attempt. While the queue of the dead-letter
    /// rule is missing, it allows further attempts.
    fn was_last(&self, message: &Message) -> bool {
        let config = &self.queue.info.config;
        let Some(retry) = &config.retry else { return false };
        let by_rule = config.dead_letter.as_ref().map(|rule| rule.max_receives);
        let most = [retry.max_attempts, by_rule].into_iter().flatten().min();
        let place = self.state.place_of_dead(self.queue, DeadReason::MaxReceives);
        most.is_some_and(|most| message.history.receives >= most)
            && !matches!(place, Place::Missing)
    }

    fn backoff_ms(&self, seq: Seq, message: &Message) -> u64 {
        let Some(retry) = &self.queue.info.config.retry else { return 0 };
        let salt = seq.rotate_left(32) ^ u64::from(message.history.deliveries);
        retry.jittered_ms(message.history.receives, scramble(self.ctx.seed ^ salt))
    }

    fn release(
        &self,
        seq: Seq,
        ready_at_ms: Option<UnixMs>,
        order: Option<u64>,
        counted: bool,
        effects: &mut Effects,
    ) {
        let queue = self.queue.id();
        effects.push(MessageFact::Released { queue, seq, ready_at_ms, order, counted });
        if ready_at_ms.is_none() {
            self.queue.note_receivable(&[seq], self.ctx.now_ms, effects);
        }
    }
}

/// Notes the consumer that got these messages under lease, if it was given and the queue keeps it.
pub(crate) fn note_consumer(
    queue: &Queue,
    command: &Acquire,
    picked: &[(Seq, Message)],
    end: LeaseEnd,
    ctx: &Context,
    effects: &mut Effects,
) {
    let leased = !matches!(command.lease, Lease::Claim(_) | Lease::Take)
        && end != LeaseEnd::At(ctx.now_ms)
        && !picked.is_empty();
    let kept = leased && queue.info.config.keeps_history();
    let Some(consumer) = command.consumer.as_deref().filter(|_| kept) else { return };
    let consumer = cut(consumer, MAX_CONSUMER_BYTES).to_owned();
    let seqs = picked.iter().map(|(seq, _)| *seq).collect();
    effects.push(RetryFact::Taken { queue: queue.id(), consumer, seqs });
}

/// Returns the beginning of a text, of at most `most` bytes.
fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Spreads the bits of a number (the finalizer of splitmix64).
fn scramble(bits: u64) -> u64 {
    let z = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
