//! The policy by which a queue shares its deliveries between its lanes: fairness, rates, and limits
//! of each lane. Sections 10 to 14 of a queue's configuration.

use std::collections::BTreeMap;

use crate::config::QueueConfig;
use crate::ids::UnixMs;
use crate::limits::{
    MAX_KEY_BYTES, MAX_RATE, MAX_RATE_FILL_MS, MAX_RATE_INTERVAL_MS, MAX_WEIGHT, MAX_WEIGHTS,
};

/// The rule by which the next lane is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Fairness {
    /// Lanes are served as in SQS fair queues: a lane with at least 30 messages in flight, and more
    /// than a tenth of all that are in flight, stands behind the others.
    #[default]
    QuietFirst = 0,
    /// Lanes do not influence the order. Only for standard queues.
    StrictOrder = 1,
    /// Lanes share in proportion to their weights.
    Weighted = 2,
}

/// A token bucket: one token a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct RateLimit {
    /// Tokens gained in an interval.
    #[cfg_attr(feature = "serde", schemars(range(min = 1, max = 1_000_000)))]
    pub permits: u32,
    /// Length of the interval, at most a day.
    #[cfg_attr(feature = "serde", schemars(range(min = 1, max = 86_400_000)))]
    pub interval_ms: u64,
    /// Most tokens that are saved up.
    #[cfg_attr(feature = "serde", schemars(range(min = 1, max = 1_000_000)))]
    pub burst: u32,
}

/// Limits of each lane. Messages without a lane are not limited by them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct LaneLimits {
    /// Most messages of one lane under lease at one time.
    #[cfg_attr(feature = "serde", schemars(range(min = 1)))]
    pub max_in_flight: Option<u32>,
    /// Deliveries of one lane.
    pub rate: Option<RateLimit>,
    /// Weight of a lane that has none of its own, from 1 to 1000.
    #[cfg_attr(feature = "serde", schemars(range(min = 1, max = 1000)))]
    pub default_weight: u32,
    /// Weights by lane.
    #[cfg_attr(feature = "serde", schemars(schema_with = "weights"))]
    pub weights: BTreeMap<String, u32>,
}

#[cfg(feature = "serde")]
fn weights(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "additionalProperties": { "type": "integer", "minimum": 1, "maximum": 1000 },
    })
}

impl Default for LaneLimits {
    /// No limits, and a weight of 1 for every lane.
    fn default() -> Self {
        Self { max_in_flight: None, rate: None, default_weight: 1, weights: BTreeMap::new() }
    }
}

impl RateLimit {
    fn check(&self) -> Result<(), &'static str> {
        let in_bounds = (1..=MAX_RATE).contains(&self.permits)
            && (1..=MAX_RATE).contains(&self.burst)
            && (1..=MAX_RATE_INTERVAL_MS).contains(&self.interval_ms)
            && self.fill_ns() <= MAX_RATE_FILL_MS * 1_000_000;
        if in_bounds { Ok(()) } else { Err("a rate is out of bounds") }
    }
}

/// Checks the settings of this file and returns a text for people about the first that is wrong.
pub(crate) fn check(config: &QueueConfig) -> Result<(), &'static str> {
    use crate::config::QueueKind;
    let lanes = &config.lanes;
    if config.kind == QueueKind::Fifo && config.fairness == Fairness::StrictOrder {
        return Err("strict order is for standard queues");
    }
    for rate in config.rate.iter().chain(&lanes.rate) {
        rate.check()?;
    }
    if lanes.max_in_flight == Some(0) {
        return Err("max_in_flight of a lane must be at least 1");
    }
    if lanes.weights.len() > MAX_WEIGHTS {
        return Err("too many weights");
    }
    if lanes.weights.keys().any(|key| key.is_empty() || key.len() > MAX_KEY_BYTES) {
        return Err("the key of a weight is empty or too long");
    }
    let mut weights = lanes.weights.values().chain([&lanes.default_weight]);
    if !weights.all(|weight| (1..=MAX_WEIGHT).contains(weight)) {
        return Err("a weight is out of bounds");
    }
    Ok(())
}

const NS_PER_MS: u64 = 1_000_000;

