//! How a queue shares what it gives between its lanes: fairness, rates, and limits of each lane.
//! Sections 10 to 14 of a queue's configuration.

use std::collections::BTreeMap;

use crate::config::QueueConfig;
use crate::limits::{
    MAX_KEY_BYTES, MAX_RATE, MAX_RATE_FILL_MS, MAX_RATE_INTERVAL_MS, MAX_WEIGHT, MAX_WEIGHTS,
};
use crate::machines::LaneSection;
use crate::wire::{Malformed, Reader, Write};

/// Which lane comes next. Within a lane, and between lanes that are equal otherwise, messages
/// come by priority and then in order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Fairness {
    /// SQS fair queues: a lane with more than 30 messages and more than a tenth of all in flight
    /// stands behind the others. FIFO queues serve the lane that has waited longest.
    #[default]
    QuietFirst = 0,
    /// Lanes do not matter: strictly by priority, then arrival. Nothing goes to the back because it
    /// was received often. Standard queues only.
    StrictOrder = 1,
    /// Lanes with messages of equal priority share deliveries in proportion to their weights
    /// ([`LaneLimits::weights`]). A lane that had nothing to give (or was limited) saves nothing up.
    Weighted = 2,
}

/// A token bucket: one token a delivery. It holds `burst` tokens at most, and gains `permits` of
/// them, evenly spaced, in `interval_ms`; over any time `t` at most `burst + t * permits /
/// interval_ms` messages are delivered. A delivery that is given back does not return its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Tokens gained in an interval; 1 to [`crate::limits::MAX_RATE`].
    pub permits: u32,
    /// Length of the interval; 1 to [`crate::limits::MAX_RATE_INTERVAL_MS`].
    pub interval_ms: u64,
    /// Most tokens that are saved up; 1 to [`crate::limits::MAX_RATE`].
    pub burst: u32,
}

/// Limits of each lane of a queue. Messages without a lane are not limited by them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneLimits {
    /// Most messages of one lane under lease at one time; at least 1. With this limit, a lease that
    /// has lapsed cannot be extended any more.
    pub max_in_flight: Option<u32>,
    /// Deliveries of one lane.
    pub rate: Option<RateLimit>,
    /// Weight of a lane that has none of its own, for [`Fairness::Weighted`];
    /// 1 to [`crate::limits::MAX_WEIGHT`].
    pub default_weight: u32,
    /// Weights by lane key; at most [`crate::limits::MAX_WEIGHTS`].
    pub weights: BTreeMap<String, u32>,
}

impl Default for LaneLimits {
    /// No limits, and a weight of 1 for everybody.
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

/// What is wrong with the settings of this file, if anything is.
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

/// Writes the sections of this file that do not hold defaults, in rising order.
pub(crate) fn encode_sections(config: &QueueConfig, out: &mut Vec<u8>) {
    if config.fairness != Fairness::default() {
        out.section(LaneSection::Fairness.into(), |b| b.u8(config.fairness as u8));
    }
    if let Some(rate) = &config.rate {
        out.section(LaneSection::Rate.into(), |b| rate.encode(b));
    }
    let lanes = &config.lanes;
    if let Some(most) = lanes.max_in_flight {
        out.section(LaneSection::LaneMaxInFlight.into(), |b| b.varint(u64::from(most)));
    }
    if let Some(rate) = &lanes.rate {
        out.section(LaneSection::LaneRate.into(), |b| rate.encode(b));
    }
    if lanes.default_weight != 1 || !lanes.weights.is_empty() {
        out.section(LaneSection::Weights.into(), |b| {
            b.varint(u64::from(lanes.default_weight));
            b.varint(lanes.weights.len() as u64);
            for (key, weight) in &lanes.weights {
                b.str(key);
                b.varint(u64::from(*weight));
            }
        });
    }
}

/// Reads a section of this file.
pub(crate) fn decode_section(
    number: LaneSection,
    config: &mut QueueConfig,
    r: &mut Reader,
) -> Result<(), Malformed> {
    match number {
        LaneSection::Fairness => {
            config.fairness = match r.u8()? {
                0 => Fairness::QuietFirst,
                1 => Fairness::StrictOrder,
                2 => Fairness::Weighted,
                _ => return Err(Malformed("fairness")),
            };
        }
        LaneSection::Rate => config.rate = Some(RateLimit::decode(r)?),
        LaneSection::LaneMaxInFlight => config.lanes.max_in_flight = Some(r.varint32()?),
        LaneSection::LaneRate => config.lanes.rate = Some(RateLimit::decode(r)?),
        LaneSection::Weights => {
            config.lanes.default_weight = r.varint32()?;
            config.lanes.weights = (0..r.count()?)
                .map(|_| Ok((r.string()?, r.varint32()?)))
                .collect::<Result<_, Malformed>>()?;
        }
    }
    Ok(())
}

impl RateLimit {
    fn encode(&self, out: &mut Vec<u8>) {
        out.varint(u64::from(self.permits));
        out.varint(self.interval_ms);
        out.varint(u64::from(self.burst));
    }

    fn decode(r: &mut Reader) -> Result<Self, Malformed> {
        Ok(Self { permits: r.varint32()?, interval_ms: r.varint()?, burst: r.varint32()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// These bytes are on disks: this test may get new rows, never changed ones.
    #[test]
    fn golden_bytes_of_the_sections() {
        let config = QueueConfig {
            fairness: Fairness::Weighted,
            rate: Some(RateLimit { permits: 500, interval_ms: 1_000, burst: 1 }),
            lanes: LaneLimits {
                max_in_flight: Some(4),
                rate: Some(RateLimit { permits: 1, interval_ms: 2, burst: 3 }),
                default_weight: 2,
                weights: [("a".to_owned(), 300)].into(),
            },
            ..QueueConfig::unwritten()
        };
        let mut bytes = Vec::new();
        encode_sections(&config, &mut bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "0a01020b05f403e807010c01040d030102030e0602010161ac02");
        bytes.clear();
        encode_sections(&QueueConfig::unwritten(), &mut bytes);
        assert!(bytes.is_empty(), "defaults take no space");
    }
}
