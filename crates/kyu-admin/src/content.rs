//! Messages between JSON and what the broker keeps.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use kyu_broker::{
    Attribute, Content, Phase, Property, QueueInfo, QueueKind, Receipt, Received, UniqueScope,
};
use kyu_door::access::Principal;
use sha2::{Digest, Sha256};

use crate::api::{
    AttemptEnd, AttributeValue, DeadReason, DuplicateOf, Hold, Message, MessageHistory,
    MessageState, NewMessage, PastAttempt, TypedValue, Unique, UniquePolicy,
};
use crate::call::{Call, within};
use crate::limits::{MAX_ATTRIBUTE_NAME_BYTES, MAX_ATTRIBUTES, MAX_SPAN_MS, MAX_TIME_MS};
use crate::problem::{Code, Problem};

/// The type of attributes that are given as plain text.
const TEXT_TYPE: &str = "String";

/// A body and attributes that came in, and their size as limits count it.
pub(crate) struct Payload {
    pub(crate) content: Content,
    pub(crate) size_bytes: usize,
}

impl Payload {
    pub(crate) fn read(
        body: Option<String>,
        body_base64: Option<String>,
        attributes: BTreeMap<String, AttributeValue>,
        call: &Call<'_>,
    ) -> Result<Self, Problem> {
        let body = match (body, body_base64) {
            (Some(text), None) => Bytes::from(text),
            (None, Some(encoded)) => bytes_of("body_base64", &encoded)?,
            (None, None) | (Some(_), Some(_)) => {
                return Err(Problem::invalid("A message has one of body and body_base64."));
            }
        };
        let attributes = read_attributes(attributes)?;
        let sizes = attributes.iter().map(|attribute| {
            let value_bytes = match &attribute.value {
                kyu_broker::AttributeValue::Text(text) => text.len(),
                kyu_broker::AttributeValue::Binary(bytes) => bytes.len(),
            };
            attribute.name.len() + attribute.data_type.len() + value_bytes
        });
        let size_bytes = body.len() + sizes.sum::<usize>();
        let properties = match call.principal {
            Principal::User(user) => vec![(Property::SenderId, user.to_string())],
            Principal::Local => Vec::new(),
        };
        Ok(Self { content: Content { body, attributes, properties }, size_bytes })
    }

