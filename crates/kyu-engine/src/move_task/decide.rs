//! Move tasks: bring dead letters back in the background (SQS StartMessageMoveTask).

use kyu_model::limits::{MAX_BROWSED, MAX_TICK_MESSAGES};
use kyu_model::{
    CancelMoveTask, Context, MoveFailure, MoveStatus, MoveTask, Phase, Refusal, StartMoveTask,
};

use crate::decision::{Decided, Wait};
use crate::effect::Effects;
use crate::move_task::record::{MoveTaskFact, Skipping};
use crate::queue::decide::sequences::{Sequences, moved};
use crate::queue::message::Message;
use crate::queue::message_record::{MessageFact, MoveReason};
use crate::queue::store::Queue;
use crate::state::State;

/// Starts a task; the ticks that follow do its work.
pub(crate) fn start(
    state: &State,
    command: &StartMoveTask,
    ctx: &Context,
    effects: &mut Effects,
) -> Decided<StartMoveTask> {
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
    let task = *state.next_task;
    effects.push(MoveTaskFact::Started {
        task,
        source: command.source,
        destination,
        max_per_second: command.max_per_second,
        at_ms: ctx.now_ms,
        to_move: match source.stats() {
            stats if stats.dead > 0 => stats.dead,
            stats => stats.ready,
        },
    });
    Ok((task, Wait::Record))
}

/// Stops a running task; what it has moved stays moved.
pub(crate) fn cancel(
    state: &State,
    command: &CancelMoveTask,
    ctx: &Context,
    effects: &mut Effects,
) -> Decided<CancelMoveTask> {
    let task = state.tasks.get(&command.task).ok_or(Refusal::MoveTaskNotFound)?;
    if task.status != MoveStatus::Running {
        return Err(Refusal::MoveTaskNotFound);
    }
    effects.push(MoveTaskFact::Progressed {
        task: task.id,
        at_ms: ctx.now_ms,
        moved: task.moved,
        status: MoveStatus::Cancelled,
        failure: task.failure.clone(),
        skipping: Skipping {
            skipped: task.skipped,
            looked_at: task.looked_at,
            reason: task.reason,
        },
    });
    let cancelled = MoveTask { status: MoveStatus::Cancelled, ..task.clone() };
    Ok((cancelled, Wait::Record))
}

/// The progress of a run.
struct Run<'a> {
    state: &'a State,
    task: &'a MoveTask,
    source: &'a Queue,
    moved: u64,
    skipping: Skipping,
    ended_by: Option<MoveFailure>,
}

/// Moves what a task may move now. A message that has nowhere to go is skipped and counted, so that
/// it does not stop those behind it.
pub(crate) fn run(
    state: &State,
    task: &MoveTask,
    ctx: &Context,
    sequences: &mut Sequences,
    effects: &mut Effects,
) {
    let Ok(source) = state.queue(task.source) else { return };
    let MoveTask { skipped, looked_at, reason, .. } = *task;
    let skipping = Skipping { skipped, looked_at, reason };
    let mut run = Run { state, task, source, moved: 0, skipping, ended_by: None };
    let ran_dry = run.step(ctx, sequences, effects);
    let Run { moved, skipping, ended_by, .. } = run;
    let (moved_before, moved) = (task.moved, task.moved + moved);
    let all = moved + skipping.skipped >= task.to_move;
    let status = match ended_by {
        Some(_) => MoveStatus::Failed,
        None if (ran_dry || all) && moved == 0 && skipping.skipped > 0 => MoveStatus::Failed,
        None if ran_dry || all => MoveStatus::Completed,
        None if moved == moved_before && skipping.looked_at == looked_at => return,
        None => MoveStatus::Running,
    };
    let skipping = Skipping { reason: ended_by.or(skipping.reason), ..skipping };
    let failure = skipping.reason.map(|reason| words(reason).to_owned());
    let (task, at_ms) = (task.id, ctx.now_ms);
    effects.push(MoveTaskFact::Progressed { task, at_ms, moved, status, failure, skipping });
}

impl Run<'_> {
    /// Returns whether there is nothing left to look at.
    fn step(&mut self, ctx: &Context, sequences: &mut Sequences, effects: &mut Effects) -> bool {
        let (source, task) = (self.source, self.task);
        let allowed = allowance(task, ctx.now_ms);
        let done = task.moved + self.skipping.skipped;
        let mut left = task.to_move.saturating_sub(done);
        let keeps_dead = !source.dead.is_empty();
        let messages = source.messages.from(self.skipping.looked_at + 1);
        for (looked, (seq, message)) in messages.enumerate() {
            if self.moved >= allowed || left == 0 || looked >= MAX_BROWSED {
                return false;
            }
            let wanted = match message.phase {
                Phase::Dead(_) => true,
                // Beside dead letters of its own, what is ready is the queue's ordinary work.
                Phase::Ready => !keeps_dead,
                Phase::Delayed(_)
                | Phase::Leased(_)
                | Phase::Held(_)
                | Phase::Archived(_)
                | Phase::Backoff(_)
                | Phase::Parked => false,
            };
            if wanted {
                left -= 1;
                match self.destination(&message) {
                    Ok(to) if to.id() == source.id() => {
                        let (queue, at_ms) = (source.id(), ctx.now_ms);
                        effects.push(MessageFact::Revived { queue, seq, at_ms });
                        self.moved += 1;
                    }
                    Ok(to) => {
                        let reason = MoveReason::Redrive;
                        effects.push(moved(source, seq, to, reason, ctx.now_ms, sequences));
                        self.moved += 1;
                    }
                    Err(MoveFailure::DestinationGone) => {
                        self.ended_by = Some(MoveFailure::DestinationGone);
                        return false;
                    }
                    Err(reason) => {
                        self.skipping.skipped += 1;
                        self.skipping.reason = Some(reason);
                    }
                }
            }
            self.skipping.looked_at = seq;
        }
        true
    }

    fn destination(&self, message: &Message) -> Result<&Queue, MoveFailure> {
        if let Some(name) = &self.task.destination {
            return self.state.by_name(name).ok_or(MoveFailure::DestinationGone);
        }
        let source = message.source_queue().ok_or(MoveFailure::NoSource)?;
        self.state.by_name(source).ok_or(MoveFailure::SourceGone)
    }
}

/// A failure in words.
fn words(reason: MoveFailure) -> &'static str {
    match reason {
        MoveFailure::NoSource => "the queue that they came from is not known",
        MoveFailure::SourceGone => "the queue that they came from does not exist",
        MoveFailure::DestinationGone => "the destination queue does not exist",
    }
}

/// Returns the number of messages that the task's rate allows by now, at most as many as one tick
/// handles.
fn allowance(task: &MoveTask, now_ms: u64) -> u64 {
    let most = MAX_TICK_MESSAGES as u64;
    let Some(rate) = task.max_per_second else { return most };
    let elapsed_ms = now_ms.saturating_sub(task.started_at_ms);
    (elapsed_ms * u64::from(rate) / 1_000).saturating_sub(task.moved).min(most)
}
