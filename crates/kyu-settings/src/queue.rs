//! A queue's settings.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use kyu_model::{DedupScope, Overflow, QueueKind, RetentionFrom};

use crate::policies::{ExpiredTo, Fairness, Fencing, Guard, LaneLimits, RateLimit, RetryPolicy};

/// A dead-letter rule: the queue that takes messages which were received too often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLetter {
    /// The dead-letter queue, of the same namespace. While it does not exist, messages stay: those
    /// that are received too often are tried again, and those that are rejected are kept as `dead`
    /// until it exists.
    pub queue: String,
    /// A message received this often moves instead of being received once more; at least 1.
    #[schemars(range(min = 1))]
    pub max_receives: u32,
}

/// A queue's settings. Left out is the default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QueueSettings {
    /// The kind: order and locking. It cannot change.
    pub kind: QueueKind,
    /// The lease of a receive that names none, in milliseconds; at most 12 hours.
    #[schemars(range(max = 43_200_000_u64))]
    pub visibility_timeout_ms: u64,
    /// The delay of a send that names none, in milliseconds.
    #[schemars(range(max = 315_576_000_000_u64))]
    pub delay_ms: u64,
    /// The retention: the time for which a message is kept that nobody fetches, in milliseconds, at
    /// most ten years; 0 (the default) for no end. A message that is delayed, under lease, or
    /// waiting for its next attempt is never taken.
    #[schemars(range(max = 315_576_000_000_u64))]
    pub retention_ms: u64,
    /// The moment from which the retention counts.
    pub retention_from: RetentionFrom,
    /// The time for which a receive waits that names no time, in milliseconds.
    #[schemars(range(max = 60_000))]
    pub receive_wait_ms: u64,
    /// The size of the largest message in bytes, body and attributes together.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub max_message_bytes: u32,
    /// The most messages under lease at one time.
    pub max_in_flight: u32,
    /// The most messages in the queue, in any state.
    pub max_messages: Option<u64>,
    /// The most bytes in the queue.
    pub max_bytes: Option<u64>,
    /// The policy for a send at these two limits.
    pub overflow: Overflow,
    /// True if a FIFO queue takes the body's SHA-256 as deduplication id where the sender gives
    /// none.
    pub content_based_deduplication: bool,
    /// The scope within which deduplication ids are unique.
    pub dedup_scope: DedupScope,
    /// The time for which a deduplication id is remembered, in milliseconds.
    #[schemars(range(max = 315_576_000_000_u64))]
    pub dedup_window_ms: u64,
    /// Dead-letter rule.
    pub dead_letter: Option<DeadLetter>,
    /// The rule by which the next lane is chosen.
    pub fairness: Fairness,
    /// The rate limit of the whole queue's deliveries.
    pub rate: Option<RateLimit>,
    /// Limits of each lane.
    pub lanes: LaneLimits,
    /// The retry policy: when and how often failed messages are tried again; `null` for at once, as
    /// SQS does.
    pub retry: Option<RetryPolicy>,
    /// A message of a standard queue that was received this often without being acknowledged goes
    /// to the back; 0 keeps every message in its place.
    pub back_after_receives: u32,
    /// True if past attempts of messages are kept; with `retry` they are kept in any case.
    pub keep_history: bool,
    /// The place for messages whose time is over.
    pub expired_to: ExpiredTo,
    /// Retry budget and breaker.
    pub guard: Option<Guard>,
    /// The rights of receipts of earlier deliveries.
    pub fencing: Fencing,
    /// Tags, for people and programs beside the queue.
    pub tags: BTreeMap<String, String>,
}

impl Default for QueueSettings {
    fn default() -> Self {
        crate::convert::of(&kyu_model::QueueConfig::default())
    }
}
