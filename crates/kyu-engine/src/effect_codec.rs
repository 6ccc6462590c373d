//! The frozen binary form of effects. A record is a row of `number, fields`; numbers and fields
//! are as given here for ever (golden bytes below).

use crate::claim::ClaimEffect;
use crate::config::{DeadLetter, DedupScope, Overflow, QueueConfig, QueueKind};
use crate::dead_effect::{self, DeadEffect};
use crate::effect::{
    Arrival, Effect, EnqueuedEffect, ExchangeEffect, FramePlace, LeaseEnd, MoveReason, Removal,
    Skipping,
};
use crate::exchange_codec::decode_binding_id;
use crate::guard_codec;
use crate::ids::{QueueId, QueueName, Seq, SessionId};
use crate::intervene::{PRIORITISED, PrioritisedEffect};
use crate::lane_policy;
use crate::ledger_codec::{LedgerEffect, number as ledger_number};
use crate::pause_ends::{PAUSE_ENDS, PauseEndsEffect};
use crate::reply::{MoveFailure, MoveStatus};
use crate::retention::{self, RetentionEffect};
use crate::retry_codec;
use crate::retry_effect::{RetryEffect, number as retry_number};
use crate::schedule_codec::{ScheduleEffect, number as schedule_number};
use crate::unique::{UNIQUE_TAKEN, UniqueEffect};
use crate::wire::{Malformed, Reader, Write};

/// Frozen numbers of the effects.
pub(crate) mod number {
    pub(crate) const QUEUE_CREATED: u8 = 1;
    pub(crate) const QUEUE_CONFIGURED: u8 = 2;
    pub(crate) const QUEUE_DELETED: u8 = 3;
    pub(crate) const QUEUE_PURGED: u8 = 4;
    pub(crate) const ENQUEUED: u8 = 5;
    pub(crate) const LEASED: u8 = 6;
    pub(crate) const REMOVED: u8 = 7;
    pub(crate) const RELEASED: u8 = 8;
    pub(crate) const EXTENDED: u8 = 9;
    pub(crate) const PROMOTED: u8 = 10;
    pub(crate) const MOVED: u8 = 11;
    pub(crate) const RELOCATED: u8 = 12;
    pub(crate) const MOVE_TASK_STARTED: u8 = 13;
    pub(crate) const MOVE_TASK_PROGRESSED: u8 = 14;
    pub(crate) const SWEPT: u8 = 15;
    /// A frame's bytes; effects after it refer to them by offset.
    pub(crate) const FRAME: u8 = 16;
    pub(crate) const NAMES_SWEPT: u8 = 17;
    pub(crate) const ATTEMPT_REPEATED: u8 = 18;
    /// As `ENQUEUED`, and then the binding.
    pub(crate) const ENQUEUED_VIA: u8 = 19;
    pub(crate) const EXCHANGE_CREATED: u8 = 20;
    pub(crate) const EXCHANGE_CONFIGURED: u8 = 21;
    pub(crate) const EXCHANGE_DELETED: u8 = 22;
    pub(crate) const BOUND: u8 = 23;
    pub(crate) const REBOUND: u8 = 24;
    pub(crate) const UNBOUND: u8 = 25;
    pub(crate) const PUBLISHED: u8 = 26;
    /// As `MOVED`, and then whether the age begins anew.
    pub(crate) const MOVED_DEAD: u8 = 32;
    pub(crate) const QUEUE_PAUSED: u8 = 35;
    pub(crate) const LANE_PAUSED: u8 = 36;
    /// As `REMOVED`, and then the time.
    pub(crate) const REMOVED_AT: u8 = 37;
    /// As `MOVE_TASK_PROGRESSED`, and then what was skipped.
    pub(crate) const MOVE_TASK_SKIPPED: u8 = 38;
    pub(crate) const RESERVED: u8 = 55;
    pub(crate) const CLAIMED: u8 = 56;
    pub(crate) const UNCLAIMED: u8 = 57;
    pub(crate) const RECEIVED: u8 = 58;
    pub(crate) const ARCHIVED: u8 = 59;
}

