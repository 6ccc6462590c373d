//! UntagQueue: takes tags away; unknown keys are no error.

use serde::Deserialize;

use super::tags;
use crate::call::Call;
use crate::error::Error;
use crate::limits::MAX_TAGS;
use crate::queue_attributes::extension;
use crate::wire::{Empty, List, Text};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UntagQueueRequest<'a> {
    #[serde(borrow)]
    queue_url: Option<Text<'a>>,
    #[serde(borrow)]
    tag_keys: Option<List<Text<'a>, MAX_TAGS>>,
}

pub(super) async fn run(call: &Call<'_>, request: UntagQueueRequest<'_>) -> Result<Empty, Error> {
    let queue = call.queue(request.queue_url.as_deref())?;
    let keys = request.tag_keys.ok_or_else(|| Error::missing("TagKeys"))?.within("TagKeys")?;
    if keys.is_empty() {
        return Err(tags::key_length());
    }
    call.reconfigure(queue, |queue, config| {
        for key in &keys {
            if config.tags.remove(&**key).is_some() {
                extension::apply_tag(key, "", &queue.name, config)?;
            }
        }
        Ok(())
    })
    .await?;
    Ok(Empty {})
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_door::*;

    #[tokio::test]
    async fn keys_are_needed() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        let (_, code, _) = door.fails("UntagQueue", json!({ "QueueUrl": url })).await;
        assert_eq!(code, "MissingParameter");
        let none = json!({ "QueueUrl": url, "TagKeys": [] });
        let text = "Tag keys must be between 1 and 128 characters in length.";
        assert_eq!(door.fails("UntagQueue", none).await, invalid_parameter(text));
    }
}
