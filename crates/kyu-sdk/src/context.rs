//! The attempt as its handler knows it, with what the handler may do as part of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::backend::{Backend, Completion, Handle, Outgoing};
use crate::error::Error;
use crate::job::{EnqueueOptions, Job};

/// One attempt at one job. Clones share it.
#[derive(Clone, Debug)]
pub struct Context {
    pub(crate) shared: Arc<Attempt>,
}

#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) backend: Arc<Backend>,
    pub(crate) queue: &'static str,
    pub(crate) handle: Handle,
    pub(crate) id: String,
    pub(crate) number: u32,
    pub(crate) scheduled_at_ms: Option<u64>,
    /// SHA-256 of the job: what claims of this job are made on.
    pub(crate) fingerprint: [u8; 32],
    pub(crate) staged: Mutex<Staged>,
}

/// The effects that become true with the acknowledgement.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    pub(crate) outgoing: Vec<Outgoing>,
    pub(crate) completions: Vec<Completion>,
}

impl Context {
    /// The job's identifier, a UUID; the same in every attempt.
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// The number of this attempt, from 1.
    pub fn attempt(&self) -> u32 {
        self.shared.number
    }

    /// The time at which the run of the schedule was due that enqueued the job, `None` if no
    /// schedule did. A run that is caught up late has its own time here.
    pub fn scheduled_at(&self) -> Option<SystemTime> {
        let since = Duration::from_millis(self.shared.scheduled_at_ms?);
        UNIX_EPOCH.checked_add(since)
    }

    /// The queue that the job came from.
    pub fn queue(&self) -> &'static str {
        self.shared.queue
    }

    /// Adds a job in the same step as this one's acknowledgement: both happen, or neither. Nothing
    /// is added if the handler fails.
    pub fn enqueue<J: Job>(&self, job: &J) -> Result<(), Error> {
        self.enqueue_with(job, &EnqueueOptions::default())
    }

    /// Enqueues as [`Context::enqueue`] does, with a delay, a deadline, a lane ...
    pub fn enqueue_with<J: Job>(&self, job: &J, options: &EnqueueOptions) -> Result<(), Error> {
        let outgoing = Outgoing::new(job, options)?;
        self.stage(|staged| staged.outgoing.push(outgoing));
        Ok(())
    }

    pub(crate) fn stage(&self, add: impl FnOnce(&mut Staged)) {
        add(&mut self.shared.staged.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn take_staged(&self) -> Staged {
        std::mem::take(&mut *self.shared.staged.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
