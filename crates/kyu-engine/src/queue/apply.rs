//! Applying the facts of queues and their messages.

use std::sync::Arc;

use kyu_model::limits::ATTEMPT_WINDOW_MS;
use kyu_model::{
    Address, EndKind, MessageId, Phase, QueueConfig, QueueId, QueueInfo, QueueName, Receipt, Seq,
    UnixMs,
};

use crate::queue::attempts::Attempt;
use crate::queue::dedup::Original;
use crate::queue::ends::end_of;
use crate::queue::message::{FrameRef, History, Message, Source};
use crate::queue::message_record::{
    Arrival, EnqueuedFact, FramePlace, LeaseEnd, MessageFact, MoveReason, Removal,
};
use crate::queue::record::QueueFact;
use crate::queue::store::Queue;
use crate::state::{DirectoryChange, State};

impl State {
    pub(crate) fn apply_queue(&mut self, fact: &QueueFact) {
        match fact {
            QueueFact::Created { queue, at_ms, name, config } => {
                self.create_queue(*queue, *at_ms, name, config);
            }
            QueueFact::Configured { queue, at_ms, config } => {
                self.configure_queue(*queue, *at_ms, config);
            }
            QueueFact::Deleted { queue, at_ms } => self.delete_queue(*queue, *at_ms),
            QueueFact::Purged { queue, at_ms } => self.purge_queue(*queue, *at_ms),
            QueueFact::Paused { queue, at_ms, paused } => {
                self.pause_queue(*queue, *at_ms, *paused);
            }
            QueueFact::LanePaused { queue, at_ms, lane, paused } => {
                self.pause_lane(*queue, *at_ms, lane, *paused);
            }
            QueueFact::PauseEnds { queue, lane, until_ms } => {
                self.set_pause_end(*queue, lane.as_deref(), *until_ms);
            }
            QueueFact::Swept { queue, at_ms } => self.sweep(*queue, *at_ms),
            QueueFact::NamesSwept { before_ms } => {
                self.deleted_names.all_mut().retain(|_, at_ms| *at_ms >= *before_ms);
            }
        }
    }

    pub(crate) fn apply_message(&mut self, fact: &MessageFact, base: Address) {
        match fact {
            MessageFact::Enqueued(enqueued) => self.enqueue(enqueued, base),
            MessageFact::Leased { queue, at_ms, epoch, end, attempt, seqs } => {
                self.lease(*queue, *at_ms, *epoch, *end, seqs);
                if let (Some(id), LeaseEnd::At(until_ms)) = (attempt, end) {
                    self.note_attempt(*queue, id, *at_ms, *until_ms, seqs);
                }
            }
            MessageFact::Removed { queue, reason, seqs, at_ms } => {
                self.remove(*queue, *reason, seqs, *at_ms);
            }
            MessageFact::Released { queue, seq, ready_at_ms, order, counted } => {
                self.release(*queue, *seq, *ready_at_ms, *order, *counted);
            }
            MessageFact::Extended { queue, seq, until_ms } => self.extend(*queue, *seq, *until_ms),
            MessageFact::Promoted { queue, seqs } => {
                for seq in seqs {
                    self.release(*queue, *seq, None, None, true);
                }
            }
            MessageFact::Moved { from, seq, to, to_seq, at_ms, reason, arrival } => {
                self.move_message((*from, *seq), (*to, *to_seq), *at_ms, (*reason, *arrival));
                self.note_move(*to, base);
            }
            MessageFact::Relocated { from, owners, frame } => {
                self.relocate(*from, owners, *frame, base);
            }
            MessageFact::AttemptRepeated { queue, attempt, until_ms } => {
                self.repeat_attempt(*queue, attempt, *until_ms);
            }
            MessageFact::KeptDead { queue, seq, at_ms, reason } => {
                self.keep_dead(*queue, *seq, *at_ms, *reason);
            }
            MessageFact::Revived { queue, seq, at_ms } => self.revive(*queue, *seq, *at_ms),
            MessageFact::Receivable { queue, at_ms, seqs } => {
                self.begin_retention(*queue, *at_ms, seqs);
            }
            MessageFact::UniqueTaken(taken) => self.apply_unique(taken),
            MessageFact::Prioritised { queue, priority, seqs } => {
                self.prioritise(*queue, *priority, seqs);
            }
        }
    }

