//! The outbox, where replies wait until the records they depend on are on disk.
//!
//! The engine thread puts them in, the log's writer thread takes them out as soon as a sync
//! returns: no third thread lies between the disk and the reply.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kyu_engine::{Address, Answer, DirectoryChange, Reply};

use crate::directory::Directory;
use crate::error::Error;
use crate::pins::Pin;

/// The result of a request that was carried out.
#[derive(Debug)]
pub enum Response {
    /// A command's reply.
    Reply(Reply),
    /// A query's answer.
    Answer(Answer),
}

/// The end of one request; nothing in it can be lost any more.
#[derive(Debug)]
pub struct Completion<T> {
    /// The ticket that the caller gave with the request.
    pub ticket: T,
    /// The result.
    pub result: Result<Response, Error>,
    /// Keeps the addresses in the response readable.
    pub pin: Pin,
}

/// Something that becomes visible once the log is durable up to an address.
#[derive(Debug)]
pub(crate) enum Held<T> {
    Reply(Completion<T>),
    Directory(Vec<DirectoryChange>),
}

/// The condition under which something may be shown.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// Everything appended so far is durable; these addresses never fall from one to the next.
    Log(Address),
    /// The frames of these deliveries are durable, though their lease is not: leases are logged
    /// lazily (at-least-once), so a hot queue's receive does not wait for its own record.
    Frames(Address),
}

/// The outbox, which the engine thread and the log's writer thread share; see the module.
#[derive(Debug)]
pub(crate) struct Outbox<T> {
    // A std Mutex: held to move entries in or out, never while a reply is delivered.
    state: Mutex<State<T>>,
    directory: Arc<Directory>,
}

#[derive(Debug)]
struct State<T> {
    durable: Address,
    in_log_order: VecDeque<(Address, Held<T>)>,
    /// Keyed by address and arrival.
    by_frames: BTreeMap<(Address, u64), Completion<T>>,
    arrivals: u64,
}

impl<T> Outbox<T> {
    pub(crate) fn new(durable: Address, directory: Arc<Directory>) -> Self {
        let state = State {
            durable,
            in_log_order: VecDeque::new(),
            by_frames: BTreeMap::new(),
            arrivals: 0,
        };
        Self { state: Mutex::new(state), directory }
    }

    pub(crate) fn durable(&self) -> Address {
        self.lock().durable
    }

    /// The number of replies that wait for the disk.
    pub(crate) fn len(&self) -> usize {
        let state = self.lock();
        state.in_log_order.len() + state.by_frames.len()
    }

    /// Takes `batch` in, and adds the replies that need not wait to `done`.
    pub(crate) fn hold(&self, batch: &mut Vec<(Until, Held<T>)>, done: &mut Vec<Completion<T>>) {
        let mut state = self.lock();
        for (until, held) in batch.drain(..) {
            state.insert(until, held);
        }
        state.release(&self.directory, done);
    }

    /// Notes that the log is durable up to `durable`, and adds the replies that waited for it to
    /// `done`.
    pub(crate) fn on_durable(&self, durable: Address, done: &mut Vec<Completion<T>>) {
        let mut state = self.lock();
        state.durable = state.durable.max(durable);
        state.release(&self.directory, done);
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn insert(&mut self, until: Until, held: Held<T>) {
        match (until, held) {
            (Until::Frames(at), Held::Reply(completion)) => {
                self.arrivals += 1;
                self.by_frames.insert((at, self.arrivals), completion);
            }
            (Until::Log(at) | Until::Frames(at), held) => self.in_log_order.push_back((at, held)),
        }
    }

    /// The directory is changed under the lock, so that two threads cannot swap two changes, and
    /// before the replies that come after it.
    fn release(&mut self, directory: &Directory, done: &mut Vec<Completion<T>>) {
        while self.in_log_order.front().is_some_and(|(at, _)| *at <= self.durable) {
            match self.in_log_order.pop_front() {
                Some((_, Held::Reply(completion))) => done.push(completion),
                Some((_, Held::Directory(changes))) => directory.publish(changes),
                None => break,
            }
        }
        while let Some(entry) = self.by_frames.first_entry() {
            if entry.key().0 > self.durable {
                break;
            }
            done.push(entry.remove());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pins::Pins;

    fn reply(ticket: u32) -> Held<u32> {
        let result = Ok(Response::Reply(Reply::QueueDeleted));
        Held::Reply(Completion { ticket, result, pin: Pins::new().pin() })
    }

    fn tickets(done: &mut Vec<Completion<u32>>) -> Vec<u32> {
        done.drain(..).map(|completion| completion.ticket).collect()
    }

    #[test]
    fn nothing_leaves_before_its_address_is_durable() {
        let outbox = Outbox::new(100, Arc::new(Directory::new(std::iter::empty())));
        let mut done = Vec::new();
        let mut batch = vec![
            (Until::Log(100), reply(1)),
            (Until::Log(110), reply(2)),
            (Until::Frames(90), reply(3)),
            (Until::Frames(120), reply(4)),
            (Until::Frames(115), reply(5)),
            (Until::Log(120), reply(6)),
        ];
        outbox.hold(&mut batch, &mut done);
        assert_eq!(tickets(&mut done), [1, 3]);
        outbox.on_durable(109, &mut done);
        assert_eq!(tickets(&mut done), [0; 0]);
        outbox.on_durable(119, &mut done);
        assert_eq!(tickets(&mut done), [2, 5]);
        outbox.on_durable(120, &mut done);
        assert_eq!(tickets(&mut done), [6, 4]);
        assert_eq!(outbox.len(), 0);
    }
}
