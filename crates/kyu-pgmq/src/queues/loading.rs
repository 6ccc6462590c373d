//! Paying for messages before they are loaded.
//!
//! A read or a scan gathers rows that the evaluator pays for when it gets them. Until then the
//! session does, or many of them side by side would fill RAM before anybody had paid.

use std::sync::{Arc, Mutex, PoisonError};

use kyu_broker::Delivery;
use kyu_budget::Budget;
use kyu_pgsql::error::PgError;
use kyu_pgsql::held::Held;

/// Memory of the messages that the running call of a session has loaded. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Loading {
    memory: Budget,
    // A std Mutex: a session makes one call at a time, nobody ever waits.
    held: Arc<Mutex<Held>>,
}

/// A running call. When it ends, or is dropped, it holds nothing any more.
pub(super) struct LoadingCall(Loading);

impl Loading {
    pub(super) fn new(memory: &Budget) -> Self {
        Self { memory: memory.clone(), held: Arc::new(Mutex::new(Held::new(memory))) }
    }

    /// A call begins.
    pub(super) fn begin(&self) -> LoadingCall {
        LoadingCall(self.clone())
    }

    /// Pays for so many bytes, which are loaded next.
    ///
    /// # Errors
    /// 53200.
    pub(super) fn pay(&self, bytes: usize) -> Result<(), PgError> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).grow(bytes)
    }

    /// Pays for the messages of these deliveries.
    pub(super) fn pay_for(&self, deliveries: &[Delivery]) -> Result<(), PgError> {
        self.pay(deliveries.iter().map(|delivery| delivery.frame_bytes as usize).sum())
    }

    /// The bytes that are paid for, to go back to.
    pub(super) fn mark(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).bytes()
    }

    /// Gives back what was paid since a mark: it has been looked at, and is gone.
    pub(super) fn back_to(&self, mark: usize) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).back_to(mark);
    }
}

impl Drop for LoadingCall {
    fn drop(&mut self) {
        let Loading { memory, held } = &self.0;
        *held.lock().unwrap_or_else(PoisonError::into_inner) = Held::new(memory);
    }
}
