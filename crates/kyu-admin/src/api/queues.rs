//! Queues: settings and counts.

pub use kyu_model::QueueTotals;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::QueueSettings;

/// A queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Queue {
    /// Name, unique in the namespace.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Never given to another queue, also not to one of the same name.
    pub id: u32,
    /// Rises by one with every change of the settings.
    pub version: u64,
    /// For `If-Match`: id and version.
    pub etag: String,
    /// The time of its creation.
    pub created_at_ms: u64,
    /// The time of the last change of its settings.
    pub modified_at_ms: u64,
    /// Settings.
    pub settings: QueueSettings,
    /// Counts, unless they were not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<QueueStats>,
    /// Settings that are allowed and probably not meant, such as a dead-letter queue that does not
    /// exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A queue that was deleted, where there is something to say about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeletedQueue {
    /// Consequences that are allowed and probably not meant: it was the dead-letter queue of
    /// others.
    pub warnings: Vec<String>,
}

/// Counts of a queue; exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueueStats {
    /// Messages that a receive may return, also those behind a locked lane.
    pub ready: u64,
    /// Messages whose delay has not passed, or that are held.
    pub delayed: u64,
    /// Of the delayed, those that wait for a token of the retry budget.
    pub held: u64,
    /// Messages under lease.
    pub in_flight: u64,
    /// Bytes of the messages in the log.
    pub bytes: u64,
    /// Lanes with a message under lease.
    pub lanes_in_flight: u64,
    /// Receives get nothing until the queue is resumed.
    pub paused: bool,
    /// The time at which the pause ends by itself; `null` for never.
    pub paused_until_at_ms: Option<u64>,
    /// The time at which the oldest message was sent.
    pub oldest_sent_at_ms: Option<u64>,
    /// The time at which the newest message was sent.
    pub newest_sent_at_ms: Option<u64>,
    /// Messages kept in its archive (pgmq).
    pub archived: u64,
    /// Dead letters that are kept here, because there was nowhere to move them.
    #[serde(default)]
    pub dead: u64,
    /// The last sequence number that was given out; 0 if none was.
    pub last_seq: u64,
}

/// Counts and totals of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueueStatistics {
    /// Now.
    pub stats: QueueStats,
    /// Since it was created.
    pub totals: QueueTotals,
}

/// The queues to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListQueues {
    /// The namespace; the server's own if left out.
    pub namespace: Option<String>,
    /// Only names that begin so.
    pub prefix: Option<String>,
    /// Count messages; `true` if left out.
    pub stats: Option<bool>,
    /// Most items of the answer, from 1 to 1000; 100 if left out.
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Some of the queues, in order of name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueuePage {
    /// The queues.
    pub items: Vec<Queue>,
    /// The beginning of the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

/// Names of queues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueueNames {
    /// In order.
    pub items: Vec<String>,
}

/// The outcome of a purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Purged {
    /// Messages dropped, also those in flight.
    pub purged_messages: u64,
}
