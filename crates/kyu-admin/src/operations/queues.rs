//! Queues: list, get, put, patch, delete, purge, counts.

use std::sync::Arc;

use hyper::StatusCode;
use kyu_broker::{
    ConfigureQueue, CreateQueue, DeadLetterSourcesOf, DeleteQueue, ExpiredTo, PurgeQueue,
    QueueConfig, QueueId, QueueInfo, QueueName, Refusal, StatsOf, TotalsOf,
};

use crate::api::{
    DeletedQueue, InNamespace, ListQueues, Purged, Queue, QueueNames, QueuePage, QueueSettings,
    QueueStatistics, QueueStats,
};
use crate::call::{Call, after, check_name, cursor, list_size};
use crate::limits::MAX_TRIES;
use crate::operation::{Done, Empty, Patch, Settings};
use crate::problem::{Code, Problem};

pub(super) async fn list(
    call: &Call<'_>,
    query: ListQueues,
    _body: Empty,
) -> Result<Done<QueuePage>, Problem> {
    let size = list_size(query.limit)?;
    let after = after(query.cursor.as_deref())?;
    let namespace = call.namespace(query.namespace);
    let prefix = query.prefix.unwrap_or_default();
    let directory = call.broker.directory();
    let mut found = directory.page(&namespace, &prefix, after.as_deref(), size + 1);
    let more = found.len() > size;
    found.truncate(size);
    let last = found.last().filter(|_| more);
    let next_cursor = last.map(|queue| cursor(&queue.name.name));
    let mut items = Vec::with_capacity(found.len());
    for info in found {
        let stats = if query.stats.unwrap_or(true) {
            match stats_of(call, info.id).await {
                Ok(stats) => Some(stats),
                // Deleted in this moment: a list does not fail for that.
                Err(problem) if problem.code == Code::QueueNotFound => continue,
                Err(problem) => return Err(problem),
            }
        } else {
            None
        };
        items.push(show(&info, stats));
    }
    Ok(QueuePage { items, next_cursor }.into())
}

pub(super) async fn get(
    call: &Call<'_>,
    query: InNamespace,
    _body: Empty,
) -> Result<Done<Queue>, Problem> {
    let info = call.queue(query.namespace)?;
    let stats = stats_of(call, info.id).await?;
    Ok(done(call, &info, Some(stats), StatusCode::OK))
}

pub(super) async fn put(
    call: &Call<'_>,
    query: InNamespace,
    Settings(settings): Settings<QueueSettings>,
) -> Result<Done<Queue>, Problem> {
    let name = call.name(query.namespace, call.parameter(0));
    check_name(&name.name)?;
    let conditions = call.conditions()?;
    for _ in 0..MAX_TRIES {
        let existing = call.broker.directory().by_name(&name);
        let current = existing.as_deref().map(etag);
        conditions.check(current.as_deref(), Code::QueueExists)?;
        let outcome = match existing {
            Some(info) => {
                configure(call, &info, settings.clone()).await.map(|info| (info, StatusCode::OK))
            }
            None => {
                create(call, &name, settings.clone()).await.map(|info| (info, StatusCode::CREATED))
            }
        };
        match outcome {
            Ok((info, status)) => {
                // A new queue is in the directory by now, and its counts are there to be asked.
                let stats = stats_of(call, info.id).await?;
                return Ok(done(call, &info, Some(stats), status));
            }
            // Somebody else was faster: look again, and let the caller's conditions decide.
            Err(problem) if was_outrun(&problem) => {}
            Err(problem) => return Err(problem),
        }
    }
    Err(Problem::of(Code::VersionConflict))
}

