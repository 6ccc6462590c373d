//! Messages: on their way in, received, settled.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ItemError;

/// A value beside the body: text, or with its type as SQS has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AttributeValue {
    /// Text (type `String`).
    Text(String),
    /// Any type.
    Typed(TypedValue),
}

/// A typed value; one of `value` and `value_base64`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TypedValue {
    /// Such as `String`, `Number`, `Number.int`, `Binary`.
    pub data_type: String,
    /// Text, or a number as it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Bytes in base64 (RFC 4648 section 4, with padding).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_base64: Option<String>,
}

/// A message to send; one of `body` and `body_base64`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NewMessage {
    /// The body as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The body in base64 (RFC 4648 section 4, with padding).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// Values beside the body.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, AttributeValue>,
    /// Not received before this has passed; the queue's delay if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 315_576_000_000_u64))]
    pub delay_ms: Option<u64>,
    /// Not received before this time, instead of `delay_ms`; at once if it is past.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 253_402_300_799_999_u64))]
    pub ready_at_ms: Option<u64>,
    /// Expires at this time if it is still there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 253_402_300_799_999_u64))]
    pub expires_at_ms: Option<u64>,
    /// 0 to 255, which is received first.
    #[serde(skip_serializing_if = "is_zero")]
    pub priority: u8,
    /// Lane: message group, tenant, partition key. FIFO queues need one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// Sent again within the queue's window under the same id, it is accepted and not enqueued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedup_id: Option<String>,
    /// A key that no other message of the queue may hold at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique: Option<Unique>,
}

/// No other message of the queue with this key is there, or was lately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unique {
    /// The key, of 1 to 512 bytes.
    pub key: String,
    /// Hold the key for this time from the send, done or not; to 366 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 31_622_400_000_u64))]
    pub for_ms: Option<u64>,
    /// Hold the key as long as the message is in the queue. `true` if left out, unless `for_ms` is
    /// given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_done: Option<bool>,
    /// The policy if another message holds the key.
    #[serde(default)]
    pub policy: UniquePolicy,
}

/// The policy for a new message whose unique key is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UniquePolicy {
    /// It is dropped as a duplicate.
    #[default]
    Keep,
    /// It takes the place of a message that waits; otherwise it is dropped as a duplicate.
    Replace,
}

/// The kind of message that a dropped one is a duplicate of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DuplicateOf {
    /// A message with its deduplication id, within the queue's window.
    DedupId,
    /// A message with its unique key that waits to be delivered.
    UniqueWaiting,
    /// A message with its unique key that is in flight.
    UniqueInFlight,
    /// A message with its unique key that is done, but holds the key for a time.
    UniqueDone,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u8) -> bool {
    *number == 0
}

/// Messages to send, 1 to 1000; each succeeds or fails alone, and the order is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendBatch {
    /// The messages.
    pub messages: Vec<NewMessage>,
}

/// A message that is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sent {
    /// UUID; that of the first if this is a duplicate.
    pub message_id: String,
    /// Place in the queue's order of arrival.
    pub seq: u64,
    /// It was accepted and not enqueued, because `message_id` is there.
    pub duplicate: bool,
    /// The reason why it is a duplicate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<DuplicateOf>,
    /// The waiting message that it took the place of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_message_id: Option<String>,
}

/// The outcome of one message of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SendResult {
    /// It is on disk.
    Sent(Sent),
    /// It is not.
    Refused {
        /// The reason.
        error: ItemError,
    },
}

/// One result for each message, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SendResults {
    /// The results.
    pub results: Vec<SendResult>,
}

/// The options of a receive. All may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Receive {
    /// Most messages, from 1 to 1000; 1 if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_messages: Option<u32>,
    /// Most bytes of messages; the first is exempt. At most and by default 4 MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 4_194_304))]
    pub max_bytes: Option<u64>,
    /// The time to wait for the first message, to 60 s; the queue's setting if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 60_000))]
    pub wait_ms: Option<u64>,
    /// The time for which the messages are leased, to 12 hours; the queue's visibility timeout if
    /// left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 43_200_000_u64))]
    pub lease_ms: Option<u64>,
    /// FIFO queues: the same key within five minutes gives the same messages and receipts again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt_id: Option<String>,
    /// The name of the receiver, for the history of attempts; 128 bytes are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// The messages shall come with their past attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with_history: Option<bool>,
}

