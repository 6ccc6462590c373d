//! Applying the facts of unique keys. As in `apply.rs`: nothing is judged, nothing can fail, and
//! code may only be added to.

use kyu_model::{MessageId, QueueId, Seq, UnixMs};

use crate::queue::unique::{Holder, UniqueTaken};
use crate::state::State;

impl State {
    pub(crate) fn apply_unique(&mut self, effect: &UniqueTaken) {
        let holder = Holder {
            message_id: MessageId(effect.message_id),
            seq: effect.seq,
            until_done: effect.until_done,
            there: true,
            until_ms: effect.until_ms,
        };
        self.put_holder(effect.queue, &effect.key, Some(holder));
    }

    /// A message leaves its queue: its key is free now, or when its time is over.
    pub(crate) fn free_unique(&mut self, id: QueueId, seq: Seq) {
        let Some(queue) = self.queues.get(&id) else { return };
        let Some(key) = queue.unique.key_of(seq) else { return };
        let Some(holder) = queue.unique.get(&key) else { return };
        let rest = holder.until_ms.map(|_| Holder { there: false, ..holder });
        self.put_holder(id, &key, rest);
    }

    pub(crate) fn sweep_unique(&mut self, id: QueueId, now_ms: UnixMs) {
        let Some(queue) = self.queues.get(&id) else { return };
        for (key, holder) in queue.unique.expired(now_ms) {
            let rest = holder.holds_by_being_there().then_some(Holder { until_ms: None, ..holder });
            self.put_holder(id, &key, rest);
        }
    }
}
