//! Rules for tags, for CreateQueue and TagQueue.

use kyu_broker::{QueueConfig, QueueName};

use crate::error::Error;
use crate::limits::{MAX_TAG_KEY_CHARS, MAX_TAG_VALUE_CHARS, MAX_TAGS};
use crate::queue_attributes::extension;
use crate::wire::{Map, Text};

/// Tags as clients send them.
pub(super) type SentTags<'a> = Map<'a, Text<'a>, MAX_TAGS>;

/// Adds tags to a queue's settings; those with an equal key are replaced, and those that name a
/// setting of our own set it.
pub(super) fn add(
    queue: &QueueName,
    config: &mut QueueConfig,
    tags: Option<SentTags<'_>>,
) -> Result<(), Error> {
    let tags = tags.unwrap_or_default();
    let too_many = || {
        let text = format!("Too many tags added for queue {}.", queue.name);
        Err(Error::InvalidParameterValue(text))
    };
    if tags.sent > MAX_TAGS {
        return too_many();
    }
    for (key, value) in tags.kept {
        let invalid = |text: &str| Err(Error::InvalidParameterValue(text.into()));
        if !(1..=MAX_TAG_KEY_CHARS).contains(&key.chars().count()) {
            return Err(key_length());
        }
        if value.chars().count() > MAX_TAG_VALUE_CHARS {
            return invalid("Tag values must be at most 256 characters in length.");
        }
        if key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")) {
            return invalid("Tag keys must not begin with aws:, which is reserved.");
        }
        extension::apply_tag(&key, &value, queue, config)?;
        config.tags.insert(key.0.into_owned(), value.0.into_owned());
    }
    if config.tags.len() > MAX_TAGS {
        return too_many();
    }
    Ok(())
}

/// A key is empty or too long; what AWS also says to an empty list of keys.
pub(super) fn key_length() -> Error {
    Error::InvalidParameterValue("Tag keys must be between 1 and 128 characters in length.".into())
}
