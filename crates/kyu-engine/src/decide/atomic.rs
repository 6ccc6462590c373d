//! Atomic groups: every command is decided in the state that the earlier ones left, tried out and
//! taken back; then all facts go into one record, or none does.

use crate::command::{Command, Context};
use crate::decide::{Decided, Wait};
use crate::effect::Effects;
use crate::ids::Address;
use crate::ledger::{Claimed, LedgerReply};
use crate::limits::MAX_ATOMIC;
use crate::reply::{Refusal, Reply};
use crate::state::State;

/// Frames of the trial have no place in the log yet: their address is this plus the offset in
/// the record, until [`Reply::place`] puts the record's own address in.
pub(crate) const UNPLACED: Address = 1 << 62;

pub(super) fn decide(
    state: &mut State,
    commands: &[Command],
    ctx: &Context,
    effects: &mut Effects,
) -> Decided {
    if commands.len() > MAX_ATOMIC {
        return Err(Refusal::LimitExceeded("commands of one atomic group"));
    }
    if !commands.iter().all(may_stand_in_group) {
        return Err(Refusal::NotInAtomic);
    }
    state.begin_trial();
    let replies = try_all(state, commands, ctx, effects);
    state.roll_back();
    Ok((Reply::Atomic(replies?), Wait::Record))
}

fn may_stand_in_group(command: &Command) -> bool {
    matches!(
        command,
        Command::Enqueue(_)
            | Command::Publish(_)
            | Command::Acquire(_)
            | Command::Settle(_)
            | Command::Extend(_)
            | Command::Ledger(_)
            | Command::CreateQueue(_)
            | Command::ConfigureQueue(_)
            | Command::DeleteQueue(_)
            | Command::PurgeQueue(_)
            | Command::EnqueueReserved(_)
            | Command::BySeq(_)
            | Command::Conclude(_)
    )
}

fn try_all(
    state: &mut State,
    commands: &[Command],
    ctx: &Context,
    effects: &mut Effects,
) -> Result<Vec<Reply>, Refusal> {
    let mut replies = Vec::with_capacity(commands.len());
    for (at, command) in commands.iter().enumerate() {
        let first = effects.len();
        // Message ids are made from the seed: each command needs its own.
        let seed = ctx.seed.wrapping_add((at as u64).wrapping_mul(0x5851_f42d_4c95_7f2d));
        let ctx = Context { seed, ..*ctx };
        let decided = super::decide(state, command, &ctx, effects);
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

/// Whether every entry of a command succeeded.
fn is_whole(reply: &Reply) -> bool {
    use crate::by_seq::SeqResult;
    use crate::reply::{Extended, Settled};
    match reply {
        Reply::Enqueued(results) => results.iter().all(Result::is_ok),
        Reply::Published(results) => results.iter().all(Result::is_ok),
        Reply::Settled(results) => results.iter().all(|settled| *settled == Settled::Done),
        Reply::Extended(results) => results.iter().all(|extended| *extended == Extended::Done),
        Reply::BySeq(results) => !results.iter().any(|r| matches!(r, SeqResult::Busy(_))),
        Reply::Ledger(LedgerReply::Claimed(claimed)) => matches!(claimed, Claimed::Run { .. }),
        _ => true,
    }
}
