//! The embedded server: started, asked over a socket, ended.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod cli;
mod tls;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use kyu::{Server, ServerOptions, StartError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A directory that is removed with the test.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("kyu-server-test-{}-{n}", std::process::id())))
    }

    fn options(&self) -> ServerOptions {
        let mut options = ServerOptions::new(&self.0);
        options.http = Some("127.0.0.1:0".into());
        options.broker.log.segment_bytes = 4 << 20;
        options.broker.log.reserve_bytes = 4 << 20;
        options.broker.log.spare_segments = 1;
        options
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _not_there = std::fs::remove_dir_all(&self.0);
    }
}

/// Sends one request and reads the answer to its end.
async fn ask(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(server.http_address().unwrap()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn get(server: &Server, path: &str) -> String {
    ask(server, &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"))
        .await
}

async fn call(server: &Server, action: &str, body: &str) -> String {
    let length = body.len();
    ask(
        server,
        &format!(
            "POST / HTTP/1.1\r\nhost: localhost:9324\r\nconnection: close\r\n\
             content-type: application/x-amz-json-1.0\r\nx-amz-target: AmazonSQS.{action}\r\n\
             content-length: {length}\r\n\r\n{body}"
        ),
    )
    .await
}

#[tokio::test]
async fn it_serves_sqs_health_and_metrics_and_keeps_what_it_took() {
    let dir = Dir::new();
    let server = Server::start(dir.options()).await.unwrap();
    assert!(get(&server, "/livez").await.starts_with("HTTP/1.1 200"));
    assert!(get(&server, "/readyz").await.starts_with("HTTP/1.1 200"));
    let created = call(&server, "CreateQueue", r#"{"QueueName":"q"}"#).await;
    assert!(created.contains("http://localhost:9324/000000000000/q"), "{created}");
    let send = r#"{"QueueUrl":"http://x/000000000000/q","MessageBody":"kept"}"#;
    assert!(call(&server, "SendMessage", send).await.starts_with("HTTP/1.1 200"));
    let metrics = get(&server, "/metrics").await;
    assert!(metrics.contains("\nkyu_enqueued_messages_total 1\n"), "{metrics}");
    let ready = "\nkyu_queue_ready_messages{namespace=\"000000000000\",queue=\"q\"} 1\n";
    assert!(metrics.contains(ready), "{metrics}");
    assert!(metrics.contains("\nkyu_ledger_entries 0\n"), "{metrics}");
    server.shutdown().await;

    let server = Server::start(dir.options()).await.unwrap();
    let receive = r#"{"QueueUrl":"http://x/000000000000/q"}"#;
    let received = call(&server, "ReceiveMessage", receive).await;
    assert!(received.contains(r#""Body":"kept""#), "{received}");
    server.shutdown().await;
}

#[tokio::test]
async fn series_of_queues_have_a_bound_and_are_for_those_with_credentials() {
    let dir = Dir::new();
    let mut options = dir.options();
    options.metrics_queues = 2;
    let server = Server::start(options).await.unwrap();
    for name in ["c", "a", "b"] {
        call(&server, "CreateQueue", &format!(r#"{{"QueueName":"{name}"}}"#)).await;
    }
    let metrics = get(&server, "/metrics").await;
    let shown = |name: &str| metrics.contains(&format!("queue=\"{name}\"}}"));
    assert!(shown("a") && shown("b") && !shown("c"), "{metrics}");
    assert!(metrics.contains("\nkyu_queues_without_series 1\n"), "{metrics}");
    server.shutdown().await;

    let mut options = dir.options();
    options.credentials = vec![kyu_door::access::Credential {
        access_key_id: "AKID".into(),
        secret_access_key: "secret".into(),
        user: None,
    }];
    let server = Server::start(options).await.unwrap();
    let sums = get(&server, "/metrics").await;
    assert!(sums.contains("\nkyu_queues 3\n") && !sums.contains("queue=\""), "{sums}");
    let basic = "GET /metrics HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\
                 authorization: Basic QUtJRDpzZWNyZXQ=\r\n\r\n";
    let all = ask(&server, basic).await;
    assert!(all.contains("queue=\"c\"}"), "{all}");
    server.shutdown().await;
}

#[tokio::test]
async fn ending_answers_a_long_poll_instead_of_waiting_for_it() {
    let dir = Dir::new();
    let server = Server::start(dir.options()).await.unwrap();
    call(&server, "CreateQueue", r#"{"QueueName":"q"}"#).await;
    let address = server.http_address().unwrap();
    let body = r#"{"QueueUrl":"http://x/000000000000/q","WaitTimeSeconds":20}"#;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-amz-json-1.0\r\n\
         x-amz-target: AmazonSQS.ReceiveMessage\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    while server.broker().metrics().await.unwrap().gauges.waiting_receives == 0 {
        tokio::task::yield_now().await;
    }
    server.shutdown().await;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// It stayed 200 while every send was refused.
#[tokio::test]
async fn a_server_with_a_full_log_is_not_ready() {
    let dir = Dir::new();
    let mut options = dir.options();
    options.broker.log.max_log_bytes = Some(16 << 20);
    let server = Server::start(options).await.unwrap();
    call(&server, "CreateQueue", r#"{"QueueName":"q"}"#).await;
    assert!(get(&server, "/readyz").await.starts_with("HTTP/1.1 200"));
    // Full is a log that takes not even a small message.
    for bytes in [900_000, 50_000, 1_000, 1] {
        let body = "x".repeat(bytes);
        let send = format!(r#"{{"QueueUrl":"http://x/000000000000/q","MessageBody":"{body}"}}"#);
        while call(&server, "SendMessage", &send).await.starts_with("HTTP/1.1 200") {}
    }
    let full = get(&server, "/readyz").await;
    assert!(full.starts_with("HTTP/1.1 503") && full.ends_with("storage is full\n"), "{full}");
    assert!(get(&server, "/livez").await.starts_with("HTTP/1.1 200"));
    server.shutdown().await;
}

#[tokio::test]
async fn a_port_in_use_leaves_the_data_directory_alone() {
    let (dir, other) = (Dir::new(), Dir::new());
    let server = Server::start(dir.options()).await.unwrap();
    let mut options = other.options();
    options.http = Some(server.http_address().unwrap().to_string());
    let refused = Server::start(options).await;
    assert!(matches!(refused, Err(StartError::PortInUse { .. })));
    assert!(!other.0.exists());
    server.shutdown().await;
}
