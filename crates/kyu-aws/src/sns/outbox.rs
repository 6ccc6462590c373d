//! The messages that would have gone to people: to phones, mailboxes and apps. This server reaches none
//! of them; it keeps the last ones in a queue of each account and region, for a day, and shows them
//! at [`PATH`]. Tests of a whole stack look there for the code that a user was sent.

use std::sync::Arc;

use bytes::Bytes;
use kyu_broker::{
    Acquire, Attribute, AttributeValue, Broker, Content, CreateQueue, Lease, MessageId, Order,
    Peek, Property, QueueConfig, QueueInfo, QueueName, Received, Refusal, StatsOf,
};
use kyu_door::calendar::rfc3339;
use serde::Serialize;

use super::error::Error;
use super::{pending, store};
use crate::call::Call;

/// The path at which the list is read, by GET.
pub(crate) const PATH: &str = "/_sns/outbox";
/// The namespace of the queues. No account and no ARN can have a colon in it.
const NAMESPACE: &str = "sns:outbox";
/// Messages that are kept in each, after the next look.
const KEPT: u64 = 1_000;
/// The time for which they are kept at most.
const RETENTION_MS: u64 = 86_400_000;
/// Messages that are dropped in one step, for latency.
const STEP: u32 = 100;

/// The protocol and the address of a message that came by no subscription.
const PROTOCOL: &str = "Protocol";
const ENDPOINT: &str = "Endpoint";

/// The queue of an account and region.
pub(super) fn queue_of(namespace: String) -> QueueName {
    QueueName { namespace: NAMESPACE.into(), name: namespace }
}

/// Makes sure that the caller's queue is there.
pub(super) async fn open(call: &Call<'_>) -> Result<Arc<QueueInfo>, Error> {
    let name = queue_of(call.namespace());
    if let Some(queue) = call.broker.directory().by_name(&name) {
        return Ok(queue);
    }
    let config = Box::new(QueueConfig { retention_ms: RETENTION_MS, ..QueueConfig::default() });
    let create = CreateQueue { name, config, name_reuse_wait_ms: 0 };
    match call.broker.ask(create).await {
        Ok(queue) => Ok(queue),
        Err(kyu_broker::Error::Refused(Refusal::QueueExists(queue))) => Ok(queue),
        Err(error) => Err(error.into()),
    }
}

/// A message to one recipient.
pub(super) struct Letter<'a> {
    pub(super) protocol: &'a str,
    pub(super) endpoint: &'a str,
    pub(super) subject: Option<&'a str>,
    pub(super) text: &'a str,
}

/// Records a message as delivered nowhere.
pub(super) async fn record(call: &Call<'_>, letter: Letter<'_>) -> Result<MessageId, Error> {
    let queue = open(call).await?;
    let attribute = |name: &str, value: &str| Attribute {
        name: name.to_owned(),
        data_type: "String".into(),
        value: AttributeValue::Text(value.to_owned()),
    };
    let attributes =
        vec![attribute(PROTOCOL, letter.protocol), attribute(ENDPOINT, letter.endpoint)];
    let subject = letter.subject.map(|subject| (Property::Subject, subject.to_owned()));
    let properties = subject.into_iter().collect();
    let content = Content { body: letter.text.to_owned().into(), attributes, properties };
    store::enqueue(call, &queue, &content).await
}

#[derive(Serialize)]
struct Listed {
    messages: Vec<Shown>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    message_id: String,
    sent_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    message: String,
}

/// The messages that are kept for the caller's account and region, oldest first, as JSON.
pub(crate) async fn list(call: &Call<'_>) -> Result<Bytes, Error> {
    let name = queue_of(call.namespace());
    let mut messages = Vec::new();
    if let Some(queue) = call.broker.directory().by_name(&name) {
        let peek = Peek { queue: queue.id, max_messages: u32::try_from(KEPT).unwrap_or(0) };
        let (found, pin) = call.broker.look_up_pinned(peek).await?;
        for received in call.broker.resolve(found, &pin).await? {
            messages.push(shown(call, &received).await?);
        }
    }
    serde_json::to_vec(&Listed { messages }).map(Bytes::from).map_err(|_| Error::internal())
}

async fn shown(call: &Call<'_>, received: &Received) -> Result<Shown, Error> {
    let content = received.message.content().map_err(|_| Error::internal())?;
    let of_attribute = |name: &str| {
        content.attributes.iter().find(|one| one.name == name).and_then(|one| match &one.value {
            AttributeValue::Text(text) => Some(text.clone()),
            AttributeValue::Binary(_) => None,
        })
    };
    let (protocol, endpoint) = match received.delivery.via {
        None => (of_attribute(PROTOCOL), of_attribute(ENDPOINT)),
        // The subscription may have gone.
        Some(id) => match pending::binding(call, id).await? {
            Some(info) => (Some(info.config.protocol.clone()), Some(info.config.address.clone())),
            None => (None, None),
        },
    };
    let property = |property| content.property(property).map(str::to_owned);
    Ok(Shown {
        message_id: received.message.message_id.to_string(),
        sent_at: rfc3339(received.message.sent_at_ms),
        protocol,
        endpoint,
        topic_arn: property(Property::Topic),
        subject: property(Property::Subject),
        message: String::from_utf8_lossy(&content.body).into_owned(),
    })
}

/// Drops what is more than is kept, oldest first.
pub(super) async fn trim(broker: &Broker) -> Result<(), kyu_broker::Error> {
    for queue in broker.directory().list(NAMESPACE, "") {
        loop {
            let stats = broker.look_up(StatsOf(queue.id)).await?;
            let surplus = u32::try_from(stats.ready.saturating_sub(KEPT)).unwrap_or(u32::MAX);
            if surplus == 0 {
                break;
            }
            let acquire = Acquire {
                queue: queue.id,
                max_messages: surplus.min(STEP),
                max_bytes: u64::MAX,
                lease: Lease::Take,
                order: Order::OfQueue,
                attempt_id: None,
                consumer: None,
                with_history: false,
            };
            if broker.receive(acquire, 0).await?.is_empty() {
                break;
            }
        }
    }
    Ok(())
}
