//! Schedules: create, change, pause, run now; and the times that a rule names.

use std::sync::Arc;

use kyu_cron::{Cron, Zone};
use kyu_model::limits::{
    MAX_CATCH_UP, MAX_CONFIG_BYTES, MAX_INTERVAL_MS, MAX_JITTER_MS, MAX_KEY_BYTES, MAX_PREVIEW,
    MAX_SCHEDULE_BYTES, MAX_SCHEDULE_CONTENT_BYTES, MAX_SCHEDULES, MAX_TICK_RUNS, MIN_INTERVAL_MS,
};
use kyu_model::{
    BackfillSchedule, Backfilled, CatchUp, Context, CreateSchedule, NextRun, OverlapPolicy,
    QueueName, Refusal, Reply, ScheduleAnswer, ScheduleCommand, ScheduleConfig, ScheduleInfo,
    ScheduleQuery, ScheduleRefusal, ScheduleReply, ScheduleRule, ScheduleTarget, ScheduleTotals,
    UnixMs, UpdateSchedule,
};

use crate::decision::{Wait, Wrapped};
use crate::effect::Effects;
use crate::schedule::decide::fire;
use crate::schedule::record::ScheduleFact;
use crate::state::State;

pub(crate) fn decide(
    state: &State,
    command: &ScheduleCommand,
    ctx: &Context,
    effects: &mut Effects,
) -> Wrapped {
    let reply = match command {
        ScheduleCommand::Create(c) => create(state, c, ctx, effects)?,
        ScheduleCommand::Update(c) => update(state, c, ctx, effects)?,
        ScheduleCommand::Delete(name) => {
            find(state, name)?;
            let (name, at_ms) = (name.clone(), ctx.now_ms);
            push(effects, ScheduleFact::Deleted { name, at_ms });
            ScheduleReply::Deleted
        }
        ScheduleCommand::Pause(name) => pause(state, name, true, ctx, effects)?,
        ScheduleCommand::Resume(name) => pause(state, name, false, ctx, effects)?,
        ScheduleCommand::RunNow(name) => {
            ScheduleReply::Ran(fire::now(state, find(state, name)?, ctx, effects))
        }
        ScheduleCommand::Backfill(c) => backfill(state, c, ctx, effects)?,
    };
    Ok((Reply::Schedule(reply), Wait::Record))
}

fn create(
    state: &State,
    c: &CreateSchedule,
    ctx: &Context,
    effects: &mut Effects,
) -> Result<ScheduleReply, Refusal> {
    if let Some(there) = state.schedules.by_name.get(&c.name) {
        return Err(Refusal::Schedule(ScheduleRefusal::Exists(there.clone())));
    }
    if c.name.name.is_empty()
        || c.name.name.len() > MAX_KEY_BYTES
        || c.name.namespace.len() > MAX_KEY_BYTES
    {
        return Err(invalid("the name is empty or too long"));
    }
    if state.schedules.by_name.len() >= MAX_SCHEDULES {
        return Err(Refusal::LimitExceeded("schedules"));
    }
    let config = checked(state, &c.config, ctx)?;
    let id = *state.last_schedule + 1;
    let next = if c.paused { None } else { next_run(&config, id, ctx.wall_ms) };
    push(
        effects,
        ScheduleFact::Created {
            name: c.name.clone(),
            id,
            at_ms: ctx.now_ms,
            config: Box::new(config.clone()),
            paused: c.paused,
            next,
        },
    );
    Ok(ScheduleReply::Created(Arc::new(ScheduleInfo {
        id,
        name: c.name.clone(),
        config,
        version: 1,
        paused: c.paused,
        created_at_ms: ctx.now_ms,
        modified_at_ms: ctx.now_ms,
        next,
        last: None,
        totals: ScheduleTotals::default(),
    })))
}

fn update(
    state: &State,
    c: &UpdateSchedule,
    ctx: &Context,
    effects: &mut Effects,
) -> Result<ScheduleReply, Refusal> {
    let mut info = ScheduleInfo::clone(find(state, &c.name)?);
    if info.version != c.expected_version {
        return Err(Refusal::VersionConflict);
    }
    info.config = checked(state, &c.config, ctx)?;
    info.version += 1;
    info.modified_at_ms = ctx.now_ms;
    info.next = if info.paused { None } else { next_run(&info.config, info.id, ctx.wall_ms) };
    let config = Box::new(info.config.clone());
    let (name, at_ms, next) = (c.name.clone(), ctx.now_ms, info.next);
    push(effects, ScheduleFact::Configured { name, at_ms, config, next });
    Ok(ScheduleReply::Changed(Arc::new(info)))
}

