//! Move tasks: dead letters on their way back.

use kyu_broker::{CancelMoveTask, MoveTasksOf, QueueInfo, StartMoveTask};

use crate::api::{InNamespace, MoveFailure, MoveStatus, MoveTask, MoveTasks, NewMoveTask};
use crate::call::{Call, within};
use crate::limits::MAX_PER_SECOND;
use crate::operation::{Done, Empty, Optional};
use crate::problem::{Code, Problem};

pub(super) async fn start(
    call: &Call<'_>,
    query: InNamespace,
    Optional(new): Optional<NewMoveTask>,
) -> Result<Done<MoveTask>, Problem> {
    let source = call.queue(query.namespace)?;
    let destination = match new.destination {
        None => None,
        Some(name) => {
            Some(call.queue_named(&call.name(Some(source.name.namespace.clone()), &name))?.id)
        }
    };
    if destination == Some(source.id) {
        return Err(Problem::at("/destination", "The destination is the queue itself."));
    }
    let rate = new.max_per_second.map(u64::from);
    within("/max_per_second", rate, 1..=u64::from(MAX_PER_SECOND))?;
    let command =
        StartMoveTask { source: source.id, destination, max_per_second: new.max_per_second };
    let task = call.broker.ask(command).await?;
    let started = all(call, &source).await?.into_iter().find(|one| one.id == task);
    let started = started.ok_or_else(Problem::internal)?;
    let location = Some(format!("{}/{}", call.head.uri.path(), started.id));
    Ok(Done { location, ..started.into() })
}

pub(super) async fn list(
    call: &Call<'_>,
    query: InNamespace,
    _body: Empty,
) -> Result<Done<MoveTasks>, Problem> {
    let source = call.queue(query.namespace)?;
    Ok(MoveTasks { items: all(call, &source).await? }.into())
}

pub(super) async fn get(
    call: &Call<'_>,
    query: InNamespace,
    _body: Empty,
) -> Result<Done<MoveTask>, Problem> {
    let source = call.queue(query.namespace)?;
    Ok(find(call, &source).await?.into())
}

/// The task that the path names.
async fn find(call: &Call<'_>, source: &QueueInfo) -> Result<MoveTask, Problem> {
    let task = call.parameter(1).parse().ok();
    let known = all(call, source).await?.into_iter().find(|one| Some(one.id) == task);
    known.ok_or(Problem::of(Code::MoveTaskNotFound))
}

pub(super) async fn cancel(
    call: &Call<'_>,
    query: InNamespace,
    _body: Empty,
) -> Result<Done<MoveTask>, Problem> {
    let source = call.queue(query.namespace)?;
    let task = find(call, &source).await?.id;
    let cancelled = call.broker.ask(CancelMoveTask { task }).await?;
    Ok(show(cancelled, &source).into())
}

async fn all(call: &Call<'_>, source: &QueueInfo) -> Result<Vec<MoveTask>, Problem> {
    let tasks = call.broker.look_up(MoveTasksOf(source.id)).await?;
    Ok(tasks.into_iter().map(|task| show(task, source)).collect())
}

fn show(task: kyu_broker::MoveTask, source: &QueueInfo) -> MoveTask {
    MoveTask {
        id: task.id,
        source: source.name.name.clone(),
        destination: task.destination.map(|name| name.name),
        max_per_second: task.max_per_second,
        status: task.status.into(),
        started_at_ms: task.started_at_ms,
        moved: task.moved,
        to_move: task.to_move,
        skipped: task.skipped,
        reason: task.reason.map(Into::into),
        failure: task.failure,
    }
}

kyu_settings::same_words! {
    MoveStatus { Running, Completed, Cancelled, Failed }
    MoveFailure { NoSource, SourceGone, DestinationGone }
}
