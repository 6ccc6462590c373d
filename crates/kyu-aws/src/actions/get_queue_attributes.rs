//! GetQueueAttributes: settings and counts of a queue. The counts that AWS calls approximate are
//! exact here.

use kyu_broker::{QueueConfig, QueueStats, StatsOf};
use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::error::Error;
use crate::limits::MAX_LISTED_NAMES;
use crate::queue_attributes::{QueueAttribute, Reading, extension, read};
use crate::wire::{List, Pairs, Response, Text};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetQueueAttributesRequest<'a> {
    #[serde(borrow)]
    queue_url: Option<Text<'a>>,
    #[serde(borrow)]
    attribute_names: Option<List<Text<'a>, MAX_LISTED_NAMES>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetQueueAttributesResult {
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    attributes: Pairs<&'static str, String>,
}

impl Response for GetQueueAttributesResult {}

pub(super) async fn run(
    call: &Call<'_>,
    request: GetQueueAttributesRequest<'_>,
) -> Result<GetQueueAttributesResult, Error> {
    let queue = call.queue(request.queue_url.as_deref())?;
    let names = request.attribute_names.unwrap_or_default().within("AttributeNames")?;
    let wanted = wanted(names, &queue.config)?;
    let stats = if wanted.iter().any(|attribute| attribute.is_count()) {
        call.broker.look_up(StatsOf(queue.id)).await?
    } else {
        QueueStats::default()
    };
    let from = Reading { queue: &queue, stats, options: call.options };
    let attributes = wanted
        .into_iter()
        .filter_map(|attribute| read(attribute, &from).map(|value| (attribute.name(), value)));
    Ok(GetQueueAttributesResult { attributes: Pairs(attributes.collect()) })
}

/// Each attribute once; `All` for all of AWS, and those of our own that are set.
fn wanted(names: Vec<Text<'_>>, config: &QueueConfig) -> Result<Vec<QueueAttribute>, Error> {
    let mut wanted = Vec::new();
    for name in names {
        if &*name == "All" {
            let own = extension::ALL.iter().filter(|own| own.is_set(config));
            let own = own.copied().map(QueueAttribute::Extension);
            return Ok(QueueAttribute::ALL.into_iter().chain(own).collect());
        }
        let attribute = QueueAttribute::named(&name)?;
        if !wanted.contains(&attribute) {
            wanted.push(attribute);
        }
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_door::*;

    #[tokio::test]
    async fn all_of_a_standard_queue_and_none_unless_asked() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        let none = door.ok("GetQueueAttributes", json!({ "QueueUrl": url })).await;
        assert_eq!(none, json!({}));
        let request = json!({ "QueueUrl": url, "AttributeNames": ["All"] });
        let mut all = door.ok("GetQueueAttributes", request).await["Attributes"].take();
        for time in ["CreatedTimestamp", "LastModifiedTimestamp"] {
            let seconds: u64 = all[time].as_str().unwrap().parse().unwrap();
            assert!((1_700_000_000..10_000_000_000).contains(&seconds), "{time} {seconds}");
            all.as_object_mut().unwrap().remove(time);
        }
        let expected = json!({
            "ApproximateNumberOfMessages": "0",
            "ApproximateNumberOfMessagesDelayed": "0",
            "ApproximateNumberOfMessagesNotVisible": "0",
            "DelaySeconds": "0",
            "MaximumMessageSize": "1048576",
            "MessageRetentionPeriod": "345600",
            "QueueArn": "arn:aws:sqs:us-east-1:000000000000:q",
            "ReceiveMessageWaitTimeSeconds": "0",
            "SqsManagedSseEnabled": "true",
            "VisibilityTimeout": "30",
        });
        assert_eq!(all, expected);
        let request = json!({ "QueueUrl": url, "AttributeNames": ["Nope"] });
        let failure = door.fails("GetQueueAttributes", request).await;
        assert_eq!(failure, (400, "InvalidAttributeName".into(), "Unknown Attribute Nope.".into()));
    }

    #[tokio::test]
    async fn what_fifo_adds() {
        let door = Door::open();
        let url = door.fifo("q.fifo").await;
        for (name, value) in [
            ("FifoQueue", "true"),
            ("ContentBasedDeduplication", "true"),
            ("DeduplicationScope", "queue"),
            ("FifoThroughputLimit", "perQueue"),
        ] {
            assert_eq!(door.attribute(&url, name).await, value);
        }
    }
}
