//! ChangeMessageVisibilityBatch: changes up to ten leases; each succeeds or fails by itself.

use kyu_broker::Extend;
use serde::{Deserialize, Serialize};

use super::change_message_visibility::{answer, check_timeout};
use crate::batch::{self, FailedEntry};
use crate::call::Call;
use crate::error::Error;
use crate::limits::MAX_BATCH_ENTRIES;
use crate::receipt;
use crate::wire::{List, Response, Text};

const ENTRY_TYPE: &str = "ChangeMessageVisibilityBatchRequestEntry";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ChangeMessageVisibilityBatchRequest<'a> {
    #[serde(borrow)]
    queue_url: Option<Text<'a>>,
    #[serde(borrow)]
    entries: Option<List<ChangeMessageVisibilityBatchRequestEntry<'a>, MAX_BATCH_ENTRIES>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ChangeMessageVisibilityBatchRequestEntry<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    receipt_handle: Option<Text<'a>>,
    visibility_timeout: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ChangeMessageVisibilityBatchResult {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    successful: Vec<ChangeMessageVisibilityBatchResultEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<FailedEntry>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ChangeMessageVisibilityBatchResultEntry {
    id: String,
}

impl Response for ChangeMessageVisibilityBatchResult {}

pub(super) async fn run(
    call: &Call<'_>,
    request: ChangeMessageVisibilityBatchRequest<'_>,
) -> Result<ChangeMessageVisibilityBatchResult, Error> {
    let queue = call.queue(request.queue_url.as_deref())?;
    let entries = request.entries.unwrap_or_default();
    let ids =
        batch::check(ENTRY_TYPE, entries.sent, entries.kept.iter().map(|entry| entry.id.as_ref()))?;
    let mut result =
        ChangeMessageVisibilityBatchResult { successful: Vec::new(), failed: Vec::new() };
    let mut asked = Vec::with_capacity(ids.len());
    let mut items = Vec::with_capacity(ids.len());
    for (id, entry) in ids.into_iter().zip(entries.kept) {
        match entry.check() {
            Ok((receipt, timeout_ms, handle, timeout_s)) => {
                items.push((receipt, timeout_ms));
                asked.push((id, handle, timeout_s));
            }
            Err(error) => result.failed.push(FailedEntry::new(id, &error)),
        }
    }
    if items.is_empty() {
        return Ok(result);
    }
    let extended = call.broker.ask(Extend { queue: queue.id, items }).await?;
    for ((id, handle, timeout_s), extended) in asked.into_iter().zip(extended) {
        match answer(extended, &handle, timeout_s, &queue) {
            Ok(()) => result.successful.push(ChangeMessageVisibilityBatchResultEntry { id }),
            Err(error) => result.failed.push(FailedEntry::new(id, &error)),
        }
    }
    Ok(result)
}

impl<'a> ChangeMessageVisibilityBatchRequestEntry<'a> {
    fn check(self) -> Result<(kyu_broker::Receipt, u64, Text<'a>, i64), Error> {
        let handle = self.receipt_handle.ok_or_else(|| Error::missing("ReceiptHandle"))?;
        let timeout_s =
            self.visibility_timeout.ok_or_else(|| Error::missing("VisibilityTimeout"))?;
        Ok((receipt::parse(&handle)?, check_timeout(timeout_s)?, handle, timeout_s))
    }
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
            { "Id": "good", "ReceiptHandle": handle, "VisibilityTimeout": 0 },
            { "Id": "long", "ReceiptHandle": handle, "VisibilityTimeout": 43_201 },
            { "Id": "none", "ReceiptHandle": handle },
        ]);
        let request = json!({ "QueueUrl": url, "Entries": entries });
        let result = door.ok("ChangeMessageVisibilityBatch", request).await;
        assert_eq!(result["Successful"], json!([{ "Id": "good" }]));
        assert_eq!(result["Failed"][0]["Code"], "InvalidParameterValue");
        assert_eq!(result["Failed"][1]["Code"], "MissingParameter");
        assert_eq!(door.receive(&url).await.len(), 1);
    }
}
