//! The attributes of a topic: names, values, and where the engine knows them better.

use std::collections::BTreeMap;

use kyu_broker::{DedupScope, ExchangeConfig, ExchangeInfo, ExchangeStats, QueueKind};
use serde_json::json;

use super::error::{Code, Error};
use super::{address, delivery_policy, protection};
use crate::address::{FIFO_SUFFIX, realm};
use crate::door::SqsOptions;
use crate::limits::{MAX_MESSAGE_BYTES, MAX_TAGS, MIN_MAXIMUM_MESSAGE_BYTES};

/// A topic's name, with its suffix (SNS API reference).
const MAX_NAME_CHARS: usize = 256;

/// Attributes that are stored as they are; nothing in this server reads them.
const VERBATIM: &[&str] = &[
    "DisplayName",
    "Policy",
    "DeliveryPolicy",
    "KmsMasterKeyId",
    "TracingConfig",
    "SignatureVersion",
];

/// Endings of the attributes about delivery status logging, stored as they are.
const FEEDBACK: &[&str] =
    &["SuccessFeedbackRoleArn", "SuccessFeedbackSampleRate", "FailureFeedbackRoleArn"];

/// The settings of a new topic.
pub(super) fn of_create(
    name: &str,
    attributes: &BTreeMap<String, String>,
    tags: BTreeMap<String, String>,
) -> Result<ExchangeConfig, Error> {
    let fifo = attributes.get("FifoTopic").is_some_and(|v| v.eq_ignore_ascii_case("true"));
    check_name(name, fifo)?;
    if tags.len() > MAX_TAGS {
        return Err(Error::new(Code::TagLimitExceeded, "A topic has at most 50 tags."));
    }
    let kind = if fifo { QueueKind::Fifo } else { QueueKind::Standard };
    let mut config = ExchangeConfig { kind, tags, ..ExchangeConfig::default() };
    for (name, value) in attributes.iter().filter(|(name, _)| *name != "FifoTopic") {
        set(&mut config, name, value)
            .map_err(|error| Error { text: in_attributes(&error.text), ..error })?;
    }
    Ok(config)
}

/// The text of an error about one of several attributes.
fn in_attributes(text: &str) -> String {
    text.replacen("Invalid parameter: ", "Invalid parameter: Attributes Reason: ", 1)
}

fn check_name(name: &str, fifo: bool) -> Result<(), Error> {
    let plain = |stem: &str| {
        !stem.is_empty()
            && stem.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    // The text does not say what is missing (recorded).
    let stem = if fifo { name.strip_suffix(FIFO_SUFFIX) } else { Some(name) };
    if name.len() > MAX_NAME_CHARS || !stem.is_some_and(plain) {
        return Err(Error::invalid("Topic Name"));
    }
    Ok(())
}

/// Sets one attribute; an empty value takes it away.
pub(super) fn set(config: &mut ExchangeConfig, name: &str, value: &str) -> Result<(), Error> {
    let fifo = config.kind == QueueKind::Fifo;
    match name {
        "ContentBasedDeduplication" if fifo => {
            config.content_based_deduplication = flag(name, value)?;
        }
        "FifoThroughputScope" if fifo => {
            config.dedup_scope = match value {
                "Topic" => DedupScope::Queue,
                "MessageGroup" => DedupScope::Lane,
                _ => return Err(wrong(name, value)),
            };
            config.attributes.insert(name.to_owned(), value.to_owned());
        }
        "MaximumMessageSize" => {
            let bytes = value
                .parse()
                .ok()
                .filter(|bytes| (MIN_MAXIMUM_MESSAGE_BYTES..=MAX_MESSAGE_BYTES).contains(bytes));
            config.max_message_bytes = bytes.ok_or_else(|| wrong(name, value))?;
            config.attributes.insert(name.to_owned(), value.to_owned());
        }
        "SignatureVersion" if !matches!(value, "" | "1" | "2") => return Err(wrong(name, value)),
        "TracingConfig" if !matches!(value, "PassThrough" | "Active") => {
            return Err(wrong(name, value));
        }
        "DeliveryPolicy" if !value.is_empty() => {
            delivery_policy::check_topic(value)
                .map_err(|problem| Error::invalid(format!("DeliveryPolicy: {problem}")))?;
            config.attributes.insert(name.to_owned(), value.to_owned());
        }
        "ArchivePolicy" if fifo => {
            check_archive_policy(value)?;
            // Nothing is archived yet, so that the archive begins now.
            config.attributes.remove(name);
            if !matches!(value, "" | "{}") {
                config.attributes.insert(name.to_owned(), value.to_owned());
            }
        }
        "Policy" if !value.is_empty() && !is_object(value) => {
            return Err(Error::invalid(format!("{name} Reason: failed to parse JSON")));
        }
        _ if VERBATIM.contains(&name) || FEEDBACK.iter().any(|end| name.ends_with(end)) => {
            if value.is_empty() {
                config.attributes.remove(name);
            } else {
                config.attributes.insert(name.to_owned(), value.to_owned());
            }
        }
        _ => return Err(Error::invalid("AttributeName")),
    }
    Ok(())
}

/// A policy of a FIFO topic that says for how many days messages are kept; the empty object ends it.
fn check_archive_policy(value: &str) -> Result<(), Error> {
    const DAYS: std::ops::RangeInclusive<u64> = 1..=365;
    let invalid = |reason: &str| Error::invalid(format!("ArchivePolicy Reason: {reason}"));
    if value.is_empty() {
        return Ok(());
    }
    let policy: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(value).map_err(|_| invalid("failed to parse JSON"))?;
    let days = policy.get("MessageRetentionPeriod").map(|days| match days {
        serde_json::Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    });
    match days {
        None if policy.is_empty() => Ok(()),
        Some(Some(days)) if DAYS.contains(&days) => Ok(()),
        _ => Err(invalid("MessageRetentionPeriod must be between 1 and 365 days")),
    }
}

fn is_object(text: &str) -> bool {
    serde_json::from_str::<serde_json::Map<_, serde_json::Value>>(text).is_ok()
}

fn flag(name: &str, value: &str) -> Result<bool, Error> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(wrong(name, value)),
    }
}