    fn create_queue(&mut self, id: QueueId, at_ms: UnixMs, name: &QueueName, config: &QueueConfig) {
        self.note_time(at_ms);
        let info = Arc::new(QueueInfo {
            id,
            name: name.clone(),
            config: config.clone(),
            version: 1,
            created_at_ms: at_ms,
            modified_at_ms: at_ms,
        });
        *self.next_queue = (*self.next_queue).max(id.0 + 1);
        self.deleted_names.remove(name);
        self.names.insert(name, id);
        self.directory_changes.push(DirectoryChange::Put(info.clone()));
        self.queues.insert(id, Queue::new(info));
        self.wake_dead(name);
    }

    fn configure_queue(&mut self, id: QueueId, at_ms: UnixMs, config: &QueueConfig) {
        self.note_time(at_ms);
        self.change_guards(id, config);
        let Some(queue) = self.queues.get_mut(&id) else { return };
        queue.configure(config, at_ms);
        self.directory_changes.push(DirectoryChange::Put(queue.info.clone()));
        // A shorter retention or a new dead-letter rule may have work at once.
        *queue.dead_may_go = true;
        let due_ms = queue.next_due_ms();
        self.watch(id, due_ms);
        self.wake(id);
    }

    fn delete_queue(&mut self, id: QueueId, at_ms: UnixMs) {
        self.note_time(at_ms);
        self.watch(id, None);
        let Some(queue) = self.queues.get(&id) else { return };
        let name = queue.info.name.clone();
        self.frames.free_all(queue.messages.iter().map(|(_, message)| message.frame));
        self.queues.remove(&id);
        self.names.remove(&name);
        self.deleted_names.insert(&name, at_ms);
        self.drop_tasks(id);
        self.wake(id);
        self.directory_changes.push(DirectoryChange::Removed(id));
    }

    fn purge_queue(&mut self, id: QueueId, at_ms: UnixMs) {
        self.note_time(at_ms);
        self.watch(id, None);
        let Some(queue) = self.queues.get(&id) else { return };
        self.frames.free_all(queue.messages.iter().map(|(_, message)| message.frame));
        let empty = queue.purged(at_ms);
        // Tokens that were used stay used, and breakers open.
        let due_ms = empty.next_due_ms();
        self.queues.insert(id, empty);
        self.watch(id, due_ms);
    }

    fn enqueue(&mut self, e: &EnqueuedFact, base: Address) {
        self.note_time(e.at_ms);
        let frame = FrameRef { at: base + u64::from(e.frame.offset), bytes: e.frame.bytes };
        let Some(queue) = self.queues.get_mut(&e.queue) else { return };
        *queue.next_seq = (*queue.next_seq).max(e.seq + 1);
        queue.totals.sent += 1;
        let mut message = Message::new(frame, e.seq, e.at_ms);
        // A reserved number may come after greater ones.
        message.out_of_age_order = e.at_ms < *queue.newest_ms || e.seq < *queue.newest_seq;
        *queue.newest_seq = (*queue.newest_seq).max(e.seq);
        *queue.newest_ms = (*queue.newest_ms).max(e.at_ms);
        message.phase = e.ready_at_ms.map_or(Phase::Ready, Phase::Delayed);
        message.set_expiry(e.expires_at_ms);
        message.priority = e.priority;
        message.via = e.via;
        message.lane = queue.lane_of(e.lane.as_deref());
        if let Some((id, until_ms)) = &e.dedup {
            let key = queue.dedup_key(e.lane.as_deref(), id);
            let message_id = MessageId(e.message_id);
            let original = Original { message_id, seq: e.seq, until_ms: *until_ms };
            self.remember_id(e.queue, &key, original);
        }
        self.frames.hold(frame, e.shares);
        self.put(e.queue, e.seq, Some(message));
    }

    fn lease(&mut self, id: QueueId, at_ms: UnixMs, epoch: u32, end: LeaseEnd, seqs: &[Seq]) {
        self.note_time(at_ms);
        let metered = self.queues.get(&id).is_some_and(|queue| queue.lanes.limits.is_metered());
        for seq in seqs {
            let Some(queue) = self.queues.get_mut(&id) else { return };
            let Some(mut message) = queue.messages.get(*seq) else { continue };
            queue.totals.received += 1;
            let history = &mut message.history;
            history.deliveries += 1;
            history.receives += 1;
            history.epoch = epoch;
            history.given_back = false;
            history.last_received_at_ms = at_ms;
            if history.first_received_at_ms == 0 {
                history.first_received_at_ms = at_ms;
            }
            message.forget_consumer();
            message.phase = match end {
                LeaseEnd::At(until_ms) => Phase::Leased(until_ms),
                LeaseEnd::Session(session) => Phase::Held(session),
            };
            let lane = message.lane;
            self.charge(id, lane);
            self.put(id, *seq, Some(message));
            if metered {
                self.take_tokens(id, lane, at_ms);
            }
        }
        if metered {
            self.end_metering(id, at_ms);
        }
    }

