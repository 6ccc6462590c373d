//! The facts of retries: attempts that ended, retries that wait, stale acknowledgements, and the
//! states of guards. Numbers and layouts are frozen (golden bytes below).

use kyu_model::wire::{Malformed, Reader, Write};
use kyu_model::{AttemptEnd, QueueId, Seq, UnixMs};

use crate::codec::{decode_seqs, encode_seqs, head, queue};
use crate::machines::RetryNumber;
use crate::retries::guard::GuardState;
use crate::retries::trail::decode_end;

/// The moment at which a failed message may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Now,
    At(UnixMs),
    /// The message waits until its guard releases it.
    Parked,
}

/// The answer to an acknowledgement by a delivery that was not the last one. Frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum StaleAck {
    /// Refused; the message is there.
    Refused = 0,
    /// Accepted: the message is removed.
    Accepted = 1,
    /// Another delivery had been acknowledged, so the message is gone.
    Gone = 2,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RetryFact {
    /// An attempt ended, for the history of its message; another effect says what happens to the
    /// message.
    AttemptEnded { queue: QueueId, seq: Seq, at_ms: UnixMs, end: AttemptEnd, error: Option<String> },
    /// A consumer got these messages.
    Taken { queue: QueueId, consumer: String, seqs: Vec<Seq> },
    /// An attempt failed, or a delay after one is over.
    Retried { queue: QueueId, seq: Seq, next: Next, order: Option<u64> },
    /// This delivery was acknowledged, though it was not the last one or not the first to be.
    StaleAck { queue: QueueId, seq: Seq, epoch: u32, delivery: u32, what: StaleAck },
    /// The guard of the queue, or of a lane, has a new state; `None` forgets it.
    GuardChanged { queue: QueueId, lane: Option<String>, guard: Option<Box<GuardState>> },
    /// The value of the attribute by which the message's guard is chosen.
    GuardKey { queue: QueueId, seq: Seq, value: String },
}

impl RetryFact {
    /// Returns true if the fact adds to what is stored: see [`crate::Effects::grows`].
    pub(crate) fn grows(&self) -> bool {
        match self {
            Self::AttemptEnded { .. }
            | Self::Taken { .. }
            | Self::Retried { .. }
            | Self::StaleAck { .. }
            | Self::GuardChanged { .. }
            | Self::GuardKey { .. } => false,
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::AttemptEnded { queue, seq, at_ms, end, error } => {
                head(out, RetryNumber::AttemptEnded, *queue);
                out.varint(*seq);
                out.varint(*at_ms);
                out.u8(*end as u8);
                out.opt_str(error.as_deref());
            }
            Self::Taken { queue, consumer, seqs } => {
                head(out, RetryNumber::Taken, *queue);
                out.str(consumer);
                encode_seqs(seqs, out);
            }
            Self::Retried { queue, seq, next, order } => {
                head(out, RetryNumber::Retried, *queue);
                out.varint(*seq);
                match next {
                    Next::Now => out.u8(0),
                    Next::At(at_ms) => {
                        out.u8(1);
                        out.varint(*at_ms);
                    }
                    Next::Parked => out.u8(2),
                }
                out.opt_varint(*order);
            }
            Self::StaleAck { queue, seq, epoch, delivery, what } => {
                head(out, RetryNumber::StaleAck, *queue);
                out.varint(*seq);
                out.varint(u64::from(*epoch));
                out.varint(u64::from(*delivery));
                out.u8(*what as u8);
            }
            Self::GuardChanged { queue, lane, guard } => {
                head(out, RetryNumber::GuardChanged, *queue);
                out.opt_str(lane.as_deref());
                out.u8(u8::from(guard.is_some()));
                if let Some(guard) = guard {
                    guard.encode(out);
                }
            }
            Self::GuardKey { queue, seq, value } => {
                head(out, RetryNumber::GuardKey, *queue);
                out.varint(*seq);
                out.str(value);
            }
        }
    }

