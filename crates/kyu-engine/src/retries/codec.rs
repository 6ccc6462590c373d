//! The frozen binary form of the settings of retries: sections 1 to 6 of a configuration.

use kyu_model::wire::{Malformed, Reader, Write};
use kyu_model::{
    BACK_AFTER_RECEIVES, Backoff, Breaker, ExpiredTo, Fencing, Guard, GuardKey, QueueConfig,
    RetryBudget, RetryPolicy,
};

use crate::codec::{decode_name, encode_name};
use crate::machines::RetrySection;

pub(crate) fn encode_sections(config: &QueueConfig, out: &mut Vec<u8>) {
    if let Some(retry) = &config.retry {
        out.section(RetrySection::Retry.into(), |b| encode_retry(retry, b));
    }
    if config.back_after_receives != Some(BACK_AFTER_RECEIVES) {
        out.section(RetrySection::BackAfterReceives.into(), |b| {
            b.opt_varint(config.back_after_receives.map(u64::from));
        });
    }
    if config.keep_history {
        out.section(RetrySection::KeepHistory.into(), |_| {});
    }
    match &config.expired_to {
        ExpiredTo::Nowhere => {}
        ExpiredTo::DeadLetterQueue => out.section(RetrySection::ExpiredTo.into(), |b| b.u8(1)),
        ExpiredTo::Queue(name) => out.section(RetrySection::ExpiredTo.into(), |b| {
            b.u8(2);
            encode_name(name, b);
        }),
    }
    if let Some(guard) = &config.guard {
        out.section(RetrySection::Guard.into(), |b| encode_guard(guard, b));
    }
    if config.fencing != Fencing::NONE {
        out.section(RetrySection::Fencing.into(), |b| {
            b.u8(u8::from(config.fencing.accept_late_acks));
            b.u8(u8::from(config.fencing.refuse_stale_extends));
        });
    }
}

/// Reads a section of this file.
pub(crate) fn decode_section(
    number: RetrySection,
    config: &mut QueueConfig,
    r: &mut Reader,
) -> Result<(), Malformed> {
    match number {
        RetrySection::Retry => config.retry = Some(decode_retry(r)?),
        RetrySection::BackAfterReceives => config.back_after_receives = opt_u32(r)?,
        RetrySection::KeepHistory => config.keep_history = true,
        RetrySection::ExpiredTo => {
            config.expired_to = match r.u8()? {
                1 => ExpiredTo::DeadLetterQueue,
                2 => ExpiredTo::Queue(decode_name(r)?),
                _ => return Err(Malformed("place of expired messages")),
            }
        }
        RetrySection::Guard => config.guard = Some(decode_guard(r)?),
        RetrySection::Fencing => {
            let (accept_late_acks, refuse_stale_extends) = (r.bool()?, r.bool()?);
            config.fencing = Fencing { accept_late_acks, refuse_stale_extends };
        }
    }
    Ok(())
}

fn opt_u32(r: &mut Reader) -> Result<Option<u32>, Malformed> {
    crate::codec::opt_u32(r)
}

fn encode_retry(retry: &RetryPolicy, out: &mut Vec<u8>) {
    match &retry.backoff {
        Backoff::Fixed { delay_ms } => {
            out.u8(0);
            out.varint(*delay_ms);
        }
        Backoff::Linear { first_ms, step_ms, max_ms } => {
            out.u8(1);
            [first_ms, step_ms, max_ms].into_iter().for_each(|ms| out.varint(*ms));
        }
        Backoff::Exponential { first_ms, factor_percent, max_ms } => {
            out.u8(2);
            out.varint(*first_ms);
            out.varint(u64::from(*factor_percent));
            out.varint(*max_ms);
        }
        Backoff::List { delays_ms: delays } => {
            out.u8(3);
            out.varint(delays.len() as u64);
            delays.iter().for_each(|ms| out.varint(*ms));
        }
    }
    out.u8(retry.jitter_percent);
    out.opt_varint(retry.max_attempts.map(u64::from));
}

fn decode_retry(r: &mut Reader) -> Result<RetryPolicy, Malformed> {
    Ok(RetryPolicy {
        backoff: match r.u8()? {
            0 => Backoff::Fixed { delay_ms: r.varint()? },
            1 => {
                let (first_ms, step_ms, max_ms) = (r.varint()?, r.varint()?, r.varint()?);
                Backoff::Linear { first_ms, step_ms, max_ms }
            }
            2 => {
                let (first_ms, factor_percent) = (r.varint()?, r.varint32()?);
                Backoff::Exponential { first_ms, factor_percent, max_ms: r.varint()? }
            }
            3 => Backoff::List {
                delays_ms: (0..r.count()?).map(|_| r.varint()).collect::<Result<_, _>>()?,
            },
            _ => return Err(Malformed("backoff")),
        },
        jitter_percent: r.u8()?,
        max_attempts: opt_u32(r)?,
    })
}

