//! Deciding: what follows from a command in this state, at this time. Nothing is changed here;
//! effects are, by [`crate::state::State::apply`]. One file for each command.

mod acquire;
mod atomic;
mod by_seq;
mod conclude;
mod decision;
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
mod sequences;
mod session;
mod settle;
mod tick;
mod unique;

pub(crate) use acquire::peek;
pub(crate) use by_seq::browse;
pub(crate) use explain::explain;
pub(crate) use ledger::answer as ledger_answer;
pub(crate) use schedule::answer as schedule_answer;

use kyu_model::{Command, Context, Tick};

use crate::effect::Effects;
use crate::state::State;
pub(crate) use decision::Wrapped;
use decision::answer;
pub use decision::{Decision, Wait};

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
        Command::Atomic(commands) => atomic::decide(state, commands, ctx, effects, decide),
    }
}
