//! The answer of [`crate::Query::Explain`]: why a message is not delivered now.

use std::sync::Arc;

use crate::config::QueueStats;
use crate::ends::End;
use crate::ids::{QueueId, QueueName, Seq, SessionId, UnixMs};
use crate::reply::Delivery;
use crate::retry::{DeadReason, Hold, PastAttempt};

/// An explanation of why a message is not delivered now, and of when it could be.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The queue.
    pub queue: QueueId,
    /// The message's number in it.
    pub seq: Seq,
    /// The time for which this holds.
    pub at_ms: UnixMs,
    /// The explanation in short.
    pub verdict: Verdict,
    /// Everything that holds it back by itself; empty unless [`Verdict::HeldBack`].
    pub reasons: Vec<Reason>,
    /// The time at which the passing of time next removes one of the reasons; `None` if time alone
    /// removes none.
    pub next_event_ms: Option<UnixMs>,
    /// The time from which nothing would hold it back if nobody did anything; `None` if there is
    /// none.
    pub possible_from_ms: Option<UnixMs>,
    /// The message as it is; `None` if it is not in the queue.
    pub message: Option<Box<ExplainedMessage>>,
    /// The message's end, as far as that is known; only with [`Verdict::Gone`].
    pub gone: Option<Gone>,
    /// Counts of its queue.
    pub stats: QueueStats,
}

/// The short form of an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The next receive of one message, in the queue's own order, returns it.
    DeliverableNow,
    /// Nothing holds it back but its turn: others come first.
    Behind {
        /// The number of messages that are ready before it (some of them may have to wait
        /// themselves).
        ahead: u64,
        /// True if all were counted; otherwise `ahead` is a lower bound.
        exact: bool,
    },
    /// Something holds it back: see [`Explanation::reasons`].
    HeldBack,
    /// It was in the queue and has left it: see [`Explanation::gone`].
    Gone,
    /// No message has had this number yet.
    NeverSent,
}

/// The end of a message that is no longer in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It was acknowledged: every other end in this queue is remembered, and this message has none
    /// of them.
    Acknowledged,
    /// It left the queue in another way, which is remembered.
    Ended(End),
    /// It was acknowledged, or removed by the purge at this time.
    Purged {
        /// The time of the queue's last purge.
        at_ms: UnixMs,
    },
    /// It was acknowledged, or left so long ago that its end is no longer remembered.
    Forgotten,
}

/// Something that keeps a message from being delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its delay is not over.
    Delayed {
        /// The time at which the delay is over.
        until_ms: UnixMs,
    },
    /// It is being worked on.
    Leased {
        /// Number of the delivery.
        delivery: u32,
        /// The time at which the lease ends.
        until_ms: UnixMs,
    },
    /// It is held by a session, such as a connection, until that ends or gives it back.
    HeldBySession {
        /// The session.
        session: SessionId,
        /// Number of the delivery.
        delivery: u32,
    },
    /// An open transaction has read it.
    Claimed {
        /// The transaction's session.
        session: SessionId,
    },
    /// It is kept in an archive and never delivered.
    Archived,
    /// It is dead, and kept because there was nowhere to move it.
    Dead {
        /// The time since which this holds.
        since_ms: UnixMs,
        /// The reason, if it is known.
        reason: Option<DeadReason>,
    },
    /// It expires before it could be delivered.
    ExpiresBeforeDue {
        /// The time at which the message expires.
        expires_at_ms: UnixMs,
        /// The time at which it could have been delivered.
        due_at_ms: UnixMs,
    },
    /// It is past its retention or its own expiry; it will be removed.
    Expired {
        /// The time since which this holds.
        since_ms: UnixMs,
    },
    /// It was received as often as the dead-letter rule allows: the next receive moves it.
    ReceivedTooOften {
        /// Times received.
        receives: u32,
        /// The most receives that the rule allows.
        max_receives: u32,
    },
    /// The queue is paused.
    QueuePaused {
        /// The time at which the pause ends by itself.
        until_ms: Option<UnixMs>,
    },
    /// The queue has as many messages in flight as it allows.
    QueueInFlight {
        /// The number of messages that are in flight now.
        in_flight: u64,
        /// The limit.
        max_in_flight: u64,
    },
    /// The queue's rate allows no delivery now.
    QueueRate {
        /// The time at which the rate allows the next delivery.
        next_token_ms: UnixMs,
    },
    /// The lane is paused.
    LanePaused {
        /// The time at which the pause ends by itself.
        until_ms: Option<UnixMs>,
    },
    /// The lane has as many messages in flight as it allows.
    LaneInFlight {
        /// The number of messages that are in flight now.
        in_flight: u64,
        /// The limit.
        max_in_flight: u64,
    },
    /// The lane's rate allows no delivery now.
    LaneRate {
        /// The time at which the rate allows the next delivery.
        next_token_ms: UnixMs,
    },
    /// In a FIFO queue, a message before it in its lane is in flight, or waits for its next attempt
    /// or for its guard.
    BehindInFlight {
        /// The first such message.
        seq: Seq,
        /// The time at which its lease ends; `None` if a session holds it.
        until_ms: Option<UnixMs>,
    },
    /// The retry policy, the retry budget or the breaker holds it back.
    Retry(Hold),
}

