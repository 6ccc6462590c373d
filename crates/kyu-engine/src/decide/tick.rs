//! Tick: what time brings. Expired messages go, lapsed leases and passed delays make messages
//! ready, old ids are forgotten, and move tasks take their next step.

use crate::command::Context;
use crate::decide::{Decided, Sequences, Wait, back_in_order, fire, ledger, move_task};
use crate::effect::{Effect, Effects, Removal};
use crate::ids::{QueueId, Seq};
use crate::limits::MAX_TICK_MESSAGES;
use crate::message::Phase;
use crate::queue::SWEEP_SLACK_MS;
use crate::reply::Reply;
use crate::state::{NAME_MEMORY_MS, State, task_due_ms};

/// Queues that one tick looks at.
const MAX_TICK_QUEUES: usize = 256;

pub(super) fn decide(state: &mut State, ctx: &Context, effects: &mut Effects) -> Decided {
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
    more |= state.schedules.first_due_ms().is_some_and(|at_ms| at_ms <= ctx.now_ms);
    let oldest_name = state.deleted_names.values().min();
    if oldest_name.is_some_and(|at_ms| at_ms + NAME_MEMORY_MS <= ctx.now_ms) {
        effects.push(Effect::NamesSwept { before_ms: ctx.now_ms - NAME_MEMORY_MS + 1 });
    }
    Ok((Reply::Ticked { more: more || budget == 0 }, Wait::Record))
}

/// Returns how many messages it touched.
fn one_queue(
    state: &State,
    id: QueueId,
    ctx: &Context,
    budget: usize,
    sequences: &mut Sequences,
    effects: &mut Effects,
) -> usize {
    let Ok(queue) = state.queue(id) else { return 0 };
    let expired: Vec<Seq> = queue.expired(ctx.now_ms, budget).into_iter().take(budget).collect();
    let mut touched = expired.len();
    let mut promoted = Vec::new();
    for seq in queue.due(ctx.now_ms).take(budget - touched) {
        touched += 1;
        if expired.binary_search(&seq).is_ok() {
            continue;
        }
        match queue.messages.get(seq) {
            Some(message) if matches!(message.phase, Phase::Leased(_)) => {
                let receives = message.history.receives;
                effects.push(back_in_order(queue, seq, receives, sequences));
            }
            _ => promoted.push(seq),
        }
    }
    if !expired.is_empty() {
        effects.push(Effect::Removed { queue: id, reason: Removal::Expired, seqs: expired });
    }
    if !promoted.is_empty() {
        effects.push(Effect::Promoted { queue: id, seqs: promoted });
    }
    let buckets = &queue.lanes.limits.buckets;
    let forgettable = [
        queue.dedup.first_expiry(),
        queue.attempts.first_expiry(),
        queue.unique.first_expiry(),
        buckets.first_full_ms(),
    ];
    if forgettable.into_iter().flatten().any(|at_ms| at_ms + SWEEP_SLACK_MS <= ctx.now_ms) {
        effects.push(Effect::Swept { queue: id, at_ms: ctx.now_ms });
    }
    touched
}
