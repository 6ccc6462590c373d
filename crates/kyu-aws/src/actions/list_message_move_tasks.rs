//! ListMessageMoveTasks: the latest tasks of a source queue, newest first.

use kyu_broker::{MoveFailure, MoveStatus, MoveTask, MoveTasksOf};
use serde::{Deserialize, Serialize};

use super::move_task::{self, TaskHandle};
use crate::call::Call;
use crate::error::Error;
use crate::limits::MAX_MOVE_TASKS;
use crate::wire::{Response, Text};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListMessageMoveTasksRequest<'a> {
    #[serde(borrow)]
    source_arn: Option<Text<'a>>,
    max_results: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListMessageMoveTasksResult {
    results: Vec<ListMessageMoveTasksResultEntry>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListMessageMoveTasksResultEntry {
    #[serde(skip_serializing_if = "Option::is_none")]
    task_handle: Option<String>,
    status: &'static str,
    source_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_number_of_messages_per_second: Option<u32>,
    approximate_number_of_messages_moved: u64,
    approximate_number_of_messages_to_move: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<&'static str>,
    started_timestamp: u64,
}

impl Response for ListMessageMoveTasksResult {}

pub(super) async fn run(
    call: &Call<'_>,
    request: ListMessageMoveTasksRequest<'_>,
) -> Result<ListMessageMoveTasksResult, Error> {
    let source_arn = request.source_arn.ok_or_else(|| Error::missing("SourceArn"))?;
    let source = move_task::source(call, &source_arn)?;
    let limit = request.max_results.unwrap_or(1);
    if !(1..=MAX_MOVE_TASKS).contains(&limit) {
        return Err(Error::invalid(limit, "MaxResults", "Must be between 1 and 10, if provided."));
    }
    let tasks = call.broker.look_up(MoveTasksOf(source.id)).await?;
    let source_arn = call.arn_of(&source.name);
    let limit = usize::try_from(limit).unwrap_or(1);
    let results = tasks.into_iter().take(limit).map(|task| entry(call, &source_arn, task));
    Ok(ListMessageMoveTasksResult { results: results.collect() })
}

/// A handle is of use, and shown, only while the task runs.
fn entry(call: &Call<'_>, source_arn: &str, task: MoveTask) -> ListMessageMoveTasksResultEntry {
    let source_arn = source_arn.to_owned();
    let (status, failure_reason) = match task.status {
        MoveStatus::Running => ("RUNNING", None),
        MoveStatus::Completed => ("COMPLETED", None),
        MoveStatus::Cancelled => ("CANCELLED", None),
        MoveStatus::Failed => ("FAILED", Some(failure(task.reason))),
    };
    let running = task.status == MoveStatus::Running;
    let task_handle = running.then(|| TaskHandle::new(task.id, source_arn.clone()).to_text());
    ListMessageMoveTasksResultEntry {
        task_handle,
        status,
        source_arn,
        destination_arn: task.destination.as_ref().map(|queue| call.arn_of(queue)),
        max_number_of_messages_per_second: task.max_per_second,
        approximate_number_of_messages_moved: task.moved,
        approximate_number_of_messages_to_move: task.to_move,
        failure_reason,
        started_timestamp: task.started_at_ms,
    }
}

/// Tasks that ended under an older version have no reason, and it knew one.
fn failure(reason: Option<MoveFailure>) -> &'static str {
    match reason {
        // By the documentation of ListMessageMoveTasks.
        Some(MoveFailure::NoSource) => "CouldNotDetermineMessageSource",
        Some(MoveFailure::SourceGone | MoveFailure::DestinationGone) | None => {
            Error::QueueDoesNotExist.row().query_code
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use crate::test_door::*;

    #[tokio::test]
    async fn no_tasks_and_wrong_numbers() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        let arn = door.attribute(&url, "QueueArn").await;
        let none = door.ok("ListMessageMoveTasks", json!({ "SourceArn": arn })).await;
        assert_eq!(none, json!({ "Results": [] }));
        for wrong in [0, 11] {
            let request = json!({ "SourceArn": arn, "MaxResults": wrong });
            let (_, code, _) = door.fails("ListMessageMoveTasks", request).await;
            assert_eq!(code, "InvalidParameterValue");
        }
        let (_, code, text) =
            door.fails("ListMessageMoveTasks", json!({ "SourceArn": "nonsense" })).await;
        assert_eq!(code, "InvalidParameterValue");
        assert!(text.starts_with("You must use this format to specify the SourceArn"));
    }

    /// A dead-letter queue with a message that was sent to it, and its ARN. Its queue is `q`.
    async fn orphanage(door: &Door) -> (String, String) {
        let dead = door.queue("dead", json!({})).await;
        let arn = door.attribute(&dead, "QueueArn").await.as_str().unwrap().to_owned();
        let policy = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": 1 }).to_string();
        let url = door.queue("q", json!({ "RedrivePolicy": policy })).await;
        door.queue("another", json!({ "RedrivePolicy": policy })).await;
        door.send(&dead, "orphan").await;
        (url, arn)
    }

    async fn poison(door: &Door, url: &str) {
        door.send(url, "poison").await;
        let received = door.receive(url).await;
        door.give_back(url, &received[0]).await;
        assert!(door.receive(url).await.is_empty());
    }

    async fn ended_task(door: &Door, source: &str) -> (Value, Value, Value) {
        door.ok("StartMessageMoveTask", json!({ "SourceArn": source })).await;
        for _ in 0..500 {
            let listed = door.ok("ListMessageMoveTasks", json!({ "SourceArn": source })).await;
            let task = &listed["Results"][0];
            if task["Status"] != "RUNNING" {
                let [status, moved, reason] =
                    ["Status", "ApproximateNumberOfMessagesMoved", "FailureReason"]
                        .map(|name| task[name].clone());
                return (status, moved, reason);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the task goes on");
    }

    #[tokio::test]
    async fn what_was_sent_to_a_dead_letter_queue_stays_and_the_rest_is_moved() {
        let door = Door::open();
        let (url, dead) = orphanage(&door).await;
        poison(&door, &url).await;
        let ended = ended_task(&door, &dead).await;
        assert_eq!(ended, (json!("COMPLETED"), json!(1), json!(null)));
    }

    #[tokio::test]
    async fn a_task_that_could_move_nothing_says_why() {
        let door = Door::open();
        let (url, dead) = orphanage(&door).await;
        let ended = ended_task(&door, &dead).await;
        let reason = "CouldNotDetermineMessageSource";
        assert_eq!(ended, (json!("FAILED"), json!(0), json!(reason)));
        poison(&door, &url).await;
        door.ok("DeleteQueue", json!({ "QueueUrl": url })).await;
        let ended = ended_task(&door, &dead).await;
        let reason = "AWS.SimpleQueueService.NonExistentQueue";
        assert_eq!(ended, (json!("FAILED"), json!(0), json!(reason)));
    }
}
