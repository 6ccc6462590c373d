//! `send`, `send_batch`, `send_topic`, `send_batch_topic`.

use std::sync::Arc;

use kyu_broker::{
    Enqueue, EnqueueRefusal, Enqueued, Error, Group, NewMessage, QueueInfo, QueueKind, Refusal,
    Reserve, Seq, UnixMs,
};
use kyu_pgsql::error::PgError;
use kyu_pgsql::value::{Row, Value};

use super::failure::{self, null_vt};
use super::message::{MessageRow, Outgoing, seq_to_id};
use super::names::Found;
use super::session::QueueSession;
use super::time::{after, from_pg};
use super::transaction::{End, Local};
use super::waiting::Own;
use kyu_model::limits::{MAX_BATCH, MAX_RESERVED};

/// A list of messages or headers, each of which may be NULL, as the list itself.
type Jsons = Option<Vec<Option<Arc<str>>>>;

/// The time at which a message becomes visible.
#[derive(Clone, Copy, Debug)]
pub(super) enum Delay {
    /// At once, or after the queue's own delay (of a queue that SQS made).
    OfQueue,
    /// In so many seconds; NULL is refused.
    Seconds(Option<i64>),
    /// At this time, in microseconds since 2000; NULL is refused.
    At(Option<i64>),
}

impl Delay {
    /// In microseconds since 2000; `None` for the queue's own.
    fn resolve(self, now_ms: UnixMs, queue: &str) -> Result<Option<i64>, PgError> {
        match self {
            Self::OfQueue => Ok(None),
            Self::Seconds(Some(seconds)) => Ok(Some(after(now_ms, seconds))),
            Self::At(Some(us)) => Ok(Some(us)),
            Self::Seconds(None) | Self::At(None) => Err(null_vt(queue)),
        }
    }
}

/// `pgmq._validate_batch_params`, and the messages.
fn batch(messages: Jsons, headers: Jsons) -> Result<Vec<Outgoing>, PgError> {
    let messages = messages.filter(|messages| !messages.is_empty());
    let messages = messages.ok_or_else(|| failure::raise("msgs cannot be NULL or empty"))?;
    if let Some(headers) = &headers
        && headers.len() != messages.len()
    {
        return Err(failure::raise(format!(
            "headers array length ({}) must match msgs array length ({})",
            headers.len(),
            messages.len()
        )));
    }
    let headers = headers.unwrap_or_default().into_iter().chain(std::iter::repeat(None));
    messages.into_iter().zip(headers).map(|(m, h)| Outgoing::new(m, h)).collect()
}

impl QueueSession {
    /// `send`: the number of the message, as a list.
    pub(super) async fn send_one(
        &mut self,
        name: Option<String>,
        message: Option<Arc<str>>,
        headers: Option<Arc<str>>,
        delay: Delay,
    ) -> Result<Vec<i64>, PgError> {
        let out = vec![Outgoing::new(message, headers)?];
        self.send(name, out, delay).await
    }

    /// `send_batch`: the numbers of the messages. As the real one, it looks at the batch first.
    pub(super) async fn send_batch(
        &mut self,
        name: Option<String>,
        messages: Jsons,
        headers: Jsons,
        delay: Delay,
    ) -> Result<Vec<i64>, PgError> {
        let out = batch(messages, headers)?;
        self.send(name, out, delay).await
    }

    /// `send_batch_topic`: a row of queue and number for each message.
    pub(super) async fn send_batch_topic(
        &mut self,
        key: Option<String>,
        messages: Jsons,
        headers: Jsons,
        delay: Delay,
    ) -> Result<Vec<Row>, PgError> {
        let key = super::topics::check_key(key.as_deref())?;
        let out = batch(messages, headers)?;
        let sent = self.send_to_all(key, out, delay).await?;
        let rows = sent.into_iter().flat_map(|(queue, ids)| {
            ids.into_iter().map(move |id| vec![Value::Text(queue.clone()), Value::Int(id)])
        });
        Ok(rows.collect())
    }

    /// Sends to one queue; the numbers of the messages.
    async fn send(
        &mut self,
        name: Option<String>,
        messages: Vec<Outgoing>,
        delay: Delay,
    ) -> Result<Vec<i64>, PgError> {
        let seqs = match self.find(name).await? {
            Found::Outside(info) => self.send_now(&info, &messages, delay).await?,
            Found::Inside(name) => self.send_inside(&name, messages, delay).await?,
        };
        Ok(seqs.into_iter().map(seq_to_id).collect())
    }

    async fn send_now(
        &mut self,
        info: &Arc<QueueInfo>,
        messages: &[Outgoing],
        delay: Delay,
    ) -> Result<Vec<Seq>, PgError> {
        let name = &info.name.name;
        let now_ms = self.shared.broker.now_ms();
        let vt_us = delay.resolve(now_ms, name)?;
        let is_fifo = info.config.kind == QueueKind::Fifo;
        let new = |out: &Outgoing| NewMessage {
            delay_ms: vt_us.map(|us| from_pg(us).saturating_sub(now_ms)),
            ..out.to(info.id, is_fifo)
        };
        let enqueue = |some: &[Outgoing]| Enqueue { messages: some.iter().map(new).collect() };
        // A batch is all or nothing; a single message is that anyway.
        let results = match messages {
            [_] => self.shared.broker.ask(enqueue(messages)).await,
            _ => self.enqueue_all(messages.chunks(MAX_BATCH).map(enqueue)).await,
        };
        let results = results.map_err(|error| failure::broker(error, name))?;
        let mut seqs = Vec::with_capacity(messages.len());
        for result in results {
            seqs.push(result.map_err(|refusal| failure::not_enqueued(refusal, name))?.seq);
        }
        self.shared.hub.inserted(info, self.process, now_ms);
        Ok(seqs)
    }

