//! Transcripts of topics, subscriptions and publishes over a real broker.

use kyu_door::access::Access;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::test_door::{Door, Said};

pub(super) const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:t";

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// A request as SDKs send it.
pub(super) async fn say(door: &Door, action: &str, parameters: &[(&str, &str)]) -> Said {
    let mut form = format!("Action={action}&Version=2010-03-31");
    for (name, value) in parameters {
        form.push_str(&format!("&{name}={}", encoded(value)));
    }
    door.form("/", &form).await
}

pub(super) async fn ok(door: &Door, action: &str, parameters: &[(&str, &str)]) -> String {
    let said = say(door, action, parameters).await;
    assert_eq!(said.status, 200, "{action} {parameters:?}: {}", said.body);
    assert_eq!(said.header("content-type"), "text/xml");
    said.body
}

pub(super) async fn fails(
    door: &Door,
    action: &str,
    parameters: &[(&str, &str)],
) -> (u16, String, String) {
    let said = say(door, action, parameters).await;
    (said.status, element(&said.body, "Code"), element(&said.body, "Message"))
}

pub(super) fn invalid(text: &str) -> (u16, String, String) {
    (400, "InvalidParameter".into(), format!("Invalid parameter: {text}"))
}

/// The text of the first element of that name.
pub(super) fn element(xml: &str, tag: &str) -> String {
    let text = xml.split(&format!("<{tag}>")).nth(1).unwrap_or_default();
    let text = text.split(&format!("</{tag}>")).next().unwrap_or_default();
    text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// One attribute of a map in an answer.
pub(super) fn attribute(xml: &str, name: &str) -> String {
    let rest = xml.split(&format!("<key>{name}</key>")).nth(1).unwrap_or_default();
    element(rest, "value")
}

pub(super) async fn subscribe(door: &Door, queue: &str, attributes: &[(&str, &str)]) -> String {
    let endpoint = format!("arn:aws:sqs:us-east-1:000000000000:{queue}");
    let mut names = Vec::new();
    for at in 1..=attributes.len() {
        let name = |part| format!("Attributes.entry.{at}.{part}");
        names.push((name("key"), name("value")));
    }
    let mut parameters = vec![("TopicArn", TOPIC), ("Protocol", "sqs"), ("Endpoint", &endpoint)];
    for ((key_name, value_name), (key, value)) in names.iter().zip(attributes) {
        parameters.push((key_name, key));
        parameters.push((value_name, value));
    }
    element(&ok(door, "Subscribe", &parameters).await, "SubscriptionArn")
}

pub(super) async fn publish(door: &Door, message: &str, more: &[(&str, &str)]) -> String {
    let mut parameters = vec![("TopicArn", TOPIC), ("Message", message)];
    parameters.extend(more);
    element(&ok(door, "Publish", &parameters).await, "MessageId")
}

fn envelope(message: &Value) -> Value {
    serde_json::from_str(message["Body"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_message_reaches_one_queue_wrapped_and_another_bare() {
    let door = Door::open();
    let created = ok(&door, "CreateTopic", &[("Name", "t")]).await;
    let expected = format!(
        "<CreateTopicResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\">\
         <CreateTopicResult><TopicArn>{TOPIC}</TopicArn></CreateTopicResult><ResponseMetadata>"
    );
    assert!(created.starts_with(&expected), "{created}");
    let (wrapped, bare) = (door.queue("w", json!({})).await, door.queue("b", json!({})).await);
    let subscription = subscribe(&door, "w", &[]).await;
    assert!(subscription.starts_with(&format!("{TOPIC}:")), "{subscription}");
    subscribe(&door, "b", &[("RawMessageDelivery", "True")]).await;
    let id = publish(
        &door,
        "a <b> \"c\"",
        &[
            ("Subject", "s"),
            ("MessageAttributes.entry.1.Name", "n"),
            ("MessageAttributes.entry.1.Value.DataType", "Number"),
            ("MessageAttributes.entry.1.Value.StringValue", "1"),
            ("MessageAttributes.entry.2.Name", "x"),
            ("MessageAttributes.entry.2.Value.DataType", "Binary"),
            ("MessageAttributes.entry.2.Value.BinaryValue", "AgME"),
        ],
    )
    .await;
    let received = door.receive(&wrapped).await.remove(0);
    let mut found = envelope(&received);
    let timestamp = found["Timestamp"].take();
    assert_eq!(timestamp.as_str().unwrap().len(), 24);
    let expected = json!({
        "Type": "Notification",
        "MessageId": id,
        "TopicArn": TOPIC,
        "Subject": "s",
        "Message": "a <b> \"c\"",
        "Timestamp": null,
        "UnsubscribeURL":
            format!("http://localhost:9324/?Action=Unsubscribe&SubscriptionArn={subscription}"),
        "MessageAttributes": {
            "n": { "Type": "Number", "Value": "1" },
            "x": { "Type": "Binary", "Value": "AgME" },
        },
    });
    assert_eq!(found, expected);
    assert_eq!(received["MessageAttributes"], json!(null), "they are in the envelope");
    let received = door.receive(&bare).await.remove(0);
    assert_eq!(received["Body"], "a <b> \"c\"");
    assert_eq!(received["MessageAttributes"]["n"]["StringValue"], "1");

    // The link in the message ends the subscription; there is nothing to sign it with.
    let link = expected["UnsubscribeURL"].as_str().unwrap().strip_prefix("http://localhost:9324");
    assert_eq!(door.get(link.unwrap(), "*/*").await.status, 200);
    publish(&door, "later", &[]).await;
    assert_eq!(door.receive(&wrapped).await, Vec::<Value>::new());
    assert_eq!(door.receive(&bare).await.len(), 1);
}

#[tokio::test]
async fn topics_and_their_attributes() {
    let door = Door::open();
    let name = ("Attributes.entry.1.key", "DisplayName");
    let create = [("Name", "t"), name, ("Attributes.entry.1.value", "d")];
    ok(&door, "CreateTopic", &create).await;
    ok(&door, "CreateTopic", &create).await;
    ok(&door, "CreateTopic", &[("Name", "t")]).await;
    let other = [("Name", "t"), name, ("Attributes.entry.1.value", "other")];
    let text = "Attributes Reason: Topic already exists with different attributes";
    assert_eq!(fails(&door, "CreateTopic", &other).await, invalid(text));
    let tagged = [("Name", "t"), ("Tags.member.1.Key", "k"), ("Tags.member.1.Value", "v")];
    let text = "Tags Reason: Topic already exists with different tags";
    assert_eq!(fails(&door, "CreateTopic", &tagged).await, invalid(text));
    for wrong in ["", "a b", "x.fifo", &"x".repeat(257)] {
        let failure = fails(&door, "CreateTopic", &[("Name", wrong)]).await;
        assert_eq!(failure, invalid("Topic Name"), "{wrong}");
    }
    let fifo = [("Attributes.entry.1.key", "FifoTopic"), ("Attributes.entry.1.value", "true")];
    for wrong in ["x", ".fifo", "a b.fifo", "t"] {
        let create = [fifo[0], fifo[1], ("Name", wrong)];
        assert_eq!(fails(&door, "CreateTopic", &create).await, invalid("Topic Name"), "{wrong}");
    }
    let attributes = ok(&door, "GetTopicAttributes", &[("TopicArn", TOPIC)]).await;
    assert_eq!(attribute(&attributes, "DisplayName"), "d");
    assert_eq!(attribute(&attributes, "Owner"), "000000000000");
    assert_eq!(attribute(&attributes, "SubscriptionsConfirmed"), "0");
    let policy: Value = serde_json::from_str(&attribute(&attributes, "Policy")).unwrap();
    assert_eq!(policy["Statement"][0]["Resource"], TOPIC);
    let set =
        |name, value| [("TopicArn", TOPIC), ("AttributeName", name), ("AttributeValue", value)];
    ok(&door, "SetTopicAttributes", &set("DisplayName", "new")).await;
    for name in ["FifoTopic", "Nope", "ArchivePolicy"] {
        let failure = fails(&door, "SetTopicAttributes", &set(name, "false")).await;
        assert_eq!(failure, invalid("AttributeName"), "{name}");
    }
    let attributes = ok(&door, "GetTopicAttributes", &[("TopicArn", TOPIC)]).await;
    assert_eq!(attribute(&attributes, "DisplayName"), "new");

    let not_found = (404, "NotFound".into(), "Topic does not exist".into());
    let unknown = TOPIC.replace(":t", ":u");
    let failure = fails(&door, "GetTopicAttributes", &[("TopicArn", &unknown)]).await;
    assert_eq!(failure, not_found);
    let text = "TopicArn Reason: An ARN must have at least 6 elements, not 1";
    let failure = fails(&door, "GetTopicAttributes", &[("TopicArn", "x")]).await;
    assert_eq!(failure, invalid(text));
    let elsewhere = TOPIC.replace("us-east-1", "eu-west-1");
    let failure = fails(&door, "DeleteTopic", &[("TopicArn", &elsewhere)]).await;
    assert_eq!(failure, invalid("TopicArn"));

    for at in 0..101 {
        ok(&door, "CreateTopic", &[("Name", &format!("many-{at:03}"))]).await;
    }
    let first = ok(&door, "ListTopics", &[]).await;
    assert_eq!(first.matches("<TopicArn>").count(), 100);
    let token = element(&first, "NextToken");
    let second = ok(&door, "ListTopics", &[("NextToken", &token)]).await;
    assert_eq!(second.matches("<TopicArn>").count(), 2);
    assert!(!second.contains("NextToken"));
    ok(&door, "DeleteTopic", &[("TopicArn", TOPIC)]).await;
    ok(&door, "DeleteTopic", &[("TopicArn", TOPIC)]).await;
    let publish = [("TopicArn", TOPIC), ("Message", "m")];
    assert_eq!(fails(&door, "Publish", &publish).await, not_found);
}

#[tokio::test]
async fn subscriptions_and_their_attributes() {
    let door = Door::open();
    ok(&door, "CreateTopic", &[("Name", "t")]).await;
    let arn = subscribe(&door, "q", &[]).await;
    assert_eq!(subscribe(&door, "q", &[]).await, arn, "no second one");
    let default = ("FilterPolicyScope", "MessageAttributes");
    assert_eq!(subscribe(&door, "q", &[default]).await, arn, "what is not given is the default");
    let to =
        |protocol, endpoint| [("TopicArn", TOPIC), ("Protocol", protocol), ("Endpoint", endpoint)];
    for protocol in ["lambda", "firehose", "x"] {
        let text = format!("Amazon SNS does not support this protocol string: {protocol}");
        assert_eq!(fails(&door, "Subscribe", &to(protocol, "+15/555-12.34")).await, invalid(&text));
    }
    for wrong in ["NAA+15551234567", "+15--551234567", "+15551234567.", "/+15551234567"] {
        let text = format!("Invalid SMS endpoint: {wrong}");
        let failure = fails(&door, "Subscribe", &to("sms", wrong)).await;
        assert_eq!(failure, (400, "InvalidParameter".into(), text));
    }
    // What is wrong with a policy is said whatever the protocol, and a phone is enough to try it.
    let mut wrong = to("sms", "+123123123").to_vec();
    wrong.push(("Attributes.entry.1.key", "FilterPolicy"));
    wrong.push(("Attributes.entry.1.value", r#"{"key": [["value"]]}"#));
    let text = "Attributes Reason: FilterPolicy: Match value must be String, number, true, false, or \
                null\n at [Source: (String)\"{\"key\":[[\"value\"]]}\"; line: 1, column: 10]";
    assert_eq!(fails(&door, "Subscribe", &wrong).await, invalid(text));
    let failure = fails(&door, "Subscribe", &to("sqs", "http://x/q")).await;
    assert_eq!(failure, invalid("SQS endpoint ARN"));
    let unknown = format!("{TOPIC}-unknown");
    let at_nobody = [("TopicArn", &*unknown), ("Protocol", "email"), ("Endpoint", "a@b")];
    let not_found = (404, "NotFound".into(), "Topic does not exist".into());
    assert_eq!(fails(&door, "Subscribe", &at_nobody).await, not_found);
    let fifo = "arn:aws:sqs:us-east-1:000000000000:q.fifo";
    let text = "Invalid parameter: Endpoint Reason: \
                FIFO SQS Queues can not be subscribed to standard SNS topics";
    assert_eq!(fails(&door, "Subscribe", &to("sqs", fifo)).await, invalid(text));
    let queue = "arn:aws:sqs:us-east-1:000000000000:other";
    let mut wrong = to("sqs", queue).to_vec();
    wrong.push(("Attributes.entry.1.key", "RawMessageDelivery"));
    wrong.push(("Attributes.entry.1.value", "wrongvalue"));
    let text = "Attributes Reason: RawMessageDelivery: Invalid value [wrongvalue]. \
                Must be true or false.";
    assert_eq!(fails(&door, "Subscribe", &wrong).await, invalid(text));

    let get = [("SubscriptionArn", arn.as_str())];
    let attributes = ok(&door, "GetSubscriptionAttributes", &get).await;
    for (name, value) in [
        ("RawMessageDelivery", "false"),
        ("PendingConfirmation", "false"),
        ("Endpoint", "arn:aws:sqs:us-east-1:000000000000:q"),
        ("TopicArn", TOPIC),
        ("FilterPolicyScope", ""),
    ] {
        assert_eq!(attribute(&attributes, name), value, "{name}");
    }
    let set = |name, value| {
        [("SubscriptionArn", arn.as_str()), ("AttributeName", name), ("AttributeValue", value)]
    };
    for (name, value, text) in [
        ("Nope", "x", "AttributeName"),
        (
            "FilterPolicyScope",
            "RandomValue",
            "FilterPolicyScope: Invalid value [RandomValue]. \
             Please use either MessageBody or MessageAttributes",
        ),
        (
            "FilterPolicy",
            r#"{"a":{"b":["x"]}}"#,
            "Filter policy scope MessageAttributes does not support nested filter policy",
        ),
        (
            "RedrivePolicy",
            r#"{"deadLetterTargetArn":"fake"}"#,
            "RedrivePolicy: deadLetterTargetArn is an invalid arn",
        ),
    ] {
        let failure = fails(&door, "SetSubscriptionAttributes", &set(name, value)).await;
        assert_eq!(failure, invalid(text));
    }
    ok(&door, "SetSubscriptionAttributes", &set("FilterPolicyScope", "MessageBody")).await;
    ok(&door, "SetSubscriptionAttributes", &set("FilterPolicy", r#"{"a":{"b":["x"]}}"#)).await;
    let attributes = ok(&door, "GetSubscriptionAttributes", &get).await;
    assert_eq!(attribute(&attributes, "FilterPolicyScope"), "MessageBody");
    assert_eq!(attribute(&attributes, "FilterPolicy"), r#"{"a":{"b":["x"]}}"#);

    let list = ok(&door, "ListSubscriptionsByTopic", &[("TopicArn", TOPIC)]).await;
    assert_eq!(element(&list, "SubscriptionArn"), arn);
    ok(&door, "Unsubscribe", &get).await;
    ok(&door, "Unsubscribe", &get).await;
    let gone = (404, "NotFound".into(), "Subscription does not exist".into());
    assert_eq!(fails(&door, "GetSubscriptionAttributes", &get).await, gone);
    let list = ok(&door, "ListSubscriptions", &[]).await;
    assert!(list.contains("<Subscriptions></Subscriptions>"), "{list}");
    let short = fails(&door, "Unsubscribe", &[("SubscriptionArn", "x")]).await;
    let text = "SubscriptionArn Reason: An ARN must have at least 6 elements, not 1";
    assert_eq!(short, invalid(text));
}

#[tokio::test]
async fn filters_choose_by_attributes_and_by_body() {
    let door = Door::open();
    ok(&door, "CreateTopic", &[("Name", "t")]).await;
    let (by_name, by_body) = (door.queue("a", json!({})).await, door.queue("b", json!({})).await);
    let raw = ("RawMessageDelivery", "true");
    let policy = r#"{"n":[{"numeric":[">",0,"<=",100]}]}"#;
    subscribe(&door, "a", &[raw, ("FilterPolicy", policy)]).await;
    let policy = r#"{"k":{"l":[{"prefix":"x"}]}}"#;
    subscribe(&door, "b", &[raw, ("FilterPolicy", policy), ("FilterPolicyScope", "MessageBody")])
        .await;
    for (body, number) in [("{\"k\":{\"l\":[\"y\",\"xy\"]}}", "0"), ("plain", "99.5")] {
        let attribute = [
            ("MessageAttributes.entry.1.Name", "n"),
            ("MessageAttributes.entry.1.Value.DataType", "Number"),
            ("MessageAttributes.entry.1.Value.StringValue", number),
        ];
        publish(&door, body, &attribute).await;
    }
    let bodies = async |url: &str| {
        let received = door.receive(url).await;
        received.iter().map(|message| message["Body"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(bodies(&by_name).await, ["plain"]);
    assert_eq!(bodies(&by_body).await, ["{\"k\":{\"l\":[\"y\",\"xy\"]}}"]);
}

/// Recorded: the conditions on an object in a list must hold for the same object.
#[tokio::test]
async fn a_filter_asks_one_object_of_a_list() {
    let door = Door::open();
    ok(&door, "CreateTopic", &[("Name", "t")]).await;
    let queue = door.queue("q", json!({})).await;
    let policy = r#"{"Records":{"s3":{"object":{"key":[{"prefix":"auto-"}]}},
        "eventName":[{"prefix":"ObjectCreated:"}]}}"#;
    let scope = ("FilterPolicyScope", "MessageBody");
    subscribe(&door, "q", &[("RawMessageDelivery", "true"), ("FilterPolicy", policy), scope]).await;
    let record = |event: &str, key: Value| json!({ "eventName": event, "s3": { "object": key } });
    let key = |key: &str| json!({ "key": key });
    let created = "ObjectCreated:Put";
    let both = json!({ "Records": [
        record(created, json!([[key("auto-1")]])),
        record("ObjectRemoved:Delete", key("home-1")),
    ] });
    let apart = json!({ "Records": [
        record(created, key("home-1")),
        record("ObjectRemoved:Delete", key("auto-1")),
    ] });
    for body in [&apart, &both] {
        publish(&door, &body.to_string(), &[]).await;
    }
    let received = door.receive(&queue).await;
    assert_eq!(received.len(), 1);
    assert_eq!(received[0]["Body"], both.to_string());
}

#[tokio::test]
async fn topics_sign_what_queues_get_by_their_version_or_the_first() {
    let door = Door::with(crate::SqsOptions::default(), Access::new(vec![]));
    let version = ("Attributes.entry.1.key", "SignatureVersion");
    ok(&door, "CreateTopic", &[("Name", "t"), version, ("Attributes.entry.1.value", "2")]).await;
    let (one, two) = (door.queue("a", json!({})).await, door.queue("b", json!({})).await);
    subscribe(&door, "a", &[]).await;
    subscribe(&door, "b", &[]).await;
    publish(&door, "m", &[]).await;
    let (one, two) = (door.receive(&one).await.remove(0), door.receive(&two).await.remove(0));
    let (one, two) = (envelope(&one), envelope(&two));
    assert_eq!(one["SignatureVersion"], "2");
    assert_eq!(one["Signature"], two["Signature"], "of the message, not of the subscription");
    let url = one["SigningCertURL"].as_str().unwrap();
    let path = url.strip_prefix("http://localhost:9324").unwrap();
    let certificate = door.get(path, "*/*").await;
    assert_eq!(certificate.status, 200);
    assert!(certificate.body.starts_with("-----BEGIN CERTIFICATE-----"), "{}", certificate.body);
    // Back to the default.
    let set = [("TopicArn", TOPIC), ("AttributeName", "SignatureVersion"), ("AttributeValue", "")];
    ok(&door, "SetTopicAttributes", &set).await;
    publish(&door, "n", &[]).await;
    let later = door.receive(&door.queue("a", json!({})).await).await;
    assert_eq!(envelope(&later[0])["SignatureVersion"], "1");
    assert_eq!(envelope(&later[0])["Signature"].as_str().unwrap().len(), 344);
}

#[tokio::test]
async fn an_ordered_topic() {
    let door = Door::open();
    let fifo = [
        ("Name", "t.fifo"),
        ("Attributes.entry.1.key", "FifoTopic"),
        ("Attributes.entry.1.value", "true"),
    ];
    let topic = element(&ok(&door, "CreateTopic", &fifo).await, "TopicArn");
    let (ordered, plain) = (door.fifo("q.fifo").await, door.queue("q", json!({})).await);
    for queue in ["q.fifo", "q"] {
        let endpoint = format!("arn:aws:sqs:us-east-1:000000000000:{queue}");
        let to = [("TopicArn", topic.as_str()), ("Protocol", "sqs"), ("Endpoint", &endpoint)];
        ok(&door, "Subscribe", &to).await;
    }
    let bare = [("TopicArn", topic.as_str()), ("Message", "m")];
    let text = "The MessageGroupId parameter is required for FIFO topics";
    assert_eq!(fails(&door, "Publish", &bare).await, invalid(text));
    let mut grouped = bare.to_vec();
    grouped.push(("MessageGroupId", "g"));
    let text = "The topic should either have ContentBasedDeduplication enabled or \
                MessageDeduplicationId provided explicitly";
    assert_eq!(fails(&door, "Publish", &grouped).await, invalid(text));
    let mut full = grouped.clone();
    full.push(("MessageDeduplicationId", "d"));
    let sequence = element(&ok(&door, "Publish", &full).await, "SequenceNumber");
    assert_eq!(sequence.len(), 20);
    assert_eq!(element(&ok(&door, "Publish", &full).await, "SequenceNumber"), sequence);
    let received = door.receive(&ordered).await;
    assert_eq!(received.len(), 1);
    assert_eq!(envelope(&received[0])["SequenceNumber"], sequence);
    assert_eq!(received[0]["Attributes"]["MessageGroupId"], "g");
    assert_eq!(received[0]["Attributes"]["MessageDeduplicationId"], "d");
    let received = door.receive(&plain).await;
    assert_eq!(received.len(), 1);
    assert_eq!(received[0]["Attributes"]["MessageDeduplicationId"], json!(null));

    ok(&door, "CreateTopic", &[("Name", "t")]).await;
    let dedup = [("TopicArn", TOPIC), ("Message", "m"), ("MessageDeduplicationId", "d")];
    let text = "MessageDeduplicationId Reason: The request includes MessageDeduplicationId \
                parameter that is not valid for this topic type";
    assert_eq!(fails(&door, "Publish", &dedup).await, invalid(text));
}

#[tokio::test]
async fn what_has_no_queue_goes_to_the_dead_letter_queue() {
    let door = Door::open();
    ok(&door, "CreateTopic", &[("Name", "t")]).await;
    let dead = door.queue("dead", json!({})).await;
    let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead"}"#;
    let wrapped = subscribe(&door, "gone", &[("RedrivePolicy", policy)]).await;
    publish(&door, "m", &[]).await;
    let received = door.receive(&dead).await;
    let url = envelope(&received[0])["UnsubscribeURL"].as_str().unwrap().to_owned();
    assert!(url.ends_with(&wrapped), "{url}");
}

#[tokio::test]
async fn batches() {
    let door = Door::open();
    ok(&door, "CreateTopic", &[("Name", "t")]).await;
    let queue = door.queue("q", json!({})).await;
    subscribe(&door, "q", &[("RawMessageDelivery", "true")]).await;
    let batch = |entries: &[(&str, &str)]| {
        let named = entries.iter().zip(1..).flat_map(|((id, message), at)| {
            let name = |part| format!("PublishBatchRequestEntries.member.{at}.{part}");
            [(name("Id"), (*id).to_owned()), (name("Message"), (*message).to_owned())]
        });
        let mut all = vec![("TopicArn".to_owned(), TOPIC.to_owned())];
        all.extend(named);
        all
    };
    let refs = |all: &[(String, String)]| -> Vec<(&'static str, &'static str)> {
        // Leaked: a test's few names.
        let leak = |text: &String| -> &'static str { Box::leak(text.clone().into_boxed_str()) };
        all.iter().map(|(name, value)| (leak(name), leak(value))).collect()
    };
    let answer = ok(&door, "PublishBatch", &refs(&batch(&[("1", "a"), ("2", "b")]))).await;
    assert_eq!(answer.matches("<MessageId>").count(), 2);
    assert!(answer.contains("<Failed></Failed>"), "{answer}");
    assert_eq!(door.receive(&queue).await.len(), 2);
    let many: Vec<_> = (0..11).map(|_| ("x", "m")).collect();
    let big = "x".repeat(140_000);
    for (entries, code) in [
        (vec![("1", "a"), ("1", "b")], "BatchEntryIdsNotDistinct"),
        (vec![], "EmptyBatchRequest"),
        (many, "TooManyEntriesInBatchRequest"),
        (vec![("a:b", "a")], "InvalidBatchEntryId"),
        (vec![("1", &big), ("2", &big)], "BatchRequestTooLong"),
        (vec![("1", "")], "InvalidParameter"),
    ] {
        let (status, found, _) = fails(&door, "PublishBatch", &refs(&batch(&entries))).await;
        assert_eq!((status, found.as_str()), (400, code));
    }
    assert_eq!(door.receive(&queue).await.len(), 0);
}

#[tokio::test]
async fn what_a_message_may_be() {
    let door = Door::open();
    ok(&door, "CreateTopic", &[("Name", "t")]).await;
    let attribute = |name, data_type, field, value| {
        vec![
            ("Message", "m"),
            ("MessageAttributes.entry.1.Name", name),
            ("MessageAttributes.entry.1.Value.DataType", data_type),
            (field, value),
        ]
    };
    let text = "MessageAttributes.entry.1.Value.StringValue";
    let binary = "MessageAttributes.entry.1.Value.BinaryValue";
    let long = "x".repeat(262_145);
    let json = ("MessageStructure", "json");
    for (parameters, code, expected) in [
        (vec![("Message", "")], "InvalidParameter", "Invalid parameter: Empty message"),
        (vec![("Message", "m"), ("Subject", "")], "InvalidParameter", "Invalid parameter: Subject"),
        (vec![("Message", &*long)], "InvalidParameter", "Invalid parameter: Message too long"),
        (
            vec![("Message", "{}"), json],
            "InvalidParameter",
            "Invalid parameter: Message Structure - No default entry in JSON message body",
        ),
        (
            vec![("Message", "{"), json],
            "InvalidParameter",
            "Invalid parameter: Message Structure - JSON message body failed to parse",
        ),
        (
            attribute("a", "String.", text, "x"),
            "ParameterValueInvalid",
            "The message attribute 'a' has an invalid message attribute type, the set of supported \
             type prefixes is Binary, Number, and String.",
        ),
        (
            attribute("a", "String", text, ""),
            "ParameterValueInvalid",
            "The message attribute 'a' must contain non-empty message attribute value for message \
             attribute type 'String'.",
        ),
        (
            attribute("a", "Number", text, "error"),
            "ParameterValueInvalid",
            "Could not cast message attribute 'a' value to number.",
        ),
        (
            attribute("a", "String", binary, "AgME"),
            "ParameterValueInvalid",
            "The message attribute 'a' with type 'String' must use field 'String'.",
        ),
        (
            attribute("a^", "String", text, "x"),
            "ParameterValueInvalid",
            "Invalid non-alphanumeric character '#x5E' was found in the message attribute name. Can \
             only include alphanumeric characters, hyphens, underscores, or dots.",
        ),
    ] {
        let mut all = vec![("TopicArn", TOPIC)];
        all.extend(parameters);
        let failure = fails(&door, "Publish", &all).await;
        assert_eq!(failure, (400, code.into(), expected.into()));
    }
    let text = "TopicArn or TargetArn Reason: no value for required parameter";
    assert_eq!(fails(&door, "Publish", &[("Message", "m")]).await, invalid(text));
    let queue = door.queue("q", json!({})).await;
    subscribe(&door, "q", &[("RawMessageDelivery", "true")]).await;
    publish(&door, r#"{"default":"d","sqs":"s","http":1}"#, &[json]).await;
    assert_eq!(door.receive(&queue).await[0]["Body"], "s");
}

#[tokio::test]
async fn tags_and_permissions() {
    let door = Door::open();
    ok(&door, "CreateTopic", &[("Name", "t")]).await;
    let resource = ("ResourceArn", TOPIC);
    let tagged = [
        ("Name", "tagged"),
        ("Tags.member.1.Key", "a"),
        ("Tags.member.1.Value", "1"),
        ("Tags.member.2.Key", "b"),
        ("Tags.member.2.Value", "2"),
    ];
    for same in [&tagged[..], &tagged[..3], &tagged[..1]] {
        ok(&door, "CreateTopic", same).await;
    }
    let tag = [resource, ("Tags.member.1.Key", "k"), ("Tags.member.1.Value", "v")];
    ok(&door, "TagResource", &tag).await;
    let tags = ok(&door, "ListTagsForResource", &[resource]).await;
    assert!(tags.contains("<member><Key>k</Key><Value>v</Value></member>"), "{tags}");
    let twice = [tag[0], tag[1], ("Tags.member.2.Key", "k")];
    let failure = fails(&door, "TagResource", &twice).await;
    assert_eq!(failure, invalid("Duplicated keys are not allowed."));
    ok(&door, "UntagResource", &[resource, ("TagKeys.member.1", "k")]).await;
    let tags = ok(&door, "ListTagsForResource", &[resource]).await;
    assert!(tags.contains("<Tags></Tags>"), "{tags}");
    let unknown = [("ResourceArn", "arn:aws:sns:us-east-1:000000000000:nope")];
    let expected = (404, "ResourceNotFound".into(), "Resource does not exist".into());
    assert_eq!(fails(&door, "ListTagsForResource", &unknown).await, expected);

    let permission = [
        ("TopicArn", TOPIC),
        ("Label", "l"),
        ("AWSAccountId.member.1", "111111111111"),
        ("ActionName.member.1", "Publish"),
    ];
    ok(&door, "AddPermission", &permission).await;
    let failure = fails(&door, "AddPermission", &permission).await;
    assert_eq!(failure, invalid("Statement already exists"));
    let attributes = ok(&door, "GetTopicAttributes", &[("TopicArn", TOPIC)]).await;
    let policy: Value = serde_json::from_str(&attribute(&attributes, "Policy")).unwrap();
    assert_eq!(policy["Statement"][1]["Action"], "SNS:Publish");
    ok(&door, "RemovePermission", &permission[..2]).await;
}

#[tokio::test]
async fn what_is_not_served_is_refused() {
    let door = Door::open();
    let (status, code, _) = fails(&door, "Nope", &[]).await;
    assert_eq!((status, code.as_str()), (400, "InvalidAction"));
    ok(&door, "CreateTopic", &[("Name", "t")]).await;
    for (token, text) in [("abc", "Invalid parameter: Token"), ("x y", "Invalid token")] {
        let confirm = [("TopicArn", TOPIC), ("Token", token)];
        let failure = fails(&door, "ConfirmSubscription", &confirm).await;
        assert_eq!(failure, (400, "InvalidParameter".into(), text.into()));
    }
    for protocol in ["lambda", "firehose", "pigeon"] {
        let to = [("TopicArn", TOPIC), ("Protocol", protocol), ("Endpoint", "e")];
        let text = format!("Amazon SNS does not support this protocol string: {protocol}");
        assert_eq!(fails(&door, "Subscribe", &to).await, invalid(&text));
    }
    // The topic first, then the rest (recorded).
    let to = [("TopicArn", &*TOPIC.replace(":t", ":no")), ("Protocol", "sqs"), ("Endpoint", "x")];
    let missing = (404, "NotFound".into(), "Topic does not exist".into());
    assert_eq!(fails(&door, "Subscribe", &to).await, missing);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes, each request gets an answer, and never an internal error.
    #[test]
    fn hostile_requests_are_answered(
        action in prop::sample::select(super::ACTIONS),
        parameters in prop::collection::vec(
            (
                prop::sample::select(&[
                    "Name", "TopicArn", "Endpoint", "SubscriptionArn", "AttributeName", "Message",
                    "AttributeValue", "NextToken", "Token", "Label", "ResourceArn", "Subject",
                    "Attributes.entry.1.key", "Attributes.entry.1.value", "Attributes.entry",
                    "Tags.member.x.Key", "PublishBatchRequestEntries.member.1.Id",
                    "PublishBatchRequestEntries.member.1.Message", "MessageStructure",
                    "MessageAttributes.entry.1.Name", "MessageAttributes.entry.1.Value.DataType",
                    "MessageAttributes.entry.1.Value.BinaryValue", "AWSAccountId.member.1",
                ][..]),
                prop_oneof![
                    Just(TOPIC.to_owned()),
                    Just(format!("{TOPIC}:00000000-0000-4000-8000-00000000000é")),
                    Just("arn:aws:sqs:us-east-1:000000000000:q".to_owned()),
                    Just("FilterPolicy".to_owned()),
                    Just("{\"$or\":[{},{\"a\":[{\"numeric\":[\"=\",1e999]}]}]}".to_owned()),
                    Just("Binary".to_owned()),
                    Just("json".to_owned()),
                    "\\PC{0,12}",
                ],
            ),
            0..8,
        ),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let door = Door::open();
            ok(&door, "CreateTopic", &[("Name", "t")]).await;
            let mut all = vec![("Protocol", "sqs")];
            all.extend(parameters.iter().map(|(name, value)| (*name, value.as_str())));
            let said = say(&door, action, &all).await;
            assert!(said.status < 500, "{action} {all:?}: {}", said.body);
            assert_eq!(say(&door, "ListTopics", &[]).await.status, 200);
        });
    }
}

#[tokio::test]
async fn each_queue_of_a_topic_guards_by_an_attribute_of_its_own() {
    let door = Door::open();
    ok(&door, "CreateTopic", &[("Name", "t")]).await;
    let breaker = json!({ "min_attempts": 1, "open_ms": 60_000 });
    let mut urls = Vec::new();
    for (queue, by, raw) in [("a", "dependency", "true"), ("b", "region", "false")] {
        let guard = json!({ "key": { "attribute": by }, "breaker": breaker });
        urls.push(door.queue(queue, json!({ "kyu:Guard": guard.to_string() })).await);
        subscribe(&door, queue, &[("RawMessageDelivery", raw)]).await;
    }
    let send = async |dependency: &str, region: &str| {
        let mut more = Vec::new();
        let entries = [("1", "dependency", dependency), ("2", "region", region)];
        for (at, name, value) in entries {
            for (part, text) in
                [("Name", name), ("Value.DataType", "String"), ("Value.StringValue", value)]
            {
                more.push((format!("MessageAttributes.entry.{at}.{part}"), text));
            }
        }
        let more: Vec<_> = more.iter().map(|(name, text)| (name.as_str(), *text)).collect();
        publish(&door, &format!("{dependency} {region}"), &more).await;
    };
    send("stripe", "eu").await;
    for url in &urls {
        let failed = door.receive(url).await;
        door.give_back(url, &failed[0]).await;
    }
    send("stripe", "us").await;
    send("mail", "eu").await;
    let texts = async |url: &str| {
        let got = door.receive(url).await;
        got.iter().map(|message| message["Body"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(texts(&urls[0]).await, ["mail eu"]);
    let by_region = texts(&urls[1]).await;
    assert_eq!(by_region.len(), 1);
    assert!(by_region[0].contains("stripe us"), "{by_region:?}");
}
