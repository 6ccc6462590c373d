//! Identifiers that appear in commands, effects and replies.

use std::fmt;

/// Unix time in milliseconds. The engine never reads a clock: time comes in with each command.
pub type UnixMs = u64;

/// Position of a message in its queue's order of arrival; unique within the queue, never reused.
pub type Seq = u64;

/// The address at which a message's frame begins in the log (`kyu_log::Lsn` as a bare number).
pub type Address = u64;

/// Identifier of a queue; never reused, so that a receipt of a deleted queue cannot name a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(pub u32);

/// Identifier of a connection-bound consumer (an AMQP channel, a SQL transaction).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// The message identifier that clients see; 128 bits, kept when a message moves between queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub u128);

impl fmt::Display for MessageId {
    /// The canonical lower-case UUID form (RFC 9562 section 4).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let v = self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            (v >> 96) as u32,
            (v >> 80) as u16,
            (v >> 64) as u16,
            (v >> 48) as u16,
            v & 0xffff_ffff_ffff
        )
    }
}

/// A queue's name within a namespace (AWS account, AMQP vhost, database).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueName {
    /// Tenant that owns the queue; `000000000000` unless configured.
    pub namespace: String,
    /// Name as the client gave it; each door applies its own rules for valid names.
    pub name: String,
}

/// Proof of one delivery: names the message and which of its deliveries, so that a receipt from
/// before a crash still works and a stale one is recognised (fencing).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receipt {
    /// The queue that delivered.
    pub queue: QueueId,
    /// The message within the queue.
    pub seq: Seq,
    /// The delivery's number, from 1.
    pub delivery: u32,
    /// The log epoch (one per process start) that handed it out. A lease that a crash lost gives
    /// its number away again; the epoch keeps the two apart.
    pub epoch: u32,
}

impl Receipt {
    /// Length of the binary form.
    pub const BYTES: usize = 24;

    /// The binary form: queue, seq, delivery, epoch (little-endian), CRC-32C of these.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        let fields = self
            .queue
            .0
            .to_le_bytes()
            .into_iter()
            .chain(self.seq.to_le_bytes())
            .chain(self.delivery.to_le_bytes())
            .chain(self.epoch.to_le_bytes());
        for (slot, byte) in out.iter_mut().zip(fields) {
            *slot = byte;
        }
        let crc = crc32c::crc32c(out.split_at(20).0);
        for (slot, byte) in out.iter_mut().skip(20).zip(crc.to_le_bytes()) {
            *slot = byte;
        }
        out
    }

    /// Reads the binary form; `None` for anything that [`Receipt::to_bytes`] did not write.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (fields, crc) = bytes.split_at_checked(20)?;
        if crc32c::crc32c(fields).to_le_bytes() != crc {
            return None;
        }
        let (queue, rest) = fields.split_first_chunk()?;
        let (seq, rest) = rest.split_first_chunk()?;
        let (delivery, rest) = rest.split_first_chunk()?;
        let (epoch, _) = rest.split_first_chunk()?;
        Some(Self {
            queue: QueueId(u32::from_le_bytes(*queue)),
            seq: u64::from_le_bytes(*seq),
            delivery: u32::from_le_bytes(*delivery),
            epoch: u32::from_le_bytes(*epoch),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_survives_its_binary_form_and_a_changed_byte_does_not() {
        let receipt = Receipt { queue: QueueId(7), seq: 1 << 40, delivery: 3, epoch: 9 };
        let bytes = receipt.to_bytes();
        assert_eq!(Receipt::from_bytes(&bytes), Some(receipt));
        for at in 0..bytes.len() {
            let mut damaged = bytes;
            damaged[at] ^= 1;
            assert_eq!(Receipt::from_bytes(&damaged), None, "byte {at}");
        }
        assert_eq!(Receipt::from_bytes(&bytes[..23]), None);
        assert_eq!(Receipt::from_bytes(b""), None);
    }

    #[test]
    fn a_message_id_reads_as_a_uuid() {
        let id = MessageId(0x0123_4567_89ab_4def_8123_4567_89ab_cdef);
        assert_eq!(id.to_string(), "01234567-89ab-4def-8123-456789abcdef");
    }
}