/// Received messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReceivedMessages {
    /// In order; empty when none came in time.
    pub messages: Vec<Message>,
    /// The time for which they are leased.
    pub lease_ms: u64,
}

/// A message in a queue; its body is in one of `body` and `body_base64`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// UUID; kept when the message moves to another queue.
    pub message_id: String,
    /// Place in the queue's order of arrival.
    pub seq: u64,
    /// Proof of this delivery, for settle and extend; absent when only looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
    /// The body, if it is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The body in base64, if it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// Values beside the body.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, AttributeValue>,
    /// Lane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// Deduplication id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedup_id: Option<String>,
    /// The place in its life; after a receive, `leased`.
    pub state: MessageState,
    /// The time at which that ends by itself: the delay, the lease, the backoff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_until_at_ms: Option<u64>,
    /// The time at which it was sent.
    pub sent_at_ms: u64,
    /// Deliveries by this queue that count, with this one.
    pub receive_count: u32,
    /// Deliveries that count, also by the queues that it was dead-lettered from.
    #[serde(default)]
    pub total_receive_count: u32,
    /// The time at which it was first received; `null` if never.
    pub first_received_at_ms: Option<u64>,
    /// The queue that it was dead-lettered from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter_source: Option<String>,
    /// The reason why it was dead-lettered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_reason: Option<DeadReason>,
    /// Past attempts, oldest first, where they were asked for and are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past_attempts: Vec<PastAttempt>,
    /// The time at which the run of the schedule was due that sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at_ms: Option<u64>,
    /// The binding that it came by, unless that delivers bare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding_id: Option<String>,
    /// The sender, if it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// Trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_header: Option<String>,
    /// The topic that it was published to, as the door that took it says (SNS: an ARN).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Its subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

/// The reason why a message is in a dead-letter queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeadReason {
    /// It was received, or failed, as often as the queue allows.
    MaxReceives,
    /// Its consumer rejected it for good.
    Rejected,
    /// It was past its own `expires_at_ms`.
    Deadline,
    /// It was past the queue's retention.
    Retention,
}

/// The end of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptEnd {
    /// The consumer said that it failed, or gave it back as a failure.
    Failed,
    /// The consumer rejected the message for good.
    Rejected,
    /// The lease lapsed.
    TimedOut,
    /// The consumer's session (its connection) ended.
    Disconnected,
    /// The consumer gave it back, not counted as a failure.
    GivenBack,
    /// The message's time was over while it was under lease.
    Expired,
}

/// One attempt that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PastAttempt {
    /// The time at which the message was handed out.
    pub started_at_ms: u64,
    /// The time at which the attempt ended.
    pub ended_at_ms: u64,
    /// Its end.
    pub end: AttemptEnd,
    /// The consumer to which it was handed, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// The error, if that was said and is still kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The reason why a message is held back beyond its delay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Hold {
    /// It failed and waits for its next attempt.
    Backoff {
        /// The end of its delay.
        until_at_ms: u64,
    },
    /// It waits for a token of the retry budget.
    Budget {
        /// Messages that get a token before it.
        ahead: u64,
        /// The time at which its token comes by itself; successes bring it earlier.
        until_at_ms: u64,
    },
    /// The breaker is open, or half open with all its probes under way.
    Breaker {
        /// The time at which it lets attempts through again.
        until_at_ms: u64,
    },
    /// The breaker is closing, and as many attempts are under way as it allows now.
    SlowStart {
        /// Attempts under way.
        in_flight: u32,
        /// As many as may be.
        allowed: u32,
    },
}

/// The history of one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageHistory {
    /// Times received from this queue.
    pub receive_count: u32,
    /// Times received, also from the queues that it was dead-lettered from.
    #[serde(default)]
    pub total_receive_count: u32,
    /// The queue that it was dead-lettered from.
    pub dead_letter_source: Option<String>,
    /// The reason why it was dead-lettered.
    pub dead_reason: Option<DeadReason>,
    /// Past attempts that are kept, oldest first.
    pub past_attempts: Vec<PastAttempt>,
    /// Attempts that were forgotten before these.
    pub forgotten_attempts: u64,
    /// The consumer that has it under lease, if that is known.
    pub consumer: Option<String>,
    /// The reason why it is held back now, if it is.
    pub hold: Option<Hold>,
}