pub(super) async fn patch(
    call: &Call<'_>,
    query: InNamespace,
    patch: Patch<QueueSettings>,
) -> Result<Done<Queue>, Problem> {
    let name = call.name(query.namespace, call.parameter(0));
    let conditions = call.conditions()?;
    for _ in 0..MAX_TRIES {
        let info = call.queue_named(&name)?;
        conditions.check(Some(&etag(&info)), Code::QueueExists)?;
        let settings = patch.apply(&kyu_settings::of(&info.config))?;
        match configure(call, &info, settings).await {
            Ok(info) => {
                let stats = stats_of(call, info.id).await?;
                return Ok(done(call, &info, Some(stats), StatusCode::OK));
            }
            Err(problem) if was_outrun(&problem) => {}
            Err(problem) => return Err(problem),
        }
    }
    Err(Problem::of(Code::VersionConflict))
}

/// Tells whether somebody else created or changed the queue between the look and the act.
fn was_outrun(problem: &Problem) -> bool {
    matches!(problem.code, Code::QueueExists | Code::VersionConflict)
}

fn apply(
    settings: QueueSettings,
    name: &QueueName,
    config: &mut QueueConfig,
) -> Result<(), Problem> {
    let applied = kyu_settings::apply(settings, &name.namespace, config);
    let applied = applied.and_then(|()| kyu_settings::check_targets(name, config));
    applied.map_err(|what| Problem::new(Code::InvalidSetting, what))
}

async fn create(
    call: &Call<'_>,
    name: &QueueName,
    settings: QueueSettings,
) -> Result<Arc<QueueInfo>, Problem> {
    let mut config = Box::new(QueueConfig::default());
    apply(settings, name, &mut config)?;
    let create = CreateQueue { name: name.clone(), config, name_reuse_wait_ms: 0 };
    Ok(call.broker.ask(create).await?)
}

async fn configure(
    call: &Call<'_>,
    info: &QueueInfo,
    settings: QueueSettings,
) -> Result<Arc<QueueInfo>, Problem> {
    let mut config = Box::new(info.config.clone());
    apply(settings, &info.name, &mut config)?;
    if *config == info.config {
        // Nothing changes: saying it again is no new version.
        return Ok(Arc::new(info.clone()));
    }
    let (queue, expected_version) = (info.id, info.version);
    let configure = ConfigureQueue { queue, config, expected_version };
    Ok(call.broker.ask(configure).await?)
}

pub(super) async fn delete(
    call: &Call<'_>,
    query: InNamespace,
    _body: Empty,
) -> Result<Done<DeletedQueue>, Problem> {
    let info = call.queue(query.namespace)?;
    call.conditions()?.check(Some(&etag(&info)), Code::QueueExists)?;
    match call.broker.ask(DeleteQueue { queue: info.id }).await {
        Ok(()) => {
            let warnings = warnings_of_end(call, &info);
            let status = (!warnings.is_empty()).then_some(StatusCode::OK);
            Ok(Done { status, ..DeletedQueue { warnings }.into() })
        }
        Err(kyu_broker::Error::Refused(Refusal::QueueNotFound)) => {
            Err(Problem::of(Code::QueueNotFound))
        }
        Err(error) => Err(error.into()),
    }
}

/// The warnings about a queue that is gone now.
fn warnings_of_end(call: &Call<'_>, info: &QueueInfo) -> Vec<String> {
    let sources = call.broker.directory().dead_letter_sources(&info.name, MAX_NAMED + 1);
    let sources = sources.iter().filter(|source| source.id != info.id);
    let names: Vec<&str> = sources.map(|source| source.name.name.as_str()).collect();
    if names.is_empty() {
        return Vec::new();
    }
    let more = if names.len() > MAX_NAMED { " and others" } else { "" };
    let names = names.get(..MAX_NAMED).unwrap_or(&names).join(", ");
    vec![format!(
        "This was the dead-letter queue of {names}{more}. Until a queue of this name is there \
         again, their messages that are received too often stay, and those that are rejected are \
         kept as dead."
    )]
}

pub(super) async fn purge(
    call: &Call<'_>,
    query: InNamespace,
    _body: Empty,
) -> Result<Done<Purged>, Problem> {
    let queue = call.queue(query.namespace)?.id;
    let purged_messages = call.broker.ask(PurgeQueue { queue, cooldown_ms: 0 }).await?;
    Ok(Purged { purged_messages }.into())
}

