//! Ending a transaction's claims: as it committed, or without a trace.

use kyu_model::limits::{MAX_BATCH, MAX_QUEUES};
use kyu_model::{Conclude, Context, Fate, GiveBack, Phase, Refusal, Seq, archive_name};

use crate::decision::{Decided, Wait};
use crate::effect::{Effect, Effects};
use crate::queue::claim::{ClaimFact, ReceivedFact, shown_at};
use crate::queue::decide::enqueue::find_queue;
use crate::queue::message::Message;
use crate::queue::message_record::{MessageFact, Removal};
use crate::queue::store::Queue;
use crate::state::State;

pub(crate) fn decide(
    state: &State,
    command: &Conclude,
    ctx: &Context,
    effects: &mut Effects,
) -> Decided<Conclude> {
    let queue = find_queue(state, &command.queue)?;
    if command.items.len() > MAX_BATCH {
        return Err(Refusal::LimitExceeded("items of one conclusion"));
    }
    let archive = state.by_name(&archive_name(&queue.info.name)).map(Queue::id);
    let archives = command.items.iter().any(|(_, fate)| matches!(fate, Fate::Archived { .. }));
    if archives && archive.is_none() {
        return Err(Refusal::QueueNotFound);
    }
    let mut missing = Vec::new();
    let (mut untouched, mut removed, mut archived) = (Vec::new(), Vec::new(), Vec::new());
    for (seq, fate) in &command.items {
        let Some(message) = queue.messages.get(*seq) else {
            missing.push(*seq);
            continue;
        };
        let phase = match message.phase {
            Phase::Held(session) if session != command.session => {
                missing.push(*seq);
                continue;
            }
            Phase::Held(_) => queue.claims.get(seq).copied(),
            Phase::Ready
            | Phase::Delayed(_)
            | Phase::Leased(_)
            | Phase::Archived(_)
            | Phase::Backoff(_)
            | Phase::Parked
            | Phase::Dead(_) => None,
        };
        match fate {
            Fate::Untouched if phase.is_some() => untouched.push(*seq),
            Fate::Untouched => {}
            Fate::Removed => removed.push(*seq),
            Fate::Received { times, at_ms, ready_at_ms } => {
                let leased = *times > 0 || matches!(phase, Some(Phase::Leased(_)));
                let phase = shown_at(*ready_at_ms, leased, ctx.now_ms);
                effects.push(received(queue, *seq, (*times, *at_ms), phase, ctx));
                if phase == Phase::Ready {
                    queue.note_receivable(&[*seq], ctx.now_ms, effects);
                }
            }
            Fate::Archived { times, at_ms } => {
                if *times > 0 {
                    effects.push(received(queue, *seq, (*times, *at_ms), Phase::Ready, ctx));
                }
                archived.push(*seq);
            }
        }
    }
    let id = queue.id();
    if !untouched.is_empty() {
        unclaim(queue, untouched, ctx, effects);
    }
    if !removed.is_empty() {
        let (reason, at_ms) = (Removal::Acked, None);
        effects.push(MessageFact::Removed { queue: id, reason, seqs: removed, at_ms });
    }
    if let (Some(to), false) = (archive, archived.is_empty()) {
        let at_ms = ctx.now_ms;
        effects.push(ClaimFact::Archived { queue: id, to, at_ms, seqs: archived });
    }
    Ok((missing, Wait::Record))
}

fn received(
    queue: &Queue,
    seq: Seq,
    (times, at_ms): (u32, u64),
    phase: Phase,
    ctx: &Context,
) -> Effect {
    let effect = ReceivedFact { queue: queue.id(), seq, times, at_ms, epoch: ctx.epoch, phase };
    ClaimFact::Received(effect).into()
}

pub(crate) fn give_back(
    state: &State,
    command: &GiveBack,
    ctx: &Context,
    effects: &mut Effects,
) -> Decided<GiveBack> {
    if command.queues.len() > MAX_QUEUES {
        return Err(Refusal::LimitExceeded("queues of one command"));
    }
    let mut messages = 0;
    let mut queues = command.queues.clone();
    queues.sort_unstable();
    queues.dedup();
    for id in queues {
        let Some(queue) = state.queues.get(&id) else { continue };
        let seqs = claimed(queue, command.session);
        messages += seqs.len() as u64;
        if !seqs.is_empty() {
            unclaim(queue, seqs, ctx, effects);
        }
    }
    Ok((messages, Wait::Until(0)))
}

/// Returns the messages that a session has claimed in a queue.
pub(crate) fn claimed(queue: &Queue, session: kyu_model::SessionId) -> Vec<Seq> {
    let held = queue.sessions.get(&session).into_iter().flat_map(|held| held.iter());
    held.filter(|seq| queue.claims.contains_key(seq)).collect()
}

/// Returns true if a message is held by a transaction, which gives it back without a trace.
pub(crate) fn is_claimed(queue: &Queue, seq: Seq, message: &Message) -> bool {
    matches!(message.phase, Phase::Held(_)) && queue.claims.contains_key(&seq)
}

/// Gives messages back without a trace, but for their retention, which may begin anew.
pub(crate) fn unclaim(queue: &Queue, seqs: Vec<Seq>, ctx: &Context, effects: &mut Effects) {
    queue.note_receivable(&seqs, ctx.now_ms, effects);
    effects.push(ClaimFact::Unclaimed { queue: queue.id(), seqs });
}
