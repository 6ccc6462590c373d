//! Messages: send, receive, settle, extend, peek.

use kyu_broker::{
    Acquire, Delivery, Enqueue, EnqueueRefusal, Enqueued, Explain, HistoryOf, Lease, Pin, QueueId,
    QueueInfo, Receipt,
};

use crate::api::{
    self, Browse, BrowsedMessages, Explanation, Extend, ExtendItem, ExtendResult, ExtendResults,
    ExtendStatus, InNamespace, MessageHistory, NewMessage, Outcome, Peek, PeekedMessages, Receive,
    ReceivedMessages, SendBatch, SendResult, SendResults, Sent, Settle, SettleItem, SettleResult,
    SettleResults, SettleStatus,
};
use crate::call::{Call, check_items, page_size, within};
use crate::content;
use crate::explain;
use crate::limits::{
    DEFAULT_PEEK, MAX_ITEMS, MAX_LEASE_MS, MAX_RECEIVE_BYTES, MAX_SPAN_MS, MAX_WAIT_MS,
};
use crate::operation::{Done, Empty, Json, Optional};
use crate::problem::{Code, Problem};

pub(super) async fn send(
    call: &Call<'_>,
    query: InNamespace,
    Json(message): Json<NewMessage>,
) -> Result<Done<Sent>, Problem> {
    let queue = call.queue(query.namespace)?;
    let message = content::prepare(message, &queue, call)?;
    let results = enqueue(call, vec![message]).await?;
    let result = results.into_iter().next().ok_or_else(Problem::internal)?;
    let sent = sent(&result?);
    let location = Some(format!("{}/{}", call.head.uri.path(), sent.seq));
    Ok(Done { location, ..sent.into() })
}

pub(super) async fn send_batch(
    call: &Call<'_>,
    query: InNamespace,
    Json(batch): Json<SendBatch>,
) -> Result<Done<SendResults>, Problem> {
    let queue = call.queue(query.namespace)?;
    check_items(batch.messages.len(), "messages")?;
    let prepared: Vec<_> = prepare_all(call, &queue, batch.messages).collect();
    let good = prepared.iter().filter_map(|one| one.as_ref().ok().cloned()).collect();
    let mut enqueued = enqueue(call, good).await?.into_iter();
    let results = prepared.into_iter().map(|one| {
        let result = one.and_then(|_| {
            let refused_or_sent = enqueued.next().ok_or_else(Problem::internal)?;
            refused_or_sent.map_err(Problem::from)
        });
        match result {
            Ok(enqueued) => SendResult::Sent(sent(&enqueued)),
            Err(problem) => SendResult::Refused { error: problem.item() },
        }
    });
    Ok(SendResults { results: results.collect() }.into())
}

/// The broker's messages, or what is wrong with each.
pub(super) fn prepare_all(
    call: &Call<'_>,
    queue: &QueueInfo,
    messages: Vec<NewMessage>,
) -> impl Iterator<Item = Result<kyu_broker::NewMessage, Problem>> {
    messages.into_iter().enumerate().map(move |(at, one)| {
        let below = |problem: Problem| problem.below(&format!("/messages/{at}"));
        content::prepare(one, queue, call).map_err(below)
    })
}

async fn enqueue(
    call: &Call<'_>,
    messages: Vec<kyu_broker::NewMessage>,
) -> Result<Vec<Result<Enqueued, EnqueueRefusal>>, Problem> {
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    Ok(call.broker.ask(Enqueue { messages }).await?)
}

pub(super) fn sent(enqueued: &Enqueued) -> Sent {
    Sent {
        message_id: enqueued.message_id.to_string(),
        seq: enqueued.seq,
        duplicate: enqueued.duplicate,
        duplicate_of: enqueued.duplicate_of.map(Into::into),
        replaced_message_id: enqueued.replaced.map(|id| id.to_string()),
    }
}

pub(super) async fn receive(
    call: &Call<'_>,
    query: InNamespace,
    Optional(receive): Optional<Receive>,
) -> Result<Done<ReceivedMessages>, Problem> {
    let queue = call.queue(query.namespace)?;
    let wait_ms = receive.wait_ms.unwrap_or(queue.config.receive_wait_ms);
    within("/wait_ms", wait_ms, 0..=MAX_WAIT_MS)?;
    let acquire = acquire(&queue, &receive)?;
    let gone = call.client.half_closed();
    let leased = call.broker.lease_unless(gone, acquire, wait_ms).await?;
    make_room(call, leased.bytes()).await?;
    let received = call.broker.load(leased).await?;
    let messages = received.into_iter().map(content::show).collect::<Result<_, _>>()?;
    let lease_ms = receive.lease_ms.unwrap_or(queue.config.visibility_timeout_ms);
    Ok(ReceivedMessages { messages, lease_ms }.into())
}

