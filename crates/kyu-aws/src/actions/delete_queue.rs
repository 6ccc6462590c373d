//! DeleteQueue: removes a queue and its messages.

use kyu_broker::DeleteQueue;
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
    call.broker.ask(DeleteQueue { queue: queue.id }).await?;
    Ok(Empty {})
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_door::*;

    #[tokio::test]
    async fn a_deleted_queue_does_not_exist_in_both_dialects() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        door.ok("DeleteQueue", json!({ "QueueUrl": url })).await;
        let failure = door.fails("DeleteQueue", json!({ "QueueUrl": url })).await;
        let code = "AWS.SimpleQueueService.NonExistentQueue";
        assert_eq!(failure, (400, code.into(), "The specified queue does not exist.".into()));
        let said = door.form("/", "Action=DeleteQueue&QueueUrl=http://h/000000000000/q").await;
        assert_eq!(said.status, 400);
        let expected = "<Error><Type>Sender</Type>\
            <Code>AWS.SimpleQueueService.NonExistentQueue</Code>\
            <Message>The specified queue does not exist for this wsdl version.</Message>\
            <Detail/></Error>";
        assert!(said.body.contains(expected), "{}", said.body);
        assert_eq!(door.queue("q", json!({})).await, url, "the name is free at once");
    }
}
