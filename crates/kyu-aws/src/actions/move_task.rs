//! What the three actions on message move tasks share: sources and task handles.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use kyu_broker::QueueInfo;
use serde::{Deserialize, Serialize};

use crate::address;
use crate::call::Call;
use crate::error::Error;

const NO_SOURCE: &str =
    "The resource that you specified for the SourceArn parameter doesn't exist.";

/// A task as its handle names it, in base64 JSON like AWS'.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskHandle {
    pub(super) task_id: u64,
    pub(super) source_arn: String,
}

impl TaskHandle {
    pub(super) fn to_text(&self) -> String {
        // Numbers and strings always have a JSON form.
        BASE64.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let json = BASE64.decode(text).ok();
        json.and_then(|json| serde_json::from_slice(&json).ok()).ok_or_else(|| {
            Error::InvalidParameterValue("Value for parameter TaskHandle is invalid.".into())
        })
    }
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
