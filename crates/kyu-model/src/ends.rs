//! The ends of messages that left their queue without an acknowledgement.

use std::sync::Arc;

use crate::ids::{QueueName, Seq, UnixMs};
use crate::retry::DeadReason;

/// The kind of a message's end, other than an acknowledgement. Numbers are frozen: they are on
/// disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EndKind {
    /// The queue's retention ended.
    Expired = 0,
    /// The message's own expiry had passed.
    Deadline = 1,
    /// The message was dropped to make room in a full queue, or for a message with its unique key.
    Dropped = 2,
    /// The message was rejected for good, by a version that did not keep such messages.
    Rejected = 3,
    /// The message moved to another queue.
    Moved = 4,
    /// A person removed it.
    Cancelled = 5,
}

/// The end of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Its number.
    pub seq: Seq,
    /// The time at which it left.
    pub at_ms: UnixMs,
    /// The kind of its end.
    pub kind: EndKind,
    /// The queue that it moved to and its number there, if it was moved.
    pub to: Option<(Arc<QueueName>, Seq)>,
    /// The reason why it was dead, if it was moved as a dead letter.
    pub dead_reason: Option<DeadReason>,
    /// Its last consumer, if that is known.
    pub consumer: Option<Arc<str>>,
    /// The last error, if one is known; at most [`crate::limits::MAX_END_TEXT_BYTES`] of it.
    pub error: Option<Arc<str>>,
}
