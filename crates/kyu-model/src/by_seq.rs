//! Commands that name messages by their sequence numbers, and what SQL transactions need of the
//! engine: reserved numbers, claims, and their conclusion.
//!
//! A transaction of a door lives in the door. Its claims are here: a claimed message is held by
//! the transaction's session and remembers the phase that it was in. Nobody else is given it. The
//! claim ends by [`crate::Command::Conclude`], in the group that commits, or by giving it back,
//! which leaves no trace. A crash gives all claims back.

use crate::command::{Lease, NewMessage};
use crate::ids::{QueueId, QueueName, Seq, SessionId, UnixMs};
use crate::reply::Delivery;

/// See [`crate::Command::Reserve`].
#[derive(Clone, Copy, Debug)]
pub struct Reserve {
    /// The queue.
    pub queue: QueueId,
    /// How many numbers, from 1 to [`crate::limits::MAX_RESERVED`].
    pub count: u32,
}

/// A queue that a group may have made itself, so that its identifier is not known yet.
#[derive(Clone, Debug)]
pub enum QueueRef {
    /// This one, and no successor of the same name.
    Id(QueueId),
    /// The one that has this name now.
    Name(QueueName),
}

/// See [`crate::Command::EnqueueReserved`].
#[derive(Clone, Debug)]
pub struct EnqueueReserved {
    /// The queue; `NewMessage::queues` is not looked at.
    pub queue: QueueRef,
    /// The messages, to [`crate::limits::MAX_BATCH`].
    pub messages: Vec<ReservedMessage>,
}

/// A message with a place that was reserved for it.
#[derive(Clone, Debug)]
pub struct ReservedMessage {
    /// Its sequence number.
    pub seq: Seq,
    /// When it becomes ready; at once if that is past.
    pub ready_at_ms: UnixMs,
    /// The message. Its `delay_ms` is not looked at.
    pub message: NewMessage,
}

/// See [`crate::Command::BySeq`]. One result for each number, in order.
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
    /// What happens to them.
    pub action: SeqAction,
}

/// What happens to messages that are named by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeqAction {
    /// Lease those that an acquire might return now; others are missing.
    Acquire(Lease),
    /// Claim them for a transaction, in whatever phase they are; what it has claimed already too.
    Claim(SessionId),
    /// Remove them, in whatever phase they are.
    Remove,
    /// Remove them if they were received this often and not more (fencing).
    RemoveIfReceived(u32),
    /// Make them ready at this time, in whatever phase they are; at once if it is past. One that is
    /// leased stays leased, until then.
    ShowAt(UnixMs),
    /// Move them into an archive, keeping their numbers.
    Archive {
        /// The archive, a queue of its own.
        to: QueueId,
    },
}

/// Result for one sequence number.
#[derive(Clone, Debug, PartialEq)]
pub enum SeqResult {
    /// Done; the message as it is now, or was last.
    Done(Delivery),
    /// There is no such message, or not one that the action is for.
    Missing,
    /// This session's transaction has claimed it, or one before it (see [`BySeq`]); nothing was
    /// done. Try again when that has ended.
    Busy(SessionId),
}

/// See [`crate::Command::Conclude`].
#[derive(Clone, Debug)]
pub struct Conclude {
    /// Whose claims end.
    pub session: SessionId,
    /// The queue.
    pub queue: QueueRef,
    /// Claimed messages, or such that the same group enqueued, to [`crate::limits::MAX_BATCH`].
    pub items: Vec<(Seq, Fate)>,
}

/// How a transaction leaves a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// As it was.
    Untouched,
    /// It was received so often, the last time then, and is to be ready at a time.
    Received {
        /// Receives of the transaction; 0 if only the time was changed.
        times: u32,
        /// When it received it last.
        at_ms: UnixMs,
        /// When it is to be ready again; at once if that is past.
        ready_at_ms: UnixMs,
    },
    /// Gone.
    Removed,
    /// In the archive of this name; with the receives of the transaction.
    Archived {
        /// Receives of the transaction.
        times: u32,
        /// When it received it last.
        at_ms: UnixMs,
    },
}

/// See [`crate::Command::GiveBack`].
#[derive(Clone, Debug)]
pub struct GiveBack {
    /// Whose claims end.
    pub session: SessionId,
    /// The queues in which it may have claims.
    pub queues: Vec<QueueId>,
}

/// Where archived messages of a queue go: a queue of the same name in a namespace beside its own.
pub fn archive_name(queue: &QueueName) -> QueueName {
    QueueName { namespace: format!("{}/archive", queue.namespace), name: queue.name.clone() }
}
