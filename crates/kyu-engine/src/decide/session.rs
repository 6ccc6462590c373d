//! The end of a session: everything it holds goes back, not counted as a failure.

use crate::command::EndSession;
use crate::decide::{Decided, Wait};
use crate::effect::{Effect, Effects};
use crate::reply::Reply;
use crate::state::State;

pub(super) fn decide(state: &State, command: &EndSession, effects: &mut Effects) -> Decided {
    let mut messages = 0;
    for queue in state.queues.values() {
        let Some(held) = queue.sessions.get(&command.session) else { continue };
        for seq in held.iter() {
            let (ready_at_ms, order, counted) = (None, None, false);
            effects.push(Effect::Released { queue: queue.id(), seq, ready_at_ms, order, counted });
            messages += 1;
        }
    }
    Ok((Reply::SessionEnded { messages }, Wait::Record))
}
