//! GetQueueUrl: the URL of a queue by its name.

use serde::{Deserialize, Serialize};

use crate::address;
use crate::call::Call;
use crate::error::Error;
use crate::wire::{Response, Text};

#[derive(Deserialize)]
pub(super) struct GetQueueUrlRequest<'a> {
    #[serde(rename = "QueueName", borrow)]
    queue_name: Option<Text<'a>>,
    #[serde(rename = "QueueOwnerAWSAccountId", borrow)]
    owner: Option<Text<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetQueueUrlResult {
    queue_url: String,
}

impl Response for GetQueueUrlResult {}

pub(super) async fn run(
    call: &Call<'_>,
    request: GetQueueUrlRequest<'_>,
) -> Result<GetQueueUrlResult, Error> {
    let name = request.queue_name.ok_or_else(|| Error::missing("QueueName"))?;
    let account = request.owner.as_deref().unwrap_or(&call.options.account);
    let name = address::named(account, call.region, &name, call.options);
    let name = name.ok_or(Error::QueueDoesNotExist)?;
    let queue = call.broker.directory().by_name(&name).ok_or(Error::QueueDoesNotExist)?;
    Ok(GetQueueUrlResult { queue_url: call.url_of(&queue.name) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_door::*;

    #[tokio::test]
    async fn by_name_and_owner() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        let found = door.ok("GetQueueUrl", json!({ "QueueName": "q" })).await;
        assert_eq!(found, json!({ "QueueUrl": url }));
        let mut request = json!({ "QueueName": "q", "QueueOwnerAWSAccountId": "000000000000" });
        assert_eq!(door.ok("GetQueueUrl", request.clone()).await["QueueUrl"], url);
        request["QueueOwnerAWSAccountId"] = json!("123456789012");
        let (_, code, _) = door.fails("GetQueueUrl", request).await;
        assert_eq!(code, "AWS.SimpleQueueService.NonExistentQueue");
    }
}
