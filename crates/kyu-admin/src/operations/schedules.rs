//! Schedules: list, get, put, delete, pause, resume, run, and what they will do.

use std::sync::Arc;

use hyper::StatusCode;
use kyu_broker::{
    Ask, BackfillSchedule, Content, CreateSchedule, DeleteSchedule, ListSchedules, MessageTemplate,
    NextRunsOf, PauseSchedule, PreviewRuns, QueueName, Refusal, ResumeSchedule, RunSchedule,
    ScheduleConfig, ScheduleInfo, ScheduleNamed, ScheduleRefusal, UpdateSchedule,
};

use crate::api::{
    Backfill, Backfilled, CatchUp, InNamespace, NextRun, NextRuns, OverlapPolicy, Page, RunOutcome,
    RunsPreview, RunsQuery, Schedule, SchedulePage, ScheduleRule, ScheduleRun, ScheduleSettings,
    ScheduleTarget, ScheduleTotals, ScheduledMessage,
};
use crate::call::{Call, after, check_name, cursor, list_size, page_size, within};
use crate::content::{Payload, show_attributes, text_or_base64};
use crate::limits::{DEFAULT_RUNS, MAX_BACKFILLED, MAX_ITEMS, MAX_SPAN_MS, MAX_TIME_MS, MAX_TRIES};
use crate::operation::{Done, Empty, Patch, Settings};
use crate::problem::{Code, Problem};

pub(super) async fn list(
    call: &Call<'_>,
    query: Page,
    _body: Empty,
) -> Result<Done<SchedulePage>, Problem> {
    let size = list_size(query.limit)?;
    let namespace = call.namespace(query.namespace);
    let after = after(query.cursor.as_deref())?;
    let max = (size + 1).min(MAX_ITEMS);
    let mut found = call.broker.look_up(ListSchedules { namespace, after, max }).await?;
    let more = found.len() > size || (size == MAX_ITEMS && found.len() == size);
    found.truncate(size);
    let next_cursor = found.last().filter(|_| more).map(|last| cursor(&last.name.name));
    let items = found.iter().map(|info| show(info)).collect::<Result<_, _>>()?;
    Ok(SchedulePage { items, next_cursor }.into())
}

pub(super) async fn get(
    call: &Call<'_>,
    query: InNamespace,
    _body: Empty,
) -> Result<Done<Schedule>, Problem> {
    let found = find(call, &name(call, query)).await?;
    let info = found.ok_or(Problem::of(Code::ScheduleNotFound))?;
    done(&info, StatusCode::OK)
}

pub(super) async fn put(
    call: &Call<'_>,
    query: InNamespace,
    Settings(settings): Settings<ScheduleSettings>,
) -> Result<Done<Schedule>, Problem> {
    let name = name(call, query);
    check_name(&name.name)?;
    let config = config(call, &name.namespace, settings)?;
    let conditions = call.conditions()?;
    for _ in 0..MAX_TRIES {
        let existing = find(call, &name).await?;
        let current = existing.as_deref().map(etag);
        conditions.check(current.as_deref(), Code::ScheduleExists)?;
        let outcome = match existing {
            Some(info) => configure(call, &info, config.clone()).await?,
            None => {
                let (name, config) = (name.clone(), config.clone());
                let create = CreateSchedule { name, config, paused: false };
                change(call, create).await?
            }
        };
        if let Some(info) = outcome {
            let created = info.version == 1 && current.is_none();
            return done(&info, if created { StatusCode::CREATED } else { StatusCode::OK });
        }
    }
    Err(Problem::of(Code::VersionConflict))
}

pub(super) async fn patch(
    call: &Call<'_>,
    query: InNamespace,
    patch: Patch<ScheduleSettings>,
) -> Result<Done<Schedule>, Problem> {
    let name = name(call, query);
    let conditions = call.conditions()?;
    for _ in 0..MAX_TRIES {
        let info = find(call, &name).await?.ok_or(Problem::of(Code::ScheduleNotFound))?;
        conditions.check(Some(&etag(&info)), Code::ScheduleExists)?;
        let settings = patch.apply(&show_settings(&info.config)?)?;
        let config = config(call, &name.namespace, settings)?;
        if let Some(info) = configure(call, &info, config).await? {
            return done(&info, StatusCode::OK);
        }
    }
    Err(Problem::of(Code::VersionConflict))
}

