//! Publish and PublishBatch. When they answer, the message is on disk in every queue that wants it.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use kyu_broker::{
    Attribute, AttributeValue, BodyFacts, Content, EnqueueRefusal, Facts, Property, Publication,
    Publish, PublishError, Published, QueueName, facts,
};
use kyu_door::access::Principal;
use serde_json::Value;

use super::error::{Code, Error};
use super::outbox::{self, Letter};
use super::output::Output;
use super::{address, input, letters, platform, sms, topics};
use crate::address::is_plain;
use crate::call::Call;
use crate::limits::{
    MAX_ATTRIBUTE_NAME_CHARS, MAX_BATCH_ENTRIES, MAX_MESSAGE_ATTRIBUTES, MAX_MESSAGE_BYTES,
    MAX_NAME_CHARS,
};
use crate::message::{check_id, is_xml_text};
use crate::wire::form::Node;
use crate::{digest, message_attributes};

/// Attributes of one message: SNS has no limit but its size; ours. `ValidationError`.
const MAX_ATTRIBUTES: usize = 100;
/// A subject (SNS API reference, Publish).
const MAX_SUBJECT_CHARS: usize = 100;
/// Elements of a batch that are read, so that AWS' own error can be given for too many.
const MAX_READ_ENTRIES: usize = 100;

/// Publish: one message to a topic.
pub(super) async fn one(
    call: &Call<'_>,
    parameters: &Node<'_>,
    out: &mut Output,
) -> Result<(), Error> {
    if let Some(number) = parameters.text("PhoneNumber") {
        return to_phone(call, parameters, number, out).await;
    }
    let arn = parameters.text("TopicArn").or(parameters.text("TargetArn"));
    let arn = arn.ok_or_else(|| Error::missing("TopicArn or TargetArn"))?;
    let publication = publication(call, parameters, arn, None)?;
    if arn.contains(":endpoint/") {
        return to_app(call, parameters, arn, out).await;
    }
    let topic = address::topic_of(arn, "TopicArn", call)?;
    let results = publish(call, topic, vec![publication]).await?;
    let published = results.into_iter().next().ok_or_else(Error::internal)?.map_err(refused)?;
    write_published(&published, out);
    Ok(())
}

/// A message to one phone: it goes to the outbox.
async fn to_phone(
    call: &Call<'_>,
    parameters: &Node<'_>,
    number: &str,
    out: &mut Output,
) -> Result<(), Error> {
    if !sms::is_phone_number(number) {
        let number = crate::error::quoted(number);
        let text = format!("PhoneNumber Reason: {number} is not valid to publish to");
        return Err(Error::invalid(text));
    }
    publication(call, parameters, "", None)?;
    to_one(call, parameters, ("sms", "sms"), number, out).await
}

/// A message to one app: it goes to the outbox.
async fn to_app(
    call: &Call<'_>,
    parameters: &Node<'_>,
    arn: &str,
    out: &mut Output,
) -> Result<(), Error> {
    let missing =
        || Error::invalid("TargetArn Reason: No endpoint found for the target arn specified");
    let endpoint = platform::endpoint(call, arn).await?.ok_or_else(missing)?;
    let enabled = endpoint.config.attributes.get("Enabled");
    if enabled.is_some_and(|enabled| enabled.eq_ignore_ascii_case("false")) {
        return Err(Error::new(Code::EndpointDisabled, "Endpoint is disabled"));
    }
    let platform = endpoint.exchange.name.split('/').next().unwrap_or_default();
    to_one(call, parameters, ("application", platform), arn, out).await
}

/// Records a message that is right in itself; its text is the one for a key of the structure.
async fn to_one(
    call: &Call<'_>,
    parameters: &Node<'_>,
    (protocol, key): (&str, &str),
    endpoint: &str,
    out: &mut Output,
) -> Result<(), Error> {
    let message = parameters.text("Message").unwrap_or_default();
    let own = match parameters.text("MessageStructure") {
        Some("json") => {
            let texts: Value = serde_json::from_str(message).unwrap_or_default();
            let text = texts.get(key).or(texts.get("default")).and_then(Value::as_str);
            text.map(str::to_owned)
        }
        _ => None,
    };
    let text = own.as_deref().unwrap_or(message);
    let subject = parameters.text("Subject");
    let message_id = outbox::record(call, Letter { protocol, endpoint, subject, text }).await?;
    out.element("MessageId", &message_id.to_string());
    Ok(())
}

