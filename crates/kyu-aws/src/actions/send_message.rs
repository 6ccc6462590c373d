//! SendMessage: adds one message. When it answers, the message is on disk.

use kyu_broker::{Command, Enqueue, Reply};
use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::digest::Md5Sum;
use crate::error::Error;
use crate::message::{SentMessage, sequence_number};
use crate::message_attributes::SentAttributes;
use crate::wire::{Response, Text, Uuid};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SendMessageRequest<'a> {
    #[serde(borrow)]
    queue_url: Option<Text<'a>>,
    #[serde(borrow)]
    message_body: Option<Text<'a>>,
    delay_seconds: Option<i64>,
    #[serde(borrow)]
    message_attributes: Option<SentAttributes<'a>>,
    #[serde(borrow)]
    message_system_attributes: Option<SentAttributes<'a>>,
    #[serde(borrow)]
    message_deduplication_id: Option<Text<'a>>,
    #[serde(borrow)]
    message_group_id: Option<Text<'a>>,
}

#[derive(Serialize)]
pub(super) struct SendMessageResult {
    #[serde(rename = "MessageId")]
    message_id: Uuid,
    #[serde(rename = "MD5OfMessageBody")]
    body_md5: Md5Sum,
    #[serde(rename = "MD5OfMessageAttributes", skip_serializing_if = "Option::is_none")]
    attributes_md5: Option<Md5Sum>,
    #[serde(rename = "MD5OfMessageSystemAttributes", skip_serializing_if = "Option::is_none")]
    system_attributes_md5: Option<Md5Sum>,
    #[serde(rename = "SequenceNumber", skip_serializing_if = "Option::is_none")]
    sequence_number: Option<String>,
}

impl Response for SendMessageResult {}

pub(super) async fn run(
    call: &Call<'_>,
    request: SendMessageRequest<'_>,
) -> Result<SendMessageResult, Error> {
    let queue = call.queue(request.queue_url.as_deref())?;
    let sent = SentMessage {
        body: request.message_body,
        delay_seconds: request.delay_seconds,
        attributes: request.message_attributes,
        system_attributes: request.message_system_attributes,
        dedup_id: request.message_deduplication_id,
        group_id: request.message_group_id,
    };
    let prepared = sent.prepare(&queue, call.principal, call.body)?;
    let enqueue = Command::Enqueue(Enqueue { messages: vec![prepared.message] });
    let Reply::Enqueued(results) = call.broker.submit(enqueue).await? else {
        return Err(Error::Internal);
    };
    let enqueued = results.into_iter().next().ok_or(Error::Internal)??;
    Ok(SendMessageResult {
        message_id: Uuid(enqueued.message_id),
        body_md5: prepared.body_md5,
        attributes_md5: prepared.attributes_md5,
        system_attributes_md5: prepared.system_attributes_md5,
        sequence_number: sequence_number(&queue, enqueued.seq),
    })
}
