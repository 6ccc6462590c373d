//! Jobs: what is enqueued, and how it is tried again.

use std::collections::BTreeMap;
use std::time::Duration;

use kyu_model::{Breaker, RateLimit, RetryBudget};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A kind of work. Its value travels as JSON, so that every other door can send and read it.
pub trait Job: Serialize + DeserializeOwned + Send + 'static {
    /// The queue of this kind. Made with its dead-letter queue (`<QUEUE>-dead`) when it is first
    /// used and does not exist. When [`Job::RETRY`] or [`Job::LIMITS`] have changed since a worker
    /// last declared them, what changed is applied to the queue, and what an operator set meanwhile
    /// stays. A queue that no worker made keeps its settings; differences are logged.
    const QUEUE: &'static str;

    /// The policy by which failures are tried again.
    const RETRY: Retry = Retry::DEFAULT;

    /// The limits that spare workers and what they depend on.
    const LIMITS: Limits = Limits::NONE;

    /// Longest run of one attempt. While it runs its lease is extended; after this it has failed.
    const TIMEOUT: Duration = Duration::from_secs(300);
}

/// The policy by which a failed job is tried again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    /// Attempts in all, at least 1. After the last the job goes to the dead-letter queue, with the
    /// history of its attempts.
    pub max_attempts: u32,
    /// Wait after the first failure.
    pub first: Duration,
    /// Each wait is this many percent of the one before: 100 for a fixed wait, at most 10,000.
    pub factor_percent: u32,
    /// No wait is longer than this.
    pub longest: Duration,
    /// Percent of each wait that is left to chance, so that jobs that failed together do not come
    /// back together.
    pub jitter_percent: u8,
}

impl Retry {
    /// Five attempts, 1 s to 10 min apart, doubling five-fold, half of each wait by chance.
    pub const DEFAULT: Self = Self {
        max_attempts: 5,
        first: Duration::from_secs(1),
        factor_percent: 500,
        longest: Duration::from_secs(600),
        jitter_percent: 50,
    };
}

/// Limits of a job type, kept by the queue for all its workers together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most jobs that are worked on at one time.
    pub max_in_flight: Option<u32>,
    /// Most attempts in a time.
    pub rate: Option<RateLimit>,
    /// Most jobs of one lane that are worked on at one time.
    pub lane_max_in_flight: Option<u32>,
    /// Most attempts of one lane in a time.
    pub lane_rate: Option<RateLimit>,
    /// Bounds retries by successes, so that they do not amplify an outage.
    pub budget: Option<RetryBudget>,
    /// Stops attempts while most of them fail.
    pub breaker: Option<Breaker>,
    /// Keeps budget and breaker for each value of this attribute ([`EnqueueOptions::attributes`]),
    /// such as the dependency that a job calls, and not for all jobs together.
    pub guard_attribute: Option<&'static str>,
}

impl Limits {
    /// No limits.
    pub const NONE: Self = Self {
        max_in_flight: None,
        rate: None,
        lane_max_in_flight: None,
        lane_rate: None,
        budget: None,
        breaker: None,
        guard_attribute: None,
    };
}

/// The options of one job when it is enqueued.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnqueueOptions {
    /// The time from now before which it does not run.
    pub delay: Option<Duration>,
    /// The time from now after which it is no longer wanted and expires.
    pub not_after: Option<Duration>,
    /// 0 (default) to 255 (first).
    pub priority: u8,
    /// The tenant or customer whose turn it counts for. Lanes share a queue fairly.
    pub lane: Option<String>,
    /// Enqueued again under the same id within the queue's window, the job is recognised and not
    /// added twice: makes enqueueing safe to repeat.
    pub dedup_id: Option<String>,
    /// While a job with this key waits or is worked on, no other with it is added.
    pub unique: Option<String>,
    /// Text beside the job, by name: what [`Limits::guard_attribute`] asks for, and what clients
    /// of other doors see as message attributes. Handlers do not get it.
    pub attributes: BTreeMap<String, String>,
}

/// A job that was accepted and is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enqueued {
    /// Identifier, a UUID; the original's for a duplicate.
    pub id: String,
    /// A job with an equal `dedup_id` or `unique` was there: nothing was added.
    pub duplicate: bool,
}
