//! The worker of one subscription: takes messages from its queue under a lease, posts them, and
//! settles each by what the endpoint answered. A slow endpoint holds up nobody else.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hyper::StatusCode;
use kyu_broker::{
    Acquire, Attribute, AttributeValue, BindingId, BindingInfo, BindingOf, Content, DeleteQueue,
    Delivery, EndSession, Enqueue, ExchangeNamed, Group, Lease, NewMessage, Order, Outcome,
    QueueInfo, QueueKind, QueueName, Received, SessionId, Settle, StatsOf, Unbind,
};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::endpoint::{Line, PostError};
use super::letter::{self, Addressed, Control};
use super::{BINDING, Office};
use crate::limits::MAX_RECEIVE_BYTES;
use crate::sns::confirmation;
use crate::sns::delivery_policy::DeliveryPolicy;
use crate::sns::letters::Confirmation;
use crate::sns::signing::Hash;

/// Deliveries to one endpoint at one time.
const MAX_CONCURRENT: usize = 16;
/// Time between two looks at whether the subscription is still there.
const LOOK_MS: u64 = 60_000;
/// Pause after an error of the broker, which has a full disk or is overloaded.
const PAUSE: Duration = Duration::from_secs(1);
/// An Unsubscribe that a crash cut short asks its question before the subscription ends: that waits.
const UNSUBSCRIBE_WAIT_MS: u64 = 200;
const UNSUBSCRIBE_TRIES: u32 = 50;

pub(super) struct Worker {
    office: Arc<Office>,
    queue: QueueName,
    line: Arc<Line>,
    stopped: watch::Receiver<bool>,
    /// Holds the messages under way: they come back at once if the server or this worker ends.
    session: SessionId,
    /// Each says whether its message was settled.
    under_way: JoinSet<bool>,
    /// The time at which the throttle lets the next one pass.
    next_at: Instant,
}

/// The subscription as it is known when messages are taken.
#[derive(Clone)]
struct Terms {
    queue: Arc<QueueInfo>,
    binding: Option<Arc<BindingInfo>>,
    policy: Arc<DeliveryPolicy>,
    hash: Hash,
}

impl Worker {
    pub(super) fn new(
        office: Arc<Office>,
        queue: QueueName,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        let line = Arc::new(Line::new(Arc::clone(&office.connector)));
        let (session, next_at) = (office.broker.new_session(), Instant::now());
        Self { office, queue, line, stopped, session, under_way: JoinSet::new(), next_at }
    }

