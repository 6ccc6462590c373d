//! The frozen binary form of the settings of lanes and rates: sections 10 to 14 of a configuration.

use kyu_model::wire::{Malformed, Reader, Write};
use kyu_model::{Fairness, QueueConfig, RateLimit};

use crate::machines::LaneSection;

/// Writes the sections of this file that do not hold defaults, in rising order.
pub(crate) fn encode_sections(config: &QueueConfig, out: &mut Vec<u8>) {
    if config.fairness != Fairness::default() {
        out.section(LaneSection::Fairness.into(), |b| b.u8(config.fairness as u8));
    }
    if let Some(rate) = &config.rate {
        out.section(LaneSection::Rate.into(), |b| encode_rate(rate, b));
    }
    let lanes = &config.lanes;
    if let Some(most) = lanes.max_in_flight {
        out.section(LaneSection::LaneMaxInFlight.into(), |b| b.varint(u64::from(most)));
    }
    if let Some(rate) = &lanes.rate {
        out.section(LaneSection::LaneRate.into(), |b| encode_rate(rate, b));
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
        LaneSection::Rate => config.rate = Some(decode_rate(r)?),
        LaneSection::LaneMaxInFlight => config.lanes.max_in_flight = Some(r.varint32()?),
        LaneSection::LaneRate => config.lanes.rate = Some(decode_rate(r)?),
        LaneSection::Weights => {
            config.lanes.default_weight = r.varint32()?;
            config.lanes.weights = (0..r.count()?)
                .map(|_| Ok((r.string()?, r.varint32()?)))
                .collect::<Result<_, Malformed>>()?;
        }
    }
    Ok(())
}

fn encode_rate(rate: &RateLimit, out: &mut Vec<u8>) {
    out.varint(u64::from(rate.permits));
    out.varint(rate.interval_ms);
    out.varint(u64::from(rate.burst));
}

fn decode_rate(r: &mut Reader) -> Result<RateLimit, Malformed> {
    Ok(RateLimit { permits: r.varint32()?, interval_ms: r.varint()?, burst: r.varint32()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kyu_model::LaneLimits;

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
