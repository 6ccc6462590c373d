//! Applying interventions of people on messages.

use kyu_model::{QueueId, Seq};

use crate::state::State;

impl State {
    pub(crate) fn prioritise(&mut self, id: QueueId, priority: u8, seqs: &[Seq]) {
        for seq in seqs {
            let Some(mut message) = self.message(id, *seq) else { continue };
            message.priority = priority;
            self.put(id, *seq, Some(message));
        }
    }
}
