//! Answers: each is held against its request.

use bytes::Bytes;
use kyu_broker::{
    Acquire, Command, ConfigureQueue, CreateQueue, Delivery, Error, LedgerCommand, QueueInfo,
    Refusal, Reply, Response, SeqResult,
};

use super::deliveries::Asked;
use super::{Auditor, Request, Taken, Wish};
use crate::cast::{Presence, QueueBook, Role};
use crate::coverage::Event;
use crate::violation::{Violation, ensure};

/// The deliveries of a reply, those of atomic groups included, in order.
pub(crate) fn deliveries_of(reply: &Reply) -> Vec<Delivery> {
    match reply {
        Reply::Acquired(deliveries) => deliveries.clone(),
        Reply::Atomic(replies) => replies.iter().flat_map(deliveries_of).collect(),
        Reply::BySeq(results) => {
            let done = results.iter().filter_map(|result| match result {
                SeqResult::Done(delivery) => Some(delivery.clone()),
                SeqResult::Missing | SeqResult::Busy(_) => None,
            });
            done.collect()
        }
        _ => Vec::new(),
    }
}

impl Auditor {
    /// An answer has come; `frames` are the bytes of its deliveries. Returns what the client has
    /// in its hands now, and whether the client had gone.
    pub(crate) fn answered(
        &mut self,
        ticket: u64,
        result: &Result<Response, Error>,
        frames: Vec<Bytes>,
    ) -> Result<(Vec<Taken>, bool), Violation> {
        if self.is_of_table(ticket) {
            self.coverage.note(Event::Answer);
            self.table_answered(result, &frames)?;
            return Ok((Vec::new(), false));
        }
        let Some(request) = self.pending.remove(&ticket) else {
            return Err(Violation(format!("request {ticket} was answered twice or never asked")));
        };
        self.coverage.note(Event::Answer);
        self.event += 1;
        for key in &request.touched {
            if let Some(copy) = self.copies.get_mut(key) {
                copy.doubts = copy.doubts.saturating_sub(1);
            }
        }
        let taken = match result {
            Ok(Response::Reply(reply)) => self.replied(reply, &request, frames)?,
            Ok(Response::Answer(_)) => Vec::new(),
            Err(error) => {
                self.refused(error, &request)?;
                Vec::new()
            }
        };
        Ok((taken, request.cancelled))
    }

    fn replied(
        &mut self,
        reply: &Reply,
        request: &Request,
        frames: Vec<Bytes>,
    ) -> Result<Vec<Taken>, Violation> {
        let mut frames = frames.into_iter();
        match (&request.wish, reply) {
            (Wish::Receive { acquire, wait_ms }, Reply::Acquired(deliveries)) => {
                let waited = *wait_ms > 0 && self.now_ms > request.at_ms;
                match (deliveries.is_empty(), waited) {
                    (true, _) if *wait_ms > 0 => self.coverage.note(Event::LongPollEmpty),
                    (false, true) => self.coverage.note(Event::LongPollWoken),
                    _ => {}
                }
                let asked = asked(acquire, request);
                self.received(deliveries, &mut frames, &asked)
            }
            (Wish::Command(command), reply) => self.done(command, reply, request, &mut frames),
            (wish, reply) => Err(Violation(format!("{wish:?} was answered {reply:?}"))),
        }
    }

