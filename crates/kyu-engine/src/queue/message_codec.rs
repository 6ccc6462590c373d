//! The frozen binary form of the facts of messages.

use kyu_model::wire::{Malformed, Reader, Write};
use kyu_model::{QueueId, Seq, SessionId, UnixMs};

use crate::codec::{decode_seqs, encode_seqs, head, queue};
use crate::exchange::record::decode_binding_id;
use crate::machines::MessageNumber;
use crate::queue::message_record::{
    Arrival, EnqueuedFact, FramePlace, LeaseEnd, MessageFact, MoveReason, Removal,
};
use crate::queue::unique::UniqueTaken;

impl MessageFact {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Enqueued(enqueued) => enqueued.encode(out),
            Self::Leased { queue, at_ms, epoch, end, attempt, seqs } => {
                head(out, MessageNumber::Leased, *queue);
                out.varint(*at_ms);
                out.varint(u64::from(*epoch));
                end.encode(out);
                out.opt_str(attempt.as_deref());
                encode_seqs(seqs, out);
            }
            Self::Removed { queue, reason, seqs, at_ms: None } => {
                encode_removed(MessageNumber::Removed, *queue, *reason, seqs, out);
            }
            Self::Removed { queue, reason, seqs, at_ms: Some(at_ms) } => {
                encode_removed(MessageNumber::RemovedAt, *queue, *reason, seqs, out);
                out.varint(*at_ms);
            }
            Self::Released { queue, seq, ready_at_ms, order, counted } => {
                head(out, MessageNumber::Released, *queue);
                out.varint(*seq);
                out.opt_varint(*ready_at_ms);
                out.opt_varint(*order);
                out.u8(u8::from(*counted));
            }
            Self::Extended { queue, seq, until_ms } => {
                head(out, MessageNumber::Extended, *queue);
                out.varint(*seq);
                out.varint(*until_ms);
            }
            Self::Promoted { queue, seqs } => {
                head(out, MessageNumber::Promoted, *queue);
                encode_seqs(seqs, out);
            }
            Self::Moved { from, seq, to, to_seq, at_ms, reason, arrival } => {
                head(out, arrival.number(), *from);
                out.varint(*seq);
                out.varint(u64::from(to.0));
                out.varint(*to_seq);
                out.varint(*at_ms);
                out.u8(*reason as u8);
                arrival.encode(out);
            }
            Self::Relocated { from, owners, frame } => encode_relocated(*from, owners, *frame, out),
            Self::AttemptRepeated { queue, attempt, until_ms } => {
                head(out, MessageNumber::AttemptRepeated, *queue);
                out.str(attempt);
                out.varint(*until_ms);
            }
            Self::KeptDead { queue, seq, at_ms, reason } => {
                encode_at(MessageNumber::KeptDead, *queue, *seq, *at_ms, out);
                out.u8(*reason as u8);
            }
            Self::Revived { queue, seq, at_ms } => {
                encode_at(MessageNumber::Revived, *queue, *seq, *at_ms, out);
            }
            Self::Receivable { queue, at_ms, seqs } => {
                head(out, MessageNumber::Receivable, *queue);
                out.varint(*at_ms);
                encode_seqs(seqs, out);
            }
            Self::UniqueTaken(taken) => taken.encode(out),
            Self::Prioritised { queue, priority, seqs } => {
                head(out, MessageNumber::Prioritised, *queue);
                out.u8(*priority);
                encode_seqs(seqs, out);
            }
        }
    }

    pub(crate) fn decode(number: MessageNumber, r: &mut Reader) -> Result<Self, Malformed> {
        Ok(match number {
            MessageNumber::Enqueued => Self::Enqueued(EnqueuedFact::decode(r)?),
            MessageNumber::EnqueuedVia => {
                let enqueued = EnqueuedFact::decode(r)?;
                let via = Some(decode_binding_id(r)?);
                Self::Enqueued(EnqueuedFact { via, ..enqueued })
            }
            MessageNumber::Leased => Self::Leased {
                queue: queue(r)?,
                at_ms: r.varint()?,
                epoch: r.varint32()?,
                end: LeaseEnd::decode(r)?,
                attempt: r.opt_string()?,
                seqs: decode_seqs(r)?,
            },
            MessageNumber::Removed => {
                let (queue, reason, seqs) = decode_removed(r)?;
                Self::Removed { queue, reason, seqs, at_ms: None }
            }
            MessageNumber::RemovedAt => {
                let (queue, reason, seqs) = decode_removed(r)?;
                Self::Removed { queue, reason, seqs, at_ms: Some(r.varint()?) }
            }
            MessageNumber::Released => Self::Released {
                queue: queue(r)?,
                seq: r.varint()?,
                ready_at_ms: r.opt_varint()?,
                order: r.opt_varint()?,
                counted: r.bool()?,
            },
            MessageNumber::Extended => {
                Self::Extended { queue: queue(r)?, seq: r.varint()?, until_ms: r.varint()? }
            }
            MessageNumber::Promoted => Self::Promoted { queue: queue(r)?, seqs: decode_seqs(r)? },
            MessageNumber::Moved | MessageNumber::MovedDead => Self::Moved {
                from: queue(r)?,
                seq: r.varint()?,
                to: queue(r)?,
                to_seq: r.varint()?,
                at_ms: r.varint()?,
                reason: MoveReason::decode(r)?,
                arrival: match number == MessageNumber::MovedDead {
                    false => Arrival::ByReason,
                    true if r.bool()? => Arrival::Anew,
                    true => Arrival::WithAge,
                },
            },
            MessageNumber::Relocated => decode_relocated(r)?,
            MessageNumber::AttemptRepeated => Self::AttemptRepeated {
                queue: queue(r)?,
                attempt: r.string()?,
                until_ms: r.varint()?,
            },
            MessageNumber::KeptDead => Self::KeptDead {
                queue: queue(r)?,
                seq: r.varint()?,
                at_ms: r.varint()?,
                reason: MoveReason::decode(r)?,
            },
            MessageNumber::Revived => {
                Self::Revived { queue: queue(r)?, seq: r.varint()?, at_ms: r.varint()? }
            }
            MessageNumber::Receivable => {
                Self::Receivable { queue: queue(r)?, at_ms: r.varint()?, seqs: decode_seqs(r)? }
            }
            MessageNumber::UniqueTaken => Self::UniqueTaken(Box::new(UniqueTaken::decode(r)?)),
            MessageNumber::Prioritised => {
                Self::Prioritised { queue: queue(r)?, priority: r.u8()?, seqs: decode_seqs(r)? }
            }
        })
    }
}

