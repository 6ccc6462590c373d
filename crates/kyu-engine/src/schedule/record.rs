//! The facts of schedules, and their frozen binary form: effects 49 to 54, and snapshot blocks.

use bytes::Bytes;
use kyu_model::wire::{Malformed, Reader, Write};
use kyu_model::{
    CatchUp, MessageId, MessageTemplate, NextRun, OverlapPolicy, QueueName, RunOutcome,
    ScheduleConfig, ScheduleInfo, ScheduleRule, ScheduleRun, ScheduleTarget, ScheduleTotals,
    UnixMs,
};

use crate::codec::{decode_map, decode_name, encode_map, encode_name};
use crate::machines::ScheduleNumber;

/// The facts of schedules. Each carries the run that comes next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ScheduleFact {
    Created {
        name: QueueName,
        id: u64,
        at_ms: UnixMs,
        config: Box<ScheduleConfig>,
        paused: bool,
        next: Option<NextRun>,
    },
    Configured {
        name: QueueName,
        at_ms: UnixMs,
        config: Box<ScheduleConfig>,
        next: Option<NextRun>,
    },
    /// The schedule was paused or resumed.
    Paused {
        name: QueueName,
        at_ms: UnixMs,
        paused: bool,
        next: Option<NextRun>,
    },
    Deleted {
        name: QueueName,
        at_ms: UnixMs,
    },
    /// A run, and how many were missed before it. The message that it sent is in the same record.
    Ran {
        name: QueueName,
        run: ScheduleRun,
        missed: u64,
        next: Option<NextRun>,
    },
    /// Runs were missed, and none happened.
    Missed {
        name: QueueName,
        at_ms: UnixMs,
        missed: u64,
        next: Option<NextRun>,
    },
}

impl ScheduleFact {
    /// Returns true if the fact adds to what is stored: see [`crate::Effects::grows`].
    pub(crate) fn grows(&self) -> bool {
        match self {
            Self::Created { .. } | Self::Configured { .. } => true,
            Self::Paused { .. } | Self::Deleted { .. } | Self::Ran { .. } | Self::Missed { .. } => {
                false
            }
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Created { name, id, at_ms, config, paused, next } => {
                out.u8(ScheduleNumber::Created.into());
                encode_name(name, out);
                out.varint(*id);
                out.varint(*at_ms);
                encode_schedule_config(config, out);
                out.u8(u8::from(*paused));
                encode_next(*next, out);
            }
            Self::Configured { name, at_ms, config, next } => {
                out.u8(ScheduleNumber::Configured.into());
                encode_name(name, out);
                out.varint(*at_ms);
                encode_schedule_config(config, out);
                encode_next(*next, out);
            }
            Self::Paused { name, at_ms, paused, next } => {
                out.u8(ScheduleNumber::Paused.into());
                encode_name(name, out);
                out.varint(*at_ms);
                out.u8(u8::from(*paused));
                encode_next(*next, out);
            }
            Self::Deleted { name, at_ms } => {
                out.u8(ScheduleNumber::Deleted.into());
                encode_name(name, out);
                out.varint(*at_ms);
            }
            Self::Ran { name, run, missed, next } => {
                out.u8(ScheduleNumber::Ran.into());
                encode_name(name, out);
                encode_run(run, out);
                out.varint(*missed);
                encode_next(*next, out);
            }
            Self::Missed { name, at_ms, missed, next } => {
                out.u8(ScheduleNumber::Missed.into());
                encode_name(name, out);
                out.varint(*at_ms);
                out.varint(*missed);
                encode_next(*next, out);
            }
        }
    }

