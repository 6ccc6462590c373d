//! The ends of a queue's last messages that left without an acknowledgement: the reason, and the
//! place they went to. It is a short memory for people; nothing is decided by it. Acknowledgements
//! are not in it: they are the way that messages are meant to go, and remembering each would cost
//! more than the acknowledgement.

use std::collections::VecDeque;
use std::sync::Arc;

use kyu_model::limits::{MAX_END_TEXT_BYTES, MAX_ENDS_KEPT};
use kyu_model::wire::{Malformed, Reader, Write};
use kyu_model::{End, EndKind, Seq, UnixMs};

use crate::codec::dead_reason;
use crate::codec::{decode_opt_name, encode_opt_name};
use crate::queue::message::Message;

/// The end of a message as it is now.
pub(crate) fn end_of(seq: Seq, at_ms: UnixMs, kind: EndKind, message: &Message) -> End {
    let trail = message.trail.as_deref();
    let last = trail.and_then(|trail| trail.attempts.last());
    let now = trail.and_then(|trail| trail.consumer.as_deref());
    let consumer = now.or_else(|| last.and_then(|attempt| attempt.consumer.as_deref()));
    let error = last.and_then(|attempt| attempt.error.as_deref());
    let (consumer, error) = (consumer.map(Arc::from), error.map(|error| cut(error).into()));
    End { seq, at_ms, kind, to: None, dead_reason: None, consumer, error }
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_END_TEXT_BYTES)).unwrap_or_default()
}

/// The last ends of a queue, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ends {
    kept: VecDeque<End>,
}

impl Ends {
    /// Adds an end, and forgets the oldest if there are too many.
    pub(crate) fn add(&mut self, end: End) {
        if self.kept.len() >= MAX_ENDS_KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(end);
    }

    /// The end of a message, if it is remembered.
    pub(crate) fn get(&self, seq: Seq) -> Option<&End> {
        self.kept.iter().rev().find(|end| end.seq == seq)
    }

    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.varint(self.kept.len() as u64);
        for end in &self.kept {
            out.varint(end.seq);
            out.varint(end.at_ms);
            out.u8(end.kind as u8);
            encode_opt_name(end.to.as_ref().map(|(name, _)| name.as_ref()), out);
            if let Some((_, seq)) = &end.to {
                out.varint(*seq);
            }
            out.u8(end.dead_reason.map_or(0, |reason| reason as u8));
            out.opt_str(end.consumer.as_deref());
            out.opt_str(end.error.as_deref());
        }
    }

    pub(crate) fn decode(r: &mut Reader) -> Result<Self, Malformed> {
        let ends = (0..r.count()?).map(|_| {
            Ok(End {
                seq: r.varint()?,
                at_ms: r.varint()?,
                kind: match r.u8()? {
                    0 => EndKind::Expired,
                    1 => EndKind::Deadline,
                    2 => EndKind::Dropped,
                    3 => EndKind::Rejected,
                    4 => EndKind::Moved,
                    5 => EndKind::Cancelled,
                    _ => return Err(Malformed("end of a message")),
                },
                to: match decode_opt_name(r)? {
                    Some(name) => Some((Arc::new(name), r.varint()?)),
                    None => None,
                },
                dead_reason: dead_reason(r.u8()?)?,
                consumer: r.opt_string()?.map(Into::into),
                error: r.opt_string()?.map(Into::into),
            })
        });
        Ok(Self { kept: ends.collect::<Result<_, Malformed>>()? })
    }
}

#[cfg(test)]
mod tests {
    use kyu_model::{DeadReason, QueueName};

    use super::*;
    use crate::queue::message::FrameRef;

    #[test]
    fn the_oldest_ends_are_forgotten_first_and_the_bytes_are_frozen() {
        let message = Message::new(FrameRef { at: 0, bytes: 1 }, 1, 1);
        let mut ends = Ends::default();
        for seq in 0..MAX_ENDS_KEPT as u64 + 5 {
            ends.add(end_of(seq, 7, EndKind::Dropped, &message));
        }
        assert_eq!(ends.len(), MAX_ENDS_KEPT);
        assert_eq!((ends.get(4), ends.get(5).map(|end| end.seq)), (None, Some(5)));

        let mut few = Ends::default();
        let name = Arc::new(QueueName { namespace: "n".into(), name: "d".into() });
        few.add(End {
            to: Some((name, 9)),
            dead_reason: Some(DeadReason::Rejected),
            consumer: Some("c".into()),
            error: Some("e".into()),
            ..end_of(3, 300, EndKind::Moved, &message)
        });
        few.add(end_of(4, 5, EndKind::Expired, &message));
        let mut bytes = Vec::new();
        few.encode(&mut bytes);
        let golden =
            b"\x02\x03\xac\x02\x04\x01\x01n\x01d\x09\x02\x01\x01c\x01\x01e\x04\x05\0\0\0\0\0";
        assert_eq!(bytes, golden);
        let read = Ends::decode(&mut Reader::new(bytes.into())).unwrap();
        assert_eq!(read.kept, few.kept);
    }
}
