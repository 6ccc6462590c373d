//! Long polls that found their queue empty: first come, first served, each with its own deadline.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kyu_engine::{Acquire, Order, QueueId, UnixMs};

/// The identifier of one receive; unique, and rising in order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReceiveId(pub u64);

/// A waiting receive.
#[derive(Debug)]
pub(crate) struct Waiter<T> {
    pub(crate) acquire: Acquire,
    pub(crate) deadline_ms: UnixMs,
    pub(crate) ticket: T,
}

/// All waiting receives. Nothing iterates over the hash map, so its order shows nowhere.
#[derive(Debug)]
pub(crate) struct Waiters<T> {
    by_queue: HashMap<QueueId, BTreeMap<ReceiveId, Waiter<T>>>,
    deadlines: BTreeSet<(UnixMs, ReceiveId, QueueId)>,
}

impl<T> Waiters<T> {
    pub(crate) fn new() -> Self {
        Self { by_queue: HashMap::new(), deadlines: BTreeSet::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.deadlines.len()
    }

    /// Returns true if a receive with this order waits on a queue.
    pub(crate) fn waits_on(&self, queue: QueueId, order: Order) -> bool {
        let waiters = self.by_queue.get(&queue);
        waiters.is_some_and(|all| all.values().any(|waiter| waiter.acquire.order == order))
    }

    pub(crate) fn add(&mut self, id: ReceiveId, waiter: Waiter<T>) {
        let queue = waiter.acquire.queue;
        self.deadlines.insert((waiter.deadline_ms, id, queue));
        self.by_queue.entry(queue).or_default().insert(id, waiter);
    }

    /// The receive that has waited longest on a queue, but for those with the orders in `except`.
    pub(crate) fn first(
        &self,
        queue: QueueId,
        except: &[Order],
    ) -> Option<(ReceiveId, &Waiter<T>)> {
        let mut waiters = self.by_queue.get(&queue)?.iter();
        let (id, waiter) = waiters.find(|(_, w)| !except.contains(&w.acquire.order))?;
        Some((*id, waiter))
    }

    pub(crate) fn remove(&mut self, queue: QueueId, id: ReceiveId) -> Option<Waiter<T>> {
        let waiters = self.by_queue.get_mut(&queue)?;
        let waiter = waiters.remove(&id)?;
        if waiters.is_empty() {
            self.by_queue.remove(&queue);
        }
        self.deadlines.remove(&(waiter.deadline_ms, id, queue));
        Some(waiter)
    }

    /// Removes and returns one receive whose time is over.
    pub(crate) fn pop_expired(&mut self, now_ms: UnixMs) -> Option<Waiter<T>> {
        let &(deadline_ms, id, queue) = self.deadlines.first()?;
        if deadline_ms > now_ms {
            return None;
        }
        self.remove(queue, id)
    }

    /// Removes and returns any receive.
    pub(crate) fn pop(&mut self) -> Option<Waiter<T>> {
        self.pop_expired(UnixMs::MAX)
    }

    pub(crate) fn next_deadline_ms(&self) -> Option<UnixMs> {
        self.deadlines.first().map(|(deadline_ms, ..)| *deadline_ms)
    }
}

#[cfg(test)]
mod tests {
    use kyu_engine::Lease;

    use super::*;

    fn waiter(queue: u32, deadline_ms: UnixMs) -> Waiter<u64> {
        let acquire = Acquire {
            queue: QueueId(queue),
            max_messages: 1,
            max_bytes: 1,
            lease: Lease::QueueDefault,
            order: Order::OfQueue,
            attempt_id: None,
            consumer: None,
            with_history: false,
        };
        Waiter { acquire, deadline_ms, ticket: deadline_ms }
    }

    #[test]
    fn the_longest_waiting_is_first_and_deadlines_pass_in_order() {
        let mut waiters = Waiters::new();
        waiters.add(ReceiveId(1), waiter(1, 30));
        waiters.add(ReceiveId(2), waiter(1, 10));
        waiters.add(ReceiveId(3), waiter(2, 20));
        assert_eq!(waiters.first(QueueId(1), &[]).map(|(id, _)| id), Some(ReceiveId(1)));
        assert_eq!(waiters.next_deadline_ms(), Some(10));
        assert!(waiters.pop_expired(9).is_none());
        assert_eq!(waiters.pop_expired(25).map(|w| w.ticket), Some(10));
        assert_eq!(waiters.pop_expired(25).map(|w| w.ticket), Some(20));
        assert!(waiters.pop_expired(25).is_none());
        assert!(waiters.remove(QueueId(1), ReceiveId(1)).is_some());
        assert_eq!(waiters.len(), 0);
        assert!(!waiters.waits_on(QueueId(1), Order::OfQueue));
        assert!(waiters.remove(QueueId(1), ReceiveId(1)).is_none());
    }
}
