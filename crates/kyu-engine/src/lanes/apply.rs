//! Applying the facts of lanes: tokens that deliveries take, and pauses. As in `apply.rs`, code
//! here may only be added to.

use kyu_model::{QueueId, UnixMs};

use crate::queue::message::LaneId;
use crate::state::State;

impl State {
    /// Charges a lane for a message that is about to be delivered.
    pub(crate) fn charge(&mut self, id: QueueId, lane: LaneId) {
        // A trial is applied once more when it is real.
        if !self.in_trial()
            && let Some(queue) = self.queues.get_mut(&id)
        {
            queue.lanes.charge(lane);
        }
    }

    /// Takes a token of a lane and one of its queue for a message that was delivered.
    pub(crate) fn take_tokens(&mut self, id: QueueId, lane: LaneId, at_ms: UnixMs) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let limits = &queue.lanes.limits;
        if let Some(rate) = &limits.queue_rate {
            let full_at_ns = rate.take(limits.buckets.queue_full_at_ns, at_ms);
            queue.set_bucket(None, full_at_ns);
        }
        let key = queue.lanes.get(lane).and_then(|lane| lane.key.clone());
        if let (Some(rate), Some(key)) = (&queue.lanes.limits.rate, key) {
            let full_at_ns = rate.take(queue.lanes.limits.buckets.lane(&key), at_ms);
            queue.set_bucket(Some(&key), full_at_ns);
        }
    }

    /// Forgets full buckets after deliveries, and watches for the next token.
    pub(crate) fn end_metering(&mut self, id: QueueId, at_ms: UnixMs) {
        let in_trial = self.in_trial();
        let Some(queue) = self.queues.get_mut(&id) else { return };
        if !in_trial {
            queue.lanes.limits.buckets.sweep(at_ms);
        }
        let due_ms = queue.lanes.limits.next_token_ms();
        self.watch_by(id, due_ms);
    }

    pub(crate) fn pause_queue(&mut self, id: QueueId, at_ms: UnixMs, paused: bool) {
        self.note_time(at_ms);
        let Some(queue) = self.queues.get_mut(&id) else { return };
        *queue.paused = paused;
        queue.pause_ends.set(None, None);
        self.wake(id);
    }

    pub(crate) fn pause_lane(&mut self, id: QueueId, at_ms: UnixMs, lane: &str, paused: bool) {
        self.note_time(at_ms);
        let Some(queue) = self.queues.get_mut(&id) else { return };
        queue.set_lane_paused(lane, paused);
        queue.pause_ends.set(Some(lane), None);
        let due_ms = queue.lanes.limits.next_token_ms();
        self.watch_by(id, due_ms);
        self.wake(id);
    }
}

impl State {
    pub(crate) fn set_pause_end(&mut self, id: QueueId, lane: Option<&str>, until_ms: UnixMs) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        queue.pause_ends.set(lane, Some(until_ms));
        self.watch_by(id, Some(until_ms));
    }
}
