//! The inbox of a thread: many threads push, and one takes all jobs at once. A batch costs one lock.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A queue of jobs. Admission bounds its length: see [`crate::admission`].
#[derive(Debug)]
pub(crate) struct Inbox<J> {
    // A std Mutex and a condition variable: the taker is a plain thread, and nothing asynchronous
    // happens while the lock is held.
    state: Mutex<State<J>>,
    wake: Condvar,
}

#[derive(Debug)]
struct State<J> {
    jobs: Vec<J>,
    sleeping: bool,
    closed: bool,
}

impl<J> Inbox<J> {
    pub(crate) fn new() -> Self {
        let state = State { jobs: Vec::new(), sleeping: false, closed: false };
        Self { state: Mutex::new(state), wake: Condvar::new() }
    }

    /// Adds a job, or gives it back when the inbox is closed.
    pub(crate) fn push(&self, job: J) -> Result<(), J> {
        let mut state = self.lock();
        if state.closed {
            return Err(job);
        }
        state.jobs.push(job);
        let wake = std::mem::take(&mut state.sleeping);
        drop(state);
        if wake {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Swaps all jobs into `into`, which must be empty; waits up to `patience` (`None`: for ever)
    /// for the first. Returns false when the inbox is closed and empty.
    pub(crate) fn take(&self, into: &mut Vec<J>, patience: Option<Duration>) -> bool {
        let mut state = self.lock();
        if state.jobs.is_empty() && !state.closed && patience != Some(Duration::ZERO) {
            state.sleeping = true;
            state = match patience {
                Some(patience) => {
                    self.wake
                        .wait_timeout(state, patience)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
            state.sleeping = false;
        }
        std::mem::swap(&mut state.jobs, into);
        !(state.closed && into.is_empty())
    }

    /// Closes the inbox: it accepts no more jobs, and those in it will still be taken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_pushed_is_taken_in_order_and_a_closed_inbox_gives_back() {
        let inbox = Inbox::new();
        assert!(inbox.push(1).is_ok() && inbox.push(2).is_ok());
        inbox.close();
        assert_eq!(inbox.push(3), Err(3));
        let mut jobs = Vec::new();
        assert!(inbox.take(&mut jobs, None));
        assert_eq!(jobs, [1, 2]);
        jobs.clear();
        assert!(!inbox.take(&mut jobs, None));
    }

    #[test]
    fn a_sleeping_taker_wakes_at_a_push() {
        let inbox = Inbox::new();
        std::thread::scope(|scope| {
            let taker = scope.spawn(|| {
                let mut jobs = Vec::new();
                while jobs.is_empty() {
                    inbox.take(&mut jobs, None);
                }
                jobs
            });
            assert!(inbox.push(7).is_ok());
            assert_eq!(taker.join().unwrap(), [7]);
        });
    }
}
