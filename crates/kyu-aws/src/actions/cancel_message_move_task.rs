//! CancelMessageMoveTask: stops a running task. What it has moved stays moved.

use kyu_broker::CancelMoveTask;
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
    let task = handle.task_id.ok_or(Error::ResourceNotFound("Task does not exist."))?;
    let cancelled = call.broker.ask(CancelMoveTask { task }).await?;
    Ok(CancelMessageMoveTaskResult { approximate_number_of_messages_moved: cancelled.moved })
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use serde_json::json;

    use crate::test_door::*;

    #[tokio::test]
    async fn handles_that_mean_nothing() {
        let door = Door::open();
        let failure = door.fails("CancelMessageMoveTask", json!({ "TaskHandle": "x" })).await;
        assert_eq!(failure, invalid_parameter("Value for parameter TaskHandle is invalid."));
        let nowhere = super::TaskHandle::new(1, "arn:aws:sqs:us-east-1:000000000000:nope".into());
        let request = json!({ "TaskHandle": nowhere.to_text() });
        let (status, code, _) = door.fails("CancelMessageMoveTask", request).await;
        assert_eq!((status, code.as_str()), (404, "ResourceNotFoundException"));

        // Handles are taken apart and put together by tests of other people (recorded).
        let url = door.queue("q", json!({})).await;
        let arn = door.attribute(&url, "QueueArn").await.as_str().unwrap().to_owned();
        let engine = base64::engine::general_purpose::STANDARD;
        let ours = super::TaskHandle::new(1, arn.clone()).to_text();
        let ours: serde_json::Value =
            serde_json::from_slice(&engine.decode(ours).unwrap()).unwrap();
        assert_eq!(ours["sourceArn"], arn);
        assert_eq!(ours["taskId"].as_str().unwrap().len(), 36);
        let unknown = json!({
            "taskId": "10f6af8f-7ba6-42a6-8f3f-e0b5d5ee3d86",
            "sourceArn": arn,
        });
        for handle in [unknown, ours, json!({ "taskId": 1, "sourceArn": arn })] {
            let request = json!({ "TaskHandle": engine.encode(handle.to_string()) });
            let failure = door.fails("CancelMessageMoveTask", request).await;
            let text = "Task does not exist.".to_owned();
            assert_eq!(failure, (404, "ResourceNotFoundException".into(), text));
        }
    }
}
