//! Workers: take jobs, run handlers, stop in good order.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::backend::{Backend, Failure, Incoming, QueueSettings};
use crate::context::Context;
use crate::error::{Error, JobError};
use crate::job::Job;
use crate::kyu::Kyu;
use crate::run::{Ended, run};

/// The time for which one receive waits at the server.
const WAIT: Duration = Duration::from_secs(20);
/// Jobs that one receive takes at most.
const MAX_RECEIVE: usize = 10;
/// The pause after a failed receive: no tight loop against a server that is away.
const PAUSE: Duration = Duration::from_millis(500);

type Boxed<'a> = Pin<Box<dyn Future<Output = Result<(), JobError>> + Send + 'a>>;
type Handler = Arc<dyn Fn(Bytes, Context) -> Boxed<'static> + Send + Sync>;

/// Wraps around every attempt: logging, metrics, set-up. Layers run in the order in which they were
/// added, the first outermost.
pub trait Layer: Send + Sync + 'static {
    /// Runs the attempt, or refuses it.
    fn call<'a>(&'a self, context: &'a Context, next: Next<'a>) -> Boxed<'a>;
}

/// The rest of the layers and the handler.
pub struct Next<'a> {
    layers: &'a [Arc<dyn Layer>],
    context: &'a Context,
    job: Boxed<'a>,
}

impl std::fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Next").field("layers", &self.layers.len()).finish_non_exhaustive()
    }
}

impl<'a> Next<'a> {
    /// Goes on.
    pub fn run(self) -> Boxed<'a> {
        match self.layers.split_first() {
            Some((layer, layers)) => {
                let context = self.context;
                layer.call(context, Next { layers, context, job: self.job })
            }
            None => self.job,
        }
    }
}

/// One kind of job that a worker takes.
#[derive(Clone)]
pub(crate) struct Kind {
    pub(crate) settings: QueueSettings,
    pub(crate) timeout: Duration,
    handler: Handler,
    layers: Arc<[Arc<dyn Layer>]>,
}

impl Kind {
    /// The attempt as a future; nothing runs before it is polled.
    pub(crate) async fn attempt(&self, body: Bytes, context: Context) -> Result<(), JobError> {
        let job = (self.handler)(body, context.clone());
        Next { layers: &self.layers, context: &context, job }.run().await
    }
}

/// Takes jobs of the kinds that it has handlers for.
pub struct Worker {
    backend: Arc<Backend>,
    concurrency: usize,
    grace: Duration,
    lease: Duration,
    layers: Vec<Arc<dyn Layer>>,
    kinds: BTreeMap<&'static str, Kind>,
}

/// A worker's counts of what it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Attempts that succeeded.
    pub done: u64,
    /// Attempts that failed and will be tried again.
    pub failed: u64,
    /// Jobs that went to a dead-letter queue.
    pub dead: u64,
    /// Jobs given back uncounted: too early, or cut off by the end of the worker.
    pub given_back: u64,
    /// Attempts that ended when they no longer counted: another attempt had begun.
    pub stale: u64,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("kinds", &self.kinds.keys()).finish_non_exhaustive()
    }
}

impl Worker {
    /// A worker for jobs of this handle.
    pub fn new(kyu: &Kyu) -> Self {
        Self {
            backend: Arc::clone(&kyu.backend),
            concurrency: 10,
            grace: Duration::from_secs(30),
            lease: Duration::from_secs(30),
            layers: Vec::new(),
            kinds: BTreeMap::new(),
        }
    }

    /// Jobs of each kind at one time; 10 unless said.
    #[must_use]
    pub fn concurrency(mut self, jobs: usize) -> Self {
        self.concurrency = jobs.max(1);
        self
    }

