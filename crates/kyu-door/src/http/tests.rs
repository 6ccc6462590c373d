//! The server over real sockets on the loopback: bounds hold, and what is cut short is closed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};

use super::*;
use crate::budget::Budget;
use crate::limits::Limits;

/// Bytes of the answer to `/large`.
const LARGE_BYTES: usize = 8 << 20;

/// Says how long the body was; `/wait` waits for `release`, or until the client sends no more;
/// `/slow` takes a while over anything; `/large` answers much.
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
            let client = request.client();
            tokio::select! {
                () = self.release.notified() => {}
                () = client.half_closed() => return text(StatusCode::OK, "nothing came"),
            }
        }
        if request.head.uri.path() == "/slow" {
            self.waiting.notify_one();
            self.release.notified().await;
        }
        if request.head.uri.path() == "/large" {
            request.client().standing().prove(|| Arc::from("ann"));
            if let Err(exhausted) = request.client().pay(LARGE_BYTES).await {
                return text(StatusCode::SERVICE_UNAVAILABLE, exhausted.to_string());
            }
            return text(StatusCode::OK, vec![b'x'; LARGE_BYTES]);
        }
        text(StatusCode::OK, Bytes::from(request.body.len().to_string()))
    }

    fn reject(&self, _: &Head, reason: Rejection) -> Response {
        let status = match reason {
            Rejection::SeveralHosts => StatusCode::BAD_REQUEST,
            _ => StatusCode::PAYLOAD_TOO_LARGE,
        };
        text(status, format!("{reason:?}"))
    }
}

struct Running {
    address: SocketAddr,
    handler: Arc<Echo>,
    counts: Arc<Counts>,
    memory: PortMemory,
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
    let memory = PortMemory::new(&Budget::process(1 << 30), &limits);
    let budgets = memory.clone();
    let done = tokio::spawn(async move {
        let stopped = async { drop(stopped.await) };
        serve(listener, served, limits, budgets, None, counted, stopped).await;
    });
    Running { address, handler, counts, memory, stop, done }
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

/// A long poll of a client that has gone must not take a message from those who wait. Of a client
/// that has closed, the server hears only that it sends no more: that ends every wait.
#[tokio::test]
async fn a_wait_ends_when_its_client_goes() {
    let server = start(small()).await;
    let mut gone = TcpStream::connect(server.address).await.unwrap();
    gone.write_all(b"GET /wait HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    server.handler.waiting.notified().await;
    drop(gone);
    server.handler.dropped.notified().await;
}

/// `printf ... | nc -N`: the request, and the end of the client's side with it. The connection was
/// closed without an answer.
#[tokio::test]
async fn a_client_that_sends_no_more_gets_its_answer() {
    let server = start(small()).await;
    for path in ["/", "/slow", "/wait"] {
        let mut half = TcpStream::connect(server.address).await.unwrap();
        let request = format!("POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello");
        half.write_all(request.as_bytes()).await.unwrap();
        half.shutdown().await.unwrap();
        if path == "/slow" {
            server.handler.waiting.notified().await;
            server.handler.release.notify_one();
        }
        let mut answer = String::new();
        half.read_to_string(&mut answer).await.unwrap();
        let body = if path == "/wait" { "nothing came" } else { "5" };
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(body), "{path}: {answer}");
    }
}

/// 64 connections that announced 8 MiB each and sent nothing took the whole budget before a byte
/// was there, and everybody's larger requests waited for 30 seconds.
#[tokio::test]
async fn bodies_that_are_announced_and_not_sent_keep_nothing_from_others() {
    let limits = Limits { large_body_budget_bytes: 0, ..Limits::default() };
    let (max_bytes, server) = (limits.max_body_bytes, start(limits).await);
    let mut stalled = Vec::new();
    for _ in 0..64 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {max_bytes}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&[0; 1_000]).await.unwrap();
        stalled.push(stream);
    }
    let body = "x".repeat(1 << 20);
    let length = body.len();
    let request = format!(
        "POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let answer = exchange(server.address, request.as_bytes()).await;
    assert!(answer.ends_with(&format!("\r\n\r\n{length}")), "{answer}");
    assert_eq!(server.memory.bodies().used_bytes(), 0);
    assert_eq!(server.memory.bodies().refusals(), 0);
}

