//! What a queue does about failures, expired messages, and lanes that want too much.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a failed message is tried again, and how often. It counts when a lease lapses, and when a
/// delivery fails or is released counted without a delay of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryPolicy {
    /// Delays between attempts.
    pub backoff: Backoff,
    /// How much of each delay is random: with 30, a delay of 10 s becomes one from 7 to 10 s.
    #[serde(default)]
    #[schemars(range(max = 100))]
    pub jitter_percent: u8,
    /// The last attempt: a message that fails in it goes to the dead-letter queue, or is kept as
    /// `dead` if the queue has no dead-letter rule. `null` for the rule's `max_receives` alone.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_attempts: Option<u32>,
}

/// Delays between attempts, each at most 30 days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Backoff {
    /// Always the same.
    Fixed {
        /// The delay.
        #[schemars(range(max = 2_592_000_000_u64))]
        delay_ms: u64,
    },
    /// `first_ms`, then `step_ms` more each time, at most `max_ms`.
    Linear {
        /// The first delay.
        #[schemars(range(max = 2_592_000_000_u64))]
        first_ms: u64,
        /// What each delay adds to the one before.
        #[schemars(range(max = 2_592_000_000_u64))]
        step_ms: u64,
        /// The longest delay.
        #[schemars(range(max = 2_592_000_000_u64))]
        max_ms: u64,
    },
    /// `first_ms`, then each delay `factor_percent` of the one before, at most `max_ms`.
    Exponential {
        /// The first delay.
        #[schemars(range(max = 2_592_000_000_u64))]
        first_ms: u64,
        /// 200 doubles each time.
        #[schemars(range(min = 100, max = 10_000))]
        factor_percent: u32,
        /// The longest delay.
        #[schemars(range(max = 2_592_000_000_u64))]
        max_ms: u64,
    },
    /// These in order; the last one repeats. 1 to 64.
    List {
        /// The delays.
        #[schemars(length(min = 1, max = 64), inner(range(max = 2_592_000_000_u64)))]
        delays_ms: Vec<u64>,
    },
}

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

/// A message is delivered again only for a token; without one it is held until there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetryBudget {
    /// Hundredths of a token that the acknowledgement of a first attempt earns.
    #[schemars(range(max = 1_000))]
    pub earn_percent: u32,
    /// Tokens that come each second, whatever happens.
    #[schemars(range(min = 1, max = 100_000))]
    pub floor_per_second: u32,
    /// Most tokens that are saved.
    #[schemars(range(max = 1_000_000))]
    pub max_tokens: u32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        kyu_model::RetryBudget::default().into()
    }
}

/// Opens when too many attempts fail: nothing is delivered for `open_ms`, then `probes` attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// Attempts are counted over windows of this length.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub window_ms: u64,
    /// It does not open by fewer attempts in a window than this.
    #[schemars(range(min = 1))]
    pub min_attempts: u32,
    /// It opens when this many of a hundred attempts failed.
    #[schemars(range(min = 1, max = 100))]
    pub failure_percent: u8,
    /// How long it stays open, and how long a probe may take.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub open_ms: u64,
    /// Attempts that are let through half open.
    #[schemars(range(min = 1, max = 1_000))]
    pub probes: u32,
    /// After the probes it closes step by step: so many attempts may be under way as probes
    /// succeeded, and by how many percent that grows with each good round; 0 closes it at once.
    #[schemars(range(max = 1_000))]
    pub slow_start_percent: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        kyu_model::Breaker::default().into()
    }
}

/// What receipts may do of deliveries that a later delivery has followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Fencing {
    /// Their acknowledgement removes the message, as with SQS; otherwise (the default) it is refused
    /// as stale. Counted either way.
    pub accept_late_acks: bool,
    /// They do not move a lease (the default); otherwise they do in standard queues, but never end
    /// it.
    pub refuse_stale_extends: bool,
}

impl Default for Fencing {
    fn default() -> Self {
        kyu_model::Fencing::default().into()
    }
}

/// Which lane comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fairness {
    /// As SQS fair queues: a lane with more than 30 messages and more than a tenth of all in
    /// flight stands behind the others.
    #[default]
    QuietFirst,
    /// Lanes do not matter. Standard queues only.
    StrictOrder,
    /// Lanes share in proportion to their weights.
    Weighted,
}

/// A token bucket: one token a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Tokens gained in an interval.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub permits: u32,
    /// Length of the interval, at most a day.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub interval_ms: u64,
    /// Most tokens that are saved up.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub burst: u32,
}

/// Limits of each lane. Messages without a lane are not limited by them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LaneLimits {
    /// Most messages of one lane under lease at one time.
    #[schemars(range(min = 1))]
    pub max_in_flight: Option<u32>,
    /// Deliveries of one lane.
    pub rate: Option<RateLimit>,
    /// Weight of a lane that has none of its own, from 1 to 1000.
    #[schemars(range(min = 1, max = 1000))]
    pub default_weight: u32,
    /// Weights by lane.
    #[schemars(schema_with = "weights")]
    pub weights: BTreeMap<String, u32>,
}

fn weights(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "additionalProperties": { "type": "integer", "minimum": 1, "maximum": 1000 },
    })
}

impl Default for LaneLimits {
    fn default() -> Self {
        kyu_model::LaneLimits::default().into()
    }
}
