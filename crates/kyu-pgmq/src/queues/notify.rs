//! Notifications of new messages: `pgmq.q_<name>.INSERT`, after the commit, not more often than
//! the queue's throttle allows.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kyu_broker::{QueueId, QueueInfo, UnixMs};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::limits::MAX_WAITING_NOTIFICATIONS;
use crate::wire::Notification;

/// The setting of a queue whose inserts are notified: the throttle in milliseconds.
pub(super) const SETTING: &str = "pgmq.notify";

/// Sessions that listen, and when queues were notified last.
#[derive(Debug, Default)]
pub(super) struct Hub {
    // A std Mutex: nothing asynchronous happens while it is held.
    state: Mutex<Listeners>,
}

#[derive(Debug, Default)]
struct Listeners {
    next: u64,
    sessions: HashMap<u64, Listener>,
    last_ms: HashMap<QueueId, UnixMs>,
}

#[derive(Debug)]
struct Listener {
    channels: HashSet<String>,
    to: Sender<Notification>,
}

/// A queue's throttle, if its inserts are notified.
pub(super) fn throttle_ms(queue: &QueueInfo) -> Option<u64> {
    queue.config.attributes.get(SETTING)?.parse().ok()
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, Listeners> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new session, which listens to nothing yet.
    pub(super) fn join(&self) -> (u64, Receiver<Notification>) {
        let (to, from) = channel(MAX_WAITING_NOTIFICATIONS);
        let mut state = self.lock();
        state.next += 1;
        let id = state.next;
        state.sessions.insert(id, Listener { channels: HashSet::new(), to });
        (id, from)
    }

    pub(super) fn leave(&self, id: u64) {
        self.lock().sessions.remove(&id);
    }

    pub(super) fn listen(&self, id: u64, channel: &str) {
        if let Some(listener) = self.lock().sessions.get_mut(&id) {
            listener.channels.insert(channel.to_owned());
        }
    }

    /// The number of channels that a session listens to.
    pub(super) fn channels(&self, id: u64) -> usize {
        self.lock().sessions.get(&id).map_or(0, |listener| listener.channels.len())
    }

    /// `None` for all channels.
    pub(super) fn unlisten(&self, id: u64, channel: Option<&str>) {
        if let Some(listener) = self.lock().sessions.get_mut(&id) {
            listener.channels.retain(|known| channel.is_some_and(|channel| channel != known));
        }
    }

    /// Tells all sessions that listen. One that does not keep up ends: its channel closes.
    pub(super) fn tell(&self, notification: &Notification) {
        self.lock().sessions.retain(|_, listener| {
            let listens = listener.channels.contains(&notification.channel);
            !listens || listener.to.try_send(notification.clone()).is_ok()
        });
    }

    /// Messages of this queue were committed.
    pub(super) fn inserted(&self, queue: &QueueInfo, process: u32, now_ms: UnixMs) {
        let Some(throttle_ms) = throttle_ms(queue) else { return };
        {
            let mut state = self.lock();
            let last_ms = state.last_ms.get(&queue.id).copied().unwrap_or(0);
            if now_ms.saturating_sub(last_ms) < throttle_ms {
                return;
            }
            state.last_ms.insert(queue.id, now_ms);
        }
        let channel = format!("pgmq.q_{}.INSERT", queue.name.name.to_lowercase());
        self.tell(&Notification { process, channel, payload: String::new() });
    }

    /// The time at which a queue was notified last; 0 for never since the server started.
    pub(super) fn last_ms(&self, queue: QueueId) -> UnixMs {
        self.lock().last_ms.get(&queue).copied().unwrap_or(0)
    }

    /// Begins anew: the next insert is notified.
    pub(super) fn forget(&self, queue: QueueId) {
        self.lock().last_ms.remove(&queue);
    }
}
