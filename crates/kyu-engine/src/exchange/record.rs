//! The frozen binary form of exchanges and bindings, in effects and in snapshots. A new field makes
//! a new version that reads the old.

use std::net::IpAddr;

use kyu_model::wire::{Malformed, Reader, Write};
use kyu_model::{
    BindingConfig, BindingId, Bound, Condition, DedupScope, ExchangeConfig, ExchangeId, Filter,
    Literal, Matcher, Network, QueueKind, QueueName, Range, Test, UnixMs,
};

use crate::codec::{
    decode_map, decode_name, decode_opt_name, encode_map, encode_name, encode_opt_name,
};
use crate::machines::ExchangeNumber;

/// The facts of exchanges and bindings.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ExchangeFact {
    Created { exchange: ExchangeId, at_ms: UnixMs, name: QueueName, config: Box<ExchangeConfig> },
    Configured { exchange: ExchangeId, config: Box<ExchangeConfig> },
    Deleted { exchange: ExchangeId },
    Bound { exchange: ExchangeId, binding: BindingId, at_ms: UnixMs, config: Box<BindingConfig> },
    Rebound { binding: BindingId, config: Box<BindingConfig> },
    Unbound { binding: BindingId },
    Published(Box<PublishedFact>),
}

/// A publication that has a place in its exchange's order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PublishedFact {
    pub(crate) exchange: ExchangeId,
    pub(crate) seq: u64,
    pub(crate) at_ms: UnixMs,
    /// The key of the deduplication id, and the time until which it is remembered.
    pub(crate) key: String,
    pub(crate) until_ms: UnixMs,
    pub(crate) message_id: u128,
}

impl ExchangeFact {
    /// Returns true if the fact adds to what is stored: see [`crate::Effects::grows`].
    pub(crate) fn grows(&self) -> bool {
        match self {
            Self::Created { .. }
            | Self::Configured { .. }
            | Self::Bound { .. }
            | Self::Rebound { .. }
            | Self::Published(_) => true,
            Self::Deleted { .. } | Self::Unbound { .. } => false,
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Created { exchange, at_ms, name, config } => {
                head(ExchangeNumber::Created, *exchange, out);
                out.varint(*at_ms);
                encode_name(name, out);
                encode_exchange(config, out);
            }
            Self::Configured { exchange, config } => {
                head(ExchangeNumber::Configured, *exchange, out);
                encode_exchange(config, out);
            }
            Self::Deleted { exchange } => head(ExchangeNumber::Deleted, *exchange, out),
            Self::Bound { exchange, binding, at_ms, config } => {
                head(ExchangeNumber::Bound, *exchange, out);
                out.varint(binding.get());
                out.varint(*at_ms);
                encode_binding(config, out);
            }
            Self::Rebound { binding, config } => {
                out.u8(ExchangeNumber::Rebound.into());
                out.varint(binding.get());
                encode_binding(config, out);
            }
            Self::Unbound { binding } => {
                out.u8(ExchangeNumber::Unbound.into());
                out.varint(binding.get());
            }
            Self::Published(published) => {
                head(ExchangeNumber::Published, published.exchange, out);
                out.varint(published.seq);
                out.varint(published.at_ms);
                out.str(&published.key);
                out.varint(published.until_ms);
                out.u128(published.message_id);
            }
        }
    }

    pub(crate) fn decode(number: ExchangeNumber, r: &mut Reader) -> Result<Self, Malformed> {
        Ok(match number {
            ExchangeNumber::Created => Self::Created {
                exchange: ExchangeId(r.varint32()?),
                at_ms: r.varint()?,
                name: decode_name(r)?,
                config: Box::new(decode_exchange(r)?),
            },
            ExchangeNumber::Configured => Self::Configured {
                exchange: ExchangeId(r.varint32()?),
                config: Box::new(decode_exchange(r)?),
            },
            ExchangeNumber::Deleted => Self::Deleted { exchange: ExchangeId(r.varint32()?) },
            ExchangeNumber::Bound => Self::Bound {
                exchange: ExchangeId(r.varint32()?),
                binding: decode_binding_id(r)?,
                at_ms: r.varint()?,
                config: Box::new(decode_binding(r)?),
            },
            ExchangeNumber::Rebound => Self::Rebound {
                binding: decode_binding_id(r)?,
                config: Box::new(decode_binding(r)?),
            },
            ExchangeNumber::Unbound => Self::Unbound { binding: decode_binding_id(r)? },
            ExchangeNumber::Published => Self::Published(Box::new(PublishedFact {
                exchange: ExchangeId(r.varint32()?),
                seq: r.varint()?,
                at_ms: r.varint()?,
                key: r.string()?,
                until_ms: r.varint()?,
                message_id: r.u128()?,
            })),
        })
    }
}

