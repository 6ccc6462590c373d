//! Move tasks: bring dead letters back in the background (SQS StartMessageMoveTask).

use crate::command::{CancelMoveTask, Context, StartMoveTask};
use crate::decide::{Decided, Sequences, Wait};
use crate::effect::{Effect, Effects, MoveReason};
use crate::limits::MAX_TICK_MESSAGES;
use crate::queue::Queue;
use crate::reply::{MoveStatus, MoveTask, Refusal, Reply};
use crate::state::State;

/// Starts a task; the ticks that follow do its work.
pub(super) fn start(
    state: &State,
    command: &StartMoveTask,
    ctx: &Context,
    effects: &mut Effects,
) -> Decided {
    let source = state.queue(command.source)?;
    let destination = match command.destination {
        Some(id) => Some(state.queue(id)?.info.name.clone()),
        None => None,
    };
    let running =
        |task: &MoveTask| task.source == command.source && task.status == MoveStatus::Running;
    if state.tasks.values().any(running) {
        return Err(Refusal::MoveTaskRunning);
    }
    let task = state.next_task;
    effects.push(Effect::MoveTaskStarted {
        task,
        source: command.source,
        destination,
        max_per_second: command.max_per_second,
        at_ms: ctx.now_ms,
        to_move: source.stats().ready,
    });
    Ok((Reply::MoveTaskStarted { task }, Wait::Record))
}

/// Stops a running task; what it has moved stays moved.
pub(super) fn cancel(
    state: &State,
    command: &CancelMoveTask,
    ctx: &Context,
    effects: &mut Effects,
) -> Decided {
    let task = state.tasks.get(&command.task).ok_or(Refusal::MoveTaskNotFound)?;
    if task.status != MoveStatus::Running {
        return Err(Refusal::MoveTaskNotFound);
    }
    effects.push(Effect::MoveTaskProgressed {
        task: task.id,
        at_ms: ctx.now_ms,
        moved: task.moved,
        status: MoveStatus::Cancelled,
        failure: None,
    });
    let cancelled = MoveTask { status: MoveStatus::Cancelled, ..task.clone() };
    Ok((Reply::MoveTaskCancelled(cancelled), Wait::Record))
}

/// Moves what a task may move now.
pub(super) fn run(
    state: &State,
    task: &MoveTask,
    ctx: &Context,
    sequences: &mut Sequences,
    effects: &mut Effects,
) {
    let Ok(source) = state.queue(task.source) else { return };
    let allowed = allowance(task, ctx.now_ms);
    let left = task.to_move.saturating_sub(task.moved);
    let mut moved = 0;
    let mut failure = None;
    let mut picks = source.lanes.all_picks();
    while moved < allowed.min(left) {
        let Some((rank, _)) = picks.next() else { break };
        let seq = source.seq_at(rank.order);
        let Some(to) = destination(state, task, source, seq) else {
            failure = Some("the destination queue does not exist".to_owned());
            break;
        };
        effects.push(Effect::Moved {
            from: source.id(),
            seq,
            to: to.id(),
            to_seq: sequences.next(to),
            at_ms: ctx.now_ms,
            reason: MoveReason::Redrive,
        });
        moved += 1;
    }
    let ran_dry = moved < allowed.min(left);
    let status = match &failure {
        Some(_) => MoveStatus::Failed,
        None if ran_dry || moved == left => MoveStatus::Completed,
        None if moved == 0 => return,
        None => MoveStatus::Running,
    };
    let (task, moved) = (task.id, task.moved + moved);
    effects.push(Effect::MoveTaskProgressed { task, at_ms: ctx.now_ms, moved, status, failure });
}

/// How many messages the task's rate allows by now, at most a tick's worth.
fn allowance(task: &MoveTask, now_ms: u64) -> u64 {
    let most = MAX_TICK_MESSAGES as u64;
    let Some(rate) = task.max_per_second else { return most };
    let elapsed_ms = now_ms.saturating_sub(task.started_at_ms);
    (elapsed_ms * u64::from(rate) / 1_000).saturating_sub(task.moved).min(most)
}

fn destination<'a>(
    state: &'a State,
    task: &MoveTask,
    source: &Queue,
    seq: u64,
) -> Option<&'a Queue> {
    match &task.destination {
        Some(name) => state.by_name(name),
        None => state.by_name(source.messages.get(seq)?.source.as_deref()?),
    }
}