/// A body that has arrived in part is held; who then stands still loses it as soon as others want
/// the room.
#[tokio::test]
async fn a_body_that_stands_still_makes_room_for_others() {
    let limits = Limits { large_body_budget_bytes: 0, ..Limits::default() };
    let server = start(limits).await;
    let mut stalled = TcpStream::connect(server.address).await.unwrap();
    let head = format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n", 8 << 20);
    stalled.write_all(head.as_bytes()).await.unwrap();
    stalled.write_all(&vec![0; (8 << 20) - 1]).await.unwrap();
    while server.memory.bodies().used_bytes() < 8 << 20 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let body = "x".repeat(1 << 20);
    let request = format!(
        "POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = exchange(server.address, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut told = String::new();
    stalled.read_to_string(&mut told).await.unwrap();
    assert!(told.contains("BodyTimeout"), "{told}");
}

/// Three hundred receives of 10 MB each that nobody read took 3 GB, and other clients waited 53 s.
#[tokio::test]
async fn answers_that_nobody_reads_have_a_bound_and_make_room_for_others() {
    let limits = Limits {
        answer_budget_bytes: 4 * LARGE_BYTES,
        max_answer_bytes: LARGE_BYTES,
        ..Limits::default()
    };
    let server = start(limits).await;
    let mut unread = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /large HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
        unread.push(stream);
    }
    while server.memory.answers().used_bytes() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let close = b"GET /large HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    let mut answer = exchange(server.address, close).await;
    // Those before it wait as well; when some of them have been given up, it is its turn.
    while answer.starts_with("HTTP/1.1 503") {
        answer = exchange(server.address, close).await;
    }
    assert!(answer.starts_with("HTTP/1.1 200") && answer.len() > LARGE_BYTES);
    assert!(server.memory.answers().used_bytes() <= 4 * LARGE_BYTES);
    drop(unread);
    while server.memory.answers().used_bytes() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A client that was still sending when its request was refused found a reset connection, and no
/// word of why.
#[tokio::test]
async fn broken_and_oversized_requests_are_told_why() {
    let server = start(small()).await;
    let long = "x".repeat(4 << 20);
    for (request, status) in [
        (format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 4194304\r\n\r\n{long}"), 413),
        (format!("GET /{long} HTTP/1.1\r\nhost: h\r\n\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nhost: h\r\nx: {long}\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nhost: h\r\n{}\r\n", "a: b\r\n".repeat(200)), 431),
        (format!("GET / HTTP/1.1\r\nhost: h\r\nhost: i\r\n\r\n{long}"), 400),
        (format!("\x16\x03\x01{long}"), 400),
        (format!("GET / HTTP/1.1\r\nno colon\r\n\r\n{long}"), 400),
        (format!("GET / HTTP/7.0\r\n\r\n{long}"), 400),
        (format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: many\r\n\r\n{long}"), 400),
    ] {
        let start: String = request.chars().take(60).collect();
        let answer = patient_exchange(server.address, request.into_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{start:?}: {answer:?}");
    }
}

/// Reads while it sends, as a client that has threads does.
async fn patient_exchange(address: SocketAddr, bytes: Vec<u8>) -> String {
    let (mut reading, mut writing) = TcpStream::connect(address).await.unwrap().into_split();
    let sent = tokio::spawn(async move { writing.write_all(&bytes).await });
    let mut answer = Vec::new();
    reading.read_to_end(&mut answer).await.unwrap();
    let _cut_off = sent.await.unwrap();
    String::from_utf8(answer).unwrap()
}