    pub(crate) fn decode(number: ScheduleNumber, r: &mut Reader) -> Result<Self, Malformed> {
        let name = decode_name(r)?;
        Ok(match number {
            ScheduleNumber::Created => Self::Created {
                name,
                id: r.varint()?,
                at_ms: r.varint()?,
                config: Box::new(decode_schedule_config(r)?),
                paused: r.bool()?,
                next: decode_next(r)?,
            },
            ScheduleNumber::Configured => Self::Configured {
                name,
                at_ms: r.varint()?,
                config: Box::new(decode_schedule_config(r)?),
                next: decode_next(r)?,
            },
            ScheduleNumber::Paused => {
                Self::Paused { name, at_ms: r.varint()?, paused: r.bool()?, next: decode_next(r)? }
            }
            ScheduleNumber::Deleted => Self::Deleted { name, at_ms: r.varint()? },
            ScheduleNumber::Ran => {
                Self::Ran { name, run: decode_run(r)?, missed: r.varint()?, next: decode_next(r)? }
            }
            ScheduleNumber::Missed => Self::Missed {
                name,
                at_ms: r.varint()?,
                missed: r.varint()?,
                next: decode_next(r)?,
            },
        })
    }
}

fn encode_next(next: Option<NextRun>, out: &mut Vec<u8>) {
    out.opt_varint(next.map(|next| next.due_ms));
    if let Some(next) = next {
        out.varint(next.at_ms);
    }
}

fn decode_next(r: &mut Reader) -> Result<Option<NextRun>, Malformed> {
    let Some(due_ms) = r.opt_varint()? else { return Ok(None) };
    Ok(Some(NextRun { due_ms, at_ms: r.varint()? }))
}

fn encode_run(run: &ScheduleRun, out: &mut Vec<u8>) {
    out.varint(run.due_ms);
    out.varint(run.at_ms);
    out.u8(u8::from(run.manual));
    match &run.outcome {
        RunOutcome::Sent(id) => {
            out.u8(0);
            out.u128(id.0);
        }
        RunOutcome::Overlapped(id) => {
            out.u8(1);
            out.u128(id.0);
        }
        RunOutcome::Failed(why) => {
            out.u8(2);
            out.str(why);
        }
    }
}

fn decode_run(r: &mut Reader) -> Result<ScheduleRun, Malformed> {
    Ok(ScheduleRun {
        due_ms: r.varint()?,
        at_ms: r.varint()?,
        manual: r.bool()?,
        outcome: match r.u8()? {
            0 => RunOutcome::Sent(MessageId(r.u128()?)),
            1 => RunOutcome::Overlapped(MessageId(r.u128()?)),
            2 => RunOutcome::Failed(r.string()?),
            _ => return Err(Malformed("run outcome")),
        },
    })
}

/// Version of the layout of settings.
const CONFIG_VERSION: u8 = 1;

fn encode_schedule_config(config: &ScheduleConfig, out: &mut Vec<u8>) {
    out.u8(CONFIG_VERSION);
    match &config.rule {
        ScheduleRule::Cron { expression, time_zone } => {
            out.u8(0);
            out.str(expression);
            out.str(time_zone);
        }
        ScheduleRule::Every { interval_ms, anchor_ms } => {
            out.u8(1);
            out.varint(*interval_ms);
            out.opt_varint(*anchor_ms);
        }
    }
    let (kind, target) = match &config.target {
        ScheduleTarget::Queue(name) => (0, name),
        ScheduleTarget::Exchange(name) => (1, name),
    };
    out.u8(kind);
    encode_name(target, out);
    let message = &config.message;
    out.bytes(&message.content);
    out.varint(u64::from(message.size_bytes));
    out.opt_str(message.lane.as_deref());
    out.u8(message.priority);
    out.opt_varint(message.delay_ms);
    out.opt_varint(message.expires_after_ms);
    out.varint(config.jitter_ms);
    let (kind, number) = match config.catch_up {
        CatchUp::Skip { grace_ms } => (0, grace_ms),
        CatchUp::One => (1, 0),
        CatchUp::All { max } => (2, u64::from(max)),
    };
    out.u8(kind);
    out.varint(number);
    out.u8(match config.overlap {
        OverlapPolicy::Allow => 0,
        OverlapPolicy::Skip => 1,
        OverlapPolicy::Replace => 2,
    });
    out.opt_varint(config.from_ms);
    out.opt_varint(config.until_ms);
    encode_map(&config.attributes, out);
}

