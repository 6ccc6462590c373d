//! The accept loop and the life of a connection.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::body::Budget;
use super::stall::StallGuard;
use super::{Handler, Rejection, Request, Response};
use crate::limits::Limits;

/// How long to pause when the system has no more file descriptors: time to close some.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a port has seen, for metrics.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections accepted.
    pub connections_accepted: AtomicU64,
    /// Connections open now.
    pub connections_open: AtomicU64,
    /// Connections refused because `max_connections` were open.
    pub connections_refused: AtomicU64,
    /// Requests answered, with rejected ones.
    pub requests: AtomicU64,
    /// Requests that ended as a [`Rejection`].
    pub requests_rejected: AtomicU64,
}

/// What all connections of a port share.
struct Port<H> {
    handler: Arc<H>,
    limits: Limits,
    budget: Budget,
    counts: Arc<Counts>,
}

/// Serves `listener` until `shutdown` completes, then lets open requests finish for
/// [`shutdown_grace`](Limits::shutdown_grace). Returns when no connection is left, or then.
pub async fn serve<H: Handler>(
    listener: TcpListener,
    handler: Arc<H>,
    limits: Limits,
    counts: Arc<Counts>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let slots = Arc::new(Semaphore::new(limits.max_connections));
    let (stop, stopped) = watch::channel(false);
    let budget = Budget::new(&limits);
    let port = Arc::new(Port { handler, limits, budget, counts });
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        let (stream, peer) = match accepted {
            Ok(connection) => connection,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        port.counts.connections_accepted.fetch_add(1, Relaxed);
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            port.counts.connections_refused.fetch_add(1, Relaxed);
            refuse(&stream);
            continue;
        };
        let (port, stopped) = (Arc::clone(&port), stopped.clone());
        tokio::spawn(async move {
            port.counts.connections_open.fetch_add(1, Relaxed);
            converse(&port, stream, peer, stopped).await;
            port.counts.connections_open.fetch_sub(1, Relaxed);
            drop(slot);
        });
    }
    drop(listener);
    stop.send_replace(true);
    let all = u32::try_from(port.limits.max_connections).unwrap_or(u32::MAX);
    let left = tokio::time::timeout(port.limits.shutdown_grace, slots.acquire_many(all)).await;
    if left.is_err() {
        tracing::warn!("requests are still open after the grace of a shutdown");
    }
}

/// Best effort: a client that cannot take 60 bytes at once hears nothing but the close.
fn refuse(stream: &TcpStream) {
    let answer =
        b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let _ = stream.try_write(answer);
}

async fn converse<H: Handler>(
    port: &Arc<Port<H>>,
    stream: TcpStream,
    peer: SocketAddr,
    mut stopped: watch::Receiver<bool>,
) {
    // Answers are written whole; waiting to fill a segment would only add latency.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the connection is gone already");
        return;
    }
    let io = TokioIo::new(StallGuard::new(stream, port.limits.write_stall_timeout));
    let service =
        service_fn(|request| async move { Ok::<_, Infallible>(answer(port, request, peer).await) });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(port.limits.head_timeout)
            .max_buf_size(port.limits.max_head_bytes.max(8192))
            .max_headers(port.limits.max_headers)
            .pipeline_flush(true)
            .serve_connection(io, service)
    );
    // An error means that the port is gone, which is a reason to stop as well.
    let stopping = async { drop(stopped.wait_for(|stopped| *stopped).await) };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "connection ended early");
    }
}

async fn answer<H: Handler>(
    port: &Port<H>,
    request: hyper::Request<Incoming>,
    peer: SocketAddr,
) -> Response {
    port.counts.requests.fetch_add(1, Relaxed);
    let (head, body) = request.into_parts();
    match port.budget.read(body, &port.limits).await {
        Ok(held) => {
            let body = held.bytes.clone();
            port.handler.handle(Request { head, body, peer }).await
        }
        Err(reason) => {
            port.counts.requests_rejected.fetch_add(1, Relaxed);
            let mut response = port.handler.reject(&head, reason);
            if reason != Rejection::Busy {
                // The rest of the body is still on its way; it must not be read as a request.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
    }
}
