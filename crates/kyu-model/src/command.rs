//! The commands and queries that doors may send to the engine. A command is a request;
//! `Effect`s are the facts that follow.

use bytes::Bytes;

use crate::by_seq::{BySeq, Conclude, EnqueueReserved, GiveBack, Reserve};
use crate::config::QueueConfig;
use crate::exchange::{BindingConfig, BindingId, ExchangeConfig};
use crate::ids::{Address, QueueId, QueueName, Receipt, Seq, SessionId, UnixMs};
use crate::intervene::Intervene;
use crate::ledger::{LedgerCommand, LedgerQuery};
use crate::matcher::Facts;
use crate::schedule::{ScheduleCommand, ScheduleQuery};
use crate::unique::Unique;

/// A command's context: all that the engine knows of the outside world.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// The current time; never smaller than in the command before. Leases, delays and everything
    /// else that lasts are measured by it, and so are the times in the log.
    pub now_ms: UnixMs,
    /// The wall clock's time. Schedules go by it: it may be far from `now_ms`, and step either way,
    /// after the machine's clock was wrong and has been put right.
    pub wall_ms: UnixMs,
    /// Fresh random bits for this command.
    pub seed: u64,
    /// Log epoch of this process.
    pub epoch: u32,
}

/// One request that may change state. Replies are in [`crate::Reply`], one variant each.
#[derive(Clone, Debug)]
pub enum Command {
    /// Create a queue, or learn that it exists.
    CreateQueue(CreateQueue),
    /// Replace a queue's settings.
    ConfigureQueue(ConfigureQueue),
    /// Delete a queue and its messages.
    DeleteQueue(DeleteQueue),
    /// Drop all messages of a queue, also those in flight, and its deduplication memory.
    PurgeQueue(PurgeQueue),
    /// Pause or resume a queue or a lane.
    SetPaused(SetPaused),
    /// Add messages.
    Enqueue(Enqueue),
    /// Lease ready messages.
    Acquire(Acquire),
    /// Finish deliveries: acknowledge, give back, or dead-letter.
    Settle(Settle),
    /// Change the deadline of leases.
    Extend(Extend),
    /// Give back everything that a session holds, not counted as a failure.
    EndSession(EndSession),
    /// Move messages out of a dead-letter queue in the background.
    StartMoveTask(StartMoveTask),
    /// Stop a move task.
    CancelMoveTask(CancelMoveTask),
    /// Create an exchange, or learn that it exists.
    CreateExchange(CreateExchange),
    /// Replace an exchange's settings.
    ConfigureExchange(ConfigureExchange),
    /// Delete an exchange and its bindings.
    DeleteExchange(DeleteExchange),
    /// Bind a queue to an exchange.
    Bind(Bind),
    /// Replace a binding's settings.
    ConfigureBinding(ConfigureBinding),
    /// Remove a binding.
    Unbind(Unbind),
    /// Add messages to all queues whose bindings want them.
    Publish(Publish),
    /// Change the ledger: durable entries for effects that must happen once.
    Ledger(LedgerCommand),
    /// Reserve sequence numbers; they are never given out again, whatever happens.
    Reserve(Reserve),
    /// Add messages under reserved numbers; all or none.
    EnqueueReserved(EnqueueReserved),
    /// Do something with messages named by their numbers.
    BySeq(BySeq),
    /// Do something with chosen messages that nobody works on.
    Intervene(Intervene),
    /// End claims as the committing transaction says.
    Conclude(Conclude),
    /// End all claims of a session in some queues, without a trace.
    GiveBack(GiveBack),
    /// Create, change or run a schedule.
    Schedule(ScheduleCommand),
    /// Rewrite a live message at the log's tail so that its old segment can be recycled.
    Relocate(Relocate),
    /// Do the work that is due: make delayed messages ready, give back lapsed ones, expire old
    /// ones, run move tasks and schedules. The work of one tick is bounded; the reply says whether
    /// more is due.
    Tick,
    /// Carry out all commands or none, in one log record; later ones see what earlier ones did.
    Atomic(Vec<Command>),
}

