//! ListQueueTags: the tags of a queue.

use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::error::Error;
use crate::wire::{Pairs, Response, Text};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListQueueTagsRequest<'a> {
    #[serde(borrow)]
    queue_url: Option<Text<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListQueueTagsResult {
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    tags: Pairs<String, String>,
}

impl Response for ListQueueTagsResult {}

pub(super) async fn run(
    call: &Call<'_>,
    request: ListQueueTagsRequest<'_>,
) -> Result<ListQueueTagsResult, Error> {
    let queue = call.queue(request.queue_url.as_deref())?;
    let tags = queue.config.tags.iter().map(|(key, value)| (key.clone(), value.clone()));
    Ok(ListQueueTagsResult { tags: Pairs(tags.collect()) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_door::*;

    #[tokio::test]
    async fn no_tags_no_key() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        assert_eq!(door.ok("ListQueueTags", json!({ "QueueUrl": url })).await, json!({}));
    }
}
