//! The facts of move tasks, and their frozen binary form.

use kyu_model::wire::{Malformed, Reader, Write};
use kyu_model::{MoveFailure, MoveStatus, QueueId, QueueName, Seq, UnixMs};

use crate::codec::{decode_opt_name, encode_opt_name, opt_u32, queue};
use crate::machines::MoveTaskNumber;

/// The messages that a move task left where they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Skipping {
    pub(crate) skipped: u64,
    pub(crate) looked_at: Seq,
    pub(crate) reason: Option<MoveFailure>,
}

/// The facts of move tasks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum MoveTaskFact {
    Started {
        task: u64,
        source: QueueId,
        destination: Option<QueueName>,
        max_per_second: Option<u32>,
        at_ms: UnixMs,
        to_move: u64,
    },
    Progressed {
        task: u64,
        at_ms: UnixMs,
        moved: u64,
        status: MoveStatus,
        failure: Option<String>,
        skipping: Skipping,
    },
}

impl MoveTaskFact {
    /// Returns true if the fact adds to what is stored: see [`crate::Effects::grows`].
    pub(crate) fn grows(&self) -> bool {
        match self {
            Self::Started { .. } | Self::Progressed { .. } => false,
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Started { task, source, destination, max_per_second, at_ms, to_move } => {
                out.u8(MoveTaskNumber::Started.into());
                out.varint(*task);
                out.varint(u64::from(source.0));
                encode_opt_name(destination.as_ref(), out);
                out.opt_varint(max_per_second.map(u64::from));
                out.varint(*at_ms);
                out.varint(*to_move);
            }
            Self::Progressed { task, at_ms, moved, status, failure, skipping } => {
                let plain = *skipping == Skipping::default();
                let skips = MoveTaskNumber::Skipped;
                out.u8(if plain { MoveTaskNumber::Progressed } else { skips }.into());
                out.varint(*task);
                out.varint(*at_ms);
                out.varint(*moved);
                out.u8(*status as u8);
                out.opt_str(failure.as_deref());
                if !plain {
                    skipping.encode(out);
                }
            }
        }
    }

    pub(crate) fn decode(number: MoveTaskNumber, r: &mut Reader) -> Result<Self, Malformed> {
        match number {
            MoveTaskNumber::Started => Ok(Self::Started {
                task: r.varint()?,
                source: queue(r)?,
                destination: decode_opt_name(r)?,
                max_per_second: opt_u32(r)?,
                at_ms: r.varint()?,
                to_move: r.varint()?,
            }),
            MoveTaskNumber::Progressed => Self::decode_progressed(r, |_| Ok(Skipping::default())),
            MoveTaskNumber::Skipped => Self::decode_progressed(r, Skipping::decode),
        }
    }

    fn decode_progressed(
        r: &mut Reader,
        skipping: impl FnOnce(&mut Reader) -> Result<Skipping, Malformed>,
    ) -> Result<Self, Malformed> {
        Ok(Self::Progressed {
            task: r.varint()?,
            at_ms: r.varint()?,
            moved: r.varint()?,
            status: decode_status(r)?,
            failure: r.opt_string()?,
            skipping: skipping(r)?,
        })
    }
}

impl Skipping {
    fn encode(&self, out: &mut Vec<u8>) {
        out.varint(self.skipped);
        out.varint(self.looked_at);
        out.u8(self.reason.map_or(0, |reason| reason as u8));
    }

    fn decode(r: &mut Reader) -> Result<Self, Malformed> {
        Ok(Self { skipped: r.varint()?, looked_at: r.varint()?, reason: decode_reason(r)? })
    }
}

pub(crate) fn decode_status(r: &mut Reader) -> Result<MoveStatus, Malformed> {
    match r.u8()? {
        0 => Ok(MoveStatus::Running),
        1 => Ok(MoveStatus::Completed),
        2 => Ok(MoveStatus::Cancelled),
        3 => Ok(MoveStatus::Failed),
        _ => Err(Malformed("move status")),
    }
}

pub(crate) fn decode_reason(r: &mut Reader) -> Result<Option<MoveFailure>, Malformed> {
    Ok(match r.u8()? {
        0 => None,
        1 => Some(MoveFailure::NoSource),
        2 => Some(MoveFailure::SourceGone),
        3 => Some(MoveFailure::DestinationGone),
        _ => return Err(Malformed("reason of a move task")),
    })
}
