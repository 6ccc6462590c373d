//! SendMessage: adds one message. When it answers, the message is on disk.

use kyu_broker::Enqueue;
use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::digest::Md5Sum;
use crate::error::Error;
use crate::message::{SentMessage, sequence_number};
use crate::message_attributes::SentAttributes;
use crate::wire::{Response, Text, Uuid};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SendMessageRequest<'a> {
    #[serde(borrow)]
    queue_url: Option<Text<'a>>,
    #[serde(borrow)]
    message_body: Option<Text<'a>>,
    delay_seconds: Option<i64>,
    #[serde(borrow)]
    message_attributes: Option<SentAttributes<'a>>,
    #[serde(borrow)]
    message_system_attributes: Option<SentAttributes<'a>>,
    #[serde(borrow)]
    message_deduplication_id: Option<Text<'a>>,
    #[serde(borrow)]
    message_group_id: Option<Text<'a>>,
}

#[derive(Serialize)]
pub(super) struct SendMessageResult {
    #[serde(rename = "MessageId")]
    message_id: Uuid,
    #[serde(rename = "MD5OfMessageBody")]
    body_md5: Md5Sum,
    #[serde(rename = "MD5OfMessageAttributes", skip_serializing_if = "Option::is_none")]
    attributes_md5: Option<Md5Sum>,
    #[serde(rename = "MD5OfMessageSystemAttributes", skip_serializing_if = "Option::is_none")]
    system_attributes_md5: Option<Md5Sum>,
    #[serde(rename = "SequenceNumber", skip_serializing_if = "Option::is_none")]
    sequence_number: Option<String>,
}

impl Response for SendMessageResult {}

