//! The handle that doors hold: typed requests in, durable answers out.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll::Ready;

use kyu_engine::{
    Acquire, Answer, Ask, Command, Delivery, GiveBack, Query, Question, QueueId, QueueInfo, Reply,
    SessionId, UnixMs,
};
use tokio::sync::oneshot;

use crate::admission::{Admission, content_bytes};
use crate::bodies::{Bodies, Received};
use crate::clock::Clock;
use crate::directory::Directory;
use crate::error::Error;
use crate::filtered::Filtered;
use crate::inbox::Inbox;
use crate::metrics::{Counter, Metrics, MetricsSnapshot, QueueMetrics};
use crate::pins::Pin;
use crate::request::{Job, Leased, Ticket};
use crate::thread::Threads;
use crate::waiters::ReceiveId;

/// The number of queues measured in one step, so that other requests are served in between.
const MEASURED_QUEUES: usize = 100;

/// One open broker. Clones are cheap and share it; when the last is dropped, it closes in the
/// background. Use [`Broker::shutdown`] to wait for that.
#[derive(Clone, Debug)]
pub struct Broker {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) inbox: Arc<Inbox<Job>>,
    pub(crate) admission: Admission,
    pub(crate) bodies: Bodies,
    pub(crate) directory: Arc<Directory>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) epoch: u32,
    pub(crate) receives: AtomicU64,
    pub(crate) sessions: AtomicU64,
    pub(crate) threads: Mutex<Threads>,
    pub(crate) filtered: Filtered,
}

impl Broker {
    /// Carries out a command; its reply comes when its effects are durable.
    pub async fn ask<A: Ask>(&self, command: A) -> Result<A::Reply, Error> {
        self.ask_pinned(command).await.map(|(reply, _)| reply)
    }

    /// As [`Broker::ask`]; the addresses of deliveries in the reply can be read as long as the pin is
    /// kept. See [`Broker::resolve`].
    pub async fn ask_pinned<A: Ask>(&self, command: A) -> Result<(A::Reply, Pin), Error> {
        let (reply, pin) = self.submit_pinned(command.into()).await?;
        // The engine decides a command into the reply that its type says.
        Ok((A::unwrap(reply).ok_or(Error::Internal)?, pin))
    }

    /// Answers a question from the state after everything that was answered before.
    pub async fn look_up<Q: Question>(&self, question: Q) -> Result<Q::Answer, Error> {
        self.look_up_pinned(question).await.map(|(answer, _)| answer)
    }

    /// As [`Broker::look_up`]; the addresses of deliveries in the answer can be read as long as the
    /// pin is kept. See [`Broker::resolve`].
    pub async fn look_up_pinned<Q: Question>(
        &self,
        question: Q,
    ) -> Result<(Q::Answer, Pin), Error> {
        let (answer, pin) = self.query_pinned(question.into()).await?;
        Ok((Q::unwrap(answer).ok_or(Error::Internal)?, pin))
    }

    /// As [`Broker::ask`], for one that carries commands of any kind: simulation and tests. A door
    /// knows which command it gives, and asks for its reply.
    pub async fn submit(&self, command: Command) -> Result<Reply, Error> {
        self.submit_pinned(command).await.map(|(reply, _)| reply)
    }

    /// Submits as [`Broker::submit`] does; the addresses of deliveries in the reply can be read as
    /// long as the pin is kept. See [`Broker::resolve`].
    pub async fn submit_pinned(&self, command: Command) -> Result<(Reply, Pin), Error> {
        let permit = self.admit(content_bytes(&command)).await?;
        let (reply, answer) = oneshot::channel();
        self.send(Job::Command(command, Ticket::Command(reply, permit)))?;
        answer.await.map_err(|_| Error::Internal)?
    }

    /// As [`Broker::look_up`], for one that carries questions of any kind: simulation and tests.
    pub async fn query(&self, query: Query) -> Result<Answer, Error> {
        self.query_pinned(query).await.map(|(answer, _)| answer)
    }

