//! Tick: the work that is due. Expired messages go, lapsed leases and passed delays make messages
//! ready, old ids are forgotten, and move tasks take their next step.

use kyu_model::limits::MAX_TICK_MESSAGES;
use kyu_model::{AttemptEnd, Context, DeadReason, ExpiredTo, Fairness, Phase, QueueId, Seq, Tick};

use crate::decision::{Decided, Wait};
use crate::effect::Effects;
use crate::lanes::decide as pause;
use crate::ledger::decide as ledger;
use crate::move_task::decide as move_task;
use crate::queue::decide::sequences::{Sequences, bury, moved};
use crate::queue::message::LaneId;
use crate::queue::message_record::{MessageFact, Removal};
use crate::queue::record::QueueFact;
use crate::queue::store::{Queue, SWEEP_SLACK_MS};
use crate::retries::decide::retry::{Failure, RunningAttempts};
use crate::retries::record::{Next, RetryFact};
use crate::schedule::decide::fire;
use crate::state::{NAME_MEMORY_MS, State, task_due_ms};

/// Queues that one tick looks at.
const MAX_TICK_QUEUES: usize = 256;

pub(crate) fn decide(state: &mut State, ctx: &Context, effects: &mut Effects) -> Decided<Tick> {
    if fire::takes_turn(state, ctx) {
        return fire::due(state, ctx, effects);
    }
    let due = state.due_queues(ctx.now_ms, MAX_TICK_QUEUES);
    let mut more = due.len() == MAX_TICK_QUEUES;
    let mut budget = MAX_TICK_MESSAGES;
    let mut sequences = Sequences::default();
    for id in due {
        if budget == 0 {
            more = true;
            break;
        }
        budget -= one_queue(state, id, ctx, budget, &mut sequences, effects);
    }
    for task in state.tasks.values() {
        if task_due_ms(task).is_some_and(|due_ms| due_ms <= ctx.now_ms) {
            move_task::run(state, task, ctx, &mut sequences, effects);
        }
    }
    more |= ledger::sweep(state, ctx, effects);
    more |= state.schedules.first_due_ms().is_some_and(|at_ms| at_ms <= ctx.wall_ms);
    let oldest_name = state.deleted_names.values().min();
    if oldest_name.is_some_and(|at_ms| at_ms + NAME_MEMORY_MS <= ctx.now_ms) {
        effects.push(QueueFact::NamesSwept { before_ms: ctx.now_ms - NAME_MEMORY_MS + 1 });
    }
    Ok((more || budget == 0, Wait::Record))
}

/// Does one queue's work that is due; returns the number of messages that it touched.
fn one_queue(
    state: &State,
    id: QueueId,
    ctx: &Context,
    budget: usize,
    sequences: &mut Sequences,
    effects: &mut Effects,
) -> usize {
    let Ok(queue) = state.queue(id) else { return 0 };
    let mut attempts = RunningAttempts::new(state, queue, ctx);
    let expired: Vec<Seq> = queue.expired(ctx.now_ms, budget).into_iter().take(budget).collect();
    let mut touched = expired.len();
    touched += attempts.guards.pass_time(budget - touched, effects);
    let mut promoted = Vec::new();
    for seq in queue.due(ctx.now_ms).take(budget - touched) {
        touched += 1;
        if expired.binary_search(&seq).is_ok() {
            continue;
        }
        let Some(message) = queue.messages.get(seq) else { continue };
        match message.phase {
            Phase::Leased(_) => {
                let (end, error) = (AttemptEnd::TimedOut, None);
                let failure = Failure { end, error, delay_ms: None, to_tail: false };
                attempts.failed(seq, &message, &failure, sequences, effects);
            }
            Phase::Backoff(_) => match attempts.guards.next(seq, &message) {
                Next::Now => promoted.push(seq),
                next => {
                    let retried = RetryFact::Retried { queue: id, seq, next, order: None };
                    effects.push(retried);
                }
            },
            Phase::Ready
            | Phase::Delayed(_)
            | Phase::Held(_)
            | Phase::Archived(_)
            | Phase::Parked
            | Phase::Dead(_) => promoted.push(seq),
        }
    }
    expire(&attempts, &expired, sequences, effects);
    if !promoted.is_empty() {
        promote(queue, &promoted, sequences, effects);
        queue.note_receivable(&promoted, ctx.now_ms, effects);
    }
    if *queue.dead_may_go {
        let going = state.dead_that_go(queue, budget - touched);
        for (seq, to, reason) in going.filter(|(seq, ..)| expired.binary_search(seq).is_err()) {
            touched += 1;
            effects.push(moved(queue, seq, to, reason, ctx.now_ms, sequences));
        }
    }
    pause::end_due(queue, ctx, effects);
    let buckets = &queue.lanes.limits.buckets;
    let forgettable = [
        queue.dedup.first_expiry(),
        queue.attempts.first_expiry(),
        queue.unique.first_expiry(),
        buckets.first_full_ms(),
    ];
    if forgettable.into_iter().flatten().any(|at_ms| at_ms + SWEEP_SLACK_MS <= ctx.now_ms) {
        effects.push(QueueFact::Swept { queue: id, at_ms: ctx.now_ms });
    }
    attempts.guards.finish(effects);
    touched
}

