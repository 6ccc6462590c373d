//! SendMessageBatch: adds up to ten messages. Each succeeds or fails by itself; the batch as a
//! whole fails for its number of entries, their ids, its size, and what FIFO demands of all.

use kyu_broker::{Enqueue, QueueInfo, QueueKind};
use serde::{Deserialize, Serialize};

use crate::batch::{self, FailedEntry};
use crate::call::Call;
use crate::digest::Md5Sum;
use crate::error::Error;
use crate::limits::{MAX_BATCH_ENTRIES, MAX_MESSAGE_BYTES};
use crate::message::{SentMessage, sequence_number};
use crate::message_attributes::SentAttributes;
use crate::wire::{List, Response, Text, Uuid};

const ENTRY_TYPE: &str = "SendMessageBatchRequestEntry";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SendMessageBatchRequest<'a> {
    #[serde(borrow)]
    queue_url: Option<Text<'a>>,
    #[serde(borrow)]
    entries: Option<List<SendMessageBatchRequestEntry<'a>, MAX_BATCH_ENTRIES>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendMessageBatchRequestEntry<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
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
#[serde(rename_all = "PascalCase")]
pub(super) struct SendMessageBatchResult {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    successful: Vec<SendMessageBatchResultEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<FailedEntry>,
}

#[derive(Serialize)]
struct SendMessageBatchResultEntry {
    #[serde(rename = "Id")]
    id: String,
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

impl Response for SendMessageBatchResult {}

pub(super) async fn run(
    call: &Call<'_>,
    request: SendMessageBatchRequest<'_>,
) -> Result<SendMessageBatchResult, Error> {
    let queue = call.queue(request.queue_url.as_deref())?;
    let entries = request.entries.unwrap_or_default();
    let ids =
        batch::check(ENTRY_TYPE, entries.sent, entries.kept.iter().map(|entry| entry.id.as_ref()))?;
    let sent: Vec<SentMessage<'_>> = entries.kept.into_iter().map(SentMessage::from).collect();
    check_whole(&sent, &queue)?;

    let mut failed = Vec::new();
    let mut prepared = Vec::with_capacity(ids.len());
    let mut messages = Vec::with_capacity(ids.len());
    for (id, message) in ids.into_iter().zip(sent) {
        match message.prepare(&queue, call) {
            Ok(ready) => {
                let entry = SendMessageBatchResultEntry {
                    id,
                    message_id: Uuid::NIL,
                    body_md5: ready.body_md5,
                    attributes_md5: ready.attributes_md5,
                    system_attributes_md5: ready.system_attributes_md5,
                    sequence_number: None,
                };
                prepared.push(entry);
                messages.push(ready.message);
            }
            Err(error) => failed.push(FailedEntry::new(id, &error)),
        }
    }
    if messages.is_empty() {
        return Ok(SendMessageBatchResult { successful: Vec::new(), failed });
    }
    let results = call.broker.ask(Enqueue { messages }).await?;
    let mut successful = Vec::with_capacity(prepared.len());
    for (mut entry, result) in prepared.into_iter().zip(results) {
        match result {
            Ok(enqueued) => {
                entry.message_id = Uuid(enqueued.message_id);
                entry.sequence_number = sequence_number(&queue, enqueued.seq);
                successful.push(entry);
            }
            Err(refusal) => failed.push(FailedEntry::new(entry.id, &refusal.into())),
        }
    }
    Ok(SendMessageBatchResult { successful, failed })
}

impl<'a> From<SendMessageBatchRequestEntry<'a>> for SentMessage<'a> {
    fn from(entry: SendMessageBatchRequestEntry<'a>) -> Self {
        Self {
            body: entry.message_body,
            delay_seconds: entry.delay_seconds,
            attributes: entry.message_attributes,
            system_attributes: entry.message_system_attributes,
            dedup_id: entry.message_deduplication_id,
            group_id: entry.message_group_id,
        }
    }
}

