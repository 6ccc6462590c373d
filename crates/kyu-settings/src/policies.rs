//! What a queue does about failures, expired messages, and lanes that want too much.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use kyu_model::{
    Backoff, Breaker, Fairness, Fencing, LaneLimits, RateLimit, RetryBudget, RetryPolicy,
};

/// What becomes of messages past the retention or their own expiry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExpiredTo {
    /// They are removed and counted.
    #[default]
    Nowhere,
    /// They go to the queue of the dead-letter rule. While there is none they are kept as `dead` for
    /// one more retention period.
    DeadLetterQueue,
    /// They go to this queue of the namespace.
    Queue(String),
}

/// Protects what the consumers of a queue depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Guard {
    /// What one budget and one breaker are for.
    pub key: GuardKey,
    /// Bounds retries by successes.
    pub budget: Option<RetryBudget>,
    /// Stops deliveries while most attempts fail.
    pub breaker: Option<Breaker>,
}

/// What one budget and one breaker are for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GuardKey {
    /// The queue.
    #[default]
    Queue,
    /// Each lane: senders name the dependency as the lane.
    Lane,
    /// Each value of this attribute (header) of messages, such as `dependency`. Messages without it
    /// share one.
    Attribute(String),
}
