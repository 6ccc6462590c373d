//! The frozen binary form of a queue's configuration, in facts and in snapshots.

use kyu_model::wire::{Malformed, Reader, Write};
use kyu_model::{DeadLetter, DedupScope, Overflow, QueueConfig, QueueKind};

use crate::codec::{decode_map, decode_opt_name, encode_map, encode_opt_name};
use crate::lanes::codec as lane_codec;
use crate::machines::SectionNumber;
use crate::queue::retention_codec;
use crate::retries::{codec as retry_codec, guard_codec};

/// Version of the configuration's layout. New settings are new sections, not new versions.
const CONFIG_VERSION: u8 = 1;

/// Ends the row of sections. Numbers of sections are frozen; one is left out while what it holds
/// is the default.
const NO_MORE_SECTIONS: u8 = 0;

pub(crate) fn encode_config(config: &QueueConfig, out: &mut Vec<u8>) {
    // Named one by one, so that a new setting does not compile before it has a place.
    let QueueConfig {
        kind,
        visibility_timeout_ms,
        delay_ms,
        retention_ms,
        receive_wait_ms,
        max_message_bytes,
        max_in_flight,
        max_messages,
        max_bytes,
        overflow,
        content_based_deduplication,
        dedup_scope,
        dedup_window_ms,
        dead_letter,
        attributes,
        tags,
        // These settings are written as sections, below.
        retry: _,
        back_after_receives: _,
        keep_history: _,
        expired_to: _,
        guard: _,
        fencing: _,
        fairness: _,
        rate: _,
        lanes: _,
        guard_attribute: _,
        retention_from: _,
    } = config;
    out.u8(CONFIG_VERSION);
    out.u8(*kind as u8);
    out.varint(*visibility_timeout_ms);
    out.varint(*delay_ms);
    out.varint(*retention_ms);
    out.varint(*receive_wait_ms);
    out.varint(u64::from(*max_message_bytes));
    out.varint(u64::from(*max_in_flight));
    out.opt_varint(*max_messages);
    out.opt_varint(*max_bytes);
    out.u8(*overflow as u8);
    out.u8(u8::from(*content_based_deduplication));
    out.u8(*dedup_scope as u8);
    out.varint(*dedup_window_ms);
    encode_opt_name(dead_letter.as_ref().map(|rule| &rule.target), out);
    if let Some(rule) = dead_letter {
        out.varint(u64::from(rule.max_receives));
    }
    encode_map(attributes, out);
    encode_map(tags, out);
    retry_codec::encode_sections(config, out);
    lane_codec::encode_sections(config, out);
    guard_codec::encode_sections(config, out);
    retention_codec::encode_sections(config, out);
    out.u8(NO_MORE_SECTIONS);
}

pub(crate) fn decode_config(r: &mut Reader) -> Result<QueueConfig, Malformed> {
    if r.u8()? != CONFIG_VERSION {
        return Err(Malformed("configuration version"));
    }
    let mut config = QueueConfig {
        kind: if r.bool()? { QueueKind::Fifo } else { QueueKind::Standard },
        visibility_timeout_ms: r.varint()?,
        delay_ms: r.varint()?,
        retention_ms: r.varint()?,
        receive_wait_ms: r.varint()?,
        max_message_bytes: r.varint32()?,
        max_in_flight: r.varint32()?,
        max_messages: r.opt_varint()?,
        max_bytes: r.opt_varint()?,
        overflow: if r.bool()? { Overflow::DropHead } else { Overflow::Refuse },
        content_based_deduplication: r.bool()?,
        dedup_scope: if r.bool()? { DedupScope::Lane } else { DedupScope::Queue },
        dedup_window_ms: r.varint()?,
        dead_letter: match decode_opt_name(r)? {
            Some(target) => Some(DeadLetter { target, max_receives: r.varint32()? }),
            None => None,
        },
        attributes: decode_map(r)?,
        tags: decode_map(r)?,
        ..QueueConfig::unwritten()
    };
    decode_sections(&mut config, r)?;
    Ok(config)
}

fn decode_sections(config: &mut QueueConfig, r: &mut Reader) -> Result<(), Malformed> {
    let mut last = NO_MORE_SECTIONS;
    loop {
        let number = r.u8()?;
        if number == NO_MORE_SECTIONS {
            return Ok(());
        }
        let malformed = Malformed("configuration section");
        let mut section = Reader::new(r.bytes()?);
        match SectionNumber::of(number).ok_or(malformed)? {
            SectionNumber::Retry(of) => retry_codec::decode_section(of, config, &mut section)?,
            SectionNumber::Lanes(of) => lane_codec::decode_section(of, config, &mut section)?,
            SectionNumber::Guard(of) => guard_codec::decode_section(of, config, &mut section)?,
            SectionNumber::Retention(of) => {
                retention_codec::decode_section(of, config, &mut section)?
            }
        }
        if number <= last || section.remaining() > 0 {
            return Err(malformed);
        }
        last = number;
    }
}
