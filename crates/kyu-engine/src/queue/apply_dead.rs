//! Applying the facts of dead letters that had nowhere to go: they are kept where they are, and
//! brought back.

use std::sync::Arc;

use kyu_model::{Phase, QueueId, Seq, UnixMs};

use crate::queue::message::{History, Source};
use crate::queue::message_record::MoveReason;
use crate::state::State;

impl State {
    pub(crate) fn keep_dead(&mut self, id: QueueId, seq: Seq, at_ms: UnixMs, reason: MoveReason) {
        self.note_time(at_ms);
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let Some(mut message) = queue.messages.get(seq) else { return };
        queue.totals.kept_dead += 1;
        // A dead letter of another queue still belongs there.
        message.source.get_or_insert_with(|| {
            let queue = Arc::new(queue.info.name.clone());
            Arc::new(Source { queue, receives: 0 })
        });
        message.dead_reason = reason.dead();
        message.phase = Phase::Dead(at_ms);
        message.receivable_at_ms = at_ms;
        message.set_expiry(None);
        message.forget_consumer();
        self.put(id, seq, Some(message));
        // Another with its key may come: it would wait for this one for ever.
        self.free_unique(id, seq);
        // It may have stood before messages that somebody waits for.
        self.wake(id);
        self.sweep_lanes(id);
    }

    pub(crate) fn revive(&mut self, id: QueueId, seq: Seq, at_ms: UnixMs) {
        self.note_time(at_ms);
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let Some(mut message) = queue.messages.get(seq) else { return };
        queue.totals.revived += 1;
        message.source = None;
        message.dead_reason = None;
        message.phase = Phase::Ready;
        message.receivable_at_ms = at_ms;
        message.stale_acked = false;
        // Receipts of its last life have their numbers still, and must not be those of new ones.
        let History { deliveries, epoch, .. } = message.history;
        message.history = History { deliveries, epoch, given_back: true, ..History::default() };
        self.put(id, seq, Some(message));
    }
}