/// The parameters of [`Command::CreateQueue`].
#[derive(Clone, Debug)]
pub struct CreateQueue {
    /// Namespace and name.
    pub name: QueueName,
    /// Settings of the new queue.
    pub config: Box<QueueConfig>,
    /// The time for which the name of a deleted queue is refused, in milliseconds; 0 to allow it at
    /// once.
    pub name_reuse_wait_ms: u64,
}

/// The parameters of [`Command::ConfigureQueue`].
#[derive(Clone, Debug)]
pub struct ConfigureQueue {
    /// The queue.
    pub queue: QueueId,
    /// All settings, replacing the old ones; the kind cannot change.
    pub config: Box<QueueConfig>,
    /// The version that the queue must have; the command is refused if it has another one.
    pub expected_version: u64,
}

/// The parameters of [`Command::DeleteQueue`].
#[derive(Clone, Copy, Debug)]
pub struct DeleteQueue {
    /// The queue.
    pub queue: QueueId,
}

/// The parameters of [`Command::PurgeQueue`].
#[derive(Clone, Copy, Debug)]
pub struct PurgeQueue {
    /// The queue.
    pub queue: QueueId,
    /// The time since the last purge within which another is refused, in milliseconds; 0 to allow
    /// it at once.
    pub cooldown_ms: u64,
}

/// The parameters of [`Command::SetPaused`]. While a queue is paused, receives get nothing and long
/// polls wait; everything else works: sends, settling, retention, move tasks. Lives until it is
/// resumed, across restarts and purges. Idempotent.
#[derive(Clone, Debug)]
pub struct SetPaused {
    /// The queue.
    pub queue: QueueId,
    /// The lane, whether or not it has messages now; `None` for the whole queue. At most
    /// [`crate::limits::MAX_PAUSED_LANES`] lanes are paused at one time.
    pub lane: Option<String>,
    /// True to pause, false to resume.
    pub paused: bool,
    /// The time at which the pause ends by itself; `None` for never. Not for a resume. Pausing
    /// again sets it anew.
    pub until_ms: Option<UnixMs>,
}

/// The parameters of [`Command::Enqueue`]. Entries succeed or fail one by one; the order is kept.
#[derive(Clone, Debug)]
pub struct Enqueue {
    /// The messages.
    pub messages: Vec<NewMessage>,
}

/// One message to enqueue, into one or several queues; its content is stored once.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// Target queues, at least one; a message goes to all of them or to none.
    pub queues: Vec<QueueId>,
    /// The content, encoded by [`crate::Content::encode`].
    pub content: Bytes,
    /// Delay; `None` for each queue's own default.
    pub delay_ms: Option<u64>,
    /// Absolute expiry; `None` for each queue's retention only.
    pub expires_at_ms: Option<UnixMs>,
    /// The priority, from 0 (default) to 255 (first).
    pub priority: u8,
    /// Lane: message group, tenant, partition key. At most [`crate::limits::MAX_KEY_BYTES`].
    pub lane: Option<String>,
    /// Deduplication id. At most [`crate::limits::MAX_KEY_BYTES`].
    pub dedup_id: Option<String>,
    /// Key that no other message may hold at the same time.
    pub unique: Option<Box<Unique>>,
}

impl NewMessage {
    /// A message for one queue, with nothing asked beyond that.
    pub fn new(queue: QueueId, content: Bytes) -> Self {
        Self {
            queues: vec![queue],
            content,
            delay_ms: None,
            expires_at_ms: None,
            priority: 0,
            lane: None,
            dedup_id: None,
            unique: None,
        }
    }
}

/// The holder of a lease and the time at which it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// The lease lasts for the queue's own visibility timeout.
    QueueDefault,
    /// The lease lasts for this many milliseconds from now.
    For(u64),
    /// The lease lasts until the session ends.
    Session(SessionId),
    /// A claim: it lasts until the session's transaction ends, leaves no trace if that rolls back,
    /// and is not a receive yet.
    Claim(SessionId),
    /// There is no lease: the message is removed as it is handed out (at most once).
    Take,
}

