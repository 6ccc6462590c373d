//! The frame: the form in which the log keeps one message, from its enqueue to its end. It has a
//! checksum, so that a body read back from a cold segment is right or refused.

use bytes::Bytes;

use crate::content::Content;
use crate::ids::{MessageId, UnixMs};
use crate::wire::{Malformed, Reader, Write};

/// A message as the log holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Identifier that clients see.
    pub message_id: MessageId,
    /// The time at which it was enqueued first.
    pub sent_at_ms: UnixMs,
    /// Lane.
    pub lane: Option<String>,
    /// Deduplication id.
    pub dedup_id: Option<String>,
    /// Encoded [`Content`].
    pub content: Bytes,
}

const VERSION: u8 = 1;

impl Frame {
    /// Appends the frozen binary form: CRC-32C of the rest, version, id, time, lane,
    /// deduplication id, content to the end.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let keys = (self.lane.as_deref(), self.dedup_id.as_deref());
        encode_frame(self.message_id, self.sent_at_ms, keys, &self.content, out);
    }

    /// Reads and verifies the binary form; the content is not copied.
    pub fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let crc = reader.u32()?;
        if crc32c::crc32c(&reader.clone().rest()) != crc {
            return Err(Malformed("frame checksum"));
        }
        if reader.u8()? != VERSION {
            return Err(Malformed("frame version"));
        }
        Ok(Self {
            message_id: MessageId(reader.u128()?),
            sent_at_ms: reader.u64()?,
            lane: reader.opt_string()?,
            dedup_id: reader.opt_string()?,
            content: reader.rest(),
        })
    }

    /// Decodes the content.
    pub fn content(&self) -> Result<Content, Malformed> {
        Content::decode(self.content.clone())
    }
}

/// Appends the same bytes as [`Frame::encode`], from borrowed parts; `keys` are lane and
/// deduplication id.
pub fn encode_frame(
    message_id: MessageId,
    sent_at_ms: UnixMs,
    keys: (Option<&str>, Option<&str>),
    content: &[u8],
    out: &mut Vec<u8>,
) {
    let start = out.len();
    out.u32(0);
    out.u8(VERSION);
    out.u128(message_id.0);
    out.u64(sent_at_ms);
    out.opt_str(keys.0);
    out.opt_str(keys.1);
    out.extend_from_slice(content);
    if let Some((crc, rest)) = out.get_mut(start..).and_then(<[u8]>::split_first_chunk_mut) {
        *crc = crc32c::crc32c(rest).to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let frame = Frame {
            message_id: MessageId(0x0102),
            sent_at_ms: 5,
            lane: Some("g".into()),
            dedup_id: None,
            content: Bytes::from_static(b"\x01\x00hi"),
        };
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        let mut golden = vec![0x01, 0x02, 0x01];
        golden.extend([0; 14]);
        golden.extend([5, 0, 0, 0, 0, 0, 0, 0, 1, 1, b'g', 0, 1, 0, b'h', b'i']);
        assert_eq!(bytes[4..], golden);
        assert_eq!(Frame::decode(bytes.clone().into()), Ok(frame));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(Frame::decode(damaged.into()).is_err(), "byte {at}");
        }
    }
}
