//! ListDeadLetterSourceQueues: the URLs of the queues whose dead letters come to this one.

use kyu_broker::DeadLetterSourcesOf;
use serde::{Deserialize, Serialize};

use super::page;
use crate::call::Call;
use crate::error::Error;
use crate::wire::{Response, Text};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListDeadLetterSourceQueuesRequest<'a> {
    #[serde(borrow)]
    queue_url: Option<Text<'a>>,
    #[serde(borrow)]
    next_token: Option<Text<'a>>,
    max_results: Option<i64>,
}

#[derive(Serialize)]
pub(super) struct ListDeadLetterSourceQueuesResult {
    // Lower case in the service model.
    #[serde(rename = "queueUrls")]
    queue_urls: Vec<String>,
    #[serde(rename = "NextToken", skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

impl Response for ListDeadLetterSourceQueuesResult {}

pub(super) async fn run(
    call: &Call<'_>,
    request: ListDeadLetterSourceQueuesRequest<'_>,
) -> Result<ListDeadLetterSourceQueuesResult, Error> {
    let queue = call.queue(request.queue_url.as_deref())?;
    let sources = call.broker.look_up(DeadLetterSourcesOf(queue.name.clone())).await?;
    let token = request.next_token.as_deref();
    let (sources, next_token) =
        page::cut(sources, |source| &source.name, request.max_results, token)?;
    let queue_urls = sources.iter().map(|source| call.url_of(source)).collect();
    Ok(ListDeadLetterSourceQueuesResult { queue_urls, next_token })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_door::*;

    #[tokio::test]
    async fn sources_by_name() {
        let door = Door::open();
        let dead = door.queue("dead", json!({})).await;
        let request = json!({ "QueueUrl": dead });
        let none = door.ok("ListDeadLetterSourceQueues", request.clone()).await;
        assert_eq!(none, json!({ "queueUrls": [] }));
        let arn = door.attribute(&dead, "QueueArn").await;
        let policy = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": 5 }).to_string();
        let b = door.queue("b", json!({ "RedrivePolicy": policy })).await;
        let a = door.queue("a", json!({ "RedrivePolicy": policy })).await;
        let both = door.ok("ListDeadLetterSourceQueues", request).await;
        assert_eq!(both, json!({ "queueUrls": [a, b] }));
    }
}
