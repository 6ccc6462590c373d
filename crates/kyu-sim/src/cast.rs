//! The queues of a run: each exists for a promise that it puts to the test.

use kyu_broker::{
    Backoff, Breaker, DeadLetter, DedupScope, ExpiredTo, FOREVER, Fairness, Fencing, Guard,
    GuardKey, LaneLimits, Overflow, QueueConfig, QueueId, QueueKind, QueueName, RateLimit,
    RetentionFrom, RetryBudget, RetryPolicy, UnixMs,
};

use crate::content::DEPENDENCY;

/// Shortest visibility timeout that a queue here ever has.
pub(crate) const LEAST_VISIBILITY_MS: u64 = 1_000;
/// Deliveries before a message is dead-lettered.
pub(crate) const MAX_RECEIVES: u32 = 3;
/// Deduplication window: short enough to pass within a run.
pub(crate) const DEDUP_WINDOW_MS: u64 = 20_000;
/// Most messages of a lane in flight, where that is limited.
pub(crate) const LANE_IN_FLIGHT: u32 = 2;
/// Deliveries of a lane, where they are limited.
pub(crate) const LANE_RATE: RateLimit = RateLimit { permits: 3, interval_ms: 2_000, burst: 3 };
/// Deliveries of the queue with limits.
pub(crate) const RATE: RateLimit = RateLimit { permits: 7, interval_ms: 2_000, burst: 5 };
/// Most messages of the bounded queues.
pub(crate) const BOUND: u64 = 20;

/// The role of a queue in the simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Standard, with the rules of SQS and a short retention.
    Plain,
    /// Standard, with a dead-letter queue.
    Lettered,
    /// FIFO.
    Ordered,
    /// FIFO with deduplication by lane and a dead-letter queue.
    OrderedLettered,
    /// Refuses at its bound.
    Bounded,
    /// Drops its head at its bound.
    Dropping,
    /// Dead letters of `Lettered`.
    Dead,
    /// Dead letters of `OrderedLettered`.
    OrderedDead,
    /// The queue that dead letters are moved to on demand.
    Rescue,
    /// Standard; its messages have unique keys; the dead-letter queue of its rule is missing.
    Single,
    /// Standard; schedules send to it, and nobody else.
    Timed,
    /// Standard, with a retry policy, a retry budget, a breaker, and a dead-letter queue.
    Retried,
    /// Dead letters of `Retried`, with their histories.
    RetriedDead,
    /// Standard, with a short retention, deadlines, and a dead-letter queue for what is late.
    Urgent,
    /// Dead letters of `Urgent`.
    UrgentDead,
    /// Standard, with limits of the queue and of its lanes; paused and resumed.
    Limited,
    /// A queue as pgmq makes it; SQL sessions use it, and nobody else.
    Table,
    /// The archive of `Table`.
    TableArchive,
    /// Standard; created and deleted while messages flow.
    Passing,
    /// FIFO; created and deleted while messages flow.
    OrderedPassing,
}

impl Role {
    /// The roles of queues that live as long as the run.
    pub(crate) const LASTING: [Role; 18] = [
        Role::Plain,
        Role::Lettered,
        Role::Ordered,
        Role::OrderedLettered,
        Role::Bounded,
        Role::Dropping,
        Role::Dead,
        Role::OrderedDead,
        Role::Rescue,
        Role::Single,
        Role::Timed,
        Role::Retried,
        Role::RetriedDead,
        Role::Urgent,
        Role::UrgentDead,
        Role::Limited,
        Role::Table,
        Role::TableArchive,
    ];

    /// Returns the role whose messages end here; itself if clients send to it.
    pub(crate) fn root(self) -> Role {
        match self {
            Role::Dead | Role::Rescue => Role::Lettered,
            Role::OrderedDead => Role::OrderedLettered,
            Role::RetriedDead => Role::Retried,
            Role::UrgentDead => Role::Urgent,
            other => other,
        }
    }

    /// Returns true if its messages can leave it for another queue.
    pub(crate) fn has_family(self) -> bool {
        self.root().has_dead_letters()
    }

    /// Returns true if its messages end in a dead-letter queue.
    pub(crate) fn has_dead_letters(self) -> bool {
        matches!(self, Role::Lettered | Role::OrderedLettered | Role::Retried | Role::Urgent)
    }

    /// Returns true if it holds the dead letters of another.
    pub(crate) fn is_dead(self) -> bool {
        matches!(self, Role::Dead | Role::OrderedDead | Role::RetriedDead | Role::UrgentDead)
    }

    pub(crate) fn is_fifo(self) -> bool {
        matches!(
            self,
            Role::Ordered | Role::OrderedLettered | Role::OrderedDead | Role::OrderedPassing
        )
    }

    /// Returns true if a lease is on disk before the receiver is told.
    pub(crate) fn leases_are_durable(self) -> bool {
        self.is_fifo() || self.has_dead_letters() || self == Role::Limited
    }

    /// Returns true if the book of tables, and no other, knows what is in it.
    pub(crate) fn is_table(self) -> bool {
        matches!(self, Role::Table | Role::TableArchive)
    }