    /// Works until the subscription and its queue are gone, or deliveries stop.
    pub(super) async fn run(mut self) -> QueueName {
        while !*self.stopped.borrow() {
            match self.turn().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(kyu_broker::Error::ShuttingDown) => break,
                Err(error) => {
                    tracing::warn!(%error, queue = self.queue.name, "delivering to an endpoint");
                    self.pause(PAUSE).await;
                }
            }
        }
        while let Some(ended) = self.under_way.join_next().await {
            self.settled(ended).await;
        }
        self.queue
    }

    /// A delivery has ended. If nobody knows what became of its message, the session ends, and with
    /// another one everything that was under way is tried again: at least once.
    async fn settled(&mut self, ended: Result<bool, JoinError>) {
        let lost = match ended {
            Ok(settled) => !settled,
            Err(error) => {
                tracing::error!(%error, "a delivery to an HTTP endpoint ended badly");
                true
            }
        };
        if lost {
            let old = std::mem::replace(&mut self.session, self.office.broker.new_session());
            self.pause(PAUSE).await;
            if let Err(error) = self.office.broker.ask(EndSession { session: old }).await {
                tracing::warn!(%error, "messages stay away until the next start");
            }
        }
    }

    /// Takes what there is and begins to deliver it; `false` when there will be no more.
    async fn turn(&mut self) -> Result<bool, kyu_broker::Error> {
        let Some(terms) = self.terms().await? else { return Ok(false) };
        if terms.binding.is_none() && self.is_over(&terms.queue).await? {
            return Ok(false);
        }
        if let Some(rate) = terms.policy.max_per_second {
            let gap = Duration::from_secs(1) / u32::try_from(rate).unwrap_or(u32::MAX);
            self.pause(self.next_at.saturating_duration_since(Instant::now())).await;
            self.next_at = self.next_at.max(Instant::now()) + gap;
        }
        while let Some(ended) = self.under_way.try_join_next() {
            self.settled(ended).await;
        }
        let free = MAX_CONCURRENT - self.under_way.len().min(MAX_CONCURRENT);
        if free == 0 {
            return self.one_ends().await;
        }
        // The first of a subscriber needs nobody's leave; the others share what there is.
        let (mut permits, mut received) = (Vec::new(), Vec::new());
        if !self.under_way.is_empty() {
            let most = if terms.policy.max_per_second.is_some() { 1 } else { free };
            permits = self.permits(most);
            if permits.is_empty() {
                return self.one_ends().await;
            }
            received = self.take(&terms.queue, permits.len(), 0).await?;
            // Who waits for the next message needs no more than one.
            permits.truncate(received.len().max(1));
        }
        if received.is_empty() {
            received = self.take(&terms.queue, 1, LOOK_MS).await?;
        }
        if received.is_empty() {
            if self.under_way.is_empty() {
                self.line.hang_up();
            }
            return Ok(true);
        }
        // They may have changed in the meantime.
        let terms = self.terms().await?.unwrap_or(terms);
        let mut permits = permits.into_iter();
        for one in received {
            let job = Job {
                office: Arc::clone(&self.office),
                line: Arc::clone(&self.line),
                terms: terms.clone(),
            };
            let permit = permits.next();
            self.under_way.spawn(async move {
                let settled = job.deliver(one).await;
                drop(permit);
                settled
            });
        }
        Ok(true)
    }

    async fn one_ends(&mut self) -> Result<bool, kyu_broker::Error> {
        if let Some(ended) = self.under_way.join_next().await {
            self.settled(ended).await;
        }
        Ok(true)
    }

    fn permits(&self, most: usize) -> Vec<OwnedSemaphorePermit> {
        let extra = &self.office.extra;
        (0..most).map_while(|_| Arc::clone(extra).try_acquire_owned().ok()).collect()
    }

    /// Up to `max` messages; none if there are none for `wait_ms`, a delivery ends, or all stops.
    async fn take(
        &mut self,
        queue: &QueueInfo,
        max: usize,
        wait_ms: u64,
    ) -> Result<Vec<Received>, kyu_broker::Error> {
        let acquire = Acquire {
            queue: queue.id,
            max_messages: u32::try_from(max).unwrap_or(1),
            max_bytes: MAX_RECEIVE_BYTES,
            lease: Lease::Session(self.session),
            order: Order::OfQueue,
            attempt_id: None,
            consumer: None,
            with_history: false,
        };
        let ended = tokio::select! {
            received = self.office.broker.receive(acquire, wait_ms) => return received,
            Some(ended) = self.under_way.join_next() => ended,
            _ = self.stopped.wait_for(|stopped| *stopped) => return Ok(Vec::new()),
        };
        self.settled(ended).await;
        Ok(Vec::new())
    }

    async fn pause(&mut self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            _ = self.stopped.wait_for(|stopped| *stopped) => {}
        }
    }

    /// The terms of now; `None` if the queue is gone.
    async fn terms(&self) -> Result<Option<Terms>, kyu_broker::Error> {
        let broker = &self.office.broker;
        let Some(queue) = broker.directory().by_name(&self.queue) else { return Ok(None) };
        let id = queue.config.attributes.get(BINDING).and_then(|uuid| BindingId::from_uuid(uuid));
        let mut binding = match id {
            Some(id) => self.binding(id).await?,
            None => None,
        };
        if let Some(lapsed) =
            binding.take_if(|info| confirmation::has_lapsed(info, broker.now_ms()))
        {
            tracing::info!(endpoint = lapsed.config.address, "was never confirmed; it ends");
            broker.ask(Unbind { binding: lapsed.id }).await?;
        }
        let mut topic = None;
        if let Some(binding) = &binding {
            let found = broker.look_up(ExchangeNamed(binding.exchange.clone())).await;
            topic = found.ok().map(|(topic, _)| topic);
        }
        let of_topic = |name: &str| topic.as_ref().and_then(|t| t.config.attributes.get(name));
        let own = binding.as_ref().and_then(|b| b.config.attributes.get("DeliveryPolicy"));
        let policy = Arc::new(DeliveryPolicy::effective(of_topic("DeliveryPolicy"), own));
        let hash = Hash::of_version(of_topic("SignatureVersion").map(String::as_str));
        Ok(Some(Terms { queue, binding, policy, hash }))
    }

    async fn binding(&self, id: BindingId) -> Result<Option<Arc<BindingInfo>>, kyu_broker::Error> {
        use kyu_broker::{Error, Refusal};
        match self.office.broker.look_up(BindingOf(id)).await {
            Ok(info) => Ok(Some(info)),
            Err(Error::Refused(Refusal::BindingNotFound)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes the queue of a subscription that is gone, once it is empty.
    async fn is_over(&mut self, queue: &QueueInfo) -> Result<bool, kyu_broker::Error> {
        let broker = &self.office.broker;
        let stats = broker.look_up(StatsOf(queue.id)).await?;
        if stats.ready + stats.delayed + stats.in_flight > 0 {
            return Ok(false);
        }
        broker.ask(DeleteQueue { queue: queue.id }).await?;
        Ok(true)
    }
}

/// The end of a try, and what follows from it.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Done,
    Again { delay_ms: u64 },
    Dead,
}

/// Judges an answer: 2xx is taken; 429, 5xx and no answer are tried again as the policy says;
/// everything else says that the endpoint will never take it.
fn judge(answer: &Result<StatusCode, PostError>, tries: u32, policy: &DeliveryPolicy) -> Verdict {
    let for_good = match answer {
        Ok(status) if status.is_success() => return Verdict::Done,
        Ok(status) => !(status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS),
        Err(PostError::Forbidden(_)) => true,
        Err(PostError::Timeout | PostError::Failed(_)) => false,
    };
    match policy.retry.delay_ms(tries).filter(|_| !for_good) {
        Some(delay_ms) => Verdict::Again { delay_ms },
        None => Verdict::Dead,
    }
}

/// One delivery.
struct Job {
    office: Arc<Office>,
    line: Arc<Line>,
    terms: Terms,
}

impl Job {
    /// Delivers a message and settles it, one way or another; `false` if it could not be settled.
    async fn deliver(self, received: Received) -> bool {
        let done = self.try_deliver(&received).await;
        if let Err(error) = &done {
            tracing::warn!(%error, id = %received.message.message_id, "settling a delivery");
        }
        done.is_ok()
    }

    async fn try_deliver(&self, received: &Received) -> Result<(), kyu_broker::Error> {
        let Received { delivery, message } = received;
        let mut content = message.content().map_err(|_| kyu_broker::Error::Internal)?;
        content.show_scheduled_at();
        let Terms { binding, policy, hash, .. } = &self.terms;
        let mut is_notification = false;
        let addressed = match delivery.via {
            Some(_) => match binding {
                Some(binding) => {
                    is_notification = true;
                    let office = &self.office;
                    letter::of_notification(office, binding, policy, message, &content, *hash).await
                }
                None => None,
            },
            None => match serde_json::from_slice::<Control>(&content.body) {
                Ok(control) if self.is_early(&control) => {
                    let waited = delivery.receive_count >= UNSUBSCRIBE_TRIES;
                    let wait = Verdict::Again { delay_ms: UNSUBSCRIBE_WAIT_MS };
                    return self.settle(delivery, if waited { Verdict::Dead } else { wait }).await;
                }
                Ok(control) => letter::of_control(&self.office, message, &control, *hash).await,
                Err(_) => None,
            },
        };
        // A notification for a subscription that is gone.
        let Some(Addressed { endpoint, letter }) = addressed else {
            return self.settle(delivery, Verdict::Dead).await;
        };
        let answer = self.line.post(&endpoint, &letter).await;
        let verdict = judge(&answer, delivery.receive_count, policy);
        if verdict != Verdict::Done {
            let tries = delivery.receive_count;
            tracing::debug!(?answer, ?verdict, tries, id = %message.message_id, "not taken");
        }
        if verdict == Verdict::Dead && is_notification {
            return self.dead_letter(received, &letter.body, &answer).await;
        }
        self.settle(delivery, verdict).await
    }

    /// Tells whether a letter is about the end of a subscription that has not come.
    fn is_early(&self, control: &Control) -> bool {
        control.kind == Confirmation::UnsubscribeConfirmation && self.terms.binding.is_some()
    }

    async fn settle(&self, delivery: &Delivery, verdict: Verdict) -> Result<(), kyu_broker::Error> {
        let counts = &self.office.sns.deliveries;
        let (outcome, count) = match verdict {
            Verdict::Done => (Outcome::Ack, &counts.taken),
            Verdict::Dead => (Outcome::Ack, &counts.dropped),
            Verdict::Again { delay_ms } => {
                (Outcome::Release { to_tail: false, delay_ms, counted: true }, &counts.retried)
            }
        };
        self.office.broker.ask(self.settling(delivery, outcome)).await?;
        count.fetch_add(1, Relaxed);
        Ok(())
    }

    fn settling(&self, delivery: &Delivery, outcome: Outcome) -> Settle {
        Settle { queue: self.terms.queue.id, items: vec![(delivery.receipt, outcome)] }
    }

    /// Moves what the endpoint did not take to the subscription's dead-letter queue, as it was
    /// posted and with why it failed: in one record with its end here.
    async fn dead_letter(
        &self,
        received: &Received,
        body: &bytes::Bytes,
        answer: &Result<StatusCode, PostError>,
    ) -> Result<(), kyu_broker::Error> {
        let name = self.terms.binding.as_ref().and_then(|b| b.config.dead_letter.as_ref());
        let queue = name.and_then(|name| self.office.broker.directory().by_name(name));
        let Some(queue) = queue else {
            let id = received.message.message_id;
            tracing::info!(%id, "an endpoint did not take a message, and there is no other place");
            return self.settle(&received.delivery, Verdict::Dead).await;
        };
        let id = received.message.message_id.to_string();
        let (code, text) = match answer {
            Ok(status) => (status.as_u16().to_string(), format!("the endpoint answered {status}")),
            Err(error) => ("0".to_owned(), error.to_string()),
        };
        let attribute = |name: &str, value: String| Attribute {
            name: name.into(),
            data_type: "String".into(),
            value: AttributeValue::Text(value),
        };
        let attributes = vec![
            attribute("RequestID", id.clone()),
            attribute("ErrorCode", code),
            attribute("ErrorMessage", text),
        ];
        let fifo = queue.config.kind == QueueKind::Fifo;
        let content = Content { body: body.clone(), attributes, properties: Vec::new() }.encode();
        let message = NewMessage {
            queues: vec![queue.id],
            content,
            delay_ms: None,
            expires_at_ms: None,
            priority: 0,
            lane: fifo.then(|| id.clone()),
            dedup_id: fifo.then_some(id),
            unique: None,
        };
        let mut both = Group::new();
        both.push(Enqueue { messages: vec![message] });
        both.push(self.settling(&received.delivery, Outcome::Ack));
        self.office.broker.ask(both).await?;
        self.office.sns.deliveries.dead_lettered.fetch_add(1, Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_what_follows() {
        let policy = DeliveryPolicy::effective(None, None);
        let status = |code: u16| Ok(StatusCode::from_u16(code).unwrap());
        let again = || Verdict::Again { delay_ms: 20_000 };
        for (answer, tries, verdict) in [
            (status(200), 1, Verdict::Done),
            (status(204), 9, Verdict::Done),
            (status(500), 1, again()),
            (status(503), 3, again()),
            (status(503), 4, Verdict::Dead),
            (status(429), 1, again()),
            (status(400), 1, Verdict::Dead),
            (status(404), 1, Verdict::Dead),
            (status(302), 1, Verdict::Dead),
            (Err(PostError::Timeout), 1, again()),
            (Err(PostError::Failed("refused".into())), 4, Verdict::Dead),
            (Err(PostError::Forbidden("h".into())), 1, Verdict::Dead),
        ] {
            assert_eq!(judge(&answer, tries, &policy), verdict, "{answer:?} {tries}");
        }
    }
}
