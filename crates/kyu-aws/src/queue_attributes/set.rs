//! Attributes on their way in.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use kyu_broker::{DedupScope, QueueConfig, QueueKind, QueueName};

use super::{QueueAttribute, redrive, unknown};
use crate::call::Call;
use crate::error::Error;
use crate::limits::{
    KMS_REUSE_S, MAX_DELAY_S, MAX_MESSAGE_BYTES, MAX_POLICY_BYTES, MAX_POLICY_STATEMENTS,
    MAX_VISIBILITY_TIMEOUT_S, MAX_WAIT_S, MIN_MAXIMUM_MESSAGE_BYTES, RETENTION_S,
};
use crate::wire::Text;

/// Attributes by name, as clients send them.
pub(crate) type Requested<'a> = BTreeMap<Text<'a>, Text<'a>>;

/// The queue that is to have the attributes.
pub(crate) struct Target<'c> {
    pub(crate) call: &'c Call<'c>,
    pub(crate) queue: &'c QueueName,
}

/// Applies attributes to settings, all or none.
pub(crate) fn apply(
    target: &Target<'_>,
    requested: &Requested<'_>,
    config: &mut QueueConfig,
) -> Result<(), Error> {
    let mut changed = config.clone();
    for (name, value) in requested {
        let attribute = QueueAttribute::named(name)?;
        attribute.check_settable(changed.kind)?;
        apply_one(target, attribute, value, &mut changed)?;
    }
    check_encryption(requested)?;
    check_throughput(&changed)?;
    *config = changed;
    Ok(())
}

/// The first requested attribute that a queue has with another value.
pub(crate) fn differing(
    target: &Target<'_>,
    requested: &Requested<'_>,
    existing: &QueueConfig,
) -> Result<Option<String>, Error> {
    for (name, value) in requested {
        let mut wanted = existing.clone();
        apply_one(target, QueueAttribute::named(name)?, value, &mut wanted)?;
        if wanted != *existing {
            return Ok(Some(name.to_string()));
        }
    }
    Ok(None)
}

fn apply_one(
    target: &Target<'_>,
    attribute: QueueAttribute,
    value: &str,
    config: &mut QueueConfig,
) -> Result<(), Error> {
    use QueueAttribute as A;
    match attribute {
        A::VisibilityTimeout => {
            config.visibility_timeout_ms = seconds(attribute, value, 0..=MAX_VISIBILITY_TIMEOUT_S)?;
        }
        A::DelaySeconds => config.delay_ms = seconds(attribute, value, 0..=MAX_DELAY_S)?,
        A::MessageRetentionPeriod => {
            config.retention_ms = seconds(attribute, value, RETENTION_S)?;
        }
        A::ReceiveMessageWaitTimeSeconds => {
            config.receive_wait_ms = seconds(attribute, value, 0..=MAX_WAIT_S)?;
        }
        A::MaximumMessageSize => {
            let range = i64::from(MIN_MAXIMUM_MESSAGE_BYTES)..=i64::from(MAX_MESSAGE_BYTES);
            let bytes = integer(attribute, value, range)?;
            config.max_message_bytes = u32::try_from(bytes).map_err(|_| invalid(attribute, ""))?;
        }
        A::FifoQueue => check_kind(value)?,
        A::ContentBasedDeduplication => {
            config.content_based_deduplication = boolean(attribute, value)?;
        }
        A::DeduplicationScope => {
            config.dedup_scope = match value {
                "queue" => DedupScope::Queue,
                "messageGroup" => DedupScope::Lane,
                _ => return Err(invalid(attribute, "Must be queue or messageGroup.")),
            };
        }
        A::RedrivePolicy => {
            config.dead_letter = redrive::policy(target, value, config.kind)?;
        }
        A::Extension(extension) => extension.apply(value, target.queue, config)?,
        A::FifoThroughputLimit
        | A::Policy
        | A::RedriveAllowPolicy
        | A::KmsMasterKeyId
        | A::KmsDataKeyReusePeriodSeconds
        | A::SqsManagedSseEnabled => apply_stored(target, attribute, value, config)?,
        A::ApproximateNumberOfMessages
        | A::ApproximateNumberOfMessagesNotVisible
        | A::ApproximateNumberOfMessagesDelayed
        | A::CreatedTimestamp
        | A::LastModifiedTimestamp
        | A::QueueArn => return Err(unknown(attribute.name())),
    }
    Ok(())
}

