//! PurgeQueue: drops all messages of a queue, also those in flight, and what it remembers of
//! deduplication ids.

use kyu_broker::{Command, PurgeQueue, Refusal};
use serde::Deserialize;

use crate::call::Call;
use crate::error::Error;
use crate::wire::{Empty, Text};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PurgeQueueRequest<'a> {
    #[serde(borrow)]
    queue_url: Option<Text<'a>>,
}

pub(super) async fn run(call: &Call<'_>, request: PurgeQueueRequest<'_>) -> Result<Empty, Error> {
    let queue = call.queue(request.queue_url.as_deref())?;
    let cooldown_ms = call.options.purge_cooldown_ms;
    let purge = Command::PurgeQueue(PurgeQueue { queue: queue.id, cooldown_ms });
    match call.broker.submit(purge).await {
        Ok(_) => Ok(Empty {}),
        Err(kyu_broker::Error::Refused(Refusal::PurgeInProgress)) => {
            Err(Error::PurgeQueueInProgress {
                queue: queue.name.name.clone(),
                cooldown_s: cooldown_ms / 1000,
            })
        }
        Err(error) => Err(error.into()),
    }
}
