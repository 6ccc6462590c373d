//! The facts of messages, and their frozen binary form.

use kyu_model::{Address, BindingId, DeadReason, EndKind, QueueId, Seq, SessionId, UnixMs};

use crate::queue::unique::UniqueTaken;

/// The reason why messages were removed. Frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Removal {
    Acked = 0,
    /// The message was past the retention or its own expiry.
    Expired = 1,
    /// The message made room in a full queue.
    Dropped = 2,
    /// The message was rejected for good, or tried too often, without a dead-letter queue, before
    /// such messages were kept.
    Rejected = 3,
    /// The message was past its own expiry.
    Deadline = 4,
    /// A person removed it.
    Cancelled = 5,
}

/// The reason why a message moved to another queue. Frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum MoveReason {
    /// The message was received as often as the dead-letter rule allows.
    MaxReceives = 0,
    /// The message was rejected for good by its consumer.
    Rejected = 1,
    /// A move task brought it back: it starts a new life.
    Redrive = 2,
    /// The message was past its own expiry.
    Deadline = 3,
    /// The message was past the retention of its queue.
    Retention = 4,
}

impl Removal {
    /// Returns the kind of end that the queue's memory of ends records; `None` for an
    /// acknowledgement.
    pub(crate) fn end_kind(self) -> Option<EndKind> {
        match self {
            Self::Acked => None,
            Self::Expired => Some(EndKind::Expired),
            Self::Dropped => Some(EndKind::Dropped),
            Self::Rejected => Some(EndKind::Rejected),
            Self::Deadline => Some(EndKind::Deadline),
            Self::Cancelled => Some(EndKind::Cancelled),
        }
    }
}

impl MoveReason {
    /// Returns the reason for moving a dead letter.
    pub(crate) fn of(reason: DeadReason) -> Self {
        match reason {
            DeadReason::MaxReceives => Self::MaxReceives,
            DeadReason::Rejected => Self::Rejected,
            DeadReason::Deadline => Self::Deadline,
            DeadReason::Retention => Self::Retention,
        }
    }

    /// Returns the reason why the message is dead, if it is.
    pub(crate) fn dead(self) -> Option<DeadReason> {
        match self {
            Self::MaxReceives => Some(DeadReason::MaxReceives),
            Self::Rejected => Some(DeadReason::Rejected),
            Self::Deadline => Some(DeadReason::Deadline),
            Self::Retention => Some(DeadReason::Retention),
            Self::Redrive => None,
        }
    }
}

/// The state that a message takes along when it moves to another queue. Frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The message arrives as the reason and the kind of the target say, and its receives count on
    /// there. Moves from before the other two existed are of this kind, and moves back (redrives)
    /// still are.
    ByReason,
    /// A dead letter with its age, and with receives of its own.
    WithAge,
    /// A dead letter whose age begins anew, and with receives of its own.
    Anew,
}

/// The end of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaseEnd {
    At(UnixMs),
    Session(SessionId),
}

/// The facts of a queue's messages.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum MessageFact {
    Enqueued(EnqueuedFact),
    Leased {
        queue: QueueId,
        at_ms: UnixMs,
        epoch: u32,
        end: LeaseEnd,
        attempt: Option<String>,
        seqs: Vec<Seq>,
    },
    Removed {
        queue: QueueId,
        reason: Removal,
        seqs: Vec<Seq>,
        /// The time, if their end is to be remembered; `None` for acknowledgements.
        at_ms: Option<UnixMs>,
    },
    /// A message is ready or delayed again: by its consumer, by the end of a session, or by time.
    Released {
        queue: QueueId,
        seq: Seq,
        ready_at_ms: Option<UnixMs>,
        order: Option<u64>,
        counted: bool,
    },
    Extended {
        queue: QueueId,
        seq: Seq,
        until_ms: UnixMs,
    },
    /// A delay is over or a lease has lapsed.
    Promoted {
        queue: QueueId,
        seqs: Vec<Seq>,
    },
    Moved {
        from: QueueId,
        seq: Seq,
        to: QueueId,
        to_seq: Seq,
        at_ms: UnixMs,
        reason: MoveReason,
        arrival: Arrival,
    },
    /// A frame was written again at a later place in the log.
    Relocated {
        from: Address,
        owners: Vec<(QueueId, Seq)>,
        frame: FramePlace,
    },
    /// A receive attempt was repeated: its messages are leased anew, its receipts stay.
    AttemptRepeated {
        queue: QueueId,
        attempt: String,
        until_ms: UnixMs,
    },
    /// A message is dead and stays where it is.
    KeptDead {
        queue: QueueId,
        seq: Seq,
        at_ms: UnixMs,
        reason: MoveReason,
    },
    /// A dead letter that was kept begins a new life in its queue.
    Revived {
        queue: QueueId,
        seq: Seq,
        at_ms: UnixMs,
    },
    /// The retention of these messages counts from this time on.
    Receivable {
        queue: QueueId,
        at_ms: UnixMs,
        seqs: Vec<Seq>,
    },
    /// A message that came in before in the same record holds a key.
    UniqueTaken(Box<UniqueTaken>),
    /// Messages have another priority.
    Prioritised {
        queue: QueueId,
        priority: u8,
        seqs: Vec<Seq>,
    },
}

/// A frame inside the record: offset from the record's start, and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FramePlace {
    pub(crate) offset: u32,
    pub(crate) bytes: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EnqueuedFact {
    pub(crate) queue: QueueId,
    pub(crate) seq: Seq,
    pub(crate) at_ms: UnixMs,
    /// The time at which the message becomes ready; `None` for at once.
    pub(crate) ready_at_ms: Option<UnixMs>,
    pub(crate) expires_at_ms: Option<UnixMs>,
    pub(crate) priority: u8,
    pub(crate) lane: Option<String>,
    /// The deduplication id, and the time until which it is remembered.
    pub(crate) dedup: Option<(String, UnixMs)>,
    pub(crate) message_id: u128,
    /// Place of the frame; further targets of one message share the first one's.
    pub(crate) frame: FramePlace,
    /// The number of targets that share the frame.
    pub(crate) shares: u32,
    /// The binding that the message came by, where its receiver is to be told.
    pub(crate) via: Option<BindingId>,
}

impl MessageFact {
    /// Returns true if the fact adds to what is stored: see [`crate::Effects::grows`].
    pub(crate) fn grows(&self) -> bool {
        match self {
            Self::Enqueued(_) => true,
            Self::Leased { .. }
            | Self::Removed { .. }
            | Self::Released { .. }
            | Self::Extended { .. }
            | Self::Promoted { .. }
            | Self::Moved { .. }
            | Self::Relocated { .. }
            | Self::AttemptRepeated { .. }
            | Self::KeptDead { .. }
            | Self::Revived { .. }
            | Self::Receivable { .. }
            | Self::UniqueTaken(_)
            | Self::Prioritised { .. } => false,
        }
    }

    /// The frame in the record that the fact refers to.
    pub(crate) fn frame(&self) -> Option<FramePlace> {
        match self {
            Self::Enqueued(enqueued) => Some(enqueued.frame),
            Self::Relocated { frame, .. } => Some(*frame),
            Self::Leased { .. }
            | Self::Removed { .. }
            | Self::Released { .. }
            | Self::Extended { .. }
            | Self::Promoted { .. }
            | Self::Moved { .. }
            | Self::AttemptRepeated { .. }
            | Self::KeptDead { .. }
            | Self::Revived { .. }
            | Self::Receivable { .. }
            | Self::UniqueTaken(_)
            | Self::Prioritised { .. } => None,
        }
    }
}