/// A token bucket is one number: the time at which it is (or was) full again, in nanoseconds, so that
/// tokens need no clock that ticks (the generic cell rate algorithm, ITU-T I.371). Each bucket belongs
/// to a limit, which says what the number allows.
impl RateLimit {
    /// Time between two tokens; rounded up, so that no window gets more than it should.
    fn token_ns(&self) -> u64 {
        let interval_ns = self.interval_ms.saturating_mul(NS_PER_MS);
        interval_ns.div_ceil(u64::from(self.permits.max(1))).max(1)
    }

    /// Time in which an empty bucket fills.
    pub fn fill_ns(&self) -> u64 {
        self.token_ns().saturating_mul(u64::from(self.burst.max(1)))
    }

    /// Tokens in a bucket.
    pub fn available(&self, full_at_ns: u64, now_ms: UnixMs) -> u64 {
        let lacking_ns = full_at_ns.saturating_sub(now_ms.saturating_mul(NS_PER_MS));
        self.fill_ns().saturating_sub(lacking_ns) / self.token_ns()
    }

    /// The bucket after a token was taken.
    pub fn take(&self, full_at_ns: u64, at_ms: UnixMs) -> u64 {
        full_at_ns.max(at_ms.saturating_mul(NS_PER_MS)).saturating_add(self.token_ns())
    }

    /// Returns the time from which the bucket has a token; a time in the past if it has one.
    pub fn next_token_ms(&self, full_at_ns: u64) -> UnixMs {
        full_at_ns.saturating_sub(self.fill_ns() - self.token_ns()).div_ceil(NS_PER_MS)
    }

    /// The bucket under new settings: never emptier than empty.
    pub fn adopt(&self, full_at_ns: u64, at_ms: UnixMs) -> u64 {
        let at_ns = at_ms.saturating_mul(NS_PER_MS);
        if full_at_ns <= at_ns { 0 } else { full_at_ns.min(at_ns.saturating_add(self.fill_ns())) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_full_bucket_gives_its_burst_and_then_one_token_at_a_time() {
        let rate = RateLimit { permits: 3, interval_ms: 1_000, burst: 2 };
        let (mut bucket, now_ms) = (0, 1_000_000);
        assert_eq!(rate.available(bucket, now_ms), 2);
        bucket = rate.take(rate.take(bucket, now_ms), now_ms);
        assert_eq!(rate.available(bucket, now_ms), 0);
        let next = rate.next_token_ms(bucket);
        assert_eq!(next, now_ms + 334);
        assert_eq!((rate.available(bucket, next - 1), rate.available(bucket, next)), (0, 1));
        assert_eq!(rate.available(bucket, now_ms + 666), 1);
        assert_eq!(rate.available(bucket, now_ms + 667), 2);
        assert_eq!(rate.available(bucket, now_ms + 99_999), 2, "more than the burst is not saved");
    }

    proptest! {
        /// Over any window the bucket gives no more than `burst + window * permits / interval`, and
        /// the time that it names is the first at which it gives again.
        #[test]
        fn no_window_gets_more_than_its_share(
            (permits, interval_ms, burst) in (1..2_000u32, 1..5_000u64, 1..20u32),
            waits in prop::collection::vec(0..2_000u64, 1..60),
        ) {
            let rate = RateLimit { permits, interval_ms, burst };
            let (mut bucket, mut now_ms, mut taken) = (0, 50_000, Vec::new());
            for wait in waits {
                now_ms += wait;
                let tokens = rate.available(bucket, now_ms);
                let next_ms = rate.next_token_ms(bucket);
                prop_assert_eq!(tokens > 0, next_ms <= now_ms);
                if tokens == 0 {
                    prop_assert_eq!(rate.available(bucket, next_ms - 1), 0);
                    prop_assert!(rate.available(bucket, next_ms) > 0);
                }
                for _ in 0..tokens.min(25) {
                    bucket = rate.take(bucket, now_ms);
                    taken.push(now_ms);
                }
            }
            for (first, from) in taken.iter().enumerate() {
                for (last, to) in taken.iter().enumerate().skip(first) {
                    let most = u64::from(burst) * interval_ms + (to - from) * u64::from(permits);
                    prop_assert!((last - first + 1) as u64 * interval_ms <= most);
                }
            }
        }
    }
}
