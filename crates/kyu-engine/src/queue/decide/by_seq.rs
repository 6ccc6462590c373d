//! Commands that name messages by their sequence numbers: reserving numbers, browsing, and doing
//! something with the messages of given numbers.

use std::collections::BTreeSet;

use kyu_model::limits::{MAX_ACQUIRE, MAX_BATCH, MAX_BROWSED, MAX_RESERVED};
use kyu_model::{
    Answer, BySeq, Context, DeadReason, Delivery, Lease, Phase, Refusal, Reserve, Seq, SeqAction,
    SeqResult,
};

use crate::decision::{Decided, Wait};
use crate::effect::Effects;
use crate::queue::claim::{ClaimFact, shown_at};
use crate::queue::decide::lease::hand_out;
use crate::queue::decide::sequences::{Sequences, bury};
use crate::queue::delivery::last_delivery;
use crate::queue::message::Message;
use crate::queue::message_record::{MessageFact, Removal};
use crate::queue::store::Queue;
use crate::state::State;

/// Gives out numbers. The answer does not wait for the disk: whatever is enqueued under them, or
/// under greater ones, stands behind this record in the log.
pub(crate) fn reserve(state: &State, command: &Reserve, effects: &mut Effects) -> Decided<Reserve> {
    let queue = state.queue(command.queue)?;
    if command.count == 0 || command.count > MAX_RESERVED {
        return Err(Refusal::LimitExceeded("sequence numbers of one reservation"));
    }
    let first = *queue.next_seq;
    let next_seq = first + u64::from(command.count);
    effects.push(ClaimFact::Reserved { queue: queue.id(), next_seq });
    Ok((first, Wait::Until(0)))
}

pub(crate) fn decide(
    state: &State,
    command: &BySeq,
    ctx: &Context,
    effects: &mut Effects,
) -> Decided<BySeq> {
    let queue = state.queue(command.queue)?;
    if command.seqs.len() > MAX_BATCH {
        return Err(Refusal::LimitExceeded("sequence numbers of one command"));
    }
    if let SeqAction::Archive { to } = command.action {
        state.queue(to)?;
    }
    let mut room = u64::from(queue.info.config.max_in_flight).saturating_sub(queue.in_flight());
    let (mut seen, mut sequences) = (BTreeSet::new(), Sequences::default());
    let most_receives = most_receives(state, queue, command.action);
    let mut chosen: Vec<(Seq, Message)> = Vec::new();
    let mut results = Vec::with_capacity(command.seqs.len());
    let mut stopped_by = None;
    for seq in &command.seqs {
        let message = queue.messages.get(*seq).filter(|_| seen.insert(*seq));
        let message = message.map(|message| own(queue, *seq, message, command.action));
        results.push(match message {
            None => SeqResult::Missing,
            // A row that does not match is not waited for.
            Some(message) if is_fenced(&message, command.action) => SeqResult::Missing,
            Some(Message { phase: Phase::Held(holder), .. }) => {
                if !matches!(command.action, SeqAction::Acquire(_)) {
                    stopped_by = Some(holder);
                    break;
                }
                SeqResult::Busy(holder)
            }
            Some(message) if !is_for(queue, &message, command.action, room, ctx) => {
                SeqResult::Missing
            }
            Some(message) if message.history.receives >= most_receives => {
                let reason = DeadReason::MaxReceives;
                bury(state, queue, *seq, reason, ctx, &mut sequences, effects);
                SeqResult::Missing
            }
            Some(message) => {
                let delivery = last_delivery(queue.id(), *seq, &message);
                chosen.push((*seq, message));
                room = room.saturating_sub(1);
                SeqResult::Done(delivery)
            }
        });
    }
    if stopped_by.is_some() && !matches!(command.action, SeqAction::Claim(_)) {
        results.clear();
        chosen.clear();
    }
    if let Some(holder) = stopped_by {
        results.resize(command.seqs.len(), SeqResult::Busy(holder));
    }
    let frames = chosen.iter().map(|(_, m)| m.frame.at + u64::from(m.frame.bytes)).max();
    let frames = frames.map_or(0, |end| end.max(queue.moved_in_by));
    let now_there = act(queue, command.action, &chosen, ctx, &mut sequences, effects);
    let mut now_there = now_there.into_iter();
    for result in &mut results {
        if let SeqResult::Done(delivery) = result
            && let Some(after) = now_there.next()
        {
            *delivery = after;
        }
    }
    let wait = if is_lazy(queue, command.action) { Wait::Until(frames) } else { Wait::Record };
    Ok((results, wait))
}

/// Returns true if a crash may forget the action, so that the reply need not wait for the disk.
fn is_lazy(queue: &Queue, action: SeqAction) -> bool {
    match action {
        SeqAction::Claim(_) | SeqAction::Acquire(Lease::Claim(_)) => true,
        SeqAction::Acquire(Lease::QueueDefault | Lease::For(_)) => {
            !queue.is_fifo() && queue.info.config.dead_letter.is_none()
        }
        SeqAction::Acquire(Lease::Session(_) | Lease::Take)
        | SeqAction::Remove
        | SeqAction::RemoveIfReceived(_)
        | SeqAction::ShowAt(_)
        | SeqAction::Archive { .. } => false,
    }
}

