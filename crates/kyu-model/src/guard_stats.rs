//! Budgets and breakers as doors see them.

use crate::ids::UnixMs;

/// One guard of a queue. Only guards that differ from a new one are listed: something happened to
/// them within the last minute, or they hold something back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardStats {
    /// The lane or the attribute's value it is for; `None` for the queue, or for messages without.
    pub key: Option<String>,
    /// The breaker; `None` if the queue has none.
    pub breaker: Option<BreakerState>,
    /// Attempts that succeeded in the breaker's present window.
    pub successes: u32,
    /// Attempts that failed in that window.
    pub failures: u32,
    /// Whole tokens of the retry budget; `None` if the queue has none.
    pub tokens: Option<u64>,
    /// Messages that wait for a token, or for the breaker where guards go by attribute.
    pub held: u64,
}

/// The state of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// It lets every attempt through.
    Closed,
    /// It lets no attempt through.
    Open {
        /// The time at which the breaker tries again.
        until_ms: UnixMs,
    },
    /// It lets probes through.
    HalfOpen {
        /// Probes under way.
        in_flight: u32,
        /// Probes that succeeded.
        succeeded: u32,
    },
    /// It lets more and more attempts through.
    SlowStart {
        /// Attempts under way.
        in_flight: u32,
        /// The most that may be under way.
        allowed: u32,
    },
}