fn decode_schedule_config(r: &mut Reader) -> Result<ScheduleConfig, Malformed> {
    if r.u8()? != CONFIG_VERSION {
        return Err(Malformed("schedule version"));
    }
    Ok(ScheduleConfig {
        rule: match r.u8()? {
            0 => ScheduleRule::Cron { expression: r.string()?, time_zone: r.string()? },
            1 => ScheduleRule::Every { interval_ms: r.varint()?, anchor_ms: r.opt_varint()? },
            _ => return Err(Malformed("schedule rule")),
        },
        target: match (r.u8()?, decode_name(r)?) {
            (0, name) => ScheduleTarget::Queue(name),
            (1, name) => ScheduleTarget::Exchange(name),
            _ => return Err(Malformed("schedule target")),
        },
        message: MessageTemplate {
            // Not a slice: that would keep the whole record in memory.
            content: Bytes::copy_from_slice(&r.bytes()?),
            size_bytes: r.varint32()?,
            lane: r.opt_string()?,
            priority: r.u8()?,
            delay_ms: r.opt_varint()?,
            expires_after_ms: r.opt_varint()?,
        },
        jitter_ms: r.varint()?,
        catch_up: match (r.u8()?, r.varint()?) {
            (0, grace_ms) => CatchUp::Skip { grace_ms },
            (1, _) => CatchUp::One,
            (2, max) => {
                CatchUp::All { max: u32::try_from(max).map_err(|_| Malformed("catch-up"))? }
            }
            _ => return Err(Malformed("catch-up")),
        },
        overlap: match r.u8()? {
            0 => OverlapPolicy::Allow,
            1 => OverlapPolicy::Skip,
            2 => OverlapPolicy::Replace,
            _ => return Err(Malformed("overlap")),
        },
        from_ms: r.opt_varint()?,
        until_ms: r.opt_varint()?,
        attributes: decode_map(r)?,
    })
}

/// A schedule in a snapshot.
pub(crate) fn encode_schedule(info: &ScheduleInfo, out: &mut Vec<u8>) {
    out.varint(info.id);
    encode_name(&info.name, out);
    encode_schedule_config(&info.config, out);
    out.varint(info.version);
    out.u8(u8::from(info.paused));
    out.varint(info.created_at_ms);
    out.varint(info.modified_at_ms);
    encode_next(info.next, out);
    out.u8(u8::from(info.last.is_some()));
    if let Some(run) = &info.last {
        encode_run(run, out);
    }
    let t = &info.totals;
    for total in [t.sent, t.missed, t.overlapped, t.failed] {
        out.varint(total);
    }
}

