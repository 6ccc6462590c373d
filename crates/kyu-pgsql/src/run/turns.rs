//! Turns of long statements, in threads of their own, so that no statement holds up
//! another connection or another door.
//!
//! There are as many turns as the machine has cores. A statement gives its turn back whenever it
//! waits, and about every millisecond ([`work`](crate::work)); the next in line goes on. The thread is
//! a worker of the runtime that has handed its other tasks to a fresh thread before
//! (`block_in_place`): the caller's future need not move, and what it borrows stays borrowed.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;

/// The turns of all statements of a server that are not short.
#[derive(Debug)]
pub struct Turns(Semaphore);

impl Default for Turns {
    fn default() -> Self {
        Self::new()
    }
}

impl Turns {
    /// Makes as many turns as the machine has cores.
    pub fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self(Semaphore::new(cores.max(2)))
    }

    /// Runs work apart from the sockets, if it is long; a turn for each time that it is polled.
    pub async fn apart<T>(&self, long: bool, work: impl Future<Output = T>) -> T {
        if !long {
            return work.await;
        }
        let mut work = pin!(work);
        loop {
            // Nobody closes the semaphore.
            let turn = self.0.acquire().await;
            let polled = poll_fn(|cx| Poll::Ready(in_place(|| work.as_mut().poll(cx)))).await;
            drop(turn);
            match polled {
                Poll::Ready(done) => return done,
                Poll::Pending => woken().await,
            }
        }
    }
}

/// Completes when the task is polled again: the work has left its waker where it waits.
async fn woken() {
    let mut polled = false;
    poll_fn(|_| match std::mem::replace(&mut polled, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

/// Runs something that does not wait. The other tasks of this thread go on in another.
fn in_place<T>(run: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(run),
        _ => run(),
    }
}
