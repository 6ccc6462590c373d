//! The engine's answers: replies to commands, and answers to queries.

use std::sync::Arc;

use crate::by_seq::SeqResult;
use crate::config::{QueueInfo, QueueStats, QueueTotals};
use crate::exchange::{BindingId, BindingInfo, ExchangeInfo, ExchangeStats};
use crate::explain::Explanation;
use crate::ids::{Address, MessageId, QueueId, QueueName, Receipt, Seq, UnixMs};
use crate::intervene::Intervened;
use crate::ledger::{LedgerAnswer, LedgerRefusal, LedgerReply};
use crate::phase::Phase;
use crate::retry::{DeadReason, Hold, PastAttempt};
use crate::schedule::{ScheduleAnswer, ScheduleRefusal, ScheduleReply};

/// Answer to a [`crate::Command`], one variant each.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The new queue.
    QueueCreated(Arc<QueueInfo>),
    /// The queue with its new settings.
    QueueConfigured(Arc<QueueInfo>),
    /// The queue is gone.
    QueueDeleted,
    /// The queue was purged.
    QueuePurged {
        /// The number of messages that were dropped.
        messages: u64,
    },
    /// The queue or lane is paused or running, as was asked.
    PausedSet {
        /// True if the command changed that.
        changed: bool,
    },
    /// One result for each message, in order.
    Enqueued(Vec<Result<Enqueued, EnqueueRefusal>>),
    /// Leased messages, in order; empty when none is ready.
    Acquired(Vec<Delivery>),
    /// One result for each item, in order.
    Settled(Vec<Settled>),
    /// One result for each item, in order.
    Extended(Vec<Extended>),
    /// The messages were given back.
    SessionEnded {
        /// The number of messages that were given back.
        messages: u64,
    },
    /// Identifier of the new task.
    MoveTaskStarted {
        /// The task.
        task: u64,
    },
    /// The task as it was when it stopped.
    MoveTaskCancelled(MoveTask),
    /// The frame was moved, if it was still live at that address.
    Relocated {
        /// True if the frame was live and was moved.
        moved: bool,
    },
    /// The engine did what was due.
    Ticked {
        /// True if more work is due now.
        more: bool,
    },
    /// The new exchange.
    ExchangeCreated(Arc<ExchangeInfo>),
    /// The exchange has its new settings.
    ExchangeConfigured,
    /// The exchange is gone.
    ExchangeDeleted,
    /// The new binding.
    Bound(Arc<BindingInfo>),
    /// The binding has its new settings.
    BindingConfigured,
    /// The binding is gone.
    Unbound,
    /// One result for each publication, in order.
    Published(Vec<Result<Published, EnqueueRefusal>>),
    /// The ledger's reply.
    Ledger(LedgerReply),
    /// The first of the reserved numbers.
    Reserved {
        /// The first number; the reserved numbers follow from it.
        first: Seq,
    },
    /// One result for each number, in order.
    BySeq(Vec<SeqResult>),
    /// One result for each chosen message, in order.
    Intervened(Vec<Intervened>),
    /// The claims are over.
    Concluded {
        /// The messages that were no longer there, or not claimed by this session.
        missing: Vec<Seq>,
    },
    /// The messages were given back.
    GivenBack {
        /// The number of messages that were given back.
        messages: u64,
    },
    /// The reply of the schedules.
    Schedule(ScheduleReply),
    /// Replies of the group's commands.
    Atomic(Vec<Reply>),
}