fn acquire(queue: &QueueInfo, receive: &Receive) -> Result<Acquire, Problem> {
    let max_messages = receive.max_messages.unwrap_or(1);
    within("/max_messages", u64::from(max_messages), 1..=MAX_ITEMS as u64)?;
    let max_bytes = receive.max_bytes.unwrap_or(MAX_RECEIVE_BYTES);
    within("/max_bytes", max_bytes, 0..=MAX_RECEIVE_BYTES)?;
    within("/lease_ms", receive.lease_ms, 0..=MAX_LEASE_MS)?;
    let lease = receive.lease_ms.map_or(Lease::QueueDefault, Lease::For);
    let attempt_id = receive.attempt_id.clone();
    let longest = kyu_model::limits::MAX_KEY_BYTES;
    if attempt_id.as_ref().is_some_and(|id| id.is_empty() || id.len() > longest) {
        return Err(Problem::at("/attempt_id", format!("attempt_id has 1 to {longest} bytes.")));
    }
    Ok(Acquire {
        max_bytes,
        lease,
        attempt_id,
        consumer: receive.consumer.clone(),
        with_history: receive.with_history.unwrap_or(false),
        ..Acquire::new(queue.id, max_messages)
    })
}

pub(super) async fn peek(
    call: &Call<'_>,
    query: Peek,
    _body: Empty,
) -> Result<Done<PeekedMessages>, Problem> {
    let queue = call.queue(query.namespace)?;
    let limit = page_size(query.limit, DEFAULT_PEEK)?;
    let max_messages = u32::try_from(limit).unwrap_or(1);
    let question = kyu_broker::Peek { queue: queue.id, max_messages };
    let (mut found, pin) = call.broker.look_up_pinned(question).await?;
    found.truncate(fitting(&found));
    Ok(PeekedMessages { items: look_at(call, found, &pin).await? }.into())
}

pub(super) async fn browse(
    call: &Call<'_>,
    query: Browse,
    _body: Empty,
) -> Result<Done<BrowsedMessages>, Problem> {
    let queue = call.queue(query.namespace)?.id;
    let limit = page_size(query.limit, DEFAULT_PEEK)?;
    let question = kyu_broker::Browse {
        queue,
        from: query.from_seq.unwrap_or(0),
        max_messages: u32::try_from(limit).unwrap_or(1),
        only_ready: query.only_ready.unwrap_or(false),
    };
    let ((mut messages, next), pin) = call.broker.look_up_pinned(question).await?;
    let rest = messages.split_off(fitting(&messages));
    let next_seq = rest.first().map(|first| first.receipt.seq).or(next);
    let items = look_at(call, messages, &pin).await?;
    Ok(BrowsedMessages { items, next_seq }.into())
}

/// The number of these messages that fit into one answer; the first always does.
fn fitting(found: &[Delivery]) -> usize {
    let mut bytes = 0;
    let fits = |one: &&Delivery| {
        bytes += u64::from(one.frame_bytes);
        bytes <= MAX_RECEIVE_BYTES
    };
    found.iter().take_while(fits).count().max(1).min(found.len())
}

/// Pays for messages of so many bytes and the answer that is made of them, before they are loaded.
async fn make_room(call: &Call<'_>, bytes: usize) -> Result<(), Problem> {
    let exhausted = |reason| Problem::new(Code::Overloaded, format!("{reason}; try again."));
    call.client.pay(2 * bytes).await.map_err(exhausted)
}

/// Messages without receipts: those prove nothing, and nobody should try.
async fn look_at(
    call: &Call<'_>,
    found: Vec<Delivery>,
    pin: &Pin,
) -> Result<Vec<api::Message>, Problem> {
    make_room(call, found.iter().map(|one| one.frame_bytes as usize).sum()).await?;
    let found = call.broker.resolve(found, pin).await?.into_iter();
    let items = found
        .map(|one| content::show(one).map(|message| api::Message { receipt: None, ..message }));
    items.collect()
}

pub(super) async fn settle(
    call: &Call<'_>,
    query: InNamespace,
    Json(settle): Json<Settle>,
) -> Result<Done<SettleResults>, Problem> {
    let queue = call.queue(query.namespace)?;
    let command = settle_command(queue.id, settle.items)?;
    let settled = call.broker.ask(command).await?;
    Ok(SettleResults { results: settled.into_iter().map(settle_result).collect() }.into())
}

