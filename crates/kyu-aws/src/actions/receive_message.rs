//! ReceiveMessage: leases up to ten messages, waiting for the first if asked to. A message that is
//! neither deleted nor extended is visible again when its visibility timeout has passed.

use std::sync::Arc;

use kyu_broker::{
    Acquire, Lease, MessageId, Order, Property, QueueInfo, QueueKind, Received, Refusal,
};
use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::digest::{self, Md5Sum};
use crate::error::{Error, quoted};
use crate::limits::{
    MAX_LISTED_NAMES, MAX_RECEIVE_BYTES, MAX_RECEIVE_MESSAGES, MAX_VISIBILITY_TIMEOUT_S, MAX_WAIT_S,
};
use crate::message::{LOCAL_SENDER_ID, check_id, sequence_number};
use crate::message_attributes::{ReceivedValue, Selection};
use crate::message_id;
use crate::receipt::Handle;
use crate::sns::envelope;
use crate::wire::{List, Pairs, Protocol, Response, Text, Utf8, Uuid};

/// Names of attributes.
type Names<'a> = List<Text<'a>, MAX_LISTED_NAMES>;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ReceiveMessageRequest<'a> {
    #[serde(borrow)]
    queue_url: Option<Text<'a>>,
    #[serde(borrow)]
    attribute_names: Option<Names<'a>>,
    #[serde(borrow)]
    message_system_attribute_names: Option<Names<'a>>,
    #[serde(borrow)]
    message_attribute_names: Option<Names<'a>>,
    max_number_of_messages: Option<i64>,
    visibility_timeout: Option<i64>,
    wait_time_seconds: Option<i64>,
    #[serde(borrow)]
    receive_request_attempt_id: Option<Text<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ReceiveMessageResult {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    messages: Vec<Message>,
}

#[derive(Serialize)]
struct Message {
    #[serde(rename = "MessageId")]
    message_id: Uuid,
    #[serde(rename = "ReceiptHandle")]
    receipt_handle: Handle,
    #[serde(rename = "MD5OfBody")]
    body_md5: Md5Sum,
    #[serde(rename = "Body")]
    body: Utf8,
    #[serde(rename = "Attributes", skip_serializing_if = "Pairs::is_empty")]
    system_attributes: Pairs<&'static str, String>,
    #[serde(rename = "MD5OfMessageAttributes", skip_serializing_if = "Option::is_none")]
    attributes_md5: Option<Md5Sum>,
    #[serde(rename = "MessageAttributes", skip_serializing_if = "Pairs::is_empty")]
    attributes: Pairs<String, ReceivedValue>,
}

impl Response for ReceiveMessageResult {}

pub(super) async fn run(
    call: &Call<'_>,
    request: ReceiveMessageRequest<'_>,
) -> Result<ReceiveMessageResult, Error> {
    let queue = call.queue(request.queue_url.as_deref())?;
    let (acquire, wait_ms) = plan(&request, &queue)?;
    let system = system_attributes_wanted(call, &request)?;
    let names = request.message_attribute_names.unwrap_or_default();
    let selection = Selection::of(names.within("MessageAttributeNames")?);
    let gone = call.client.half_closed();
    let received = match call.broker.lease_unless(gone, acquire, wait_ms).await {
        Ok(leased) => {
            // The messages, and the answer that is made of them.
            call.client.pay(2 * leased.bytes()).await.map_err(|_| Error::RequestThrottled)?;
            call.broker.load(leased).await?
        }
        // AWS answers as if the queue were empty where it promises order.
        Err(kyu_broker::Error::Refused(Refusal::TooManyInFlight))
            if queue.config.kind == QueueKind::Fifo =>
        {
            Vec::new()
        }
        Err(error) => return Err(error.into()),
    };
    let reader = Reader { call, queue, system, selection };
    let signatures = envelope::sign(call, &received).await;
    let messages = received.into_iter().zip(signatures);
    let messages = messages.map(|(one, signature)| reader.message(one, signature.as_ref()));
    let messages = messages.collect::<Result<_, _>>()?;
    Ok(ReceiveMessageResult { messages })
}

