//! The Rust SDK, as it is, against a real server: every step asserts, the first surprise ends the program.
//!
//! The server is the one at `$KYU_SQS_URL`; the suite's runner starts it.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, Message, MessageAttributeValue, MessageSystemAttributeName,
    QueueAttributeName, SendMessageBatchRequestEntry,
};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let sqs = client(&std::env::var("KYU_SQS_URL").expect("set KYU_SQS_URL"));
    send_receive_delete(&sqs).await;
    batches(&sqs).await;
    long_poll_and_visibility(&sqs).await;
    fifo(&sqs).await;
    errors(&sqs).await;
    dead_letters(&sqs).await;
    one_mebibyte(&sqs).await;
    println!("rust sdk: all steps passed");
}

/// A client without TLS and without retries, so that every answer of the server is seen.
fn client(url: &str) -> Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(url)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "conformance"))
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

/// A name that no earlier run on the same server has used.
fn unique(prefix: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("{prefix}-{}", now.as_nanos())
}

async fn new_queue(sqs: &Client, attributes: &[(QueueAttributeName, &str)]) -> String {
    let fifo = attributes.iter().any(|(name, _)| *name == QueueAttributeName::FifoQueue);
    let mut request = sqs.create_queue().queue_name(unique("rust") + if fifo { ".fifo" } else { "" });
    for (name, value) in attributes {
        request = request.attributes(name.clone(), *value);
    }
    request.send().await.unwrap().queue_url.unwrap()
}

async fn receive(sqs: &Client, url: &str, count: i32, wait: i32) -> Vec<Message> {
    let request = sqs.receive_message().queue_url(url).max_number_of_messages(count);
    request.wait_time_seconds(wait).send().await.unwrap().messages.unwrap_or_default()
}

async fn send(sqs: &Client, url: &str, body: &str) {
    sqs.send_message().queue_url(url).message_body(body).send().await.unwrap();
}

fn attribute(kind: &str) -> aws_sdk_sqs::types::builders::MessageAttributeValueBuilder {
    MessageAttributeValue::builder().data_type(kind)
}

async fn send_receive_delete(sqs: &Client) {
    let url = new_queue(sqs, &[]).await;
    let sent = sqs
        .send_message()
        .queue_url(&url)
        .message_body("hello ✓")
        .message_attributes("text", attribute("String").string_value("ü").build().unwrap())
        .message_attributes("bytes", attribute("Binary").binary_value(Blob::new([0, 255])).build().unwrap())
        .send()
        .await
        .unwrap();
    let answer = sqs
        .receive_message()
        .queue_url(&url)
        .message_attribute_names("All")
        .message_system_attribute_names(MessageSystemAttributeName::All)
        .send()
        .await
        .unwrap();
    let [message] = answer.messages() else { panic!("one message, not {answer:?}") };
    assert_eq!(message.body(), Some("hello ✓"));
    assert_eq!(message.message_id(), sent.message_id());
    assert_eq!(message.md5_of_message_attributes(), sent.md5_of_message_attributes());
    let bytes = &message.message_attributes().unwrap()["bytes"];
    assert_eq!(bytes.binary_value().unwrap().as_ref(), [0, 255]);
    let count = &message.attributes().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount];
    assert_eq!(count, "1");
    let handle = message.receipt_handle().unwrap();
    sqs.delete_message().queue_url(&url).receipt_handle(handle).send().await.unwrap();
    assert!(receive(sqs, &url, 1, 0).await.is_empty());
}

async fn batches(sqs: &Client) {
    let url = new_queue(sqs, &[(QueueAttributeName::MaximumMessageSize, "1024")]).await;
    let entry = |id: &str, body: String| {
        SendMessageBatchRequestEntry::builder().id(id).message_body(body).build().unwrap()
    };
    let answer = sqs
        .send_message_batch()
        .queue_url(&url)
        .entries(entry("good", "x".into()))
        .entries(entry("bad", "x".repeat(1025)))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.successful().iter().map(|entry| entry.id()).collect::<Vec<_>>(), ["good"]);
    assert_eq!(answer.failed()[0].code(), "InvalidParameterValue");
    assert!(answer.failed()[0].sender_fault());
    let messages = receive(sqs, &url, 10, 0).await;
    let handle = messages[0].receipt_handle().unwrap();
    let entry = DeleteMessageBatchRequestEntry::builder().id("a").receipt_handle(handle).build().unwrap();
    let deleted = sqs.delete_message_batch().queue_url(&url).entries(entry).send().await.unwrap();
    assert_eq!((deleted.successful().len(), deleted.failed().len()), (1, 0));
}

