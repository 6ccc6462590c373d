//! Attributes on their way out.

use kyu_broker::{DedupScope, FOREVER, QueueInfo, QueueKind, QueueStats};
use serde_json::json;

use super::QueueAttribute;
use crate::address;
use crate::door::SqsOptions;

/// The sources from which attributes are read.
pub(crate) struct Reading<'r> {
    pub(crate) queue: &'r QueueInfo,
    pub(crate) stats: QueueStats,
    pub(crate) options: &'r SqsOptions,
}

/// The value of an attribute; `None` where the queue has none.
pub(crate) fn read(attribute: QueueAttribute, from: &Reading<'_>) -> Option<String> {
    use QueueAttribute as A;
    let config = &from.queue.config;
    let seconds = |ms: u64| Some((ms / 1000).to_string());
    let stored = || config.attributes.get(attribute.name()).cloned();
    let of_fifo = |value: &str| (config.kind == QueueKind::Fifo).then(|| value.to_owned());
    match attribute {
        A::VisibilityTimeout => seconds(config.visibility_timeout_ms),
        // A queue of another door may keep its messages for ever; AWS has no word for that.
        A::MessageRetentionPeriod if config.retention_ms == FOREVER => None,
        A::MessageRetentionPeriod => seconds(config.retention_ms),
        A::DelaySeconds => seconds(config.delay_ms),
        A::ReceiveMessageWaitTimeSeconds => seconds(config.receive_wait_ms),
        A::MaximumMessageSize => Some(config.max_message_bytes.to_string()),
        A::Policy | A::RedriveAllowPolicy | A::KmsMasterKeyId => stored(),
        A::KmsDataKeyReusePeriodSeconds => {
            // Means nothing, and is not shown, without a key.
            let key = config.attributes.get(A::KmsMasterKeyId.name());
            key.map(|_| stored().unwrap_or_else(|| "300".into()))
        }
        A::RedrivePolicy => config.dead_letter.as_ref().map(|rule| {
            let arn = address::arn_of(&rule.target, from.options);
            json!({ "deadLetterTargetArn": arn, "maxReceiveCount": rule.max_receives }).to_string()
        }),
        A::FifoQueue => of_fifo("true"),
        A::ContentBasedDeduplication => {
            of_fifo(if config.content_based_deduplication { "true" } else { "false" })
        }
        A::DeduplicationScope => of_fifo(match config.dedup_scope {
            DedupScope::Queue => "queue",
            DedupScope::Lane => "messageGroup",
        }),
        A::FifoThroughputLimit => of_fifo(stored().as_deref().unwrap_or("perQueue")),
        A::SqsManagedSseEnabled => {
            let kms = config.attributes.contains_key(A::KmsMasterKeyId.name());
            let enabled = !kms && stored().is_none();
            Some(if enabled { "true" } else { "false" }.to_owned())
        }
        A::ApproximateNumberOfMessages => Some(from.stats.ready.to_string()),
        A::ApproximateNumberOfMessagesNotVisible => Some(from.stats.in_flight.to_string()),
        A::ApproximateNumberOfMessagesDelayed => Some(from.stats.delayed.to_string()),
        A::CreatedTimestamp => seconds(from.queue.created_at_ms),
        A::LastModifiedTimestamp => seconds(from.queue.modified_at_ms),
        A::Extension(extension) => extension.read(config),
        A::QueueArn => Some(address::arn_of(&from.queue.name, from.options)),
    }
}
