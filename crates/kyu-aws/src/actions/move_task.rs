//! Sources and task handles, which the three actions on message move tasks share.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use kyu_broker::{MessageId, QueueInfo};
use serde::{Deserialize, Serialize};

use crate::address;
use crate::call::Call;
use crate::error::Error;

const NO_SOURCE: &str =
    "The resource that you specified for the SourceArn parameter doesn't exist.";

/// A task as its handle names it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TaskHandle {
    /// `None` for a UUID that is none of our tasks.
    pub(super) task_id: Option<u64>,
    pub(super) source_arn: String,
}

/// A handle on the wire: base64 of JSON, as AWS makes it. Tests and tools take it apart.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    task_id: TaskId,
    source_arn: String,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum TaskId {
    Uuid(String),
    /// The form in which handles were written once.
    Number(u64),
}

impl TaskHandle {
    pub(super) fn new(task_id: u64, source_arn: String) -> Self {
        Self { task_id: Some(task_id), source_arn }
    }

    pub(super) fn to_text(&self) -> String {
        let task_id = TaskId::Uuid(uuid_of(self.task_id.unwrap_or_default()).to_string());
        let written = Written { task_id, source_arn: self.source_arn.clone() };
        // Strings always have a JSON form.
        BASE64.encode(serde_json::to_vec(&written).unwrap_or_default())
    }

    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let json = BASE64.decode(text).ok();
        let written = json.and_then(|json| serde_json::from_slice(&json).ok());
        let Some(Written { task_id, source_arn }) = written else {
            let text = "Value for parameter TaskHandle is invalid.";
            return Err(Error::InvalidParameterValue(text.into()));
        };
        let task_id = match task_id {
            TaskId::Number(number) => Some(number),
            TaskId::Uuid(uuid) => number_of(&uuid),
        };
        Ok(Self { task_id, source_arn })
    }
}

/// A UUID with the number in its low half; the high half follows from it.
fn uuid_of(task_id: u64) -> MessageId {
    let mixed = (task_id ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = u128::from(mixed) << 64 | u128::from(task_id);
    MessageId(crate::message_id::with_version(bits))
}

/// The number that [`uuid_of`] wrote so.
fn number_of(uuid: &str) -> Option<u64> {
    /// The bits below the variant.
    const MASK: u64 = (1 << 62) - 1;
    let low = u64::from_str_radix(&uuid.get(19..)?.replace('-', ""), 16).ok()? & MASK;
    (uuid_of(low).to_string() == uuid).then_some(low)
}

/// The queue that a `SourceArn` names.
pub(super) fn source(call: &Call<'_>, arn: &str) -> Result<Arc<QueueInfo>, Error> {
    if arn.split(':').count() != 6 {
        return Err(Error::InvalidParameterValue(
            "You must use this format to specify the SourceArn: \
             arn:<partition>:<service>:<region>:<account-id>:<resource-id>"
                .into(),
        ));
    }
    let name = address::of_arn(arn, call.options);
    let queue = name.and_then(|name| call.broker.directory().by_name(&name));
    queue.ok_or(Error::ResourceNotFound(NO_SOURCE))
}