    fn done(
        &mut self,
        command: &Command,
        reply: &Reply,
        request: &Request,
        frames: &mut std::vec::IntoIter<Bytes>,
    ) -> Result<Vec<Taken>, Violation> {
        match (command, reply) {
            (Command::Enqueue(enqueue), Reply::Enqueued(results)) => {
                if self.full && results.iter().any(Result::is_ok) {
                    self.full = false;
                    self.coverage.note(Event::RoomAgain);
                }
                self.enqueued(enqueue, results, request)?;
            }
            (Command::Publish(publish), Reply::Published(results)) => {
                self.published(publish, results, request)?;
            }
            (Command::CreateExchange(_), Reply::ExchangeCreated(_)) => {}
            (Command::Bind(bind), Reply::Bound(info)) => {
                if bind.config.target.name.starts_with("idle-") {
                    self.coverage.note(Event::Bound);
                    self.idle.push(info.id);
                }
            }
            (Command::Unbind(unbind), Reply::Unbound) => {
                self.idle.retain(|binding| *binding != unbind.binding);
            }
            (Command::Ledger(ledger), Reply::Ledger(reply)) => {
                self.ledger_done(ledger, reply, request)?;
            }
            (Command::Schedule(_), Reply::Schedule(_)) => {}
            (Command::Settle(settle), Reply::Settled(results)) if self.is_timed(settle.queue) => {
                self.timed_settled(results)?;
            }
            (Command::Settle(settle), Reply::Settled(results)) => {
                self.settled(settle, results, request)?;
            }
            (Command::Extend(extend), Reply::Extended(results)) => {
                self.extended(extend, results, request)?;
            }
            (Command::Acquire(acquire), Reply::Acquired(deliveries)) => {
                return self.received(deliveries, frames, &asked(acquire, request));
            }
            (Command::Atomic(commands), Reply::Atomic(replies)) => {
                ensure!(commands.len() == replies.len(), "a group answered {replies:?}");
                self.coverage.note(Event::AtomicDone);
                let mut taken = Vec::new();
                for (command, reply) in commands.iter().zip(replies) {
                    taken.extend(self.done(command, reply, request, frames)?);
                }
                return Ok(taken);
            }
            (Command::SetPaused(pause), Reply::PausedSet { .. }) => self.paused(pause, request),
            (Command::EndSession(_), Reply::SessionEnded { .. }) => {
                self.coverage.note(Event::SessionEnded);
            }
            (Command::StartMoveTask(_), Reply::MoveTaskStarted { .. }) => {
                self.coverage.note(Event::MoveStarted);
            }
            (Command::CancelMoveTask(_), Reply::MoveTaskCancelled(_)) => {
                self.coverage.note(Event::MoveCancelled);
            }
            (command, reply) => self.queue_changed(command, reply, request)?,
        }
        Ok(Vec::new())
    }

    fn queue_changed(
        &mut self,
        command: &Command,
        reply: &Reply,
        request: &Request,
    ) -> Result<(), Violation> {
        match (command, reply) {
            (Command::CreateQueue(create), Reply::QueueCreated(info)) => {
                self.created(create, info);
            }
            (Command::ConfigureQueue(configure), Reply::QueueConfigured(info)) => {
                self.configured(configure, info);
            }
            (Command::DeleteQueue(delete), Reply::QueueDeleted) => {
                self.coverage.note(Event::Deleted);
                self.emptied(request);
                if let Some(book) = self.queues.get_mut(&delete.queue) {
                    book.presence = Presence::Deleted;
                }
            }
            (Command::PurgeQueue(purge), Reply::QueuePurged { .. }) => {
                self.coverage.note(Event::Purged);
                self.forget_dedup(purge.queue, true);
                if self.role(purge.queue).has_family() {
                    // They may have been in another queue of the family.
                    for key in &request.touched {
                        self.not_sure(key);
                    }
                } else {
                    self.emptied(request);
                }
            }
            (command, reply) => {
                return Err(Violation(format!("{command:?} was answered {reply:?}")));
            }
        }
        Ok(())
    }

    fn emptied(&mut self, request: &Request) {
        for key in &request.touched {
            self.remove(key);
        }
    }

    fn created(&mut self, create: &CreateQueue, info: &QueueInfo) {
        let role = match Role::LASTING.iter().find(|role| role.name(0) == create.name) {
            Some(role) => *role,
            None => passing_role(info),
        };
        if role.passes() {
            self.coverage.note(Event::Created);
        }
        self.add_queue(info, role);
    }

    pub(super) fn add_queue(&mut self, info: &QueueInfo, role: Role) {
        let root = if role.root() == role { Some(info.id) } else { self.queue_of(role.root()) };
        let book = QueueBook {
            name: info.name.clone(),
            role,
            root: root.unwrap_or(info.id),
            presence: Presence::There,
            retention_ms: info.config.retention_ms,
            version: info.version,
            version_asked: info.version,
            sent: (0, 0),
            acked: (0, 0),
        };
        self.queues.insert(info.id, book);
    }

    fn configured(&mut self, configure: &ConfigureQueue, info: &QueueInfo) {
        self.coverage.note(Event::Configured);
        if let Some(book) = self.queues.get_mut(&configure.queue) {
            book.version = book.version.max(info.version);
            book.version_asked = book.version_asked.max(info.version);
        }
    }

