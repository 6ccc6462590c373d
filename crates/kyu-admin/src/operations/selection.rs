//! One message as a resource, and many by what they have in common.

use kyu_broker::{
    AttributeValue, Browse, Chosen, Delivery, Frame, HistoryOf, Intervene, Intervened,
    Intervention, Phase, QueueInfo, Received,
};

use crate::api::{
    CancelQuery, InNamespace, Message, MessageChange, MessageFilter, MessageMove, SelectedMessage,
    SelectedMessages, SelectedStatus, Selection, SelectionAction,
};
use crate::call::{Call, page_size, within};
use crate::content;
use crate::limits::{
    DEFAULT_PAGE, MAX_ITEMS, MAX_SELECTION_BYTES, MAX_SELECTION_LOOKED_AT, MAX_TIME_MS,
};
use crate::operation::{Done, Empty, Json, Optional, Settings};
use crate::problem::{Code, Problem};

pub(super) async fn get(
    call: &Call<'_>,
    query: InNamespace,
    _body: Empty,
) -> Result<Done<Message>, Problem> {
    let queue = call.queue(query.namespace)?;
    Ok(look(call, &queue, seq(call)?).await?.into())
}

pub(super) async fn cancel(
    call: &Call<'_>,
    query: CancelQuery,
    _body: Empty,
) -> Result<Done<()>, Problem> {
    let queue = call.queue(query.namespace)?;
    let action = Intervention::Cancel { in_flight: query.in_flight.unwrap_or(false) };
    one(call, &queue, seq(call)?, action).await?;
    Ok(().into())
}

pub(super) async fn run(
    call: &Call<'_>,
    query: InNamespace,
    _body: Empty,
) -> Result<Done<Message>, Problem> {
    let (queue, seq) = (call.queue(query.namespace)?, seq(call)?);
    one(call, &queue, seq, Intervention::RunNow).await?;
    Ok(look(call, &queue, seq).await?.into())
}

pub(super) async fn change(
    call: &Call<'_>,
    query: InNamespace,
    Json(change): Json<MessageChange>,
) -> Result<Done<Message>, Problem> {
    let (queue, seq) = (call.queue(query.namespace)?, seq(call)?);
    let now_ms = call.broker.now_ms();
    let delay_ms = content::delay_of(change.delay_ms, change.ready_at_ms, now_ms)?;
    if change.priority.is_none() && delay_ms.is_none() {
        return Err(Problem::invalid(
            "Nothing is to change: name priority, delay_ms or ready_at_ms.",
        ));
    }
    // First what a dead letter refuses, so that it does not get one half of the change.
    if let Some(delay_ms) = delay_ms {
        let until_ms = now_ms.saturating_add(delay_ms);
        one(call, &queue, seq, Intervention::Postpone(until_ms)).await?;
    }
    if let Some(priority) = change.priority {
        one(call, &queue, seq, Intervention::Prioritise(priority)).await?;
    }
    Ok(look(call, &queue, seq).await?.into())
}

pub(super) async fn relocate(
    call: &Call<'_>,
    query: InNamespace,
    Optional(to): Optional<MessageMove>,
) -> Result<Done<()>, Problem> {
    let queue = call.queue(query.namespace)?;
    let action = move_to(call, &queue, to.destination)?;
    one(call, &queue, seq(call)?, action).await?;
    Ok(().into())
}

/// The message's number in the path.
fn seq(call: &Call<'_>) -> Result<u64, Problem> {
    call.parameter(1).parse().map_err(|_| Problem::of(Code::MessageNotFound))
}

fn move_to(
    call: &Call<'_>,
    queue: &QueueInfo,
    destination: Option<String>,
) -> Result<Intervention, Problem> {
    let Some(name) = destination else { return Ok(Intervention::MoveBack) };
    let name = call.name(Some(queue.name.namespace.clone()), &name);
    let to = call.queue_named(&name)?.id;
    if to == queue.id {
        return Err(Problem::at("/destination", "The destination is the queue itself."));
    }
    Ok(Intervention::MoveTo(to))
}

