//! StartMessageMoveTask: moves the messages of a dead-letter queue back to where they came from, or
//! to another queue, in the background.

use kyu_broker::{Answer, Command, Query, QueueInfo, Reply, StartMoveTask};
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
    match call.broker.submit(Command::StartMoveTask(command)).await? {
        Reply::MoveTaskStarted { task } => {
            let source_arn = call.arn_of(&source.name);
            let handle = TaskHandle { task_id: task, source_arn };
            Ok(StartMessageMoveTaskResult { task_handle: handle.to_text() })
        }
        _ => Err(Error::Internal),
    }
}

async fn check_is_dead_letter_queue(call: &Call<'_>, source: &QueueInfo) -> Result<(), Error> {
    let question = Query::DeadLetterSources(source.name.clone());
    match call.broker.query(question).await? {
        Answer::DeadLetterSources(sources) if sources.is_empty() => {
            Err(Error::InvalidParameterValue(
                "Source queue must be configured as a Dead Letter Queue.".into(),
            ))
        }
        Answer::DeadLetterSources(_) => Ok(()),
        _ => Err(Error::Internal),
    }
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
