//! DeleteQueue: removes a queue and its messages.

use kyu_broker::{Command, DeleteQueue};
use serde::Deserialize;

use crate::call::Call;
use crate::error::Error;
use crate::wire::{Empty, Text};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteQueueRequest<'a> {
    #[serde(borrow)]
    queue_url: Option<Text<'a>>,
}

pub(super) async fn run(call: &Call<'_>, request: DeleteQueueRequest<'_>) -> Result<Empty, Error> {
    let queue = call.queue(request.queue_url.as_deref())?;
    call.broker.submit(Command::DeleteQueue(DeleteQueue { queue: queue.id })).await?;
    Ok(Empty {})
}
