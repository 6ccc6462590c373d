//! Effects: the facts of which the log consists. A record is the effects of one command.
//!
//! The numbers and the layout of every effect are frozen: an old log must replay for ever. A new
//! fact gets a new number; a field is never added to an old one.

use bytes::Bytes;

use crate::claim::ClaimEffect;
use crate::config::QueueConfig;
use crate::dead_effect::DeadEffect;
use crate::effect_codec::number;
use crate::ends::EndKind;
use crate::exchange::{BindingConfig, BindingId, ExchangeConfig, ExchangeId};
use crate::ids::{Address, QueueId, QueueName, Seq, SessionId, UnixMs};
use crate::intervene::PrioritisedEffect;
use crate::ledger_codec::LedgerEffect;
use crate::pause_ends::PauseEndsEffect;
use crate::reply::{MoveFailure, MoveStatus};
use crate::retention::RetentionEffect;
use crate::retry::DeadReason;
use crate::retry_effect::RetryEffect;
use crate::schedule_codec::ScheduleEffect;
use crate::unique::UniqueEffect;
use crate::wire::{Malformed, Reader, Write};

/// Why messages were removed. Frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Removal {
    Acked = 0,
    /// Past retention or its own expiry.
    Expired = 1,
    /// Made room in a full queue.
    Dropped = 2,
    /// Rejected for good, or tried too often, without a dead-letter queue, before such messages were
    /// kept.
    Rejected = 3,
    /// As `Expired`, by its own expiry.
    Deadline = 4,
    /// A person removed it.
    Cancelled = 5,
}

/// Why a message moved to another queue. Frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum MoveReason {
    /// Received as often as the dead-letter rule allows.
    MaxReceives = 0,
    /// Rejected for good by its consumer.
    Rejected = 1,
    /// A move task brought it back: it starts a new life.
    Redrive = 2,
    /// Past its own expiry.
    Deadline = 3,
    /// Past the retention of its queue.
    Retention = 4,
}

impl Removal {
    /// How the memory of ends calls it; `None` for an acknowledgement.
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
    /// Of a dead letter.
    pub(crate) fn of(reason: DeadReason) -> Self {
        match reason {
            DeadReason::MaxReceives => Self::MaxReceives,
            DeadReason::Rejected => Self::Rejected,
            DeadReason::Deadline => Self::Deadline,
            DeadReason::Retention => Self::Retention,
        }
    }

    /// Why the message is dead, if it is.
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

/// What a message brings along when it moves to another queue. Frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// As the reason and the kind of the target have it, and its receives count on there: moves of
    /// before the other two existed. Moves back (redrives) are of this kind still.
    ByReason,
    /// A dead letter with its age, and with receives of its own.
    WithAge,
    /// A dead letter whose age begins anew, and with receives of its own.
    Anew,
}

/// What a move task left where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Skipping {
    pub(crate) skipped: u64,
    pub(crate) looked_at: Seq,
    pub(crate) reason: Option<MoveFailure>,
}

/// Until when a lease runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaseEnd {
    At(UnixMs),
    Session(SessionId),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    QueueCreated {
        queue: QueueId,
        at_ms: UnixMs,
        name: QueueName,
        config: Box<QueueConfig>,
    },
    QueueConfigured {
        queue: QueueId,
        at_ms: UnixMs,
        config: Box<QueueConfig>,
    },
    QueueDeleted {
        queue: QueueId,
        at_ms: UnixMs,
    },
    QueuePurged {
        queue: QueueId,
        at_ms: UnixMs,
    },
    /// The queue was paused, or resumed.
    QueuePaused {
        queue: QueueId,
        at_ms: UnixMs,
        paused: bool,
    },
    /// A lane was paused, or resumed.
    LanePaused {
        queue: QueueId,
        at_ms: UnixMs,
        lane: String,
        paused: bool,
    },
    Enqueued(EnqueuedEffect),
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
        /// When, if how they went is to be remembered; never for acknowledgements.
        at_ms: Option<UnixMs>,
    },
    /// Back to ready or delayed by its consumer, by the end of a session, or by time.
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
    /// Delay over or lease lapsed.
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
    MoveTaskStarted {
        task: u64,
        source: QueueId,
        destination: Option<QueueName>,
        max_per_second: Option<u32>,
        at_ms: UnixMs,
        to_move: u64,
    },
    MoveTaskProgressed {
        task: u64,
        at_ms: UnixMs,
        moved: u64,
        status: MoveStatus,
        failure: Option<String>,
        skipping: Skipping,
    },
    /// Deduplication ids and receive attempts older than this are forgotten.
    Swept {
        queue: QueueId,
        at_ms: UnixMs,
    },
    /// A receive attempt was repeated: its messages are leased anew, its receipts stay.
    AttemptRepeated {
        queue: QueueId,
        attempt: String,
        until_ms: UnixMs,
    },
    /// Names of deleted queues are forgotten from before this time.
    NamesSwept {
        before_ms: UnixMs,
    },
    Exchange(ExchangeEffect),
    Ledger(Box<LedgerEffect>),
    Retry(RetryEffect),
    UniqueTaken(Box<UniqueEffect>),
    Claim(ClaimEffect),
    Schedule(Box<ScheduleEffect>),
    Retention(RetentionEffect),
    Dead(DeadEffect),
    Prioritised(PrioritisedEffect),
    PauseEnds(PauseEndsEffect),
}

