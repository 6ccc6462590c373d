//! Message bodies for deliveries: from the log's memory at once, else by a few threads that read
//! from disk, so that a slow disk delays only receives that need it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use kyu_engine::{Delivery, Frame};
use kyu_log::{FileReader, LogReader, Lsn};
use tokio::sync::{Semaphore, oneshot};

use crate::error::Error;
use crate::limits::{COLD_READ_THREADS, MAX_COLD_RECEIVES};
use crate::metrics::{Counter, Metrics};
use crate::thread::{self, Threads};

/// A delivered message with its content in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Proof of delivery, counts.
    pub delivery: Delivery,
    /// The message, checked against its checksum.
    pub message: Frame,
}

/// The reader of the messages that deliveries name.
#[derive(Debug)]
pub(crate) struct Bodies {
    shared: Arc<Shared>,
    /// Bounds the jobs; a std channel has no asynchronous sender.
    permits: Semaphore,
}

struct Shared {
    reader: FileReader,
    metrics: Arc<Metrics>,
    jobs: Mutex<Jobs>,
    wake: Condvar,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bodies").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    closed: bool,
}

struct Job {
    deliveries: Vec<Delivery>,
    reply: oneshot::Sender<Vec<Received>>,
}

impl Bodies {
    pub(crate) fn start(
        reader: FileReader,
        metrics: Arc<Metrics>,
        threads: &mut Threads,
    ) -> std::io::Result<Self> {
        let jobs = Mutex::new(Jobs::default());
        let shared = Arc::new(Shared { reader, metrics, jobs, wake: Condvar::new() });
        for _ in 0..COLD_READ_THREADS {
            let shared = Arc::clone(&shared);
            threads.push(thread::spawn("kyu-cold-read", move || shared.run())?);
        }
        Ok(Self { shared, permits: Semaphore::new(MAX_COLD_RECEIVES) })
    }

    /// The messages of these deliveries, in order. One that cannot be read back as it was written
    /// is reported and left out: its lease lapses, and the dead-letter rule applies to it.
    pub(crate) async fn resolve(&self, deliveries: Vec<Delivery>) -> Result<Vec<Received>, Error> {
        let mut received = Vec::with_capacity(deliveries.len());
        let mut deliveries = deliveries.into_iter();
        while let Some(delivery) = deliveries.next() {
            let at = Lsn(delivery.frame_at);
            match self.shared.reader.read_hot(at, delivery.frame_bytes as usize) {
                Some(bytes) => received.extend(self.shared.decode(delivery, bytes)),
                None => {
                    let cold = std::iter::once(delivery).chain(deliveries.by_ref()).collect();
                    received.extend(self.read_cold(cold).await?);
                }
            }
        }
        Ok(received)
    }

    async fn read_cold(&self, deliveries: Vec<Delivery>) -> Result<Vec<Received>, Error> {
        let _permit = self.permits.acquire().await.map_err(|_| Error::ShuttingDown)?;
        let (reply, answer) = oneshot::channel();
        {
            let mut jobs = self.shared.lock();
            if jobs.closed {
                return Err(Error::ShuttingDown);
            }
            jobs.waiting.push_back(Job { deliveries, reply });
        }
        self.shared.wake.notify_one();
        answer.await.map_err(|_| Error::ShuttingDown)
    }

    /// Ends the threads once the jobs that wait are done.
    pub(crate) fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_all();
    }
}

impl Shared {
    fn run(&self) {
        loop {
            let Some(job) = self.next_job() else { return };
            // The caller may have gone; then nobody needs the bytes.
            if !job.reply.is_closed() {
                let received = job.deliveries.into_iter().filter_map(|d| self.read(d)).collect();
                let _caller_gone = job.reply.send(received);
            }
        }
    }

    fn next_job(&self) -> Option<Job> {
        let mut jobs = self.lock();
        loop {
            match jobs.waiting.pop_front() {
                Some(job) => return Some(job),
                None if jobs.closed => return None,
                None => jobs = self.wake.wait(jobs).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn read(&self, delivery: Delivery) -> Option<Received> {
        self.metrics.add(Counter::ColdReads, 1);
        match self.reader.read(Lsn(delivery.frame_at), delivery.frame_bytes as usize) {
            Ok(bytes) => self.decode(delivery, bytes),
            Err(error) => {
                self.report(&delivery, &error);
                None
            }
        }
    }

    fn decode(&self, delivery: Delivery, bytes: Bytes) -> Option<Received> {
        match Frame::decode(bytes) {
            Ok(message) => Some(Received { delivery, message }),
            Err(error) => {
                self.report(&delivery, &error);
                None
            }
        }
    }

    fn report(&self, delivery: &Delivery, error: &dyn std::fmt::Display) {
        self.metrics.add(Counter::DamagedFrames, 1);
        tracing::error!(
            queue = delivery.receipt.queue.0,
            seq = delivery.receipt.seq,
            address = delivery.frame_at,
            bytes = delivery.frame_bytes,
            %error,
            "a message could not be read back; it is not delivered. See `kyu log verify`"
        );
    }

    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