fn encode_at(number: MessageNumber, queue: QueueId, seq: Seq, at_ms: UnixMs, out: &mut Vec<u8>) {
    head(out, number, queue);
    out.varint(seq);
    out.varint(at_ms);
}

fn encode_removed(
    number: MessageNumber,
    queue: QueueId,
    reason: Removal,
    seqs: &[Seq],
    out: &mut Vec<u8>,
) {
    head(out, number, queue);
    out.u8(reason as u8);
    encode_seqs(seqs, out);
}

fn decode_removed(r: &mut Reader) -> Result<(QueueId, Removal, Vec<Seq>), Malformed> {
    let queue = queue(r)?;
    let reason = match r.u8()? {
        0 => Removal::Acked,
        1 => Removal::Expired,
        2 => Removal::Dropped,
        3 => Removal::Rejected,
        4 => Removal::Deadline,
        5 => Removal::Cancelled,
        _ => return Err(Malformed("removal")),
    };
    Ok((queue, reason, decode_seqs(r)?))
}

fn encode_relocated(from: u64, owners: &[(QueueId, Seq)], frame: FramePlace, out: &mut Vec<u8>) {
    out.u8(MessageNumber::Relocated.into());
    out.varint(from);
    frame.encode(out);
    out.varint(owners.len() as u64);
    for (queue, seq) in owners {
        out.varint(u64::from(queue.0));
        out.varint(*seq);
    }
}