    /// Adds all messages or none.
    async fn enqueue_all(
        &self,
        parts: impl Iterator<Item = Enqueue>,
    ) -> Result<Vec<Result<Enqueued, EnqueueRefusal>>, Error> {
        let mut group = Group::new();
        let places: Vec<_> = parts.map(|part| group.push(part)).collect();
        let mut replies = self.shared.broker.ask(group).await?;
        let results: Result<Vec<_>, _> = places.into_iter().map(|at| replies.take(at)).collect();
        Ok(results?.into_iter().flatten().collect())
    }

    async fn send_inside(
        &mut self,
        name: &str,
        messages: Vec<Outgoing>,
        delay: Delay,
    ) -> Result<Vec<Seq>, PgError> {
        let now_ms = self.shared.broker.now_ms();
        let begun_at_ms = self.transaction.as_ref().map_or(now_ms, |t| t.begun_at_ms);
        let changes = self.changes(name)?;
        let queue_delay_ms = changes.config().map_or(0, |config| config.delay_ms);
        let vt_us = delay.resolve(now_ms, name)?;
        let vt_us = vt_us.unwrap_or_else(|| super::time::to_pg(now_ms + queue_delay_ms));
        let first = self.reserve(name, messages.len()).await?;
        let mut seqs = Vec::with_capacity(messages.len());
        for (seq, out) in (first..).zip(messages) {
            let row = MessageRow::sent(seq, &out, begun_at_ms, vt_us);
            let sent = Some(Arc::new(out));
            let local = Local { sent, row, reads: 0, shown: false, end: End::Live };
            if let Some(transaction) = &mut self.transaction {
                transaction.note(name, local)?;
            }
            seqs.push(seq);
        }
        Ok(seqs)
    }

    /// The first of so many numbers, which stay given out whatever becomes of the transaction.
    async fn reserve(&mut self, name: &str, count: usize) -> Result<Seq, PgError> {
        let changes = self.changes(name)?;
        let kept = changes.before.clone();
        let kept = kept.filter(|_| changes.standing == super::transaction::Standing::Kept);
        let Some(info) = kept else {
            let first = changes.next_seq;
            changes.next_seq += count as u64;
            return Ok(first);
        };
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        if count > MAX_RESERVED {
            let refusal = Refusal::LimitExceeded("messages of one batch");
            return Err(failure::refused(refusal, name));
        }
        let reserved = self.shared.broker.ask(Reserve { queue: info.id, count }).await;
        reserved.map_err(|error| failure::broker(error, name))
    }

    /// `send_topic`: how many queues it went to.
    pub(super) async fn send_topic(
        &mut self,
        key: Option<String>,
        message: Option<Arc<str>>,
        headers: Option<Arc<str>>,
        delay_s: Option<i64>,
    ) -> Result<i64, PgError> {
        let key = super::topics::check_key(key.as_deref())?.to_owned();
        if message.is_none() {
            return Err(failure::raise("msg cannot be NULL"));
        }
        if let Some(delay_s) = delay_s.filter(|delay_s| *delay_s < 0) {
            return Err(failure::raise(format!("delay cannot be negative, got: {delay_s}")));
        }
        let out = vec![Outgoing::new(message, headers)?];
        let sent = self.send_to_all(&key, out, Delay::Seconds(delay_s)).await?;
        Ok(sent.len() as i64)
    }

    /// Sends to every queue that a routing key leads to: queue and numbers, in order of the names.
    async fn send_to_all(
        &mut self,
        key: &str,
        messages: Vec<Outgoing>,
        delay: Delay,
    ) -> Result<Vec<(String, Vec<i64>)>, PgError> {
        let mut names: Vec<String> =
            self.routes(key).into_iter().map(|binding| binding.queue).collect();
        names.sort();
        names.dedup();
        // More than one queue: all of them or none, so it is a transaction.
        if self.transaction.is_none() && names.len() > 1 {
            let own = Own::begin(self);
            let sent = own.0.send_to_each(names, messages, delay).await?;
            own.commit().await?;
            return Ok(sent);
        }
        self.send_to_each(names, messages, delay).await
    }

    async fn send_to_each(
        &mut self,
        names: Vec<String>,
        messages: Vec<Outgoing>,
        delay: Delay,
    ) -> Result<Vec<(String, Vec<i64>)>, PgError> {
        let mut sent = Vec::with_capacity(names.len());
        for name in names {
            let ids = self.send(Some(name.clone()), messages.clone(), delay).await?;
            sent.push((name, ids));
        }
        Ok(sent)
    }
}
