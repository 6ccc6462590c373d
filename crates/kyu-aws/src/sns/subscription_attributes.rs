//! The attributes of a subscription, and what follows from them for its binding.

use std::collections::BTreeMap;

use kyu_broker::{BindingConfig, BindingInfo, Matcher, QueueName};
use serde_json::Value;

use super::address;
use super::confirmation::{self, AUTHENTICATED};
use super::delivery_policy::{self, DeliveryPolicy};
use super::error::Error;
use super::filter_policy::{self, Scope};
use crate::address::{FIFO_SUFFIX, of_arn, realm};
use crate::door::SqsOptions;

/// Checks and sets one attribute; an empty policy takes it away. `place` is what AWS puts before
/// the text of an error: nothing, or in Subscribe `Attributes Reason: `.
pub(super) fn set(
    config: &mut BindingConfig,
    topic: &QueueName,
    name: &str,
    value: &str,
    place: &str,
    options: &SqsOptions,
) -> Result<(), Error> {
    let invalid = |text: String| Error::invalid(format!("{place}{text}"));
    match name {
        "RawMessageDelivery" => {
            let raw = match value.to_ascii_lowercase().as_str() {
                "true" => true,
                "false" => false,
                _ => {
                    return Err(invalid(format!(
                        "{name}: Invalid value [{value}]. Must be true or false."
                    )));
                }
            };
            // What goes to an endpoint must know its subscription, whatever is posted in the end.
            if is_http(config) {
                config.attributes.insert(name.to_owned(), raw.to_string());
            } else {
                config.bare = raw;
            }
            return Ok(());
        }
        "DeliveryPolicy" if !value.is_empty() => {
            delivery_policy::check_subscription(value)
                .map_err(|problem| invalid(format!("DeliveryPolicy: {problem}")))?;
        }
        "FilterPolicyScope" if !matches!(value, "MessageAttributes" | "MessageBody") => {
            return Err(invalid(format!(
                "{name}: Invalid value [{value}]. \
                 Please use either MessageBody or MessageAttributes"
            )));
        }
        "RedrivePolicy" => {
            config.dead_letter = dead_letter(config, topic, value, options).map_err(invalid)?;
        }
        // SubscriptionRoleArn is about Firehose: kept only.
        "FilterPolicy" | "FilterPolicyScope" | "DeliveryPolicy" | "SubscriptionRoleArn" => {}
        _ => return Err(invalid("AttributeName".into())),
    }
    if value.is_empty() {
        config.attributes.remove(name);
    } else {
        config.attributes.insert(name.to_owned(), value.to_owned());
    }
    config.matcher = matcher(&config.attributes).map_err(invalid)?;
    Ok(())
}

/// Tells whether the subscriber is an endpoint outside.
pub(super) fn is_http(config: &BindingConfig) -> bool {
    matches!(config.protocol.as_str(), "http" | "https")
}

/// Tells whether the message alone is delivered, without what SNS says of it.
pub(super) fn is_raw(config: &BindingConfig) -> bool {
    config.bare || config.attributes.get("RawMessageDelivery").is_some_and(|raw| raw == "true")
}

/// The subscriber's address, without the password that a URL may have in it.
pub(super) fn shown_address(config: &BindingConfig) -> String {
    let address = &config.address;
    let parts = address.split_once("://").filter(|_| is_http(config));
    let hidden = parts.and_then(|(scheme, rest)| {
        let authority = rest.split('/').next()?;
        let (user, host) = authority.rsplit_once('@')?;
        let (name, _) = user.split_once(':')?;
        let path = rest.get(authority.len()..)?;
        Some(format!("{scheme}://{name}:****@{host}{path}"))
    });
    hidden.unwrap_or_else(|| address.clone())
}

/// The matcher of the filter policy and its scope, taken together.
fn matcher(attributes: &BTreeMap<String, String>) -> Result<Matcher, String> {
    let Some(policy) = attributes.get("FilterPolicy") else { return Ok(Matcher::Everything) };
    let in_body = attributes.get("FilterPolicyScope").is_some_and(|scope| scope == "MessageBody");
    let scope = if in_body { Scope::MessageBody } else { Scope::MessageAttributes };
    filter_policy::compile(policy, scope)
}

fn dead_letter(
    config: &BindingConfig,
    topic: &QueueName,
    policy: &str,
    options: &SqsOptions,
) -> Result<Option<QueueName>, String> {
    if policy.is_empty() {
        return Ok(None);
    }
    let about_policy = |problem| format!("RedrivePolicy: {problem}");
    filter_policy::check_json(policy).map_err(about_policy)?;
    let parsed: Value =
        serde_json::from_str(policy).map_err(|problem| about_policy(problem.to_string()))?;
    let arn = parsed.get("deadLetterTargetArn").and_then(Value::as_str).unwrap_or_default();
    let target =
        of_arn(arn, options).ok_or("RedrivePolicy: deadLetterTargetArn is an invalid arn")?;
    let is_fifo = |name: &QueueName| name.name.ends_with(FIFO_SUFFIX);
    if is_fifo(topic) && is_fifo(&config.target) && !is_fifo(&target) {
        return Err("RedrivePolicy: must use a FIFO queue as DLQ for a FIFO Subscription to a \
                    FIFO Topic."
            .into());
    }
    Ok(Some(target))
}

/// All attributes, as GetSubscriptionAttributes shows them.
/// `topic_policy` is the topic's `DeliveryPolicy`.
pub(super) fn render(
    info: &BindingInfo,
    topic_policy: Option<&String>,
    options: &SqsOptions,
) -> BTreeMap<String, String> {
    let config = &info.config;
    let (owner, _) = realm(&info.exchange.namespace, options);
    let mut all = config.attributes.clone();
    all.retain(|name, _| !name.starts_with(confirmation::OWN));
    // Only who must be asked can have been asked by somebody who was not known.
    let asked = config.attributes.contains_key(confirmation::SECRET);
    let authenticated = !asked || config.attributes.contains_key(AUTHENTICATED);
    let principal = config.attributes.get(confirmation::PRINCIPAL).cloned();
    if is_http(config) {
        let policy =
            DeliveryPolicy::effective(topic_policy, config.attributes.get("DeliveryPolicy"));
        all.insert("EffectiveDeliveryPolicy".into(), policy.render());
    }
    if all.contains_key("FilterPolicy") {
        all.entry("FilterPolicyScope".into()).or_insert_with(|| "MessageAttributes".into());
    } else {
        all.remove("FilterPolicyScope");
    }
    for (name, value) in [
        ("ConfirmationWasAuthenticated", authenticated.to_string()),
        ("Endpoint", shown_address(config)),
        ("Owner", owner.to_owned()),
        ("PendingConfirmation", (!config.active).to_string()),
        ("Protocol", config.protocol.clone()),
        ("RawMessageDelivery", is_raw(config).to_string()),
        ("SubscriptionArn", address::subscription_arn(&info.exchange, info.id, options)),
        (
            "SubscriptionPrincipal",
            principal.unwrap_or_else(|| format!("arn:aws:iam::{owner}:root")),
        ),
        ("TopicArn", address::topic_arn(&info.exchange, options)),
    ] {
        all.insert(name.to_owned(), value);
    }
    all
}
