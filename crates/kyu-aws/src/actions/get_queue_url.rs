//! GetQueueUrl: the URL of a queue by its name.

use kyu_broker::QueueName;
use serde::{Deserialize, Serialize};

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
    let namespace = request.owner.as_deref().unwrap_or(&call.options.account).to_owned();
    let name = QueueName { namespace, name: name.to_string() };
    let queue = call.broker.directory().by_name(&name).ok_or(Error::QueueDoesNotExist)?;
    Ok(GetQueueUrlResult { queue_url: call.url_of(&queue.name) })
}