    fn note_attempt(
        &mut self,
        id: QueueId,
        attempt_id: &str,
        at_ms: UnixMs,
        leased_until_ms: UnixMs,
        seqs: &[Seq],
    ) {
        let Some(queue) = self.queues.get(&id) else { return };
        let receipts = seqs.iter().filter_map(|seq| {
            let history = queue.messages.get(*seq)?.history;
            Some(Receipt {
                queue: id,
                seq: *seq,
                delivery: history.deliveries,
                epoch: history.epoch,
            })
        });
        let until_ms = at_ms.saturating_add(ATTEMPT_WINDOW_MS);
        let attempt = Attempt { until_ms, leased_until_ms, receipts: receipts.collect() };
        self.remember_attempt(id, attempt_id, attempt);
    }

    fn repeat_attempt(&mut self, id: QueueId, attempt_id: &str, until_ms: UnixMs) {
        let Some(attempt) = self.queues.get(&id).and_then(|q| q.attempts.get(attempt_id, 0)) else {
            return;
        };
        let attempt = Attempt { leased_until_ms: until_ms, ..attempt.clone() };
        for receipt in &attempt.receipts {
            self.extend(id, receipt.seq, until_ms);
        }
        self.remember_attempt(id, attempt_id, attempt);
    }

    fn remove(&mut self, id: QueueId, reason: Removal, seqs: &[Seq], at_ms: Option<UnixMs>) {
        if let Some(at_ms) = at_ms {
            self.note_time(at_ms);
        }
        for seq in seqs {
            let Some(message) = self.put(id, *seq, None) else { continue };
            self.frames.free(message.frame);
            let Some(queue) = self.queues.get_mut(&id) else { return };
            match reason {
                Removal::Acked => {
                    queue.totals.acked += 1;
                    let (epoch, deliveries) = (message.history.epoch, message.history.deliveries);
                    self.note_finished(id, *seq, &message, epoch, deliveries);
                }
                Removal::Expired | Removal::Deadline => {
                    queue.totals.expired += 1;
                    queue.totals.expired_by_deadline += u64::from(reason == Removal::Deadline);
                    // It may have stood before messages that somebody waits for.
                    self.wake(id);
                }
                Removal::Dropped => queue.totals.dropped += 1,
                Removal::Rejected => queue.totals.rejected += 1,
                Removal::Cancelled => queue.totals.cancelled += 1,
            }
            if let (Some(kind), Some(at_ms)) = (reason.end_kind(), at_ms) {
                self.remember_end(id, end_of(*seq, at_ms, kind, &message));
            }
        }
        self.sweep_lanes(id);
    }

