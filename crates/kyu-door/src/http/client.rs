//! The client that a handler answers, as far as it is known beside the request: if it is still
//! there, and how much may be loaded for it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::port_memory::PortMemory;
use crate::budget::{Budget, Exhausted, Share};
use crate::limits::Limits;

/// Answers up to this size are not paid for: the limit of connections bounds them.
pub const SMALL_ANSWER_BYTES: usize = 16 << 10;
/// The longest wait of a request for room for its answer: longer than those who read nothing of
/// theirs can keep it ([`PRESSED_PATIENCE`](crate::budget::PRESSED_PATIENCE)), shorter than SDKs wait.
const ROOM_PATIENCE: Duration = Duration::from_secs(10);

/// The client of one request. A handler that holds none (of a test) has the memory of the whole
/// process, and a client that never goes.
#[derive(Clone, Debug)]
pub struct Client {
    half_closed: watch::Receiver<bool>,
    memory: PortMemory,
    paid: Arc<Mutex<Vec<Share>>>,
    standing: Standing,
}

/// The principal that a connection belongs to, known from its first request that was let in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing(Arc<OnceLock<Arc<str>>>);

impl Standing {
    /// The first stays: requests of several principals on one connection share its memory.
    pub(crate) fn prove(&self, principal: impl FnOnce() -> Arc<str>) {
        self.0.get_or_init(principal);
    }

    pub(super) fn principal(&self) -> Option<&Arc<str>> {
        self.0.get()
    }
}

impl Client {
    pub(super) fn new(
        half_closed: watch::Receiver<bool>,
        memory: PortMemory,
        standing: Standing,
    ) -> Self {
        Self { half_closed, memory, paid: Arc::default(), standing }
    }

    /// Nobody's: see the type.
    pub(super) fn unbounded() -> Self {
        let (_gone, half_closed) = watch::channel(false);
        let memory = PortMemory::new(&Budget::process(usize::MAX), &Limits::default());
        Self::new(half_closed, memory, Standing::default())
    }

    pub(crate) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// True if the client has ended its side: it sends nothing more, and perhaps is not there.
    pub fn has_half_closed(&self) -> bool {
        *self.half_closed.borrow()
    }

    /// Completes when the client has ended its side. Who waits for a message then has waited enough:
    /// nothing may be given to somebody who perhaps has gone.
    pub async fn half_closed(&self) {
        let mut half_closed = self.half_closed.clone();
        if half_closed.wait_for(|closed| *closed).await.is_err() {
            // Nobody looks at the connection any more, so this request ends by other means.
            std::future::pending().await
        }
    }

    /// Pays for `bytes` that the answer will have, before they are loaded; they are given back when
    /// the answer has been written. Waits up to ten seconds for room.
    pub async fn pay(&self, bytes: usize) -> Result<(), Exhausted> {
        if bytes <= SMALL_ANSWER_BYTES {
            return Ok(());
        }
        let mut share = self.share();
        share.grow_by(bytes, Instant::now() + ROOM_PATIENCE).await?;
        self.paid.lock().unwrap_or_else(PoisonError::into_inner).push(share);
        Ok(())
    }

    /// An empty one. A handler asks for it after it has let the request in.
    fn share(&self) -> Share {
        self.memory.answers_of(self.standing.principal()).share()
    }

    /// The share of an answer that has been made and has `bytes`.
    pub(super) fn settle(&self, bytes: usize) -> Option<Share> {
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let first = paid.pop();
        paid.clear();
        if bytes <= SMALL_ANSWER_BYTES {
            return None;
        }
        let mut share = first.unwrap_or_else(|| self.share());
        share.correct_to(bytes);
        Some(share)
    }
}