    /// Notes that a request was refused and nothing has happened.
    fn refused(&mut self, error: &Error, request: &Request) -> Result<(), Violation> {
        if let Wish::Command(command) = &request.wish {
            self.undo(command);
        }
        match error {
            Error::StorageFull => {
                if self.frees_space(request) {
                    self.coverage.note(Event::ReserveUsedUp);
                } else {
                    self.coverage.note(Event::StorageFull);
                    self.full = true;
                }
                Ok(())
            }
            Error::Refused(refusal) => self.check_refusal(refusal, request),
            error => Err(Violation(format!("{:?} failed: {error}", request.wish))),
        }
    }

    /// Returns true if the request is one that a full log still takes.
    fn frees_space(&self, request: &Request) -> bool {
        !matches!(
            &request.wish,
            Wish::Command(
                Command::Enqueue(_)
                    | Command::Ledger(LedgerCommand::Claim(_))
                    | Command::Publish(_)
                    | Command::Bind(_)
                    | Command::Unbind(_)
                    | Command::CreateQueue(_)
                    | Command::ConfigureQueue(_)
                    | Command::Atomic(_)
            )
        )
    }

    fn undo(&mut self, command: &Command) {
        match command {
            Command::Enqueue(enqueue) => {
                enqueue.messages.iter().for_each(|message| self.unsend(message));
            }
            Command::Publish(publish) => {
                self.sends_of(publish).iter().for_each(|message| self.unsend(message));
            }
            Command::DeleteQueue(delete) => {
                if let Some(book) = self.queues.get_mut(&delete.queue)
                    && book.presence == Presence::Doubtful
                {
                    book.presence = Presence::There;
                }
            }
            Command::Ledger(ledger) => self.undo_ledger(ledger),
            Command::Atomic(commands) => commands.iter().for_each(|command| self.undo(command)),
            _ => {}
        }
    }

    fn check_refusal(&mut self, refusal: &Refusal, request: &Request) -> Result<(), Violation> {
        let queue = match &request.wish {
            Wish::Receive { acquire, .. } | Wish::Command(Command::Acquire(acquire)) => {
                Some(acquire.queue)
            }
            Wish::Command(Command::Settle(settle)) => Some(settle.queue),
            Wish::Command(Command::PurgeQueue(purge)) => Some(purge.queue),
            Wish::Command(Command::ConfigureQueue(configure)) => Some(configure.queue),
            _ => None,
        };
        match refusal {
            Refusal::QueueNotFound => ensure!(
                queue.is_none_or(|queue| self.role(queue).passes()),
                "a queue that was not deleted was not found: {:?}",
                request.wish
            ),
            Refusal::Ledger(refusal) => self.ledger_refused(refusal, request)?,
            Refusal::Atomic { refusal: Some(inner), .. } if matches!(**inner, Refusal::Ledger(_)) => {
                self.coverage.note(Event::AtomicRefused);
                if let Refusal::Ledger(refusal) = &**inner {
                    self.ledger_refused(refusal, request)?;
                }
            }
            Refusal::Atomic { .. } => self.coverage.note(Event::AtomicRefused),
            Refusal::QueueExists(_)
            | Refusal::BindingExists(_)
            | Refusal::BindingNotFound
            | Refusal::VersionConflict
            | Refusal::MoveTaskRunning
            | Refusal::MoveTaskNotFound
            // A batch of large bodies may be more than a small segment holds.
            | Refusal::LimitExceeded("bytes of a log record") => {}
            refusal => {
                return Err(Violation(format!("{:?} was refused: {refusal:?}", request.wish)));
            }
        }
        Ok(())
    }
}

fn asked<'a>(acquire: &Acquire, request: &'a Request) -> Asked<'a> {
    Asked {
        lease: acquire.lease,
        has_attempt_id: acquire.attempt_id.is_some(),
        with_history: acquire.with_history,
        request,
    }
}

pub(super) fn passing_role(info: &QueueInfo) -> Role {
    match info.config.kind {
        kyu_broker::QueueKind::Fifo => Role::OrderedPassing,
        kyu_broker::QueueKind::Standard => Role::Passing,
    }
}