    /// Queries as [`Broker::query`] does; the addresses of deliveries in the answer can be read as
    /// long as the pin is kept. See [`Broker::resolve`].
    pub async fn query_pinned(&self, query: Query) -> Result<(Answer, Pin), Error> {
        let permit = self.admit(0).await?;
        let (reply, answer) = oneshot::channel();
        self.send(Job::Query(query, Ticket::Query(reply, permit)))?;
        answer.await.map_err(|_| Error::Internal)?
    }

    /// Leases messages, waiting up to `wait_ms` for the first; empty when the time is over. The
    /// receive that has waited longest is served first. If the future is dropped, the receive stops
    /// waiting, and messages on their way return to the queue uncounted.
    pub async fn receive(&self, acquire: Acquire, wait_ms: u64) -> Result<Vec<Received>, Error> {
        let leased = self.lease(acquire, wait_ms).await?;
        self.load(leased).await
    }

    /// The first half of [`Broker::receive`]: the messages are leased, and their size is known, but
    /// none is in memory. Dropped, they go back uncounted.
    pub async fn lease(&self, acquire: Acquire, wait_ms: u64) -> Result<Leased, Error> {
        self.lease_unless(std::future::pending(), acquire, wait_ms).await
    }

    /// Leases messages as [`Broker::lease`] does, for a client that may disconnect: the wait ends when
    /// `gone` completes. A client that disconnected before or during the wait is leased nothing. A
    /// message that was there when the receive came is leased, as nobody can know if it reached the
    /// client.
    pub async fn lease_unless(
        &self,
        gone: impl Future<Output = ()>,
        acquire: Acquire,
        wait_ms: u64,
    ) -> Result<Leased, Error> {
        let mut gone = std::pin::pin!(gone);
        if wait_ms > 0 && std::future::poll_fn(|cx| Ready(gone.as_mut().poll(cx).is_ready())).await
        {
            return Ok(Leased::none(acquire.queue, &self.shared.inbox));
        }
        let permit = self.admit(0).await?;
        let id = ReceiveId(self.shared.receives.fetch_add(1, Ordering::Relaxed));
        let queue = acquire.queue;
        let (reply, mut answer) = oneshot::channel();
        let ticket = Ticket::Receive(queue, reply);
        self.send(Job::Receive { id, acquire, wait_ms, ticket, permit })?;
        let place = Place { queue, id, inbox: Some(&self.shared.inbox) };
        let answered = tokio::select! {
            biased;
            answered = &mut answer => answered,
            () = gone, if wait_ms > 0 => {
                self.send(Job::EndWait(queue, id))?;
                answer.await
            }
        };
        let leased: Leased = answered.map_err(|_| Error::Internal)??;
        place.served();
        Ok(leased)
    }

    /// The second half of [`Broker::receive`]: the messages. The receiver has them then.
    pub async fn load(&self, leased: Leased) -> Result<Vec<Received>, Error> {
        let received = self.shared.bodies.resolve(leased.deliveries().to_vec()).await?;
        leased.taken();
        Ok(received)
    }

    /// The messages of these deliveries, in order; one that cannot be read back is reported and
    /// left out. `pin` came with them.
    pub async fn resolve(
        &self,
        deliveries: Vec<Delivery>,
        pin: &Pin,
    ) -> Result<Vec<Received>, Error> {
        let _kept = pin;
        self.shared.bodies.resolve(deliveries).await
    }

    /// Gives back the claims of a transaction that did not commit, in the background. Commands
    /// that are submitted later find them given back.
    pub fn give_back(&self, claims: GiveBack) {
        // A server that ends gives back all claims at its next start.
        let _closed = self.send(Job::GiveBack(claims));
    }

    /// A session that nobody has had before.
    pub fn new_session(&self) -> SessionId {
        let number = self.shared.sessions.fetch_add(1, Ordering::Relaxed);
        SessionId(u64::from(self.shared.epoch) << 32 | number & u64::from(u32::MAX))
    }