/// Gives a schedule these settings; `None` if somebody else was faster.
async fn configure(
    call: &Call<'_>,
    info: &Arc<ScheduleInfo>,
    mut config: ScheduleConfig,
) -> Result<Option<Arc<ScheduleInfo>>, Problem> {
    keep_anchor(&info.config, &mut config);
    config.attributes = info.config.attributes.clone();
    if config == info.config {
        // Nothing changes: saying it again is no new version.
        return Ok(Some(Arc::clone(info)));
    }
    let (name, expected_version) = (info.name.clone(), info.version);
    change(call, UpdateSchedule { name, config, expected_version }).await
}

/// Creates or changes a schedule; `None` if somebody else was faster.
async fn change(
    call: &Call<'_>,
    command: impl Ask<Reply = Arc<ScheduleInfo>>,
) -> Result<Option<Arc<ScheduleInfo>>, Problem> {
    match call.broker.ask(command).await {
        Ok(info) => Ok(Some(info)),
        Err(kyu_broker::Error::Refused(
            Refusal::Schedule(ScheduleRefusal::Exists(_)) | Refusal::VersionConflict,
        )) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The same interval said again without an anchor keeps its row.
fn keep_anchor(old: &ScheduleConfig, new: &mut ScheduleConfig) {
    use kyu_broker::ScheduleRule::Every;
    if let (Every { interval_ms, anchor_ms }, Every { interval_ms: same, anchor_ms: none }) =
        (&old.rule, &mut new.rule)
        && interval_ms == same
        && none.is_none()
    {
        *none = *anchor_ms;
    }
}

pub(super) async fn delete(
    call: &Call<'_>,
    query: InNamespace,
    _body: Empty,
) -> Result<Done<()>, Problem> {
    let name = name(call, query);
    let info = find(call, &name).await?.ok_or(Problem::of(Code::ScheduleNotFound))?;
    call.conditions()?.check(Some(&etag(&info)), Code::ScheduleExists)?;
    call.broker.ask(DeleteSchedule(name)).await?;
    Ok(().into())
}

pub(super) async fn pause(
    call: &Call<'_>,
    query: InNamespace,
    _body: Empty,
) -> Result<Done<Schedule>, Problem> {
    let info = call.broker.ask(PauseSchedule(name(call, query))).await?;
    done(&info, StatusCode::OK)
}

pub(super) async fn resume(
    call: &Call<'_>,
    query: InNamespace,
    _body: Empty,
) -> Result<Done<Schedule>, Problem> {
    let info = call.broker.ask(ResumeSchedule(name(call, query))).await?;
    done(&info, StatusCode::OK)
}

pub(super) async fn run(
    call: &Call<'_>,
    query: InNamespace,
    _body: Empty,
) -> Result<Done<ScheduleRun>, Problem> {
    let run = call.broker.ask(RunSchedule(name(call, query))).await?;
    Ok(show_run(run).into())
}

pub(super) async fn backfill(
    call: &Call<'_>,
    query: InNamespace,
    Settings(fill): Settings<Backfill>,
) -> Result<Done<Backfilled>, Problem> {
    let name = name(call, query);
    let until_ms = fill.until_at_ms.unwrap_or_else(|| call.broker.wall_ms());
    let most = page_size(fill.limit, MAX_BACKFILLED)?;
    let (mut runs, mut next_from_ms) = (Vec::new(), Some(fill.from_at_ms));
    while let Some(from_ms) = next_from_ms
        && runs.len() < most
    {
        let overlap = fill.overlap.map(Into::into);
        let (name, max) = (name.clone(), u32::try_from(most - runs.len()).unwrap_or(u32::MAX));
        let command = BackfillSchedule { name, from_ms, until_ms, overlap, max };
        let filled = call.broker.ask(command).await?;
        runs.extend(filled.runs.into_iter().map(show_run));
        next_from_ms = filled.next_from_ms;
    }
    Ok(Backfilled { runs, next_from_at_ms: next_from_ms }.into())
}

pub(super) async fn next_runs(
    call: &Call<'_>,
    query: RunsQuery,
    _body: Empty,
) -> Result<Done<NextRuns>, Problem> {
    let max = page_size(query.limit, DEFAULT_RUNS)?;
    let name = call.name(query.namespace, call.parameter(0));
    let info = find(call, &name).await?.ok_or(Problem::of(Code::ScheduleNotFound))?;
    let runs = call.broker.look_up(NextRunsOf { name, max }).await?;
    Ok(show_runs(runs, &info.config.rule))
}

pub(super) async fn preview(
    call: &Call<'_>,
    query: RunsQuery,
    Settings(preview): Settings<RunsPreview>,
) -> Result<Done<NextRuns>, Problem> {
    let max = page_size(query.limit, DEFAULT_RUNS)?;
    let namespace = call.namespace(query.namespace);
    let config = config(call, &namespace, preview.settings)?;
    let after_ms = preview.after_at_ms.unwrap_or_else(|| call.broker.wall_ms());
    within("/after_at_ms", after_ms, 0..=MAX_TIME_MS)?;
    let rule = config.rule.clone();
    let runs = call.broker.look_up(PreviewRuns { config, after_ms, max }).await?;
    Ok(show_runs(runs, &rule))
}

fn show_runs(runs: Vec<kyu_broker::NextRun>, rule: &kyu_broker::ScheduleRule) -> Done<NextRuns> {
    let time_zone = match rule {
        kyu_broker::ScheduleRule::Cron { time_zone, .. } => Some(time_zone.clone()),
        kyu_broker::ScheduleRule::Every { .. } => None,
    };
    NextRuns { items: runs.into_iter().map(show_next).collect(), time_zone }.into()
}

fn name(call: &Call<'_>, query: InNamespace) -> QueueName {
    call.name(query.namespace, call.parameter(0))
}

async fn find(call: &Call<'_>, name: &QueueName) -> Result<Option<Arc<ScheduleInfo>>, Problem> {
    Ok(call.broker.look_up(ScheduleNamed(name.clone())).await?)
}

/// Checks settings and makes what the engine gets.
fn config(
    call: &Call<'_>,
    namespace: &str,
    settings: ScheduleSettings,
) -> Result<ScheduleConfig, Problem> {
    let named = |name: String| QueueName { namespace: namespace.to_owned(), name };
    let rule = match settings.rule {
        ScheduleRule::Cron { expression, time_zone } => {
            kyu_broker::ScheduleRule::Cron { expression, time_zone }
        }
        ScheduleRule::Every { interval_ms, anchor_at_ms } => {
            kyu_broker::ScheduleRule::Every { interval_ms, anchor_ms: anchor_at_ms }
        }
    };
    within("/from_at_ms", settings.from_at_ms, 0..=MAX_TIME_MS)?;
    within("/until_at_ms", settings.until_at_ms, 0..=MAX_TIME_MS)?;
    let target = match settings.target {
        ScheduleTarget::Queue(name) => kyu_broker::ScheduleTarget::Queue(named(name)),
        ScheduleTarget::Exchange(name) => kyu_broker::ScheduleTarget::Exchange(named(name)),
    };
    let message = template(call, settings.message).map_err(|problem| problem.below("/message"))?;
    Ok(ScheduleConfig {
        jitter_ms: settings.jitter_ms,
        catch_up: match settings.catch_up {
            CatchUp::Skip { grace_ms } => kyu_broker::CatchUp::Skip { grace_ms },
            CatchUp::One => kyu_broker::CatchUp::One,
            CatchUp::All { max } => kyu_broker::CatchUp::All { max },
        },
        overlap: settings.overlap.into(),
        from_ms: settings.from_at_ms,
        until_ms: settings.until_at_ms,
        ..ScheduleConfig::new(rule, target, message)
    })
}

fn template(call: &Call<'_>, message: ScheduledMessage) -> Result<MessageTemplate, Problem> {
    let ScheduledMessage { body, body_base64, attributes, .. } = message;
    let body = body.or_else(|| body_base64.is_none().then(String::new));
    let payload = Payload::read(body, body_base64, attributes, call)?;
    within("/delay_ms", message.delay_ms, 0..=MAX_SPAN_MS)?;
    within("/expires_after_ms", message.expires_after_ms, 0..=MAX_SPAN_MS)?;
    Ok(MessageTemplate {
        size_bytes: u32::try_from(payload.size_bytes).unwrap_or(u32::MAX),
        content: payload.content.encode(),
        lane: message.lane,
        priority: message.priority,
        delay_ms: message.delay_ms,
        expires_after_ms: message.expires_after_ms,
    })
}

fn etag(info: &ScheduleInfo) -> String {
    format!("{}-{}", info.id, info.version)
}

fn done(info: &ScheduleInfo, status: StatusCode) -> Result<Done<Schedule>, Problem> {
    Ok(Done { status: Some(status), etag: Some(etag(info)), ..show(info)?.into() })
}

fn show(info: &ScheduleInfo) -> Result<Schedule, Problem> {
    let totals = &info.totals;
    Ok(Schedule {
        name: info.name.name.clone(),
        namespace: info.name.namespace.clone(),
        id: info.id,
        version: info.version,
        etag: etag(info),
        paused: info.paused,
        created_at_ms: info.created_at_ms,
        modified_at_ms: info.modified_at_ms,
        settings: show_settings(&info.config)?,
        next: info.next.map(show_next),
        last: info.last.clone().map(show_run),
        totals: ScheduleTotals {
            sent: totals.sent,
            missed: totals.missed,
            overlapped: totals.overlapped,
            failed: totals.failed,
        },
    })
}

fn show_settings(config: &ScheduleConfig) -> Result<ScheduleSettings, Problem> {
    let message = &config.message;
    let content = Content::decode(message.content.clone()).map_err(|_| Problem::internal())?;
    let (body, body_base64) = text_or_base64(&content.body);
    Ok(ScheduleSettings {
        rule: match &config.rule {
            kyu_broker::ScheduleRule::Cron { expression, time_zone } => {
                ScheduleRule::Cron { expression: expression.clone(), time_zone: time_zone.clone() }
            }
            kyu_broker::ScheduleRule::Every { interval_ms, anchor_ms } => {
                ScheduleRule::Every { interval_ms: *interval_ms, anchor_at_ms: *anchor_ms }
            }
        },
        target: match &config.target {
            kyu_broker::ScheduleTarget::Queue(name) => ScheduleTarget::Queue(name.name.clone()),
            kyu_broker::ScheduleTarget::Exchange(name) => {
                ScheduleTarget::Exchange(name.name.clone())
            }
        },
        message: ScheduledMessage {
            body,
            body_base64,
            attributes: show_attributes(content.attributes),
            lane: message.lane.clone(),
            priority: message.priority,
            delay_ms: message.delay_ms,
            expires_after_ms: message.expires_after_ms,
        },
        jitter_ms: config.jitter_ms,
        catch_up: match config.catch_up {
            kyu_broker::CatchUp::Skip { grace_ms } => CatchUp::Skip { grace_ms },
            kyu_broker::CatchUp::One => CatchUp::One,
            kyu_broker::CatchUp::All { max } => CatchUp::All { max },
        },
        overlap: config.overlap.into(),
        from_at_ms: config.from_ms,
        until_at_ms: config.until_ms,
    })
}

fn show_next(run: kyu_broker::NextRun) -> NextRun {
    NextRun { due_at_ms: run.due_ms, run_at_ms: run.at_ms }
}

fn show_run(run: kyu_broker::ScheduleRun) -> ScheduleRun {
    let (outcome, message_id, failure) = match run.outcome {
        kyu_broker::RunOutcome::Sent(id) => (RunOutcome::Sent, Some(id), None),
        kyu_broker::RunOutcome::Overlapped(id) => (RunOutcome::Overlapped, Some(id), None),
        kyu_broker::RunOutcome::Failed(why) => (RunOutcome::Failed, None, Some(why)),
    };
    ScheduleRun {
        due_at_ms: run.due_ms,
        run_at_ms: run.at_ms,
        manual: run.manual,
        outcome,
        message_id: message_id.map(|id| id.to_string()),
        failure,
    }
}

kyu_settings::same_words! {
    OverlapPolicy { Allow, Skip, Replace }
}
