//! Retry budgets and breakers of a queue.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One retry budget and breaker of a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GuardStatus {
    /// The lane or the attribute's value that it is for; `null` for the queue, or for messages
    /// without.
    pub key: Option<String>,
    /// The breaker; `null` if the queue has none.
    pub breaker: Option<BreakerStatus>,
    /// Attempts that succeeded in the breaker's present window.
    pub successes: u32,
    /// Attempts that failed in it.
    pub failures: u32,
    /// Tokens of the retry budget; `null` if the queue has none.
    pub tokens: Option<u64>,
    /// Messages that wait for a token, or for the breaker where guards go by attribute.
    pub held: u64,
}

/// The state of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum BreakerStatus {
    /// It lets everybody through.
    Closed,
    /// It lets nobody through.
    Open {
        /// The time at which it tries again.
        until_at_ms: u64,
    },
    /// It lets probes through.
    HalfOpen {
        /// Probes under way.
        in_flight: u32,
        /// Probes that succeeded.
        succeeded: u32,
    },
    /// It lets more and more through.
    SlowStart {
        /// Attempts under way.
        in_flight: u32,
        /// As many as may be.
        allowed: u32,
    },
}

/// Budgets and breakers to which something happened lately, or that hold something back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GuardPage {
    /// By key; first the one without.
    pub items: Vec<GuardStatus>,
    /// The beginning of the next page, if there is one.
    pub next_cursor: Option<String>,
}