impl Reason {
    /// Returns the time at which this reason ends if nobody does anything; `None` if time alone
    /// does not end it.
    pub fn until_ms(&self) -> Option<UnixMs> {
        match self {
            Self::Delayed { until_ms } | Self::Leased { until_ms, .. } => Some(*until_ms),
            Self::QueueRate { next_token_ms } | Self::LaneRate { next_token_ms } => {
                Some(*next_token_ms)
            }
            Self::BehindInFlight { until_ms, .. }
            | Self::QueuePaused { until_ms }
            | Self::LanePaused { until_ms } => *until_ms,
            Self::Retry(
                Hold::Backoff { until_ms }
                | Hold::Budget { until_ms, .. }
                | Hold::Breaker { until_ms },
            ) => Some(*until_ms),
            Self::Retry(Hold::SlowStart { .. })
            | Self::HeldBySession { .. }
            | Self::Claimed { .. }
            | Self::Archived
            | Self::Dead { .. }
            | Self::ExpiresBeforeDue { .. }
            | Self::Expired { .. }
            | Self::ReceivedTooOften { .. }
            | Self::QueueInFlight { .. }
            | Self::LaneInFlight { .. } => None,
        }
    }
}

/// A message that is in the queue, as an explanation shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct ExplainedMessage {
    /// Its lane.
    pub lane: Option<String>,
    /// The key that its budget and breaker protect, such as `dependency=stripe`; `None` for the
    /// whole queue.
    pub guarded_by: Option<String>,
    /// The priority, from 0 to 255 (first).
    pub priority: u8,
    /// Its own expiry.
    pub expires_at_ms: Option<UnixMs>,
    /// The time at which the queue's retention ends for it; `None` for never.
    pub retained_until_ms: Option<UnixMs>,
    /// Its last delivery, with the frame's place, counts and phase; if there was none, the same
    /// fields of the message as it is.
    pub last: Delivery,
    /// The events of its life so far, in order.
    pub timeline: Vec<Event>,
}

/// Something that has happened to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The time of the event.
    pub at_ms: UnixMs,
    /// The event.
    pub what: Happened,
}

/// A kind of event in a message's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// The message was sent, or moved here (after a redrive, or in a FIFO dead-letter queue).
    Enqueued,
    /// The message was received for the first time. Left out where the first attempt is still
    /// known.
    FirstReceived,
    /// An attempt that is over; it began at [`Event::at_ms`].
    Attempt(PastAttempt),
    /// There were attempts before these that were not kept.
    Forgotten {
        /// The number of such attempts.
        attempts: u64,
    },
    /// The message was received for the last time so far; the attempt is under way if the message
    /// is in flight. Left out where that attempt is over and known.
    LastReceived {
        /// Number of the delivery.
        delivery: u32,
        /// The consumer that has it, if that is known.
        consumer: Option<String>,
    },
    /// The message was moved here as a dead letter; the time is not kept.
    DeadLettered {
        /// The queue that it came from.
        from: Arc<QueueName>,
        /// The reason, if it is known.
        reason: Option<DeadReason>,
    },
}
