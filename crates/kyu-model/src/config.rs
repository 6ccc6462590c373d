//! A queue's configuration, in protocol-free terms.

use std::collections::BTreeMap;

use crate::ids::{QueueId, QueueName, UnixMs};
use crate::lane_policy::{Fairness, LaneLimits, RateLimit};
use crate::retention::RetentionFrom;
use crate::retry::{ExpiredTo, Fencing, Guard, RetryPolicy};

/// A queue's kind: how messages of one lane (message group) are ordered and locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum QueueKind {
    /// Best-effort order; lanes share the queue fairly and never block.
    #[default]
    Standard = 0,
    /// Strict order within a lane: messages in flight block the later ones of their lane.
    Fifo = 1,
}

/// The scope within which a deduplication id is unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum DedupScope {
    /// The whole queue.
    #[default]
    Queue = 0,
    /// The message's lane.
    Lane = 1,
}

/// The policy for a send to a queue that is at `max_messages` or `max_bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Overflow {
    /// The new message is refused.
    #[default]
    Refuse = 0,
    /// The oldest ready message is dropped to make room.
    DropHead = 1,
}

/// A dead-letter rule: the queue that takes messages which were received too often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The target queue by name: it may be deleted and come back. While it does not exist,
    /// messages stay where they are.
    pub target: QueueName,
    /// A message received this often moves instead of being received once more.
    pub max_receives: u32,
}

/// A retention that never ends.
pub const FOREVER: u64 = u64::MAX;

/// A queue's settings. Times in milliseconds. A missing limit is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueConfig {
    /// Order and locking.
    pub kind: QueueKind,
    /// Lease time of an acquire that names none.
    pub visibility_timeout_ms: u64,
    /// Delay of an enqueue that names none.
    pub delay_ms: u64,
    /// The retention: the time for which a message is kept that nobody fetches; [`FOREVER`] for no
    /// end.
    pub retention_ms: u64,
    /// The moment from which the retention counts.
    pub retention_from: RetentionFrom,
    /// The time for which a receive waits that names no time; used by doors.
    pub receive_wait_ms: u64,
    /// Largest message, as the door counts it.
    pub max_message_bytes: u32,
    /// Most messages under lease at one time.
    pub max_in_flight: u32,
    /// Most messages in the queue, in any state.
    pub max_messages: Option<u64>,
    /// Most bytes of message frames in the queue.
    pub max_bytes: Option<u64>,
    /// The policy at `max_messages` or `max_bytes`.
    pub overflow: Overflow,
    /// True if the content's hash serves as deduplication id when the sender gives none; used by
    /// doors.
    pub content_based_deduplication: bool,
    /// The scope within which deduplication ids are unique.
    pub dedup_scope: DedupScope,
    /// The time for which a deduplication id is remembered, in RAM: about 145 bytes and the id for
    /// each (`examples/key_memory.rs`). Thirty days are fine for a million ids.
    pub dedup_window_ms: u64,
    /// Dead-letter rule.
    pub dead_letter: Option<DeadLetter>,
    /// The rule by which the next lane is chosen.
    pub fairness: Fairness,
    /// The rate of deliveries of the whole queue.
    pub rate: Option<RateLimit>,
    /// Limits of each lane.
    pub lanes: LaneLimits,
    /// The retry policy: when and how often failed messages are tried again; `None` for at once, as
    /// SQS does.
    pub retry: Option<RetryPolicy>,
    /// A message of a standard queue that was received this often without being acknowledged goes
    /// to the back when it becomes visible again, so that it does not hold up the others (SQS: 3).
    /// `None` keeps every message in its place. At least 1.
    pub back_after_receives: Option<u32>,
    /// True if past attempts of messages are kept; a queue with a retry policy keeps them in any
    /// case.
    pub keep_history: bool,
    /// The place that takes messages whose time is over.
    pub expired_to: ExpiredTo,
    /// Retry budget and breaker.
    pub guard: Option<Guard>,
    /// The attribute of messages whose values have guards, with [`crate::GuardKey::Attribute`].
    pub guard_attribute: Option<String>,
    /// The rights of receipts of earlier deliveries.
    pub fencing: Fencing,
    /// Settings that only doors understand (policies, encryption keys), stored verbatim.
    pub attributes: BTreeMap<String, String>,
    /// The user's tags.
    pub tags: BTreeMap<String, String>,
}

/// The number of receives from which on a message of a standard queue goes to the back (Amazon SQS
/// metrics guide, on the age of the oldest message).
pub const BACK_AFTER_RECEIVES: u32 = 3;

impl QueueConfig {
    /// Returns the first setting that is out of bounds, as a text for people; settings that doors
    /// alone understand are not looked at.
    pub fn check(&self) -> Result<(), &'static str> {
        crate::retry::check(self)?;
        crate::lane_policy::check(self)
    }

    /// Returns the values that omitted sections stand for: a configuration's later sections are not
    /// written while they hold these. Frozen, whatever the defaults of new queues become.
    pub fn unwritten() -> Self {
        Self {
            retention_ms: 345_600_000,
            retention_from: RetentionFrom::Sent,
            fencing: Fencing::NONE,
            ..Self::default()
        }
    }

    /// Returns true if dead letters, or messages whose time is over, go to a queue of this name.
    pub fn dead_go_to(&self, name: &QueueName) -> bool {
        let by_rule = self.dead_letter.as_ref().is_some_and(|rule| rule.target == *name);
        by_rule || matches!(&self.expired_to, ExpiredTo::Queue(target) if target == name)
    }

    /// Returns true if past attempts of messages are kept.
    pub fn keeps_history(&self) -> bool {
        self.keep_history || self.retry.is_some()
    }
}

