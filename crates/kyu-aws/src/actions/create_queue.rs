//! CreateQueue: makes a queue, or finds one of that name with the same attributes.

use kyu_broker::{CreateQueue, QueueInfo, QueueKind, QueueName, Refusal};
use serde::{Deserialize, Serialize};

use super::tags::{self, SentTags};
use crate::address;
use crate::call::Call;
use crate::error::Error;
use crate::limits::MAX_QUEUE_ATTRIBUTES;
use crate::queue_attributes::{self, QueueAttribute, Requested, Target};
use crate::wire::{Map, Response, Text};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateQueueRequest<'a> {
    #[serde(borrow)]
    queue_name: Option<Text<'a>>,
    #[serde(borrow)]
    attributes: Option<Map<'a, Text<'a>, MAX_QUEUE_ATTRIBUTES>>,
    // Lower case in the service model.
    #[serde(rename = "tags", borrow)]
    tags: Option<SentTags<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateQueueResult {
    queue_url: String,
}

impl Response for CreateQueueResult {}

pub(super) async fn run(
    call: &Call<'_>,
    request: CreateQueueRequest<'_>,
) -> Result<CreateQueueResult, Error> {
    let name = request.queue_name.ok_or_else(|| Error::missing("QueueName"))?;
    let requested = request.attributes.unwrap_or_default().within("Attributes")?;
    let fifo = requested.iter().any(|(name, value)| {
        &**name == QueueAttribute::FifoQueue.name() && value.eq_ignore_ascii_case("true")
    });
    address::check_name(&name, fifo)?;
    let queue = QueueName { namespace: call.namespace(), name: name.to_string() };
    let target = Target { call, queue: &queue };
    let kind = if fifo { QueueKind::Fifo } else { QueueKind::Standard };
    let mut config = queue_attributes::defaults::of(kind);
    queue_attributes::apply(&target, &requested, &mut config)?;
    tags::add(&queue, &mut config, request.tags)?;

    let name_reuse_wait_ms = call.options.name_reuse_wait_ms;
    let create = CreateQueue { name: queue.clone(), config: config.into(), name_reuse_wait_ms };
    let created = match call.broker.ask(create).await {
        Ok(created) => created,
        Err(kyu_broker::Error::Refused(Refusal::QueueExists(existing))) => {
            check_same(&target, &requested, &existing)?;
            existing
        }
        Err(kyu_broker::Error::Refused(Refusal::QueueDeletedRecently { .. })) => {
            return Err(Error::QueueDeletedRecently { wait_s: name_reuse_wait_ms / 1000 });
        }
        Err(error) => return Err(error.into()),
    };
    Ok(CreateQueueResult { queue_url: call.url_of(&created.name) })
}

/// Creating a queue again is fine unless it asks for other attributes than the queue has.
fn check_same(
    target: &Target<'_>,
    requested: &Requested<'_>,
    existing: &QueueInfo,
) -> Result<(), Error> {
    match queue_attributes::differing(target, requested, &existing.config)? {
        None => Ok(()),
        Some(attribute) => Err(Error::QueueNameExists { attribute }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_door::*;

    use crate::SqsOptions;
    use kyu_door::access::Access;

    #[tokio::test]
    async fn the_url_is_where_the_client_came() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        assert_eq!(url, format!("http://{HOST}/000000000000/q"));
    }

    #[tokio::test]
    async fn again_with_the_same_attributes_or_none_and_with_others() {
        let door = Door::open();
        let create =
            |attributes: serde_json::Value| json!({ "QueueName": "q", "Attributes": attributes });
        let url = door.queue("q", json!({ "DelaySeconds": "5" })).await;
        assert_eq!(door.queue("q", json!({ "DelaySeconds": "5" })).await, url);
        assert_eq!(door.queue("q", json!({})).await, url);
        assert_eq!(door.queue("q", json!({ "VisibilityTimeout": "30" })).await, url);
        let text = "A queue already exists with the same name and a different value for attribute \
                    DelaySeconds";
        let failure = door.fails("CreateQueue", create(json!({ "DelaySeconds": "6" }))).await;
        assert_eq!(failure, (400, "QueueAlreadyExists".into(), text.into()));
    }

    #[tokio::test]
    async fn names_and_kinds() {
        let door = Door::open();
        let fifo = json!({ "FifoQueue": "true" });
        for (name, attributes) in [
            ("", json!({})),
            ("a b", json!({})),
            ("q.fifo", json!({})),
            ("q", fifo.clone()),
            (&*"x".repeat(81), json!({})),
        ] {
            let request = json!({ "QueueName": name, "Attributes": attributes });
            assert_eq!(
                door.fails("CreateQueue", request).await.1,
                "InvalidParameterValue",
                "{name}"
            );
        }
        let url = door.queue("q.fifo", fifo).await;
        assert_eq!(door.attribute(&url, "FifoQueue").await, "true");
        let (_, code, text) = door.fails("CreateQueue", json!({})).await;
        assert_eq!(code, "MissingParameter");
        assert_eq!(text, "The request must contain the parameter QueueName.");
    }

    #[tokio::test]
    async fn fifo_attributes_on_a_standard_queue_as_recorded() {
        let door = Door::open();
        for (name, value, text) in [
            ("FifoQueue", "false", "Unknown Attribute FifoQueue."),
            ("ContentBasedDeduplication", "true", "Unknown Attribute ContentBasedDeduplication."),
            (
                "DeduplicationScope",
                "queue",
                "You can specify the DeduplicationScope only when FifoQueue is set to true.",
            ),
            (
                "FifoThroughputLimit",
                "perQueue",
                "You can specify the FifoThroughputLimit only when FifoQueue is set to true.",
            ),
            ("Nope", "1", "Unknown Attribute Nope."),
            ("QueueArn", "1", "Unknown Attribute QueueArn."),
        ] {
            let request = json!({ "QueueName": "q", "Attributes": { name: value } });
            let failure = door.fails("CreateQueue", request).await;
            assert_eq!(failure, (400, "InvalidAttributeName".into(), text.into()));
        }
    }

    #[tokio::test]
    async fn a_name_rests_as_long_as_the_operator_wants() {
        let options = SqsOptions { name_reuse_wait_ms: 60_000, ..SqsOptions::default() };
        let door = Door::with(options, Access::new(vec![]));
        let url = door.queue("q", json!({})).await;
        door.ok("DeleteQueue", json!({ "QueueUrl": url })).await;
        let text = "You must wait 60 seconds after deleting a queue before you can create another \
                    with the same name.";
        let failure = door.fails("CreateQueue", json!({ "QueueName": "q" })).await;
        let code = "AWS.SimpleQueueService.QueueDeletedRecently";
        assert_eq!(failure, (400, code.into(), text.into()));
    }
}