/// The command of these items.
pub(super) fn settle_command(
    queue: QueueId,
    items: Vec<SettleItem>,
) -> Result<kyu_broker::Settle, Problem> {
    check_items(items.len(), "items")?;
    let items = items.into_iter().enumerate().map(|(at, item)| -> Result<_, Problem> {
        check_fields(&item).map_err(|problem| problem.below(&format!("/items/{at}")))?;
        let delay_ms = item.delay_ms.unwrap_or(0);
        let outcome = match item.outcome {
            Outcome::Ack => kyu_broker::Outcome::Ack,
            Outcome::Dead => kyu_broker::Outcome::Dead,
            Outcome::Failed => kyu_broker::Outcome::Failed {
                error: item.error.unwrap_or_default(),
                delay_ms: item.delay_ms,
                retry: item.retry.unwrap_or(true),
            },
            Outcome::Release => kyu_broker::Outcome::Release {
                to_tail: item.to_tail.unwrap_or(false),
                delay_ms,
                counted: item.counted.unwrap_or(true),
            },
        };
        Ok((receipt(&item.receipt), outcome))
    });
    Ok(kyu_broker::Settle { queue, items: items.collect::<Result<_, _>>()? })
}

/// Refuses an item that says what does not belong to its outcome.
fn check_fields(item: &SettleItem) -> Result<(), Problem> {
    let of_release = item.to_tail.is_some() || item.counted.is_some();
    let of_failed = item.error.is_some() || item.retry.is_some();
    let allowed = match item.outcome {
        Outcome::Release => !of_failed,
        Outcome::Failed => !of_release,
        Outcome::Ack | Outcome::Dead => !of_release && !of_failed && item.delay_ms.is_none(),
    };
    if allowed {
        return within("/delay_ms", item.delay_ms, 0..=MAX_SPAN_MS);
    }
    Err(Problem::invalid(
        "to_tail and counted belong to the outcome \"release\", error and retry to \"failed\", \
         delay_ms to both.",
    ))
}

pub(super) async fn history(
    call: &Call<'_>,
    query: InNamespace,
    _body: Empty,
) -> Result<Done<MessageHistory>, Problem> {
    let queue = call.queue(query.namespace)?.id;
    let not_found = || Problem::of(Code::MessageNotFound);
    let seq = call.parameter(1).parse().map_err(|_| not_found())?;
    let history = call.broker.look_up(HistoryOf { queue, seq }).await?;
    Ok(content::show_history(*history.ok_or_else(not_found)?).into())
}

pub(super) async fn explain(
    call: &Call<'_>,
    query: InNamespace,
    _body: Empty,
) -> Result<Done<Explanation>, Problem> {
    let queue = call.queue(query.namespace)?.id;
    let seq = call.parameter(1).parse().map_err(|_| Problem::of(Code::MessageNotFound))?;
    let explanation = call.broker.look_up(Explain { queue, seq }).await?;
    Ok(explain::show(*explanation).into())
}

pub(super) fn settle_result(settled: kyu_broker::Settled) -> SettleResult {
    use kyu_broker::Settled;
    let status = match settled {
        Settled::Done => SettleStatus::Done,
        Settled::Gone => SettleStatus::Gone,
        Settled::Stale => SettleStatus::Stale,
        Settled::Lapsed => SettleStatus::Lapsed,
        Settled::Foreign => SettleStatus::Foreign,
    };
    SettleResult { status }
}

pub(super) async fn extend(
    call: &Call<'_>,
    query: InNamespace,
    Json(extend): Json<Extend>,
) -> Result<Done<ExtendResults>, Problem> {
    let queue = call.queue(query.namespace)?;
    let command = extend_command(queue.id, extend.items)?;
    let extended = call.broker.ask(command).await?;
    Ok(ExtendResults { results: extended.into_iter().map(extend_result).collect() }.into())
}

/// The command of these items.
pub(super) fn extend_command(
    queue: QueueId,
    items: Vec<ExtendItem>,
) -> Result<kyu_broker::Extend, Problem> {
    check_items(items.len(), "items")?;
    for (at, item) in items.iter().enumerate() {
        within("/lease_ms", item.lease_ms, 0..=MAX_LEASE_MS)
            .map_err(|problem| problem.below(&format!("/items/{at}")))?;
    }
    let items = items.iter().map(|item| (receipt(&item.receipt), item.lease_ms));
    Ok(kyu_broker::Extend { queue, items: items.collect() })
}

pub(super) fn extend_result(extended: kyu_broker::Extended) -> ExtendResult {
    use kyu_broker::Extended;
    let status = match extended {
        Extended::Done => ExtendStatus::Done,
        Extended::Gone => ExtendStatus::Gone,
        Extended::NotInFlight => ExtendStatus::NotInFlight,
        Extended::Foreign => ExtendStatus::Foreign,
        Extended::TooLong => ExtendStatus::TooLong,
    };
    ExtendResult { status }
}

/// A receipt, or one of no queue for a text that is none: the engine then says `foreign`.
fn receipt(text: &str) -> Receipt {
    content::receipt(text).unwrap_or(Receipt {
        queue: QueueId(u32::MAX),
        seq: u64::MAX,
        delivery: 0,
        epoch: 0,
    })
}
