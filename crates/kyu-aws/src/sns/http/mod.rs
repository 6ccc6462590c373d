//! Deliveries to HTTP and HTTPS endpoints. A subscription of an endpoint is a binding like any other,
//! to a queue of its own that only this module knows: a publish is as durable there as in a queue of
//! SQS, retries and their delays are those of the queue, and a restart goes on where the server was.
//!
//! Each such queue has a worker (`worker.rs`); one task here starts them.

mod endpoint;
mod letter;
mod reach;
mod worker;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kyu_broker::{Broker, QueueName};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{Id, JoinHandle, JoinSet};

pub(super) use endpoint::Endpoint;
pub(super) use letter::Control;
pub use reach::EndpointRule;
pub(super) use reach::Reach;

use super::{Sns, outbox};
use crate::door::SqsOptions;
use endpoint::Connector;

/// The namespace of the queues. No account and no ARN can have a colon in it.
pub(super) const NAMESPACE: &str = "sns:http";
/// The attribute of such a queue that names its binding.
pub(super) const BINDING: &str = "binding";

/// Deliveries at one time beyond the one that every subscriber may always have: each takes a
/// connection and some 100 KiB. More wait in their queue.
const MAX_EXTRA: usize = 512;
/// Pause before a worker that ended badly is replaced.
const BREATH: Duration = Duration::from_secs(1);
/// The time between two looks at whether more is kept for people than is shown.
const OUTBOX_LOOK: Duration = Duration::from_secs(5);
/// The time for which deliveries may go on at shutdown; what is not done then is delivered again.
const GRACE: Duration = Duration::from_secs(2);

/// The queue of the subscription with this name.
pub(super) fn queue_of(name: String) -> QueueName {
    QueueName { namespace: NAMESPACE.into(), name }
}

/// The place where actions tell that there is a queue with something to deliver.
pub(crate) struct Posts {
    news: mpsc::UnboundedSender<QueueName>,
    /// Taken when deliveries begin.
    heard: Mutex<Option<mpsc::UnboundedReceiver<QueueName>>>,
}

impl Posts {
    pub(super) fn new() -> Self {
        let (news, heard) = mpsc::unbounded_channel();
        Self { news, heard: Mutex::new(Some(heard)) }
    }

    /// There is a new queue.
    pub(super) fn tell(&self, queue: QueueName) {
        // Without deliveries nobody listens; the next start finds the queue.
        let _nobody = self.news.send(queue);
    }
}

/// Counts of deliveries by how they ended, for metrics.
#[derive(Debug, Default)]
pub struct DeliveryCounts {
    /// Messages that endpoints took.
    pub taken: AtomicU64,
    /// Tries that failed and are repeated.
    pub retried: AtomicU64,
    /// Messages that went to a dead-letter queue.
    pub dead_lettered: AtomicU64,
    /// Messages that no endpoint took and that had no dead-letter queue.
    pub dropped: AtomicU64,
}

/// The state that all workers share.
pub(super) struct Office {
    pub(super) broker: Broker,
    pub(super) options: Arc<SqsOptions>,
    pub(super) sns: Arc<Sns>,
    connector: Arc<Connector>,
    extra: Arc<Semaphore>,
}

/// Running deliveries. When dropped, they end at once.
#[derive(Debug)]
pub struct Deliveries {
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl Deliveries {
    /// Begins to deliver. At most one of a door's does: later ones find nobody to listen to.
    pub(crate) fn start(broker: Broker, options: Arc<SqsOptions>, sns: Arc<Sns>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let heard = sns.posts.heard.lock().unwrap_or_else(PoisonError::into_inner).take();
        let task = heard.map(|heard| {
            let connector = Arc::new(Connector::new(options.sns.reach()));
            let extra = Arc::new(Semaphore::new(MAX_EXTRA));
            let office = Arc::new(Office { broker, options, sns, connector, extra });
            tokio::spawn(supervise(office, heard, stopped))
        });
        Self { stop, task }
    }

    /// Takes no more messages, and waits a moment for the answers to those under way.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "deliveries to HTTP endpoints ended badly");
        }
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn supervise(
    office: Arc<Office>,
    mut heard: mpsc::UnboundedReceiver<QueueName>,
    stopped: watch::Receiver<bool>,
) {
    let mut workers = JoinSet::new();
    let mut running: BTreeMap<QueueName, Id> = BTreeMap::new();
    let begin = |workers: &mut JoinSet<QueueName>, queue: &QueueName, after: Duration| {
        let worker = worker::Worker::new(Arc::clone(&office), queue.clone(), stopped.clone());
        let task = async move {
            tokio::time::sleep(after).await;
            worker.run().await
        };
        workers.spawn(task).id()
    };
    for queue in office.broker.directory().list(NAMESPACE, "") {
        running.insert(queue.name.clone(), begin(&mut workers, &queue.name, Duration::ZERO));
    }
    let mut stop = stopped.clone();
    let mut look = tokio::time::interval(OUTBOX_LOOK);
    loop {
        tokio::select! {
            () = async { drop(stop.wait_for(|stopped| *stopped).await) } => break,
            _ = look.tick() => {
                if let Err(error) = outbox::trim(&office.broker).await {
                    tracing::warn!(%error, "what would have gone to people is not trimmed");
                }
            }
            queue = heard.recv() => {
                let Some(queue) = queue else { break };
                if let Entry::Vacant(idle) = running.entry(queue) {
                    let task = begin(&mut workers, idle.key(), Duration::ZERO);
                    idle.insert(task);
                }
            }
            Some(ended) = workers.join_next() => match ended {
                Ok(queue) => drop(running.remove(&queue)),
                Err(error) => {
                    tracing::error!(%error, "a delivery worker ended badly; another takes over");
                    let dead = running.iter_mut().find(|(_, task)| **task == error.id());
                    if let Some((queue, task)) = dead {
                        *task = begin(&mut workers, queue, BREATH);
                    }
                }
            },
        }
    }
    let all = async { while workers.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all).await.is_err() {
        tracing::info!("deliveries to HTTP endpoints go on after the next start");
    }
}

#[cfg(test)]
mod tests;
