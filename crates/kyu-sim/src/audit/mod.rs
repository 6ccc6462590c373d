//! The auditor: watches requests, answers and restarts from outside and keeps books of its own.
//!
//! A request that a crash cut off may or may not have happened. The books say so: of a message they
//! know whether it surely is in a queue, surely is not, or perhaps; only what is sure is held against
//! the server. Requests are numbered by events, so that "came back" is said only of a receive that
//! was sent after the removal was confirmed.

mod answers;
mod counts;
mod deliveries;
mod lanes;
mod ledger;
mod limits;
mod messages;
mod publishes;
mod restarts;
mod sends;
mod settles;
mod tables;
#[cfg(test)]
mod tests;
mod timed;
mod unique;

use std::collections::{BTreeMap, BTreeSet};

use kyu_broker::{
    Acquire, BindingId, Command, Delivery, MessageId, QueueId, Receipt, Seq, SessionId, UnixMs,
};

use crate::cast::{Presence, QueueBook, Role};
use crate::content::number_of;
use crate::coverage::{Coverage, Event};

pub(crate) use answers::deliveries_of;
use ledger::LedgerBook;
pub(crate) use ledger::result_of;
use limits::LimitBook;
use messages::{Copy, CopyKey, MessageBook};
use sends::DedupBook;
pub(crate) use tables::TableBook;
use timed::TimedBook;

/// A request of a client.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    /// Anything but a receive that waits.
    Command(Command),
    /// A receive, perhaps a long poll.
    Receive { acquire: Acquire, wait_ms: u64 },
    /// A command of SQL sessions; the book of tables judges its answer.
    Table(Command),
}

/// A request without an answer so far.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) wish: Wish,
    pub(crate) at_ms: UnixMs,
    event: u64,
    /// True if its client does not wait any more.
    pub(crate) cancelled: bool,
    /// Copies that it may remove.
    touched: Vec<CopyKey>,
}

/// The newest delivery of a message from a queue.
#[derive(Clone, Debug)]
struct LeaseBook {
    receipt: Receipt,
    number: u64,
    root: QueueId,
    /// The lease surely runs until then, if nothing has ended it.
    until_ms: UnixMs,
    session: Option<SessionId>,
    ended: bool,
    /// The event that ended it.
    ended_by: Option<u64>,
    /// It was perhaps rejected, and its queue counts anew.
    buried: bool,
    /// The attempt may have been taken back from the receive count.
    uncounted: bool,
    life: u32,
    completed: u64,
    receive_count: u32,
}

impl LeaseBook {
    fn end(&mut self, event: u64) {
        self.ended = true;
        self.ended_by.get_or_insert(event);
    }
}

/// A message in a client's hands.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) delivery: Delivery,
    pub(crate) number: u64,
}

/// The auditor: the books that it keeps of what clients asked and were answered.
pub(crate) struct Auditor {
    pub(crate) queues: BTreeMap<QueueId, QueueBook>,
    messages: BTreeMap<u64, MessageBook>,
    copies: BTreeMap<CopyKey, Copy>,
    /// Numbers of the copies that are not surely gone, by root queue.
    open: BTreeMap<QueueId, BTreeSet<u64>>,
    /// Numbers in order of arrival, by root queue and lane.
    lanes: BTreeMap<(QueueId, String), Vec<u64>>,
    leases: BTreeMap<(QueueId, Seq), LeaseBook>,
    /// Messages of standard queues whose deadline was asked to be moved. Any receipt may move it
    /// there, and replies do not tell in which order: their leases bind nobody any more.
    loose: BTreeSet<(QueueId, Seq)>,
    limits: LimitBook,
    dedup: BTreeMap<(QueueId, String), DedupBook>,
    ids: BTreeMap<MessageId, u64>,
    /// Sequence numbers of the ordered exchange by message.
    sequences: BTreeMap<u64, u64>,
    /// Idle bindings that were made.
    pub(crate) idle: Vec<BindingId>,
    pub(crate) pending: BTreeMap<u64, Request>,
    /// The event at which each session was last asked to end.
    session_ends: BTreeMap<SessionId, u64>,
    pub(crate) now_ms: UnixMs,
    event: u64,
    life: u32,
    /// True if growth was refused and has not been accepted since.
    pub(crate) full: bool,
    pub(crate) ledger: LedgerBook,
    pub(crate) timed: TimedBook,
    pub(crate) tables: TableBook,
    pub(crate) coverage: Coverage,
}