/// The order in which an acquire takes messages.
///
/// All but [`Order::OfQueue`] keep the order within each lane, also in standard queues: the messages
/// behind one that is leased or delayed stay where they are. Messages without a lane form one lane
/// of their own. Lanes come in the order of their first messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Order {
    /// The order that the queue's settings give (kind and [`crate::Fairness`]).
    #[default]
    OfQueue,
    /// All of the first lane, then all of the next one (`pgmq.read_grouped`).
    LaneByLane,
    /// The first message of every lane, then the second of every lane (`pgmq.read_grouped_rr`).
    RoundRobin,
    /// The first message of every lane and no more (`pgmq.read_grouped_head`).
    LaneHeads,
}

/// The parameters of [`Command::Acquire`].
#[derive(Clone, Debug)]
pub struct Acquire {
    /// The queue.
    pub queue: QueueId,
    /// The most messages to return, from 1 to [`crate::limits::MAX_ACQUIRE`].
    pub max_messages: u32,
    /// The most frame bytes to return (the first message is exempt).
    pub max_bytes: u64,
    /// Lease of the returned messages.
    pub lease: Lease,
    /// The order in which messages are taken.
    pub order: Order,
    /// Key of this attempt on a FIFO queue: the same key within five minutes returns the same
    /// messages and receipts (SQS ReceiveRequestAttemptId).
    pub attempt_id: Option<String>,
    /// The consumer, by name or address, for the history of attempts of queues that keep one. At
    /// most [`crate::limits::MAX_CONSUMER_BYTES`] are kept.
    pub consumer: Option<String>,
    /// True if the deliveries shall name the past attempts.
    pub with_history: bool,
}

impl Acquire {
    /// Acquires up to this many messages of a queue, under its own visibility timeout.
    pub fn new(queue: QueueId, max_messages: u32) -> Self {
        Self {
            queue,
            max_messages,
            max_bytes: u64::MAX,
            lease: Lease::QueueDefault,
            order: Order::OfQueue,
            attempt_id: None,
            consumer: None,
            with_history: false,
        }
    }
}

/// The outcome of a delivery, as its consumer reports it. See [`crate::AttemptEnd`] for how that
/// differs from the end that history records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The work is done: the message is removed.
    Ack,
    /// The work is not done: the message goes back.
    Release {
        /// True for the end of the queue instead of the message's original place.
        to_tail: bool,
        /// The delay before the next delivery, in milliseconds; 0 stands for the delay of the
        /// queue's retry policy if the attempt counts.
        delay_ms: u64,
        /// True if the attempt counts; otherwise the receive count is taken back.
        counted: bool,
    },
    /// The work was tried and failed, with a reason.
    Failed {
        /// The error, for the history of attempts of queues that keep one. At most
        /// [`crate::limits::MAX_ERROR_BYTES`] are kept.
        error: String,
        /// The delay before the next attempt, in milliseconds; `None` for the delay of the queue's
        /// retry policy, or at once if there is none.
        delay_ms: Option<u64>,
        /// True if another attempt may succeed; otherwise the message is treated as with
        /// [`Outcome::Dead`].
        retry: bool,
    },
    /// The message must never be tried again: it goes to the dead-letter queue, or is kept as
    /// [`crate::Phase::Dead`] while there is none.
    Dead,
}

/// The parameters of [`Command::Settle`]. One result for each item.
#[derive(Clone, Debug)]
pub struct Settle {
    /// The queue that the receipts must belong to.
    pub queue: QueueId,
    /// The deliveries and their outcomes.
    pub items: Vec<(Receipt, Outcome)>,
}

/// The parameters of [`Command::Extend`]. One result for each item.
#[derive(Clone, Debug)]
pub struct Extend {
    /// The queue that the receipts must belong to.
    pub queue: QueueId,
    /// The deliveries and their new time to run from now, in milliseconds; 0 gives the message back
    /// at once.
    pub items: Vec<(Receipt, u64)>,
}

