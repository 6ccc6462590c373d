//! Unique keys: while a message with one is surely there, no other comes in, but in its place.

use kyu_broker::{DuplicateOf, Enqueued, NewMessage, QueueId, UniquePolicy};

use super::{Auditor, Request};
use crate::coverage::Event;
use crate::violation::{Violation, ensure};

impl Auditor {
    /// The messages of a queue that hold or may hold the key of this one.
    fn holders(&self, message: &NewMessage, number: u64) -> Vec<(u64, QueueId)> {
        let (Some(unique), Some(queue)) = (&message.unique, message.queues.first()) else {
            return Vec::new();
        };
        let open = self.open.get(queue).into_iter().flatten();
        let same = open.filter(|other| {
            let key = self.messages.get(other).and_then(|book| book.unique.as_ref());
            **other != number && key == Some(&unique.key)
        });
        same.map(|other| (*other, *queue)).collect()
    }

    /// Returns true if its identifier was never told: its send was cut off.
    fn is_nameless(&self, key: &(u64, QueueId)) -> bool {
        self.messages.get(&key.0).is_some_and(|book| book.message_id.is_none())
    }

    /// A message on its way may replace another.
    pub(super) fn note_unique(&mut self, message: &NewMessage, number: u64, request: &mut Request) {
        let replaces = |message: &NewMessage| {
            message.unique.as_ref().is_some_and(|unique| unique.policy == UniquePolicy::Replace)
        };
        if replaces(message) {
            for key in self.holders(message, number) {
                self.doubt(key, request);
            }
        }
    }

    /// Returns true if the answer is a duplicate; a wrong one is a violation.
    pub(super) fn check_unique(
        &mut self,
        message: &NewMessage,
        number: u64,
        enqueued: &Enqueued,
        request: &Request,
    ) -> Result<bool, Violation> {
        let Some(unique) = &message.unique else { return Ok(false) };
        let holders = self.holders(message, number);
        let queue = message.queues.first().copied().unwrap_or(QueueId(0));
        if enqueued.duplicate {
            ensure!(
                unique.policy == UniquePolicy::Keep
                    || enqueued.duplicate_of == Some(DuplicateOf::UniqueInFlight),
                "message {number} was to replace another: {enqueued:?}"
            );
            match self.ids.get(&enqueued.message_id) {
                Some(of) => {
                    let copy = self.copies.get(&(*of, queue));
                    let gone = copy
                        .is_some_and(|copy| copy.gone.is_some_and(|event| event < request.event));
                    ensure!(!gone, "message {number} is no duplicate of {of}, which is gone");
                }
                None => ensure!(
                    holders.iter().any(|key| self.is_nameless(key)),
                    "message {number} is called a duplicate of a message that nobody sent"
                ),
            }
            self.coverage.note(Event::UniqueKept);
            return Ok(true);
        }
        // A name that nobody knows is that of a message whose send was cut off: one of these.
        let replaced = enqueued.replaced.and_then(|id| self.ids.get(&id).copied());
        let unknown = enqueued.replaced.is_some() && replaced.is_none();
        let nameless = holders.iter().filter(|key| unknown && self.is_nameless(key));
        let nameless: Vec<(u64, QueueId)> = nameless.copied().collect();
        for key in &holders {
            // A dead letter holds no key.
            let buried = self.copies.get(key).is_some_and(|copy| copy.buried);
            ensure!(
                buried
                    || !self.surely_there(key)
                    || replaced == Some(key.0)
                    || nameless.contains(key),
                "message {number} came in beside {}, which holds {:?}",
                key.0,
                unique.key
            );
        }
        if enqueued.replaced.is_some() {
            self.coverage.note(Event::UniqueReplaced);
        }
        if let Some(old) = replaced {
            self.remove(&(old, queue));
        }
        match nameless.as_slice() {
            [only] => self.remove(only),
            several => several.iter().for_each(|key| self.not_sure(key)),
        }
        Ok(false)
    }
}
