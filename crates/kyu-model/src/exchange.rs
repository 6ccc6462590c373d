//! Exchanges: one publish to many queues. An exchange has bindings; each names a queue and says
//! which publications it wants.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU64;

use crate::config::{DedupScope, QueueKind};
use crate::ids::{QueueName, UnixMs};
use crate::matcher::Matcher;

/// Identifier of an exchange; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(pub u32);

/// Identifier of a binding: random, so that the identifier of a removed binding does not name a
/// later one. At most [`BindingId::BITS`] bits, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BindingId(NonZeroU64);

impl BindingId {
    /// The number of bits that an identifier has, so that it fits into a UUID beside version and
    /// variant.
    pub const BITS: u32 = 62;
    const MASK: u64 = (1 << Self::BITS) - 1;

    /// Makes an identifier from random bits, or from [`BindingId::get`]; `None` if they give 0.
    pub fn new(bits: u64) -> Option<Self> {
        NonZeroU64::new(bits & Self::MASK).map(Self)
    }

    /// Returns the identifier as a number.
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// Reads an identifier in the form that [`fmt::Display`] writes.
    pub fn from_uuid(text: &str) -> Option<Self> {
        let low = u64::from_str_radix(&text.get(19..)?.replace('-', ""), 16).ok()?;
        Self::new(low).filter(|id| id.to_string() == text)
    }
}

impl fmt::Display for BindingId {
    /// A UUID of version 4 (RFC 9562 section 5.4): the number in the low half, and in the high
    /// half bits that follow from it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.get();
        let z = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let high = (z ^ (z >> 31)) & !0xf000 | 0x4000;
        let low = number | 0b10 << Self::BITS;
        crate::ids::MessageId(u128::from(high) << 64 | u128::from(low)).fmt(f)
    }
}

/// An exchange's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeConfig {
    /// The kind; with [`QueueKind::Fifo`] every publication needs a lane and a deduplication id,
    /// and gets a sequence number.
    pub kind: QueueKind,
    /// True if the content's hash serves as deduplication id where the publisher gives none.
    pub content_based_deduplication: bool,
    /// The scope within which deduplication ids are unique.
    pub dedup_scope: DedupScope,
    /// Largest publication, as the door counts it.
    pub max_message_bytes: u32,
    /// Settings that only doors understand, stored verbatim.
    pub attributes: BTreeMap<String, String>,
    /// The user's tags.
    pub tags: BTreeMap<String, String>,
}

impl Default for ExchangeConfig {
    /// The defaults of the SNS API reference (CreateTopic).
    fn default() -> Self {
        Self {
            kind: QueueKind::Standard,
            content_based_deduplication: false,
            dedup_scope: DedupScope::Queue,
            max_message_bytes: 262_144,
            attributes: BTreeMap::new(),
            tags: BTreeMap::new(),
        }
    }
}

/// An exchange as doors see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeInfo {
    /// Identifier.
    pub id: ExchangeId,
    /// Namespace and name; exchanges and queues do not share names.
    pub name: QueueName,
    /// Current settings.
    pub config: ExchangeConfig,
    /// The version of `config`, which rises by one with every change; it guards read-modify-write.
    pub version: u64,
    /// The time at which it was created.
    pub created_at_ms: UnixMs,
}

/// Counts of an exchange's bindings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExchangeStats {
    /// The number of bindings that receive.
    pub active: u64,
    /// The number of bindings that wait to be confirmed.
    pub pending: u64,
    /// The number of bindings that were removed since the exchange was created.
    pub removed: u64,
}

/// A binding's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct BindingConfig {
    /// The protocol by which the subscriber is reached, in the door's words. Together with
    /// `address` it is unique in the exchange.
    pub protocol: String,
    /// The subscriber's address, in the door's words.
    pub address: String,
    /// The name of the queue that receives; the queue may be deleted and come back.
    pub target: QueueName,
    /// The matcher that chooses the publications which the binding receives.
    pub matcher: Matcher,
    /// True if the content is delivered bare. Otherwise each message knows the binding it came by,
    /// so that the receiving door can say so around the content.
    pub bare: bool,
    /// True if the binding receives; a binding to a foreign endpoint waits until that endpoint
    /// agrees.
    pub active: bool,
    /// The queue for publications that the target cannot take because it does not exist.
    pub dead_letter: Option<QueueName>,
    /// Settings that only doors understand, stored verbatim.
    pub attributes: BTreeMap<String, String>,
}

/// A binding as doors see it.
#[derive(Clone, Debug, PartialEq)]
pub struct BindingInfo {
    /// Identifier.
    pub id: BindingId,
    /// Its exchange.
    pub exchange: QueueName,
    /// Current settings.
    pub config: BindingConfig,
    /// The version of `config`, which rises by one with every change; it guards read-modify-write.
    pub version: u64,
    /// The time at which it was created.
    pub created_at_ms: UnixMs,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_is_named_by_a_uuid_and_found_by_it() {
        let id = BindingId::new(0x0123_4567_89ab_cdef).unwrap();
        let uuid = id.to_string();
        assert_eq!(uuid.len(), 36);
        assert_eq!(uuid.as_bytes()[14], b'4', "{uuid}");
        assert_eq!(BindingId::from_uuid(&uuid), Some(id));
        let other = uuid.replacen(|c: char| c != '0', "0", 1);
        for wrong in ["", "x", &uuid[1..], &other, "ä0000000-0000-4000-8000-000000000000"] {
            assert_eq!(BindingId::from_uuid(wrong), None, "{wrong}");
        }
        assert_eq!(BindingId::new(0), None);
        assert_eq!(BindingId::new(u64::MAX).unwrap().get().leading_zeros(), 2);
    }
}
