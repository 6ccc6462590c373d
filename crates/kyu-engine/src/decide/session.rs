//! The end of a session: everything it holds goes back, not counted as a failure.

use crate::claim::ClaimEffect;
use crate::command::EndSession;
use crate::decide::conclude::claimed;
use crate::decide::{Decided, Wait};
use crate::effect::{Effect, Effects};
use crate::reply::Reply;
use crate::state::State;

pub(super) fn decide(state: &State, command: &EndSession, effects: &mut Effects) -> Decided {
    let mut messages = 0;
    for queue in state.queues.values() {
        let Some(held) = queue.sessions.get(&command.session) else { continue };
        let claimed = claimed(queue, command.session);
        messages += claimed.len() as u64;
        for seq in held.iter().filter(|seq| !queue.claims.contains_key(seq)) {
            let (ready_at_ms, order, counted) = (None, None, false);
            effects.push(Effect::Released { queue: queue.id(), seq, ready_at_ms, order, counted });
            messages += 1;
        }
        if !claimed.is_empty() {
            effects.push(ClaimEffect::Unclaimed { queue: queue.id(), seqs: claimed }.into());
        }
    }
    Ok((Reply::SessionEnded { messages }, Wait::Record))
}
