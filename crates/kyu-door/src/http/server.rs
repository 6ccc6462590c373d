//! The life of a connection.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use super::body::Budget;
use super::stall::StallGuard;
use super::{Handler, Rejection, Request, Response};
use crate::accept::{Bounds, ConnectionCounts, Dialogue, Stopping, accept};
use crate::limits::Limits;
use crate::origin::Arrival;

/// What a port has seen, for metrics.
#[derive(Debug, Default)]
pub struct Counts {
    /// Of its connections.
    pub connections: ConnectionCounts,
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
    let budget = Budget::new(&limits);
    accept(listener, Arc::new(Port { handler, limits, budget, counts }), shutdown).await;
}

impl<H: Handler> Dialogue for Port<H> {
    fn bounds(&self) -> Bounds {
        let Limits { max_connections, shutdown_grace, .. } = self.limits;
        Bounds { max_connections, shutdown_grace }
    }

    fn counts(&self) -> &ConnectionCounts {
        &self.counts.connections
    }

    async fn converse(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        mut stopping: Stopping,
    ) {
        let port = &*self;
        let arrival = Arrival { peer, local: stream.local_addr().ok(), secure: false };
        let io = TokioIo::new(StallGuard::new(stream, port.limits.write_stall_timeout));
        let service = service_fn(|request| async move {
            Ok::<_, Infallible>(answer(port, request, arrival).await)
        });
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(port.limits.head_timeout)
                .max_buf_size(port.limits.max_head_bytes.max(8192))
                .max_headers(port.limits.max_headers)
                .pipeline_flush(true)
                .serve_connection(io, service)
        );
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stopping.wait() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, %peer, "connection ended early");
        }
    }

    /// Best effort: a client that cannot take 60 bytes at once hears nothing but the close.
    async fn refuse(self: Arc<Self>, stream: TcpStream, _: SocketAddr, _: Stopping) {
        let answer =
            b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let _ = stream.try_write(answer);
    }
}

async fn answer<H: Handler>(
    port: &Port<H>,
    request: hyper::Request<Incoming>,
    arrival: Arrival,
) -> Response {
    port.counts.requests.fetch_add(1, Relaxed);
    let (head, body) = request.into_parts();
    let hosts = head.headers.get_all(HOST).iter().count();
    let read = match hosts {
        0 | 1 => port.budget.read(body, &port.limits).await,
        _ => Err(Rejection::SeveralHosts),
    };
    match read {
        Ok(held) => {
            let body = held.bytes.clone();
            let Arrival { peer, local, secure } = arrival;
            port.handler.handle(Request { head, body, peer, local, secure }).await
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
