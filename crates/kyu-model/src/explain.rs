//! What [`crate::Query::Explain`] tells of a message.

use crate::config::QueueStats;
use crate::ends::End;
use crate::ids::{QueueId, QueueName, Seq, SessionId, UnixMs};
use crate::reply::Delivery;
use crate::retry::{DeadReason, Hold, PastAttempt};
use std::sync::Arc;

/// Why a message is not delivered now, and when it could be.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The queue.
    pub queue: QueueId,
    /// The message's number in it.
    pub seq: Seq,
    /// The time for which this holds.
    pub at_ms: UnixMs,
    /// In short.
    pub verdict: Verdict,
    /// Everything that holds it back by itself; empty unless [`Verdict::HeldBack`].
    pub reasons: Vec<Reason>,
    /// When time next takes one of the reasons away; `None` if only somebody's act can.
    pub next_event_ms: Option<UnixMs>,
    /// From when on nothing would hold it back, if nobody did anything; `None` if that never comes.
    pub possible_from_ms: Option<UnixMs>,
    /// What is known of it; `None` if it is not there.
    pub message: Option<Box<ExplainedMessage>>,
    /// How it went, as far as that is known; with [`Verdict::Gone`] only.
    pub gone: Option<Gone>,
    /// Counts of its queue.
    pub stats: QueueStats,
}

/// See [`Explanation::verdict`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The next receive of one message, in the queue's own order, returns it.
    DeliverableNow,
    /// Nothing holds it back but its turn: others come first.
    Behind {
        /// How many are ready before it (some of them may have to wait themselves).
        ahead: u64,
        /// It was counted to the end; otherwise there are at least so many.
        exact: bool,
    },
    /// See [`Explanation::reasons`].
    HeldBack,
    /// It was there and is no more: see [`Explanation::gone`].
    Gone,
    /// No message has had this number yet.
    NeverSent,
}

/// How a message went that is no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It was acknowledged: every other end in this queue is remembered, and this is not one.
    Acknowledged,
    /// It was not acknowledged.
    Ended(End),
    /// It was acknowledged, or went in the purge of this time.
    Purged {
        /// When the queue was purged last.
        at_ms: UnixMs,
    },
    /// It was acknowledged, or went so long ago that nobody remembers.
    Forgotten,
}

/// Something that keeps a message from being delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its delay is not over.
    Delayed {
        /// When it is.
        until_ms: UnixMs,
    },
    /// It is being worked on.
    Leased {
        /// Number of the delivery.
        delivery: u32,
        /// When the lease ends.
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
        /// Since when.
        since_ms: UnixMs,
        /// Why.
        reason: Option<DeadReason>,
    },
    /// Its time is over before it could be delivered.
    ExpiresBeforeDue {
        /// When its time is over.
        expires_at_ms: UnixMs,
        /// When it could have been delivered.
        due_at_ms: UnixMs,
    },
    /// It is past its retention or its own expiry; it will be removed.
    Expired {
        /// Since when.
        since_ms: UnixMs,
    },
    /// It was received as often as the dead-letter rule allows: the next receive moves it.
    ReceivedTooOften {
        /// Times received.
        receives: u32,
        /// As often as that is allowed.
        max_receives: u32,
    },
    /// The queue is paused.
    QueuePaused {
        /// When the pause ends by itself.
        until_ms: Option<UnixMs>,
    },
    /// As many messages of the queue are in flight as may be.
    QueueInFlight {
        /// In flight now.
        in_flight: u64,
        /// The limit.
        max_in_flight: u64,
    },
    /// The queue's rate allows no delivery now.
    QueueRate {
        /// When it allows the next.
        next_token_ms: UnixMs,
    },
    /// The lane is paused.
    LanePaused {
        /// When the pause ends by itself.
        until_ms: Option<UnixMs>,
    },
    /// As many messages of the lane are in flight as may be.
    LaneInFlight {
        /// In flight now.
        in_flight: u64,
        /// The limit.
        max_in_flight: u64,
    },
    /// The lane's rate allows no delivery now.
    LaneRate {
        /// When it allows the next.
        next_token_ms: UnixMs,
    },
    /// FIFO: a message that stands before it in its lane is in flight, or waits for its next attempt
    /// or for its guard.
    BehindInFlight {
        /// The first such message.
        seq: Seq,
        /// When its lease ends; `None` if a session holds it.
        until_ms: Option<UnixMs>,
    },
    /// Retry policy, budget or breaker.
    Retry(Hold),
}

impl Reason {
    /// When time alone takes this reason away.
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

/// What is known of a message that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct ExplainedMessage {
    /// Its lane.
    pub lane: Option<String>,
    /// What its budget and breaker are for, such as `dependency=stripe`; `None` for the whole queue.
    pub guarded_by: Option<String>,
    /// 0 to 255 (first).
    pub priority: u8,
    /// Its own expiry.
    pub expires_at_ms: Option<UnixMs>,
    /// When the queue's retention ends for it; `None` for never.
    pub retained_until_ms: Option<UnixMs>,
    /// Its last delivery, or how it stands when there was none; the frame's place, counts, phase.
    pub last: Delivery,
    /// What has happened to it so far, in order.
    pub timeline: Vec<Event>,
}

/// Something that has happened to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at_ms: UnixMs,
    /// What.
    pub what: Happened,
}

/// See [`Event::what`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// Sent; after a redrive or in a FIFO dead-letter queue: moved here.
    Enqueued,
    /// Received for the first time. Left out where the first attempt is still known.
    FirstReceived,
    /// An attempt that is over; it began at [`Event::at_ms`].
    Attempt(PastAttempt),
    /// Attempts that were not kept, before those that are.
    Forgotten {
        /// How many.
        attempts: u64,
    },
    /// Received for the last time so far; under way if the message is in flight. Left out where
    /// that attempt is over and known.
    LastReceived {
        /// Number of the delivery.
        delivery: u32,
        /// Who has it, if that is known.
        consumer: Option<String>,
    },
    /// It was moved here as a dead letter; when, is not kept.
    DeadLettered {
        /// From this queue.
        from: Arc<QueueName>,
        /// Why, where that is known.
        reason: Option<DeadReason>,
    },
}