impl Default for QueueConfig {
    /// The defaults of the SQS API reference (CreateQueue), except that nothing is lost to time and
    /// that overtaken receipts decide nothing.
    fn default() -> Self {
        Self {
            kind: QueueKind::Standard,
            visibility_timeout_ms: 30_000,
            delay_ms: 0,
            retention_ms: FOREVER,
            retention_from: RetentionFrom::default(),
            receive_wait_ms: 0,
            max_message_bytes: 1_048_576,
            max_in_flight: 120_000,
            max_messages: None,
            max_bytes: None,
            overflow: Overflow::Refuse,
            content_based_deduplication: false,
            dedup_scope: DedupScope::Queue,
            dedup_window_ms: 300_000,
            dead_letter: None,
            fairness: Fairness::QuietFirst,
            rate: None,
            lanes: LaneLimits::default(),
            retry: None,
            back_after_receives: Some(BACK_AFTER_RECEIVES),
            keep_history: false,
            expired_to: ExpiredTo::Nowhere,
            guard: None,
            guard_attribute: None,
            fencing: Fencing::default(),
            attributes: BTreeMap::new(),
            tags: BTreeMap::new(),
        }
    }
}

/// A queue as doors see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueInfo {
    /// Identifier, never reused.
    pub id: QueueId,
    /// Namespace and name.
    pub name: QueueName,
    /// Current settings.
    pub config: QueueConfig,
    /// The version of `config`, which rises by one with every change; it guards read-modify-write.
    pub version: u64,
    /// The time at which the queue was created.
    pub created_at_ms: UnixMs,
    /// The time at which `config` last changed.
    pub modified_at_ms: UnixMs,
}

/// A queue's counts; exact, O(1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct QueueStats {
    /// Messages that an acquire may return (including ones behind a locked lane).
    pub ready: u64,
    /// Messages whose delay has not passed, or that are held.
    pub delayed: u64,
    /// The delayed messages that wait for a token of the retry budget.
    pub held: u64,
    /// Messages under lease.
    pub in_flight: u64,
    /// Bytes of the message frames.
    pub bytes: u64,
    /// Lanes with a message under lease.
    pub lanes_in_flight: u64,
    /// True if the queue is paused: receives get nothing until it is resumed.
    pub paused: bool,
    /// The time at which the pause ends by itself.
    pub paused_until_ms: Option<UnixMs>,
    /// The time at which the oldest message was first enqueued.
    pub oldest_enqueued_at_ms: Option<UnixMs>,
    /// The time at which the newest message was first enqueued.
    pub newest_enqueued_at_ms: Option<UnixMs>,
    /// The number of messages that are kept in this archive.
    pub archived: u64,
    /// The number of dead letters that are kept here because there was nowhere to move them.
    pub dead: u64,
    /// The last sequence number that was given out; 0 if none was.
    pub last_seq: u64,
}

/// A queue's totals since it was created. Every message that came in (sent, moved in) is still
/// there or went out once (acked, expired, dropped, rejected, moved out, purged, cancelled).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema))]
pub struct QueueTotals {
    /// Messages enqueued.
    pub sent: u64,
    /// Deliveries.
    pub received: u64,
    /// Messages acknowledged.
    pub acked: u64,
    /// Messages removed past their retention or their own expiry.
    pub expired: u64,
    /// Messages dropped to make room.
    pub dropped: u64,
    /// Messages discarded by their consumer.
    pub rejected: u64,
    /// Messages that came from another queue.
    pub moved_in: u64,
    /// Messages that went to another queue.
    pub moved_out: u64,
    /// Messages purged.
    pub purged: u64,
    /// Messages that a person removed one by one.
    pub cancelled: u64,
    /// The expired messages that were past their own expiry.
    pub expired_by_deadline: u64,
    /// The messages that were moved out because they were received too often.
    pub dead_by_receives: u64,
    /// The messages that were moved out because a consumer rejected them.
    pub dead_by_rejection: u64,
    /// The messages that were moved out past their own expiry.
    pub dead_by_deadline: u64,
    /// The messages that were moved out past their retention.
    pub dead_by_retention: u64,
    /// Acknowledgements by deliveries that a later delivery had followed, refused or accepted.
    pub stale_acks: u64,
    /// The stale acknowledgements that were accepted (`fencing.accept_late_acks`).
    pub late_acks: u64,
    /// The messages of which two deliveries were acknowledged, whatever the answers were: the work
    /// was done twice. A message counts once; it is detected while the message is there or among
    /// the last that were acknowledged after more than one delivery (`MAX_FINISHED_KEPT`).
    pub double_executions: u64,
    /// Failed attempts that had to wait for a token of the retry budget.
    pub held: u64,
    /// The number of times that a breaker opened.
    pub breaker_opened: u64,
    /// Dead letters that were kept here, because there was nowhere to move them.
    #[cfg_attr(feature = "serde", serde(default))]
    pub kept_dead: u64,
    /// The kept dead letters that a move task brought back in this queue.
    #[cfg_attr(feature = "serde", serde(default))]
    pub revived: u64,
}
