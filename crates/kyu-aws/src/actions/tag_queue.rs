//! TagQueue: adds tags to a queue, replacing those with the same key.

use serde::Deserialize;

use super::tags::{self, SentTags};
use crate::call::Call;
use crate::error::Error;
use crate::wire::{Empty, Text};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TagQueueRequest<'a> {
    #[serde(borrow)]
    queue_url: Option<Text<'a>>,
    #[serde(borrow)]
    tags: Option<SentTags<'a>>,
}

pub(super) async fn run(call: &Call<'_>, request: TagQueueRequest<'_>) -> Result<Empty, Error> {
    let queue = call.queue(request.queue_url.as_deref())?;
    let sent = request.tags.filter(|tags| tags.sent > 0);
    let sent = sent.ok_or_else(|| Error::missing("Tags"))?;
    call.reconfigure(queue, |queue, config| tags::add(&queue.name, config, Some(sent.clone())))
        .await?;
    Ok(Empty {})
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_door::*;

    #[tokio::test]
    async fn tags_come_and_go() {
        let door = Door::open();
        let request = json!({ "QueueName": "q", "tags": { "tag1": "value1" } });
        let url = door.ok("CreateQueue", request).await["QueueUrl"].clone();
        let tags = json!({ "tag2": "value2", "tag3": "" });
        door.ok("TagQueue", json!({ "QueueUrl": url, "Tags": tags })).await;
        let listed = door.ok("ListQueueTags", json!({ "QueueUrl": url })).await;
        let expected = json!({ "tag1": "value1", "tag2": "value2", "tag3": "" });
        assert_eq!(listed, json!({ "Tags": expected }));
        let keys = json!(["tag1", "tag2", "tag3", "unknown"]);
        door.ok("UntagQueue", json!({ "QueueUrl": url, "TagKeys": keys })).await;
        assert_eq!(door.ok("ListQueueTags", json!({ "QueueUrl": url })).await, json!({}));
    }

    #[tokio::test]
    async fn what_a_tag_may_be() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        let many: serde_json::Map<_, _> = (0..51).map(|at| (at.to_string(), json!("v"))).collect();
        for tags in [
            json!({ "": "v" }),
            json!({ "x".repeat(129): "v" }),
            json!({ "k": "x".repeat(257) }),
            json!({ "aws:x": "v" }),
            json!(many),
        ] {
            let (_, code, _) =
                door.fails("TagQueue", json!({ "QueueUrl": url, "Tags": tags })).await;
            assert_eq!(code, "InvalidParameterValue");
        }
        let (_, code, _) = door.fails("TagQueue", json!({ "QueueUrl": url })).await;
        assert_eq!(code, "MissingParameter");
    }
}
