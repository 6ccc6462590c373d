//! pgmq's functions over the broker. The same queues are SQS queues: one namespace, one set of names.
//!
//! ```text
//!  functions     the table of functions: what each is called, takes, gives and runs
//!  session.rs    Host: a session and its transaction
//!  send, read, by_id, archives, admin, settings, topics, notify, views
//!                one group of functions each; outside of a transaction one command each
//!  transaction   what a transaction has done so far, and the group that commits it
//!  loading       memory of messages that a call loads, paid before they are
//!  locks         who waits for whose transaction
//!  message       jsonb and headers <-> body and attributes
//! ```

mod admin;
mod archives;
mod by_id;
mod failure;
pub mod functions;
mod limits;
mod loading;
mod locks;
mod message;
mod names;
mod notify;
mod outbox;
mod read;
mod send;
mod session;
mod settings;
mod time;
mod topics;
mod transaction;
mod views;
mod waiting;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use kyu_broker::{Broker, Fairness, QueueConfig};
use kyu_budget::Budget;
use tokio::sync::mpsc::Receiver;

pub use session::QueueSession;

use crate::wire::{Notification, Queues};

/// All queues of one namespace, as pgmq's functions see them. Clones share it.
#[derive(Clone, Debug)]
pub struct Pgmq {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    broker: Broker,
    namespace: String,
    hub: notify::Hub,
    topics: topics::Topics,
    locks: locks::Locks,
}

impl Pgmq {
    /// Over a broker; `namespace` is the account whose queues these are.
    pub fn new(broker: Broker, namespace: impl Into<String>) -> Self {
        let namespace = namespace.into();
        let (hub, topics, locks) = Default::default();
        Self { shared: Arc::new(Shared { broker, namespace, hub, topics, locks }) }
    }
}

impl Queues for Pgmq {
    type Host = QueueSession;

    fn open(&self, process: u32, memory: &Budget) -> (QueueSession, Receiver<Notification>) {
        let (listener, notifications) = self.shared.hub.join();
        (QueueSession::new(Arc::clone(&self.shared), listener, process, memory), notifications)
    }

    fn notify(&self, notification: Notification) {
        self.shared.hub.tell(&notification);
    }
}

/// Settings of a queue that pgmq makes: kept for ever, strictly in order of `msg_id`.
fn queue_config() -> QueueConfig {
    QueueConfig {
        max_in_flight: u32::MAX,
        fairness: Fairness::StrictOrder,
        back_after_receives: None,
        ..QueueConfig::default()
    }
}
