//! The end of a session: everything it holds goes back, not counted as a failure.

use kyu_model::{AttemptEnd, Context, EndSession};

use crate::decision::{Decided, Wait};
use crate::effect::Effects;
use crate::queue::decide::conclude::{claimed, unclaim};
use crate::retries::decide::retry::RunningAttempts;
use crate::state::State;

pub(crate) fn decide(
    state: &State,
    command: &EndSession,
    ctx: &Context,
    effects: &mut Effects,
) -> Decided<EndSession> {
    let mut messages = 0;
    for queue in state.queues.values() {
        let Some(held) = queue.sessions.get(&command.session) else { continue };
        let claimed = claimed(queue, command.session);
        messages += claimed.len() as u64;
        let mut attempts = RunningAttempts::new(state, queue, ctx);
        for seq in held.iter().filter(|seq| !queue.claims.contains_key(seq)) {
            let Some(message) = queue.messages.get(seq) else { continue };
            let end = AttemptEnd::Disconnected;
            attempts.given_back(seq, &message, end, (None, None), effects);
            messages += 1;
        }
        attempts.guards.finish(effects);
        if !claimed.is_empty() {
            unclaim(queue, claimed, ctx, effects);
        }
    }
    Ok((messages, Wait::Record))
}
