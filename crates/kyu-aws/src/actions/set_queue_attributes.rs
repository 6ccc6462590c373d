//! SetQueueAttributes: changes settings of a queue, all that are named or none.

use serde::Deserialize;

use crate::call::Call;
use crate::error::Error;
use crate::limits::MAX_QUEUE_ATTRIBUTES;
use crate::queue_attributes::{self, Target};
use crate::wire::{Empty, Map, Text};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SetQueueAttributesRequest<'a> {
    #[serde(borrow)]
    queue_url: Option<Text<'a>>,
    #[serde(borrow)]
    attributes: Option<Map<'a, Text<'a>, MAX_QUEUE_ATTRIBUTES>>,
}

pub(super) async fn run(
    call: &Call<'_>,
    request: SetQueueAttributesRequest<'_>,
) -> Result<Empty, Error> {
    let queue = call.queue(request.queue_url.as_deref())?;
    let requested = request.attributes.ok_or_else(|| Error::missing("Attribute.Name"))?;
    let requested = requested.within("Attributes")?;
    call.reconfigure(queue, |queue, config| {
        let target = Target { call, queue: &queue.name };
        queue_attributes::apply(&target, &requested, config)
    })
    .await?;
    Ok(Empty {})
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_door::*;

    async fn set(
        door: &Door,
        url: &str,
        attributes: serde_json::Value,
    ) -> Result<(), (u16, String, String)> {
        let request = json!({ "QueueUrl": url, "Attributes": attributes });
        let said = door.post("SetQueueAttributes", &request.to_string()).await;
        if said.status == 200 {
            return Ok(());
        }
        Err(door.fails("SetQueueAttributes", request).await)
    }

    #[tokio::test]
    async fn numbers_in_and_out_of_range() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        for (name, good, bad) in [
            ("VisibilityTimeout", "43200", "43201"),
            ("MaximumMessageSize", "1024", "1023"),
            ("MaximumMessageSize", "1048576", "1048577"),
            ("MessageRetentionPeriod", "60", "59"),
            ("MessageRetentionPeriod", "1209600", "1209601"),
            ("DelaySeconds", "900", "901"),
            ("ReceiveMessageWaitTimeSeconds", "20", "21"),
            ("KmsDataKeyReusePeriodSeconds", "60", "59"),
            ("VisibilityTimeout", "0", "-1"),
            ("VisibilityTimeout", "7", "seven"),
        ] {
            set(&door, &url, json!({ name: good })).await.unwrap();
            let (status, code, text) = set(&door, &url, json!({ name: bad })).await.unwrap_err();
            assert_eq!((status, code.as_str()), (400, "InvalidAttributeValue"), "{name} {bad}");
            assert!(text.starts_with(&format!("Invalid value for the parameter {name}.")));
        }
        // All or none.
        let mixed = json!({ "DelaySeconds": "1", "VisibilityTimeout": "x" });
        set(&door, &url, mixed).await.unwrap_err();
        assert_eq!(door.attribute(&url, "DelaySeconds").await, "900");
    }

    #[tokio::test]
    async fn the_kind_stays_as_recorded() {
        let door = Door::open();
        let (standard, fifo) = (door.queue("q", json!({})).await, door.fifo("q.fifo").await);
        let unknown =
            (400, "InvalidAttributeName".to_owned(), "Unknown Attribute FifoQueue.".into());
        let is = |value: &str| json!({ "FifoQueue": value });
        assert_eq!(set(&door, &standard, is("true")).await, Err(unknown.clone()));
        assert_eq!(set(&door, &standard, is("false")).await, Err(unknown));
        assert_eq!(set(&door, &fifo, is("true")).await, Ok(()));
        let text = "Invalid value for the parameter FifoQueue. \
                    Reason: Modifying queue type is not supported.";
        let failure = (400, "InvalidAttributeValue".to_owned(), text.into());
        assert_eq!(set(&door, &fifo, is("false")).await, Err(failure));
    }

    #[tokio::test]
    async fn encryption_is_one_of_two() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        let both = json!({ "KmsMasterKeyId": "key", "SqsManagedSseEnabled": "true" });
        let text = "You can use one type of server-side encryption (SSE) at one time. \
                    You can either enable KMS SSE or SQS SSE.";
        let failure = (400, "InvalidAttributeName".to_owned(), text.into());
        assert_eq!(set(&door, &url, both).await, Err(failure));
        let kms = json!({ "KmsMasterKeyId": "key", "KmsDataKeyReusePeriodSeconds": "6000" });
        set(&door, &url, kms).await.unwrap();
        assert_eq!(door.attribute(&url, "SqsManagedSseEnabled").await, "false");
        assert_eq!(door.attribute(&url, "KmsDataKeyReusePeriodSeconds").await, "6000");
        set(&door, &url, json!({ "KmsMasterKeyId": "" })).await.unwrap();
        assert_eq!(door.attribute(&url, "KmsMasterKeyId").await, json!(null));
        assert_eq!(door.attribute(&url, "SqsManagedSseEnabled").await, "false");
        set(&door, &url, json!({ "KmsMasterKeyId": "key" })).await.unwrap();
        set(&door, &url, json!({ "SqsManagedSseEnabled": "true" })).await.unwrap();
        assert_eq!(door.attribute(&url, "KmsMasterKeyId").await, json!(null));
        assert_eq!(door.attribute(&url, "SqsManagedSseEnabled").await, "true");
    }

    #[tokio::test]
    async fn high_throughput_needs_the_scope_of_a_group() {
        let door = Door::open();
        let url = door.fifo("q.fifo").await;
        let limit = json!({ "FifoThroughputLimit": "perMessageGroupId" });
        assert_eq!(set(&door, &url, limit).await.unwrap_err().1, "InvalidAttributeValue");
        let both = json!({
            "DeduplicationScope": "messageGroup",
            "FifoThroughputLimit": "perMessageGroupId",
        });
        set(&door, &url, both).await.unwrap();
        assert_eq!(door.attribute(&url, "FifoThroughputLimit").await, "perMessageGroupId");
        let scope = json!({ "DeduplicationScope": "queue" });
        assert_eq!(set(&door, &url, scope).await.unwrap_err().1, "InvalidAttributeValue");
    }

    #[tokio::test]
    async fn redrive_policies_that_cannot_be() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        door.queue("dead", json!({})).await;
        door.fifo("dead.fifo").await;
        let arn = |name: &str| format!("arn:aws:sqs:us-east-1:000000000000:{name}");
        for (policy, reason) in [
            ("x".to_owned(), "Redrive policy is not a valid JSON map."),
            (
                "{}".to_owned(),
                "Redrive policy does not contain mandatory attribute: maxReceiveCount.",
            ),
            (
                json!({ "deadLetterTargetArn": arn("dead") }).to_string(),
                "Redrive policy does not contain mandatory attribute: maxReceiveCount.",
            ),
            (
                r#"{"maxReceiveCount":"1000"}"#.to_owned(),
                "Redrive policy does not contain mandatory attribute: deadLetterTargetArn.",
            ),
            (
                r#"{"deadLetterTargetArn":"dummy","maxReceiveCount":42}"#.to_owned(),
                "Invalid value for deadLetterTargetArn.",
            ),
            (
                json!({ "deadLetterTargetArn": arn("nope"), "maxReceiveCount": 1 }).to_string(),
                "Dead letter target does not exist.",
            ),
            (
                json!({ "deadLetterTargetArn": arn("dead.fifo"), "maxReceiveCount": 1 })
                    .to_string(),
                "Dead-letter queue must be same type of queue as the source.",
            ),
            (
                json!({ "deadLetterTargetArn": arn("dead"), "maxReceiveCount": 1001 }).to_string(),
                "Invalid value for maxReceiveCount: 1001, \
                 valid values are from 1 to 1000 both inclusive.",
            ),
        ] {
            let failure = set(&door, &url, json!({ "RedrivePolicy": policy })).await.unwrap_err();
            let text =
                format!("Value {policy} for parameter RedrivePolicy is invalid. Reason: {reason}");
            assert_eq!(failure, invalid_parameter(&text));
        }
    }

    #[tokio::test]
    async fn a_dead_letter_queue_says_who_may_use_it() {
        let door = Door::open();
        let (url, dead) = (door.queue("q", json!({})).await, door.queue("dead", json!({})).await);
        let redrive = json!({
            "RedrivePolicy": json!({
                "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead",
                "maxReceiveCount": "10",
            })
            .to_string()
        });
        let allow = |policy: serde_json::Value| json!({ "RedriveAllowPolicy": policy.to_string() });
        set(&door, &dead, allow(json!({ "redrivePermission": "denyAll" }))).await.unwrap();
        assert_eq!(set(&door, &url, redrive.clone()).await.unwrap_err().1, "InvalidParameterValue");
        let by_queue = json!({
            "redrivePermission": "byQueue",
            "sourceQueueArns": ["arn:aws:sqs:us-east-1:000000000000:q"],
        });
        set(&door, &dead, allow(by_queue)).await.unwrap();
        set(&door, &url, redrive).await.unwrap();
        let policy = door.attribute(&url, "RedrivePolicy").await;
        let policy: serde_json::Value = serde_json::from_str(policy.as_str().unwrap()).unwrap();
        assert_eq!(policy["maxReceiveCount"], 10);
        set(&door, &url, json!({ "RedrivePolicy": "" })).await.unwrap();
        assert_eq!(door.attribute(&url, "RedrivePolicy").await, json!(null));
        for bad in [
            json!({}),
            json!({ "redrivePermission": "some" }),
            json!({ "redrivePermission": "byQueue" }),
            json!({ "redrivePermission": "byQueue", "sourceQueueArns": ["x"] }),
            json!({ "redrivePermission": "allowAll", "sourceQueueArns": ["x"] }),
        ] {
            let failure = set(&door, &dead, allow(bad)).await.unwrap_err();
            assert_eq!(failure.1, "InvalidParameterValue");
        }
    }

    #[tokio::test]
    async fn a_policy_is_json_of_bounded_size() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        set(&door, &url, json!({ "Policy": r#"{"Version":"2012-10-17"}"# })).await.unwrap();
        assert_eq!(door.attribute(&url, "Policy").await, r#"{"Version":"2012-10-17"}"#);
        let long = format!("{{\"x\":\"{}\"}}", "x".repeat(8192));
        for bad in ["x", "[]", &long] {
            let failure = set(&door, &url, json!({ "Policy": bad })).await.unwrap_err();
            assert_eq!(failure.1, "InvalidAttributeValue");
        }
        set(&door, &url, json!({ "Policy": "" })).await.unwrap();
        assert_eq!(door.attribute(&url, "Policy").await, json!(null));
    }
}
