//! Receives. A receive is answered at once if there is a message; else it becomes a long poll, which
//! the next message ends.

use kyu_engine::{Acquire, Command, QueueId, Reply};
use kyu_log::Log;

use super::Core;
use crate::error::Error;
use crate::limits::MAX_WAIT_MS;
use crate::outbox::Response;
use crate::waiters::{ReceiveId, Waiter};

impl<T: Send + 'static, L: Log> Core<T, L> {
    /// Leases messages, waiting up to `wait_ms` for the first. Waiting receives are served in order of
    /// arrival. The answer is `Reply::Acquired`, empty when the time is over.
    pub fn receive(&mut self, id: ReceiveId, acquire: Acquire, wait_ms: u64, ticket: T) {
        let waits = wait_ms > 0 && !self.long_polls_ended;
        // A receive that can wait queues up behind the others. An attempt key may name messages
        // that were handed out before: those are there even when the queue has none to give.
        let (queue, order) = (acquire.queue, acquire.order);
        if waits && acquire.attempt_id.is_none() && self.waiters.waits_on(queue, order) {
            return self.wait(id, acquire, wait_ms, ticket);
        }
        let command = Command::Acquire(acquire);
        match (self.execute(&command), command) {
            (Ok((Reply::Acquired(none), _)), Command::Acquire(acquire))
                if waits && none.is_empty() =>
            {
                self.wait(id, acquire, wait_ms, ticket);
            }
            (Ok((reply, until)), _) => self.reply(ticket, Ok(Response::Reply(reply)), until),
            (Err(error), _) => self.reply(ticket, Err(error), self.all()),
        }
        // An acquire may dead-letter messages into a queue that somebody waits on.
        self.serve_woken();
    }

    /// Ends a long poll whose caller has gone; nothing happens when it has been answered already.
    pub fn cancel(&mut self, queue: QueueId, id: ReceiveId) {
        self.waiters.remove(queue, id);
    }

    /// Answers a long poll that waits; nothing happens when it has been answered already.
    pub fn end_wait(&mut self, queue: QueueId, id: ReceiveId) {
        if let Some(waiter) = self.waiters.remove(queue, id) {
            self.reply_empty(waiter.ticket);
        }
    }

    /// The number of waiting long polls.
    pub fn waiting(&self) -> usize {
        self.waiters.len()
    }

    fn wait(&mut self, id: ReceiveId, acquire: Acquire, wait_ms: u64, ticket: T) {
        if self.waiters.len() >= self.policy.max_waiting_receives {
            return self.reply(ticket, Err(Error::Overloaded), self.all());
        }
        let deadline_ms = self.now_ms + wait_ms.min(MAX_WAIT_MS);
        self.waiters.add(id, Waiter { acquire, deadline_ms, ticket });
    }

    /// Serves the long polls of queues that may have got a message.
    pub(super) fn serve_woken(&mut self) {
        self.engine.take_woken(&mut self.woken);
        while let Some(queue) = self.woken.pop() {
            self.serve(queue);
            self.engine.take_woken(&mut self.woken);
        }
    }

    /// Serves the long polls of a queue, the oldest first, until the queue has no more to give. A
    /// receive in one order may find nothing (its lanes wait for a message in flight) where another
    /// finds some.
    fn serve(&mut self, queue: QueueId) {
        let mut served_out = Vec::new();
        while let Some((id, waiter)) = self.waiters.first(queue, &served_out) {
            let order = waiter.acquire.order;
            let command = Command::Acquire(waiter.acquire.clone());
            let (result, until) = match self.execute(&command) {
                Ok((Reply::Acquired(none), _)) if none.is_empty() => {
                    served_out.push(order);
                    continue;
                }
                Ok((reply, until)) => (Ok(Response::Reply(reply)), until),
                Err(error) => (Err(error), self.all()),
            };
            if let Some(waiter) = self.waiters.remove(queue, id) {
                self.reply(waiter.ticket, result, until);
            }
        }
    }

    /// Answers all long polls and accepts no new ones, because the server is about to end. Everything
    /// else goes on.
    pub fn end_long_polls(&mut self) {
        self.long_polls_ended = true;
        while let Some(waiter) = self.waiters.pop() {
            self.reply_empty(waiter.ticket);
        }
    }

    /// Answers a receive with no messages.
    pub(super) fn reply_empty(&mut self, ticket: T) {
        self.reply(ticket, Ok(Response::Reply(Reply::Acquired(Vec::new()))), self.all());
    }
}