/// Answer to a [`crate::Query`], one variant each.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Counts.
    Stats(QueueStats),
    /// Totals.
    Totals(QueueTotals),
    /// Queues, by name.
    DeadLetterSources(Vec<QueueName>),
    /// Tasks, newest first.
    MoveTasks(Vec<MoveTask>),
    /// The explanation of why a message is not delivered now.
    Explained(Box<Explanation>),
    /// Budgets and breakers, by key; first the one without.
    Guards(Vec<crate::GuardStats>),
    /// Lanes, by key.
    Lanes(Vec<LaneStats>),
    /// Keys of paused lanes.
    PausedLanes(Vec<String>),
    /// Messages in order of delivery.
    Peeked(Vec<Delivery>),
    /// A message's history; `None` if it is not in the queue.
    History(Option<Box<MessageHistory>>),
    /// Messages in order of their sequence numbers.
    Browsed {
        /// The messages.
        messages: Vec<Delivery>,
        /// The number at which the next page begins; `None` after the last.
        next: Option<Seq>,
    },
    /// An exchange and its bindings, counted.
    Exchange(Arc<ExchangeInfo>, ExchangeStats),
    /// Exchanges, by name.
    Exchanges(Vec<Arc<ExchangeInfo>>),
    /// A binding.
    Binding(Arc<BindingInfo>),
    /// Bindings, by identifier.
    Bindings(Vec<Arc<BindingInfo>>),
    /// The ledger's answer.
    Ledger(LedgerAnswer),
    /// Schedules, or their runs.
    Schedule(ScheduleAnswer),
}

/// One lane of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneStats {
    /// Its key.
    pub key: String,
    /// Messages in any state.
    pub messages: u64,
    /// Messages under lease.
    pub in_flight: u32,
    /// True if the lane is paused: it gives nothing until it is resumed.
    pub paused: bool,
    /// The time at which the lane has a token again; `None` if it is not out of tokens.
    pub next_token_at_ms: Option<UnixMs>,
    /// Weight, for [`crate::Fairness::Weighted`].
    pub weight: u32,
}

/// A message that was accepted (or recognised as a duplicate of one).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enqueued {
    /// Identifier; the original's if this is a duplicate.
    pub message_id: MessageId,
    /// Position in the first target queue; the original's if this is a duplicate.
    pub seq: Seq,
    /// True if the message was accepted, but not enqueued again: see `duplicate_of`.
    pub duplicate: bool,
    /// The reason why it is a duplicate of `message_id`; `None` if it is not a duplicate.
    pub duplicate_of: Option<DuplicateOf>,
    /// The waiting message that it replaced ([`crate::UniquePolicy::Replace`]).
    pub replaced: Option<MessageId>,
}

impl Enqueued {
    /// A message that came in.
    pub fn new(message_id: MessageId, seq: Seq) -> Self {
        Self { message_id, seq, duplicate: false, duplicate_of: None, replaced: None }
    }

    /// A message that did not come in, because of another.
    pub fn duplicate(message_id: MessageId, seq: Seq, of: DuplicateOf) -> Self {
        let duplicate_of = Some(of);
        Self { message_id, seq, duplicate: true, duplicate_of, replaced: None }
    }
}

/// The earlier message that makes a new one a duplicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// A publication that was accepted (or recognised as a duplicate of one).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Identifier, and that of the message in every queue; the original's if this is a duplicate.
    pub message_id: MessageId,
    /// Place in the exchange's order, if it keeps one; the original's if this is a duplicate.
    pub sequence: Option<u64>,
    /// Queues that it went to.
    pub queues: u32,
    /// Bindings that wanted it and had neither their queue nor a dead-letter queue.
    pub undeliverable: u32,
    /// True if an equal id was published within the deduplication window: accepted, but not
    /// published again.
    pub duplicate: bool,
}

/// The reason why one message of an enqueue was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnqueueRefusal {
    /// A target does not exist.
    QueueNotFound(QueueId),
    /// A target is at its limit and refuses.
    QueueFull(QueueId),
    /// A FIFO target needs a lane.
    LaneRequired(QueueId),
    /// Lane or deduplication id is empty or too long, or there are no or too many targets.
    Malformed,
    /// The content is larger than a log record may be.
    TooLarge,
}