/// A message as it is now, without a receipt.
async fn look(call: &Call<'_>, queue: &QueueInfo, seq: u64) -> Result<Message, Problem> {
    let question = Browse { queue: queue.id, from: seq, max_messages: 1, only_ready: false };
    let ((mut messages, _), pin) = call.broker.look_up_pinned(question).await?;
    // The next one, if this one is gone.
    messages.retain(|found| found.receipt.seq == seq);
    let found = call.broker.resolve(messages, &pin).await?.into_iter().next();
    let message = content::show(found.ok_or(Problem::of(Code::MessageNotFound))?)?;
    Ok(Message { receipt: None, ..message })
}

/// Does something with one message, or says why not.
async fn one(
    call: &Call<'_>,
    queue: &QueueInfo,
    seq: u64,
    action: Intervention,
) -> Result<(), Problem> {
    let chosen = vec![Chosen { seq, deliveries: None }];
    match intervene(call, queue, chosen, action).await?.first() {
        Some(Intervened::Done) => Ok(()),
        Some(Intervened::Missing) | None => Err(Problem::of(Code::MessageNotFound)),
        Some(Intervened::InFlight | Intervened::Delivered) => {
            Err(Problem::of(Code::MessageInFlight))
        }
        Some(Intervened::NotApplicable) => Err(Problem::of(Code::NotApplicable)),
        Some(Intervened::NoSource) => Err(Problem::of(Code::NoSource)),
    }
}

async fn intervene(
    call: &Call<'_>,
    queue: &QueueInfo,
    messages: Vec<Chosen>,
    action: Intervention,
) -> Result<Vec<Intervened>, Problem> {
    let command = Intervene { queue: queue.id, messages, action };
    Ok(call.broker.ask(command).await?)
}

pub(super) async fn select(
    call: &Call<'_>,
    query: InNamespace,
    Settings(selection): Settings<Selection>,
) -> Result<Done<SelectedMessages>, Problem> {
    let queue = call.queue(query.namespace)?;
    let limit = page_size(selection.limit, DEFAULT_PAGE)?;
    let action = selection.action.map(|action| intervention(call, &queue, action)).transpose()?;
    let mut search = Search {
        call,
        queue: &queue,
        filter: &selection.filter,
        found: Vec::new(),
        looked_at: 0,
        bytes: 0,
    };
    let next_seq = search.run(selection.from_seq.unwrap_or(0), limit).await?;
    let Search { found, looked_at, .. } = search;
    let statuses = match action {
        None => vec![SelectedStatus::Chosen; found.len()],
        Some(_) if found.is_empty() => Vec::new(),
        Some(action) => {
            let chosen = found.iter().map(|(delivery, _)| Chosen {
                seq: delivery.receipt.seq,
                deliveries: Some(delivery.receipt.delivery),
            });
            let results = intervene(call, &queue, chosen.collect(), action).await?;
            results.into_iter().map(Into::into).collect()
        }
    };
    let items = found.into_iter().zip(statuses).map(|((delivery, message_id), status)| {
        SelectedMessage { seq: delivery.receipt.seq, message_id, status }
    });
    Ok(SelectedMessages { items: items.collect(), looked_at, next_seq }.into())
}

fn intervention(
    call: &Call<'_>,
    queue: &QueueInfo,
    action: SelectionAction,
) -> Result<Intervention, Problem> {
    Ok(match action {
        SelectionAction::Cancel { in_flight } => Intervention::Cancel { in_flight },
        SelectionAction::RunNow => Intervention::RunNow,
        SelectionAction::Postpone { ready_at_ms } => {
            within("/ready_at_ms", ready_at_ms, 0..=MAX_TIME_MS)
                .map_err(|problem| problem.below("/action"))?;
            Intervention::Postpone(ready_at_ms)
        }
        SelectionAction::Prioritise { priority } => Intervention::Prioritise(priority),
        SelectionAction::Move { destination } => {
            move_to(call, queue, destination).map_err(|problem| problem.below("/action"))?
        }
    })
}

/// A search through a queue: a page at a time, the cheap questions first, and not without end.
struct Search<'a> {
    call: &'a Call<'a>,
    queue: &'a QueueInfo,
    filter: &'a MessageFilter,
    found: Vec<(Delivery, String)>,
    looked_at: u64,
    bytes: u64,
}

