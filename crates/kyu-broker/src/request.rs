//! The jobs that callers send to the engine thread, and the tickets that bring the results back.

use std::sync::Arc;

use bytes::Bytes;
use kyu_engine::{
    Acquire, Answer, Command, Delivery, GiveBack, LiveFrame, Query, QueueId, Receipt, Reply,
};
use kyu_log::Lsn;
use tokio::sync::oneshot;

use crate::admission::Permit;
use crate::error::Error;
use crate::inbox::Inbox;
use crate::metrics::{MetricsSnapshot, QueueMetrics};
use crate::outbox::{Completion, Response};
use crate::pins::Pin;
use crate::waiters::ReceiveId;

/// A job for the engine thread.
#[derive(Debug)]
pub(crate) enum Job {
    Command(Command, Ticket),
    Query(Query, Ticket),
    /// A receive. Its permit is released when it has been answered or waits: waiting receives have a
    /// bound of their own.
    Receive {
        id: ReceiveId,
        acquire: Acquire,
        wait_ms: u64,
        ticket: Ticket,
        permit: Permit,
    },
    /// The end of a long poll before its time; it is answered with no messages.
    EndWait(QueueId, ReceiveId),
    /// The end of a receive whose caller has gone.
    Cancel(QueueId, ReceiveId),
    /// The claims of a transaction that did not commit.
    GiveBack(GiveBack),
    /// Deliveries that nobody took.
    Abandon(QueueId, Vec<Receipt>),
    SnapshotDone {
        lsn: Lsn,
        bytes: Option<u64>,
    },
    FramesRead {
        frames: Vec<(LiveFrame, Bytes)>,
        last: bool,
    },
    /// The end of all long polls, now and later.
    EndLongPolls,
    Metrics(oneshot::Sender<MetricsSnapshot>),
    QueueMetrics(Vec<QueueId>, oneshot::Sender<Vec<Option<QueueMetrics>>>),
}

/// The destination of a request's result.
#[derive(Debug)]
pub(crate) enum Ticket {
    Command(oneshot::Sender<Result<(Reply, Pin), Error>>, Permit),
    Query(oneshot::Sender<Result<(Answer, Pin), Error>>, Permit),
    Receive(QueueId, oneshot::Sender<Result<Leased, Error>>),
}

/// Deliveries on their way to a receiver. Whatever happens to the receiver, they are either taken
/// or given back.
#[derive(Debug)]
pub struct Leased {
    queue: QueueId,
    deliveries: Vec<Delivery>,
    /// The pin that keeps the bodies at the addresses of the deliveries.
    _pin: Option<Pin>,
    inbox: Arc<Inbox<Job>>,
}

impl Leased {
    /// No deliveries.
    pub(crate) fn none(queue: QueueId, inbox: &Arc<Inbox<Job>>) -> Self {
        Self { queue, deliveries: Vec::new(), _pin: None, inbox: Arc::clone(inbox) }
    }

    /// The deliveries; they stay leased to this guard until [`Leased::taken`].
    pub(crate) fn deliveries(&self) -> &[Delivery] {
        &self.deliveries
    }

    /// Bytes of their frames, which is what loading them takes.
    pub fn bytes(&self) -> usize {
        self.deliveries.iter().map(|delivery| delivery.frame_bytes as usize).sum()
    }

    /// The receiver has them now.
    pub(crate) fn taken(mut self) {
        self.deliveries.clear();
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        if !self.deliveries.is_empty() {
            let receipts = self.deliveries.iter().map(|delivery| delivery.receipt).collect();
            // A closed inbox means that the server ends: the leases lapse in their own time.
            let _closed = self.inbox.push(Job::Abandon(self.queue, receipts));
        }
    }
}

/// Brings a completion to its caller. A caller that has gone takes nothing: a reply is dropped
/// with it, and leased deliveries go back through [`Leased`].
pub(crate) fn deliver(inbox: &Arc<Inbox<Job>>, completion: Completion<Ticket>) {
    let Completion { ticket, result, pin } = completion;
    match ticket {
        Ticket::Command(caller, permit) => {
            drop(permit);
            let _gone = caller.send(result.and_then(|response| match response {
                Response::Reply(reply) => Ok((reply, pin)),
                Response::Answer(_) => Err(Error::Internal),
            }));
        }
        Ticket::Query(caller, permit) => {
            drop(permit);
            let _gone = caller.send(result.and_then(|response| match response {
                Response::Answer(answer) => Ok((answer, pin)),
                Response::Reply(_) => Err(Error::Internal),
            }));
        }
        Ticket::Receive(queue, caller) => {
            let _gone = caller.send(result.and_then(|response| match response {
                Response::Reply(Reply::Acquired(deliveries)) => {
                    Ok(Leased { queue, deliveries, _pin: Some(pin), inbox: Arc::clone(inbox) })
                }
                Response::Reply(_) | Response::Answer(_) => Err(Error::Internal),
            }));
        }
    }
}
