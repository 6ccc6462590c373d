//! Permissions to use a dead-letter queue: `RedrivePolicy` of the source, `RedriveAllowPolicy` of
//! the target.

use kyu_broker::{DeadLetter, QueueInfo, QueueKind};
use serde::Deserialize;
use serde_json::Value;

use super::{QueueAttribute, Target};
use crate::address;
use crate::error::Error;
use crate::limits::{MAX_RECEIVE_COUNT, MAX_REDRIVE_SOURCES};

/// Reads a redrive policy and checks that its target may be used; `None` for the empty text.
pub(super) fn policy(
    target: &Target<'_>,
    text: &str,
    kind: QueueKind,
) -> Result<Option<DeadLetter>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let invalid = |reason: &str| Error::invalid(text, QueueAttribute::RedrivePolicy.name(), reason);
    let policy: serde_json::Map<String, Value> = serde_json::from_str(text)
        .map_err(|_| invalid("Redrive policy is not a valid JSON map."))?;
    // In this order: an empty policy lacks the count (recorded).
    let missing = |name: &str| {
        invalid(&format!("Redrive policy does not contain mandatory attribute: {name}."))
    };
    let count = policy.get("maxReceiveCount").ok_or_else(|| missing("maxReceiveCount"))?;
    let arn = policy.get("deadLetterTargetArn").ok_or_else(|| missing("deadLetterTargetArn"))?;
    let options = target.call.options;
    let name = arn.as_str().and_then(|arn| address::of_arn(arn, options));
    let name = name.ok_or_else(|| invalid("Invalid value for deadLetterTargetArn."))?;
    let max_receives = receive_count(count).ok_or_else(|| {
        let count = count.as_str().map_or_else(|| count.to_string(), str::to_owned);
        invalid(&format!(
            "Invalid value for maxReceiveCount: {count}, \
             valid values are from 1 to {MAX_RECEIVE_COUNT} both inclusive."
        ))
    })?;
    let dead_letter_queue = target.call.broker.directory().by_name(&name);
    let dead_letter_queue =
        dead_letter_queue.ok_or_else(|| invalid("Dead letter target does not exist."))?;
    if dead_letter_queue.config.kind != kind {
        return Err(invalid("Dead-letter queue must be same type of queue as the source."));
    }
    if !allows(&dead_letter_queue, &target.call.arn_of(target.queue)) {
        return Err(invalid(
            "The dead letter target's RedriveAllowPolicy does not allow this queue.",
        ));
    }
    Ok(Some(DeadLetter { target: name, max_receives }))
}

/// A number, or a number in a string: both are common in the wild.
fn receive_count(value: &Value) -> Option<u32> {
    let number = match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64().and_then(|number| u32::try_from(number).ok()),
    };
    number.filter(|count| (1..=MAX_RECEIVE_COUNT).contains(count))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AllowPolicy {
    redrive_permission: Permission,
    source_queue_arns: Option<Vec<String>>,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
enum Permission {
    AllowAll,
    DenyAll,
    ByQueue,
}

/// Tells whether a queue lets another use it as its dead-letter queue.
fn allows(dead_letter_queue: &QueueInfo, source_arn: &str) -> bool {
    let name = QueueAttribute::RedriveAllowPolicy.name();
    let Some(text) = dead_letter_queue.config.attributes.get(name) else { return true };
    match serde_json::from_str::<AllowPolicy>(text) {
        Ok(policy) => match policy.redrive_permission {
            Permission::AllowAll => true,
            Permission::DenyAll => false,
            Permission::ByQueue => {
                policy.source_queue_arns.unwrap_or_default().iter().any(|arn| arn == source_arn)
            }
        },
        // It was checked when it was set; another door may have set what we cannot read.
        Err(_) => false,
    }
}

/// Checks a redrive allow policy; the empty text takes it away.
pub(super) fn check_allow_policy(target: &Target<'_>, text: &str) -> Result<(), Error> {
    if text.is_empty() {
        return Ok(());
    }
    let invalid =
        |reason: &str| Error::invalid(text, QueueAttribute::RedriveAllowPolicy.name(), reason);
    let policy: AllowPolicy = serde_json::from_str(text).map_err(|_| {
        invalid(
            "Amazon SQS can't create the redrive allow policy, as it is in an unsupported format.",
        )
    })?;
    let sources = policy.source_queue_arns.unwrap_or_default();
    match policy.redrive_permission {
        Permission::ByQueue if sources.is_empty() => Err(invalid(
            "Amazon SQS can't create the redrive allow policy. You must specify at least one \
             source queue ARN when you use byQueue.",
        )),
        Permission::ByQueue if sources.len() > MAX_REDRIVE_SOURCES => Err(invalid(
            "Amazon SQS can't create the redrive allow policy. You can specify at most 10 source \
             queue ARNs.",
        )),
        Permission::ByQueue => {
            let is_queue = |arn: &String| address::of_arn(arn, target.call.options).is_some();
            if sources.iter().all(is_queue) {
                return Ok(());
            }
            Err(invalid(
                "Amazon SQS can't create the redrive allow policy. A source queue ARN is invalid.",
            ))
        }
        Permission::AllowAll | Permission::DenyAll if !sources.is_empty() => Err(invalid(
            "Amazon SQS can't create the redrive allow policy. You can specify source queue ARNs \
             only with byQueue.",
        )),
        Permission::AllowAll | Permission::DenyAll => Ok(()),
    }
}