    /// Sets the time for which running jobs may go on once the worker is told to stop; 30 s unless
    /// said. What is left is given back uncounted.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets the time after which another worker gets the jobs of one that died; 30 s unless said. A
    /// running job's lease is extended at a third of this.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease.max(Duration::from_secs(1));
        self
    }

    /// Adds a layer around every attempt of the kinds that are added after it.
    #[must_use]
    pub fn layer(mut self, layer: impl Layer) -> Self {
        self.layers.push(Arc::new(layer));
        self
    }

    /// Handles jobs of a type.
    #[must_use]
    pub fn handle<J, F, R>(mut self, handler: F) -> Self
    where
        J: Job,
        F: Fn(J, Context) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), JobError>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let handler: Handler = Arc::new(move |body, context| {
            let handler = Arc::clone(&handler);
            Box::pin(async move {
                // Another attempt would read the same bytes.
                let job = serde_json::from_slice(&body)
                    .map_err(|error| JobError::Dead(format!("not a {}: {error}", J::QUEUE)))?;
                handler(job, context).await
            })
        });
        let kind = Kind {
            settings: QueueSettings::of::<J>(),
            timeout: J::TIMEOUT,
            handler,
            layers: self.layers.clone().into(),
        };
        self.kinds.insert(J::QUEUE, kind);
        self
    }

    /// Makes the queues, waiting for a server that is not there yet.
    async fn declare(&self) -> Result<(), Error> {
        for kind in self.kinds.values() {
            loop {
                match self.backend.declare(&kind.settings).await.map_err(Error::from) {
                    Ok(()) => break,
                    Err(Error::Retry(why)) => {
                        tracing::warn!(why, queue = kind.settings.queue, "a queue is not made yet");
                        tokio::time::sleep(PAUSE).await;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Works until `stop` is over, then lets running jobs finish within the grace.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<Summary, Error> {
        let mut stop = std::pin::pin!(stop);
        tokio::select! {
            declared = self.declare() => declared?,
            () = &mut stop => return Ok(Summary::default()),
        }
        let (stopping, stopped) = watch::channel(false);
        let mut takers = JoinSet::new();
        for kind in self.kinds.into_values() {
            let taker = Taker {
                backend: Arc::clone(&self.backend),
                slots: Arc::new(Semaphore::new(self.concurrency)),
                stopped: stopped.clone(),
                lease: self.lease,
                grace: self.grace,
                kind: Arc::new(kind),
            };
            takers.spawn(taker.work());
        }
        stop.await;
        // Nobody hears it if there is no kind of job.
        let _heard = stopping.send(true);
        let mut summary = Summary::default();
        while let Some(done) = takers.join_next().await {
            match done {
                Ok(part) => summary.add(part),
                Err(error) => tracing::error!(%error, "a worker's task ended badly"),
            }
        }
        Ok(summary)
    }
}

impl Summary {
    fn add(&mut self, part: Self) {
        self.done += part.done;
        self.failed += part.failed;
        self.dead += part.dead;
        self.given_back += part.given_back;
        self.stale += part.stale;
    }

    fn count(&mut self, ended: Ended) {
        match ended {
            Ended::Done => self.done += 1,
            Ended::Failed => self.failed += 1,
            Ended::Dead => self.dead += 1,
            Ended::GivenBack => self.given_back += 1,
            Ended::Stale => self.stale += 1,
        }
    }
}

/// Takes the jobs of one kind.
struct Taker {
    backend: Arc<Backend>,
    slots: Arc<Semaphore>,
    stopped: watch::Receiver<bool>,
    lease: Duration,
    grace: Duration,
    kind: Arc<Kind>,
}

impl Taker {
    async fn work(self) -> Summary {
        let mut running = JoinSet::new();
        let mut summary = Summary::default();
        let mut stopped = self.stopped.clone();
        loop {
            let taken = tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => break,
                taken = self.take() => taken,
            };
            for (job, slot) in taken {
                let attempt = self.attempt(job);
                running.spawn(async move {
                    let ended = attempt.await;
                    drop(slot);
                    ended
                });
            }
            while let Some(ended) = running.try_join_next() {
                note(&mut summary, ended);
            }
        }
        // Attempts end by themselves, at the latest with the grace.
        while let Some(ended) = running.join_next().await {
            note(&mut summary, ended);
        }
        summary
    }

    /// Takes as many jobs as there are free slots, waiting for the first.
    async fn take(&self) -> Vec<(Incoming, OwnedSemaphorePermit)> {
        let Ok(first) = Arc::clone(&self.slots).acquire_owned().await else { return Vec::new() };
        let mut slots = vec![first];
        while slots.len() < MAX_RECEIVE
            && let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned()
        {
            slots.push(slot);
        }
        let queue = self.kind.settings.queue;
        let failure = match self.backend.receive(queue, slots.len() as u32, self.lease, WAIT).await
        {
            Ok(jobs) => return jobs.into_iter().zip(slots).collect(),
            // Somebody has deleted it.
            Err(Failure::QueueNotFound) => self.backend.declare(&self.kind.settings).await.err(),
            Err(failure) => Some(failure),
        };
        if let Some(failure) = failure {
            tracing::warn!(error = %Error::from(failure), queue, "no jobs can be taken");
            tokio::time::sleep(PAUSE).await;
        }
        Vec::new()
    }

    fn attempt(&self, job: Incoming) -> impl Future<Output = Ended> + Send + 'static {
        let (backend, kind) = (Arc::clone(&self.backend), Arc::clone(&self.kind));
        let (mut stopped, lease, grace) = (self.stopped.clone(), self.lease, self.grace);
        let cut_off = async move {
            // The sender lives as long as the worker; without it the end has come as well.
            let _ended = stopped.wait_for(|stopped| *stopped).await.map(drop);
            tokio::time::sleep(grace).await;
        };
        async move { run(&backend, &kind, job, lease, cut_off).await }
    }
}

fn note(summary: &mut Summary, ended: Result<Ended, tokio::task::JoinError>) {
    match ended {
        Ok(ended) => summary.count(ended),
        Err(error) => tracing::error!(%error, "an attempt's task ended badly"),
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use tokio::sync::oneshot;

    use super::*;
    use crate::backend::{Ending, Finish, Finished};

    #[derive(Serialize, Deserialize)]
    struct Import;

    impl Job for Import {
        const QUEUE: &'static str = "imports";
    }

    /// A worker that stalled, and another that has its job now. The heartbeat of the first used to be
    /// told that all was well, and moved the lease of the second; the job ran twice to its end.
    #[tokio::test]
    async fn an_attempt_whose_job_somebody_else_has_is_aborted() {
        let dir = std::env::temp_dir().join(format!("kyu-sdk-lost-lease-{}", std::process::id()));
        let kyu = Kyu::open(&dir).await.unwrap();
        kyu.enqueue(&Import).await.unwrap();
        let take = || kyu.backend.receive(Import::QUEUE, 1, Duration::from_secs(60), WAIT);
        let stalled = take().await.unwrap().remove(0);
        let back = Finish {
            queue: Import::QUEUE,
            handle: stalled.handle.clone(),
            ending: Ending::GiveBack { delay_ms: 0 },
            outgoing: Vec::new(),
            completions: Vec::new(),
        };
        assert_eq!(kyu.backend.finish(&back).await.unwrap(), Finished::Done);
        let holder = take().await.unwrap().remove(0);

        // Dropped with the handler, which would go on for ever.
        let (ends, ended) = oneshot::channel::<()>();
        let ends = Arc::new(std::sync::Mutex::new(Some(ends)));
        let worker = Worker::new(&kyu).handle(move |_: Import, _| {
            let ends = ends.lock().unwrap().take();
            async move {
                std::future::pending::<()>().await;
                drop(ends);
                Ok(())
            }
        });
        let kind = Arc::new(worker.kinds[Import::QUEUE].clone());
        let lease = Duration::from_millis(30);
        let attempt = run(&kyu.backend, &kind, stalled, lease, std::future::pending());
        assert_eq!(attempt.await, Ended::Stale);
        drop((worker, kind));
        ended.await.unwrap_err();

        let done = Finish { handle: holder.handle, ending: Ending::Ack, ..back };
        assert_eq!(kyu.backend.finish(&done).await.unwrap(), Finished::Done, "the holder's counts");
        kyu.close().await;
        let _not_there = std::fs::remove_dir_all(&dir);
    }
}
