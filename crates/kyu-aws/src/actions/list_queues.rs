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
    let queues = call.broker.directory().list(&call.options.account, prefix);
    let token = request.next_token.as_deref();
    let (queues, next_token) =
        page::cut(queues, |queue| &queue.name.name, request.max_results, token)?;
    let queue_urls = queues.iter().map(|queue| call.url_of(&queue.name)).collect();
    Ok(ListQueuesResult { queue_urls, next_token })
}
