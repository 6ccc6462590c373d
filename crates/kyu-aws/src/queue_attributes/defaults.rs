//! The settings of a queue that SQS makes and that asks for nothing.

use kyu_broker::{Fencing, QueueConfig, QueueKind, RetentionFrom};

/// The retention of the SQS API reference (CreateQueue): four days.
const RETENTION_MS: u64 = 345_600_000;

/// The settings of a new queue.
pub(crate) fn of(kind: QueueKind) -> QueueConfig {
    QueueConfig {
        kind,
        retention_ms: RETENTION_MS,
        retention_from: RetentionFrom::Sent,
        fencing: match kind {
            // Recorded: any receipt of a message deletes it, and moves its visibility.
            QueueKind::Standard => Fencing { accept_late_acks: true, refuse_stale_extends: false },
            QueueKind::Fifo => Fencing::default(),
        },
        ..QueueConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::test_door::*;

    /// AWS answers 200 to a queue that is its own dead-letter queue (recorded). Nothing goes there:
    /// what is received too often is received on.
    #[tokio::test]
    async fn a_queue_may_name_itself_as_its_dead_letter_queue() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        let arn = door.attribute(&url, "QueueArn").await;
        let policy = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": 1 }).to_string();
        let set = json!({ "QueueUrl": url, "Attributes": { "RedrivePolicy": policy } });
        door.ok("SetQueueAttributes", set).await;
        door.send(&url, "m").await;
        for _ in 0..3 {
            let message = door.receive(&url).await.remove(0);
            door.give_back(&url, &message).await;
        }
        assert_eq!(door.attribute(&url, "ApproximateNumberOfMessages").await, "1");
    }

    /// The door's own defaults are no settings of Kyu that somebody has made, and what is taken back
    /// is one of them again.
    #[tokio::test]
    async fn a_new_queue_has_the_rules_of_sqs() {
        let door = Door::open();
        for url in [door.queue("q", json!({})).await, door.fifo("q.fifo").await] {
            assert_eq!(door.attribute(&url, "MessageRetentionPeriod").await, "345600");
            assert_eq!(door.attribute(&url, "kyu:RetentionFrom").await, "sent");
            let all = json!({ "QueueUrl": url, "AttributeNames": ["All"] });
            let shown = door.ok("GetQueueAttributes", all).await["Attributes"].take();
            let own = shown.as_object().unwrap().keys().filter(|name| name.starts_with("kyu:"));
            assert_eq!(own.count(), 0);
            for (name, value) in [("kyu:RetentionFrom", "receivable"), ("kyu:Fencing", "")] {
                let set = json!({ "QueueUrl": url, "Attributes": { name: value } });
                door.ok("SetQueueAttributes", set).await;
            }
            let set = json!({ "QueueUrl": url, "Attributes": { "kyu:RetentionFrom": "" } });
            door.ok("SetQueueAttributes", set).await;
            assert_eq!(door.attribute(&url, "kyu:RetentionFrom").await, "sent");
            let fencing = door.attribute(&url, "kyu:Fencing").await;
            let fencing: Value = serde_json::from_str(fencing.as_str().unwrap()).unwrap();
            assert_eq!(fencing["accept_late_acks"], !url.ends_with(".fifo"));
        }
    }
}
