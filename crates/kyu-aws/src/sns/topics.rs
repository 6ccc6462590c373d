//! CreateTopic, DeleteTopic, ListTopics, GetTopicAttributes, SetTopicAttributes.

use std::sync::Arc;

use kyu_broker::{
    ConfigureExchange, CreateExchange, ExchangeConfig, ExchangeInfo, ExchangeNamed, ExchangeStats,
    ListExchanges, QueueName, Refusal,
};

use super::error::{Code, Error};
use super::output::Output;
use super::{address, input, protection, store, topic_attributes};
use crate::call::Call;
use crate::limits::{MAX_QUEUE_ATTRIBUTES, MAX_RECONFIGURE_TRIES};
use crate::wire::form::Node;

/// Topics of one page of ListTopics (SNS API reference).
const PAGE: usize = 100;

/// CreateTopic: a new topic, or the one of that name if it is the same.
pub(super) async fn create(
    call: &Call<'_>,
    parameters: &Node<'_>,
    out: &mut Output,
) -> Result<(), Error> {
    let name = input::required(parameters, "Name")?;
    let attributes = input::map(parameters, "Attributes", 2 * MAX_QUEUE_ATTRIBUTES)?;
    let mut config = topic_attributes::of_create(name, &attributes, input::tags(parameters)?)?;
    if let Some(policy) = parameters.text("DataProtectionPolicy") {
        protection::check(policy)?;
        config.attributes.insert(protection::ATTRIBUTE.to_owned(), policy.to_owned());
    }
    let name = QueueName { namespace: call.namespace(), name: name.to_owned() };
    let create = CreateExchange { name: name.clone(), config: config.clone() };
    match call.broker.ask(create).await {
        Ok(_) => call.sns.signed.note(call, &name, Some(&config)),
        Err(kyu_broker::Error::Refused(Refusal::ExchangeExists(existing))) => {
            check_same(&existing.config, &config, &attributes)?;
        }
        Err(error) => return Err(error.into()),
    }
    out.element("TopicArn", &address::topic_arn(&name, call.options));
    Ok(())
}

/// Refuses a second CreateTopic that asks for another topic: only what it names is compared.
fn check_same(
    existing: &ExchangeConfig,
    asked: &ExchangeConfig,
    attributes: &std::collections::BTreeMap<String, String>,
) -> Result<(), Error> {
    if existing.kind != asked.kind
        || attributes.keys().any(|name| {
            topic_attributes::value(existing, name) != topic_attributes::value(asked, name)
        })
    {
        return Err(Error::invalid(
            "Attributes Reason: Topic already exists with different attributes",
        ));
    }
    // Some of its tags are enough (recorded).
    if asked.tags.iter().any(|(key, value)| existing.tags.get(key) != Some(value)) {
        return Err(Error::invalid("Tags Reason: Topic already exists with different tags"));
    }
    Ok(())
}

/// DeleteTopic: the topic and its subscriptions. Deleting what is not there succeeds.
pub(super) async fn delete(call: &Call<'_>, parameters: &Node<'_>) -> Result<(), Error> {
    let exchange = named(call, parameters)?;
    call.sns.signed.note(call, &exchange, None);
    store::delete(call, exchange).await
}

/// ListTopics: 100 at a time, in order of name. The token is the last name of the page before.
pub(super) async fn list(
    call: &Call<'_>,
    parameters: &Node<'_>,
    out: &mut Output,
) -> Result<(), Error> {
    let after = parameters.text("NextToken").map(input::token).transpose()?;
    let namespace = call.namespace();
    let page = ListExchanges { namespace, after, max: PAGE + 1 };
    let mut topics = call.broker.look_up(page).await?;
    let more = topics.len() > PAGE;
    topics.truncate(PAGE);
    out.nested("Topics", |out| {
        for topic in &topics {
            let arn = address::topic_arn(&topic.name, call.options);
            out.nested("member", |out| out.element("TopicArn", &arn));
        }
    });
    if let Some(last) = topics.last().filter(|_| more) {
        out.element("NextToken", &input::make_token(&last.name.name));
    }
    Ok(())
}

/// GetTopicAttributes: all of them.
pub(super) async fn get_attributes(
    call: &Call<'_>,
    parameters: &Node<'_>,
    out: &mut Output,
) -> Result<(), Error> {
    let name = named(call, parameters)?;
    let (topic, stats) = find(call, name).await?;
    out.map("Attributes", topic_attributes::render(&topic, stats, call.options));
    Ok(())
}

/// SetTopicAttributes: one of them.
pub(super) async fn set_attributes(call: &Call<'_>, parameters: &Node<'_>) -> Result<(), Error> {
    let topic = named(call, parameters)?;
    let attribute = input::required(parameters, "AttributeName")?;
    let value = parameters.text("AttributeValue").unwrap_or_default();
    reconfigure(call, topic, |config| topic_attributes::set(config, attribute, value)).await
}

/// The topic of the parameter `TopicArn`.
pub(super) fn named(call: &Call<'_>, parameters: &Node<'_>) -> Result<QueueName, Error> {
    let arn = parameters.text("TopicArn").unwrap_or_default();
    address::topic_of(arn, "TopicArn", call)
}

/// A topic and the numbers of its subscriptions.
pub(super) async fn find(
    call: &Call<'_>,
    name: QueueName,
) -> Result<(Arc<ExchangeInfo>, ExchangeStats), Error> {
    Ok(call.broker.look_up(ExchangeNamed(name)).await?)
}

/// Changes a topic's settings: reads, lets `change` edit, and writes only if nobody else wrote in
/// between, else tries again.
pub(super) async fn reconfigure(
    call: &Call<'_>,
    name: QueueName,
    change: impl Fn(&mut ExchangeConfig) -> Result<(), Error>,
) -> Result<(), Error> {
    for _ in 0..MAX_RECONFIGURE_TRIES {
        let (topic, _) = find(call, name.clone()).await?;
        let mut config = topic.config.clone();
        change(&mut config)?;
        let (exchange, expected_version) = (name.clone(), topic.version);
        let command = ConfigureExchange { exchange, config: config.clone(), expected_version };
        match call.broker.ask(command).await {
            Ok(()) => {
                call.sns.signed.note(call, &name, Some(&config));
                return Ok(());
            }
            Err(kyu_broker::Error::Refused(Refusal::VersionConflict)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::new(Code::Throttled, "Rate exceeded"))
}