/// What happens to exchanges and bindings.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ExchangeEffect {
    Created { exchange: ExchangeId, at_ms: UnixMs, name: QueueName, config: Box<ExchangeConfig> },
    Configured { exchange: ExchangeId, config: Box<ExchangeConfig> },
    Deleted { exchange: ExchangeId },
    Bound { exchange: ExchangeId, binding: BindingId, at_ms: UnixMs, config: Box<BindingConfig> },
    Rebound { binding: BindingId, config: Box<BindingConfig> },
    Unbound { binding: BindingId },
    Published(Box<PublishedEffect>),
}

/// A publication that has a place in its exchange's order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PublishedEffect {
    pub(crate) exchange: ExchangeId,
    pub(crate) seq: u64,
    pub(crate) at_ms: UnixMs,
    /// Key of the deduplication id, and until when it is remembered.
    pub(crate) key: String,
    pub(crate) until_ms: UnixMs,
    pub(crate) message_id: u128,
}

/// A frame inside the record: offset from the record's start, and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FramePlace {
    pub(crate) offset: u32,
    pub(crate) bytes: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EnqueuedEffect {
    pub(crate) queue: QueueId,
    pub(crate) seq: Seq,
    pub(crate) at_ms: UnixMs,
    /// `None` is ready at once.
    pub(crate) ready_at_ms: Option<UnixMs>,
    pub(crate) expires_at_ms: Option<UnixMs>,
    pub(crate) priority: u8,
    pub(crate) lane: Option<String>,
    /// Deduplication id, and until when it is remembered.
    pub(crate) dedup: Option<(String, UnixMs)>,
    pub(crate) message_id: u128,
    /// Place of the frame; further targets of one message share the first one's.
    pub(crate) frame: FramePlace,
    /// How many targets share the frame.
    pub(crate) shares: u32,
    /// The binding that the message came by, where its receiver is to be told.
    pub(crate) via: Option<BindingId>,
}

/// The facts of one command, both as values and as the record's bytes.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    pub(crate) list: Vec<Effect>,
    bytes: Vec<u8>,
    grows: bool,
}

impl Effects {
    /// Nothing happened: there is nothing to log.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The record for the log.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the record adds to what is stored; the log may refuse such ones when space is short.
    pub fn grows(&self) -> bool {
        self.grows
    }

    /// The number of facts.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Makes room for so many facts in a record of about this length, so that they are not copied
    /// as it grows.
    pub(crate) fn reserve(&mut self, facts: usize, bytes: usize) {
        self.list.reserve(facts);
        self.bytes.reserve(bytes);
    }

    /// Adds an effect.
    pub(crate) fn push(&mut self, effect: Effect) {
        effect.encode(&mut self.bytes);
        self.grows |= matches!(
            effect,
            Effect::QueueCreated { .. }
                | Effect::QueueConfigured { .. }
                | Effect::Enqueued(_)
                | Effect::Exchange(
                    ExchangeEffect::Created { .. }
                        | ExchangeEffect::Configured { .. }
                        | ExchangeEffect::Bound { .. }
                        | ExchangeEffect::Rebound { .. }
                        | ExchangeEffect::Published(_)
                )
        );
        self.grows |= match &effect {
            Effect::Ledger(ledger) => ledger.grows(),
            Effect::Schedule(schedule) => schedule.grows(),
            _ => false,
        };
        self.list.push(effect);
    }

    /// Writes a frame into the record and says where.
    pub(crate) fn frame(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> FramePlace {
        self.bytes.u8(number::FRAME);
        self.bytes.u32(0);
        let start = self.bytes.len();
        write(&mut self.bytes);
        let bytes = (self.bytes.len() - start) as u32;
        if let Some(length) = self.bytes.get_mut(start - 4..start) {
            length.copy_from_slice(&bytes.to_le_bytes());
        }
        FramePlace { offset: start as u32, bytes }
    }

    /// Reads a record.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(Bytes::copy_from_slice(bytes));
        let mut list = Vec::new();
        while reader.remaining() > 0 {
            let tag = reader.u8()?;
            if tag == number::FRAME {
                let length = reader.u32()? as usize;
                reader.take(length)?;
                continue;
            }
            let effect = Effect::decode(tag, &mut reader)?;
            if let Some(frame) = effect.frame()
                && u64::from(frame.offset) + u64::from(frame.bytes) > bytes.len() as u64
            {
                return Err(Malformed("frame place"));
            }
            list.push(effect);
        }
        Ok(Self { list, bytes: Vec::new(), grows: false })
    }
}

impl Effect {
    fn frame(&self) -> Option<FramePlace> {
        match self {
            Self::Enqueued(enqueued) => Some(enqueued.frame),
            Self::Relocated { frame, .. } => Some(*frame),
            _ => None,
        }
    }
}
