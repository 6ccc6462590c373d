//! Servers that do nothing: what HTTP alone costs here, and what the load generator alone costs.
//!
//! Each runs in a child process of this same program, so its cost is told apart from ours, and
//! answers every request with the bytes of a SendMessage answer.

use std::convert::Infallible;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use crate::Error;

/// The line a child prints when it accepts connections.
pub(crate) const READY: &str = "echo ready";
const ANSWER: &str = concat!(
    r#"{"MessageId":"00000000-0000-4000-8000-000000000000","#,
    r#""MD5OfMessageBody":"00000000000000000000000000000000"}"#
);
const CONTENT_TYPE: &str = "application/x-amz-json-1.0";
const REQUEST_ID: &str = "00000000-0000-4000-8000-000000000000";

/// Serves with hyper as a sane server sets it up: HTTP/1.1, keep-alive, a header time-out, the
/// request's body read to its end.
pub(crate) fn serve_hyper(address: SocketAddr, workers: usize) -> Result<(), Error> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await?;
        println!("{READY}");
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(
                http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service_fn(answer)),
            );
        }
    })
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    std::hint::black_box(body);
    let mut response = Response::new(Full::new(Bytes::from_static(ANSWER.as_bytes())));
    let headers = response.headers_mut();
    headers.insert("content-type", hyper::header::HeaderValue::from_static(CONTENT_TYPE));
    headers.insert("x-amzn-requestid", hyper::header::HeaderValue::from_static(REQUEST_ID));
    Ok::<_, Infallible>(response).map_err(|never| match never {})
}

/// Serves with one thread, one epoll and no HTTP to speak of: counts request bytes by the
/// content-length of the first request, which all requests of a workload share.
pub(crate) fn serve_raw(address: SocketAddr) -> Result<(), Error> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    const LISTENER: u64 = u64::MAX;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    println!("{READY}");
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {CONTENT_TYPE}\r\nx-amzn-requestid: {REQUEST_ID}\r\n\
         content-length: {}\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n{ANSWER}",
        ANSWER.len()
    );
    let mut connections: Vec<RawConnection> = Vec::new();
    let mut scratch = vec![0; 64 << 10];
    let mut events = Vec::with_capacity(256);
    loop {
        events.clear();
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            let data = event.data;
            if data.u64() == LISTENER {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                let data = EventData::new_u64(connections.len() as u64);
                epoll::add(&epoll, &stream, data, EventFlags::IN)?;
                connections.push(RawConnection { stream, request_bytes: 0, received_bytes: 0 });
            } else if let Some(connection) = connections.get_mut(data.u64() as usize)
                && !connection.serve(&mut scratch, answer.as_bytes())?
            {
                epoll::delete(&epoll, &connection.stream)?;
            }
        }
    }
}

struct RawConnection {
    stream: TcpStream,
    /// Size of every request on this connection; 0 before the first.
    request_bytes: usize,
    received_bytes: usize,
}

impl RawConnection {
    /// Reads once and answers what is complete; false when the client is gone.
    fn serve(&mut self, scratch: &mut [u8], answer: &[u8]) -> Result<bool, Error> {
        let read_bytes = match self.stream.read(scratch) {
            Ok(0) => return Ok(false),
            Ok(read_bytes) => read_bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        if self.request_bytes == 0 {
            let received = scratch.get(..read_bytes).unwrap_or_default();
            self.request_bytes = request_bytes(received).ok_or("not a request of ours")?;
        }
        self.received_bytes += read_bytes;
        while self.received_bytes >= self.request_bytes {
            self.received_bytes -= self.request_bytes;
            self.stream.write_all(answer)?;
        }
        Ok(true)
    }
}

fn request_bytes(received: &[u8]) -> Option<usize> {
    let head_end = memchr::memmem::find(received, b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(received.get(..head_end)?).ok()?;
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "))?;
    Some(head_end + length.parse::<usize>().ok()?)
}