pub(crate) fn decode_schedule(r: &mut Reader) -> Result<ScheduleInfo, Malformed> {
    Ok(ScheduleInfo {
        id: r.varint()?,
        name: decode_name(r)?,
        config: decode_schedule_config(r)?,
        version: r.varint()?,
        paused: r.bool()?,
        created_at_ms: r.varint()?,
        modified_at_ms: r.varint()?,
        next: decode_next(r)?,
        last: if r.bool()? { Some(decode_run(r)?) } else { None },
        totals: ScheduleTotals {
            sent: r.varint()?,
            missed: r.varint()?,
            overlapped: r.varint()?,
            failed: r.varint()?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Effects;

    fn name() -> QueueName {
        QueueName { namespace: "n".into(), name: "s".into() }
    }

    fn configs() -> [ScheduleConfig; 2] {
        let cron = ScheduleRule::Cron { expression: "@daily".into(), time_zone: "UTC".into() };
        let every = ScheduleRule::Every { interval_ms: 300, anchor_ms: Some(5) };
        let message = MessageTemplate { content: Bytes::from_static(b"c"), ..Default::default() };
        [
            ScheduleConfig::new(cron, ScheduleTarget::Queue(name()), message.clone()),
            ScheduleConfig {
                message: MessageTemplate {
                    size_bytes: 1,
                    lane: Some("l".into()),
                    priority: 9,
                    delay_ms: Some(2),
                    expires_after_ms: Some(3),
                    ..message.clone()
                },
                jitter_ms: 4,
                catch_up: CatchUp::All { max: 300 },
                overlap: OverlapPolicy::Replace,
                from_ms: Some(6),
                until_ms: Some(7),
                attributes: [("a".to_owned(), "b".to_owned())].into(),
                ..ScheduleConfig::new(every, ScheduleTarget::Exchange(name()), message)
            },
        ]
    }

    fn run(outcome: RunOutcome) -> ScheduleRun {
        ScheduleRun { due_ms: 1, at_ms: 2, manual: true, outcome }
    }

    fn samples() -> Vec<(ScheduleFact, &'static str)> {
        let [daily, every] = configs().map(Box::new);
        let next = Some(NextRun { due_ms: 300, at_ms: 301 });
        let ran = |outcome| ScheduleFact::Ran { name: name(), run: run(outcome), missed: 3, next };
        vec![
            (
                ScheduleFact::Created {
                    name: name(),
                    id: 8,
                    at_ms: 1,
                    config: daily,
                    paused: false,
                    next,
                },
                "31016e01730801010006406461696c790355544300016e017301630000000000000100000000000001ac02ad02",
            ),
            (
                ScheduleFact::Configured { name: name(), at_ms: 1, config: every, next: None },
                "32016e0173010101ac02010501016e0173016301 01016c 09 0102 0103 04 02ac02 02 0106 0107 01 0161 0162 00",
            ),
            (
                ScheduleFact::Paused { name: name(), at_ms: 1, paused: true, next: None },
                "33016e0173010100",
            ),
            (ScheduleFact::Deleted { name: name(), at_ms: 1 }, "34016e017301"),
            (
                ran(RunOutcome::Sent(MessageId(5))),
                "35016e01730102010005000000000000000000000000000000 03 01ac02ad02",
            ),
            (
                ran(RunOutcome::Overlapped(MessageId(5))),
                "35016e01730102010105000000000000000000000000000000 03 01ac02ad02",
            ),
            (ran(RunOutcome::Failed("f".into())), "35016e01730102010201660301ac02ad02"),
            (
                ScheduleFact::Missed { name: name(), at_ms: 1, missed: 300, next },
                "36016e017301ac0201ac02ad02",
            ),
        ]
    }

    /// These bytes are on disks: this test may get new rows, never changed ones.
    #[test]
    fn golden_bytes() {
        for (effect, golden) in samples() {
            let mut effects = Effects::default();
            effects.push(effect);
            let hex: String = effects.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, golden.replace(' ', ""), "{effects:?}");
            assert_eq!(Effects::decode(effects.bytes()).unwrap().list, effects.list);
            for end in 1..effects.bytes().len() {
                assert!(Effects::decode(&effects.bytes()[..end]).is_err(), "cut at {end}");
            }
        }
    }

    #[test]
    fn a_schedule_survives_its_snapshot_form() {
        for config in configs() {
            let info = ScheduleInfo {
                id: 1,
                name: name(),
                config,
                version: 2,
                paused: true,
                created_at_ms: 3,
                modified_at_ms: 4,
                next: Some(NextRun { due_ms: 5, at_ms: 6 }),
                last: Some(run(RunOutcome::Failed("f".into()))),
                totals: ScheduleTotals { sent: 7, missed: 8, overlapped: 9, failed: 10 },
            };
            let mut out = Vec::new();
            encode_schedule(&info, &mut out);
            let mut reader = Reader::new(out.into());
            assert_eq!(decode_schedule(&mut reader), Ok(info));
            assert_eq!(reader.remaining(), 0);
        }
    }
}
