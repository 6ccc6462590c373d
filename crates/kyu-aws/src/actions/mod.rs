//! The actions of the service model (botocore 1.44, `sqs/2012-11-05`: 23), one file each.

mod add_permission;
mod cancel_message_move_task;
mod change_message_visibility;
mod change_message_visibility_batch;
mod create_queue;
mod delete_message;
mod delete_message_batch;
mod delete_queue;
mod get_queue_attributes;
mod get_queue_url;
mod list_dead_letter_source_queues;
mod list_message_move_tasks;
mod list_queue_tags;
mod list_queues;
mod purge_queue;
mod receive_message;
mod remove_permission;
mod send_message;
mod send_message_batch;
mod set_queue_attributes;
mod start_message_move_task;
mod tag_queue;
mod untag_queue;

mod move_task;
mod page;
mod tags;

use bytes::Bytes;

use crate::call::Call;
use crate::error::Error;
use crate::request_id::RequestId;
use crate::wire::{Input, Protocol};

/// Runs the action of that name and writes its answer; `None` if there is no such action.
///
/// A macro, and not a trait, because each request type borrows from the input of its own call.
macro_rules! actions {
    ($($name:literal => $module:ident($request:ident),)*) => {
        /// The names of all actions.
        #[cfg(test)]
        pub(crate) const NAMES: &[&str] = &[$($name),*];

        pub(crate) async fn run(
            action: &str,
            call: &Call<'_>,
            input: Input<'_>,
            protocol: Protocol,
            id: &RequestId,
        ) -> Option<Result<Bytes, Error>> {
            match action {
                $($name => Some(async {
                    let response = $module::run(call, input.decode()?).await?;
                    protocol.success($name, &response, id)
                }.await),)*
                _ => None,
            }
        }

        /// Reads the input as the request of every action, for fuzzing; how many could be read.
        pub(crate) fn decode_all(input: Input<'_>) -> usize {
            let mut read = 0;
            $(read += usize::from(input.decode::<$module::$request<'_>>().is_ok());)*
            read
        }
    };
}

// The frequent ones first: names are compared in this order.
actions! {
    "SendMessage" => send_message(SendMessageRequest),
    "ReceiveMessage" => receive_message(ReceiveMessageRequest),
    "DeleteMessage" => delete_message(DeleteMessageRequest),
    "SendMessageBatch" => send_message_batch(SendMessageBatchRequest),
    "DeleteMessageBatch" => delete_message_batch(DeleteMessageBatchRequest),
    "ChangeMessageVisibility" => change_message_visibility(ChangeMessageVisibilityRequest),
    "ChangeMessageVisibilityBatch" => change_message_visibility_batch(ChangeMessageVisibilityBatchRequest),
    "GetQueueAttributes" => get_queue_attributes(GetQueueAttributesRequest),
    "GetQueueUrl" => get_queue_url(GetQueueUrlRequest),
    "AddPermission" => add_permission(AddPermissionRequest),
    "CancelMessageMoveTask" => cancel_message_move_task(CancelMessageMoveTaskRequest),
    "CreateQueue" => create_queue(CreateQueueRequest),
    "DeleteQueue" => delete_queue(DeleteQueueRequest),
    "ListDeadLetterSourceQueues" => list_dead_letter_source_queues(ListDeadLetterSourceQueuesRequest),
    "ListMessageMoveTasks" => list_message_move_tasks(ListMessageMoveTasksRequest),
    "ListQueueTags" => list_queue_tags(ListQueueTagsRequest),
    "ListQueues" => list_queues(ListQueuesRequest),
    "PurgeQueue" => purge_queue(PurgeQueueRequest),
    "RemovePermission" => remove_permission(RemovePermissionRequest),
    "SetQueueAttributes" => set_queue_attributes(SetQueueAttributesRequest),
    "StartMessageMoveTask" => start_message_move_task(StartMessageMoveTaskRequest),
    "TagQueue" => tag_queue(TagQueueRequest),
    "UntagQueue" => untag_queue(UntagQueueRequest),
}

/// Tells whether Query may address an action to the URL of a queue. GetQueueUrl is among them and
/// answers for the queue that it names (recorded from AWS).
pub(crate) fn is_of_a_queue(action: &str) -> bool {
    !matches!(
        action,
        "CreateQueue"
            | "ListQueues"
            | "StartMessageMoveTask"
            | "ListMessageMoveTasks"
            | "CancelMessageMoveTask"
    )
}
