//! Applying effects, which is small and total: a record is carried out as far as the state allows,
//! without any judgement, and cannot fail. Code in the files called `apply` may only be added to,
//! because a record must mean the same for ever.

use kyu_model::{Address, UnixMs};

use crate::effect::{Effect, Effects};
use crate::state::State;

impl State {
    /// Applies a record whose first byte is at `base` in the log.
    pub(crate) fn apply(&mut self, effects: &Effects, base: Address) {
        self.apply_from(effects, 0, base);
    }

    /// Applies the effects of a record from the given one on.
    pub(crate) fn apply_from(&mut self, effects: &Effects, first: usize, base: Address) {
        for effect in effects.list.iter().skip(first) {
            self.apply_one(effect, base);
        }
    }

    fn apply_one(&mut self, effect: &Effect, base: Address) {
        match effect {
            Effect::Queue(fact) => self.apply_queue(fact),
            Effect::Message(fact) => self.apply_message(fact, base),
            Effect::Claim(fact) => self.apply_claim(fact),
            Effect::Retry(fact) => self.apply_retry(fact),
            Effect::MoveTask(fact) => self.apply_task(fact),
            Effect::Exchange(fact) => self.apply_exchange(fact),
            Effect::Ledger(fact) => self.apply_ledger(fact),
            Effect::Schedule(fact) => self.apply_schedule(fact),
        }
    }

    pub(crate) fn note_time(&mut self, at_ms: UnixMs) {
        *self.last_time_ms = (*self.last_time_ms).max(at_ms);
    }
}
