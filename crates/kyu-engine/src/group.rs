//! Atomic groups: every command is decided in the state that the earlier ones left; then all of it
//! is taken back, and all facts go into one record, or none does. Any command except a group may
//! stand in a group.

use kyu_machine::Trial;
use kyu_model::limits::MAX_ATOMIC;
use kyu_model::{
    Claimed, Command, Context, Extended, Intervened, LedgerReply, Refusal, Reply, RunOutcome,
    ScheduleReply, SeqResult, Settled, UNPLACED,
};

use crate::decision::{Wait, Wrapped};
use crate::effect::Effects;
use crate::state::State;

/// The function that decides each command of a group.
type Decide = fn(&mut State, &Command, &Context, &mut Effects) -> Wrapped;

pub(crate) fn decide(
    state: &mut State,
    commands: &[Command],
    ctx: &Context,
    effects: &mut Effects,
    decide: Decide,
) -> Wrapped {
    if commands.len() > MAX_ATOMIC {
        return Err(Refusal::LimitExceeded("commands of one atomic group"));
    }
    if commands.iter().any(|command| matches!(command, Command::Atomic(_))) {
        return Err(Refusal::NotInAtomic);
    }
    state.begin_trial();
    let replies = try_all(state, commands, ctx, effects, decide);
    state.roll_back();
    Ok((Reply::Atomic(replies?), Wait::Record))
}

fn try_all(
    state: &mut State,
    commands: &[Command],
    ctx: &Context,
    effects: &mut Effects,
    decide: Decide,
) -> Result<Vec<Reply>, Refusal> {
    let mut replies = Vec::with_capacity(commands.len());
    for (at, command) in commands.iter().enumerate() {
        let first = effects.len();
        // Message ids are made from the seed: each command needs its own.
        let seed = ctx.seed.wrapping_add((at as u64).wrapping_mul(0x5851_f42d_4c95_7f2d));
        let ctx = Context { seed, ..*ctx };
        let decided = decide(state, command, &ctx, effects);
        let (reply, _) =
            decided.map_err(|refusal| Refusal::Atomic { at, refusal: Some(Box::new(refusal)) })?;
        if !is_whole(&reply) {
            return Err(Refusal::Atomic { at, refusal: None });
        }
        state.apply_from(effects, first, UNPLACED);
        replies.push(reply);
    }
    Ok(replies)
}

/// Returns true if every entry of a command succeeded.
fn is_whole(reply: &Reply) -> bool {
    match reply {
        Reply::Enqueued(results) => results.iter().all(Result::is_ok),
        Reply::Published(results) => results.iter().all(Result::is_ok),
        Reply::Settled(results) => results.iter().all(|settled| *settled == Settled::Done),
        Reply::Extended(results) => results.iter().all(|extended| *extended == Extended::Done),
        Reply::BySeq(results) => !results.iter().any(|r| matches!(r, SeqResult::Busy(_))),
        Reply::Intervened(results) => results.iter().all(|done| *done == Intervened::Done),
        Reply::Ledger(LedgerReply::Claimed(claimed)) => matches!(claimed, Claimed::Run { .. }),
        Reply::Schedule(ScheduleReply::Ran(run)) => matches!(run.outcome, RunOutcome::Sent(_)),
        Reply::QueueCreated(_)
        | Reply::QueueConfigured(_)
        | Reply::QueueDeleted
        | Reply::QueuePurged { .. }
        | Reply::PausedSet { .. }
        | Reply::Acquired(_)
        | Reply::SessionEnded { .. }
        | Reply::MoveTaskStarted { .. }
        | Reply::MoveTaskCancelled(_)
        | Reply::Relocated { .. }
        | Reply::Ticked { .. }
        | Reply::ExchangeCreated(_)
        | Reply::ExchangeConfigured
        | Reply::ExchangeDeleted
        | Reply::Bound(_)
        | Reply::BindingConfigured
        | Reply::Unbound
        | Reply::Ledger(
            LedgerReply::Extended { .. }
            | LedgerReply::Completed { .. }
            | LedgerReply::Released
            | LedgerReply::Put { .. },
        )
        | Reply::Reserved { .. }
        | Reply::Concluded { .. }
        | Reply::GivenBack { .. }
        | Reply::Schedule(
            ScheduleReply::Created(_)
            | ScheduleReply::Changed(_)
            | ScheduleReply::Deleted
            | ScheduleReply::Backfilled { .. },
        )
        | Reply::Atomic(_) => true,
    }
}
