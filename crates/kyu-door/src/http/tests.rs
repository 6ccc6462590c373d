//! The server over real sockets on the loopback: bounds hold, and what is cut short is closed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};

use super::*;
use crate::limits::Limits;

/// Says how long the body was; `/wait` waits for `release`.
struct Echo {
    waiting: Notify,
    release: Notify,
    dropped: Notify,
}

/// Tells when the future of a waiting request ends, in whatever way.
struct TellDrop<'a>(&'a Notify);

impl Drop for TellDrop<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Handler for Echo {
    async fn handle(&self, request: Request) -> Response {
        if request.head.uri.path() == "/wait" {
            let _tell = TellDrop(&self.dropped);
            self.waiting.notify_one();
            self.release.notified().await;
        }
        text(StatusCode::OK, Bytes::from(request.body.len().to_string()))
    }

    fn reject(&self, _: &Head, reason: Rejection) -> Response {
        text(StatusCode::PAYLOAD_TOO_LARGE, format!("{reason:?}"))
    }
}

struct Running {
    address: SocketAddr,
    handler: Arc<Echo>,
    counts: Arc<Counts>,
    stop: oneshot::Sender<()>,
    done: tokio::task::JoinHandle<()>,
}

async fn start(limits: Limits) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let handler =
        Arc::new(Echo { waiting: Notify::new(), release: Notify::new(), dropped: Notify::new() });
    let counts = Arc::new(Counts::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let (served, counted) = (Arc::clone(&handler), Arc::clone(&counts));
    let done = tokio::spawn(async move {
        let stopped = async { drop(stopped.await) };
        serve(listener, served, limits, counted, stopped).await;
    });
    Running { address, handler, counts, stop, done }
}

/// Sends `bytes` and reads until the server closes.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

fn small() -> Limits {
    Limits { max_body_bytes: 100_000, large_body_budget_bytes: 0, ..Limits::default() }
}

/// A proxy in front may have judged by the first, and this server by the last.
#[tokio::test]
async fn several_hosts_are_refused() {
    let running = start(Limits::default()).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let request = b"POST / HTTP/1.1\r\nhost: a\r\nHost: b\r\ncontent-length: 1\r\n\r\nx";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("SeveralHosts"), "{answer}");
    assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn bodies_arrive_whole_whatever_their_framing() {
    let server = start(small()).await;
    let close = "connection: close\r\n";
    let large = "x".repeat(100_000);
    for (framed, length) in [
        ("content-length: 5\r\n\r\nhello".to_owned(), 5),
        ("transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n".to_owned(), 5),
        (format!("content-length: 100000\r\n\r\n{large}"), 100_000),
        (format!("transfer-encoding: chunked\r\n\r\n186a0\r\n{large}\r\n0\r\n\r\n"), 100_000),
        ("\r\n".to_owned(), 0),
    ] {
        let request = format!("POST / HTTP/1.1\r\nhost: h\r\n{close}{framed}");
        let answer = exchange(server.address, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{length}")), "{answer}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_is_read_and_the_connection_closed() {
    let server = start(small()).await;
    let announced = b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 100001\r\n\r\n";
    let answer = exchange(server.address, announced).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("BodyTooLarge { max_bytes: 100000 }"), "{answer}");
    let chunk = "x".repeat(100_001);
    let chunked =
        format!("POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n186a1\r\n{chunk}");
    let answer = exchange(server.address, chunked.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn half_a_request_is_given_up() {
    let limits = Limits {
        head_timeout: Duration::from_millis(50),
        body_timeout: Duration::from_millis(50),
        ..small()
    };
    let server = start(limits).await;
    // Half a head: closed, with or without a word.
    let answer = exchange(server.address, b"POST / HT").await;
    assert!(!answer.contains("200 OK"), "{answer}");
    let half = b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nhello";
    let answer = exchange(server.address, half).await;
    assert!(answer.contains("BodyTimeout"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn connections_over_the_limit_are_told_so() {
    let server = start(Limits { max_connections: 1, ..small() }).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(b"GET /wait HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    server.handler.waiting.notified().await;
    let answer = exchange(server.address, b"").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert_eq!(server.counts.connections.refused.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_shutdown_lets_open_requests_finish_and_takes_no_new_ones() {
    let server = start(small()).await;
    let mut open = TcpStream::connect(server.address).await.unwrap();
    open.write_all(b"GET /wait HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    server.handler.waiting.notified().await;
    server.stop.send(()).unwrap();
    // The listener is gone once nobody answers there.
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    server.handler.release.notify_one();
    let mut answer = String::new();
    open.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    server.done.await.unwrap();
}

/// A long poll of a client that has gone must not take a message from those who wait.
#[tokio::test]
async fn a_request_ends_when_its_client_goes() {
    let server = start(small()).await;
    let mut gone = TcpStream::connect(server.address).await.unwrap();
    gone.write_all(b"GET /wait HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    server.handler.waiting.notified().await;
    drop(gone);
    server.handler.dropped.notified().await;
}
