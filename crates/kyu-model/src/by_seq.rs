//! Commands that name messages by their sequence numbers, and the engine's part of SQL
//! transactions: reserved numbers, claims, and their conclusion.
//!
//! A transaction of a door lives in the door. Its claims are here: a claimed message is held by
//! the transaction's session and remembers the phase that it was in. Nobody else is given it. The
//! claim ends by [`crate::Command::Conclude`], in the group that commits, or by giving it back,
//! which leaves no trace. A crash gives all claims back.

use crate::command::{Lease, NewMessage};
use crate::ids::{QueueId, QueueName, Seq, SessionId, UnixMs};
use crate::reply::Delivery;

/// The parameters of [`crate::Command::Reserve`].
#[derive(Clone, Copy, Debug)]
pub struct Reserve {
    /// The queue.
    pub queue: QueueId,
    /// The count of numbers to reserve, from 1 to [`crate::limits::MAX_RESERVED`].
    pub count: u32,
}

/// A reference to a queue by identifier or by name; by name for a queue that the same atomic group
/// creates, whose identifier is not known yet.
#[derive(Clone, Debug)]
pub enum QueueRef {
    /// The queue with this identifier, and no later queue of the same name.
    Id(QueueId),
    /// The queue that has this name now.
    Name(QueueName),
}

/// The parameters of [`crate::Command::EnqueueReserved`].
#[derive(Clone, Debug)]
pub struct EnqueueReserved {
    /// The queue; `NewMessage::queues` is ignored.
    pub queue: QueueRef,
    /// The messages, to [`crate::limits::MAX_BATCH`].
    pub messages: Vec<ReservedMessage>,
}

/// A message with a place that was reserved for it.
#[derive(Clone, Debug)]
pub struct ReservedMessage {
    /// Its sequence number.
    pub seq: Seq,
    /// The time at which the message becomes ready; a time in the past means at once.
    pub ready_at_ms: UnixMs,
    /// The message. Its `delay_ms` is ignored.
    pub message: NewMessage,
}

/// The parameters of [`crate::Command::BySeq`]. One result for each number, in order.
///
/// Where a transaction has claimed one of them: an acquire passes over it, a claim ends before it,
/// and anything else is not done at all, so that a statement that waits has done all or nothing.
#[derive(Clone, Debug)]
pub struct BySeq {
    /// The queue.
    pub queue: QueueId,
    /// The messages, to [`crate::limits::MAX_BATCH`]; one that is named twice is missing the
    /// second time.
    pub seqs: Vec<Seq>,
    /// The action on each of them.
    pub action: SeqAction,
}

/// An action on messages that are named by their sequence numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeqAction {
    /// Lease the messages that an acquire might return now; others are missing.
    Acquire(Lease),
    /// Claim the messages for a transaction, in whatever phase they are; also those that it has
    /// claimed already.
    Claim(SessionId),
    /// Remove the messages, in whatever phase they are.
    Remove,
    /// Remove the messages if they were received exactly this often (fencing).
    RemoveIfReceived(u32),
    /// Make the messages ready at this time, in whatever phase they are; a time in the past means
    /// at once. A leased message stays leased until then.
    ShowAt(UnixMs),
    /// Move the messages into an archive, where they keep their numbers.
    Archive {
        /// The archive, a queue of its own.
        to: QueueId,
    },
}

/// Result for one sequence number.
#[derive(Clone, Debug, PartialEq)]
pub enum SeqResult {
    /// The action was done; this is the message as it is now, or was last.
    Done(Delivery),
    /// There is no such message, or the action does not apply to it.
    Missing,
    /// This session's transaction has claimed the message, or one before it (see [`BySeq`]);
    /// nothing was done. Try again when the transaction has ended.
    Busy(SessionId),
}

/// The parameters of [`crate::Command::Conclude`].
#[derive(Clone, Debug)]
pub struct Conclude {
    /// The session whose claims end.
    pub session: SessionId,
    /// The queue.
    pub queue: QueueRef,
    /// The claimed messages, or messages that the same group enqueued, to
    /// [`crate::limits::MAX_BATCH`].
    pub items: Vec<(Seq, Fate)>,
}

/// The state in which a transaction leaves a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The message is as it was before the claim.
    Untouched,
    /// The message was received a number of times and becomes ready at a given time.
    Received {
        /// The number of receives in the transaction; 0 if only the time was changed.
        times: u32,
        /// The time of the transaction's last receive of the message.
        at_ms: UnixMs,
        /// The time at which the message becomes ready again; a time in the past means at once.
        ready_at_ms: UnixMs,
    },
    /// The message is removed.
    Removed,
    /// The message is in the archive of this name, and the transaction's receives are counted.
    Archived {
        /// The number of receives in the transaction.
        times: u32,
        /// The time of the transaction's last receive of the message.
        at_ms: UnixMs,
    },
}

/// The parameters of [`crate::Command::GiveBack`].
#[derive(Clone, Debug)]
pub struct GiveBack {
    /// The session whose claims end.
    pub session: SessionId,
    /// The queues in which it may have claims.
    pub queues: Vec<QueueId>,
}

/// Returns the name of a queue's archive, which is a queue of the same name in a namespace beside
/// its own.
pub fn archive_name(queue: &QueueName) -> QueueName {
    QueueName { namespace: format!("{}/archive", queue.namespace), name: queue.name.clone() }
}