    /// The queues, read without a lock.
    pub fn directory(&self) -> &Directory {
        &self.shared.directory
    }

    /// The broker's time.
    pub fn now_ms(&self) -> UnixMs {
        self.shared.clock.now_ms()
    }

    /// The time of the wall clock, as far as it is trusted. It governs schedules and the absolute times
    /// that clients give.
    pub fn wall_ms(&self) -> UnixMs {
        self.now_ms().saturating_add_signed(self.shared.clock.wall_ahead_ms())
    }

    /// Number of this run of the log; part of every receipt.
    pub fn epoch(&self) -> u32 {
        self.shared.epoch
    }

    /// Counters and gauges.
    pub async fn metrics(&self) -> Result<MetricsSnapshot, Error> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Metrics(reply))?;
        let mut snapshot = answer.await.map_err(|_| Error::Internal)?;
        snapshot.gauges.clock_off_seconds =
            self.shared.clock.wall_ahead_ms().unsigned_abs() / 1_000;
        snapshot.gauges.waiting_requests = self.shared.admission.waiting() as u64;
        Ok(snapshot)
    }

    /// The first `max` queues in order of name, with what is measured of each.
    pub async fn queue_metrics(
        &self,
        max: usize,
    ) -> Result<Vec<(Arc<QueueInfo>, QueueMetrics)>, Error> {
        let queues = self.directory().first(max);
        let mut measured = Vec::with_capacity(queues.len());
        for some in queues.chunks(MEASURED_QUEUES) {
            let (reply, answer) = oneshot::channel();
            let ids = some.iter().map(|queue| queue.id).collect();
            self.send(Job::QueueMetrics(ids, reply))?;
            let answers = answer.await.map_err(|_| Error::Internal)?;
            let there = some.iter().cloned().zip(answers);
            measured.extend(there.filter_map(|(queue, found)| Some((queue, found?))));
        }
        Ok(measured)
    }

    /// Answers all long polls and lets no receive wait any more; the first step of ending a server,
    /// so that its connections become free while everything else still works.
    pub fn end_long_polls(&self) {
        let _closed = self.send(Job::EndLongPolls);
    }

    /// Takes no more requests, answers those inside, writes a snapshot, closes the log.
    pub async fn shutdown(&self) {
        self.shared.inbox.close();
        let threads = std::mem::take(
            &mut *self.shared.threads.lock().unwrap_or_else(PoisonError::into_inner),
        );
        let shared = Arc::clone(&self.shared);
        let joined = tokio::task::spawn_blocking(move || {
            // The first is the engine's thread: the others have work as long as it runs.
            for (at, thread) in threads.into_iter().enumerate() {
                if thread.join().is_err() {
                    tracing::error!("a broker thread ended badly");
                }
                if at == 0 {
                    shared.bodies.close();
                }
            }
        });
        if let Err(error) = joined.await {
            tracing::error!(%error, "waiting for the broker's threads");
        }
    }

    async fn admit(&self, content_bytes: usize) -> Result<crate::admission::Permit, Error> {
        self.shared.admission.admit(content_bytes).await.inspect_err(|error| {
            if *error == Error::Overloaded {
                self.shared.metrics.add(Counter::Overloads, 1);
            }
        })
    }

    fn send(&self, job: Job) -> Result<(), Error> {
        self.shared.inbox.push(job).map_err(|_| Error::ShuttingDown)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.inbox.close();
        self.bodies.close();
    }
}

/// A receive's place among those that wait; it is given up when the receive's future is dropped.
struct Place<'a> {
    queue: QueueId,
    id: ReceiveId,
    inbox: Option<&'a Inbox<Job>>,
}

impl Place<'_> {
    fn served(mut self) {
        self.inbox = None;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(inbox) = self.inbox {
            let _closed = inbox.push(Job::Cancel(self.queue, self.id));
        }
    }
}