    fn release(
        &mut self,
        id: QueueId,
        seq: Seq,
        ready_at_ms: Option<UnixMs>,
        order: Option<u64>,
        counted: bool,
    ) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let Some(mut message) = queue.messages.get(seq) else { return };
        if let Some(order) = order {
            message.order = order;
            *queue.next_seq = (*queue.next_seq).max(order + 1);
        }
        if !counted {
            message.history.receives = message.history.receives.saturating_sub(1);
            message.history.given_back = true;
        }
        message.phase = ready_at_ms.map_or(Phase::Ready, Phase::Delayed);
        self.put(id, seq, Some(message));
        self.sweep_lanes(id);
    }

    fn extend(&mut self, id: QueueId, seq: Seq, until_ms: UnixMs) {
        let Some(queue) = self.queues.get(&id) else { return };
        let Some(mut message) = queue.messages.get(seq) else { return };
        message.phase = Phase::Leased(until_ms);
        self.put(id, seq, Some(message));
    }

    /// A trial has no place in the log, and what it hands out waits for its own record.
    fn note_move(&mut self, to: QueueId, base: Address) {
        if !self.in_trial()
            && let Some(queue) = self.queues.get_mut(&to)
        {
            queue.moved_in_by = base + 1;
        }
    }

    fn move_message(
        &mut self,
        (from, seq): (QueueId, Seq),
        (to, to_seq): (QueueId, Seq),
        at_ms: UnixMs,
        (reason, arrival): (MoveReason, Arrival),
    ) {
        self.note_time(at_ms);
        if !self.queues.contains_key(&to) {
            return;
        }
        let guarded_by = self.queues.get(&from).and_then(|source| source.guard_keys.get(seq));
        let Some(mut message) = self.put(from, seq, None) else { return };
        let Some(source) = self.queues.get_mut(&from) else { return };
        source.totals.moved_out += 1;
        match reason {
            MoveReason::MaxReceives => source.totals.dead_by_receives += 1,
            MoveReason::Rejected => source.totals.dead_by_rejection += 1,
            MoveReason::Deadline => source.totals.dead_by_deadline += 1,
            MoveReason::Retention => source.totals.dead_by_retention += 1,
            MoveReason::Redrive => {}
        }
        // The lane is swept only at the end, so its key can still be read.
        let lane = source.lane_key(&message).map(str::to_owned);
        let source_name = Arc::new(source.info.name.clone());
        if matches!(reason, MoveReason::Deadline | MoveReason::Retention) {
            // It may have stood before messages that somebody waits for.
            self.wake(from);
        }
        let Some(target) = self.queues.get_mut(&to) else { return };
        *target.next_seq = (*target.next_seq).max(to_seq + 1);
        *target.newest_seq = (*target.newest_seq).max(to_seq);
        target.totals.moved_in += 1;
        let target_name = Arc::new(target.info.name.clone());
        let mut end = end_of(seq, at_ms, EndKind::Moved, &message);
        (end.to, end.dead_reason) = (Some((target_name, to_seq)), reason.dead());
        arrive(&mut message, source_name, target.is_fifo(), at_ms, (reason, arrival));
        message.out_of_age_order = message.enqueued_at_ms < *target.newest_ms;
        *target.newest_ms = (*target.newest_ms).max(message.enqueued_at_ms);
        message.order = to_seq;
        message.phase = Phase::Ready;
        message.lane = target.lane_of(lane.as_deref());
        self.put(to, to_seq, Some(message));
        if guarded_by.is_some()
            && let Some(target) = self.queues.get_mut(&to)
        {
            target.set_guard_value(to_seq, guarded_by);
        }
        self.remember_end(from, end);
        self.sweep_lanes(from);
    }

    fn relocate(
        &mut self,
        from: Address,
        owners: &[(QueueId, Seq)],
        place: FramePlace,
        base: Address,
    ) {
        let to = FrameRef { at: base + u64::from(place.offset), bytes: place.bytes };
        let mut old = None;
        for (id, seq) in owners {
            let message = self.queues.get(id).and_then(|queue| queue.messages.get(*seq));
            if let Some(mut message) = message.filter(|m| m.frame.at == from) {
                old = Some(message.frame);
                message.frame = to;
                self.put(*id, *seq, Some(message));
            }
        }
        if let Some(old) = old {
            self.frames.shift(old, to);
        }
    }

    fn sweep(&mut self, id: QueueId, at_ms: UnixMs) {
        self.note_time(at_ms);
        if let Some(queue) = self.queues.get_mut(&id) {
            queue.dedup.all_mut().sweep(at_ms);
            queue.attempts.all_mut().sweep(at_ms);
            if !queue.in_trial() {
                queue.lanes.limits.buckets.sweep(at_ms);
            }
        }
        self.sweep_unique(id, at_ms);
    }

    pub(crate) fn sweep_lanes(&mut self, id: QueueId) {
        if !self.in_trial()
            && let Some(queue) = self.queues.get_mut(&id)
        {
            queue.lanes.sweep();
        }
    }
}

/// Returns the message as it arrives after a move, except for its place in its new queue.
fn arrive(
    message: &mut Message,
    source: Arc<QueueName>,
    to_fifo: bool,
    at_ms: UnixMs,
    (reason, arrival): (MoveReason, Arrival),
) {
    match reason.dead() {
        Some(dead) => {
            let receives = match arrival {
                Arrival::ByReason => message.receives_before(),
                Arrival::WithAge | Arrival::Anew => message.total_receives(),
            };
            message.source = Some(Arc::new(Source { queue: source, receives }));
            message.dead_reason = Some(dead);
            // A dead letter is evidence: its own deadline is no reason to remove it.
            message.set_expiry(None);
        }
        None => {
            message.source = None;
            message.dead_reason = None;
            message.history = History::default();
        }
    }
    if arrival != Arrival::ByReason {
        message.history.receives = 0;
    }
    message.stale_acked = false;
    // A dead letter of a standard queue keeps its age (SQS developer guide, "Using dead-letter
    // queues"); in a FIFO queue and after a redrive the clock starts anew. So it does where its old
    // age would be its end at once.
    let anew = [MoveReason::Redrive, MoveReason::Deadline, MoveReason::Retention];
    let begins_anew = match arrival {
        Arrival::ByReason => anew.contains(&reason) || to_fifo,
        Arrival::WithAge => false,
        Arrival::Anew => true,
    };
    if begins_anew {
        message.enqueued_at_ms = at_ms;
        message.receivable_at_ms = 0;
    }
}