fn wrong(name: &str, value: &str) -> Error {
    Error::invalid(format!("{name} Reason: invalid value {value}"))
}

/// An attribute's value, for comparing two topics.
pub(super) fn value(config: &ExchangeConfig, name: &str) -> Option<String> {
    match name {
        "FifoTopic" => Some((config.kind == QueueKind::Fifo).to_string()),
        "ContentBasedDeduplication" => Some(config.content_based_deduplication.to_string()),
        name => config.attributes.get(name).cloned(),
    }
}

/// All attributes, as GetTopicAttributes shows them.
pub(super) fn render(
    topic: &ExchangeInfo,
    stats: ExchangeStats,
    options: &SqsOptions,
) -> BTreeMap<String, String> {
    let arn = address::topic_arn(&topic.name, options);
    let (owner, _) = realm(&topic.name.namespace, options);
    let mut all = topic.config.attributes.clone();
    all.remove(protection::ATTRIBUTE);
    let mut put = |name: &str, value: String| all.insert(name.to_owned(), value);
    if topic.config.kind == QueueKind::Fifo {
        put("FifoTopic", "true".into());
        let by_content = topic.config.content_based_deduplication;
        put("ContentBasedDeduplication", by_content.to_string());
    }
    put("TopicArn", arn.clone());
    put("Owner", owner.to_owned());
    put("SubscriptionsConfirmed", stats.active.to_string());
    put("SubscriptionsPending", stats.pending.to_string());
    put("SubscriptionsDeleted", stats.removed.to_string());
    all.entry("DisplayName".into()).or_default();
    all.entry("Policy".into()).or_insert_with(|| default_policy(&arn, owner));
    let delivery = delivery_policy::effective_of_topic(all.get("DeliveryPolicy"));
    all.insert("EffectiveDeliveryPolicy".into(), delivery);
    all
}

/// The policy of a topic that was given none, as recorded from AWS.
pub(super) fn default_policy(arn: &str, owner: &str) -> String {
    let actions = [
        "GetTopicAttributes",
        "SetTopicAttributes",
        "AddPermission",
        "RemovePermission",
        "DeleteTopic",
        "Subscribe",
        "ListSubscriptionsByTopic",
        "Publish",
    ];
    json!({
        "Version": "2008-10-17",
        "Id": "__default_policy_ID",
        "Statement": [{
            "Sid": "__default_statement_ID",
            "Effect": "Allow",
            "Principal": { "AWS": "*" },
            "Action": actions.map(|action| format!("SNS:{action}")),
            "Resource": arn,
            "Condition": { "StringEquals": { "AWS:SourceOwner": owner } },
        }],
    })
    .to_string()
}
