//! One message as the state machine knows it: everything but its content, which stays in the log.

use std::num::NonZeroU64;
use std::sync::Arc;

use kyu_model::{Address, BindingId, DeadReason, PastAttempt, Phase, QueueName, Receipt, UnixMs};

use crate::retries::trail::Trail;

/// The place of a message's frame in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameRef {
    pub(crate) at: Address,
    pub(crate) bytes: u32,
}

/// Index of a lane in its queue; [`LaneId::NONE`] for messages without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LaneId(pub(crate) u32);

impl LaneId {
    pub(crate) const NONE: Self = Self(0);
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) frame: FrameRef,
    pub(crate) phase: Phase,
    /// Place in the ready order: the sequence number, or a later number after a move to the tail.
    pub(crate) order: u64,
    pub(crate) priority: u8,
    pub(crate) lane: LaneId,
    /// The time at which it came into the queue; the dead letters of some queues take this along.
    pub(crate) enqueued_at_ms: UnixMs,
    /// Start of the retention period, if that began after `enqueued_at_ms`; otherwise 0.
    pub(crate) receivable_at_ms: UnixMs,
    /// True if younger messages stand before it, so that its age is kept in an index of its own.
    pub(crate) out_of_age_order: bool,
    /// Its own deadline; see [`Message::expires_at_ms`].
    pub(crate) expires_at: Option<NonZeroU64>,
    pub(crate) history: History,
    /// The queue that it was dead-lettered from.
    pub(crate) source: Option<Arc<Source>>,
    /// The binding it came by, where the receiver is to be told.
    pub(crate) via: Option<BindingId>,
    /// The reason why it was dead-lettered.
    pub(crate) dead_reason: Option<DeadReason>,
    /// An earlier delivery was acknowledged, and that was refused.
    pub(crate) stale_acked: bool,
    /// Past attempts, in queues that keep them.
    pub(crate) trail: Option<Arc<Trail>>,
}

/// A message's history: the counts and times of its deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    /// The number of deliveries so far, which is the fencing number of the last receipt. It never
    /// falls.
    pub(crate) deliveries: u32,
    /// The number of deliveries by this queue that count; its rules go by it.
    pub(crate) receives: u32,
    /// Log epoch of the last delivery.
    pub(crate) epoch: u32,
    /// Time of the last delivery.
    pub(crate) last_received_at_ms: UnixMs,
    pub(crate) first_received_at_ms: UnixMs,
    /// The last delivery was given back uncounted: it is over, and no receipt revives it.
    pub(crate) given_back: bool,
}

/// The origin of a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) queue: Arc<QueueName>,
    /// Deliveries that counted, by that queue and those before it.
    pub(crate) receives: u32,
}

/// The standing of a receipt: how it compares with the message's last delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The last delivery, or one whose record a crash lost and that no other followed.
    Latest,
    /// A later delivery exists.
    Stale,
}

impl Message {
    /// A ready message that was never received.
    pub(crate) fn new(frame: FrameRef, order: u64, enqueued_at_ms: UnixMs) -> Self {
        Self {
            frame,
            phase: Phase::Ready,
            order,
            priority: 0,
            lane: LaneId::NONE,
            enqueued_at_ms,
            receivable_at_ms: 0,
            out_of_age_order: false,
            expires_at: None,
            history: History::default(),
            source: None,
            via: None,
            dead_reason: None,
            stale_acked: false,
            trail: None,
        }
    }

    /// Forgets the consumer, because nobody or somebody else has the message under lease now.
    pub(crate) fn forget_consumer(&mut self) {
        if let Some(trail) = &mut self.trail
            && trail.consumer.is_some()
        {
            Arc::make_mut(trail).consumer = None;
        }
    }

    /// The attempts that are kept.
    pub(crate) fn past_attempts(&self) -> Vec<PastAttempt> {
        let trail = self.trail.as_ref();
        trail.map(|trail| trail.attempts.clone()).unwrap_or_default()
    }

    pub(crate) fn standing(&self, receipt: &Receipt) -> Standing {
        // Epoch first: after a crash that lost a lease, the next lease has the same number.
        if (receipt.epoch, receipt.delivery) >= (self.history.epoch, self.history.deliveries) {
            Standing::Latest
        } else {
            Standing::Stale
        }
    }

    /// Returns true if the receipt's lease is the one that runs now.
    pub(crate) fn is_held_by(&self, receipt: &Receipt) -> bool {
        self.phase.in_flight()
            && (receipt.epoch, receipt.delivery) == (self.history.epoch, self.history.deliveries)
    }

    /// Returns the message's own deadline.
    pub(crate) fn expires_at_ms(&self) -> Option<UnixMs> {
        self.expires_at.map(NonZeroU64::get)
    }

    /// Sets the message's own deadline. A deadline of 0 is stored as 1, because both have passed.
    pub(crate) fn set_expiry(&mut self, at_ms: Option<UnixMs>) {
        self.expires_at = at_ms.map(|at_ms| NonZeroU64::new(at_ms).unwrap_or(NonZeroU64::MIN));
    }

    /// The queue that it was dead-lettered from.
    pub(crate) fn source_queue(&self) -> Option<&Arc<QueueName>> {
        self.source.as_deref().map(|source| &source.queue)
    }

    /// Returns the number of deliveries that count, by the queues that it was dead-lettered from.
    pub(crate) fn receives_before(&self) -> u32 {
        self.source.as_deref().map_or(0, |source| source.receives)
    }

    /// Returns the number of deliveries that count, in all queues since it was sent or brought
    /// back.
    pub(crate) fn total_receives(&self) -> u32 {
        self.history.receives.saturating_add(self.receives_before())
    }

    /// Returns the start of the retention period.
    pub(crate) fn retained_from(&self) -> UnixMs {
        self.enqueued_at_ms.max(self.receivable_at_ms)
    }

    /// Returns true if its retention follows from its place among the messages of its queue.
    pub(crate) fn ages_in_order(&self) -> bool {
        self.phase == Phase::Ready && !self.out_of_age_order && self.receivable_at_ms == 0
    }

    /// Returns true if a [`crate::queue::chunk::Chunk`] can hold it in a bare slot.
    pub(crate) fn is_plain(&self, seq: u64) -> bool {
        self.phase == Phase::Ready
            && self.order == seq
            && self.priority == 0
            && self.lane == LaneId::NONE
            && !self.out_of_age_order
            && self.receivable_at_ms == 0
            && self.expires_at.is_none()
            && self.history == History::default()
            && self.source.is_none()
            && self.via.is_none()
            && self.dead_reason.is_none()
            && !self.stale_acked
            && self.trail.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command copies messages; beyond this the compiler calls for a copy where it wrote one
    /// in place, and a send with its receive and acknowledgement took a third longer.
    #[test]
    fn a_message_takes_128_bytes() {
        assert_eq!(size_of::<Message>(), 128);
    }
}