pub(super) async fn run(
    call: &Call<'_>,
    request: SendMessageRequest<'_>,
) -> Result<SendMessageResult, Error> {
    let queue = call.queue(request.queue_url.as_deref())?;
    let sent = SentMessage {
        body: request.message_body,
        delay_seconds: request.delay_seconds,
        attributes: request.message_attributes,
        system_attributes: request.message_system_attributes,
        dedup_id: request.message_deduplication_id,
        group_id: request.message_group_id,
    };
    let prepared = sent.prepare(&queue, call)?;
    let results = call.broker.ask(Enqueue { messages: vec![prepared.message] }).await?;
    let enqueued = results.into_iter().next().ok_or(Error::Internal)??;
    Ok(SendMessageResult {
        message_id: Uuid(enqueued.message_id),
        body_md5: prepared.body_md5,
        attributes_md5: prepared.attributes_md5,
        system_attributes_md5: prepared.system_attributes_md5,
        sequence_number: sequence_number(&queue, enqueued.seq),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_door::*;

    #[tokio::test]
    async fn a_message_and_its_sums() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        let request = json!({
            "QueueUrl": url,
            "MessageBody": "msg",
            "MessageAttributes": {
                "Hello": { "DataType": "String", "StringValue": "There" },
                "General": { "DataType": "String", "StringValue": "Kenobi" },
            },
            "MessageSystemAttributes": {
                "AWSTraceHeader": { "DataType": "String", "StringValue": "Root=1-5759e988" },
            },
        });
        let sent = door.ok("SendMessage", request).await;
        assert_eq!(sent["MD5OfMessageBody"], "6e2baaf3b97dbeef01c0043275f9a0e7");
        assert_eq!(sent["MD5OfMessageAttributes"], "fca026605781cb4126a1e9044df24232");
        assert_eq!(sent["MD5OfMessageSystemAttributes"].as_str().unwrap().len(), 32);
        assert_eq!(sent["SequenceNumber"], json!(null));
        let received = door.receive(&url).await;
        assert_eq!(received[0]["MessageId"], sent["MessageId"]);
        assert_eq!(received[0]["Body"], "msg");
        assert_eq!(received[0]["Attributes"]["AWSTraceHeader"], "Root=1-5759e988");
        assert_eq!(received[0]["MD5OfMessageAttributes"], sent["MD5OfMessageAttributes"]);
        // Without attributes there is nothing to sum.
        let plain = door.send(&url, "msg").await;
        assert_eq!(plain.as_object().unwrap().len(), 2, "{plain}");
    }

    #[tokio::test]
    async fn the_trace_of_the_request_unless_the_sender_gives_one() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        let mut request = json!({ "QueueUrl": url, "MessageBody": "m" });
        let plain = door.post_traced("SendMessage", &request.to_string(), "Root=1-http").await;
        assert_eq!(plain.status, 200, "{}", plain.body);
        assert_eq!(plain.json()["MD5OfMessageSystemAttributes"], json!(null), "none was given");
        request["MessageSystemAttributes"] =
            json!({ "AWSTraceHeader": { "DataType": "String", "StringValue": "Root=1-given" } });
        door.post_traced("SendMessage", &request.to_string(), "Root=1-http").await;
        let batch = json!({ "QueueUrl": url, "Entries": [{ "Id": "a", "MessageBody": "m" }] });
        door.post_traced("SendMessageBatch", &batch.to_string(), "Root=1-batch").await;
        let received = door.receive(&url).await;
        let traces: Vec<_> = received.iter().map(|m| &m["Attributes"]["AWSTraceHeader"]).collect();
        assert_eq!(traces, ["Root=1-http", "Root=1-given", "Root=1-batch"]);
    }

    #[tokio::test]
    async fn what_a_body_may_be() {
        let door = Door::open();
        let url = door.queue("q", json!({ "MaximumMessageSize": "1024" })).await;
        let missing = "The request must contain the parameter MessageBody.";
        for request in [json!({ "QueueUrl": url }), json!({ "QueueUrl": url, "MessageBody": "" })] {
            let failure = (400, "MissingParameter".into(), missing.into());
            assert_eq!(door.fails("SendMessage", request).await, failure);
        }
        let body = |body: &str| json!({ "QueueUrl": url, "MessageBody": body });
        door.ok("SendMessage", body(&"x".repeat(1024))).await;
        let long = invalid_parameter(
            "One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes.",
        );
        assert_eq!(door.fails("SendMessage", body(&"x".repeat(1025))).await, long);
        let mut with_attribute = body(&"x".repeat(1010));
        with_attribute["MessageAttributes"] =
            json!({ "name": { "DataType": "String", "StringValue": "12345" } });
        assert_eq!(door.fails("SendMessage", with_attribute).await, long);
        let (status, code, _) = door.fails("SendMessage", body("a\u{8}b")).await;
        assert_eq!((status, code.as_str()), (400, "InvalidMessageContents"));
    }

    #[tokio::test]
    async fn one_mebibyte_passes() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        let body = "x".repeat(1_048_576);
        door.send(&url, &body).await;
        assert_eq!(door.receive(&url).await[0]["Body"], body);
        let request = json!({ "QueueUrl": url, "MessageBody": format!("{body}x") });
        let text = "One or more parameters are invalid. \
                    Reason: Message must be shorter than 1048576 bytes.";
        assert_eq!(door.fails("SendMessage", request).await, invalid_parameter(text));
    }

    #[tokio::test]
    async fn fifo_needs_a_group_and_a_deduplication_id() {
        let door = Door::open();
        let url = door.queue("q.fifo", json!({ "FifoQueue": "true" })).await;
        let send = |fields: serde_json::Value| {
            let mut request = json!({ "QueueUrl": url, "MessageBody": "m" });
            request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            request
        };
        let group = "The request must contain the parameter MessageGroupId.";
        let failure =
            door.fails("SendMessage", send(json!({ "MessageDeduplicationId": "d" }))).await;
        assert_eq!(failure, (400, "MissingParameter".into(), group.into()));
        let dedup = "The queue should either have ContentBasedDeduplication enabled or \
                     MessageDeduplicationId provided explicitly";
        let failure = door.fails("SendMessage", send(json!({ "MessageGroupId": "g" }))).await;
        assert_eq!(failure, invalid_parameter(dedup));
        let both = json!({ "MessageGroupId": "g", "MessageDeduplicationId": "d" });
        let first = door.ok("SendMessage", send(both.clone())).await;
        let again = door.ok("SendMessage", send(both.clone())).await;
        assert_eq!(first["MessageId"], again["MessageId"]);
        assert_eq!(first["SequenceNumber"], again["SequenceNumber"]);
        let next = json!({ "MessageGroupId": "g", "MessageDeduplicationId": "d2" });
        let next = door.ok("SendMessage", send(next)).await;
        let number = |sent: &serde_json::Value| sent["SequenceNumber"].as_str().unwrap().to_owned();
        assert_eq!(number(&first).len(), 20);
        assert!(number(&next) > number(&first));
        let mut delayed = both;
        delayed["DelaySeconds"] = json!(2);
        let text = "Value 2 for parameter DelaySeconds is invalid. \
                    Reason: The request include parameter that is not valid for this queue type.";
        assert_eq!(door.fails("SendMessage", send(delayed.clone())).await, invalid_parameter(text));
        delayed["DelaySeconds"] = json!(0);
        door.ok("SendMessage", send(delayed)).await;
    }

    #[tokio::test]
    async fn standard_queues_take_a_group_but_no_deduplication_id() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        let send = |name: &str, value: serde_json::Value| json!({ "QueueUrl": url, "MessageBody": "m", name: value });
        let sent = door.ok("SendMessage", send("MessageGroupId", json!("tenant-1"))).await;
        assert_eq!(sent["SequenceNumber"], json!(null));
        assert_eq!(door.receive(&url).await[0]["Attributes"]["MessageGroupId"], "tenant-1");
        for wrong in ["", "group 123"] {
            let text = format!(
                "Value {wrong} for parameter MessageGroupId is invalid. Reason: MessageGroupId can \
                 only include alphanumeric and punctuation characters. 1 to 128 in length."
            );
            let failure = door.fails("SendMessage", send("MessageGroupId", json!(wrong))).await;
            assert_eq!(failure, invalid_parameter(&text));
        }
        let (_, code, _) =
            door.fails("SendMessage", send("MessageDeduplicationId", json!("d"))).await;
        assert_eq!(code, "InvalidParameterValue");
        for seconds in [-1, 901] {
            let (_, code, _) =
                door.fails("SendMessage", send("DelaySeconds", json!(seconds))).await;
            assert_eq!(code, "InvalidParameterValue");
        }
        door.ok("SendMessage", send("DelaySeconds", json!(900))).await;
        assert_eq!(door.attribute(&url, "ApproximateNumberOfMessagesDelayed").await, "1");
    }
}