/// The parameters of [`Command::EndSession`].
#[derive(Clone, Copy, Debug)]
pub struct EndSession {
    /// The session.
    pub session: SessionId,
}

/// The parameters of [`Command::StartMoveTask`].
#[derive(Clone, Debug)]
pub struct StartMoveTask {
    /// The queue to empty.
    pub source: QueueId,
    /// The destination; `None` for the queue that each message came from.
    pub destination: Option<QueueId>,
    /// The most messages per second; `None` for as fast as possible.
    pub max_per_second: Option<u32>,
}

/// The parameters of [`Command::CancelMoveTask`].
#[derive(Clone, Copy, Debug)]
pub struct CancelMoveTask {
    /// The task.
    pub task: u64,
}

/// The parameters of [`Command::CreateExchange`].
#[derive(Clone, Debug)]
pub struct CreateExchange {
    /// Namespace and name.
    pub name: QueueName,
    /// Settings of the new exchange.
    pub config: ExchangeConfig,
}

/// The parameters of [`Command::ConfigureExchange`].
#[derive(Clone, Debug)]
pub struct ConfigureExchange {
    /// The exchange.
    pub exchange: QueueName,
    /// All settings, replacing the old ones; the kind cannot change.
    pub config: ExchangeConfig,
    /// The version that the exchange must have; the command is refused if it has another one.
    pub expected_version: u64,
}

/// The parameters of [`Command::DeleteExchange`].
#[derive(Clone, Debug)]
pub struct DeleteExchange {
    /// The exchange.
    pub exchange: QueueName,
}

/// The parameters of [`Command::Bind`].
#[derive(Clone, Debug)]
pub struct Bind {
    /// The exchange.
    pub exchange: QueueName,
    /// Settings of the new binding.
    pub config: BindingConfig,
}

/// The parameters of [`Command::ConfigureBinding`].
#[derive(Clone, Debug)]
pub struct ConfigureBinding {
    /// The binding.
    pub binding: BindingId,
    /// All settings, replacing the old ones; protocol and address cannot change.
    pub config: BindingConfig,
    /// The version that the binding must have; the command is refused if it has another one.
    pub expected_version: u64,
}

/// The parameters of [`Command::Unbind`].
#[derive(Clone, Copy, Debug)]
pub struct Unbind {
    /// The binding.
    pub binding: BindingId,
}

/// The parameters of [`Command::Publish`]. Publications succeed or fail one by one; the order is
/// kept.
#[derive(Clone, Debug)]
pub struct Publish {
    /// The exchange.
    pub exchange: QueueName,
    /// The publications.
    pub messages: Vec<Publication>,
}

/// One message to publish; its content is stored once, however many queues it goes to.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The content, encoded by [`crate::Content::encode`].
    pub content: Bytes,
    /// The size, as the door counts it.
    pub size_bytes: u32,
    /// The facts about the publication that matchers may look at.
    pub facts: Facts,
    /// True if the content may go to bindings that deliver it bare.
    pub bare_allowed: bool,
    /// Lane. At most [`crate::limits::MAX_KEY_BYTES`].
    pub lane: Option<String>,
    /// Deduplication id; only for FIFO exchanges. At most [`crate::limits::MAX_KEY_BYTES`].
    pub dedup_id: Option<String>,
    /// Deduplication id by content, for exchanges that are configured so.
    pub content_dedup_id: Option<String>,
}

/// The parameters of [`Command::Relocate`].
#[derive(Clone, Debug)]
pub struct Relocate {
    /// The address of the frame now.
    pub from: Address,
    /// The frame, byte for byte.
    pub frame: Bytes,
    /// All messages that need the frame, as `Engine::live_frames` gave them.
    pub owners: Vec<(QueueId, Seq)>,
}

