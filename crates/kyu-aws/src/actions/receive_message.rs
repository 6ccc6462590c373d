//! ReceiveMessage: leases up to ten messages, waiting for the first if asked to. A message that is
//! neither deleted nor extended is visible again when its visibility timeout has passed.

use std::sync::Arc;

use kyu_broker::{Acquire, Lease, Property, QueueInfo, QueueKind, Received, Refusal};
use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::digest::{self, Md5Sum};
use crate::error::{Error, quoted};
use crate::limits::{
    MAX_RECEIVE_BYTES, MAX_RECEIVE_MESSAGES, MAX_VISIBILITY_TIMEOUT_S, MAX_WAIT_S,
};
use crate::message::{LOCAL_SENDER_ID, check_id, sequence_number};
use crate::message_attributes::{ReceivedValue, Selection};
use crate::receipt::Handle;
use crate::wire::{Pairs, Response, Text, Utf8, Uuid};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ReceiveMessageRequest<'a> {
    #[serde(borrow)]
    queue_url: Option<Text<'a>>,
    #[serde(borrow)]
    attribute_names: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    message_system_attribute_names: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    message_attribute_names: Option<Vec<Text<'a>>>,
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
    let system = system_attributes_wanted(&request)?;
    let selection = Selection::of(request.message_attribute_names);
    let received = match call.broker.receive(acquire, wait_ms).await {
        Ok(received) => received,
        // AWS answers as if the queue were empty where it promises order.
        Err(kyu_broker::Error::Refused(Refusal::TooManyInFlight))
            if queue.config.kind == QueueKind::Fifo =>
        {
            Vec::new()
        }
        Err(error) => return Err(error.into()),
    };
    let reader = Reader { call, queue, system, selection };
    let messages = received.into_iter().map(|one| reader.message(one)).collect::<Result<_, _>>()?;
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
        attempt_id: attempt_id.map(str::to_owned),
    };
    Ok((acquire, wait_ms.unwrap_or(queue.config.receive_wait_ms)))
}

/// The names under `AttributeNames` (before 2024) and `MessageSystemAttributeNames` together.
fn system_attributes_wanted(
    request: &ReceiveMessageRequest<'_>,
) -> Result<Vec<SystemAttribute>, Error> {
    let names = request.attribute_names.iter().chain(&request.message_system_attribute_names);
    let mut wanted = Vec::new();
    for name in names.flatten() {
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
    fn message(&self, received: Received) -> Result<Message, Error> {
        let mut content = received.message.content().map_err(|_| Error::Internal)?;
        let system_attributes = self.system.iter().filter_map(|attribute| {
            self.system_attribute(*attribute, &received, &content).map(|v| (attribute.name(), v))
        });
        let system_attributes = Pairs(system_attributes.collect());
        content.attributes.retain(|attribute| self.selection.has(&attribute.name));
        Ok(Message {
            message_id: Uuid(received.message.message_id),
            receipt_handle: Handle(received.delivery.receipt),
            body_md5: digest::of_body(&content.body),
            system_attributes,
            attributes_md5: digest::of_attributes(&content.attributes),
            attributes: Pairs(content.attributes.into_iter().map(ReceivedValue::named).collect()),
            body: Utf8(content.body),
        })
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
            A::ApproximateReceiveCount => Some(delivery.receive_count.to_string()),
            A::ApproximateFirstReceiveTimestamp => Some(delivery.first_received_at_ms.to_string()),
            A::SequenceNumber => sequence_number(&self.queue, delivery.receipt.seq),
            // A dead-letter queue takes the message's own id, so that nothing meets a duplicate there.
            A::MessageDeduplicationId if delivery.dead_letter_source.is_some() => {
                message.dedup_id.as_ref().map(|_| message.message_id.to_string())
            }
            A::MessageDeduplicationId => message.dedup_id.clone(),
            A::MessageGroupId => message.lane.clone(),
            A::TraceHeader => content.property(Property::TraceHeader).map(str::to_owned),
            A::DeadLetterQueueSourceArn => {
                delivery.dead_letter_source.as_ref().map(|source| self.call.arn_of(source))
            }
        }
    }
}