    /// Returns true if an overtaken delivery may acknowledge, and extend.
    pub(crate) fn accepts_late_acks(self) -> bool {
        self == Role::Plain
    }

    pub(crate) fn passes(self) -> bool {
        matches!(self, Role::Passing | Role::OrderedPassing)
    }

    pub(crate) fn name(self, number: u64) -> QueueName {
        if self == Role::TableArchive {
            return kyu_broker::archive_name(&Role::Table.name(0));
        }
        let name = match self {
            Role::Passing | Role::OrderedPassing => format!("passing-{number}"),
            lasting => format!("{lasting:?}"),
        };
        QueueName { namespace: "sim".into(), name }
    }

    pub(crate) fn config(self) -> QueueConfig {
        let kind = if self.is_fifo() { QueueKind::Fifo } else { QueueKind::Standard };
        let letters_to =
            |dead: Role| Some(DeadLetter { target: dead.name(0), max_receives: MAX_RECEIVES });
        let base = QueueConfig {
            kind,
            visibility_timeout_ms: 4 * LEAST_VISIBILITY_MS,
            dedup_window_ms: DEDUP_WINDOW_MS,
            ..QueueConfig::default()
        };
        match self {
            // As SQS makes one, with a shorter retention.
            Role::Plain => QueueConfig {
                retention_ms: 40_000,
                retention_from: RetentionFrom::Sent,
                fencing: Fencing { accept_late_acks: true, refuse_stale_extends: false },
                ..base
            },
            // A typing error.
            Role::Single => QueueConfig {
                dead_letter: Some(DeadLetter {
                    target: QueueName { namespace: "sim".into(), name: "misspelt".into() },
                    max_receives: MAX_RECEIVES,
                }),
                ..base
            },
            Role::Lettered => QueueConfig { dead_letter: letters_to(Role::Dead), ..base },
            Role::OrderedLettered => QueueConfig {
                dead_letter: letters_to(Role::OrderedDead),
                dedup_scope: DedupScope::Lane,
                ..base
            },
            Role::Retried => {
                QueueConfig { dead_letter: letters_to(Role::RetriedDead), ..retried(base) }
            }
            Role::Urgent => QueueConfig {
                retention_ms: 40_000,
                keep_history: true,
                expired_to: ExpiredTo::DeadLetterQueue,
                dead_letter: letters_to(Role::UrgentDead),
                ..base
            },
            Role::Bounded => QueueConfig { max_messages: Some(BOUND), ..base },
            Role::Dropping => {
                QueueConfig { max_messages: Some(BOUND), overflow: Overflow::DropHead, ..base }
            }
            Role::Limited => QueueConfig {
                fairness: Fairness::Weighted,
                rate: Some(RATE),
                lanes: LaneLimits {
                    max_in_flight: Some(LANE_IN_FLIGHT),
                    rate: Some(LANE_RATE),
                    weights: [("lane-0".to_owned(), 3)].into(),
                    ..LaneLimits::default()
                },
                ..base
            },
            Role::Table | Role::TableArchive => table(base),
            _ => base,
        }
    }
}

/// Its messages are tried again by a policy, within a budget, while a breaker lets them.
fn retried(base: QueueConfig) -> QueueConfig {
    QueueConfig {
        retry: Some(RetryPolicy {
            backoff: Backoff::List { delays_ms: vec![0, 500, 2_000] },
            jitter_percent: 50,
            max_attempts: Some(MAX_RECEIVES),
        }),
        guard: Some(Guard {
            key: GuardKey::Attribute,
            budget: Some(RetryBudget { earn_percent: 50, floor_per_second: 1, max_tokens: 5 }),
            breaker: Some(Breaker {
                window_ms: 10_000,
                min_attempts: 5,
                failure_percent: 60,
                open_ms: 2_000,
                probes: 2,
                slow_start_percent: 100,
            }),
        }),
        guard_attribute: Some(DEPENDENCY.to_owned()),
        ..base
    }
}

/// Returns the settings of a queue as pgmq makes it.
fn table(base: QueueConfig) -> QueueConfig {
    QueueConfig {
        retention_ms: FOREVER,
        max_in_flight: u32::MAX,
        fairness: Fairness::StrictOrder,
        back_after_receives: None,
        ..base
    }
}

/// The auditor's knowledge of whether a queue exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Its creation was confirmed.
    There,
    /// Its deletion was asked for and not confirmed.
    Doubtful,
    /// Its deletion was confirmed.
    Deleted,
}

/// A queue as the auditor knows it.
#[derive(Clone, Debug)]
pub(crate) struct QueueBook {
    pub(crate) name: QueueName,
    pub(crate) role: Role,
    pub(crate) root: QueueId,
    pub(crate) presence: Presence,
    pub(crate) retention_ms: UnixMs,
    /// Versions of its settings that were confirmed, and asked for.
    pub(crate) version: u64,
    pub(crate) version_asked: u64,
    /// Messages that surely and perhaps came in from clients.
    pub(crate) sent: (u64, u64),
    /// Messages that surely and perhaps were acknowledged.
    pub(crate) acked: (u64, u64),
}
