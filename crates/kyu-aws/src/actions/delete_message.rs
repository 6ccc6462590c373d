//! DeleteMessage: removes a message for good. Deleting it again succeeds.

use kyu_broker::{Outcome, QueueInfo, QueueKind, Settle, Settled};
use serde::Deserialize;

use crate::call::Call;
use crate::error::Error;
use crate::receipt;
use crate::wire::{Empty, Text};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteMessageRequest<'a> {
    #[serde(borrow)]
    queue_url: Option<Text<'a>>,
    #[serde(borrow)]
    receipt_handle: Option<Text<'a>>,
}

pub(super) async fn run(
    call: &Call<'_>,
    request: DeleteMessageRequest<'_>,
) -> Result<Empty, Error> {
    let queue = call.queue(request.queue_url.as_deref())?;
    let handle = request.receipt_handle.ok_or_else(|| Error::missing("ReceiptHandle"))?;
    let items = vec![(receipt::parse(&handle)?, Outcome::Ack)];
    let results = call.broker.ask(Settle { queue: queue.id, items }).await?;
    let settled = results.into_iter().next().ok_or(Error::Internal)?;
    answer(settled, &handle, &queue)?;
    Ok(Empty {})
}

/// The answer of AWS. A handle that a later delivery has overtaken deletes nothing; where order is
/// promised that is an error, elsewhere AWS keeps silent.
pub(super) fn answer(settled: Settled, handle: &str, queue: &QueueInfo) -> Result<(), Error> {
    match (settled, queue.config.kind) {
        (Settled::Done | Settled::Gone, _) | (Settled::Stale, QueueKind::Standard) => Ok(()),
        (Settled::Stale, QueueKind::Fifo) | (Settled::Lapsed, _) => Err(receipt::expired(handle)),
        (Settled::Foreign, _) => Err(receipt::foreign(handle)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_door::*;

    #[tokio::test]
    async fn deleting_twice_succeeds_and_counts_follow() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        door.send(&url, "m").await;
        assert_eq!(door.attribute(&url, "ApproximateNumberOfMessages").await, "1");
        let handle = door.receive(&url).await[0]["ReceiptHandle"].clone();
        assert_eq!(door.attribute(&url, "ApproximateNumberOfMessagesNotVisible").await, "1");
        let request = json!({ "QueueUrl": url, "ReceiptHandle": handle });
        for _ in 0..2 {
            assert_eq!(door.ok("DeleteMessage", request.clone()).await, json!({}));
        }
        assert_eq!(door.attribute(&url, "ApproximateNumberOfMessagesNotVisible").await, "0");
        assert_eq!(door.attribute(&url, "ApproximateNumberOfMessages").await, "0");
    }

    #[tokio::test]
    async fn handles_that_are_none_and_handles_of_other_queues() {
        let door = Door::open();
        let (url, other) = (door.queue("q", json!({})).await, door.queue("r", json!({})).await);
        let request = json!({ "QueueUrl": url, "ReceiptHandle": "garbage" });
        let text = "The input receipt handle \"garbage\" is not a valid receipt handle.";
        let failure = (400, "ReceiptHandleIsInvalid".into(), text.into());
        assert_eq!(door.fails("DeleteMessage", request.clone()).await, failure);
        door.send(&other, "m").await;
        let foreign = door.receive(&other).await[0]["ReceiptHandle"].clone();
        let request = json!({ "QueueUrl": url, "ReceiptHandle": foreign });
        let (_, code, text) = door.fails("DeleteMessage", request).await;
        assert_eq!(code, "ReceiptHandleIsInvalid");
        assert!(text.ends_with("is not valid for this queue."), "{text}");
        let (_, code, _) = door.fails("DeleteMessage", json!({ "QueueUrl": url })).await;
        assert_eq!(code, "MissingParameter");
    }

    /// As AWS has it: the work is done. A worker that was slower than its visibility timeout used to
    /// be told 200 while the message stayed, so that a finished job came again and again until it was
    /// a dead letter.
    #[tokio::test]
    async fn a_handle_that_a_later_receive_has_overtaken_deletes_the_message() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        door.send(&url, "m").await;
        let late = door.receive(&url).await;
        door.give_back(&url, &late[0]).await;
        assert_eq!(door.receive(&url).await.len(), 1);
        let stale = late[0]["ReceiptHandle"].clone();
        door.ok("DeleteMessage", json!({ "QueueUrl": url, "ReceiptHandle": stale })).await;
        assert_eq!(door.attribute(&url, "ApproximateNumberOfMessagesNotVisible").await, "0");
        assert_eq!(door.attribute(&url, "ApproximateNumberOfMessages").await, "0");
    }

    /// It moves the visibility of the receive that runs, as with AWS, but never ends it.
    #[tokio::test]
    async fn a_handle_that_was_overtaken_gives_nothing_back() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        door.send(&url, "m").await;
        let late = door.receive(&url).await;
        door.give_back(&url, &late[0]).await;
        let holder = door.receive(&url).await;
        door.give_back(&url, &late[0]).await;
        assert_eq!(door.receive(&url).await.len(), 0, "nobody else has it");
        let handle = holder[0]["ReceiptHandle"].clone();
        door.ok("DeleteMessage", json!({ "QueueUrl": url, "ReceiptHandle": handle })).await;
    }

    #[tokio::test]
    async fn an_expired_handle_of_a_fifo_queue_is_an_error() {
        let door = Door::open();
        let url = door.fifo("q.fifo").await;
        let send = json!({ "QueueUrl": url, "MessageBody": "m", "MessageGroupId": "g" });
        door.ok("SendMessage", send).await;
        let late = door.receive(&url).await;
        door.give_back(&url, &late[0]).await;
        let handle = late[0]["ReceiptHandle"].as_str().unwrap();
        let text = format!(
            "Value {handle} for parameter ReceiptHandle is invalid. \
             Reason: The receipt handle has expired."
        );
        let request = json!({ "QueueUrl": url, "ReceiptHandle": handle });
        assert_eq!(door.fails("DeleteMessage", request).await, invalid_parameter(&text));
    }
}
