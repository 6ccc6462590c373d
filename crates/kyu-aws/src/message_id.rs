//! The SQS `MessageId` of what a topic delivered. A publication is one message for all queues, but
//! AWS gives each queue's copy an id of its own, which is not the one that Publish answered.

use kyu_broker::{Content, MessageId, Property, Received};
use sha2::{Digest, Sha256};

/// The id by which SQS shows a message: its own, unless a topic sent it. Then it follows from the
/// message and the subscription, or, where delivery is raw, the queue: it stays the same however
/// often the message is received, and in the dead-letter queue.
pub(crate) fn shown(received: &Received, content: &Content, queue: &str) -> MessageId {
    let Received { delivery, message } = received;
    if content.property(Property::Topic).is_none() {
        return message.message_id;
    }
    let MessageId(id) = message.message_id;
    let hash = Sha256::new().chain_update(id.to_be_bytes());
    let hash = match (delivery.via, &delivery.dead_letter_source) {
        (Some(binding), _) => hash.chain_update(binding.get().to_be_bytes()),
        (None, Some(source)) => hash.chain_update(&source.name),
        (None, None) => hash.chain_update(queue),
    };
    let hash = hash.finalize().iter().take(16).fold(0, |id, byte| id << 8 | u128::from(*byte));
    MessageId(with_version(hash))
}

/// Sets the bits that a random UUID has (RFC 9562 section 5.4).
pub(crate) fn with_version(bits: u128) -> u128 {
    const VERSION: u32 = 76;
    const VARIANT: u32 = 62;
    bits & !(0xf << VERSION) & !(0b11 << VARIANT) | 0x4 << VERSION | 0b10 << VARIANT
}
