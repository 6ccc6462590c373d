//! The bounds of the engine, each with its reason and the refusal that it causes. Sizes are in
//! bytes, times in milliseconds.

/// The largest encoded content, in bytes: 1 MiB of SQS message plus room for headers.
/// `EnqueueRefusal::TooLarge`.
pub const MAX_CONTENT_BYTES: usize = 2 << 20;
/// The longest lane name, deduplication id or other key, in bytes (SQS allows 128 characters).
/// `EnqueueRefusal::Malformed`.
pub const MAX_KEY_BYTES: usize = 512;
/// The most queues that one message may be enqueued into. `EnqueueRefusal::Malformed`.
pub const MAX_TARGETS: usize = 1_000;
/// The most messages of one enqueue, settle or extend. `Refusal::LimitExceeded`.
pub const MAX_BATCH: usize = 1_000;
/// The most messages of one acquire or peek, for the size of a record and of a reply.
/// `Refusal::LimitExceeded`.
pub const MAX_ACQUIRE: u32 = 1_000;
/// The most sequence numbers of one reservation. `Refusal::LimitExceeded`.
pub const MAX_RESERVED: u32 = 100_000;
/// The most messages that one page of a browse looks at, so that no command waits long behind it.
pub const MAX_BROWSED: usize = 4_096;
/// The most commands of one atomic group, for the size of a record. `Refusal::LimitExceeded`.
pub const MAX_ATOMIC: usize = 1_000;
/// The most queues of one server, for RAM. `Refusal::LimitExceeded`.
pub const MAX_QUEUES: usize = 1_000_000;
/// The most exchanges of one server (SNS allows 100,000 topics). `Refusal::LimitExceeded`.
pub const MAX_EXCHANGES: usize = 100_000;
/// The most bindings of one exchange, because every publish looks at each of them.
/// `Refusal::LimitExceeded`.
pub const MAX_BINDINGS: usize = 10_000;
/// The most queues that the publications of one command may go to, for the size of a record and the
/// time that other commands wait. `Refusal::LimitExceeded`.
pub const MAX_ROUTES: usize = 20_000;
/// The longest address of a subscriber, such as a URL, in bytes. `Refusal::InvalidConfig`.
pub const MAX_ADDRESS_BYTES: usize = 4_096;
/// The most conditions of a binding's matcher (an SNS filter policy has up to 150 combinations,
/// each of up to five conditions). `Refusal::InvalidConfig`.
pub const MAX_MATCHER_CONDITIONS: usize = 1_000;
/// The most comparisons of leaves of bodies with conditions of filters in one publish: about a
/// second of the engine's thread. `LimitExceeded`.
pub const MAX_FILTER_WORK: usize = 200_000_000;
/// The time for which an exchange remembers deduplication ids, in milliseconds (SNS FIFO topics:
/// five minutes).
pub const DEDUP_WINDOW_MS: u64 = 300_000;
/// The most items of one listing, such as exchanges or bindings; more are left out.
pub const MAX_LISTED: usize = 1_000;
/// The most bytes of a queue's attributes and tags together, for the size of a record.
/// `Refusal::InvalidConfig`.
pub const MAX_CONFIG_BYTES: usize = 64 << 10;
/// The most tokens that a rate limit gains in an interval or saves up: more than a server delivers.
/// `Refusal::InvalidConfig`.
pub const MAX_RATE: u32 = 1_000_000;
/// The longest interval of a rate limit: a day. `Refusal::InvalidConfig`.
pub const MAX_RATE_INTERVAL_MS: u64 = 86_400_000;
/// The longest time in which a rate limit saves up its burst: a year. `Refusal::InvalidConfig`.
pub const MAX_RATE_FILL_MS: u64 = 366 * 86_400_000;
/// The most lanes of a queue that are paused one by one, for RAM. `Refusal::LimitExceeded`.
pub const MAX_PAUSED_LANES: usize = 1_000;
/// The most messages ahead of an explained one that are counted, so that no command waits long.
pub const MAX_EXPLAINED_AHEAD: usize = 1_000;
/// The greatest weight of a lane: shares finer than this are not kept. `Refusal::InvalidConfig`.
pub const MAX_WEIGHT: u32 = 1_000;
/// The most lanes of a queue with a weight of their own, for the size of a record.
/// `Refusal::InvalidConfig`.
pub const MAX_WEIGHTS: usize = 1_000;
/// The longest fingerprint of a ledger claim's input. `LedgerRefusal::Malformed`.
pub const MAX_FINGERPRINT_BYTES: usize = 64;
/// The largest saved result or record of the ledger, which is in RAM. `LedgerRefusal::Malformed`.
pub const MAX_LEDGER_VALUE_BYTES: usize = 64 << 10;
/// The longest time for which the ledger remembers a result: 366 days. `LedgerRefusal::Malformed`.
pub const MAX_LEDGER_KEEP_MS: u64 = 366 * 86_400_000;
/// The most bytes of the ledger's keys and values, for RAM: claims and new records are refused
/// above it. `Refusal::LimitExceeded`.
pub const MAX_LEDGER_BYTES: u64 = 1 << 30;
/// The longest time for which a unique key is held beyond its message: 366 days.
/// `EnqueueRefusal::Malformed`.
pub const MAX_UNIQUE_MS: u64 = 366 * 86_400_000;
/// The most schedules of one server. `Refusal::LimitExceeded`.
pub const MAX_SCHEDULES: usize = 100_000;
/// The largest content of a schedule's messages, which is in RAM. `ScheduleRefusal::Invalid`.
pub const MAX_SCHEDULE_CONTENT_BYTES: usize = 256 << 10;
/// The most bytes of the contents of all schedules together, for RAM. `Refusal::LimitExceeded`.
pub const MAX_SCHEDULE_BYTES: u64 = 256 << 20;
/// The shortest interval of a schedule, which is that of cron expressions.
/// `ScheduleRefusal::Invalid`.
pub const MIN_INTERVAL_MS: u64 = 1_000;
/// The longest interval of a schedule: ten years. `ScheduleRefusal::Invalid`.
pub const MAX_INTERVAL_MS: u64 = 3_650 * 86_400_000;
/// The longest jitter of a schedule: a day. `ScheduleRefusal::Invalid`.
pub const MAX_JITTER_MS: u64 = 86_400_000;
/// The most runs of a schedule that can be caught up. `ScheduleRefusal::Invalid`.
pub const MAX_CATCH_UP: u32 = 500;
/// The most runs of one schedule that one tick computes; more than [`MAX_CATCH_UP`], so that it
/// makes progress.
pub const MAX_CATCH_UP_STEPS: usize = 1_000;
/// The most runs of schedules that one tick carries out, so that no command waits long behind it.
pub const MAX_TICK_RUNS: usize = 100;
/// The most runs of one preview; more are left out.
pub const MAX_PREVIEW: usize = 1_000;
/// The longest lease: it ends at the latest 12 hours after its receive (SQS
/// ChangeMessageVisibility). `Extended::TooLong`.
pub const MAX_LEASE_MS: u64 = 43_200_000;
/// The time for which a receive attempt can be replayed, in milliseconds (SQS
/// ReceiveRequestAttemptId).
pub const ATTEMPT_WINDOW_MS: u64 = 300_000;
/// The most move tasks that are remembered for a source (SQS ListMessageMoveTasks shows ten). The
/// oldest is forgotten.
pub const MAX_MOVE_TASKS_KEPT: usize = 10;
/// The most messages that one tick moves, promotes or expires, so that no command waits long behind
/// it.
pub const MAX_TICK_MESSAGES: usize = 1_000;
/// The longest delay between attempts: one longer than any retention is of no use.
/// `Refusal::InvalidConfig`.
pub const MAX_RETRY_DELAY_MS: u64 = 2_592_000_000;
/// The most delays of a retry policy's list. `Refusal::InvalidConfig`.
pub const MAX_RETRY_DELAYS: usize = 64;
/// The most past attempts that are kept of a message; the oldest is forgotten.
pub const MAX_ATTEMPTS_KEPT: usize = 32;
/// The most bytes of the texts of a message's kept attempts together, for RAM and snapshots; the
/// oldest texts are forgotten first.
pub const MAX_ATTEMPT_TEXT_BYTES: usize = 4_096;
/// The longest error text of a consumer; the rest is cut off.
pub const MAX_ERROR_BYTES: usize = 1_024;
/// The longest name of a consumer, in bytes; the rest is cut off.
pub const MAX_CONSUMER_BYTES: usize = 128;
/// The most ends of messages without an acknowledgement that a queue remembers: about 100 bytes
/// each and their texts, at most 40 KiB together. The oldest is forgotten.
pub const MAX_ENDS_KEPT: usize = 100;
/// The longest text of such a message's last error; the rest is cut off.
pub const MAX_END_TEXT_BYTES: usize = 200;
/// The most lanes of a queue with a budget and breaker, for RAM; others are not guarded meanwhile.
pub const MAX_GUARDED_LANES: usize = 10_000;
/// The most messages acknowledged after several deliveries that a queue remembers, to notice when
/// another delivery is acknowledged as well. The oldest is forgotten.
pub const MAX_FINISHED_KEPT: usize = 1_000;