/// PublishBatch: up to ten messages. What is wrong with one of them refuses all (recorded).
pub(super) async fn batch(
    call: &Call<'_>,
    parameters: &Node<'_>,
    out: &mut Output,
) -> Result<(), Error> {
    let entries = input::list(parameters, "PublishBatchRequestEntries", MAX_READ_ENTRIES)?;
    if entries.len() > MAX_BATCH_ENTRIES {
        return Err(Error::new(
            Code::TooManyEntriesInBatchRequest,
            "The batch request contains more entries than permissible.",
        ));
    }
    let topic = topics::named(call, parameters)?;
    let ids = check_ids(&entries)?;
    let arn = parameters.text("TopicArn").unwrap_or_default();
    let publications = entries.iter().zip(1..);
    let publications = publications.map(|(entry, at)| publication(call, entry, arn, Some(at)));
    let publications = publications.collect::<Result<Vec<_>, _>>()?;
    check_size(call, &topic, &publications).await?;
    let results = publish(call, topic, publications).await?;
    let results: Vec<_> = ids.into_iter().zip(results).collect();
    out.nested("Successful", |out| {
        for (id, published) in &results {
            if let Ok(published) = published {
                out.nested("member", |out| {
                    out.element("Id", id);
                    write_published(published, out);
                });
            }
        }
    });
    out.nested("Failed", |out| {
        for (id, published) in &results {
            if let Err(refusal) = published {
                let error = refused(*refusal);
                let (code, sender_fault) = error.name_and_fault();
                out.nested("member", |out| {
                    out.element("Id", id);
                    out.element("Code", code);
                    out.element("Message", &error.text);
                    out.element("SenderFault", if sender_fault { "true" } else { "false" });
                });
            }
        }
    });
    Ok(())
}

fn write_published(published: &Published, out: &mut Output) {
    out.element("MessageId", &published.message_id.to_string());
    let sequence = published.sequence.map(letters::sequence_number);
    out.optional("SequenceNumber", sequence.as_deref());
}

async fn publish(
    call: &Call<'_>,
    exchange: QueueName,
    messages: Vec<Publication>,
) -> Result<Vec<Result<Published, EnqueueRefusal>>, Error> {
    match call.broker.ask_publish(Publish { exchange, messages }).await {
        Ok(results) => Ok(results),
        Err(PublishError::Unreadable(reason)) => {
            Err(Error::invalid(format!("Message Reason: {reason}")))
        }
        Err(PublishError::Broker(error)) => Err(error.into()),
    }
}

/// The error for a publication that is right in itself and was not taken.
fn refused(refusal: EnqueueRefusal) -> Error {
    match refusal {
        EnqueueRefusal::QueueFull(_) => {
            Error::new(Code::Throttled, "A subscribed queue is at its limit.")
        }
        EnqueueRefusal::TooLarge => Error::invalid("Message too long"),
        EnqueueRefusal::Malformed => Error::invalid("MessageGroupId or MessageDeduplicationId"),
        EnqueueRefusal::QueueNotFound(_) | EnqueueRefusal::LaneRequired(_) => Error::internal(),
    }
}