/// Checks the numbers of a request, and makes the command and the time to wait.
fn plan(
    request: &ReceiveMessageRequest<'_>,
    queue: &Arc<QueueInfo>,
) -> Result<(Acquire, u64), Error> {
    let max_messages = request.max_number_of_messages.unwrap_or(1);
    if !(1..=MAX_RECEIVE_MESSAGES).contains(&max_messages) {
        let reason = "Must be between 1 and 10, if provided.";
        return Err(Error::invalid(max_messages, "MaxNumberOfMessages", reason));
    }
    let seconds = |value: Option<i64>, parameter: &str, max_s: i64| match value {
        None => Ok(None),
        Some(value) => match u64::try_from(value) {
            Ok(seconds) if value <= max_s => Ok(Some(seconds * 1000)),
            _ => {
                let reason = format!("Must be >= 0 and <= {max_s}, if provided.");
                Err(Error::invalid(value, parameter, &reason))
            }
        },
    };
    let visible_ms =
        seconds(request.visibility_timeout, "VisibilityTimeout", MAX_VISIBILITY_TIMEOUT_S)?;
    let wait_ms = seconds(request.wait_time_seconds, "WaitTimeSeconds", MAX_WAIT_S)?;
    let attempt_id = request.receive_request_attempt_id.as_deref();
    check_id(attempt_id, "ReceiveRequestAttemptId")?;
    if let (Some(id), QueueKind::Standard) = (attempt_id, queue.config.kind) {
        let reason = "The request include parameter that is not valid for this queue type.";
        return Err(Error::invalid(id, "ReceiveRequestAttemptId", reason));
    }
    let acquire = Acquire {
        queue: queue.id,
        max_messages: u32::try_from(max_messages).unwrap_or(1),
        max_bytes: MAX_RECEIVE_BYTES,
        lease: visible_ms.map_or(Lease::QueueDefault, Lease::For),
        order: Order::OfQueue,
        attempt_id: attempt_id.map(str::to_owned),
        consumer: None,
        with_history: false,
    };
    Ok((acquire, wait_ms.unwrap_or(queue.config.receive_wait_ms)))
}

/// The names under `AttributeNames` (before 2024) and `MessageSystemAttributeNames` together; in
/// Query the former alone, if there are any (recorded).
fn system_attributes_wanted(
    call: &Call<'_>,
    request: &ReceiveMessageRequest<'_>,
) -> Result<Vec<SystemAttribute>, Error> {
    let newer = &request.message_system_attribute_names;
    let older_alone = call.protocol != Protocol::Json && request.attribute_names.is_some();
    let names = request.attribute_names.iter().chain(newer.iter().filter(|_| !older_alone));
    let mut wanted = Vec::new();
    for name in names.flat_map(|names| &names.kept) {
        if &**name == "All" {
            return Ok(SystemAttribute::ALL.to_vec());
        }
        let known = SystemAttribute::ALL.into_iter().find(|known| known.name() == &**name);
        let known = known.ok_or_else(|| {
            Error::InvalidAttributeName(format!("Unknown Attribute {}.", quoted(name)))
        })?;
        if !wanted.contains(&known) {
            wanted.push(known);
        }
    }
    Ok(wanted)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SystemAttribute {
    SenderId,
    SentTimestamp,
    ApproximateReceiveCount,
    ApproximateFirstReceiveTimestamp,
    SequenceNumber,
    MessageDeduplicationId,
    MessageGroupId,
    TraceHeader,
    DeadLetterQueueSourceArn,
}

impl SystemAttribute {
    const ALL: [Self; 9] = [
        Self::SenderId,
        Self::SentTimestamp,
        Self::ApproximateReceiveCount,
        Self::ApproximateFirstReceiveTimestamp,
        Self::SequenceNumber,
        Self::MessageDeduplicationId,
        Self::MessageGroupId,
        Self::TraceHeader,
        Self::DeadLetterQueueSourceArn,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::SenderId => "SenderId",
            Self::SentTimestamp => "SentTimestamp",
            Self::ApproximateReceiveCount => "ApproximateReceiveCount",
            Self::ApproximateFirstReceiveTimestamp => "ApproximateFirstReceiveTimestamp",
            Self::SequenceNumber => "SequenceNumber",
            Self::MessageDeduplicationId => "MessageDeduplicationId",
            Self::MessageGroupId => "MessageGroupId",
            Self::TraceHeader => "AWSTraceHeader",
            Self::DeadLetterQueueSourceArn => "DeadLetterQueueSourceArn",
        }
    }
}

/// Makes answers of one receive.
struct Reader<'c> {
    call: &'c Call<'c>,
    queue: Arc<QueueInfo>,
    system: Vec<SystemAttribute>,
    selection: Selection<'c>,
}

