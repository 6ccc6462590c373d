//! ListQueues: the URLs of the queues whose names begin with a prefix, in order of name.

use serde::{Deserialize, Serialize};

use super::page;
use crate::call::Call;
use crate::error::Error;
use crate::wire::{Response, Text};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListQueuesRequest<'a> {
    #[serde(borrow)]
    queue_name_prefix: Option<Text<'a>>,
    #[serde(borrow)]
    next_token: Option<Text<'a>>,
    max_results: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListQueuesResult {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    queue_urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

impl Response for ListQueuesResult {}

pub(super) async fn run(
    call: &Call<'_>,
    request: ListQueuesRequest<'_>,
) -> Result<ListQueuesResult, Error> {
    let prefix = request.queue_name_prefix.as_deref().unwrap_or("");
    let queues = call.broker.directory().list(&call.namespace(), prefix);
    let token = request.next_token.as_deref();
    let (queues, next_token) =
        page::cut(queues, |queue| &queue.name.name, request.max_results, token)?;
    let queue_urls = queues.iter().map(|queue| call.url_of(&queue.name)).collect();
    Ok(ListQueuesResult { queue_urls, next_token })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_door::*;

    #[tokio::test]
    async fn by_prefix_and_by_page() {
        let door = Door::open();
        assert_eq!(door.ok("ListQueues", json!({})).await, json!({}));
        for name in ["b-1", "a", "b-2", "b-3"] {
            door.queue(name, json!({})).await;
        }
        let url = |name: &str| format!("http://{HOST}/000000000000/{name}");
        let all = door.ok("ListQueues", json!({ "QueueNamePrefix": "b" })).await;
        let expected = json!({ "QueueUrls": [url("b-1"), url("b-2"), url("b-3")] });
        assert_eq!(all, expected);
        let request = json!({ "QueueNamePrefix": "b", "MaxResults": 2 });
        let first = door.ok("ListQueues", request.clone()).await;
        assert_eq!(first["QueueUrls"], json!([url("b-1"), url("b-2")]));
        let mut request = request;
        request["NextToken"] = first["NextToken"].clone();
        let second = door.ok("ListQueues", request).await;
        assert_eq!(second, json!({ "QueueUrls": [url("b-3")] }));
        let (_, code, _) = door.fails("ListQueues", json!({ "MaxResults": 1001 })).await;
        assert_eq!(code, "InvalidParameterValue");
    }
}