fn head(number: ExchangeNumber, exchange: ExchangeId, out: &mut Vec<u8>) {
    out.u8(number.into());
    out.varint(u64::from(exchange.0));
}

const EXCHANGE_VERSION: u8 = 1;
const BINDING_VERSION: u8 = 1;

pub(crate) fn encode_exchange(config: &ExchangeConfig, out: &mut Vec<u8>) {
    out.u8(EXCHANGE_VERSION);
    out.u8(config.kind as u8);
    out.u8(u8::from(config.content_based_deduplication));
    out.u8(config.dedup_scope as u8);
    out.varint(u64::from(config.max_message_bytes));
    encode_map(&config.attributes, out);
    encode_map(&config.tags, out);
}

pub(crate) fn decode_exchange(r: &mut Reader) -> Result<ExchangeConfig, Malformed> {
    if r.u8()? != EXCHANGE_VERSION {
        return Err(Malformed("exchange version"));
    }
    Ok(ExchangeConfig {
        kind: if r.bool()? { QueueKind::Fifo } else { QueueKind::Standard },
        content_based_deduplication: r.bool()?,
        dedup_scope: if r.bool()? { DedupScope::Lane } else { DedupScope::Queue },
        max_message_bytes: r.varint32()?,
        attributes: decode_map(r)?,
        tags: decode_map(r)?,
    })
}

pub(crate) fn encode_binding(config: &BindingConfig, out: &mut Vec<u8>) {
    out.u8(BINDING_VERSION);
    out.str(&config.protocol);
    out.str(&config.address);
    encode_name(&config.target, out);
    encode_matcher(&config.matcher, out);
    out.u8(u8::from(config.bare));
    out.u8(u8::from(config.active));
    encode_opt_name(config.dead_letter.as_ref(), out);
    encode_map(&config.attributes, out);
}

pub(crate) fn decode_binding(r: &mut Reader) -> Result<BindingConfig, Malformed> {
    if r.u8()? != BINDING_VERSION {
        return Err(Malformed("binding version"));
    }
    Ok(BindingConfig {
        protocol: r.string()?,
        address: r.string()?,
        target: decode_name(r)?,
        matcher: decode_matcher(r)?,
        bare: r.bool()?,
        active: r.bool()?,
        dead_letter: decode_opt_name(r)?,
        attributes: decode_map(r)?,
    })
}

pub(crate) fn decode_binding_id(r: &mut Reader) -> Result<BindingId, Malformed> {
    let number = r.varint()?;
    BindingId::new(number).filter(|id| id.get() == number).ok_or(Malformed("binding"))
}

fn encode_matcher(matcher: &Matcher, out: &mut Vec<u8>) {
    let (kind, filter) = match matcher {
        Matcher::Everything => return out.u8(0),
        Matcher::Attributes(filter) => (1, filter),
        Matcher::Body(filter) => (2, filter),
    };
    out.u8(kind);
    out.varint(filter.alternatives.len() as u64);
    for tests in &filter.alternatives {
        out.varint(tests.len() as u64);
        for test in tests {
            out.str(&test.path);
            out.varint(test.conditions.len() as u64);
            test.conditions.iter().for_each(|condition| encode_condition(condition, out));
        }
    }
}

fn decode_matcher(r: &mut Reader) -> Result<Matcher, Malformed> {
    let matcher: fn(Filter) -> Matcher = match r.u8()? {
        0 => return Ok(Matcher::Everything),
        1 => Matcher::Attributes,
        2 => Matcher::Body,
        _ => return Err(Malformed("matcher")),
    };
    let alternatives = (0..r.count()?).map(|_| {
        let tests = (0..r.count()?).map(|_| {
            Ok(Test {
                path: r.string()?,
                conditions: (0..r.count()?)
                    .map(|_| decode_condition(r))
                    .collect::<Result<_, Malformed>>()?,
            })
        });
        tests.collect::<Result<_, Malformed>>()
    });
    Ok(matcher(Filter { alternatives: alternatives.collect::<Result<_, _>>()? }))
}

/// Frozen numbers of the conditions.
mod condition {
    pub(super) const IS: u8 = 0;
    pub(super) const ANYTHING_BUT: u8 = 1;
    pub(super) const ANYTHING_BUT_PREFIX: u8 = 2;
    pub(super) const PREFIX: u8 = 3;
    pub(super) const SUFFIX: u8 = 4;
    pub(super) const SAME_IGNORING_CASE: u8 = 5;
    pub(super) const WITHIN: u8 = 6;
    pub(super) const NETWORK: u8 = 7;
    pub(super) const EXISTS: u8 = 8;
}