/// The sum of sizes, and the ids of FIFO: recorded from AWS, one entry without them fails all.
fn check_whole(sent: &[SentMessage<'_>], queue: &QueueInfo) -> Result<(), Error> {
    if queue.config.kind == QueueKind::Fifo {
        if sent.iter().any(|message| message.group_id.is_none()) {
            return Err(Error::InvalidParameterValue(
                "The request must contain the parameter MessageGroupId.".into(),
            ));
        }
        let by_content = queue.config.content_based_deduplication;
        if !by_content && sent.iter().any(|message| message.dedup_id.is_none()) {
            return Err(Error::no_deduplication_id());
        }
    }
    let sent_bytes = sent.iter().map(SentMessage::size_bytes).sum();
    if sent_bytes > MAX_MESSAGE_BYTES as usize {
        return Err(Error::BatchRequestTooLong { sent_bytes });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_door::*;

    fn entry(id: &str, body: &str) -> serde_json::Value {
        json!({ "Id": id, "MessageBody": body })
    }

    #[tokio::test]
    async fn entries_succeed_and_fail_by_themselves() {
        let door = Door::open();
        let url = door.queue("q", json!({ "MaximumMessageSize": "1024" })).await;
        let entries = json!([entry("a", "one"), entry("b", &"x".repeat(1025)), entry("c", "")]);
        let request = json!({ "QueueUrl": url, "Entries": entries });
        let result = door.ok("SendMessageBatch", request).await;
        assert_eq!(result["Successful"][0]["Id"], "a");
        assert_eq!(result["Successful"].as_array().unwrap().len(), 1);
        let failed = json!({
            "Id": "b",
            "SenderFault": true,
            "Code": "InvalidParameterValue",
            "Message": "One or more parameters cannot be validated. \
                        Reason: Message must be shorter than 1024 bytes.",
        });
        assert_eq!(result["Failed"][0], failed);
        assert_eq!(result["Failed"][1]["Code"], "MissingParameter");
        let all = json!({ "QueueUrl": url, "Entries": [entry("a", "one")] });
        let result = door.ok("SendMessageBatch", all).await;
        assert_eq!(result["Failed"], json!(null), "no key when nothing failed");
    }

    #[tokio::test]
    async fn a_batch_fails_as_a_whole() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        let fails = async |entries: serde_json::Value| {
            let request = json!({ "QueueUrl": url, "Entries": entries });
            door.fails("SendMessageBatch", request).await
        };
        let coded = |code: &str, text: &str| {
            (400, format!("AWS.SimpleQueueService.{code}"), text.to_owned())
        };
        let text = "There should be at least one SendMessageBatchRequestEntry in the request.";
        assert_eq!(fails(json!([])).await, coded("EmptyBatchRequest", text));
        let many: Vec<_> = (0..20).map(|at| entry(&at.to_string(), "m")).collect();
        let text = "Maximum number of entries per request are 10. You have sent 20.";
        assert_eq!(fails(json!(many)).await, coded("TooManyEntriesInBatchRequest", text));
        let text = "Id a repeated.";
        let twice = json!([entry("a", "m"), entry("a", "m")]);
        assert_eq!(fails(twice).await, coded("BatchEntryIdsNotDistinct", text));
        let text = "A batch entry id can only contain alphanumeric characters, hyphens and \
                    underscores. It can be at most 80 letters long.";
        assert_eq!(fails(json!([entry("a:b", "m")])).await, coded("InvalidBatchEntryId", text));
        let halves = json!([entry("a", &"x".repeat(524_288)), entry("b", &"x".repeat(524_289))]);
        let text = "Batch requests cannot be longer than 1048576 bytes. \
                    You have sent 1048577 bytes.";
        assert_eq!(fails(halves).await, coded("BatchRequestTooLong", text));
        assert_eq!(door.attribute(&url, "ApproximateNumberOfMessages").await, "0");
    }

    /// A batch of `{}` is small on the wire; in memory it must not be two million entries.
    #[tokio::test]
    async fn a_flood_of_entries_is_counted_and_not_kept() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        let body = format!("{{\"QueueUrl\":\"{url}\",\"Entries\":[{}{{}}]}}", "{},".repeat(99_999));
        let said = door.post("SendMessageBatch", &body).await;
        assert!(said.body.contains("You have sent 100000."), "{}", said.body);
    }

    #[tokio::test]
    async fn fifo_ids_are_needed_by_all() {
        let door = Door::open();
        let url = door.queue("q.fifo", json!({ "FifoQueue": "true" })).await;
        let with = |dedup: bool, group: bool| {
            let mut entry = entry("a", "m");
            if dedup {
                entry["MessageDeduplicationId"] = json!("d");
            }
            if group {
                entry["MessageGroupId"] = json!("g");
            }
            json!({ "QueueUrl": url, "Entries": [entry] })
        };
        let text = "The request must contain the parameter MessageGroupId.";
        let failure = door.fails("SendMessageBatch", with(true, false)).await;
        assert_eq!(failure, invalid_parameter(text));
        let (_, _, text) = door.fails("SendMessageBatch", with(false, true)).await;
        assert!(text.contains("ContentBasedDeduplication"));
        let result = door.ok("SendMessageBatch", with(true, true)).await;
        assert_eq!(result["Successful"][0]["SequenceNumber"].as_str().unwrap().len(), 20);
    }
}
