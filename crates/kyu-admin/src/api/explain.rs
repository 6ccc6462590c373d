//! The reasons why a message is not delivered now, and when it could be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DeadReason, Hold, PastAttempt};

/// The answer in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The next receive of one message returns it.
    DeliverableNow,
    /// Nothing holds it back but its turn: others come first.
    Behind,
    /// See `reasons`.
    HeldBack,
    /// It was there and is no more.
    Gone,
    /// No message has had this number yet.
    NeverSent,
}

/// Something that keeps a message from being delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// Its delay is not over.
    Delayed {
        /// The end of the delay.
        until_at_ms: u64,
    },
    /// It is being worked on.
    Leased {
        /// Number of the delivery.
        delivery: u32,
        /// The end of the lease.
        until_at_ms: u64,
    },
    /// It is held by a session, such as a connection, until that ends or gives it back.
    HeldBySession {
        /// Number of the delivery.
        delivery: u32,
    },
    /// An open transaction has read it.
    Claimed,
    /// It is kept in an archive and never delivered.
    Archived,
    /// It is dead, and kept because there was nowhere to move it.
    Dead {
        /// The time since which it is so.
        since_at_ms: u64,
        /// The reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dead_reason: Option<DeadReason>,
    },
    /// Its time is over before it could be delivered.
    ExpiresBeforeDue {
        /// The end of its time.
        expires_at_ms: u64,
        /// The time at which it could have been delivered.
        due_at_ms: u64,
    },
    /// It is past its retention or its own expiry; it will be removed.
    Expired {
        /// The time since which it is so.
        since_at_ms: u64,
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
        /// The time at which the pause ends by itself; `null` for never.
        until_at_ms: Option<u64>,
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
        /// The time at which it allows the next.
        until_at_ms: u64,
    },
    /// The lane is paused.
    LanePaused {
        /// The time at which the pause ends by itself; `null` for never.
        until_at_ms: Option<u64>,
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
        /// The time at which it allows the next.
        until_at_ms: u64,
    },
    /// FIFO: a message that stands before it in its lane is in flight.
    BehindInFlight {
        /// The first such message.
        seq: u64,
        /// The end of its lease; `null` if a session holds it.
        until_at_ms: Option<u64>,
    },
    /// Retry policy, budget or breaker.
    Retry {
        /// The reason for which it is held.
        hold: Hold,
    },
}

/// The end of a message that is no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Gone {
    /// It was acknowledged.
    Acknowledged,
    /// The queue's retention ended.
    Expired {
        /// The time at which it went.
        at_ms: u64,
    },
    /// Its own time was over.
    Deadline {
        /// The time at which it went.
        at_ms: u64,
    },
    /// It made room in a full queue, or for a message with its unique key.
    Dropped {
        /// The time at which it went.
        at_ms: u64,
    },
    /// Rejected for good, before such messages were kept.
    Rejected {
        /// The time at which it went.
        at_ms: u64,
    },
    /// A person removed it.
    Cancelled {
        /// The time at which it went.
        at_ms: u64,
    },
    /// It went to another queue: by a move task, or as a dead letter.
    Moved {
        /// The time at which it went.
        at_ms: u64,
        /// To this queue.
        to: String,
        /// Its number there.
        to_seq: u64,
        /// The reason, if it went as a dead letter.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dead_reason: Option<DeadReason>,
        /// The consumer that had it last, if that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        consumer: Option<String>,
        /// The last error, if that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// It was acknowledged, or went when the queue was purged.
    Purged {
        /// The time of that.
        at_ms: u64,
    },
    /// It was acknowledged, or went so long ago that nobody remembers.
    Forgotten,
}

/// Something that has happened to a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// The time.
    pub at_ms: u64,
    /// The event.
    #[serde(flatten)]
    pub what: Happened,
}

/// An event in the life of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Happened {
    /// Sent, or moved here.
    Enqueued,
    /// Received for the first time.
    FirstReceived,
    /// An attempt that is over.
    Attempt {
        /// The attempt.
        attempt: PastAttempt,
    },
    /// Attempts that were not kept.
    Forgotten {
        /// The number of attempts.
        attempts: u64,
    },
    /// Received for the last time so far.
    LastReceived {
        /// Number of the delivery.
        delivery: u32,
        /// The consumer that has it, if that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        consumer: Option<String>,
    },
    /// Moved here as a dead letter; when, is not kept.
    DeadLettered {
        /// From this queue.
        from: String,
        /// The reason, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<DeadReason>,
    },
}

/// The reasons why a message is not delivered now, and when it could be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// All of it in a sentence, for people.
    pub summary: String,
    /// In short.
    pub verdict: Verdict,
    /// Behind: how many are ready before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<u64>,
    /// Behind: whether they were counted to the end; otherwise there are at least so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead_is_exact: Option<bool>,
    /// Held back: everything that does it by itself.
    pub reasons: Vec<Reason>,
    /// The time at which the next of the reasons ends by itself; `null` if only somebody's act can
    /// end one.
    pub next_event_at_ms: Option<u64>,
    /// From when on nothing would hold it back, if nobody did anything; `null` if never, as when it
    /// expires before.
    pub possible_from_at_ms: Option<u64>,
    /// The server's time for which this holds.
    pub now_ms: u64,
    /// Its lane.
    pub lane: Option<String>,
    /// The dependency that its budget and breaker are for, such as `dependency=stripe`; `null` for
    /// the whole queue.
    pub guarded_by: Option<String>,
    /// Its priority.
    pub priority: Option<u8>,
    /// Its own expiry.
    pub expires_at_ms: Option<u64>,
    /// The end of the queue's retention for it, if everything goes its way in time.
    pub retained_until_at_ms: Option<u64>,
    /// Times received from this queue.
    pub receive_count: Option<u32>,
    /// Times received, also from the queues that it was dead-lettered from.
    #[serde(default)]
    pub total_receive_count: Option<u32>,
    /// The way in which it went, if it is gone. The last 100 ends of a queue that were no
    /// acknowledgements are remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<Gone>,
    /// The events in its life so far, in order.
    pub timeline: Vec<Event>,
}
