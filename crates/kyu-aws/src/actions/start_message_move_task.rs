//! StartMessageMoveTask: moves the messages of a dead-letter queue back to where they came from, or
//! to another queue, in the background.

use kyu_broker::{DeadLetterSourcesOf, QueueInfo, StartMoveTask};
use serde::{Deserialize, Serialize};

use super::move_task::{self, TaskHandle};
use crate::call::Call;
use crate::error::Error;
use crate::limits::MAX_MOVES_PER_SECOND;
use crate::wire::{Response, Text};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StartMessageMoveTaskRequest<'a> {
    #[serde(borrow)]
    source_arn: Option<Text<'a>>,
    #[serde(borrow)]
    destination_arn: Option<Text<'a>>,
    max_number_of_messages_per_second: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StartMessageMoveTaskResult {
    task_handle: String,
}

impl Response for StartMessageMoveTaskResult {}

pub(super) async fn run(
    call: &Call<'_>,
    request: StartMessageMoveTaskRequest<'_>,
) -> Result<StartMessageMoveTaskResult, Error> {
    let source_arn = request.source_arn.ok_or_else(|| Error::missing("SourceArn"))?;
    let source = move_task::source(call, &source_arn)?;
    check_is_dead_letter_queue(call, &source).await?;
    let destination = match request.destination_arn.filter(|arn| !arn.is_empty()) {
        None => None,
        Some(arn) => Some(call.queue_of_arn(&arn).ok_or(Error::ResourceNotFound(
            "The resource that you specified for the DestinationArn parameter doesn't exist.",
        ))?),
    };
    if destination.as_ref().is_some_and(|destination| destination.id == source.id) {
        return Err(Error::InvalidParameterValue(
            "Source queue arn and destination queue arn cannot be the same.".into(),
        ));
    }
    let command = StartMoveTask {
        source: source.id,
        destination: destination.map(|queue| queue.id),
        max_per_second: check_rate(request.max_number_of_messages_per_second)?,
    };
    let task = call.broker.ask(command).await?;
    let task_handle = TaskHandle::new(task, call.arn_of(&source.name)).to_text();
    Ok(StartMessageMoveTaskResult { task_handle })
}

async fn check_is_dead_letter_queue(call: &Call<'_>, source: &QueueInfo) -> Result<(), Error> {
    let sources = call.broker.look_up(DeadLetterSourcesOf(source.name.clone())).await?;
    if sources.is_empty() {
        return Err(Error::InvalidParameterValue(
            "Source queue must be configured as a Dead Letter Queue.".into(),
        ));
    }
    Ok(())
}

