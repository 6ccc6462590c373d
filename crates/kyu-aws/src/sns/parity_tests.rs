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

fn in_region(
    request: hyper::http::request::Builder,
    region: &str,
) -> hyper::http::request::Builder {
    let claim = format!("AWS4-HMAC-SHA256 Credential=AK/20261201/{region}/sqs/aws4_request, x=y");
    request.header("host", crate::test_door::HOST).header("authorization", claim)
}

async fn json_in(door: &Door, region: &str, action: &str, request: Value) -> Value {
    let post = in_region(hyper::Request::post("/"), region)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", format!("AmazonSQS.{action}"));
    door.say(post.body(request.to_string().into_bytes()).unwrap()).await.json()
}

async fn sns_in(door: &Door, region: &str, form: &str) -> String {
    let post = in_region(hyper::Request::post("/"), region)
        .header("content-type", "application/x-www-form-urlencoded");
    let form = format!("Version=2010-03-31&{form}");
    door.say(post.body(form.into_bytes()).unwrap()).await.body
}

/// Stacks that span regions (replication, fail-over tests) made their queue of one region, and were
/// given the queue of the other by the same name.
#[tokio::test]
async fn each_region_has_queues_and_topics_of_its_own() {
    let door = Door::open();
    let (home, away) = ("us-east-1", "eu-west-1");
    let mut urls = vec![];
    for region in [home, away] {
        let made = json_in(&door, region, "CreateQueue", json!({ "QueueName": "q" })).await;
        urls.push(text(&made, "QueueUrl").to_owned());
        let url = &urls[0];
        let message = json!({ "QueueUrl": url, "MessageBody": region });
        json_in(&door, region, "SendMessage", message).await;
        let attributes = json!({ "QueueUrl": url, "AttributeNames": ["QueueArn"] });
        let shown = json_in(&door, region, "GetQueueAttributes", attributes).await;
        let arn = format!("arn:aws:sqs:{region}:000000000000:q");
        assert_eq!(shown["Attributes"]["QueueArn"], arn);
    }
    assert_eq!(urls[0], urls[1], "as with AWS, the host or the signature says the region");
    for region in [home, away] {
        let received =
            json_in(&door, region, "ReceiveMessage", json!({ "QueueUrl": urls[0] })).await;
        assert_eq!(received["Messages"][0]["Body"], region);
        let listed = json_in(&door, region, "ListQueues", json!({})).await;
        assert_eq!(listed["QueueUrls"].as_array().unwrap().len(), 1);
    }
    // AWS' own form of host names the region, and clients that sign for nothing are at home.
    let host = json!({ "QueueUrl": "https://sqs.eu-west-1.amazonaws.com/000000000000/q" });
    assert!(json_in(&door, home, "ReceiveMessage", host).await.get("Messages").is_none());
    let sent = json!({ "QueueUrl": urls[0], "MessageBody": "from nowhere" });
    door.ok("SendMessage", sent).await;
    let received = json_in(&door, home, "ReceiveMessage", json!({ "QueueUrl": urls[0] })).await;
    assert_eq!(received["Messages"][0]["Body"], "from nowhere");

    let made = sns_in(&door, away, "Action=CreateTopic&Name=t").await;
    let topic = element(&made, "TopicArn");
    assert_eq!(topic, "arn:aws:sns:eu-west-1:000000000000:t");
    let at_home = sns_in(&door, home, &format!("Action=GetTopicAttributes&TopicArn={topic}")).await;
    assert_eq!(element(&at_home, "Message"), "Invalid parameter: TopicArn", "recorded");
    assert!(!sns_in(&door, home, "Action=ListTopics").await.contains("TopicArn"));
    // A topic delivers to a queue of another region (recorded).
    let endpoint = "Protocol=sqs&Endpoint=arn:aws:sqs:us-east-1:000000000000:q";
    let subscribe = format!("Action=Subscribe&TopicArn={topic}&{endpoint}");
    let subscribed = element(&sns_in(&door, away, &subscribe).await, "SubscriptionArn");
    assert!(subscribed.starts_with(&topic), "{subscribed}");
    sns_in(&door, away, &format!("Action=Publish&TopicArn={topic}&Message=m")).await;
    let received = json_in(&door, home, "ReceiveMessage", json!({ "QueueUrl": urls[0] })).await;
    let envelope: Value = serde_json::from_str(text(&received["Messages"][0], "Body")).unwrap();
    assert_eq!(envelope["TopicArn"], topic);
    for (region, count) in [(home, 0), (away, 1)] {
        let list = sns_in(&door, region, "Action=ListSubscriptions").await;
        assert_eq!(list.matches("<member>").count(), count, "{region}");
        assert_eq!(element(&list, "Owner").is_empty(), count == 0);
    }
    // No ARN reaches into the namespaces of others.
    let inner = "Protocol=sqs&Endpoint=arn:aws:sqs:http:sns:x";
    let subscribe = format!("Action=Subscribe&TopicArn={topic}&{inner}");
    let refused = element(&sns_in(&door, away, &subscribe).await, "Message");
    assert_eq!(refused, "Invalid parameter: SQS endpoint ARN");
}

#[tokio::test]
async fn one_region_for_all_if_the_operator_wants_it() {
    let mut options = crate::SqsOptions { single_region: true, ..crate::SqsOptions::default() };
    options.sns.sign_all = false;
    let door = Door::with(options, kyu_door::access::Access::new(vec![]));
    json_in(&door, "eu-west-1", "CreateQueue", json!({ "QueueName": "q" })).await;
    let listed = json_in(&door, "us-east-1", "ListQueues", json!({})).await;
    assert_eq!(listed["QueueUrls"].as_array().unwrap().len(), 1);
}
