//! Places in the order of a queue: numbers that no fact has taken yet, and the messages that get
//! one.

use std::collections::BTreeMap;

use kyu_model::{Context, DeadReason, Fairness, QueueId, Seq, UnixMs};

use crate::effect::Effects;
use crate::queue::dead_letters::Place;
use crate::queue::message_record::{MessageFact, MoveReason};
use crate::queue::store::Queue;
use crate::state::State;

/// Gives out sequence numbers that no effect has taken yet.
#[derive(Default)]
pub(crate) struct Sequences {
    given: BTreeMap<QueueId, u64>,
}

impl Sequences {
    pub(crate) fn next(&mut self, queue: &Queue) -> Seq {
        let given = self.given.entry(queue.id()).or_default();
        *given += 1;
        *queue.next_seq + *given - 1
    }
}

/// Ends a message's life in its queue: it moves to the place for dead messages, or is kept until
/// there is one or somebody looks at it.
pub(crate) fn bury(
    state: &State,
    queue: &Queue,
    seq: Seq,
    reason: DeadReason,
    ctx: &Context,
    sequences: &mut Sequences,
    effects: &mut Effects,
) {
    let (at_ms, move_reason) = (ctx.now_ms, MoveReason::of(reason));
    match state.place_of_dead(queue, reason) {
        Place::Queue(to) => effects.push(moved(queue, seq, to, move_reason, at_ms, sequences)),
        Place::Missing | Place::Nowhere => {
            let (queue, reason) = (queue.id(), move_reason);
            effects.push(MessageFact::KeptDead { queue, seq, at_ms, reason });
        }
    }
}

pub(crate) fn moved(
    from: &Queue,
    seq: Seq,
    to: &Queue,
    reason: MoveReason,
    at_ms: UnixMs,
    sequences: &mut Sequences,
) -> MessageFact {
    let (to_seq, arrival) = (sequences.next(to), from.arrival_at(to, reason));
    MessageFact::Moved { from: from.id(), seq, to: to.id(), to_seq, at_ms, reason, arrival }
}

/// Returns true if a message that was received this often goes to the back when it is visible
/// again.
pub(crate) fn goes_to_the_back(queue: &Queue, receives: u32) -> bool {
    let strict = queue.info.config.fairness == Fairness::StrictOrder;
    let after = queue.info.config.back_after_receives;
    !queue.is_fifo() && !strict && after.is_some_and(|after| receives >= after)
}

/// Makes a message visible again after a failed attempt, in its old place or at the back.
pub(crate) fn back_in_order(
    queue: &Queue,
    seq: Seq,
    receives: u32,
    sequences: &mut Sequences,
) -> MessageFact {
    let poison = goes_to_the_back(queue, receives);
    MessageFact::Released {
        queue: queue.id(),
        seq,
        ready_at_ms: None,
        order: poison.then(|| sequences.next(queue)),
        counted: true,
    }
}