/// One message under lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The receipt, which proves this delivery.
    pub receipt: Receipt,
    /// The address of the frame in the log.
    pub frame_at: Address,
    /// The frame's length in bytes.
    pub frame_bytes: u32,
    /// The number of times the message was acquired from this queue, this time included; the
    /// queue's rules go by it.
    pub receive_count: u32,
    /// The number of times the message was acquired in all, also from the queues that it was
    /// dead-lettered from.
    pub total_receive_count: u32,
    /// The time at which it was first acquired.
    pub first_received_at_ms: UnixMs,
    /// The queue it was dead-lettered from.
    pub dead_letter_source: Option<Arc<QueueName>>,
    /// The binding it came by, if that does not deliver bare.
    pub via: Option<BindingId>,
    /// The reason why it was dead-lettered.
    pub dead_reason: Option<DeadReason>,
    /// Past attempts, oldest first, where they were asked for ([`crate::Acquire::with_history`], a
    /// peek) and are kept.
    pub past_attempts: Vec<PastAttempt>,
    /// The time from which its age counts.
    pub enqueued_at_ms: UnixMs,
    /// The time of its last acquire, this one included; 0 for never. Under [`crate::Lease::Take`]
    /// the time before this one.
    pub last_received_at_ms: UnixMs,
    /// The phase after this delivery; a message under a claim shows the phase that it had before.
    pub phase: Phase,
}

/// The history of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageHistory {
    /// Times acquired since it came into the queue.
    pub receive_count: u32,
    /// Times acquired since it was sent or brought back by a move task.
    pub total_receive_count: u32,
    /// The queue it was dead-lettered from.
    pub dead_letter_source: Option<Arc<QueueName>>,
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

/// Result of settling one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Done as asked.
    Done,
    /// The message is no longer there: acknowledged before, expired, or purged.
    Gone,
    /// A later delivery exists: this one may not decide (fencing).
    Stale,
    /// The lease has lapsed and the queue's contract (FIFO) does not accept it any more.
    Lapsed,
    /// The receipt was made by another queue or never.
    Foreign,
}

/// Result of extending one lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extended {
    /// Done as asked.
    Done,
    /// The message is no longer there.
    Gone,
    /// The message is there but not in flight under this receipt.
    NotInFlight,
    /// The receipt was made by another queue or never.
    Foreign,
    /// The lease would outlast the limit of [`crate::limits::MAX_LEASE_MS`] from its receive.
    TooLong,
}

/// The reason why a move task left messages where they were. Numbers are frozen: they are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MoveFailure {
    /// Nobody knows where they came from: they were sent to this queue.
    NoSource = 1,
    /// The queue that they came from does not exist any more.
    SourceGone = 2,
    /// The task's destination does not exist any more. This ends the task.
    DestinationGone = 3,
}

/// State of a move task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MoveStatus {
    /// Moving.
    Running = 0,
    /// All that was there has been moved, or skipped.
    Completed = 1,
    /// Stopped by request.
    Cancelled = 2,
    /// The destination does not exist, or all that was there was skipped.
    Failed = 3,
}

/// A move task; the last [`crate::limits::MAX_MOVE_TASKS_KEPT`] of a source are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveTask {
    /// Identifier, never reused.
    pub id: u64,
    /// The queue being emptied.
    pub source: QueueId,
    /// The destination; `None` for the queue that each message came from.
    pub destination: Option<QueueName>,
    /// Most messages a second.
    pub max_per_second: Option<u32>,
    /// State.
    pub status: MoveStatus,
    /// The time at which it started.
    pub started_at_ms: UnixMs,
    /// Messages moved so far.
    pub moved: u64,
    /// Messages in the source when it started.
    pub to_move: u64,
    /// The reason why it failed or skipped messages, as a text.
    pub failure: Option<String>,
    /// The same reason as a value.
    pub reason: Option<MoveFailure>,
    /// Messages left where they are, because there is no queue to move them to.
    pub skipped: u64,
    /// Messages up to this number have been looked at.
    pub looked_at: Seq,
}

