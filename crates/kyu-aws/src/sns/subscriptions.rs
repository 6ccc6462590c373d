//! Subscribe, Unsubscribe, ListSubscriptions, ListSubscriptionsByTopic,
//! GetSubscriptionAttributes, SetSubscriptionAttributes.

use std::collections::BTreeMap;
use std::sync::Arc;

use kyu_broker::{
    Bind, BindingConfig, BindingId, BindingInfo, BindingOf, ConfigureBinding, ListBindings,
    Matcher, QueueName, Refusal,
};

use super::confirmation;
use super::error::{Code, Error};
use super::http::{self, Endpoint, EndpointRule};
use super::letters::Confirmation;
use super::output::Output;
use super::subscription_attributes::{self, is_http, is_raw, shown_address};
use super::{address, input, pending, people, store, topics};
use crate::address::{FIFO_SUFFIX, of_arn, realm};
use crate::call::Call;
use crate::limits::{MAX_QUEUE_ATTRIBUTES, MAX_RECONFIGURE_TRIES};
use crate::sts;
use crate::wire::form::Node;

/// Subscriptions of one page (SNS API reference).
const PAGE: usize = 100;
/// The words that AWS puts before errors about the attributes of Subscribe.
const IN_SUBSCRIBE: &str = "Attributes Reason: ";

/// Subscribe: a queue of this server receives what is published from now on, an HTTP endpoint once
/// it has confirmed. Subscribing again gives the subscription that there is, and asks again if that
/// still waits.
pub(super) async fn subscribe(
    call: &Call<'_>,
    parameters: &Node<'_>,
    out: &mut Output,
) -> Result<(), Error> {
    let topic = topics::named(call, parameters)?;
    // Whether it is there is asked before everything else (recorded).
    topics::find(call, topic.clone()).await?;
    let protocol = input::required(parameters, "Protocol")?;
    let endpoint = parameters.text("Endpoint");
    let attributes = input::map(parameters, "Attributes", MAX_QUEUE_ATTRIBUTES)?;
    let mut config = match protocol {
        "sqs" => of_queue(call, &topic, protocol, endpoint)?,
        "http" | "https" => of_endpoint(call, &topic, protocol, endpoint)?,
        "email" | "email-json" | "sms" | "application" => {
            people::binding(call, &topic, protocol, endpoint).await?
        }
        // What AWS would find wrong with the attributes comes first, so that policies can be tried
        // out by any protocol.
        "lambda" | "firehose" => {
            let endpoint = endpoint.unwrap_or_default();
            let mut tried = binding(protocol, endpoint, topic.clone());
            set_all(call, &mut tried, &topic, &attributes)?;
            return Err(not_served(protocol));
        }
        other => return Err(not_served(other)),
    };
    config.attributes.insert(confirmation::PRINCIPAL.to_owned(), sts::arn_of_caller(call));
    let mut asked = config.clone();
    set_all(call, &mut asked, &topic, &attributes)?;
    let bind = Bind { exchange: topic.clone(), config: asked.clone() };
    let info = match call.broker.ask(bind).await {
        Ok(info) => info,
        Err(kyu_broker::Error::Refused(Refusal::BindingExists(existing))) => {
            let same = |name: &String| match name.as_str() {
                "RawMessageDelivery" => is_raw(&existing.config) == is_raw(&asked),
                // Not given is the default (recorded).
                "FilterPolicyScope" => scope(&existing.config) == scope(&asked),
                name => existing.config.attributes.get(name) == asked.attributes.get(name),
            };
            if !attributes.keys().all(same) {
                return Err(Refusal::BindingExists(existing).into());
            }
            existing
        }
        Err(error) => return Err(error.into()),
    };
    let arn = address::subscription_arn(&topic, info.id, call.options);
    if info.config.active {
        out.element("SubscriptionArn", &arn);
        return Ok(());
    }
    if is_http(&info.config) {
        pending::ask(call, &info, Confirmation::SubscriptionConfirmation).await?;
    } else {
        people::ask(call, &info).await?;
    }
    let wants_arn = parameters.text("ReturnSubscriptionArn");
    let wants_arn = wants_arn.is_some_and(|wanted| wanted.eq_ignore_ascii_case("true"));
    out.element("SubscriptionArn", if wants_arn { &arn } else { "pending confirmation" });
    Ok(())
}

/// Sets the attributes of Subscribe. The scope first: it decides what policies are valid.
fn set_all(
    call: &Call<'_>,
    config: &mut BindingConfig,
    topic: &QueueName,
    attributes: &BTreeMap<String, String>,
) -> Result<(), Error> {
    let (first, rest): (Vec<_>, Vec<_>) =
        attributes.iter().partition(|(name, _)| *name == "FilterPolicyScope");
    for (name, value) in first.into_iter().chain(rest) {
        let options = call.options;
        subscription_attributes::set(config, topic, name, value, IN_SUBSCRIBE, options)?;
    }
    Ok(())
}

