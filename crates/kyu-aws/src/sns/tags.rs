//! TagResource, UntagResource, ListTagsForResource: the tags of a topic.

use kyu_broker::QueueName;

use super::error::{Code, Error};
use super::output::Output;
use super::{address, input, topics};
use crate::call::Call;
use crate::limits::{MAX_TAG_KEY_CHARS, MAX_TAG_VALUE_CHARS, MAX_TAGS};
use crate::wire::form::Node;

/// TagResource: adds tags; those with an equal key are replaced.
pub(super) async fn tag(call: &Call<'_>, parameters: &Node<'_>) -> Result<(), Error> {
    let topic = resource(call, parameters)?;
    let tags = input::tags(parameters)?;
    for (key, value) in &tags {
        if !(1..=MAX_TAG_KEY_CHARS).contains(&key.chars().count())
            || value.chars().count() > MAX_TAG_VALUE_CHARS
        {
            return Err(Error::invalid("Tags Reason: a key or a value is too long or empty"));
        }
    }
    let changed = topics::reconfigure(call, topic, |config| {
        config.tags.extend(tags.clone());
        if config.tags.len() > MAX_TAGS {
            let text = "Could not complete request: tag quota of per resource exceeded";
            return Err(Error::new(Code::TagLimitExceeded, text));
        }
        Ok(())
    });
    changed.await.map_err(as_resource)
}

/// UntagResource: takes tags away; those that are not there do not matter.
pub(super) async fn untag(call: &Call<'_>, parameters: &Node<'_>) -> Result<(), Error> {
    let topic = resource(call, parameters)?;
    let keys = input::texts(parameters, "TagKeys", 2 * MAX_TAGS)?;
    let changed = topics::reconfigure(call, topic, |config| {
        config.tags.retain(|key, _| !keys.contains(key));
        Ok(())
    });
    changed.await.map_err(as_resource)
}

/// ListTagsForResource: all tags, by key.
pub(super) async fn list(
    call: &Call<'_>,
    parameters: &Node<'_>,
    out: &mut Output,
) -> Result<(), Error> {
    let topic = resource(call, parameters)?;
    let (info, _) = topics::find(call, topic).await.map_err(as_resource)?;
    out.nested("Tags", |out| {
        for (key, value) in &info.config.tags {
            out.nested("member", |out| {
                out.element("Key", key);
                out.element("Value", value);
            });
        }
    });
    Ok(())
}

fn resource(call: &Call<'_>, parameters: &Node<'_>) -> Result<QueueName, Error> {
    let arn = input::required(parameters, "ResourceArn")?;
    address::topic_of(arn, "ResourceArn", call)
}

/// Here a topic that is not there has another name.
fn as_resource(error: Error) -> Error {
    match error.code {
        Code::NotFound => Error::new(Code::ResourceNotFound, "Resource does not exist"),
        _ => error,
    }
}
