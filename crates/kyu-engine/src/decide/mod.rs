//! Deciding: what follows from a command in this state, at this time. Nothing is changed here;
//! effects are, by [`crate::state::State::apply`]. One file for each command.

mod acquire;
mod atomic;
mod by_seq;
mod conclude;
mod enqueue;
mod exchange;
mod explain;
mod extend;
mod fire;
mod guards;
mod intervene;
mod lease;
mod ledger;
mod move_task;
mod pause;
mod publish;
mod queue;
mod relocate;
mod retry;
mod schedule;
mod session;
mod settle;
mod tick;
mod unique;

pub(crate) use acquire::peek;
pub(crate) use by_seq::browse;
pub(crate) use explain::explain;
pub(crate) use ledger::answer as ledger_answer;
pub(crate) use schedule::answer as schedule_answer;

use kyu_model::{
    Address, Ask, Command, Context, DeadReason, Fairness, QueueId, Refusal, Reply, Seq, Tick,
    UnixMs,
};
use std::collections::BTreeMap;

use crate::dead_letters::Place;
use crate::effect::Effects;
use crate::message_fact::{MessageFact, MoveReason};
use crate::queue::Queue;
use crate::state::State;

/// What a reply must wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The record of this command (and with it all before it).
    Record,
    /// Only the log up to this address: leases of a queue that is at-least-once are logged
    /// lazily, but no message is handed out before its enqueue is durable.
    Until(Address),
}

/// The outcome of a command.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Facts to log and then to apply.
    pub effects: Effects,
    /// Answer, to be given when `wait` is over.
    pub reply: Reply,
    /// What the answer waits for.
    pub wait: Wait,
}

/// The reply to a command, and what it waits for.
pub(crate) type Decided<A> = Result<(<A as Ask>::Reply, Wait), Refusal>;

/// A reply in the form that all share.
type Wrapped = Result<(Reply, Wait), Refusal>;

/// The command only says which one it is.
fn answer<A: Ask>(_command: &A, decided: Decided<A>) -> Wrapped {
    decided.map(|(reply, wait)| (A::wrap(reply), wait))
}

pub(crate) fn decide(
    state: &mut State,
    command: &Command,
    ctx: &Context,
    effects: &mut Effects,
) -> Wrapped {
    match command {
        Command::CreateQueue(c) => answer(c, queue::create(state, c, ctx, effects)),
        Command::ConfigureQueue(c) => answer(c, queue::configure(state, c, ctx, effects)),
        Command::DeleteQueue(c) => answer(c, queue::delete(state, c, ctx, effects)),
        Command::PurgeQueue(c) => answer(c, queue::purge(state, c, ctx, effects)),
        Command::SetPaused(c) => answer(c, pause::decide(state, c, ctx, effects)),
        Command::Enqueue(c) => answer(c, enqueue::decide(state, c, ctx, effects)),
        Command::Acquire(c) => answer(c, acquire::decide(state, c, ctx, effects)),
        Command::Settle(c) => answer(c, settle::decide(state, c, ctx, effects)),
        Command::Extend(c) => answer(c, extend::decide(state, c, ctx, effects)),
        Command::EndSession(c) => answer(c, session::decide(state, c, ctx, effects)),
        Command::StartMoveTask(c) => answer(c, move_task::start(state, c, ctx, effects)),
        Command::CancelMoveTask(c) => answer(c, move_task::cancel(state, c, ctx, effects)),
        Command::CreateExchange(c) => answer(c, exchange::create(state, c, ctx, effects)),
        Command::ConfigureExchange(c) => answer(c, exchange::configure(state, c, effects)),
        Command::DeleteExchange(c) => answer(c, exchange::delete(state, c, effects)),
        Command::Bind(c) => answer(c, exchange::bind(state, c, ctx, effects)),
        Command::ConfigureBinding(c) => answer(c, exchange::rebind(state, c, effects)),
        Command::Unbind(c) => answer(c, exchange::unbind(state, c, effects)),
        Command::Publish(c) => answer(c, publish::decide(state, c, ctx, effects)),
        Command::Ledger(c) => ledger::decide(state, c, ctx, effects),
        Command::Reserve(c) => answer(c, by_seq::reserve(state, c, effects)),
        Command::EnqueueReserved(c) => answer(c, enqueue::reserved(state, c, ctx, effects)),
        Command::BySeq(c) => answer(c, by_seq::decide(state, c, ctx, effects)),
        Command::Intervene(c) => answer(c, intervene::decide(state, c, ctx, effects)),
        Command::Conclude(c) => answer(c, conclude::decide(state, c, ctx, effects)),
        Command::GiveBack(c) => answer(c, conclude::give_back(state, c, ctx, effects)),
        Command::Schedule(c) => schedule::decide(state, c, ctx, effects),
        Command::Relocate(c) => answer(c, relocate::decide(state, c, effects)),
        Command::Tick => answer(&Tick, tick::decide(state, ctx, effects)),
        Command::Atomic(commands) => atomic::decide(state, commands, ctx, effects),
    }
}

/// Gives out sequence numbers that no effect has taken yet.
#[derive(Default)]
struct Sequences {
    given: BTreeMap<QueueId, u64>,
}

impl Sequences {
    fn next(&mut self, queue: &Queue) -> Seq {
        let given = self.given.entry(queue.id()).or_default();
        *given += 1;
        *queue.next_seq + *given - 1
    }
}

/// Ends a message's life in its queue: on to where dead messages go, or kept until that is there or
/// somebody looks at it.
fn bury(
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

fn moved(
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

/// Whether a message that was received this often goes to the back when it is visible again.
fn goes_to_the_back(queue: &Queue, receives: u32) -> bool {
    let strict = queue.info.config.fairness == Fairness::StrictOrder;
    let after = queue.info.config.back_after_receives;
    !queue.is_fifo() && !strict && after.is_some_and(|after| receives >= after)
}

/// Makes a message visible again after a failed attempt, in its old place or at the back.
fn back_in_order(queue: &Queue, seq: Seq, receives: u32, sequences: &mut Sequences) -> MessageFact {
    let poison = goes_to_the_back(queue, receives);
    MessageFact::Released {
        queue: queue.id(),
        seq,
        ready_at_ms: None,
        order: poison.then(|| sequences.next(queue)),
        counted: true,
    }
}