fn encode_condition(one: &Condition, out: &mut Vec<u8>) {
    let mut text = |number: u8, text: &str| {
        out.u8(number);
        out.str(text);
    };
    match one {
        Condition::Prefix(start) => text(condition::PREFIX, start),
        Condition::Suffix(end) => text(condition::SUFFIX, end),
        Condition::SameIgnoringCase(same) => text(condition::SAME_IGNORING_CASE, same),
        Condition::Is(literal) => {
            out.u8(condition::IS);
            encode_literal(literal, out);
        }
        Condition::AnythingBut(literals) => {
            out.u8(condition::ANYTHING_BUT);
            out.varint(literals.len() as u64);
            literals.iter().for_each(|literal| encode_literal(literal, out));
        }
        Condition::AnythingButPrefix(starts) => {
            out.u8(condition::ANYTHING_BUT_PREFIX);
            out.varint(starts.len() as u64);
            starts.iter().for_each(|start| out.str(start));
        }
        Condition::Within(range) => {
            out.u8(condition::WITHIN);
            encode_bound(range.low, out);
            encode_bound(range.high, out);
        }
        Condition::Network(network) => {
            out.u8(condition::NETWORK);
            match network.first {
                IpAddr::V4(first) => {
                    out.u8(4);
                    out.u32(first.to_bits());
                }
                IpAddr::V6(first) => {
                    out.u8(6);
                    out.u128(first.to_bits());
                }
            }
            out.u8(network.prefix_bits);
        }
        Condition::Exists(wanted) => {
            out.u8(condition::EXISTS);
            out.u8(u8::from(*wanted));
        }
    }
}

fn decode_condition(r: &mut Reader) -> Result<Condition, Malformed> {
    Ok(match r.u8()? {
        condition::IS => Condition::Is(decode_literal(r)?),
        condition::ANYTHING_BUT => Condition::AnythingBut(
            (0..r.count()?).map(|_| decode_literal(r)).collect::<Result<_, _>>()?,
        ),
        condition::ANYTHING_BUT_PREFIX => Condition::AnythingButPrefix(
            (0..r.count()?).map(|_| r.string()).collect::<Result<_, _>>()?,
        ),
        condition::PREFIX => Condition::Prefix(r.string()?),
        condition::SUFFIX => Condition::Suffix(r.string()?),
        condition::SAME_IGNORING_CASE => Condition::SameIgnoringCase(r.string()?),
        condition::WITHIN => {
            Condition::Within(Range { low: decode_bound(r)?, high: decode_bound(r)? })
        }
        condition::NETWORK => Condition::Network(Network {
            first: match r.u8()? {
                4 => IpAddr::V4(r.u32()?.into()),
                6 => IpAddr::V6(r.u128()?.into()),
                _ => return Err(Malformed("network")),
            },
            prefix_bits: r.u8()?,
        }),
        condition::EXISTS => Condition::Exists(r.bool()?),
        _ => return Err(Malformed("condition")),
    })
}

fn encode_literal(literal: &Literal, out: &mut Vec<u8>) {
    match literal {
        Literal::Null => out.u8(0),
        Literal::Bool(flag) => out.u8(if *flag { 2 } else { 1 }),
        Literal::Number(value) => {
            out.u8(3);
            out.u64(value.to_bits());
        }
        Literal::Text(text) => {
            out.u8(4);
            out.str(text);
        }
    }
}

fn decode_literal(r: &mut Reader) -> Result<Literal, Malformed> {
    Ok(match r.u8()? {
        0 => Literal::Null,
        1 => Literal::Bool(false),
        2 => Literal::Bool(true),
        3 => Literal::Number(f64::from_bits(r.u64()?)),
        4 => Literal::Text(r.string()?),
        _ => return Err(Malformed("literal")),
    })
}

fn encode_bound(bound: Option<Bound>, out: &mut Vec<u8>) {
    match bound {
        None => out.u8(0),
        Some(bound) => {
            out.u8(if bound.inclusive { 2 } else { 1 });
            out.u64(bound.value.to_bits());
        }
    }
}

fn decode_bound(r: &mut Reader) -> Result<Option<Bound>, Malformed> {
    let inclusive = match r.u8()? {
        0 => return Ok(None),
        1 => false,
        2 => true,
        _ => return Err(Malformed("bound")),
    };
    Ok(Some(Bound { value: f64::from_bits(r.u64()?), inclusive }))
}

#[cfg(test)]
mod tests {

    use kyu_model::QueueName;
    use std::collections::BTreeMap;