/// Returns the number of receives from which on a message is dead-lettered instead of being
/// received once more.
fn most_receives(state: &State, queue: &Queue, action: SeqAction) -> u32 {
    match action {
        SeqAction::Acquire(_) => state.max_receives(queue),
        SeqAction::Claim(_)
        | SeqAction::Remove
        | SeqAction::RemoveIfReceived(_)
        | SeqAction::ShowAt(_)
        | SeqAction::Archive { .. } => u32::MAX,
    }
}

/// Returns true if the action is for a message that was received another number of times.
fn is_fenced(message: &Message, action: SeqAction) -> bool {
    matches!(action, SeqAction::RemoveIfReceived(times) if message.history.receives != times)
}

/// Returns the message as the session sees it: one that it has claimed already is as it was before
/// the claim.
fn own(queue: &Queue, seq: Seq, mut message: Message, action: SeqAction) -> Message {
    if let (SeqAction::Claim(session), Some(before)) = (action, queue.claims.get(&seq))
        && message.phase == Phase::Held(session)
    {
        message.phase = *before;
    }
    message
}

/// Returns true if the action applies to a message that nobody has claimed.
fn is_for(queue: &Queue, message: &Message, action: SeqAction, room: u64, ctx: &Context) -> bool {
    match action {
        SeqAction::Acquire(_) => {
            // A message in flight blocks its lane in a FIFO queue.
            let lane_free = !queue.is_fifo()
                || queue.lanes.get(message.lane).is_none_or(|lane| lane.in_flight == 0);
            message.phase == Phase::Ready
                && room > 0
                && lane_free
                && !*queue.paused
                && !queue.shut
                && !queue.is_over(message, ctx.now_ms)
        }
        SeqAction::Claim(_)
        | SeqAction::Remove
        | SeqAction::RemoveIfReceived(_)
        | SeqAction::ShowAt(_)
        | SeqAction::Archive { .. } => true,
    }
}

/// Writes the effects, and returns the messages as they are afterwards.
fn act(
    queue: &Queue,
    action: SeqAction,
    chosen: &[(Seq, Message)],
    ctx: &Context,
    sequences: &mut Sequences,
    effects: &mut Effects,
) -> Vec<Delivery> {
    let id = queue.id();
    let seqs = || chosen.iter().map(|(seq, _)| *seq).collect::<Vec<_>>();
    let unchanged =
        || chosen.iter().map(|(seq, message)| last_delivery(id, *seq, message)).collect();
    if chosen.is_empty() {
        return Vec::new();
    }
    match action {
        SeqAction::Acquire(lease) => hand_out(queue, chosen, lease, None, ctx, sequences, effects),
        SeqAction::Claim(session) => {
            let mut seqs = seqs();
            seqs.retain(|seq| !queue.claims.contains_key(seq));
            if !seqs.is_empty() {
                effects.push(ClaimFact::Claimed { queue: id, session, seqs });
            }
            unchanged()
        }
        SeqAction::Remove | SeqAction::RemoveIfReceived(_) => {
            let (reason, at_ms) = (Removal::Acked, None);
            effects.push(MessageFact::Removed { queue: id, reason, seqs: seqs(), at_ms });
            unchanged()
        }
        SeqAction::Archive { to } => {
            let at_ms = ctx.now_ms;
            effects.push(ClaimFact::Archived { queue: id, to, at_ms, seqs: seqs() });
            unchanged()
        }
        SeqAction::ShowAt(at_ms) => {
            let shown = chosen.iter().map(|(seq, message)| {
                let leased = matches!(message.phase, Phase::Leased(_));
                let phase = shown_at(at_ms, leased, ctx.now_ms);
                effects.push(to_phase(queue, *seq, phase));
                if phase == Phase::Ready {
                    queue.note_receivable(&[*seq], ctx.now_ms, effects);
                }
                Delivery { phase, ..last_delivery(id, *seq, message) }
            });
            shown.collect()
        }
    }
}

fn to_phase(queue: &Queue, seq: Seq, phase: Phase) -> MessageFact {
    match phase {
        Phase::Leased(until_ms) => MessageFact::Extended { queue: queue.id(), seq, until_ms },
        Phase::Ready
        | Phase::Delayed(_)
        | Phase::Held(_)
        | Phase::Archived(_)
        | Phase::Backoff(_)
        | Phase::Parked
        | Phase::Dead(_) => MessageFact::Released {
            queue: queue.id(),
            seq,
            ready_at_ms: phase.deadline(),
            order: None,
            counted: true,
        },
    }
}

/// Returns a page of messages in order of their numbers; changes nothing.
pub(crate) fn browse(queue: &Queue, from: Seq, max_messages: u32, only_ready: bool) -> Answer {
    let most = max_messages.min(MAX_ACQUIRE) as usize;
    let mut messages = Vec::new();
    let mut next = None;
    for (looked_at, (seq, mut message)) in queue.messages.from(from).enumerate() {
        if messages.len() >= most || looked_at >= MAX_BROWSED {
            next = Some(seq);
            break;
        }
        if only_ready && message.phase != Phase::Ready {
            continue;
        }
        if let Some(before) = queue.claims.get(&seq) {
            message.phase = *before;
        }
        messages.push(last_delivery(queue.id(), seq, &message));
    }
    Answer::Browsed { messages, next }
}