fn decode_relocated(r: &mut Reader) -> Result<MessageFact, Malformed> {
    Ok(MessageFact::Relocated {
        from: r.varint()?,
        frame: FramePlace::decode(r)?,
        owners: (0..r.count()?).map(|_| Ok((queue(r)?, r.varint()?))).collect::<Result<_, _>>()?,
    })
}

impl LeaseEnd {
    fn encode(self, out: &mut Vec<u8>) {
        let (kind, value) = match self {
            Self::At(until_ms) => (0, until_ms),
            Self::Session(session) => (1, session.0),
        };
        out.u8(kind);
        out.varint(value);
    }

    fn decode(r: &mut Reader) -> Result<Self, Malformed> {
        match (r.u8()?, r.varint()?) {
            (0, until_ms) => Ok(Self::At(until_ms)),
            (1, session) => Ok(Self::Session(SessionId(session))),
            _ => Err(Malformed("lease end")),
        }
    }
}

impl MoveReason {
    fn decode(r: &mut Reader) -> Result<Self, Malformed> {
        Ok(match r.u8()? {
            0 => Self::MaxReceives,
            1 => Self::Rejected,
            2 => Self::Redrive,
            3 => Self::Deadline,
            4 => Self::Retention,
            _ => return Err(Malformed("move reason")),
        })
    }
}

impl Arrival {
    fn number(self) -> MessageNumber {
        match self {
            Self::ByReason => MessageNumber::Moved,
            Self::WithAge | Self::Anew => MessageNumber::MovedDead,
        }
    }

    fn encode(self, out: &mut Vec<u8>) {
        match self {
            Self::ByReason => {}
            Self::WithAge => out.u8(0),
            Self::Anew => out.u8(1),
        }
    }
}

impl FramePlace {
    fn encode(self, out: &mut Vec<u8>) {
        out.varint(u64::from(self.offset));
        out.varint(u64::from(self.bytes));
    }

    fn decode(r: &mut Reader) -> Result<Self, Malformed> {
        Ok(Self { offset: r.varint32()?, bytes: r.varint32()? })
    }
}

impl EnqueuedFact {
    fn encode(&self, out: &mut Vec<u8>) {
        let number =
            if self.via.is_some() { MessageNumber::EnqueuedVia } else { MessageNumber::Enqueued };
        head(out, number, self.queue);
        out.varint(self.seq);
        out.varint(self.at_ms);
        out.opt_varint(self.ready_at_ms);
        out.opt_varint(self.expires_at_ms);
        out.u8(self.priority);
        out.opt_str(self.lane.as_deref());
        match &self.dedup {
            None => out.u8(0),
            Some((id, until_ms)) => {
                out.u8(1);
                out.str(id);
                out.varint(*until_ms);
            }
        }
        out.u128(self.message_id);
        self.frame.encode(out);
        out.varint(u64::from(self.shares));
        if let Some(via) = self.via {
            out.varint(via.get());
        }
    }

    fn decode(r: &mut Reader) -> Result<Self, Malformed> {
        Ok(Self {
            queue: queue(r)?,
            seq: r.varint()?,
            at_ms: r.varint()?,
            ready_at_ms: r.opt_varint()?,
            expires_at_ms: r.opt_varint()?,
            priority: r.u8()?,
            lane: r.opt_string()?,
            dedup: if r.bool()? { Some((r.string()?, r.varint()?)) } else { None },
            message_id: r.u128()?,
            frame: FramePlace::decode(r)?,
            shares: r.varint32()?,
            via: None,
        })
    }
}