/// A binding that lets everything pass, in an envelope, at once.
pub(super) fn binding(protocol: &str, address: &str, target: QueueName) -> BindingConfig {
    BindingConfig {
        protocol: protocol.to_owned(),
        address: address.to_owned(),
        target,
        matcher: Matcher::Everything,
        bare: false,
        active: true,
        dead_letter: None,
        attributes: BTreeMap::new(),
    }
}

/// The binding of an HTTP endpoint: to a queue of its own, and silent until it is confirmed.
fn of_endpoint(
    call: &Call<'_>,
    topic: &QueueName,
    protocol: &str,
    endpoint: Option<&str>,
) -> Result<BindingConfig, Error> {
    if call.options.sns.endpoints == EndpointRule::Off {
        return Err(not_served(protocol));
    }
    if topic.name.ends_with(FIFO_SUFFIX) {
        return Err(Error::invalid(format!(
            "Invalid parameter: Protocol Reason: {protocol} endpoints can not be subscribed to FIFO \
             SNS topics"
        )));
    }
    let endpoint = endpoint.filter(|endpoint| !endpoint.is_empty());
    let endpoint = endpoint.ok_or_else(|| Error::missing("Endpoint"))?;
    let parsed = Endpoint::parse(endpoint).filter(|parsed| parsed.is(protocol));
    let parsed =
        parsed.ok_or_else(|| Error::invalid("Endpoint must match the specified protocol"))?;
    // What a name resolves to is asked at each connection.
    if parsed.address().is_some_and(|address| !call.options.sns.reach().allows(address)) {
        let host = parsed.host();
        let text = format!("Endpoint Reason: this server may not connect to {host}");
        return Err(Error::invalid(text));
    }
    let unguessable = || Error::internal();
    let name = confirmation::random_hex(16).map_err(|_| unguessable())?;
    let secret = confirmation::new_secret().map_err(|_| unguessable())?;
    Ok(BindingConfig {
        active: false,
        attributes: BTreeMap::from([
            (confirmation::SECRET.to_owned(), secret),
            (confirmation::ORIGIN.to_owned(), call.origin.to_string()),
        ]),
        ..binding(protocol, endpoint, http::queue_of(name))
    })
}

fn not_served(protocol: &str) -> Error {
    let protocol = crate::error::quoted(protocol);
    Error::invalid(format!("Amazon SNS does not support this protocol string: {protocol}"))
}

fn scope(config: &BindingConfig) -> &str {
    config.attributes.get("FilterPolicyScope").map_or("MessageAttributes", String::as_str)
}

/// The binding of a queue.
fn of_queue(
    call: &Call<'_>,
    topic: &QueueName,
    protocol: &str,
    endpoint: Option<&str>,
) -> Result<BindingConfig, Error> {
    let endpoint = endpoint.filter(|endpoint| !endpoint.is_empty());
    let endpoint = endpoint.ok_or_else(|| Error::missing("Endpoint"))?;
    let target =
        of_arn(endpoint, call.options).ok_or_else(|| Error::invalid("SQS endpoint ARN"))?;
    if target.name.ends_with(FIFO_SUFFIX) && !topic.name.ends_with(FIFO_SUFFIX) {
        return Err(Error::invalid(
            "Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard \
             SNS topics",
        ));
    }
    Ok(binding(protocol, endpoint, target))
}

/// Unsubscribe: ends a subscription. Ending what is not there succeeds. An HTTP endpoint is told.
pub(super) async fn unsubscribe(call: &Call<'_>, parameters: &Node<'_>) -> Result<(), Error> {
    let arn = input::required(parameters, "SubscriptionArn")?;
    let found = address::subscription_of(arn, call)?;
    let info = match found {
        Some((_, id)) => pending::binding(call, id).await?,
        None => None,
    };
    let may_link = |info: &BindingInfo| {
        is_http(&info.config) && !info.config.attributes.contains_key(confirmation::GUARDED)
    };
    let needs_signature = info.as_deref().map_or(call.is_stranger, |info| {
        (call.is_stranger && !may_link(info))
            || (!call.signed && info.config.attributes.contains_key(confirmation::GUARDED))
    });
    if needs_signature {
        let text = "User is not authorized to perform: SNS:Unsubscribe";
        return Err(Error::new(Code::Authorization, text));
    }
    let Some(info) = info else { return Ok(()) };
    if is_http(&info.config) && info.config.active {
        // First the question, which waits for the end: a crash between the two loses neither.
        pending::ask(call, &info, Confirmation::UnsubscribeConfirmation).await?;
    }
    store::unbind(call, info.id).await
}