pub(super) async fn stats(
    call: &Call<'_>,
    query: InNamespace,
    _body: Empty,
) -> Result<Done<QueueStatistics>, Problem> {
    let queue = call.queue(query.namespace)?.id;
    let stats = stats_of(call, queue).await?;
    let totals = call.broker.look_up(TotalsOf(queue)).await?;
    Ok(QueueStatistics { stats, totals }.into())
}

pub(super) async fn dead_letter_sources(
    call: &Call<'_>,
    query: InNamespace,
    _body: Empty,
) -> Result<Done<QueueNames>, Problem> {
    let info = call.queue(query.namespace)?;
    let names = call.broker.look_up(DeadLetterSourcesOf(info.name.clone())).await?;
    Ok(QueueNames { items: names.into_iter().map(|name| name.name).collect() }.into())
}

async fn stats_of(call: &Call<'_>, queue: QueueId) -> Result<QueueStats, Problem> {
    let stats = call.broker.look_up(StatsOf(queue)).await?;
    Ok(QueueStats {
        ready: stats.ready,
        delayed: stats.delayed,
        held: stats.held,
        in_flight: stats.in_flight,
        bytes: stats.bytes,
        lanes_in_flight: stats.lanes_in_flight,
        paused: stats.paused,
        paused_until_at_ms: stats.paused_until_ms,
        oldest_sent_at_ms: stats.oldest_enqueued_at_ms,
        newest_sent_at_ms: stats.newest_enqueued_at_ms,
        archived: stats.archived,
        dead: stats.dead,
        last_seq: stats.last_seq,
    })
}

/// Queues that a warning names.
const MAX_NAMED: usize = 10;

/// A queue of the same name later is another one, whatever its version.
fn etag(info: &QueueInfo) -> String {
    format!("{}-{}", info.id.0, info.version)
}

fn done(
    call: &Call<'_>,
    info: &QueueInfo,
    stats: Option<QueueStats>,
    status: StatusCode,
) -> Done<Queue> {
    let value = Queue { warnings: warnings(call, info), ..show(info, stats) };
    Done { status: Some(status), etag: Some(etag(info)), ..value.into() }
}

/// The warnings about settings that are allowed and probably not meant.
fn warnings(call: &Call<'_>, info: &QueueInfo) -> Vec<String> {
    let config = &info.config;
    let is_there = |name: &QueueName| call.broker.directory().by_name(name).is_some();
    let mut warnings = Vec::new();
    if let Some(rule) = &config.dead_letter
        && !is_there(&rule.target)
    {
        warnings.push(format!(
            "dead_letter.queue: the queue {:?} does not exist. Until it does, messages that are \
             received too often stay, and those that are rejected are kept here as dead.",
            rule.target.name
        ));
    }
    let nowhere = match &config.expired_to {
        ExpiredTo::Nowhere => None,
        ExpiredTo::DeadLetterQueue if config.dead_letter.is_none() => {
            Some("there is no dead_letter rule".to_owned())
        }
        ExpiredTo::DeadLetterQueue => None,
        ExpiredTo::Queue(name) => {
            (!is_there(name)).then(|| format!("the queue {:?} does not exist", name.name))
        }
    };
    warnings.extend(nowhere.map(|why| {
        format!("expired_to: {why}. Messages that expire are kept here as dead meanwhile.")
    }));
    warnings
}

fn show(info: &QueueInfo, stats: Option<QueueStats>) -> Queue {
    Queue {
        name: info.name.name.clone(),
        namespace: info.name.namespace.clone(),
        id: info.id.0,
        version: info.version,
        etag: etag(info),
        created_at_ms: info.created_at_ms,
        modified_at_ms: info.modified_at_ms,
        settings: kyu_settings::of(&info.config),
        stats,
        warnings: Vec::new(),
    }
}