    /// The id that the body gives a message that has none.
    pub(crate) fn dedup_id(&self) -> String {
        Sha256::digest(&self.content.body).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Checks a message and makes what the broker gets.
pub(crate) fn prepare(
    message: NewMessage,
    queue: &QueueInfo,
    call: &Call<'_>,
) -> Result<kyu_broker::NewMessage, Problem> {
    let NewMessage { body, body_base64, attributes, .. } = message;
    let payload = Payload::read(body, body_base64, attributes, call)?;
    let limit_bytes = queue.config.max_message_bytes;
    if payload.size_bytes > limit_bytes as usize {
        let detail = format!("A message of this queue may have {limit_bytes} bytes.");
        return Err(Problem::new(Code::MessageTooLarge, detail));
    }
    let delay_ms = delay_of(message.delay_ms, message.ready_at_ms, call.broker.wall_ms())?;
    check_expiry("/expires_at_ms", message.expires_at_ms, call.broker.now_ms())?;
    let by_content =
        queue.config.kind == QueueKind::Fifo && queue.config.content_based_deduplication;
    let dedup_id = message.dedup_id.or_else(|| by_content.then(|| payload.dedup_id()));
    Ok(kyu_broker::NewMessage {
        queues: vec![queue.id],
        content: payload.content.encode(),
        delay_ms,
        expires_at_ms: message.expires_at_ms,
        priority: message.priority,
        lane: message.lane,
        dedup_id,
        unique: message.unique.map(unique).transpose()?.map(Box::new),
    })
}

/// The delay that a message asks for, by a span or by an instant.
pub(crate) fn delay_of(
    delay_ms: Option<u64>,
    ready_at_ms: Option<u64>,
    now_ms: u64,
) -> Result<Option<u64>, Problem> {
    within("/delay_ms", delay_ms, 0..=MAX_SPAN_MS)?;
    match (delay_ms, ready_at_ms) {
        (delay_ms, None) => Ok(delay_ms),
        (None, Some(at_ms)) => {
            within("/ready_at_ms", at_ms, 0..=now_ms.saturating_add(MAX_SPAN_MS))?;
            Ok(Some(at_ms.saturating_sub(now_ms)))
        }
        (Some(_), Some(_)) => {
            let detail = "A message has one of delay_ms and ready_at_ms.";
            Err(Problem::at("/ready_at_ms", detail))
        }
    }
}

/// A message that has expired already would be taken and never seen: that is a mistake of the sender.
pub(crate) fn check_expiry(
    field: &str,
    expires_at_ms: Option<u64>,
    now_ms: u64,
) -> Result<(), Problem> {
    within(field, expires_at_ms, 0..=MAX_TIME_MS)?;
    match expires_at_ms {
        Some(at_ms) if at_ms <= now_ms => {
            let name = field.trim_start_matches('/');
            Err(Problem::at(
                field,
                format!("{name} is {at_ms}, and that is past: it is {now_ms} now."),
            ))
        }
        _ => Ok(()),
    }
}

fn read_attributes(
    attributes: BTreeMap<String, AttributeValue>,
) -> Result<Vec<Attribute>, Problem> {
    if attributes.len() > MAX_ATTRIBUTES {
        let detail = format!("A message may have {MAX_ATTRIBUTES} attributes.");
        return Err(Problem::new(Code::LimitExceeded, detail).below("/attributes"));
    }
    let read = attributes.into_iter().map(|(name, value)| {
        let (data_type, value) = match value {
            AttributeValue::Text(text) => {
                (TEXT_TYPE.to_owned(), kyu_broker::AttributeValue::Text(text))
            }
            AttributeValue::Typed(TypedValue { data_type, value, value_base64 }) => {
                let value = match (value, value_base64) {
                    (Some(text), None) => kyu_broker::AttributeValue::Text(text),
                    (None, Some(encoded)) => {
                        let bytes = bytes_of("value_base64", &encoded);
                        let place = || format!("/attributes/{}", escaped(&name));
                        let bytes = bytes.map_err(|problem| problem.below(&place()))?;
                        kyu_broker::AttributeValue::Binary(bytes)
                    }
                    (None, None) | (Some(_), Some(_)) => {
                        let place = format!("/attributes/{}", escaped(&name));
                        let detail = "An attribute has one of value and value_base64.";
                        return Err(Problem::at(&place, detail));
                    }
                };
                (data_type, value)
            }
        };
        let allowed = 1..=MAX_ATTRIBUTE_NAME_BYTES;
        if !allowed.contains(&name.len()) || !allowed.contains(&data_type.len()) {
            let most = MAX_ATTRIBUTE_NAME_BYTES;
            let detail = format!("Names and types of attributes have 1 to {most} bytes.");
            return Err(Problem::at(&format!("/attributes/{}", escaped(&name)), detail));
        }
        Ok(Attribute { name, data_type, value })
    });
    read.collect()
}

/// The bytes of a field in base64.
pub(crate) fn bytes_of(field: &str, encoded: &str) -> Result<Bytes, Problem> {
    let bytes = BASE64.decode(encoded).map(Bytes::from);
    bytes.map_err(|_| {
        Problem::at(&format!("/{field}"), format!("{field} is not base64 with padding."))
    })
}

/// A name as a JSON pointer has it (RFC 6901, section 3).
pub(crate) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A phase in the words of the API, and when it ends by itself.
pub(crate) fn state_of(phase: Phase) -> (MessageState, Option<u64>) {
    match phase {
        Phase::Ready => (MessageState::Ready, None),
        Phase::Delayed(until_ms) => (MessageState::Delayed, Some(until_ms)),
        Phase::Leased(until_ms) => (MessageState::Leased, Some(until_ms)),
        Phase::Held(_) => (MessageState::Held, None),
        Phase::Archived(_) => (MessageState::Archived, None),
        Phase::Backoff(until_ms) => (MessageState::Backoff, Some(until_ms)),
        Phase::Parked => (MessageState::Parked, None),
        Phase::Dead(_) => (MessageState::Dead, None),
    }
}

fn unique(unique: Unique) -> Result<kyu_broker::Unique, Problem> {
    let Unique { key, for_ms, until_done, policy } = unique;
    let until_done = until_done.unwrap_or(for_ms.is_none());
    let scope = match (for_ms, until_done) {
        (None, true) => UniqueScope::UntilDone,
        (Some(ms), false) => UniqueScope::For(ms),
        (Some(ms), true) => UniqueScope::UntilDoneAndFor(ms),
        (None, false) => {
            let detail = "unique: give for_ms, or leave until_done true.";
            return Err(Problem::at("/unique", detail));
        }
    };
    Ok(kyu_broker::Unique { key, scope, policy: policy.into() })
}

/// The history of a message as JSON has it.
pub(crate) fn show_history(history: kyu_broker::MessageHistory) -> MessageHistory {
    MessageHistory {
        receive_count: history.receive_count,
        total_receive_count: history.total_receive_count,
        dead_letter_source: history.dead_letter_source.map(|source| source.name.clone()),
        dead_reason: history.dead_reason.map(Into::into),
        past_attempts: history.past_attempts.into_iter().map(Into::into).collect(),
        forgotten_attempts: history.forgotten_attempts,
        consumer: history.consumer,
        hold: history.hold.map(Into::into),
    }
}

impl From<kyu_broker::Hold> for Hold {
    fn from(hold: kyu_broker::Hold) -> Self {
        match hold {
            kyu_broker::Hold::Backoff { until_ms } => Self::Backoff { until_at_ms: until_ms },
            kyu_broker::Hold::Budget { ahead, until_ms } => {
                Self::Budget { ahead, until_at_ms: until_ms }
            }
            kyu_broker::Hold::Breaker { until_ms } => Self::Breaker { until_at_ms: until_ms },
            kyu_broker::Hold::SlowStart { in_flight, allowed } => {
                Self::SlowStart { in_flight, allowed }
            }
        }
    }
}

impl From<kyu_broker::PastAttempt> for PastAttempt {
    fn from(attempt: kyu_broker::PastAttempt) -> Self {
        Self {
            started_at_ms: attempt.started_at_ms,
            ended_at_ms: attempt.ended_at_ms,
            end: attempt.end.into(),
            consumer: attempt.consumer,
            error: attempt.error,
        }
    }
}

kyu_settings::same_words! {
    UniquePolicy { Keep, Replace }
    DuplicateOf { DedupId, UniqueWaiting, UniqueInFlight, UniqueDone }
    DeadReason { MaxReceives, Rejected, Deadline, Retention }
    AttemptEnd { Failed, Rejected, TimedOut, Disconnected, GivenBack, Expired }
}

/// A received message as JSON has it.
pub(crate) fn show(received: Received) -> Result<Message, Problem> {
    let Received { delivery, message } = received;
    let content = message.content().map_err(|_| Problem::internal())?;
    let property = |property| content.property(property).map(str::to_owned);
    let (sender, trace_header) = (property(Property::SenderId), property(Property::TraceHeader));
    let (topic, subject) = (property(Property::Topic), property(Property::Subject));
    let (body, body_base64) = text_or_base64(&content.body);
    let scheduled_at_ms = content.scheduled_at_ms();
    let attributes = show_attributes(content.attributes);
    let (state, state_until_at_ms) = state_of(delivery.phase);
    let first_ms = delivery.first_received_at_ms;
    Ok(Message {
        message_id: message.message_id.to_string(),
        seq: delivery.receipt.seq,
        receipt: Some(BASE64.encode(delivery.receipt.to_bytes())),
        body,
        body_base64,
        attributes,
        lane: message.lane,
        dedup_id: message.dedup_id,
        state,
        state_until_at_ms,
        sent_at_ms: message.sent_at_ms,
        receive_count: delivery.receive_count,
        total_receive_count: delivery.total_receive_count,
        first_received_at_ms: (first_ms > 0).then_some(first_ms),
        dead_letter_source: delivery.dead_letter_source.map(|source| source.name.clone()),
        dead_reason: delivery.dead_reason.map(Into::into),
        past_attempts: delivery.past_attempts.into_iter().map(Into::into).collect(),
        scheduled_at_ms,
        binding_id: delivery.via.map(|binding| binding.to_string()),
        sender,
        trace_header,
        topic,
        subject,
    })
}

/// Attributes as JSON has them.
pub(crate) fn show_attributes(attributes: Vec<Attribute>) -> BTreeMap<String, AttributeValue> {
    let shown = attributes.into_iter().map(|attribute| {
        let Attribute { name, data_type, value } = attribute;
        let value = match value {
            kyu_broker::AttributeValue::Text(text) if data_type == TEXT_TYPE => {
                AttributeValue::Text(text)
            }
            kyu_broker::AttributeValue::Text(text) => AttributeValue::Typed(TypedValue {
                data_type,
                value: Some(text),
                value_base64: None,
            }),
            kyu_broker::AttributeValue::Binary(bytes) => AttributeValue::Typed(TypedValue {
                data_type,
                value: None,
                value_base64: Some(BASE64.encode(bytes)),
            }),
        };
        (name, value)
    });
    shown.collect()
}

pub(crate) fn text_or_base64(bytes: &Bytes) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(BASE64.encode(bytes))),
    }
}

/// The receipt in a text; `None` for one that no server made.
pub(crate) fn receipt(text: &str) -> Option<Receipt> {
    /// The length of 24 bytes in base64.
    const TEXT_BYTES: usize = 32;
    let bytes = (text.len() == TEXT_BYTES).then(|| BASE64.decode(text).ok())??;
    Receipt::from_bytes(&bytes)
}
