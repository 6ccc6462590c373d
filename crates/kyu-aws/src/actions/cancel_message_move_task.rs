//! CancelMessageMoveTask: stops a running task. What it has moved stays moved.

use kyu_broker::{CancelMoveTask, Command, Reply};
use serde::{Deserialize, Serialize};

use super::move_task::{self, TaskHandle};
use crate::call::Call;
use crate::error::Error;
use crate::wire::{Response, Text};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CancelMessageMoveTaskRequest<'a> {
    #[serde(borrow)]
    task_handle: Option<Text<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CancelMessageMoveTaskResult {
    approximate_number_of_messages_moved: u64,
}

impl Response for CancelMessageMoveTaskResult {}

pub(super) async fn run(
    call: &Call<'_>,
    request: CancelMessageMoveTaskRequest<'_>,
) -> Result<CancelMessageMoveTaskResult, Error> {
    let handle = request.task_handle.ok_or_else(|| Error::missing("TaskHandle"))?;
    let handle = TaskHandle::parse(&handle)?;
    move_task::source(call, &handle.source_arn)?;
    let command = Command::CancelMoveTask(CancelMoveTask { task: handle.task_id });
    match call.broker.submit(command).await? {
        Reply::MoveTaskCancelled(task) => {
            Ok(CancelMessageMoveTaskResult { approximate_number_of_messages_moved: task.moved })
        }
        _ => Err(Error::Internal),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_door::*;

    #[tokio::test]
    async fn handles_that_mean_nothing() {
        let door = Door::open();
        let failure = door.fails("CancelMessageMoveTask", json!({ "TaskHandle": "x" })).await;
        assert_eq!(failure, invalid_parameter("Value for parameter TaskHandle is invalid."));
        let nowhere = super::TaskHandle {
            task_id: 1,
            source_arn: "arn:aws:sqs:us-east-1:000000000000:nope".into(),
        };
        let request = json!({ "TaskHandle": nowhere.to_text() });
        let (status, code, _) = door.fails("CancelMessageMoveTask", request).await;
        assert_eq!((status, code.as_str()), (404, "ResourceNotFoundException"));
    }
}