impl Search<'_> {
    /// Returns where the next search goes on, if this one did not reach the end.
    async fn run(&mut self, from: u64, limit: usize) -> Result<Option<u64>, Problem> {
        let mut next = Some(from);
        while let Some(from) = next {
            let max_messages = u32::try_from(MAX_ITEMS).unwrap_or(u32::MAX);
            let question = Browse { queue: self.queue.id, from, max_messages, only_ready: false };
            let ((messages, after), pin) = self.call.broker.look_up_pinned(question).await?;
            for delivery in messages {
                let seq = delivery.receipt.seq;
                let spent =
                    self.looked_at >= MAX_SELECTION_LOOKED_AT || self.bytes >= MAX_SELECTION_BYTES;
                if self.found.len() >= limit || spent {
                    return Ok(Some(seq));
                }
                self.looked_at += 1;
                if !self.by_index(&delivery) {
                    continue;
                }
                self.bytes += u64::from(delivery.frame_bytes);
                let resolved = self.call.broker.resolve(vec![delivery.clone()], &pin).await?;
                let Some(Received { message, .. }) = resolved.into_iter().next() else { continue };
                if self.by_content(&message)? && self.by_error(seq).await? {
                    self.found.push((delivery, message.message_id.to_string()));
                }
            }
            next = after;
        }
        Ok(None)
    }

    /// Tells whether a message passes by what the index knows.
    fn by_index(&self, delivery: &Delivery) -> bool {
        let filter = self.filter;
        let (state, _) = content::state_of(delivery.phase);
        let reason = delivery.dead_reason.map(Into::into);
        let in_states = filter.states.is_empty() || filter.states.contains(&state);
        let for_reasons = filter.dead_reasons.is_empty()
            || reason.is_some_and(|reason| filter.dead_reasons.contains(&reason));
        // An archive is kept for the record.
        let archived = matches!(delivery.phase, Phase::Archived(_));
        in_states && for_reasons && (!archived || !filter.states.is_empty())
    }

    /// Tells whether a message passes by what stands in it.
    fn by_content(&self, message: &Frame) -> Result<bool, Problem> {
        let filter = self.filter;
        let age_ms = self.call.broker.now_ms().saturating_sub(message.sent_at_ms);
        let of_age = filter.older_than_ms.is_none_or(|least_ms| age_ms > least_ms)
            && filter.younger_than_ms.is_none_or(|most_ms| age_ms < most_ms);
        let in_lane = filter.lane.is_none() || filter.lane == message.lane;
        if !of_age || !in_lane {
            return Ok(false);
        }
        if filter.attributes.is_empty() && filter.text.is_none() {
            return Ok(true);
        }
        let content = message.content().map_err(|_| Problem::internal())?;
        let has = |(name, text): (&String, &String)| {
            let mut attributes = content.attributes.iter();
            let found = attributes.find(|attribute| attribute.name == *name);
            found.is_some_and(|found| found.value == AttributeValue::Text(text.clone()))
        };
        let says = |text: &String| {
            let body = String::from_utf8_lossy(&content.body);
            body.contains(text.as_str())
        };
        Ok(filter.attributes.iter().all(has) && filter.text.as_ref().is_none_or(says))
    }

    /// Tells whether a message passes by what its last attempt that said something said.
    async fn by_error(&self, seq: u64) -> Result<bool, Problem> {
        let Some(text) = &self.filter.error else { return Ok(true) };
        let question = HistoryOf { queue: self.queue.id, seq };
        let history = self.call.broker.look_up(question).await?;
        let attempts = history.map(|history| history.past_attempts).unwrap_or_default();
        let last = attempts.iter().rev().find_map(|attempt| attempt.error.as_deref());
        Ok(last.is_some_and(|error| error.contains(text.as_str())))
    }
}

impl From<Intervened> for SelectedStatus {
    fn from(intervened: Intervened) -> Self {
        match intervened {
            Intervened::Done => Self::Done,
            Intervened::Missing => Self::Gone,
            Intervened::Delivered => Self::Delivered,
            Intervened::InFlight => Self::InFlight,
            Intervened::NotApplicable => Self::NotApplicable,
            Intervened::NoSource => Self::NoSource,
        }
    }
}
