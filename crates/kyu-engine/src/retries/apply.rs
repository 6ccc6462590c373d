//! Applying the facts of retries. As in `apply.rs`: nothing is judged, nothing can fail, and code
//! may only be added to.

use std::sync::Arc;

use kyu_model::{AttemptEnd, PastAttempt, Phase, QueueId, Seq, UnixMs};

use crate::queue::message::Message;
use crate::retries::finished::Done;
use crate::retries::guard::GuardState;
use crate::retries::record::{Next, RetryFact, StaleAck};
use crate::state::State;

impl State {
    pub(crate) fn apply_retry(&mut self, effect: &RetryFact) {
        match effect {
            RetryFact::AttemptEnded { queue, seq, at_ms, end, error } => {
                self.end_attempt(*queue, *seq, *at_ms, *end, error.as_deref());
            }
            RetryFact::Taken { queue, consumer, seqs } => {
                for seq in seqs {
                    self.change(*queue, *seq, |message| {
                        let trail = message.trail.get_or_insert_default();
                        Arc::make_mut(trail).consumer = Some(consumer.clone());
                    });
                }
            }
            RetryFact::Retried { queue, seq, next, order } => {
                self.retry(*queue, *seq, *next, *order);
            }
            RetryFact::StaleAck { queue, seq, epoch, delivery, what } => {
                self.stale_ack(*queue, *seq, (*epoch, *delivery), *what);
            }
            RetryFact::GuardChanged { queue, lane, guard } => {
                self.change_guard(*queue, lane.as_deref(), guard.as_deref());
            }
            RetryFact::GuardKey { queue, seq, value } => {
                if let Some(queue) = self.queues.get_mut(queue) {
                    queue.set_guard_value(*seq, Some(value.as_str().into()));
                }
            }
        }
    }

    fn change(&mut self, id: QueueId, seq: Seq, change: impl FnOnce(&mut Message)) {
        let Some(queue) = self.queues.get(&id) else { return };
        let Some(mut message) = queue.messages.get(seq) else { return };
        change(&mut message);
        self.put(id, seq, Some(message));
    }

    fn end_attempt(
        &mut self,
        id: QueueId,
        seq: Seq,
        at_ms: UnixMs,
        end: AttemptEnd,
        error: Option<&str>,
    ) {
        self.note_time(at_ms);
        self.change(id, seq, |message| {
            let started_at_ms = message.history.last_received_at_ms;
            let trail = Arc::make_mut(message.trail.get_or_insert_default());
            let consumer = trail.consumer.take();
            let error = error.map(str::to_owned);
            trail.add(PastAttempt { started_at_ms, ended_at_ms: at_ms, end, consumer, error });
        });
    }

    fn retry(&mut self, id: QueueId, seq: Seq, next: Next, order: Option<u64>) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let Some(mut message) = queue.messages.get(seq) else { return };
        if let Some(order) = order {
            message.order = order;
            *queue.next_seq = (*queue.next_seq).max(order + 1);
        }
        queue.totals.held += u64::from(next == Next::Parked);
        if next == Next::Parked && queue.info.config.guard_attribute.is_some() {
            // An acquire put it aside, perhaps without having come to those behind it.
            self.wake(id);
        }
        message.phase = match next {
            Next::Now => Phase::Ready,
            Next::At(at_ms) => Phase::Backoff(at_ms),
            Next::Parked => Phase::Parked,
        };
        message.forget_consumer();
        self.put(id, seq, Some(message));
    }

    fn stale_ack(&mut self, id: QueueId, seq: Seq, by: (u32, u32), what: StaleAck) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        match what {
            StaleAck::Refused => {
                queue.totals.stale_acks += 1;
                self.change(id, seq, |message| message.stale_acked = true);
            }
            StaleAck::Accepted => {
                queue.totals.stale_acks += 1;
                queue.totals.late_acks += 1;
                queue.totals.acked += 1;
                let Some(message) = self.put(id, seq, None) else { return };
                self.frames.free(message.frame);
                self.note_finished(id, seq, &message, by.0, by.1);
                self.sweep_lanes(id);
            }
            StaleAck::Gone => {
                let Some(done) = queue.finished.get(seq) else { return };
                queue.totals.stale_acks += u64::from(done.is_later_than(by.0, by.1));
                queue.totals.double_executions += u64::from(!done.twice);
                self.remember_finished(id, seq, Done { twice: true, ..done });
            }
        }
    }

    /// Notes that a message was acknowledged by this delivery.
    pub(crate) fn note_finished(
        &mut self,
        id: QueueId,
        seq: Seq,
        message: &Message,
        epoch: u32,
        delivery: u32,
    ) {
        if message.history.deliveries < 2 {
            return;
        }
        let twice = message.stale_acked;
        if let Some(queue) = self.queues.get_mut(&id) {
            queue.totals.double_executions += u64::from(twice);
        }
        self.remember_finished(id, seq, Done { epoch, delivery, twice });
    }

    fn change_guard(&mut self, id: QueueId, lane: Option<&str>, guard: Option<&GuardState>) {
        if let Some(guard) = guard {
            self.note_time(guard.at_ms);
        }
        let old = self.put_guard(id, lane.map(Arc::from), guard.cloned());
        let was_open = old.as_ref().is_some_and(GuardState::is_open);
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let opened = !was_open && guard.is_some_and(GuardState::is_open);
        queue.totals.breaker_opened += u64::from(opened);
    }
}