/// The place of a message in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// A receive may return it.
    #[default]
    Ready,
    /// Its delay is not over.
    Delayed,
    /// Under lease.
    Leased,
    /// Held by a session, such as a connection.
    Held,
    /// Kept in an archive.
    Archived,
    /// It failed and waits for its next attempt.
    Backoff,
    /// It failed and waits for a token of the retry budget.
    Parked,
    /// Dead, and kept because there was nowhere to move it: not delivered until a move task brings
    /// it back.
    Dead,
}

/// The messages to go through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Browse {
    /// The namespace; the server's own if left out.
    pub namespace: Option<String>,
    /// Begin at this place in the order of arrival.
    pub from_seq: Option<u64>,
    /// Only those that are ready.
    pub only_ready: Option<bool>,
    /// Most messages, from 1 to 1000; 10 if left out. A page has at most 4 MiB of them.
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<u32>,
}

/// Messages of a queue in any state, without receipts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BrowsedMessages {
    /// In order of arrival; a page may be empty before the last.
    pub items: Vec<Message>,
    /// `from_seq` of the next page; `null` on the last.
    pub next_seq: Option<u64>,
}

/// The number of messages to look at in a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Peek {
    /// The namespace; the server's own if left out.
    pub namespace: Option<String>,
    /// Most messages, from 1 to 1000; 10 if left out. There are at most 4 MiB of them.
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<u32>,
}

/// Messages at the head of a queue, without receipts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PeekedMessages {
    /// In the order in which a receive would return them.
    pub items: Vec<Message>,
}

/// The end of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done: the message is removed.
    Ack,
    /// Not done: the message goes back.
    Release,
    /// Tried and failed, with a word on why; it is tried again as the queue's retry policy says.
    Failed,
    /// Never to be tried again: to the dead-letter queue, or kept as `dead` while there is none.
    Dead,
}

/// One delivery and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SettleItem {
    /// Its receipt.
    pub receipt: String,
    /// Its end.
    pub outcome: Outcome,
    /// Release and failed only: not received again before this has passed; if left out, what the
    /// queue's retry policy says if the attempt counts, otherwise at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 315_576_000_000_u64))]
    pub delay_ms: Option<u64>,
    /// Release only: to the end of the queue instead of its old place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_tail: Option<bool>,
    /// Release only: whether the attempt counts; it does if left out. One that was never begun
    /// should not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<bool>,
    /// Failed only: what went wrong, for the history; 1024 bytes are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Failed only: whether another attempt may succeed; otherwise as `dead`. `true` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<bool>,
}

/// Deliveries to settle, 1 to 1000; each succeeds or fails alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settle {
    /// The deliveries.
    pub items: Vec<SettleItem>,
}

/// The outcome of a settle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettleStatus {
    /// Done as asked.
    Done,
    /// The message is no longer there: acknowledged before, expired, or purged.
    Gone,
    /// A later delivery exists: this one may not decide.
    Stale,
    /// The lease has lapsed, and it is too late.
    Lapsed,
    /// The receipt is none of this queue.
    Foreign,
}

/// One result of a settle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SettleResult {
    /// The outcome.
    pub status: SettleStatus,
}

/// One result for each item, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SettleResults {
    /// The results.
    pub results: Vec<SettleResult>,
}

/// One lease and how long it is to run from now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtendItem {
    /// Its receipt.
    pub receipt: String,
    /// Milliseconds from now; 0 gives the message back at once.
    #[schemars(range(max = 43_200_000_u64))]
    pub lease_ms: u64,
}

/// Leases to extend, 1 to 1000; each succeeds or fails alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Extend {
    /// The leases.
    pub items: Vec<ExtendItem>,
}

/// The outcome of an extend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExtendStatus {
    /// Done as asked.
    Done,
    /// The message is no longer there.
    Gone,
    /// The message is there, but not in flight under this receipt.
    NotInFlight,
    /// The receipt is none of this queue.
    Foreign,
    /// The lease would end more than 12 hours after its receive.
    TooLong,
}

/// One result of an extend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExtendResult {
    /// The outcome.
    pub status: ExtendStatus,
}

/// One result for each item, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExtendResults {
    /// The results.
    pub results: Vec<ExtendResult>,
}