/// A question about the state; it changes nothing.
#[derive(Clone, Debug)]
pub enum Query {
    /// Counts of a queue.
    Stats(QueueId),
    /// Totals of a queue since it was created.
    Totals(QueueId),
    /// Queues whose dead-letter target is this one.
    DeadLetterSources(QueueName),
    /// Move tasks of a source queue, newest first.
    MoveTasks(QueueId),
    /// An exchange and how many bindings it has.
    Exchange(QueueName),
    /// Exchanges of a namespace in order of name, from the first after a name.
    Exchanges(ListExchanges),
    /// A binding.
    Binding(BindingId),
    /// Bindings in order of identifier, from the first after one.
    Bindings(ListBindings),
    /// Entries of the ledger.
    Ledger(LedgerQuery),
    /// Messages in order of their sequence numbers, in any phase.
    Browse(Browse),
    /// Lanes that have messages, by key.
    Lanes(ListLanes),
    /// Budgets and breakers of a queue, by the key that each protects.
    Guards(ListGuards),
    /// The reasons why a message is not delivered now, and the time at which it could be.
    Explain(Explain),
    /// Keys of the lanes that are paused, whether or not they have messages.
    PausedLanes(QueueId),
    /// Schedules and their runs.
    Schedule(ScheduleQuery),
    /// The first messages in order of delivery, without leasing them, whatever is paused or limited.
    Peek(Peek),
    /// The past attempts of one message, and why it was dead-lettered.
    History(HistoryOf),
}

/// The parameters of [`Query::Exchanges`].
#[derive(Clone, Debug)]
pub struct ListExchanges {
    /// The namespace.
    pub namespace: String,
    /// The name after which the list begins; `None` begins at the first.
    pub after: Option<String>,
    /// The most to return, up to [`crate::limits::MAX_LISTED`].
    pub max: usize,
}

/// The parameters of [`Query::Bindings`].
#[derive(Clone, Debug)]
pub struct ListBindings {
    /// The exchange whose bindings are listed; `None` for all.
    pub exchange: Option<QueueName>,
    /// The identifier after which the list begins; `None` begins at the first.
    pub after: Option<BindingId>,
    /// The most to return, up to [`crate::limits::MAX_LISTED`].
    pub max: usize,
}

/// The parameters of [`Query::Browse`].
#[derive(Clone, Debug)]
pub struct Browse {
    /// The queue.
    pub queue: QueueId,
    /// The number at which the page begins.
    pub from: Seq,
    /// The most to return, up to [`crate::limits::MAX_ACQUIRE`]. A page may have fewer, even none,
    /// before the last.
    pub max_messages: u32,
    /// True if only ready messages are listed.
    pub only_ready: bool,
}

/// The parameters of [`Query::Lanes`].
#[derive(Clone, Debug)]
pub struct ListLanes {
    /// The queue.
    pub queue: QueueId,
    /// The key after which the list begins; `None` begins at the first.
    pub after: Option<String>,
    /// The most to return, up to [`crate::limits::MAX_LISTED`].
    pub max: usize,
}

/// The parameters of [`Query::Guards`].
#[derive(Clone, Debug)]
pub struct ListGuards {
    /// The queue.
    pub queue: QueueId,
    /// The key after which the list begins; `None` begins at the first.
    pub after: Option<String>,
    /// The most to return, up to [`crate::limits::MAX_LISTED`].
    pub max: usize,
}

/// The parameters of [`Query::Explain`].
#[derive(Clone, Debug)]
pub struct Explain {
    /// The queue.
    pub queue: QueueId,
    /// The message's number in it, as receipts and [`crate::Enqueued::seq`] name it.
    pub seq: Seq,
}

/// The parameters of [`Query::Peek`].
#[derive(Clone, Debug)]
pub struct Peek {
    /// The queue.
    pub queue: QueueId,
    /// The most to return, up to [`crate::limits::MAX_ACQUIRE`].
    pub max_messages: u32,
}

/// The parameters of [`Query::History`].
#[derive(Clone, Debug)]
pub struct HistoryOf {
    /// The queue.
    pub queue: QueueId,
    /// The message.
    pub seq: Seq,
}