fn check_rate(rate: Option<i64>) -> Result<Option<u32>, Error> {
    let Some(rate) = rate else { return Ok(None) };
    match u32::try_from(rate) {
        Ok(valid) if (1..=MAX_MOVES_PER_SECOND).contains(&rate) => Ok(Some(valid)),
        _ => Err(Error::invalid(
            rate,
            "MaxNumberOfMessagesPerSecond",
            "Must be between 1 and 500, if provided.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_door::*;

    const DEAD: &str = "arn:aws:sqs:us-east-1:000000000000:dead";

    /// A dead-letter queue with one message in it, and the queue that it came from.
    async fn dead_letter(door: &Door) -> (String, String) {
        let dead = door.queue("dead", json!({})).await;
        let policy = json!({ "deadLetterTargetArn": DEAD, "maxReceiveCount": 1 }).to_string();
        let url = door.queue("q", json!({ "RedrivePolicy": policy })).await;
        door.send(&url, "poison").await;
        let received = door.receive(&url).await;
        door.give_back(&url, &received[0]).await;
        assert!(door.receive(&url).await.is_empty());
        assert_eq!(door.attribute(&dead, "ApproximateNumberOfMessages").await, "1");
        (url, dead)
    }

    #[tokio::test]
    async fn messages_go_back_where_they_came_from_and_start_anew() {
        let door = Door::open();
        let (url, _) = dead_letter(&door).await;
        let started = door.ok("StartMessageMoveTask", json!({ "SourceArn": DEAD })).await;
        assert!(!started["TaskHandle"].as_str().unwrap().is_empty());
        // A long poll sees the message come back.
        let request = json!({
            "QueueUrl": url,
            "WaitTimeSeconds": 20,
            "MessageSystemAttributeNames": ["All"],
        });
        let back = door.ok("ReceiveMessage", request).await["Messages"][0].clone();
        assert_eq!(back["Body"], "poison");
        assert_eq!(back["Attributes"]["ApproximateReceiveCount"], "1");
        let listed = door.ok("ListMessageMoveTasks", json!({ "SourceArn": DEAD })).await;
        let task = &listed["Results"][0];
        assert_eq!(task["SourceArn"], DEAD);
        assert_eq!(task["ApproximateNumberOfMessagesMoved"], 1);
        assert_eq!(task["ApproximateNumberOfMessagesToMove"], 1);
        assert_eq!(task["DestinationArn"], json!(null));
    }

    #[tokio::test]
    async fn a_slow_task_is_listed_and_cancelled() {
        let door = Door::open();
        let (_, dead) = dead_letter(&door).await;
        for at in 0..9 {
            door.send(&dead, &at.to_string()).await;
        }
        door.queue("elsewhere", json!({})).await;
        let to = "arn:aws:sqs:us-east-1:000000000000:elsewhere";
        let request = json!({
            "SourceArn": DEAD,
            "DestinationArn": to,
            "MaxNumberOfMessagesPerSecond": 1,
        });
        let started = door.ok("StartMessageMoveTask", request.clone()).await;
        let text = "There is already a task running. Only one active task is allowed for a source \
                    queue arn at a given time.";
        assert_eq!(door.fails("StartMessageMoveTask", request).await, invalid_parameter(text));
        let list = json!({ "SourceArn": DEAD, "MaxResults": 10 });
        let running = door.ok("ListMessageMoveTasks", list.clone()).await["Results"][0].clone();
        assert_eq!(running["Status"], "RUNNING");
        assert_eq!(running["TaskHandle"], started["TaskHandle"]);
        assert_eq!(running["DestinationArn"], to);
        assert_eq!(running["MaxNumberOfMessagesPerSecond"], 1);
        assert_eq!(running["ApproximateNumberOfMessagesToMove"], 10);
        let cancel = json!({ "TaskHandle": started["TaskHandle"] });
        let cancelled = door.ok("CancelMessageMoveTask", cancel.clone()).await;
        assert!(cancelled["ApproximateNumberOfMessagesMoved"].as_u64().unwrap() < 10);
        let after = door.ok("ListMessageMoveTasks", list).await["Results"][0].clone();
        assert_eq!(after["Status"], "CANCELLED");
        assert_eq!(after["TaskHandle"], json!(null));
        let failure = door.fails("CancelMessageMoveTask", cancel).await;
        let code = "ResourceNotFoundException";
        assert_eq!(failure, (404, code.into(), "Task does not exist.".into()));
    }

    #[tokio::test]
    async fn tasks_that_cannot_start() {
        let door = Door::open();
        dead_letter(&door).await;
        let start = |source: &str, more: serde_json::Value| {
            let mut request = json!({ "SourceArn": source });
            request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            request
        };
        let q = "arn:aws:sqs:us-east-1:000000000000:q";
        let failure = door.fails("StartMessageMoveTask", start(q, json!({}))).await;
        let text = "Source queue must be configured as a Dead Letter Queue.";
        assert_eq!(failure, invalid_parameter(text));
        let nope = "arn:aws:sqs:us-east-1:000000000000:nope";
        let missing = |what: &str| {
            let text =
                format!("The resource that you specified for the {what} parameter doesn't exist.");
            (404, "ResourceNotFoundException".to_owned(), text)
        };
        let failure = door.fails("StartMessageMoveTask", start(nope, json!({}))).await;
        assert_eq!(failure, missing("SourceArn"));
        let to_nope = start(DEAD, json!({ "DestinationArn": nope }));
        let failure = door.fails("StartMessageMoveTask", to_nope).await;
        assert_eq!(failure, missing("DestinationArn"));
        for wrong in [
            start("dead", json!({})),
            start(DEAD, json!({ "MaxNumberOfMessagesPerSecond": 501 })),
            start(DEAD, json!({ "DestinationArn": DEAD })),
        ] {
            let (_, code, _) = door.fails("StartMessageMoveTask", wrong).await;
            assert_eq!(code, "InvalidParameterValue");
        }
    }
}