fn pause(
    state: &State,
    name: &QueueName,
    paused: bool,
    ctx: &Context,
    effects: &mut Effects,
) -> Result<ScheduleReply, Refusal> {
    let info = find(state, name)?;
    if info.paused == paused {
        return Ok(ScheduleReply::Changed(info.clone()));
    }
    let mut info = ScheduleInfo::clone(info);
    info.paused = paused;
    info.modified_at_ms = ctx.now_ms;
    info.next = if paused { None } else { next_run(&info.config, info.id, ctx.wall_ms) };
    let (name, at_ms, next) = (name.clone(), ctx.now_ms, info.next);
    push(effects, ScheduleFact::Paused { name, at_ms, paused, next });
    Ok(ScheduleReply::Changed(Arc::new(info)))
}

fn backfill(
    state: &State,
    c: &BackfillSchedule,
    ctx: &Context,
    effects: &mut Effects,
) -> Result<ScheduleReply, Refusal> {
    let mut info = ScheduleInfo::clone(find(state, &c.name)?);
    if c.from_ms >= c.until_ms {
        return Err(invalid("the time to fill ends before it begins"));
    }
    if c.until_ms > ctx.wall_ms.saturating_add(1) {
        return Err(invalid("the time to fill is not past: runs to come happen by themselves"));
    }
    info.config.overlap = c.overlap.unwrap_or(info.config.overlap);
    check_overlap(&info.config)?;
    let max = (c.max as usize).min(MAX_TICK_RUNS);
    let span = (c.from_ms, c.until_ms);
    let (runs, next_from_ms) = fire::backfill(state, &info, span, max, ctx, effects);
    Ok(ScheduleReply::Backfilled(Backfilled { runs, next_from_ms }))
}

fn find<'a>(state: &'a State, name: &QueueName) -> Result<&'a Arc<ScheduleInfo>, Refusal> {
    let not_found = Refusal::Schedule(ScheduleRefusal::NotFound);
    state.schedules.by_name.get(name).ok_or(not_found)
}

fn invalid(why: impl Into<String>) -> Refusal {
    Refusal::Schedule(ScheduleRefusal::Invalid(why.into()))
}

/// Checks settings, and returns them with the anchor filled in.
fn checked(
    state: &State,
    config: &ScheduleConfig,
    ctx: &Context,
) -> Result<ScheduleConfig, Refusal> {
    let mut config = config.clone();
    check_rule(&mut config, ctx.wall_ms)?;
    let message = &config.message;
    if message.content.len() > MAX_SCHEDULE_CONTENT_BYTES {
        return Err(invalid(format!(
            "the message has more than {MAX_SCHEDULE_CONTENT_BYTES} bytes"
        )));
    }
    if message.lane.as_ref().is_some_and(|lane| lane.is_empty() || lane.len() > MAX_KEY_BYTES) {
        return Err(invalid("the lane is empty or too long"));
    }
    check_overlap(&config)?;
    if matches!(config.catch_up, CatchUp::All { max } if max == 0 || max > MAX_CATCH_UP) {
        return Err(invalid(format!("from 1 to {MAX_CATCH_UP} runs can be caught up")));
    }
    let attributes = config.attributes.iter().map(|(key, value)| key.len() + value.len());
    if attributes.sum::<usize>() > MAX_CONFIG_BYTES {
        return Err(invalid("the attributes are too long"));
    }
    if state.schedules.bytes() + config.message.content.len() as u64 > MAX_SCHEDULE_BYTES {
        return Err(Refusal::LimitExceeded("bytes of the messages of schedules"));
    }
    // What is in memory must not keep a door's whole buffer there.
    config.message.content = bytes::Bytes::copy_from_slice(&config.message.content);
    Ok(config)
}

fn check_overlap(config: &ScheduleConfig) -> Result<(), Refusal> {
    let to_exchange = matches!(config.target, ScheduleTarget::Exchange(_));
    if to_exchange && config.overlap != OverlapPolicy::Allow {
        return Err(invalid("what is published to an exchange may always overlap"));
    }
    Ok(())
}

fn check_rule(config: &mut ScheduleConfig, now_ms: UnixMs) -> Result<(), Refusal> {
    let mut most_jitter_ms = MAX_JITTER_MS;
    match &mut config.rule {
        ScheduleRule::Cron { expression, time_zone } => {
            Cron::parse(expression).map_err(|error| invalid(error.to_string()))?;
            if Zone::named(time_zone).is_none() {
                return Err(invalid(format!(
                    "{time_zone:?} is no time zone of the IANA database {}",
                    kyu_cron::RULES_VERSION
                )));
            }
        }
        ScheduleRule::Every { interval_ms, anchor_ms } => {
            if !(MIN_INTERVAL_MS..=MAX_INTERVAL_MS).contains(interval_ms) {
                return Err(invalid(format!(
                    "the interval is not from {MIN_INTERVAL_MS} to {MAX_INTERVAL_MS} milliseconds"
                )));
            }
            anchor_ms.get_or_insert(now_ms);
            most_jitter_ms = most_jitter_ms.min(*interval_ms);
        }
    }
    if config.jitter_ms > most_jitter_ms {
        return Err(invalid(format!("the jitter is more than {most_jitter_ms} milliseconds")));
    }
    if let (Some(from_ms), Some(until_ms)) = (config.from_ms, config.until_ms)
        && from_ms >= until_ms
    {
        return Err(invalid("it ends before it begins"));
    }
    Ok(())
}

