//! DeleteMessageBatch: removes up to ten messages; each succeeds or fails by itself.

use kyu_broker::{Outcome, Settle};
use serde::{Deserialize, Serialize};

use super::delete_message;
use crate::batch::{self, FailedEntry};
use crate::call::Call;
use crate::error::Error;
use crate::limits::MAX_BATCH_ENTRIES;
use crate::receipt;
use crate::wire::{List, Response, Text};

const ENTRY_TYPE: &str = "DeleteMessageBatchRequestEntry";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteMessageBatchRequest<'a> {
    #[serde(borrow)]
    queue_url: Option<Text<'a>>,
    #[serde(borrow)]
    entries: Option<List<DeleteMessageBatchRequestEntry<'a>, MAX_BATCH_ENTRIES>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteMessageBatchRequestEntry<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    receipt_handle: Option<Text<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteMessageBatchResult {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    successful: Vec<DeleteMessageBatchResultEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<FailedEntry>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteMessageBatchResultEntry {
    id: String,
}

impl Response for DeleteMessageBatchResult {}

pub(super) async fn run(
    call: &Call<'_>,
    request: DeleteMessageBatchRequest<'_>,
) -> Result<DeleteMessageBatchResult, Error> {
    let queue = call.queue(request.queue_url.as_deref())?;
    let entries = request.entries.unwrap_or_default();
    let ids =
        batch::check(ENTRY_TYPE, entries.sent, entries.kept.iter().map(|entry| entry.id.as_ref()))?;
    let mut result = DeleteMessageBatchResult { successful: Vec::new(), failed: Vec::new() };
    let mut asked = Vec::with_capacity(ids.len());
    let mut items = Vec::with_capacity(ids.len());
    for (id, entry) in ids.into_iter().zip(entries.kept) {
        let handle = entry.receipt_handle.ok_or_else(|| Error::missing("ReceiptHandle"));
        match handle.and_then(|handle| Ok((receipt::parse(&handle)?, handle))) {
            Ok((receipt, handle)) => {
                items.push((receipt, Outcome::Ack));
                asked.push((id, handle));
            }
            Err(error) => result.failed.push(FailedEntry::new(id, &error)),
        }
    }
    if items.is_empty() {
        return Ok(result);
    }
    let settled = call.broker.ask(Settle { queue: queue.id, items }).await?;
    for ((id, handle), settled) in asked.into_iter().zip(settled) {
        match delete_message::answer(settled, &handle, &queue) {
            Ok(()) => result.successful.push(DeleteMessageBatchResultEntry { id }),
            Err(error) => result.failed.push(FailedEntry::new(id, &error)),
        }
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_door::*;

    #[tokio::test]
    async fn each_entry_by_itself() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        door.send(&url, "m").await;
        let handle = door.receive(&url).await[0]["ReceiptHandle"].clone();
        let entries = json!([
            { "Id": "good", "ReceiptHandle": handle },
            { "Id": "bad", "ReceiptHandle": "garbage" },
        ]);
        let request = json!({ "QueueUrl": url, "Entries": entries });
        let result = door.ok("DeleteMessageBatch", request).await;
        assert_eq!(result["Successful"], json!([{ "Id": "good" }]));
        assert_eq!(result["Failed"][0]["Id"], "bad");
        assert_eq!(result["Failed"][0]["Code"], "ReceiptHandleIsInvalid");
        assert_eq!(result["Failed"][0]["SenderFault"], true);
        let (_, code, text) =
            door.fails("DeleteMessageBatch", json!({ "QueueUrl": url, "Entries": [] })).await;
        assert_eq!(code, "AWS.SimpleQueueService.EmptyBatchRequest");
        assert!(text.contains("DeleteMessageBatchRequestEntry"));
    }
}
