//! Endpoints on the loopback that confirm, receive, refuse and hang, over a real broker.

use std::net::SocketAddr;

use kyu_door::access::{Access, Credential};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::*;
use crate::SqsOptions;
use crate::sns::tests::{TOPIC, attribute, element, fails, invalid, ok, publish};
use crate::test_door::Door;

/// One request that an endpoint got, still to be answered.
struct Posted {
    target: String,
    headers: Vec<(String, String)>,
    body: String,
    stream: BufReader<TcpStream>,
}

impl Posted {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    async fn answer(mut self, status: u16) {
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        self.stream.write_all(head.as_bytes()).await.unwrap();
    }
}

/// An endpoint whose answers the test gives.
struct Endpoint {
    address: SocketAddr,
    posted: mpsc::UnboundedReceiver<Posted>,
}

impl Endpoint {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, posted) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let tell = tell.clone();
                tokio::spawn(async move { drop(tell.send(read(stream).await)) });
            }
        });
        Self { address, posted }
    }

    fn url(&self) -> String {
        format!("http://{}/hook?a=b", self.address)
    }

    async fn next(&mut self) -> Posted {
        self.posted.recv().await.unwrap()
    }
}

async fn read(stream: TcpStream) -> Posted {
    let mut stream = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let headers: Vec<_> = lines[1..]
        .iter()
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").unwrap().1.parse();
    let mut body = vec![0; length.unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    let target = lines[0].split(' ').nth(1).unwrap().to_owned();
    Posted { target, headers, body: String::from_utf8(body).unwrap(), stream }
}

async fn subscribe(door: &Door, url: &str, more: &[(&str, &str)]) -> String {
    let mut parameters = vec![("TopicArn", TOPIC), ("Protocol", "http"), ("Endpoint", url)];
    parameters.extend(more);
    element(&ok(door, "Subscribe", &parameters).await, "SubscriptionArn")
}

/// A topic with one endpoint that has confirmed, and its subscription's ARN.
async fn confirmed(door: &Door, endpoint: &mut Endpoint) -> String {
    ok(door, "CreateTopic", &[("Name", "t")]).await;
    subscribe(door, &endpoint.url(), &[]).await;
    let posted = endpoint.next().await;
    let token = posted.json()["Token"].as_str().unwrap().to_owned();
    posted.answer(200).await;
    let confirm = [("TopicArn", TOPIC), ("Token", token.as_str())];
    element(&ok(door, "ConfirmSubscription", &confirm).await, "SubscriptionArn")
}

async fn set(door: &Door, arn: &str, name: &str, value: &str) {
    let set = [("SubscriptionArn", arn), ("AttributeName", name), ("AttributeValue", value)];
    ok(door, "SetSubscriptionAttributes", &set).await;
}

fn path_of(url: &Value) -> String {
    url.as_str().unwrap().strip_prefix("http://localhost:9324").unwrap().to_owned()
}

#[tokio::test]
async fn an_endpoint_confirms_receives_and_is_told_of_the_end() {
    let door = Door::open();
    let deliveries = door.start_deliveries();
    let mut endpoint = Endpoint::open().await;
    ok(&door, "CreateTopic", &[("Name", "t")]).await;
    let url = endpoint.url();
    assert_eq!(subscribe(&door, &url, &[]).await, "pending confirmation");
    let posted = endpoint.next().await;
    assert_eq!(posted.target, "/hook?a=b");
    assert_eq!(posted.header("host"), endpoint.address.to_string());
    assert_eq!(posted.header("x-amz-sns-message-type"), "SubscriptionConfirmation");
    assert_eq!(posted.header("x-amz-sns-topic-arn"), TOPIC);
    assert_eq!(posted.header("x-amz-sns-subscription-arn"), "");
    assert_eq!(posted.header("content-type"), "text/plain; charset=UTF-8");
    let question = posted.json();
    assert_eq!(question["Type"], "SubscriptionConfirmation");
    assert_eq!(posted.header("x-amz-sns-message-id"), question["MessageId"]);
    assert_eq!(question["SignatureVersion"], "1");
    posted.answer(200).await;

    let arn = subscribe(&door, &url, &[("ReturnSubscriptionArn", "true")]).await;
    let again = endpoint.next().await;
    assert_eq!(again.json()["Token"], question["Token"], "asking again is the same question");
    again.answer(200).await;
    let get = [("SubscriptionArn", arn.as_str())];
    let attributes = ok(&door, "GetSubscriptionAttributes", &get).await;
    assert_eq!(attribute(&attributes, "PendingConfirmation"), "true");
    assert!(!attributes.contains("kyu:"), "{attributes}");
    let topic = ok(&door, "GetTopicAttributes", &[("TopicArn", TOPIC)]).await;
    assert_eq!(attribute(&topic, "SubscriptionsPending"), "1");
    let list = ok(&door, "ListSubscriptions", &[]).await;
    assert_eq!(element(&list, "SubscriptionArn"), "PendingConfirmation");
    publish(&door, "too early", &[]).await;

    let wrong = question["Token"].as_str().unwrap().replace(['a', '1'], "b");
    let confirm = [("TopicArn", TOPIC), ("Token", wrong.as_str())];
    assert_eq!(fails(&door, "ConfirmSubscription", &confirm).await, invalid("Token"));
    // Who knows the token of one topic cannot confirm by the name of another.
    ok(&door, "CreateTopic", &[("Name", "other")]).await;
    let other = TOPIC.replace(":t", ":other");
    let confirm = [("TopicArn", &*other), ("Token", question["Token"].as_str().unwrap())];
    assert_eq!(fails(&door, "ConfirmSubscription", &confirm).await, invalid("Token"));
    let link = door.get(&path_of(&question["SubscribeURL"]), "*/*").await;
    assert_eq!(element(&link.body, "SubscriptionArn"), arn);
    let attributes = ok(&door, "GetSubscriptionAttributes", &get).await;
    assert_eq!(attribute(&attributes, "PendingConfirmation"), "false");
    assert_eq!(attribute(&attributes, "ConfirmationWasAuthenticated"), "false");

    let texts = r#"{"default":"d","sqs":"s","http":"h"}"#;
    let id = publish(&door, texts, &[("Subject", "x"), ("MessageStructure", "json")]).await;
    let posted = endpoint.next().await;
    assert_eq!(posted.header("x-amz-sns-subscription-arn"), arn);
    let envelope = posted.json();
    assert_eq!(envelope["Message"], "h");
    assert_eq!(envelope["MessageId"], id);
    assert_eq!(envelope["Subject"], "x");
    posted.answer(200).await;
    set(&door, &arn, "RawMessageDelivery", "true").await;
    set(&door, &arn, "DeliveryPolicy", r#"{"requestPolicy":{"headerContentType":"text/csv"}}"#)
        .await;
    publish(&door, "a,b", &[]).await;
    let posted = endpoint.next().await;
    assert_eq!((posted.body.as_str(), posted.header("x-amz-sns-rawdelivery")), ("a,b", "true"));
    assert_eq!(posted.header("content-type"), "text/csv");
    posted.answer(200).await;

    assert_eq!(door.get(&path_of(&envelope["UnsubscribeURL"]), "*/*").await.status, 200);
    let posted = endpoint.next().await;
    assert_eq!(posted.header("x-amz-sns-message-type"), "UnsubscribeConfirmation");
    assert_eq!(posted.json()["Token"], question["Token"]);
    posted.answer(200).await;
    let gone = (404, "NotFound".into(), "Subscription does not exist".into());
    assert_eq!(fails(&door, "GetSubscriptionAttributes", &get).await, gone);
    // The queue of the subscription ends with it.
    while !door.broker().directory().is_empty() {
        tokio::task::yield_now().await;
    }
    deliveries.stop().await;
}

#[tokio::test]
async fn what_an_endpoint_does_not_take_is_tried_again_and_then_dead_lettered() {
    let door = Door::open();
    let deliveries = door.start_deliveries();
    let mut endpoint = Endpoint::open().await;
    let arn = confirmed(&door, &mut endpoint).await;
    let policy = r#"{"healthyRetryPolicy":{"numRetries":2,"numNoDelayRetries":2}}"#;
    set(&door, &arn, "DeliveryPolicy", policy).await;
    let dead = door.queue("dead", json!({})).await;
    let redrive = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead"}"#;
    set(&door, &arn, "RedrivePolicy", redrive).await;
    let wait = async |url: &str| {
        let request = json!({
            "QueueUrl": url,
            "WaitTimeSeconds": 20,
            "MessageAttributeNames": ["All"],
        });
        door.ok("ReceiveMessage", request).await["Messages"][0].clone()
    };
    for (status, tries) in [(503, 3), (429, 3), (400, 1), (301, 1)] {
        let id = publish(&door, "m", &[]).await;
        let mut body = String::new();
        for _ in 0..tries {
            let posted = endpoint.next().await;
            assert_eq!(posted.json()["MessageId"], id);
            body = posted.body.clone();
            posted.answer(status).await;
        }
        let received = wait(&dead).await;
        assert_eq!(received["Body"], body, "as it was posted");
        let code = &received["MessageAttributes"]["ErrorCode"]["StringValue"];
        assert_eq!(code, &json!(status.to_string()));
        assert_eq!(received["MessageAttributes"]["RequestID"]["StringValue"], json!(id));
    }
    // One that is taken at the second try goes nowhere else.
    publish(&door, "second", &[]).await;
    endpoint.next().await.answer(500).await;
    endpoint.next().await.answer(204).await;
    deliveries.stop().await;
    assert_eq!(door.receive(&dead).await.len(), 0);
}

#[tokio::test]
async fn a_retry_with_a_delay_waits_in_the_queue() {
    let door = Door::open();
    let deliveries = door.start_deliveries();
    let mut endpoint = Endpoint::open().await;
    let arn = confirmed(&door, &mut endpoint).await;
    publish(&door, "m", &[]).await;
    endpoint.next().await.answer(500).await;
    let queue = door.broker().directory().list(NAMESPACE, "")[0].id;
    let delayed = async || door.broker().look_up(kyu_broker::StatsOf(queue)).await.unwrap().delayed;
    while delayed().await != 1 {
        tokio::task::yield_now().await;
    }
    deliveries.stop().await;
    drop(arn);
}

#[tokio::test]
async fn an_endpoint_that_hangs_holds_up_nobody_else() {
    let door = Door::open();
    let deliveries = door.start_deliveries();
    let (mut slow, mut quick) = (Endpoint::open().await, Endpoint::open().await);
    confirmed(&door, &mut slow).await;
    confirmed(&door, &mut quick).await;
    let mut hanging = Vec::new();
    for _ in 0..3 {
        publish(&door, "m", &[]).await;
        // The slow one has several at one time, too.
        hanging.push(slow.next().await);
        quick.next().await.answer(200).await;
    }
    for posted in hanging {
        posted.answer(200).await;
    }
    deliveries.stop().await;
}

#[tokio::test]
async fn filters_and_what_cannot_be_subscribed() {
    let door = Door::open();
    let deliveries = door.start_deliveries();
    let mut endpoint = Endpoint::open().await;
    let arn = confirmed(&door, &mut endpoint).await;
    set(&door, &arn, "FilterPolicyScope", "MessageBody").await;
    set(&door, &arn, "FilterPolicy", r#"{"k":["yes"]}"#).await;
    publish(&door, r#"{"k":"no"}"#, &[]).await;
    publish(&door, r#"{"k":"yes"}"#, &[]).await;
    let posted = endpoint.next().await;
    assert_eq!(posted.json()["Message"], r#"{"k":"yes"}"#);
    posted.answer(200).await;
    deliveries.stop().await;

    let to = |protocol, url| [("TopicArn", TOPIC), ("Protocol", protocol), ("Endpoint", url)];
    let text = "Endpoint must match the specified protocol";
    for (protocol, url) in [("http", "https://x"), ("https", "http://x"), ("http", "x")] {
        assert_eq!(fails(&door, "Subscribe", &to(protocol, url)).await, invalid(text));
    }
    subscribe(&door, "http://me:secret@x/y", &[]).await;
    let list = ok(&door, "ListSubscriptions", &[]).await;
    assert!(list.contains("http://me:****@x/y") && !list.contains("secret"), "{list}");
}

#[tokio::test]
async fn an_address_that_is_not_allowed_is_not_asked() {
    let mut options = SqsOptions::default();
    options.sns.endpoints = EndpointRule::Public;
    let door = Door::with(options, Access::new(vec![]));
    let deliveries = door.start_deliveries();
    let mut endpoint = Endpoint::open().await;
    ok(&door, "CreateTopic", &[("Name", "t")]).await;
    let url = endpoint.url();
    let to = [("TopicArn", TOPIC), ("Protocol", "http"), ("Endpoint", &*url)];
    let text = "Endpoint Reason: this server may not connect to 127.0.0.1";
    assert_eq!(fails(&door, "Subscribe", &to).await, invalid(text));
    subscribe(&door, &url.replace("127.0.0.1", "localhost"), &[]).await;
    // The question is dropped at the first try: nobody will ever answer it.
    let empty = async || match door.broker().directory().list(NAMESPACE, "").first() {
        None => false,
        Some(queue) => {
            let stats = door.broker().look_up(kyu_broker::StatsOf(queue.id)).await.unwrap();
            stats.ready + stats.in_flight + stats.delayed == 0
        }
    };
    while !empty().await {
        tokio::task::yield_now().await;
    }
    assert!(endpoint.posted.try_recv().is_err());
    deliveries.stop().await;

    let mut options = SqsOptions::default();
    options.sns.endpoints = EndpointRule::Off;
    let door = Door::with(options, Access::new(vec![]));
    ok(&door, "CreateTopic", &[("Name", "t")]).await;
    let to = [("TopicArn", TOPIC), ("Protocol", "http"), ("Endpoint", "http://x")];
    let text = "Amazon SNS does not support this protocol string: http";
    assert_eq!(fails(&door, "Subscribe", &to).await, invalid(text));
}

#[tokio::test]
async fn a_subscription_that_nobody_confirms_ends() {
    let door = Door::open();
    let mut endpoint = Endpoint::open().await;
    ok(&door, "CreateTopic", &[("Name", "t")]).await;
    let arn = subscribe(&door, &endpoint.url(), &[("ReturnSubscriptionArn", "true")]).await;
    let deliveries = door.start_deliveries();
    endpoint.next().await.answer(200).await;
    let id = kyu_broker::BindingId::from_uuid(arn.rsplit(':').next().unwrap()).unwrap();
    let info = door.broker().look_up(kyu_broker::BindingOf(id)).await.unwrap();
    let lapses_at_ms = info.created_at_ms + 48 * 3_600_000;
    let has_lapsed = crate::sns::confirmation::has_lapsed;
    assert!(!has_lapsed(&info, lapses_at_ms - 1));
    assert!(has_lapsed(&info, lapses_at_ms));
    let mut confirmed = (*info).clone();
    confirmed.config.active = true;
    assert!(!has_lapsed(&confirmed, lapses_at_ms));
    deliveries.stop().await;
}

#[tokio::test]
async fn links_need_no_signature_where_everything_else_does() {
    let credential =
        Credential { access_key_id: "AKID".into(), secret_access_key: "s".into(), user: None };
    let door = Door::with(SqsOptions::default(), Access::new(vec![credential]));
    let get = async |query: &str| {
        let said = door.get(&format!("/?{query}"), "*/*").await;
        (said.status, element(&said.body, "Code"))
    };
    let (status, _) = get("Action=ListTopics&Version=2010-03-31").await;
    assert_eq!(status, 403);
    // It gets as far as the token.
    let confirm = format!("Action=ConfirmSubscription&TopicArn={TOPIC}&Token=00");
    assert_eq!(get(&confirm).await, (400, "InvalidParameter".into()));
    let id = "92c9daa8-5f9a-430a-adf3-369f7b34c3fe";
    let unknown = format!("Action=Unsubscribe&SubscriptionArn={TOPIC}:{id}");
    assert_eq!(get(&unknown).await, (403, "AuthorizationError".into()));
    let certificate = door.get("/SimpleNotificationService-0.pem", "*/*").await;
    assert_eq!(certificate.status, 403, "there is no such certificate");
}