fn check_ids(entries: &[&Node<'_>]) -> Result<Vec<String>, Error> {
    if entries.is_empty() {
        let text = "The batch request doesn't contain any entries.";
        return Err(Error::new(Code::EmptyBatchRequest, text));
    }
    let mut seen = BTreeSet::new();
    for entry in entries {
        if !seen.insert(input::required(entry, "Id")?) {
            let text = "Two or more batch entries in the request have the same Id.";
            return Err(Error::new(Code::BatchEntryIdsNotDistinct, text));
        }
    }
    let ids = entries.iter().map(|entry| {
        let id = input::required(entry, "Id")?;
        let problem = if is_plain(id) {
            return Ok(id.to_owned());
        } else if id.len() > MAX_NAME_CHARS {
            "is too long"
        } else {
            "contains an impermissible character"
        };
        let id = crate::error::quoted(id);
        let text = format!("The Id of a batch entry in the batch request {problem}: {id}");
        Err(Error::new(Code::InvalidBatchEntryId, text))
    });
    ids.collect()
}

/// The sum of a batch is bounded by what the topic takes in one message.
async fn check_size(
    call: &Call<'_>,
    topic: &QueueName,
    publications: &[Publication],
) -> Result<(), Error> {
    let total: u32 = publications.iter().map(|publication| publication.size_bytes).sum();
    // Below the smallest limit there is nothing to ask.
    if total <= crate::limits::MIN_MAXIMUM_MESSAGE_BYTES {
        return Ok(());
    }
    let (info, _) = topics::find(call, topic.clone()).await?;
    if total > info.config.max_message_bytes {
        let text = "The length of all the messages put together is more than the limit.";
        return Err(Error::new(Code::BatchRequestTooLong, text));
    }
    Ok(())
}

/// Checks one message and makes of it what the broker takes. `position` is its place in a batch.
fn publication(
    call: &Call<'_>,
    from: &Node<'_>,
    topic_arn: &str,
    position: Option<usize>,
) -> Result<Publication, Error> {
    let subject = from.text("Subject");
    let is_subject = |text: &&str| {
        (1..=MAX_SUBJECT_CHARS).contains(&text.chars().count())
            && !text.chars().any(char::is_control)
    };
    if subject.is_some() && subject.filter(is_subject).is_none() {
        return Err(Error::invalid("Subject"));
    }
    let message = from.text("Message").filter(|message| !message.is_empty());
    let message = message.ok_or_else(|| Error::invalid("Empty message"))?;
    let attributes = attributes(from, position)?;
    let size = message.len() + message_attributes::size_bytes(&attributes);
    // The topic's own limit is the engine's to check; nothing larger is any topic's.
    let size_bytes = u32::try_from(size).ok().filter(|size| *size <= MAX_MESSAGE_BYTES);
    let size_bytes = size_bytes.ok_or_else(|| Error::invalid("Message too long"))?;
    let (lane, dedup_id) = (id(from, "MessageGroupId")?, id(from, "MessageDeduplicationId")?);
    let Texts { sqs: body, others } = match from.text("MessageStructure") {
        Some("json") => by_protocol(message)?,
        Some(other) if !other.is_empty() => return Err(Error::invalid("MessageStructure")),
        _ => Texts { sqs: message.to_owned(), others: Vec::new() },
    };
    if !is_xml_text(&body) || !others.iter().all(|(_, text)| is_xml_text(text)) {
        // SQS could not hand it out (it carries XML 1.0 characters only).
        return Err(Error::invalid("Message Reason: characters that XML cannot carry"));
    }
    let content_dedup_id = Some(digest::dedup_id_of(message.as_bytes()));
    let facts = Facts { attributes: facts::of_attributes(&attributes), body: BodyFacts::Unread };
    let bare_allowed = attributes.len() <= MAX_MESSAGE_ATTRIBUTES;
    let mut properties = vec![(Property::Topic, topic_arn.to_owned())];
    properties.extend(others);
    properties.extend(subject.map(|subject| (Property::Subject, subject.to_owned())));
    if let Principal::User(user) = call.principal {
        properties.push((Property::SenderId, user.to_string()));
    }
    if let Some(trace) = call.trace_header {
        properties.push((Property::TraceHeader, trace.to_owned()));
    }
    let content = Content { body: body.into(), attributes, properties }.encode();
    Ok(Publication { content, size_bytes, facts, bare_allowed, lane, dedup_id, content_dedup_id })
}

fn id(from: &Node<'_>, name: &str) -> Result<Option<String>, Error> {
    let given = from.text(name).filter(|id| !id.is_empty());
    check_id(given, name).map_err(|_| {
        Error::invalid(format!(
            "{name} Reason: can only include alphanumeric and punctuation characters, 1 to 128"
        ))
    })?;
    Ok(given.map(str::to_owned))
}

/// A message's texts: for queues, and for HTTP and HTTPS where theirs are others.
struct Texts {
    sqs: String,
    others: Vec<(Property, String)>,
}

/// The texts of a message that has one for each protocol. Entries that are not text count as absent
/// (recorded).
fn by_protocol(message: &str) -> Result<Texts, Error> {
    let structure = |text: &str| Error::invalid(format!("Message Structure - {text}"));
    let parsed: Value = serde_json::from_str(message)
        .map_err(|_| structure("JSON message body failed to parse"))?;
    let text = |protocol: &str| parsed.get(protocol).and_then(Value::as_str).map(str::to_owned);
    let default = text("default");
    let default = default.ok_or_else(|| structure("No default entry in JSON message body"))?;
    let sqs = text("sqs").unwrap_or_else(|| default.clone());
    let others = [("http", Property::HttpBody), ("https", Property::HttpsBody)];
    let others = others.into_iter().filter_map(|(protocol, property)| {
        let own = text(protocol).unwrap_or_else(|| default.clone());
        (own != sqs).then_some((property, own))
    });
    Ok(Texts { others: others.collect(), sqs })
}

fn attributes(from: &Node<'_>, position: Option<usize>) -> Result<Vec<Attribute>, Error> {
    let named = input::named(from, "MessageAttributes", MAX_ATTRIBUTES)?;
    named.into_iter().map(|(name, value)| attribute(name, value, position)).collect()
}

/// Checks one attribute; texts as recorded from AWS.
fn attribute(name: &str, value: &Node<'_>, position: Option<usize>) -> Result<Attribute, Error> {
    let wrong = |text: String| Error::new(Code::ParameterValueInvalid, text);
    let Some(data_type) = value.text("DataType") else {
        let at = position.map(|at| format!("publishBatchRequestEntries.{at}.member."));
        return Err(Error::new(
            Code::Validation,
            format!(
                "1 validation error detected: Value null at '{}messageAttributes.{}.member.dataType' \
                 failed to satisfy constraint: Member must not be null",
                at.unwrap_or_default(),
                crate::error::quoted(name),
            ),
        ));
    };
    check_name(name).map_err(wrong)?;
    // A label may follow after a dot, but not nothing (recorded).
    let (kind, label) = data_type.split_once('.').unwrap_or((data_type, "-"));
    if !matches!(kind, "String" | "Number" | "Binary")
        || label.is_empty()
        || data_type.len() > MAX_ATTRIBUTE_NAME_CHARS
    {
        return Err(wrong(format!(
            "The message attribute '{name}' has an invalid message attribute type, the set of \
             supported type prefixes is Binary, Number, and String."
        )));
    }
    let (text, binary) = (value.text("StringValue"), value.text("BinaryValue"));
    let (wanted, other, field) = match kind {
        "Binary" => (binary, text, "Binary"),
        _ => (text, binary, "String"),
    };
    let Some(given) = wanted.filter(|value| !value.is_empty()) else {
        return Err(wrong(if wanted.is_none() && other.is_some_and(|value| !value.is_empty()) {
            format!(
                "The message attribute '{name}' with type '{data_type}' must use field '{field}'."
            )
        } else {
            format!(
                "The message attribute '{name}' must contain non-empty message attribute value for \
                 message attribute type '{data_type}'."
            )
        }));
    };
    if kind == "Number" && !message_attributes::is_number(given) {
        let text = format!("Could not cast message attribute '{name}' value to number.");
        return Err(wrong(text));
    }
    let value = if kind == "Binary" {
        let bytes = BASE64.decode(given).map_err(|_| {
            wrong(format!("The message attribute '{name}' has a value that is not base64."))
        })?;
        AttributeValue::Binary(bytes.into())
    } else if is_xml_text(given) {
        AttributeValue::Text(given.to_owned())
    } else {
        return Err(wrong(format!("The message attribute '{name}' has invalid characters.")));
    };
    Ok(Attribute { name: name.to_owned(), data_type: data_type.to_owned(), value })
}

fn check_name(name: &str) -> Result<(), String> {
    if name.len() >= MAX_ATTRIBUTE_NAME_CHARS {
        return Err("Length of message attribute name must be less than 256 bytes.".into());
    }
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if let Some(c) = name.chars().find(|c| !allowed(c)) {
        return Err(format!(
            "Invalid non-alphanumeric character '#x{:X}' was found in the message attribute name. \
             Can only include alphanumeric characters, hyphens, underscores, or dots.",
            u32::from(c)
        ));
    }
    if name.starts_with('.') || name.is_empty() {
        return Err("Invalid message attribute name starting with character '.' was found.".into());
    }
    if name.ends_with('.') {
        return Err("Invalid message attribute name ending with character '.' was found.".into());
    }
    if name.contains("..") {
        return Err("Message attribute name can not have successive '.' character.".into());
    }
    Ok(())
}