fn encode_guard(guard: &Guard, out: &mut Vec<u8>) {
    out.u8(guard.key as u8);
    out.u8(u8::from(guard.budget.is_some()));
    if let Some(budget) = &guard.budget {
        for number in [budget.earn_percent, budget.floor_per_second, budget.max_tokens] {
            out.varint(u64::from(number));
        }
    }
    out.u8(u8::from(guard.breaker.is_some()));
    if let Some(breaker) = &guard.breaker {
        out.varint(breaker.window_ms);
        out.varint(u64::from(breaker.min_attempts));
        out.u8(breaker.failure_percent);
        out.varint(breaker.open_ms);
        out.varint(u64::from(breaker.probes));
    }
}

fn decode_guard(r: &mut Reader) -> Result<Guard, Malformed> {
    Ok(Guard {
        key: match r.u8()? {
            0 => GuardKey::Queue,
            1 => GuardKey::Lane,
            2 => GuardKey::Attribute,
            _ => return Err(Malformed("key of a guard")),
        },
        budget: if r.bool()? {
            let (earn_percent, floor_per_second) = (r.varint32()?, r.varint32()?);
            Some(RetryBudget { earn_percent, floor_per_second, max_tokens: r.varint32()? })
        } else {
            None
        },
        breaker: if r.bool()? {
            Some(Breaker {
                window_ms: r.varint()?,
                min_attempts: r.varint32()?,
                failure_percent: r.u8()?,
                open_ms: r.varint()?,
                probes: r.varint32()?,
                ..Breaker::default()
            })
        } else {
            None
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::config_codec::{decode_config, encode_config};
    use kyu_model::QueueName;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn retry(backoff: Backoff) -> QueueConfig {
        let retry = RetryPolicy { backoff, jitter_percent: 30, max_attempts: Some(5) };
        QueueConfig { retry: Some(retry), ..QueueConfig::unwritten() }
    }

    fn samples() -> Vec<(QueueConfig, &'static str)> {
        let base = QueueConfig::unwritten;
        let name = QueueName { namespace: "n".into(), name: "d".into() };
        let guard = Guard {
            key: GuardKey::Lane,
            budget: Some(RetryBudget::default()),
            breaker: Some(Breaker::default()),
        };
        vec![
            (base(), ""),
            (retry(Backoff::Fixed { delay_ms: 300 }), "010600ac021e0105"),
            (retry(Backoff::Linear { first_ms: 1, step_ms: 2, max_ms: 3 }), "0107010102031e0105"),
            (
                retry(Backoff::Exponential { first_ms: 1, factor_percent: 200, max_ms: 3 }),
                "01080201c801031e0105",
            ),
            (retry(Backoff::List { delays_ms: vec![1, 2] }), "01070302 01021e0105"),
            (QueueConfig { back_after_receives: None, ..base() }, "020100"),
            (QueueConfig { keep_history: true, ..base() }, "0300"),
            (QueueConfig { expired_to: ExpiredTo::DeadLetterQueue, ..base() }, "040101"),
            (QueueConfig { expired_to: ExpiredTo::Queue(name), ..base() }, "040502016e0164"),
            (QueueConfig { guard: Some(guard), ..base() }, "050e01011401640190 4e1432b0ea0105 "),
            (QueueConfig { guard: Some(Guard::default()), ..base() }, "0503000000"),
            (
                QueueConfig {
                    keep_history: true,
                    fencing: Fencing { accept_late_acks: true, refuse_stale_extends: false },
                    ..base()
                },
                "030006020100",
            ),
        ]
    }

    /// These bytes are on disks: this test may get new rows, never changed ones.
    #[test]
    fn golden_bytes() {
        for (config, golden) in samples() {
            let mut bytes = Vec::new();
            encode_sections(&config, &mut bytes);
            assert_eq!(hex(&bytes), golden.replace(' ', ""), "{config:?}");
        }
    }

    #[test]
    fn settings_survive_their_binary_form_and_truncations_are_refused() {
        for (config, _) in samples() {
            let mut bytes = Vec::new();
            encode_config(&config, &mut bytes);
            assert_eq!(decode_config(&mut Reader::new(bytes.clone().into())), Ok(config));
            for end in 0..bytes.len() {
                assert!(decode_config(&mut Reader::new(bytes[..end].to_vec().into())).is_err());
            }
        }
    }

    #[test]
    fn sections_out_of_order_too_long_or_of_unknown_numbers_are_refused() {
        let mut plain = Vec::new();
        encode_config(&QueueConfig::unwritten(), &mut plain);
        plain.pop();
        for hostile in ["\x03\x00\x02\x01\x00\x00", "\x09\x00\x00", "\x03\x01\x00\x00"] {
            let bytes = [&plain, hostile.as_bytes()].concat();
            let read = decode_config(&mut Reader::new(bytes.into()));
            assert!(read.is_err(), "{hostile:?}");
        }
    }
}
