//! The table of commands: each command with the function that decides it. Deciding changes nothing
//! that can be seen; [`crate::state::State::apply`] carries out the effects.

use kyu_model::{Command, Context, Tick};

use crate::decision::{Wrapped, answer};
use crate::effect::Effects;
use crate::exchange::decide::{exchange, publish};
use crate::group;
use crate::lanes::decide as pause;
use crate::ledger::decide as ledger;
use crate::move_task::decide as move_task;
use crate::queue::decide::{
    acquire, by_seq, conclude, enqueue, extend, intervene, queue, relocate, session, settle, tick,
};
use crate::schedule::decide::schedule;
use crate::state::State;

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
        Command::Atomic(commands) => group::decide(state, commands, ctx, effects, decide),
    }
}