impl Effect {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::QueueCreated { .. }
            | Self::QueueConfigured { .. }
            | Self::QueueDeleted { .. }
            | Self::QueuePurged { .. }
            | Self::QueuePaused { .. }
            | Self::LanePaused { .. }
            | Self::Swept { .. }
            | Self::NamesSwept { .. } => self.encode_queue(out),
            Self::Moved { .. } | Self::MoveTaskStarted { .. } | Self::MoveTaskProgressed { .. } => {
                self.encode_move(out)
            }
            Self::Enqueued(enqueued) => enqueued.encode(out),
            Self::Exchange(exchange) => exchange.encode(out),
            Self::Retry(retry) => retry.encode(out),
            Self::Ledger(ledger) => ledger.encode(out),
            Self::UniqueTaken(taken) => taken.encode(out),
            Self::Claim(claim) => claim.encode(out),
            Self::Schedule(schedule) => schedule.encode(out),
            Self::Retention(retention) => retention.encode(out),
            Self::Dead(dead) => dead.encode(out),
            Self::Prioritised(prioritised) => prioritised.encode(out),
            Self::PauseEnds(ends) => ends.encode(out),
            _ => self.encode_message(out),
        }
    }

    fn encode_queue(&self, out: &mut Vec<u8>) {
        match self {
            Self::QueueCreated { queue, at_ms, name, config } => {
                head(out, number::QUEUE_CREATED, *queue);
                out.varint(*at_ms);
                encode_name(name, out);
                encode_config(config, out);
            }
            Self::QueueConfigured { queue, at_ms, config } => {
                head(out, number::QUEUE_CONFIGURED, *queue);
                out.varint(*at_ms);
                encode_config(config, out);
            }
            Self::QueueDeleted { queue, at_ms } => {
                head(out, number::QUEUE_DELETED, *queue);
                out.varint(*at_ms);
            }
            Self::QueuePurged { queue, at_ms } => {
                head(out, number::QUEUE_PURGED, *queue);
                out.varint(*at_ms);
            }
            Self::QueuePaused { queue, at_ms, paused } => {
                head(out, number::QUEUE_PAUSED, *queue);
                out.varint(*at_ms);
                out.u8(u8::from(*paused));
            }
            Self::LanePaused { queue, at_ms, lane, paused } => {
                head(out, number::LANE_PAUSED, *queue);
                out.varint(*at_ms);
                out.str(lane);
                out.u8(u8::from(*paused));
            }
            Self::Swept { queue, at_ms } => {
                head(out, number::SWEPT, *queue);
                out.varint(*at_ms);
            }
            Self::NamesSwept { before_ms } => {
                out.u8(number::NAMES_SWEPT);
                out.varint(*before_ms);
            }
            _ => {}
        }
    }

    fn encode_message(&self, out: &mut Vec<u8>) {
        match self {
            Self::Leased { queue, at_ms, epoch, end, attempt, seqs } => {
                head(out, number::LEASED, *queue);
                out.varint(*at_ms);
                out.varint(u64::from(*epoch));
                let (kind, value) = match end {
                    LeaseEnd::At(until_ms) => (0, *until_ms),
                    LeaseEnd::Session(session) => (1, session.0),
                };
                out.u8(kind);
                out.varint(value);
                out.opt_str(attempt.as_deref());
                encode_seqs(seqs, out);
            }
            Self::Removed { queue, reason, seqs, at_ms } => {
                let timed = at_ms.is_some();
                head(out, if timed { number::REMOVED_AT } else { number::REMOVED }, *queue);
                out.u8(*reason as u8);
                encode_seqs(seqs, out);
                if let Some(at_ms) = at_ms {
                    out.varint(*at_ms);
                }
            }
            Self::Released { queue, seq, ready_at_ms, order, counted } => {
                head(out, number::RELEASED, *queue);
                out.varint(*seq);
                out.opt_varint(*ready_at_ms);
                out.opt_varint(*order);
                out.u8(u8::from(*counted));
            }
            Self::Extended { queue, seq, until_ms } => {
                head(out, number::EXTENDED, *queue);
                out.varint(*seq);
                out.varint(*until_ms);
            }
            Self::Promoted { queue, seqs } => {
                head(out, number::PROMOTED, *queue);
                encode_seqs(seqs, out);
            }
            Self::AttemptRepeated { queue, attempt, until_ms } => {
                head(out, number::ATTEMPT_REPEATED, *queue);
                out.str(attempt);
                out.varint(*until_ms);
            }
            Self::Relocated { from, owners, frame } => {
                out.u8(number::RELOCATED);
                out.varint(*from);
                frame.encode(out);
                out.varint(owners.len() as u64);
                for (queue, seq) in owners {
                    out.varint(u64::from(queue.0));
                    out.varint(*seq);
                }
            }
            _ => {}
        }
    }

    fn encode_move(&self, out: &mut Vec<u8>) {
        match self {
            Self::Moved { from, seq, to, to_seq, at_ms, reason, arrival } => {
                let by_reason = *arrival == Arrival::ByReason;
                head(out, if by_reason { number::MOVED } else { number::MOVED_DEAD }, *from);
                out.varint(*seq);
                out.varint(u64::from(to.0));
                out.varint(*to_seq);
                out.varint(*at_ms);
                out.u8(*reason as u8);
                match arrival {
                    Arrival::ByReason => {}
                    Arrival::WithAge => out.u8(0),
                    Arrival::Anew => out.u8(1),
                }
            }
            Self::MoveTaskStarted { task, source, destination, max_per_second, at_ms, to_move } => {
                out.u8(number::MOVE_TASK_STARTED);
                out.varint(*task);
                out.varint(u64::from(source.0));
                encode_opt_name(destination.as_ref(), out);
                out.opt_varint(max_per_second.map(u64::from));
                out.varint(*at_ms);
                out.varint(*to_move);
            }
            Self::MoveTaskProgressed { task, at_ms, moved, status, failure, skipping } => {
                let plain = *skipping == Skipping::default();
                let skips = number::MOVE_TASK_SKIPPED;
                out.u8(if plain { number::MOVE_TASK_PROGRESSED } else { skips });
                out.varint(*task);
                out.varint(*at_ms);
                out.varint(*moved);
                out.u8(*status as u8);
                out.opt_str(failure.as_deref());
                if !plain {
                    skipping.encode(out);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn decode(tag: u8, r: &mut Reader) -> Result<Self, Malformed> {
        Ok(match tag {
            number::QUEUE_CREATED => Self::QueueCreated {
                queue: queue(r)?,
                at_ms: r.varint()?,
                name: decode_name(r)?,
                config: Box::new(decode_config(r)?),
            },
            number::QUEUE_CONFIGURED => Self::QueueConfigured {
                queue: queue(r)?,
                at_ms: r.varint()?,
                config: Box::new(decode_config(r)?),
            },
            number::QUEUE_DELETED => Self::QueueDeleted { queue: queue(r)?, at_ms: r.varint()? },
            number::QUEUE_PURGED => Self::QueuePurged { queue: queue(r)?, at_ms: r.varint()? },
            number::QUEUE_PAUSED => {
                Self::QueuePaused { queue: queue(r)?, at_ms: r.varint()?, paused: r.bool()? }
            }
            number::LANE_PAUSED => Self::LanePaused {
                queue: queue(r)?,
                at_ms: r.varint()?,
                lane: r.string()?,
                paused: r.bool()?,
            },
            number::SWEPT => Self::Swept { queue: queue(r)?, at_ms: r.varint()? },
            number::NAMES_SWEPT => Self::NamesSwept { before_ms: r.varint()? },
            number::ENQUEUED | number::ENQUEUED_VIA => {
                let mut enqueued = EnqueuedEffect::decode(r)?;
                if tag == number::ENQUEUED_VIA {
                    enqueued.via = Some(decode_binding_id(r)?);
                }
                Self::Enqueued(enqueued)
            }
            number::EXCHANGE_CREATED..=number::PUBLISHED => {
                Self::Exchange(ExchangeEffect::decode(tag, r)?)
            }
            ledger_number::LEDGER_CLAIMED..=ledger_number::LEDGER_PUT => {
                Self::Ledger(Box::new(LedgerEffect::decode(tag, r)?))
            }
            dead_effect::number::KEPT | dead_effect::number::REVIVED => {
                Self::Dead(DeadEffect::decode(tag, r)?)
            }
            PAUSE_ENDS => Self::PauseEnds(PauseEndsEffect::decode(r)?),
            PRIORITISED => Self::Prioritised(PrioritisedEffect::decode(r)?),
            retention::number::RECEIVABLE => Self::Retention(RetentionEffect::decode(r)?),
            UNIQUE_TAKEN => Self::UniqueTaken(Box::new(UniqueEffect::decode(r)?)),
            retry_number::ATTEMPT_ENDED..=retry_number::GUARD_CHANGED | retry_number::GUARD_KEY => {
                Self::Retry(RetryEffect::decode(tag, r)?)
            }
            number::RESERVED..=number::ARCHIVED => Self::Claim(ClaimEffect::decode(tag, r)?),
            schedule_number::SCHEDULE_CREATED..=schedule_number::SCHEDULE_MISSED => {
                Self::Schedule(Box::new(ScheduleEffect::decode(tag, r)?))
            }
            number::LEASED => Self::decode_leased(r)?,
            number::MOVE_TASK_STARTED
            | number::MOVE_TASK_PROGRESSED
            | number::MOVE_TASK_SKIPPED => Self::decode_task(tag, r)?,
            _ => Self::decode_message(tag, r)?,
        })
    }

    fn decode_leased(r: &mut Reader) -> Result<Self, Malformed> {
        Ok(Self::Leased {
            queue: queue(r)?,
            at_ms: r.varint()?,
            epoch: r.varint32()?,
            end: match (r.u8()?, r.varint()?) {
                (0, until_ms) => LeaseEnd::At(until_ms),
                (1, session) => LeaseEnd::Session(SessionId(session)),
                _ => return Err(Malformed("lease end")),
            },
            attempt: r.opt_string()?,
            seqs: decode_seqs(r)?,
        })
    }

    fn decode_message(tag: u8, r: &mut Reader) -> Result<Self, Malformed> {
        Ok(match tag {
            number::REMOVED | number::REMOVED_AT => Self::Removed {
                queue: queue(r)?,
                reason: match r.u8()? {
                    0 => Removal::Acked,
                    1 => Removal::Expired,
                    2 => Removal::Dropped,
                    3 => Removal::Rejected,
                    4 => Removal::Deadline,
                    5 => Removal::Cancelled,
                    _ => return Err(Malformed("removal")),
                },
                seqs: decode_seqs(r)?,
                at_ms: if tag == number::REMOVED_AT { Some(r.varint()?) } else { None },
            },
            number::RELEASED => Self::Released {
                queue: queue(r)?,
                seq: r.varint()?,
                ready_at_ms: r.opt_varint()?,
                order: r.opt_varint()?,
                counted: r.bool()?,
            },
            number::EXTENDED => {
                Self::Extended { queue: queue(r)?, seq: r.varint()?, until_ms: r.varint()? }
            }
            number::PROMOTED => Self::Promoted { queue: queue(r)?, seqs: decode_seqs(r)? },
            number::ATTEMPT_REPEATED => Self::AttemptRepeated {
                queue: queue(r)?,
                attempt: r.string()?,
                until_ms: r.varint()?,
            },
            number::MOVED | number::MOVED_DEAD => Self::Moved {
                from: queue(r)?,
                seq: r.varint()?,
                to: queue(r)?,
                to_seq: r.varint()?,
                at_ms: r.varint()?,
                reason: decode_reason_of_move(r)?,
                arrival: match tag {
                    number::MOVED_DEAD if r.bool()? => Arrival::Anew,
                    number::MOVED_DEAD => Arrival::WithAge,
                    _ => Arrival::ByReason,
                },
            },
            number::RELOCATED => Self::Relocated {
                from: r.varint()?,
                frame: FramePlace::decode(r)?,
                owners: (0..r.count()?)
                    .map(|_| Ok((queue(r)?, r.varint()?)))
                    .collect::<Result<_, _>>()?,
            },
            _ => return Err(Malformed("effect number")),
        })
    }

    fn decode_task(tag: u8, r: &mut Reader) -> Result<Self, Malformed> {
        if tag == number::MOVE_TASK_STARTED {
            return Ok(Self::MoveTaskStarted {
                task: r.varint()?,
                source: queue(r)?,
                destination: decode_opt_name(r)?,
                max_per_second: opt_u32(r)?,
                at_ms: r.varint()?,
                to_move: r.varint()?,
            });
        }
        Ok(Self::MoveTaskProgressed {
            task: r.varint()?,
            at_ms: r.varint()?,
            moved: r.varint()?,
            status: decode_status(r)?,
            failure: r.opt_string()?,
            skipping: match tag {
                number::MOVE_TASK_SKIPPED => Skipping::decode(r)?,
                _ => Skipping::default(),
            },
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

impl FramePlace {
    fn encode(self, out: &mut Vec<u8>) {
        out.varint(u64::from(self.offset));
        out.varint(u64::from(self.bytes));
    }

    fn decode(r: &mut Reader) -> Result<Self, Malformed> {
        Ok(Self { offset: r.varint32()?, bytes: r.varint32()? })
    }
}

impl EnqueuedEffect {
    fn encode(&self, out: &mut Vec<u8>) {
        let number = if self.via.is_some() { number::ENQUEUED_VIA } else { number::ENQUEUED };
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

pub(crate) fn head(out: &mut Vec<u8>, number: u8, queue: QueueId) {
    out.u8(number);
    out.varint(u64::from(queue.0));
}

pub(crate) fn queue(r: &mut Reader) -> Result<QueueId, Malformed> {
    Ok(QueueId(r.varint32()?))
}

/// A count, the first number, then the differences (zigzag): neighbours take a byte each.
pub(crate) fn encode_seqs(seqs: &[Seq], out: &mut Vec<u8>) {
    out.varint(seqs.len() as u64);
    let mut last = 0u64;
    for seq in seqs {
        let step = seq.wrapping_sub(last) as i64;
        out.varint((step << 1 ^ step >> 63) as u64);
        last = *seq;
    }
}

pub(crate) fn decode_seqs(r: &mut Reader) -> Result<Vec<Seq>, Malformed> {
    let count = r.count()?;
    let mut seqs = Vec::with_capacity(count);
    let mut last = 0u64;
    for _ in 0..count {
        let zigzag = r.varint()?;
        let step = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
        last = last.wrapping_add(step as u64);
        seqs.push(last);
    }
    Ok(seqs)
}

pub(crate) fn encode_name(name: &QueueName, out: &mut Vec<u8>) {
    out.str(&name.namespace);
    out.str(&name.name);
}

pub(crate) fn decode_name(r: &mut Reader) -> Result<QueueName, Malformed> {
    Ok(QueueName { namespace: r.string()?, name: r.string()? })
}

pub(crate) fn encode_opt_name(name: Option<&QueueName>, out: &mut Vec<u8>) {
    out.u8(u8::from(name.is_some()));
    if let Some(name) = name {
        encode_name(name, out);
    }
}

pub(crate) fn decode_opt_name(r: &mut Reader) -> Result<Option<QueueName>, Malformed> {
    Ok(if r.bool()? { Some(decode_name(r)?) } else { None })
}

pub(crate) fn opt_u32(r: &mut Reader) -> Result<Option<u32>, Malformed> {
    r.opt_varint()?.map(|v| u32::try_from(v).map_err(|_| Malformed("number"))).transpose()
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

pub(crate) fn decode_reason_of_move(r: &mut Reader) -> Result<MoveReason, Malformed> {
    Ok(match r.u8()? {
        0 => MoveReason::MaxReceives,
        1 => MoveReason::Rejected,
        2 => MoveReason::Redrive,
        3 => MoveReason::Deadline,
        4 => MoveReason::Retention,
        _ => return Err(Malformed("move reason")),
    })
}

/// Version of the configuration's layout. New settings are new sections, not new versions.
const CONFIG_VERSION: u8 = 1;

/// Ends the row of sections. Numbers of sections are frozen; one is left out while what it holds
/// is the default.
const NO_MORE_SECTIONS: u8 = 0;

pub(crate) fn encode_config(config: &QueueConfig, out: &mut Vec<u8>) {
    out.u8(CONFIG_VERSION);
    out.u8(config.kind as u8);
    out.varint(config.visibility_timeout_ms);
    out.varint(config.delay_ms);
    out.varint(config.retention_ms);
    out.varint(config.receive_wait_ms);
    out.varint(u64::from(config.max_message_bytes));
    out.varint(u64::from(config.max_in_flight));
    out.opt_varint(config.max_messages);
    out.opt_varint(config.max_bytes);
    out.u8(config.overflow as u8);
    out.u8(u8::from(config.content_based_deduplication));
    out.u8(config.dedup_scope as u8);
    out.varint(config.dedup_window_ms);
    encode_opt_name(config.dead_letter.as_ref().map(|rule| &rule.target), out);
    if let Some(rule) = &config.dead_letter {
        out.varint(u64::from(rule.max_receives));
    }
    encode_map(&config.attributes, out);
    encode_map(&config.tags, out);
    retry_codec::encode_sections(config, out);
    lane_policy::encode_sections(config, out);
    guard_codec::encode_sections(config, out);
    retention::encode_sections(config, out);
    out.u8(NO_MORE_SECTIONS);
}

pub(crate) fn decode_config(r: &mut Reader) -> Result<QueueConfig, Malformed> {
    if r.u8()? != CONFIG_VERSION {
        return Err(Malformed("configuration version"));
    }
    let mut config = QueueConfig {
        kind: if r.bool()? { QueueKind::Fifo } else { QueueKind::Standard },
        visibility_timeout_ms: r.varint()?,
        delay_ms: r.varint()?,
        retention_ms: r.varint()?,
        receive_wait_ms: r.varint()?,
        max_message_bytes: r.varint32()?,
        max_in_flight: r.varint32()?,
        max_messages: r.opt_varint()?,
        max_bytes: r.opt_varint()?,
        overflow: if r.bool()? { Overflow::DropHead } else { Overflow::Refuse },
        content_based_deduplication: r.bool()?,
        dedup_scope: if r.bool()? { DedupScope::Lane } else { DedupScope::Queue },
        dedup_window_ms: r.varint()?,
        dead_letter: match decode_opt_name(r)? {
            Some(target) => Some(DeadLetter { target, max_receives: r.varint32()? }),
            None => None,
        },
        attributes: decode_map(r)?,
        tags: decode_map(r)?,
        ..QueueConfig::unwritten()
    };
    decode_sections(&mut config, r)?;
    Ok(config)
}

fn decode_sections(config: &mut QueueConfig, r: &mut Reader) -> Result<(), Malformed> {
    let mut last = NO_MORE_SECTIONS;
    loop {
        let number = r.u8()?;
        if number == NO_MORE_SECTIONS {
            return Ok(());
        }
        let mut section = Reader::new(r.bytes()?);
        let known = match number {
            1..=9 => retry_codec::decode_section(number, config, &mut section)?,
            10..=14 => lane_policy::decode_section(number, config, &mut section)?,
            15..=19 => guard_codec::decode_section(number, config, &mut section)?,
            20..=24 => retention::decode_section(number, config, &mut section)?,
            _ => false,
        };
        if !known || number <= last || section.remaining() > 0 {
            return Err(Malformed("configuration section"));
        }
        last = number;
    }
}

pub(crate) fn encode_map(map: &std::collections::BTreeMap<String, String>, out: &mut Vec<u8>) {
    out.varint(map.len() as u64);
    for (key, value) in map {
        out.str(key);
        out.str(value);
    }
}

pub(crate) fn decode_map(
    r: &mut Reader,
) -> Result<std::collections::BTreeMap<String, String>, Malformed> {
    (0..r.count()?).map(|_| Ok((r.string()?, r.string()?))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::effect::Effects;

    const Q: QueueId = QueueId(300);

    fn name(name: &str) -> QueueName {
        QueueName { namespace: "n".into(), name: name.into() }
    }

    fn config() -> QueueConfig {
        QueueConfig {
            kind: QueueKind::Fifo,
            max_messages: Some(5),
            overflow: Overflow::DropHead,
            content_based_deduplication: true,
            dedup_scope: DedupScope::Lane,
            dead_letter: Some(DeadLetter { target: name("d"), max_receives: 9 }),
            attributes: BTreeMap::from([("Policy".into(), "{}".into())]),
            tags: BTreeMap::from([("t".into(), "v".into())]),
            ..QueueConfig::unwritten()
        }
    }

    /// Every effect, with every optional field both ways where that changes the layout.
    fn samples() -> Vec<(Effect, &'static str)> {
        let place = FramePlace { offset: 5, bytes: 200 };
        let enqueued = EnqueuedEffect {
            queue: Q,
            seq: 7,
            at_ms: 1_000,
            ready_at_ms: None,
            expires_at_ms: None,
            priority: 0,
            lane: None,
            dedup: None,
            message_id: 2,
            frame: place,
            shares: 1,
            via: None,
        };
        let full = EnqueuedEffect {
            ready_at_ms: Some(2_000),
            expires_at_ms: Some(3_000),
            priority: 255,
            lane: Some("l".into()),
            dedup: Some(("k".into(), 4_000)),
            shares: 3,
            ..enqueued.clone()
        };
        let via = EnqueuedEffect { via: crate::exchange::BindingId::new(5), ..enqueued.clone() };
        let lease = |end, attempt| Effect::Leased {
            queue: Q,
            at_ms: 1,
            epoch: 2,
            end,
            attempt,
            seqs: vec![10, 11, 9],
        };
        let removed = |reason, at_ms| Effect::Removed { queue: Q, reason, seqs: vec![1], at_ms };
        let moved = |reason, arrival| Effect::Moved {
            from: Q,
            seq: 1,
            to: QueueId(2),
            to_seq: 3,
            at_ms: 4,
            reason,
            arrival,
        };
        let progressed = |status, skipping| Effect::MoveTaskProgressed {
            task: 1,
            at_ms: 2,
            moved: 3,
            status,
            failure: Some("f".into()),
            skipping,
        };
        let skipping =
            Skipping { skipped: 300, looked_at: 9, reason: Some(MoveFailure::SourceGone) };
        vec![
            (
                Effect::QueueCreated {
                    queue: Q,
                    at_ms: 1,
                    name: name("q"),
                    config: Box::new(config()),
                },
                GOLDEN_CREATED,
            ),
            (
                Effect::QueueConfigured {
                    queue: Q,
                    at_ms: 1,
                    config: Box::new(QueueConfig::unwritten()),
                },
                GOLDEN_CONFIGURED,
            ),
            (Effect::QueueDeleted { queue: Q, at_ms: 1 }, "03ac0201"),
            (Effect::QueuePurged { queue: Q, at_ms: 1 }, "04ac0201"),
            (
                Effect::Enqueued(enqueued),
                "05ac0207e80700000000000200000000000000000000000000000005c80101",
            ),
            (
                Effect::Enqueued(full),
                "05ac0207e80701d00f01b817ff01016c01016ba01f0200000000000000000000000000000005c80103",
            ),
            (
                Effect::Enqueued(via),
                "13ac0207e80700000000000200000000000000000000000000000005c8010105",
            ),
            (lease(LeaseEnd::At(5), None), "06ac02010200050003140203"),
            (
                lease(LeaseEnd::Session(SessionId(5)), Some("a".into())),
                "06ac02010201050101610314 0203",
            ),
            (removed(Removal::Dropped, None), "07ac02020102"),
            (removed(Removal::Deadline, None), "07ac02040102"),
            (removed(Removal::Expired, Some(300)), "25ac02010102ac02"),
            (
                Effect::Released {
                    queue: Q,
                    seq: 1,
                    ready_at_ms: Some(2),
                    order: None,
                    counted: true,
                },
                "08ac020101020001",
            ),
            (Effect::Extended { queue: Q, seq: 1, until_ms: 2 }, "09ac020102"),
            (Effect::Promoted { queue: Q, seqs: vec![] }, "0aac0200"),
            (moved(MoveReason::Redrive, Arrival::ByReason), "0bac020102030402"),
            (moved(MoveReason::Rejected, Arrival::WithAge), "20ac02010203040100"),
            (moved(MoveReason::MaxReceives, Arrival::Anew), "20ac02010203040001"),
            (
                Effect::Relocated { from: 1, owners: vec![(Q, 2)], frame: place },
                "0c0105c80101ac0202",
            ),
            (
                Effect::MoveTaskStarted {
                    task: 1,
                    source: Q,
                    destination: Some(name("d")),
                    max_per_second: Some(500),
                    at_ms: 2,
                    to_move: 3,
                },
                "0d01ac0201016e016401f4030203",
            ),
            (progressed(MoveStatus::Failed, Skipping::default()), "0e01020303010166"),
            (progressed(MoveStatus::Completed, skipping), "2601020301010166ac020902"),
            (
                Effect::Retention(RetentionEffect::Receivable {
                    queue: Q,
                    at_ms: 5,
                    seqs: vec![1],
                }),
                "27ac02050102",
            ),
            (Effect::QueuePaused { queue: Q, at_ms: 1, paused: true }, "23ac020101"),
            (
                Effect::LanePaused { queue: Q, at_ms: 1, lane: "l".into(), paused: false },
                "24ac0201016c00",
            ),
            (Effect::Swept { queue: Q, at_ms: 1 }, "0fac0201"),
            (Effect::NamesSwept { before_ms: 1 }, "1101"),
            (
                Effect::AttemptRepeated { queue: Q, attempt: "a".into(), until_ms: 2 },
                "12ac02016102",
            ),
        ]
    }

    const GOLDEN_CREATED: &str = "01ac0201016e01710101b0ea010080e0e5a40100808040c0a907010500010101e0a71201016e0164090106506f6c696379027b7d010174017600";
    const GOLDEN_CONFIGURED: &str =
        "02ac02010100b0ea010080e0e5a40100808040c0a9070000000000e0a71200000000";

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
            let mut reader = Reader::new(Bytes::from(bytes));
            let tag = reader.u8().unwrap();
            assert_eq!(Effect::decode(tag, &mut reader), Ok(effect));
            assert_eq!(reader.remaining(), 0);
        }
    }

    #[test]
    fn every_truncation_of_an_effect_is_refused() {
        for (effect, _) in samples() {
            let mut bytes = Vec::new();
            effect.encode(&mut bytes);
            for end in 1..bytes.len() {
                assert!(Effects::decode(&bytes[..end]).is_err(), "{effect:?} cut at {end}");
            }
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_refused_without_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            sample in 0..20usize,
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let _ = Effects::decode(&bytes);
            let mut bytes = Vec::new();
            samples()[sample].0.encode(&mut bytes);
            for (at, value) in flips {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            let _ = Effects::decode(&bytes);
        }
    }
}
