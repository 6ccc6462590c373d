//! Rules for tags, for CreateQueue and TagQueue.

use kyu_broker::QueueConfig;

use crate::error::Error;
use crate::limits::{MAX_TAG_KEY_CHARS, MAX_TAG_VALUE_CHARS, MAX_TAGS};
use crate::wire::{Map, Text};

/// Tags as clients send them.
pub(super) type SentTags<'a> = Map<'a, Text<'a>, MAX_TAGS>;

/// Adds tags to a queue's settings; those with an equal key are replaced.
pub(super) fn add(config: &mut QueueConfig, tags: Option<SentTags<'_>>) -> Result<(), Error> {
    for (key, value) in tags.unwrap_or_default().within("Tags")? {
        let invalid = |text: &str| Err(Error::InvalidParameterValue(text.into()));
        if !(1..=MAX_TAG_KEY_CHARS).contains(&key.chars().count()) {
            return invalid("Tag keys must be between 1 and 128 characters in length.");
        }
        if value.chars().count() > MAX_TAG_VALUE_CHARS {
            return invalid("Tag values must be at most 256 characters in length.");
        }
        if key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")) {
            return invalid("Tag keys must not begin with aws:, which is reserved.");
        }
        config.tags.insert(key.0.into_owned(), value.0.into_owned());
    }
    if config.tags.len() > MAX_TAGS {
        return Err(Error::InvalidParameterValue("Too many tags: a queue has at most 50.".into()));
    }
    Ok(())
}