/// Makes messages ready, the first that is due first. In a standard queue they stand behind those
/// that were ready before: a job of last week that is due now is not older than what waits since an
/// hour. Where order is strict (FIFO, pgmq's numbers, within a lane) each has its old place.
fn promote(queue: &Queue, due: &[Seq], sequences: &mut Sequences, effects: &mut Effects) {
    let id = queue.id();
    let by_arrival = queue.is_fifo() || queue.info.config.fairness == Fairness::StrictOrder;
    // With nobody to stand behind, the old places are the right ones, and cost nothing.
    let in_place = queue.ready() == 0 && due.is_sorted();
    let keeps_place = |seq: &Seq| {
        let message = queue.messages.get(*seq);
        by_arrival || in_place || message.is_some_and(|message| message.lane != LaneId::NONE)
    };
    let (seqs, behind): (Vec<Seq>, Vec<Seq>) = due.iter().partition(|seq| keeps_place(seq));
    if !seqs.is_empty() {
        effects.push(MessageFact::Promoted { queue: id, seqs });
    }
    for seq in &behind {
        effects.push(MessageFact::Released {
            queue: id,
            seq: *seq,
            ready_at_ms: None,
            order: Some(sequences.next(queue)),
            counted: true,
        });
    }
}

/// Removes messages whose time is over, or moves them where the queue's settings say.
fn expire(
    attempts: &RunningAttempts<'_>,
    expired: &[Seq],
    sequences: &mut Sequences,
    effects: &mut Effects,
) {
    let (state, queue, ctx) = (attempts.state, attempts.queue, attempts.ctx);
    let nowhere = queue.info.config.expired_to == ExpiredTo::Nowhere;
    let (mut by_deadline, mut by_retention) = (Vec::new(), Vec::new());
    for seq in expired.iter().copied() {
        let Some(message) = queue.messages.get(seq) else { continue };
        let own = message.expires_at_ms().is_some_and(|at_ms| at_ms <= ctx.now_ms);
        // A dead letter that is kept has had its chance to go.
        if nowhere || matches!(message.phase, Phase::Dead(_)) {
            if own {
                by_deadline.push(seq)
            } else {
                by_retention.push(seq)
            }
            continue;
        }
        if message.phase.in_flight() {
            attempts.remember(seq, AttemptEnd::Expired, None, effects);
        }
        let reason = if own { DeadReason::Deadline } else { DeadReason::Retention };
        bury(state, queue, seq, reason, ctx, sequences, effects);
    }
    for (reason, seqs) in [(Removal::Deadline, by_deadline), (Removal::Expired, by_retention)] {
        if !seqs.is_empty() {
            let (queue, at_ms) = (queue.id(), Some(ctx.now_ms));
            effects.push(MessageFact::Removed { queue, reason, seqs, at_ms });
        }
    }
}