/// The first run due after a time.
pub(crate) fn next_run(config: &ScheduleConfig, id: u64, after_ms: UnixMs) -> Option<NextRun> {
    Times::of(config)?.next(config, id, after_ms)
}

/// A rule, read.
pub(crate) enum Times {
    Cron(Cron, Zone),
    Every { interval_ms: u64, anchor_ms: UnixMs },
}

impl Times {
    /// Reads the rule of a schedule; `None` for a rule that this version does not understand, which
    /// no schedule that it created has.
    pub(crate) fn of(config: &ScheduleConfig) -> Option<Self> {
        Some(match &config.rule {
            ScheduleRule::Cron { expression, time_zone } => {
                Self::Cron(Cron::parse(expression).ok()?, Zone::named(time_zone)?)
            }
            ScheduleRule::Every { interval_ms, anchor_ms } => {
                Self::Every { interval_ms: (*interval_ms).max(1), anchor_ms: (*anchor_ms)? }
            }
        })
    }

    /// The first run due at a time or later.
    pub(crate) fn next_from(
        &self,
        config: &ScheduleConfig,
        id: u64,
        from_ms: UnixMs,
    ) -> Option<NextRun> {
        match from_ms.checked_sub(1) {
            Some(before_ms) => self.next(config, id, before_ms),
            None => self.next(config, id, 0),
        }
    }

    /// The first run due after a time.
    pub(crate) fn next(
        &self,
        config: &ScheduleConfig,
        id: u64,
        after_ms: UnixMs,
    ) -> Option<NextRun> {
        let not_before_ms = config.from_ms.map_or(0, |from_ms| from_ms.saturating_sub(1));
        let after_ms = after_ms.max(not_before_ms);
        let due_ms = match self {
            Self::Cron(cron, zone) => cron.next_after(after_ms, zone)?,
            Self::Every { interval_ms, anchor_ms } => match after_ms.checked_sub(*anchor_ms) {
                None => *anchor_ms,
                Some(since_ms) => {
                    let runs = since_ms / interval_ms + 1;
                    anchor_ms.checked_add(runs.checked_mul(*interval_ms)?)?
                }
            },
        };
        if config.until_ms.is_some_and(|until_ms| due_ms >= until_ms) {
            return None;
        }
        Some(with_jitter(config, id, due_ms))
    }
}

pub(crate) fn with_jitter(config: &ScheduleConfig, id: u64, due_ms: UnixMs) -> NextRun {
    NextRun { due_ms, at_ms: due_ms.saturating_add(jitter_of(id, due_ms, config.jitter_ms)) }
}

/// A run's share of the jitter: the same whenever it is asked for (splitmix64).
fn jitter_of(id: u64, due_ms: UnixMs, jitter_ms: u64) -> u64 {
    if jitter_ms == 0 {
        return 0;
    }
    let z = id.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(due_ms);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) % (jitter_ms + 1)
}

pub(crate) fn push(effects: &mut Effects, effect: ScheduleFact) {
    effects.push(effect);
}

pub(crate) fn answer(state: &State, query: &ScheduleQuery) -> Result<ScheduleAnswer, Refusal> {
    Ok(match query {
        ScheduleQuery::Get(name) => {
            ScheduleAnswer::Schedule(state.schedules.by_name.get(name).cloned())
        }
        ScheduleQuery::List { namespace, after, max } => {
            ScheduleAnswer::Schedules(state.schedules.list(namespace, after.as_deref(), *max))
        }
        ScheduleQuery::Preview { config, after_ms, max } => {
            let mut config = ScheduleConfig::clone(config);
            check_rule(&mut config, *after_ms)?;
            config.jitter_ms = 0;
            ScheduleAnswer::Runs(runs(&config, 0, next_run(&config, 0, *after_ms), *max))
        }
        ScheduleQuery::NextRuns { name, max } => {
            let info = find(state, name)?;
            ScheduleAnswer::Runs(runs(&info.config, info.id, info.next, *max))
        }
    })
}

/// A run and those after it.
fn runs(config: &ScheduleConfig, id: u64, first: Option<NextRun>, max: usize) -> Vec<NextRun> {
    let Some(times) = Times::of(config) else { return Vec::new() };
    let runs = std::iter::successors(first, |run| times.next(config, id, run.due_ms));
    runs.take(max.min(MAX_PREVIEW)).collect()
}
