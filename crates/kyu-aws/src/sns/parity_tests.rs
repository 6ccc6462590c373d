//! Behaviour that AWS' users rely on and that a fan-out over one engine gets wrong easily.

use serde_json::{Value, json};

use super::tests::*;
use crate::test_door::Door;

fn text<'a>(message: &'a Value, name: &str) -> &'a str {
    message[name].as_str().unwrap_or_default()
}

/// All queues of a topic showed the id that Publish had answered. Consumers that keep received ids
/// in one table for several queues (inbox tables, deduplication by MessageId) dropped the second
/// queue's copy as a repetition.
#[tokio::test]
async fn each_queue_of_a_topic_has_message_ids_of_its_own() {
    let door = Door::open();
    ok(&door, "CreateTopic", &[("Name", "t")]).await;
    let dead = door.queue("dead", json!({})).await;
    let arn = door.attribute(&dead, "QueueArn").await;
    let redrive = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": "1" }).to_string();
    let mut ids = vec![];
    let mut urls = vec![];
    for (name, raw) in [("a", "false"), ("b", "false"), ("c", "true"), ("d", "true")] {
        let url = door.queue(name, json!({ "RedrivePolicy": redrive })).await;
        subscribe(&door, name, &[("RawMessageDelivery", raw)]).await;
        urls.push(url);
    }
    ids.push(publish(&door, "m", &[]).await);
    for url in &urls {
        let first = door.receive(url).await.remove(0);
        if let Ok(envelope) = serde_json::from_str::<Value>(text(&first, "Body")) {
            assert_eq!(text(&envelope, "MessageId"), ids[0], "the envelope says the topic's");
        }
        ids.push(text(&first, "MessageId").to_owned());
        door.give_back(url, &first).await;
        assert_eq!(door.receive(url).await, Vec::<Value>::new(), "it goes to the dead letters");
    }
    let uuid = |id: &String| id.len() == 36 && id.as_bytes().get(14) == Some(&b'4');
    assert!(ids.iter().all(uuid), "{ids:?}");
    let dead = door.receive(&dead).await;
    let mut moved: Vec<_> = dead.iter().map(|one| text(one, "MessageId").to_owned()).collect();
    let mut received = ids.split_off(1);
    received.sort();
    moved.sort();
    assert_eq!(moved, received, "a dead letter keeps the id of its queue");
    received.extend(ids);
    received.sort();
    received.dedup();
    assert_eq!(received.len(), 5, "the topic's and one for each queue");
}

/// A FIFO topic may have standard queues. They were shown the group of the topic's message, and a
/// forwarder that copied it to another queue's fair sharing made one noisy tenant of everybody.
#[tokio::test]
async fn a_standard_queue_of_a_fifo_topic_knows_no_groups_and_topics_count_apart_from_queues() {
    let door = Door::open();
    let created = [("Name", "t.fifo"), ("Attributes.entry.1.key", "FifoTopic")];
    let created = [created.as_slice(), &[("Attributes.entry.1.value", "true")]].concat();
    ok(&door, "CreateTopic", &created).await;
    let (standard, ordered) = (door.queue("q", json!({})).await, door.fifo("q.fifo").await);
    let topic = format!("{TOPIC}.fifo");
    for queue in ["q", "q.fifo"] {
        let endpoint = format!("arn:aws:sqs:us-east-1:000000000000:{queue}");
        let to = [("TopicArn", &*topic), ("Protocol", "sqs"), ("Endpoint", &endpoint)];
        ok(&door, "Subscribe", &to).await;
    }
    let message = [("TopicArn", &*topic), ("Message", "m"), ("MessageGroupId", "g")];
    let message = [message.as_slice(), &[("MessageDeduplicationId", "d")]].concat();
    let published = ok(&door, "Publish", &message).await;
    let of_standard = door.receive(&standard).await.remove(0);
    assert_eq!(of_standard["Attributes"].get("MessageGroupId"), None);
    assert_eq!(of_standard["Attributes"].get("MessageDeduplicationId"), None);
    let of_ordered = door.receive(&ordered).await.remove(0);
    assert_eq!(of_ordered["Attributes"]["MessageGroupId"], "g");
    let number = text(&of_ordered["Attributes"], "SequenceNumber");
    assert_ne!(number, element(&published, "SequenceNumber"));
    assert_eq!(number.len(), 20);
}