/// ListSubscriptions: those of all topics, 100 at a time.
pub(super) async fn list(
    call: &Call<'_>,
    parameters: &Node<'_>,
    out: &mut Output,
) -> Result<(), Error> {
    page(call, None, parameters, out).await
}

/// ListSubscriptionsByTopic: those of one topic, 100 at a time.
pub(super) async fn list_by_topic(
    call: &Call<'_>,
    parameters: &Node<'_>,
    out: &mut Output,
) -> Result<(), Error> {
    page(call, Some(topics::named(call, parameters)?), parameters, out).await
}

async fn page(
    call: &Call<'_>,
    exchange: Option<QueueName>,
    parameters: &Node<'_>,
    out: &mut Output,
) -> Result<(), Error> {
    let token = parameters.text("NextToken").map(input::token).transpose()?;
    let after = token.map(|uuid| BindingId::from_uuid(&uuid).ok_or(Error::invalid("NextToken")));
    let mut after = after.transpose()?;
    let mut bindings = Vec::new();
    // Those of other regions are passed over.
    while bindings.len() <= PAGE {
        let page = ListBindings { exchange: exchange.clone(), after, max: PAGE + 1 };
        let mut some = call.broker.look_up(page).await?;
        let is_last = some.len() <= PAGE;
        after = some.last().map(|info| info.id);
        let namespace = call.namespace();
        some.retain(|info| exchange.is_some() || info.exchange.namespace == namespace);
        bindings.extend(some);
        if is_last {
            break;
        }
    }
    let more = bindings.len() > PAGE;
    bindings.truncate(PAGE);
    out.nested("Subscriptions", |out| {
        for info in &bindings {
            out.nested("member", |out| member(call, info, out));
        }
    });
    if let Some(last) = bindings.last().filter(|_| more) {
        out.element("NextToken", &input::make_token(&last.id.to_string()));
    }
    Ok(())
}

fn member(call: &Call<'_>, info: &BindingInfo, out: &mut Output) {
    let arn = address::subscription_arn(&info.exchange, info.id, call.options);
    out.element("SubscriptionArn", if info.config.active { &arn } else { "PendingConfirmation" });
    out.element("Owner", realm(&info.exchange.namespace, call.options).0);
    out.element("Protocol", &info.config.protocol);
    out.element("Endpoint", &shown_address(&info.config));
    out.element("TopicArn", &address::topic_arn(&info.exchange, call.options));
}

/// GetSubscriptionAttributes: all of them.
pub(super) async fn get_attributes(
    call: &Call<'_>,
    parameters: &Node<'_>,
    out: &mut Output,
) -> Result<(), Error> {
    let info = find(call, parameters).await?;
    let mut topic_policy = None;
    if is_http(&info.config) {
        let (topic, _) = topics::find(call, info.exchange.clone()).await?;
        topic_policy = topic.config.attributes.get("DeliveryPolicy").cloned();
    }
    let all = subscription_attributes::render(&info, topic_policy.as_ref(), call.options);
    out.map("Attributes", all);
    Ok(())
}

/// SetSubscriptionAttributes: one of them.
pub(super) async fn set_attributes(call: &Call<'_>, parameters: &Node<'_>) -> Result<(), Error> {
    let name = input::required(parameters, "AttributeName")?;
    let value = parameters.text("AttributeValue").unwrap_or_default();
    for _ in 0..MAX_RECONFIGURE_TRIES {
        let info = find(call, parameters).await?;
        let mut config = info.config.clone();
        let topic = &info.exchange;
        subscription_attributes::set(&mut config, topic, name, value, "", call.options)?;
        let expected_version = info.version;
        let command = ConfigureBinding { binding: info.id, config, expected_version };
        match call.broker.ask(command).await {
            Ok(()) => return Ok(()),
            Err(kyu_broker::Error::Refused(Refusal::VersionConflict)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::new(Code::Throttled, "Rate exceeded"))
}

async fn find(call: &Call<'_>, parameters: &Node<'_>) -> Result<Arc<BindingInfo>, Error> {
    let arn = input::required(parameters, "SubscriptionArn")?;
    let found = address::subscription_of(arn, call)?;
    let (topic, id) = found.ok_or_else(Error::subscription_not_found)?;
    let info = call.broker.look_up(BindingOf(id)).await?;
    if info.exchange == topic { Ok(info) } else { Err(Error::subscription_not_found()) }
}
