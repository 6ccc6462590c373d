//! ListMessageMoveTasks: the latest tasks of a source queue, newest first.

use kyu_broker::{Answer, MoveStatus, MoveTask, Query};
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
    let Answer::MoveTasks(tasks) = call.broker.query(Query::MoveTasks(source.id)).await? else {
        return Err(Error::Internal);
    };
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
        // The engine knows one reason: a destination is gone. AWS says that with its error code.
        MoveStatus::Failed => ("FAILED", Some(Error::QueueDoesNotExist.row().query_code)),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

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
}
