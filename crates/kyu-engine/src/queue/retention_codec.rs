//! The frozen binary form of the settings of the retention: section 20 of a configuration.

use kyu_model::wire::{Malformed, Reader, Write};
use kyu_model::{QueueConfig, RetentionFrom};

use crate::machines::RetentionSection;

/// Writes the sections of this file that do not hold what stood there before they existed.
pub(crate) fn encode_sections(config: &QueueConfig, out: &mut Vec<u8>) {
    if config.retention_from != RetentionFrom::Sent {
        out.section(RetentionSection::From.into(), |b| b.u8(config.retention_from as u8));
    }
}

/// Reads a section of this file.
pub(crate) fn decode_section(
    number: RetentionSection,
    config: &mut QueueConfig,
    r: &mut Reader,
) -> Result<(), Malformed> {
    match number {
        RetentionSection::From => {
            config.retention_from = match r.u8()? {
                0 => RetentionFrom::Sent,
                1 => RetentionFrom::Receivable,
                _ => return Err(Malformed("start of the retention")),
            };
        }
    }
    Ok(())
}
