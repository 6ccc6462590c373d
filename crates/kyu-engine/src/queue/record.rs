//! The facts of queues as a whole, and their frozen binary form.

use kyu_model::wire::{Malformed, Reader, Write};
use kyu_model::{QueueConfig, QueueId, QueueName, UnixMs};

use crate::codec::{decode_name, encode_name, head, queue};
use crate::machines::QueueNumber;
use crate::queue::config_codec::{decode_config, encode_config};

/// The facts of queues.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum QueueFact {
    Created {
        queue: QueueId,
        at_ms: UnixMs,
        name: QueueName,
        config: Box<QueueConfig>,
    },
    Configured {
        queue: QueueId,
        at_ms: UnixMs,
        config: Box<QueueConfig>,
    },
    Deleted {
        queue: QueueId,
        at_ms: UnixMs,
    },
    Purged {
        queue: QueueId,
        at_ms: UnixMs,
    },
    /// The queue was paused, or resumed.
    Paused {
        queue: QueueId,
        at_ms: UnixMs,
        paused: bool,
    },
    /// A lane was paused, or resumed.
    LanePaused {
        queue: QueueId,
        at_ms: UnixMs,
        lane: String,
        paused: bool,
    },
    /// A pause ends by itself at this time. It follows the fact that begins the pause.
    PauseEnds {
        queue: QueueId,
        lane: Option<String>,
        until_ms: UnixMs,
    },
    /// Deduplication ids and receive attempts older than this are forgotten.
    Swept {
        queue: QueueId,
        at_ms: UnixMs,
    },
    /// Names of deleted queues are forgotten from before this time.
    NamesSwept {
        before_ms: UnixMs,
    },
}

impl QueueFact {
    /// Returns true if the fact adds to what is stored: see [`crate::Effects::grows`].
    pub(crate) fn grows(&self) -> bool {
        match self {
            Self::Created { .. } | Self::Configured { .. } => true,
            Self::Deleted { .. }
            | Self::Purged { .. }
            | Self::Paused { .. }
            | Self::LanePaused { .. }
            | Self::PauseEnds { .. }
            | Self::Swept { .. }
            | Self::NamesSwept { .. } => false,
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Created { queue, at_ms, name, config } => {
                head(out, QueueNumber::Created, *queue);
                out.varint(*at_ms);
                encode_name(name, out);
                encode_config(config, out);
            }
            Self::Configured { queue, at_ms, config } => {
                head(out, QueueNumber::Configured, *queue);
                out.varint(*at_ms);
                encode_config(config, out);
            }
            Self::Deleted { queue, at_ms } => {
                head(out, QueueNumber::Deleted, *queue);
                out.varint(*at_ms);
            }
            Self::Purged { queue, at_ms } => {
                head(out, QueueNumber::Purged, *queue);
                out.varint(*at_ms);
            }
            Self::Paused { queue, at_ms, paused } => {
                head(out, QueueNumber::Paused, *queue);
                out.varint(*at_ms);
                out.u8(u8::from(*paused));
            }
            Self::LanePaused { queue, at_ms, lane, paused } => {
                head(out, QueueNumber::LanePaused, *queue);
                out.varint(*at_ms);
                out.str(lane);
                out.u8(u8::from(*paused));
            }
            Self::PauseEnds { queue, lane, until_ms } => {
                head(out, QueueNumber::PauseEnds, *queue);
                out.opt_str(lane.as_deref());
                out.varint(*until_ms);
            }
            Self::Swept { queue, at_ms } => {
                head(out, QueueNumber::Swept, *queue);
                out.varint(*at_ms);
            }
            Self::NamesSwept { before_ms } => {
                out.u8(QueueNumber::NamesSwept.into());
                out.varint(*before_ms);
            }
        }
    }

    pub(crate) fn decode(number: QueueNumber, r: &mut Reader) -> Result<Self, Malformed> {
        Ok(match number {
            QueueNumber::Created => Self::Created {
                queue: queue(r)?,
                at_ms: r.varint()?,
                name: decode_name(r)?,
                config: Box::new(decode_config(r)?),
            },
            QueueNumber::Configured => Self::Configured {
                queue: queue(r)?,
                at_ms: r.varint()?,
                config: Box::new(decode_config(r)?),
            },
            QueueNumber::Deleted => Self::Deleted { queue: queue(r)?, at_ms: r.varint()? },
            QueueNumber::Purged => Self::Purged { queue: queue(r)?, at_ms: r.varint()? },
            QueueNumber::Paused => {
                Self::Paused { queue: queue(r)?, at_ms: r.varint()?, paused: r.bool()? }
            }
            QueueNumber::LanePaused => Self::LanePaused {
                queue: queue(r)?,
                at_ms: r.varint()?,
                lane: r.string()?,
                paused: r.bool()?,
            },
            QueueNumber::PauseEnds => {
                Self::PauseEnds { queue: queue(r)?, lane: r.opt_string()?, until_ms: r.varint()? }
            }
            QueueNumber::Swept => Self::Swept { queue: queue(r)?, at_ms: r.varint()? },
            QueueNumber::NamesSwept => Self::NamesSwept { before_ms: r.varint()? },
        })
    }
}
