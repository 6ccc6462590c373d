//! The frozen binary form of those settings of guards that came after section 5: sections 15 and
//! 16 of a configuration.

use kyu_model::wire::{Malformed, Reader, Write};
use kyu_model::{Breaker, QueueConfig};

use crate::machines::GuardSection;

/// Writes the sections of this file that do not hold defaults, in rising order.
pub(crate) fn encode_sections(config: &QueueConfig, out: &mut Vec<u8>) {
    let breaker = config.guard.and_then(|guard| guard.breaker);
    let percent = breaker.map(|breaker| breaker.slow_start_percent);
    if let Some(percent) = percent.filter(|p| *p != Breaker::default().slow_start_percent) {
        out.section(GuardSection::SlowStart.into(), |b| b.varint(u64::from(percent)));
    }
    if let Some(name) = &config.guard_attribute {
        out.section(GuardSection::Attribute.into(), |b| b.str(name));
    }
}

/// Reads a section of this file.
pub(crate) fn decode_section(
    number: GuardSection,
    config: &mut QueueConfig,
    r: &mut Reader,
) -> Result<(), Malformed> {
    match number {
        GuardSection::SlowStart => {
            let breaker = config.guard.as_mut().and_then(|guard| guard.breaker.as_mut());
            breaker.ok_or(Malformed("slow start without a breaker"))?.slow_start_percent =
                r.varint32()?;
        }
        GuardSection::Attribute => config.guard_attribute = Some(r.string()?),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kyu_model::{Guard, GuardKey};

    fn config(slow_start_percent: u32) -> QueueConfig {
        let breaker = Some(Breaker { slow_start_percent, ..Breaker::default() });
        QueueConfig { guard: Some(Guard { breaker, ..Guard::default() }), ..QueueConfig::default() }
    }

    /// These bytes are on disks: this test may get new rows, never changed ones.
    #[test]
    fn golden_bytes_of_the_sections() {
        let attribute = |name: &str| QueueConfig {
            guard: Some(Guard { key: GuardKey::Attribute, ..Guard::default() }),
            guard_attribute: Some(name.into()),
            ..QueueConfig::default()
        };
        for (config, golden) in [
            (config(100), ""),
            (config(0), "0f0100"),
            (config(300), "0f02ac02"),
            (attribute("a"), "10020161"),
        ] {
            let mut bytes = Vec::new();
            encode_sections(&config, &mut bytes);
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, golden);
            let mut all = Vec::new();
            crate::queue::config_codec::encode_config(&config, &mut all);
            let read = crate::queue::config_codec::decode_config(&mut Reader::new(all.into()));
            assert_eq!(read, Ok(config));
        }
    }
}
