//! PurgeQueue: drops all messages of a queue, also those in flight, and what it remembers of
//! deduplication ids.

use kyu_broker::{PurgeQueue, Refusal};
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
    match call.broker.ask(PurgeQueue { queue: queue.id, cooldown_ms }).await {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_door::*;

    use crate::SqsOptions;
    use kyu_door::access::Access;

    #[tokio::test]
    async fn everything_goes_also_what_is_in_flight() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        door.send(&url, "1").await;
        door.receive(&url).await;
        door.send(&url, "2").await;
        door.ok("PurgeQueue", json!({ "QueueUrl": url })).await;
        assert_eq!(door.attribute(&url, "ApproximateNumberOfMessages").await, "0");
        assert_eq!(door.attribute(&url, "ApproximateNumberOfMessagesNotVisible").await, "0");
        door.ok("PurgeQueue", json!({ "QueueUrl": url })).await;
    }

    #[tokio::test]
    async fn one_purge_in_sixty_seconds_where_the_operator_wants_that() {
        let options = SqsOptions { purge_cooldown_ms: 60_000, ..SqsOptions::default() };
        let door = Door::with(options, Access::new(vec![]));
        let url = door.queue("q", json!({})).await;
        door.ok("PurgeQueue", json!({ "QueueUrl": url })).await;
        let failure = door.fails("PurgeQueue", json!({ "QueueUrl": url })).await;
        let code = "AWS.SimpleQueueService.PurgeQueueInProgress";
        let text = "Only one PurgeQueue operation on q is allowed every 60 seconds.";
        assert_eq!(failure, (403, code.into(), text.into()));
    }
}