/// Settings that the engine does not act on: checked, and stored as they are.
fn apply_stored(
    target: &Target<'_>,
    attribute: QueueAttribute,
    value: &str,
    config: &mut QueueConfig,
) -> Result<(), Error> {
    use QueueAttribute as A;
    match attribute {
        A::FifoThroughputLimit => match value {
            "perQueue" => clear(config, attribute),
            "perMessageGroupId" => keep(config, attribute, value),
            _ => return Err(invalid(attribute, "Must be perQueue or perMessageGroupId.")),
        },
        A::Policy => {
            check_policy(value)?;
            keep(config, attribute, value);
        }
        A::RedriveAllowPolicy => {
            redrive::check_allow_policy(target, value)?;
            keep(config, attribute, value);
        }
        A::KmsMasterKeyId => {
            keep(config, attribute, value);
            if !value.is_empty() {
                // Stays off when the key is taken away (recorded from AWS).
                keep(config, A::SqsManagedSseEnabled, "false");
            }
        }
        A::KmsDataKeyReusePeriodSeconds => {
            integer(attribute, value, KMS_REUSE_S)?;
            keep(config, attribute, value);
        }
        A::SqsManagedSseEnabled => {
            if boolean(attribute, value)? {
                clear(config, attribute);
                clear(config, A::KmsMasterKeyId);
            } else {
                keep(config, attribute, "false");
            }
        }
        other => return Err(unknown(other.name())),
    }
    Ok(())
}

/// Stores a setting that only this door understands; an empty value takes it away.
fn keep(config: &mut QueueConfig, attribute: QueueAttribute, value: &str) {
    if value.is_empty() {
        return clear(config, attribute);
    }
    config.attributes.insert(attribute.name().to_owned(), value.to_owned());
}

fn clear(config: &mut QueueConfig, attribute: QueueAttribute) {
    config.attributes.remove(attribute.name());
}

/// The kind is fixed when the queue is made; a FIFO queue may be told again that it is one.
/// Standard queues do not know the attribute.
fn check_kind(value: &str) -> Result<(), Error> {
    let attribute = QueueAttribute::FifoQueue;
    if boolean(attribute, value)? {
        return Ok(());
    }
    Err(invalid(attribute, "Modifying queue type is not supported."))
}

fn check_encryption(requested: &Requested<'_>) -> Result<(), Error> {
    let value = |attribute: QueueAttribute| {
        requested.iter().find(|(name, _)| ***name == *attribute.name()).map(|(_, value)| &**value)
    };
    let kms = value(QueueAttribute::KmsMasterKeyId).is_some_and(|key| !key.is_empty());
    let sqs = value(QueueAttribute::SqsManagedSseEnabled)
        .is_some_and(|enabled| enabled.eq_ignore_ascii_case("true"));
    if kms && sqs {
        return Err(Error::InvalidAttributeName(
            "You can use one type of server-side encryption (SSE) at one time. \
             You can either enable KMS SSE or SQS SSE."
                .into(),
        ));
    }
    Ok(())
}

fn check_throughput(config: &QueueConfig) -> Result<(), Error> {
    let attribute = QueueAttribute::FifoThroughputLimit;
    let per_group = config.attributes.contains_key(attribute.name());
    if config.kind == QueueKind::Fifo && per_group && config.dedup_scope != DedupScope::Lane {
        return Err(invalid(
            attribute,
            "perMessageGroupId is allowed only when the value for DeduplicationScope is messageGroup.",
        ));
    }
    Ok(())
}

fn check_policy(value: &str) -> Result<(), Error> {
    let attribute = QueueAttribute::Policy;
    if value.is_empty() {
        return Ok(());
    }
    if value.len() > MAX_POLICY_BYTES {
        return Err(invalid(attribute, "The policy is larger than 8192 bytes."));
    }
    let policy: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(value).map_err(|_| invalid(attribute, "It is not a JSON object."))?;
    let statements = policy.get("Statement").and_then(|statement| statement.as_array());
    if statements.is_some_and(|statements| statements.len() > MAX_POLICY_STATEMENTS) {
        return Err(Error::OverLimit("The policy has more than 20 statements.".into()));
    }
    Ok(())
}

fn seconds(
    attribute: QueueAttribute,
    value: &str,
    range: RangeInclusive<i64>,
) -> Result<u64, Error> {
    let seconds = integer(attribute, value, range)?;
    u64::try_from(seconds).map(|s| s * 1000).map_err(|_| invalid(attribute, ""))
}

fn integer(
    attribute: QueueAttribute,
    value: &str,
    range: RangeInclusive<i64>,
) -> Result<i64, Error> {
    let number = value.parse().ok().filter(|number| range.contains(number));
    let reason = || format!("Must be an integer from {} to {}.", range.start(), range.end());
    number.ok_or_else(|| invalid(attribute, &reason()))
}

fn boolean(attribute: QueueAttribute, value: &str) -> Result<bool, Error> {
    if value.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if value.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        Err(invalid(attribute, "Must be true or false."))
    }
}

fn invalid(attribute: QueueAttribute, reason: &str) -> Error {
    Error::InvalidAttributeValue(format!(
        "Invalid value for the parameter {}. Reason: {reason}",
        attribute.name()
    ))
}