    pub(crate) fn decode(number: RetryNumber, r: &mut Reader) -> Result<Self, Malformed> {
        Ok(match number {
            RetryNumber::AttemptEnded => Self::AttemptEnded {
                queue: queue(r)?,
                seq: r.varint()?,
                at_ms: r.varint()?,
                end: decode_end(r)?,
                error: r.opt_string()?,
            },
            RetryNumber::Taken => {
                Self::Taken { queue: queue(r)?, consumer: r.string()?, seqs: decode_seqs(r)? }
            }
            RetryNumber::Retried => Self::Retried {
                queue: queue(r)?,
                seq: r.varint()?,
                next: match r.u8()? {
                    0 => Next::Now,
                    1 => Next::At(r.varint()?),
                    2 => Next::Parked,
                    _ => return Err(Malformed("next attempt")),
                },
                order: r.opt_varint()?,
            },
            RetryNumber::StaleAck => Self::StaleAck {
                queue: queue(r)?,
                seq: r.varint()?,
                epoch: r.varint32()?,
                delivery: r.varint32()?,
                what: match r.u8()? {
                    0 => StaleAck::Refused,
                    1 => StaleAck::Accepted,
                    2 => StaleAck::Gone,
                    _ => return Err(Malformed("stale acknowledgement")),
                },
            },
            RetryNumber::GuardChanged => Self::GuardChanged {
                queue: queue(r)?,
                lane: r.opt_string()?,
                guard: if r.bool()? { Some(Box::new(GuardState::decode(r)?)) } else { None },
            },
            RetryNumber::GuardKey => {
                Self::GuardKey { queue: queue(r)?, seq: r.varint()?, value: r.string()? }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Effects;
    use kyu_model::{Guard, RetryBudget};

    const Q: QueueId = QueueId(300);

    fn samples() -> Vec<(RetryFact, &'static str)> {
        let error = Some("e".to_owned());
        let ended = |end, error| RetryFact::AttemptEnded { queue: Q, seq: 1, at_ms: 2, end, error };
        let retried = |next, order| RetryFact::Retried { queue: Q, seq: 1, next, order };
        let stale = |what| RetryFact::StaleAck { queue: Q, seq: 1, epoch: 2, delivery: 3, what };
        let config = Guard { budget: Some(RetryBudget::default()), ..Guard::default() };
        let guard = Some(Box::new(GuardState::new(&config, 2)));
        let changed = |lane, guard| RetryFact::GuardChanged { queue: Q, lane, guard };
        vec![
            (ended(AttemptEnd::Failed, error), "1bac020102000101 65"),
            (ended(AttemptEnd::Expired, None), "1bac020102 0500"),
            (RetryFact::Taken { queue: Q, consumer: "c".into(), seqs: vec![1] }, "1cac0201630102"),
            (retried(Next::Now, None), "1dac02010000"),
            (retried(Next::At(5), Some(6)), "1dac020101050106"),
            (retried(Next::Parked, None), "1dac02010200"),
            (stale(StaleAck::Refused), "1eac0201020300"),
            (stale(StaleAck::Accepted), "1eac0201020301"),
            (stale(StaleAck::Gone), "1eac0201020302"),
            (changed(Some("l".into()), None), "1fac0201016c00"),
            (RetryFact::GuardKey { queue: Q, seq: 1, value: "v".into() }, "3cac02010176"),
            (changed(None, guard), "1fac02000102904e0200000000"),
        ]
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// These bytes are on disks: this test may get new rows, never changed ones.
    #[test]
    fn golden_bytes() {
        for (effect, golden) in samples() {
            let mut bytes = Vec::new();
            effect.encode(&mut bytes);
            assert_eq!(hex(&bytes), golden.replace(' ', ""), "{effect:?}");
            let read = Effects::decode(&bytes).unwrap();
            assert_eq!(read.list, [effect.into()]);
            for end in 1..bytes.len() {
                assert!(Effects::decode(&bytes[..end]).is_err(), "{} cut at {end}", hex(&bytes));
            }
        }
    }
}
