//! The handle.

#[cfg(feature = "embedded")]
use std::path::PathBuf;
use std::sync::Arc;

#[cfg(feature = "remote")]
use kyu_client::ClientOptions as ConnectOptions;

#[cfg(feature = "embedded")]
use crate::backend::Embedded;
#[cfg(feature = "remote")]
use crate::backend::Remote;
use crate::backend::{Backend, Failure, Outgoing, QueueSettings};
use crate::error::Error;
use crate::job::{EnqueueOptions, Enqueued, Job};
use crate::schedule::Schedule;

/// Access to queues, in this process or at a server. Clones are cheap and share it.
#[derive(Clone, Debug)]
pub struct Kyu {
    pub(crate) backend: Arc<Backend>,
}

impl Kyu {
    /// Opens (or makes) a store in a directory, in this process. One process at a time.
    #[cfg(feature = "embedded")]
    pub async fn open(dir: impl Into<PathBuf>) -> Result<Self, Error> {
        let embedded = Embedded::open(dir.into()).await?;
        Ok(Self { backend: Arc::new(Backend::Embedded(embedded)) })
    }

    /// Uses the server at a URL such as `http://127.0.0.1:9324`, without credentials. Connects when
    /// first used.
    #[cfg(feature = "remote")]
    pub fn connect(url: &str) -> Result<Self, Error> {
        Self::connect_with(&ConnectOptions::new(url))
    }

    /// Connects as [`Kyu::connect`] does, with credentials, with certificate authorities of one's
    /// own for `https://` (without: those that the machine believes), in another namespace.
    #[cfg(feature = "remote")]
    pub fn connect_with(options: &ConnectOptions) -> Result<Self, Error> {
        Ok(Self { backend: Arc::new(Backend::Remote(Box::new(Remote::new(options)?))) })
    }

    /// Adds a job. When this returns, it is on disk.
    pub async fn enqueue<J: Job>(&self, job: &J) -> Result<Enqueued, Error> {
        self.enqueue_with(job, &EnqueueOptions::default()).await
    }

    /// Enqueues as [`Kyu::enqueue`] does, with a delay, a deadline, a lane ...
    pub async fn enqueue_with<J: Job>(
        &self,
        job: &J,
        options: &EnqueueOptions,
    ) -> Result<Enqueued, Error> {
        let outgoing = Outgoing::new(job, options)?;
        match self.backend.enqueue(&outgoing).await {
            Err(Failure::QueueNotFound) => {
                self.declare::<J>().await?;
                Ok(self.backend.enqueue(&outgoing).await?)
            }
            result => Ok(result?),
        }
    }

    /// Makes the queue of a job type and its dead-letter queue, if they do not exist.
    pub async fn declare<J: Job>(&self) -> Result<(), Error> {
        Ok(self.backend.declare(&QueueSettings::of::<J>()).await?)
    }

    /// Lets time enqueue a job, from now on and whoever runs: each run is exactly one job, across
    /// restarts and clock jumps. Saying the same again changes nothing; saying something else under
    /// the same name replaces it.
    pub async fn schedule<J: Job>(
        &self,
        name: &str,
        schedule: &Schedule,
        job: &J,
    ) -> Result<(), Error> {
        self.declare::<J>().await?;
        let job = Outgoing::new(job, &EnqueueOptions::default())?;
        Ok(self.backend.schedule(name, schedule, &job).await?)
    }

    /// Ends a schedule; what it enqueued stays. Nothing happens if there is none.
    pub async fn unschedule(&self, name: &str) -> Result<(), Error> {
        Ok(self.backend.unschedule(name).await?)
    }

    /// Jobs of a type that wait, are delayed, and are being worked on.
    pub async fn counts<J: Job>(&self) -> Result<(u64, u64, u64), Error> {
        Ok(self.backend.counts(J::QUEUE).await?)
    }

    /// Closes a store of this process in good order; does nothing to a server. Without it, the
    /// store closes in the background when the last handle is dropped.
    pub async fn close(&self) {
        self.backend.close().await;
    }
}