/// The reason why a whole command was refused. Nothing has changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// There is no such queue.
    QueueNotFound,
    /// The name is taken.
    QueueExists(Arc<QueueInfo>),
    /// The name was in use until less than the demanded time ago.
    QueueDeletedRecently {
        /// Time to wait.
        wait_ms: u64,
    },
    /// The last purge is less than the demanded time ago.
    PurgeInProgress,
    /// The settings have changed since they were read.
    VersionConflict,
    /// A setting that cannot change was to change, or is out of bounds.
    InvalidConfig(&'static str),
    /// The queue has as many messages in flight as it allows.
    TooManyInFlight,
    /// A limit of [`crate::limits`] would be passed.
    LimitExceeded(&'static str),
    /// A move task of this source is running.
    MoveTaskRunning,
    /// There is no such task, or it has ended.
    MoveTaskNotFound,
    /// There is no such exchange.
    ExchangeNotFound,
    /// The name is taken.
    ExchangeExists(Arc<ExchangeInfo>),
    /// There is no such binding.
    BindingNotFound,
    /// The subscriber has a binding to this exchange.
    BindingExists(Arc<BindingInfo>),
    /// A publication is larger than the exchange takes.
    PublicationTooLarge {
        /// The exchange's limit.
        max_bytes: u32,
    },
    /// A FIFO exchange needs a lane.
    LaneRequired,
    /// A FIFO exchange needs a deduplication id.
    DedupIdRequired,
    /// Only FIFO exchanges know deduplication ids.
    DedupIdNotAllowed,
    /// A matcher looks at bodies, and the publish says nothing of this one.
    BodyFactsRequired,
    /// The command at this place of an atomic group was refused, so none was applied.
    Atomic {
        /// Index in the group.
        at: usize,
        /// Its refusal; `None` when entries of it were refused one by one.
        refusal: Option<Box<Refusal>>,
    },
    /// The command may not stand inside an atomic group.
    NotInAtomic,
    /// The ledger refuses.
    Ledger(LedgerRefusal),
    /// There is no such schedule, or it may not be so.
    Schedule(ScheduleRefusal),
}

/// Frames that a group wrote have no place in the log while it is decided: their address is this plus
/// the offset in the record, until [`Reply::place`] puts the record's own address in.
pub const UNPLACED: Address = 1 << 62;

impl Reply {
    /// Puts in the address that the record got in the log, for deliveries of messages that the
    /// same atomic group enqueued.
    pub fn place(&mut self, record_at: Address) {
        match self {
            Self::Acquired(deliveries) => {
                for delivery in deliveries.iter_mut().filter(|d| d.frame_at >= UNPLACED) {
                    delivery.frame_at = delivery.frame_at - UNPLACED + record_at;
                }
            }
            Self::BySeq(results) => {
                let deliveries = results.iter_mut().filter_map(|result| match result {
                    SeqResult::Done(delivery) => Some(delivery),
                    SeqResult::Missing | SeqResult::Busy(_) => None,
                });
                for delivery in deliveries.filter(|d| d.frame_at >= UNPLACED) {
                    delivery.frame_at = delivery.frame_at - UNPLACED + record_at;
                }
            }
            Self::Atomic(replies) => replies.iter_mut().for_each(|reply| reply.place(record_at)),
            Self::QueueCreated(_)
            | Self::QueueConfigured(_)
            | Self::QueueDeleted
            | Self::QueuePurged { .. }
            | Self::PausedSet { .. }
            | Self::Enqueued(_)
            | Self::Settled(_)
            | Self::Extended(_)
            | Self::SessionEnded { .. }
            | Self::MoveTaskStarted { .. }
            | Self::MoveTaskCancelled(_)
            | Self::Relocated { .. }
            | Self::Ticked { .. }
            | Self::ExchangeCreated(_)
            | Self::ExchangeConfigured
            | Self::ExchangeDeleted
            | Self::Bound(_)
            | Self::BindingConfigured
            | Self::Unbound
            | Self::Published(_)
            | Self::Ledger(_)
            | Self::Reserved { .. }
            | Self::Intervened(_)
            | Self::Concluded { .. }
            | Self::GivenBack { .. }
            | Self::Schedule(_) => {}
        }
    }
}