impl Auditor {
    pub(crate) fn new(now_ms: UnixMs) -> Self {
        Self {
            queues: BTreeMap::new(),
            messages: BTreeMap::new(),
            copies: BTreeMap::new(),
            open: BTreeMap::new(),
            lanes: BTreeMap::new(),
            leases: BTreeMap::new(),
            loose: BTreeSet::new(),
            limits: LimitBook::default(),
            dedup: BTreeMap::new(),
            ids: BTreeMap::new(),
            sequences: BTreeMap::new(),
            idle: Vec::new(),
            pending: BTreeMap::new(),
            session_ends: BTreeMap::new(),
            now_ms,
            event: 0,
            life: 1,
            full: false,
            ledger: LedgerBook::default(),
            timed: TimedBook::new(now_ms),
            tables: TableBook::default(),
            coverage: Coverage::default(),
        }
    }

    /// A request goes to the server.
    pub(crate) fn submitted(&mut self, ticket: u64, wish: Wish) {
        self.coverage.note(Event::Request);
        if let Wish::Table(command) = wish {
            return self.table_asked(ticket, command);
        }
        self.event += 1;
        let (event, at_ms) = (self.event, self.now_ms);
        let mut request = Request { wish, at_ms, event, cancelled: false, touched: Vec::new() };
        if let Wish::Command(command) = request.wish.clone() {
            self.note_wish(&command, &mut request);
        }
        self.pending.insert(ticket, request);
    }

    /// Notes that the effects of a wish may be there from now on.
    fn note_wish(&mut self, command: &Command, request: &mut Request) {
        match command {
            Command::Enqueue(enqueue) => {
                for message in &enqueue.messages {
                    self.note_send(message, request.at_ms);
                    if let Some(number) = number_of(&message.content) {
                        self.note_unique(message, number, request);
                    }
                }
            }
            Command::Publish(publish) => {
                for message in self.sends_of(publish) {
                    self.note_send(&message, request.at_ms);
                }
            }
            Command::Ledger(ledger) => self.note_ledger(ledger, request.at_ms),
            Command::Settle(settle) if self.is_timed(settle.queue) => {
                self.note_timed_settle(settle);
            }
            Command::Settle(settle) => self.note_settle(settle, request),
            Command::Extend(extend) => self.note_extend(extend, request),
            Command::EndSession(end) => {
                self.session_ends.insert(end.session, request.event);
                self.end_leases(|lease| lease.session == Some(end.session));
            }
            Command::PurgeQueue(purge) => self.note_emptying(purge.queue, request),
            Command::DeleteQueue(delete) => {
                self.note_emptying(delete.queue, request);
                if let Some(book) = self.queues.get_mut(&delete.queue)
                    && book.presence == Presence::There
                {
                    book.presence = Presence::Doubtful;
                }
            }
            Command::SetPaused(pause) => self.note_pause(pause, request),
            Command::ConfigureQueue(configure) => {
                self.lift_limits(configure.queue);
                if let Some(book) = self.queues.get_mut(&configure.queue) {
                    book.version_asked += 1;
                }
            }
            Command::Atomic(commands) => {
                for command in commands {
                    self.note_wish(command, request);
                }
            }
            _ => {}
        }
    }

    /// Notes that every message of the queue may go.
    fn note_emptying(&mut self, queue: QueueId, request: &mut Request) {
        let Some(root) = self.queues.get(&queue).map(|book| book.root) else { return };
        for number in self.open.get(&root).cloned().unwrap_or_default() {
            self.doubt((number, root), request);
        }
        self.end_leases(|lease| lease.receipt.queue == queue);
        self.note_limited_emptying(queue, request);
    }

    fn doubt(&mut self, key: CopyKey, request: &mut Request) {
        if let Some(copy) = self.copies.get_mut(&key) {
            copy.doubts += 1;
            request.touched.push(key);
        }
    }

    fn end_leases(&mut self, ends: impl Fn(&LeaseBook) -> bool) {
        let event = self.event;
        for lease in self.leases.values_mut().filter(|lease| ends(lease)) {
            lease.end(event);
            lease.uncounted = true;
        }
    }

    /// A client does not wait for its receive any more.
    pub(crate) fn cancelled(&mut self, ticket: u64) {
        if let Some(request) = self.pending.get_mut(&ticket) {
            request.cancelled = true;
        }
    }

    /// Notes that deliveries went back because nobody took them.
    pub(crate) fn abandoned(&mut self, receipts: &[Receipt]) {
        self.coverage.add(Event::Abandoned, receipts.len() as u64);
        self.end_leases(|lease| receipts.contains(&lease.receipt));
    }

    /// Forgets cancelled requests without an answer: everything that was asked is on disk, so they
    /// get none.
    pub(crate) fn forget_cancelled(&mut self) {
        self.pending.retain(|_, request| !request.cancelled);
    }

    pub(crate) fn role(&self, queue: QueueId) -> Role {
        self.queues.get(&queue).map_or(Role::Passing, |book| book.role)
    }

    /// The queues of a role that clients may use.
    pub(crate) fn queue_of(&self, role: Role) -> Option<QueueId> {
        let mut there = self.queues.iter().filter(|(_, book)| book.presence == Presence::There);
        there.find(|(_, book)| book.role == role).map(|(id, _)| *id)
    }
}
