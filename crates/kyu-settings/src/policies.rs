//! Policies of a queue for failures, expired messages, and lanes that take more than their share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use kyu_model::{
    Backoff, Breaker, Fairness, Fencing, LaneLimits, RateLimit, RetryBudget, RetryPolicy,
};

/// The place for messages past the retention or their own expiry.
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

/// A queue's guard protects the systems that its consumers depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Guard {
    /// The key of a guard: the unit that has one budget and one breaker of its own.
    pub key: GuardKey,
    /// The retry budget, which bounds retries by successes.
    pub budget: Option<RetryBudget>,
    /// The breaker, which stops deliveries while most attempts fail.
    pub breaker: Option<Breaker>,
}

/// The key of a guard: the unit that has one budget and one breaker of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GuardKey {
    /// The queue.
    #[default]
    Queue,
    /// Each lane is a key: senders name the dependency as the lane.
    Lane,
    /// Each value of this attribute (header) of messages is a key, such as `dependency`. Messages
    /// without it share one.
    Attribute(String),
}