async fn long_poll_and_visibility(sqs: &Client) {
    let url = new_queue(sqs, &[(QueueAttributeName::VisibilityTimeout, "1")]).await;
    let (messages, ()) = tokio::join!(receive(sqs, &url, 1, 20), send(sqs, &url, "wake up"));
    assert_eq!(messages[0].body(), Some("wake up"));
    let again = receive(sqs, &url, 1, 20).await;
    assert_eq!(again[0].message_id(), messages[0].message_id());
    assert_ne!(again[0].receipt_handle(), messages[0].receipt_handle());
    let handle = again[0].receipt_handle().unwrap();
    let change = sqs.change_message_visibility().queue_url(&url).receipt_handle(handle);
    change.visibility_timeout(0).send().await.unwrap();
    assert_eq!(receive(sqs, &url, 1, 0).await.len(), 1);
}

async fn fifo(sqs: &Client) {
    let attributes = [
        (QueueAttributeName::FifoQueue, "true"),
        (QueueAttributeName::ContentBasedDeduplication, "true"),
    ];
    let url = new_queue(sqs, &attributes).await;
    let mut numbers = Vec::new();
    for body in ["a", "b", "b", "c"] {
        let request = sqs.send_message().queue_url(&url).message_body(body).message_group_id("g");
        numbers.push(request.send().await.unwrap().sequence_number.unwrap());
    }
    assert_eq!(numbers[1], numbers[2]);
    let messages = receive(sqs, &url, 10, 0).await;
    assert_eq!(messages.iter().filter_map(|message| message.body()).collect::<Vec<_>>(), ["a", "b", "c"]);
}

async fn errors(sqs: &Client) {
    let error = sqs.get_queue_url().queue_name("no-such-queue").send().await.unwrap_err();
    let error = error.into_service_error();
    assert!(error.is_queue_does_not_exist(), "{error:?}");
    assert_eq!(error.meta().message(), Some("The specified queue does not exist."));
    let name = unique("twice");
    for (seconds, works) in [("1", true), ("2", false)] {
        let request = sqs.create_queue().queue_name(&name);
        let answer = request.attributes(QueueAttributeName::DelaySeconds, seconds).send().await;
        match answer {
            Ok(_) => assert!(works),
            Err(error) => assert!(!works && error.into_service_error().is_queue_name_exists()),
        }
    }
}

async fn dead_letters(sqs: &Client) {
    let dead = new_queue(sqs, &[]).await;
    let asked = sqs.get_queue_attributes().queue_url(&dead).attribute_names(QueueAttributeName::QueueArn);
    let arn = asked.send().await.unwrap().attributes.unwrap()[&QueueAttributeName::QueueArn].clone();
    let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":1}}"#);
    let attributes = [
        (QueueAttributeName::RedrivePolicy, policy.as_str()),
        (QueueAttributeName::VisibilityTimeout, "0"),
    ];
    let url = new_queue(sqs, &attributes).await;
    send(sqs, &url, "dying").await;
    assert_eq!(receive(sqs, &url, 1, 0).await.len(), 1);
    assert!(receive(sqs, &url, 1, 0).await.is_empty());
    assert_eq!(receive(sqs, &dead, 1, 10).await[0].body(), Some("dying"));
    let sources = sqs.list_dead_letter_source_queues().queue_url(&dead).send().await.unwrap();
    assert_eq!(sources.queue_urls(), [url]);
}

async fn one_mebibyte(sqs: &Client) {
    let url = new_queue(sqs, &[]).await;
    let body = "x".repeat(1 << 20);
    send(sqs, &url, &body).await;
    assert_eq!(receive(sqs, &url, 1, 0).await[0].body(), Some(body.as_str()));
}
