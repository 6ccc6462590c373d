//! Relocate: a live frame is written again at the tail, so that its old segment can be recycled.

use kyu_model::Relocate;

use crate::decision::{Decided, Wait};
use crate::effect::Effects;
use crate::queue::message_record::MessageFact;
use crate::state::State;

/// Moves the frame if every message that needs it is named; otherwise nothing happens, and a
/// later look at the segment finds the right owners.
pub(crate) fn decide(
    state: &State,
    command: &Relocate,
    effects: &mut Effects,
) -> Decided<Relocate> {
    let shares = state.frames.shares(command.from) as usize;
    let mut owners = command.owners.clone();
    owners.sort_unstable();
    owners.dedup();
    owners.retain(|(id, seq)| {
        let message = state.queues.get(id).and_then(|queue| queue.messages.get(*seq));
        message.is_some_and(|message| {
            message.frame.at == command.from && message.frame.bytes as usize == command.frame.len()
        })
    });
    let moved = owners.len() == shares;
    if moved {
        let frame = effects.frame(|out| out.extend_from_slice(&command.frame));
        effects.push(MessageFact::Relocated { from: command.from, owners, frame });
    }
    Ok((moved, Wait::Record))
}
