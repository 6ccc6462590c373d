//! Admission: the bound of the requests that are inside at one time, by their memory. A request
//! that finds no room waits; one that finds too many waiting is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kyu_engine::{Command, LedgerCommand, ScheduleCommand};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;
use crate::limits::{ADMISSION_UNIT_BYTES, ADMISSION_UNITS};

/// The right to be inside, which a request holds from its admission to its reply.
pub(crate) type Permit = OwnedSemaphorePermit;

/// The admission of one broker; see the module.
#[derive(Debug)]
pub(crate) struct Admission {
    units: Arc<Semaphore>,
    waiting: AtomicUsize,
    max_waiting: usize,
}

impl Admission {
    pub(crate) fn new(max_waiting: usize) -> Self {
        Self {
            units: Arc::new(Semaphore::new(ADMISSION_UNITS as usize)),
            waiting: AtomicUsize::new(0),
            max_waiting,
        }
    }

    /// Admits a request that carries this many bytes.
    pub(crate) async fn admit(&self, content_bytes: usize) -> Result<Permit, Error> {
        let content_units = u32::try_from(content_bytes / ADMISSION_UNIT_BYTES).unwrap_or(u32::MAX);
        let units = content_units.saturating_add(1).min(ADMISSION_UNITS);
        if let Ok(permit) = Arc::clone(&self.units).try_acquire_many_owned(units) {
            return Ok(permit);
        }
        let place = Place(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.max_waiting {
            return Err(Error::Overloaded);
        }
        let permit = Arc::clone(&self.units).acquire_many_owned(units).await;
        drop(place);
        permit.map_err(|_| Error::ShuttingDown)
    }

    /// Requests that wait to be admitted.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// The place of a waiting request. It leaves the count when the request is admitted, refused or
/// dropped.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes of message content that a command carries.
pub(crate) fn content_bytes(command: &Command) -> usize {
    match command {
        Command::Enqueue(enqueue) => enqueue.messages.iter().map(|m| m.content.len()).sum(),
        Command::Publish(publish) => publish.messages.iter().map(|m| m.content.len()).sum(),
        Command::EnqueueReserved(enqueue) => {
            enqueue.messages.iter().map(|m| m.message.content.len()).sum()
        }
        Command::Relocate(relocate) => relocate.frame.len(),
        Command::Atomic(commands) => commands.iter().map(content_bytes).sum(),
        Command::Ledger(LedgerCommand::Complete(complete)) => complete.result.len(),
        Command::Ledger(LedgerCommand::Put(put)) => put.value.len(),
        Command::Schedule(ScheduleCommand::Create(create)) => create.config.message.content.len(),
        Command::Schedule(ScheduleCommand::Update(update)) => update.config.message.content.len(),
        Command::Ledger(_)
        | Command::Schedule(_)
        | Command::CreateQueue(_)
        | Command::ConfigureQueue(_)
        | Command::DeleteQueue(_)
        | Command::PurgeQueue(_)
        | Command::SetPaused(_)
        | Command::Acquire(_)
        | Command::Settle(_)
        | Command::Extend(_)
        | Command::EndSession(_)
        | Command::Reserve(_)
        | Command::BySeq(_)
        | Command::Intervene(_)
        | Command::Conclude(_)
        | Command::GiveBack(_)
        | Command::StartMoveTask(_)
        | Command::CancelMoveTask(_)
        | Command::CreateExchange(_)
        | Command::ConfigureExchange(_)
        | Command::DeleteExchange(_)
        | Command::Bind(_)
        | Command::ConfigureBinding(_)
        | Command::Unbind(_)
        | Command::Tick => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_finds_no_room_waits_and_who_finds_no_place_to_wait_is_refused() {
        let admission = Arc::new(Admission::new(1));
        let all = admission.admit(usize::MAX).await.unwrap();
        let waiter = tokio::spawn({
            let admission = Arc::clone(&admission);
            async move { admission.admit(10).await.is_ok() }
        });
        while admission.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(admission.admit(10).await.unwrap_err(), Error::Overloaded);
        drop(all);
        assert!(waiter.await.unwrap());
        assert_eq!(admission.waiting(), 0);
    }
}