    use super::*;
    use crate::effect::Effects;
    use crate::exchange::record::{ExchangeFact, PublishedFact};

    fn name(name: &str) -> QueueName {
        QueueName { namespace: "n".into(), name: name.into() }
    }

    /// Every kind of condition and literal.
    fn matcher() -> Matcher {
        let bound = |value| Some(Bound { value, inclusive: value > 1.0 });
        let conditions = vec![
            Condition::Is(Literal::Null),
            Condition::Is(Literal::Bool(true)),
            Condition::AnythingBut(vec![Literal::Number(1.5), Literal::Text("t".into())]),
            Condition::AnythingButPrefix(vec!["p".into()]),
            Condition::Prefix("p".into()),
            Condition::Suffix("s".into()),
            Condition::SameIgnoringCase("i".into()),
            Condition::Within(Range { low: bound(1.0), high: bound(2.0) }),
            Condition::Within(Range { low: None, high: bound(2.0) }),
            Condition::Network(Network { first: "10.0.0.0".parse().unwrap(), prefix_bits: 8 }),
            Condition::Network(Network { first: "::1".parse().unwrap(), prefix_bits: 128 }),
            Condition::Exists(false),
        ];
        let test = Test { path: "a.b".into(), conditions };
        Matcher::Body(Filter { alternatives: vec![vec![test], vec![]] })
    }

    fn samples() -> Vec<(ExchangeFact, &'static str)> {
        let exchange = ExchangeId(300);
        let binding = BindingId::new(7).unwrap();
        let config = ExchangeConfig {
            kind: QueueKind::Fifo,
            content_based_deduplication: true,
            dedup_scope: DedupScope::Lane,
            attributes: BTreeMap::from([("a".into(), "b".into())]),
            tags: BTreeMap::from([("t".into(), "v".into())]),
            ..ExchangeConfig::default()
        };
        let bound = BindingConfig {
            protocol: "sqs".into(),
            address: "arn".into(),
            target: name("q"),
            matcher: matcher(),
            bare: true,
            active: false,
            dead_letter: Some(name("d")),
            attributes: BTreeMap::from([("a".into(), "b".into())]),
        };
        let plain = BindingConfig {
            matcher: Matcher::Everything,
            dead_letter: None,
            attributes: BTreeMap::new(),
            ..bound.clone()
        };
        vec![
            (
                ExchangeFact::Created {
                    exchange,
                    at_ms: 1,
                    name: name("x"),
                    config: Box::new(config),
                },
                GOLDEN_CREATED,
            ),
            (ExchangeFact::Configured { exchange, config: Box::default() }, GOLDEN_CONFIGURED),
            (ExchangeFact::Deleted { exchange }, "16ac02"),
            (
                ExchangeFact::Bound { exchange, binding, at_ms: 1, config: Box::new(bound) },
                GOLDEN_BOUND,
            ),
            (ExchangeFact::Rebound { binding, config: Box::new(plain) }, GOLDEN_REBOUND),
            (ExchangeFact::Unbound { binding }, "1907"),
            (
                ExchangeFact::Published(Box::new(PublishedFact {
                    exchange,
                    seq: 9,
                    at_ms: 1,
                    key: "k".into(),
                    until_ms: 2,
                    message_id: 3,
                })),
                "1aac020901016b0203000000000000000000000000000000",
            ),
        ]
    }

    const GOLDEN_CREATED: &str = "14ac0201016e01780101010180801001016101620101740176";
    const GOLDEN_CONFIGURED: &str = "15ac02010000008080100000";
    const GOLDEN_BOUND: &str = "17ac02070101037371730361726e016e017102020103612e620c00000002010203000000000000f83f040174020101700301700401730501690601000000000000f03f020000000000000040060002000000000000004007040000000a0807060100000000000000000000000000000080080000010001016e01640101610162";
    const GOLDEN_REBOUND: &str = "180701037371730361726e016e01710001000000";

    /// These bytes are on disks: this test may get new rows, never changed ones.
    #[test]
    fn golden_bytes() {
        for (effect, golden) in samples() {
            let mut bytes = Vec::new();
            effect.encode(&mut bytes);
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, golden, "{effect:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_and_every_truncation_refused() {
        for (effect, _) in samples() {
            let mut bytes = Vec::new();
            effect.encode(&mut bytes);
            let decode = |bytes: &[u8]| Effects::decode(bytes).map(|read| read.list);
            for end in 1..bytes.len() {
                assert!(decode(&bytes[..end]).is_err(), "{effect:?} cut at {end}");
            }
            assert_eq!(decode(&bytes), Ok(vec![effect.into()]));
        }
    }
}
