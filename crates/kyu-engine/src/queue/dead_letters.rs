//! The place that a dead message goes to. One function decides it, and it has three answers.

use kyu_model::limits::MAX_BROWSED;
use kyu_model::{DeadReason, ExpiredTo, QueueName, RetentionFrom, Seq};

use crate::queue::message_record::{Arrival, MoveReason};
use crate::queue::store::Queue;
use crate::state::State;

/// The place that a dead message goes to.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// It moves to this queue.
    Queue(&'a Queue),
    /// The queue that the settings name does not exist, or is the message's own: a failed attempt
    /// is followed by another, and a message that must not be tried again is kept until that queue
    /// exists.
    Missing,
    /// The settings name no queue: it is kept where it is.
    Nowhere,
}

impl State {
    /// Returns the place that a message of this queue goes to if it is dead for this reason.
    pub(crate) fn place_of_dead(&self, queue: &Queue, reason: DeadReason) -> Place<'_> {
        let config = &queue.info.config;
        let by_rule = config.dead_letter.as_ref().map(|rule| &rule.target);
        let name = match (reason, &config.expired_to) {
            (DeadReason::MaxReceives | DeadReason::Rejected, _)
            | (DeadReason::Deadline | DeadReason::Retention, ExpiredTo::DeadLetterQueue) => by_rule,
            (DeadReason::Deadline | DeadReason::Retention, ExpiredTo::Queue(name)) => Some(name),
            (DeadReason::Deadline | DeadReason::Retention, ExpiredTo::Nowhere) => None,
        };
        match name.map(|name| self.other_queue(queue, name)) {
            Some(Some(target)) => Place::Queue(target),
            Some(None) => Place::Missing,
            None => Place::Nowhere,
        }
    }

    fn other_queue(&self, queue: &Queue, name: &QueueName) -> Option<&Queue> {
        self.by_name(name).filter(|target| target.id() != queue.id())
    }

    /// Returns the count of receives from which on a message is moved instead of received, if there
    /// is a queue to move it to.
    pub(crate) fn max_receives(&self, queue: &Queue) -> u32 {
        let rule = queue.info.config.dead_letter.as_ref();
        match (rule, self.place_of_dead(queue, DeadReason::MaxReceives)) {
            (Some(rule), Place::Queue(_)) => rule.max_receives,
            _ => u32::MAX,
        }
    }

    /// Returns at most `most` dead letters of this queue that now have a queue to go to, and that
    /// queue.
    pub(crate) fn dead_that_go<'a>(
        &'a self,
        queue: &'a Queue,
        most: usize,
    ) -> impl Iterator<Item = (Seq, &'a Queue, MoveReason)> {
        let looked_at = queue.dead.iter().take(MAX_BROWSED);
        let going = looked_at.filter_map(|seq| {
            let reason = queue.messages.get(*seq)?.dead_reason?;
            match self.place_of_dead(queue, reason) {
                Place::Queue(target) => Some((*seq, target, MoveReason::of(reason))),
                Place::Missing | Place::Nowhere => None,
            }
        });
        going.take(most)
    }
}

impl Queue {
    /// Returns what a dead letter of this queue takes along to the other queue.
    pub(crate) fn arrival_at(&self, target: &Self, reason: MoveReason) -> Arrival {
        let keeps = match reason {
            // Amazon SQS developer guide, "Using dead-letter queues".
            MoveReason::MaxReceives | MoveReason::Rejected => {
                self.info.config.retention_from == RetentionFrom::Sent && !target.is_fifo()
            }
            // Its old age would be its end at once.
            MoveReason::Deadline | MoveReason::Retention => false,
            MoveReason::Redrive => return Arrival::ByReason,
        };
        if keeps { Arrival::WithAge } else { Arrival::Anew }
    }
}