impl Reader<'_> {
    fn message(
        &self,
        received: Received,
        signature: Option<&envelope::Signature>,
    ) -> Result<Message, Error> {
        let mut content = received.message.content().map_err(|_| Error::Internal)?;
        let message_id = self.message_id(&received, &content);
        let system_attributes = self.system.iter().filter_map(|attribute| {
            self.system_attribute(*attribute, &received, &content).map(|v| (attribute.name(), v))
        });
        let system_attributes = Pairs(system_attributes.collect());
        content.show_scheduled_at();
        if let Some(via) = received.delivery.via {
            envelope::wrap(self.call, via, &received.message, &mut content, signature);
        }
        content.attributes.retain(|attribute| self.selection.has(&attribute.name));
        Ok(Message {
            message_id: Uuid(message_id),
            receipt_handle: Handle(received.delivery.receipt),
            body_md5: digest::of_body(&content.body),
            system_attributes,
            attributes_md5: digest::of_attributes(&content.attributes),
            attributes: Pairs(content.attributes.into_iter().map(ReceivedValue::named).collect()),
            body: Utf8(content.body),
        })
    }

    fn message_id(&self, received: &Received, content: &kyu_broker::Content) -> MessageId {
        message_id::shown(received, content, &self.queue.name.name)
    }

    fn system_attribute(
        &self,
        attribute: SystemAttribute,
        received: &Received,
        content: &kyu_broker::Content,
    ) -> Option<String> {
        use SystemAttribute as A;
        let Received { delivery, message } = received;
        match attribute {
            A::SenderId => {
                Some(content.property(Property::SenderId).unwrap_or(LOCAL_SENDER_ID).to_owned())
            }
            A::SentTimestamp => Some(message.sent_at_ms.to_string()),
            A::ApproximateReceiveCount => Some(delivery.total_receive_count.to_string()),
            A::ApproximateFirstReceiveTimestamp => Some(delivery.first_received_at_ms.to_string()),
            A::SequenceNumber => sequence_number(&self.queue, delivery.receipt.seq),
            // A dead-letter queue takes the message's own id, so that nothing meets a duplicate there.
            A::MessageDeduplicationId if delivery.dead_letter_source.is_some() => {
                message.dedup_id.as_ref().map(|_| self.message_id(received, content).to_string())
            }
            // A FIFO topic may have sent it to a standard queue, which knows no such ids.
            A::MessageDeduplicationId => {
                message.dedup_id.clone().filter(|_| self.queue.config.kind == QueueKind::Fifo)
            }
            A::MessageGroupId => {
                let of_fifo_topic = content.property(Property::Sequence).is_some();
                let ordered = self.queue.config.kind == QueueKind::Fifo;
                message.lane.clone().filter(|_| ordered || !of_fifo_topic)
            }
            A::TraceHeader => content.property(Property::TraceHeader).map(str::to_owned),
            A::DeadLetterQueueSourceArn => {
                delivery.dead_letter_source.as_ref().map(|source| self.call.arn_of(source))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_door::*;

    #[tokio::test]
    async fn an_empty_queue_has_no_messages_key() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        let result = door.ok("ReceiveMessage", json!({ "QueueUrl": url })).await;
        assert_eq!(result, json!({}));
    }

    #[tokio::test]
    async fn attributes_come_when_asked_for() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        let request = json!({
            "QueueUrl": url,
            "MessageBody": "msg",
            "MessageAttributes": {
                "Hello": { "DataType": "String", "StringValue": "There" },
                "Help.Me": { "DataType": "String", "StringValue": "Me" },
                "Raw": { "DataType": "Binary", "BinaryValue": "AAH/" },
            },
        });
        door.ok("SendMessage", request).await;
        let receive = async |more: serde_json::Value| {
            let mut request = json!({ "QueueUrl": url });
            request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let message = door.ok("ReceiveMessage", request).await["Messages"][0].clone();
            door.give_back(&url, &message).await;
            message
        };
        let bare = receive(json!({})).await;
        let mut keys: Vec<_> = bare.as_object().unwrap().keys().collect();
        keys.sort();
        assert_eq!(keys, ["Body", "MD5OfBody", "MessageId", "ReceiptHandle"]);
        let prefix = receive(json!({ "MessageAttributeNames": ["Hel.*"] })).await;
        assert_eq!(prefix["MD5OfMessageAttributes"], "83fee93c1bcd8b9a5a923ffacdc636c7");
        let raw = receive(json!({ "MessageAttributeNames": ["Raw"] })).await;
        let value = json!({ "Raw": { "DataType": "Binary", "BinaryValue": "AAH/" } });
        assert_eq!(raw["MessageAttributes"], value);
        let system = receive(json!({ "AttributeNames": ["ApproximateReceiveCount"] })).await;
        assert_eq!(system["Attributes"], json!({ "ApproximateReceiveCount": "4" }));
        let all = receive(json!({ "MessageSystemAttributeNames": ["All"] })).await;
        assert_eq!(all["Attributes"].as_object().unwrap().len(), 4, "{all}");
        let request = json!({ "QueueUrl": url, "AttributeNames": ["Nope"] });
        let failure = door.fails("ReceiveMessage", request).await;
        assert_eq!(failure, (400, "InvalidAttributeName".into(), "Unknown Attribute Nope.".into()));
    }

    #[tokio::test]
    async fn numbers_out_of_range() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        for (parameter, value, reason) in [
            ("MaxNumberOfMessages", 0, "Must be between 1 and 10, if provided."),
            ("MaxNumberOfMessages", 11, "Must be between 1 and 10, if provided."),
            ("WaitTimeSeconds", -1, "Must be >= 0 and <= 20, if provided."),
            ("WaitTimeSeconds", 21, "Must be >= 0 and <= 20, if provided."),
            ("VisibilityTimeout", 43_201, "Must be >= 0 and <= 43200, if provided."),
        ] {
            let request = json!({ "QueueUrl": url, parameter: value });
            let text =
                format!("Value {value} for parameter {parameter} is invalid. Reason: {reason}");
            assert_eq!(door.fails("ReceiveMessage", request).await, invalid_parameter(&text));
        }
    }

    #[tokio::test]
    async fn a_long_poll_wakes_for_a_new_message() {
        let door = Door::open();
        let url = door.queue("q", json!({ "ReceiveMessageWaitTimeSeconds": "20" })).await;
        // The queue's own default waits; the message comes while the receive is under way.
        let receive = door.receive(&url);
        let send = async {
            tokio::task::yield_now().await;
            door.send(&url, "late").await
        };
        let (received, _) = tokio::join!(receive, send);
        assert_eq!(received[0]["Body"], "late");
    }

    #[tokio::test]
    async fn a_fifo_group_is_locked_while_a_message_of_it_is_in_flight() {
        let door = Door::open();
        let url = door.fifo("q.fifo").await;
        for (group, body) in [("g", "1"), ("g", "2"), ("h", "3")] {
            let request = json!({ "QueueUrl": url, "MessageBody": body, "MessageGroupId": group });
            door.ok("SendMessage", request).await;
        }
        let one = json!({ "QueueUrl": url, "MaxNumberOfMessages": 1 });
        let first = door.ok("ReceiveMessage", one.clone()).await["Messages"][0].clone();
        assert_eq!(first["Body"], "1");
        let rest = door.receive(&url).await;
        assert_eq!(rest.iter().map(|m| m["Body"].clone()).collect::<Vec<_>>(), [json!("3")]);
        let attributes = &rest[0]["Attributes"];
        assert_eq!(attributes["MessageGroupId"], "h");
        assert_eq!(attributes["SequenceNumber"].as_str().unwrap().len(), 20);
        assert_eq!(attributes["MessageDeduplicationId"].as_str().unwrap().len(), 64);
        let delete = json!({ "QueueUrl": url, "ReceiptHandle": first["ReceiptHandle"] });
        door.ok("DeleteMessage", delete).await;
        assert_eq!(door.receive(&url).await[0]["Body"], "2");
    }

    #[tokio::test]
    async fn an_attempt_id_gets_the_same_messages_again() {
        let door = Door::open();
        let url = door.fifo("q.fifo").await;
        let send = json!({ "QueueUrl": url, "MessageBody": "m", "MessageGroupId": "g" });
        door.ok("SendMessage", send).await;
        let attempt = json!({ "QueueUrl": url, "ReceiveRequestAttemptId": "try-1" });
        let first = door.ok("ReceiveMessage", attempt.clone()).await;
        assert_eq!(first["Messages"][0]["Body"], "m");
        assert_eq!(door.ok("ReceiveMessage", attempt).await, first);
        let other = json!({ "QueueUrl": url, "ReceiveRequestAttemptId": "try-2" });
        assert_eq!(door.ok("ReceiveMessage", other).await, json!({}));
        let standard = door.queue("q", json!({})).await;
        let request = json!({ "QueueUrl": standard, "ReceiveRequestAttemptId": "a" });
        assert_eq!(door.fails("ReceiveMessage", request).await.1, "InvalidParameterValue");
    }

    #[tokio::test]
    async fn a_message_received_too_often_moves_to_the_dead_letter_queue() {
        let door = Door::open();
        let dead = door.queue("dead", json!({})).await;
        let arn = door.attribute(&dead, "QueueArn").await;
        let policy = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": "1" }).to_string();
        let url = door.queue("q", json!({ "RedrivePolicy": policy })).await;
        let sent = door.send(&url, "poison").await;
        let received = door.receive(&url).await;
        assert_eq!(received[0]["Body"], "poison");
        door.give_back(&url, &received[0]).await;
        assert!(door.receive(&url).await.is_empty());
        let moved = door.receive(&dead).await;
        assert_eq!(moved[0]["MessageId"], sent["MessageId"]);
        let source = "arn:aws:sqs:us-east-1:000000000000:q";
        assert_eq!(moved[0]["Attributes"]["DeadLetterQueueSourceArn"], source);
    }
}
