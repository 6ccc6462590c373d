//! The life of a connection.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::answer::Paid;
use super::client::{Client, Standing};
use super::port_memory::PortMemory;
use super::request_line::{Lines, RequestLine};
use super::stall::{StallGuard, Written};
use super::wire::{Departure, Wire};
use super::{Handler, Head, Rejection, Request, body};
use crate::accept::{Bounds, ConnectionCounts, Dialogue, Stopping, accept};
use crate::limits::Limits;
use crate::origin::Arrival;

/// The counters of a port, for metrics.
#[derive(Debug, Default)]
pub struct Counts {
    /// Of its connections.
    pub connections: ConnectionCounts,
    /// Requests answered, with rejected ones.
    pub requests: AtomicU64,
    /// Requests that ended as a [`Rejection`].
    pub requests_rejected: AtomicU64,
}

/// Longest wait for a client to finish its handshake. Then the connection is closed.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

const URI_TOO_LONG: &[u8] =
    b"HTTP/1.1 414 URI Too Long\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// The state that all connections of a port share.
struct Port<H> {
    handler: Arc<H>,
    limits: Limits,
    memory: PortMemory,
    tls: Option<TlsAcceptor>,
    counts: Arc<Counts>,
}

/// Serves `listener` until `shutdown` completes, then lets open requests finish for
/// [`shutdown_grace`](Limits::shutdown_grace). Returns when no connection is left, or then. With `tls`
/// every connection begins with a handshake, and what comes over it is secure.
pub async fn serve<H: Handler>(
    listener: TcpListener,
    handler: Arc<H>,
    limits: Limits,
    memory: PortMemory,
    tls: Option<TlsAcceptor>,
    counts: Arc<Counts>,
    shutdown: impl Future<Output = ()> + Send,
) {
    accept(listener, Arc::new(Port { handler, limits, memory, tls, counts }), shutdown).await;
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
        let arrival = Arrival { peer, local: stream.local_addr().ok(), secure: self.tls.is_some() };
        let wire = Wire::new(stream);
        let connection = Connection::new(&self, wire.clone(), arrival);
        let ended = match &self.tls {
            None => connection.serve(wire.clone(), &mut stopping).await,
            Some(tls) => match timeout(HANDSHAKE_TIMEOUT, tls.accept(wire.clone())).await {
                Ok(Ok(stream)) => connection.serve(stream, &mut stopping).await,
                Ok(Err(error)) => {
                    tracing::debug!(%error, %peer, "no TLS");
                    return wire.end(true).await;
                }
                Err(_) => return,
            },
        };
        // What hyper has answered with 400, 414 or 431 has not been read to its end either.
        let unread =
            connection.unread.load(Relaxed) || ended.as_ref().is_err_and(hyper::Error::is_parse);
        if let Err(error) = ended {
            tracing::debug!(%error, %peer, "connection ended early");
        }
        wire.end(unread).await;
    }

    /// Best effort: a client that cannot take 60 bytes at once hears nothing but the close.
    async fn refuse(self: Arc<Self>, stream: TcpStream, _: SocketAddr, _: Stopping) {
        let answer =
            b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let _ = stream.try_write(answer);
    }
}

/// The state that the requests of one connection share.
struct Connection<'p, H> {
    port: &'p Port<H>,
    wire: Wire,
    arrival: Arrival,
    standing: Standing,
    written: Written,
    line: RequestLine,
    /// A request was answered before it was read to its end.
    unread: AtomicBool,
}

impl<'p, H: Handler> Connection<'p, H> {
    fn new(port: &'p Port<H>, wire: Wire, arrival: Arrival) -> Self {
        let (standing, written) = (Standing::default(), Written::default());
        let (line, unread) = (RequestLine::default(), AtomicBool::new(false));
        Self { port, wire, arrival, standing, written, line, unread }
    }

    /// Answers requests until one side ends, over `stream`: the wire, or TLS on it.
    async fn serve<S>(&self, stream: S, stopping: &mut Stopping) -> Result<(), hyper::Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        let limits = &self.port.limits;
        let max_head_bytes = limits.max_head_bytes.max(8 << 10);
        // The rest is for the head's fields.
        let max_line_bytes = max_head_bytes / 8 * 7;
        let lines = Lines::new(stream, self.line.clone(), max_line_bytes);
        let io = StallGuard::new(lines, limits.write_stall_timeout, self.written.clone());
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_timeout)
            .max_buf_size(max_head_bytes)
            .max_headers(limits.max_headers)
            // Whether the client has gone is looked at beside each request, where it can be told
            // from a client that only sends no more.
            .half_close(true)
            .serve_connection(TokioIo::new(io), service_fn(|request| self.answer(request)));
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = stopping.wait() => {
                Pin::new(&mut connection).graceful_shutdown();
                (&mut connection).await
            }
        };
        if self.line.exceeds(max_line_bytes) {
            let mut io = connection.into_parts().io.into_inner();
            // Nobody may be there any more.
            let _unheard = io.write_all(URI_TOO_LONG).await;
            let _unheard = io.flush().await;
            self.unread.store(true, Relaxed);
        }
        ended
    }

    /// Answers one request; an error ends the connection, because nobody is there any more.
    async fn answer(&self, request: hyper::Request<Incoming>) -> io::Result<hyper::Response<Paid>> {
        let port = self.port;
        port.counts.requests.fetch_add(1, Relaxed);
        let (mut head, body) = request.into_parts();
        self.line.is_complete();
        if head.headers.get_all(HOST).iter().count() > 1 {
            return Ok(self.rejected(&head, Rejection::SeveralHosts));
        }
        let budget = port.memory.bodies_of(self.standing.principal());
        let held = match body::read(body, &port.limits, &budget).await {
            Ok(held) => held,
            Err(reason) => return Ok(self.rejected(&head, reason)),
        };
        self.line.begin();
        let mut beyond = self.wire.has_departed().await;
        let (half_close, half_closed) = watch::channel(beyond);
        let client = Client::new(half_closed, port.memory.clone(), self.standing.clone());
        head.extensions.insert(client.clone());
        let Arrival { peer, local, secure } = self.arrival;
        let request = Request { head, body: held.bytes.clone(), peer, local, secure };
        let mut handling = pin!(port.handler.handle(request));
        loop {
            tokio::select! {
                biased;
                response = &mut handling => {
                    return Ok(response.map(|body| Paid::new(body, |bytes| {
                        let share = client.settle(bytes);
                        self.written.begin(share.as_ref());
                        share
                    })));
                }
                departure = self.wire.departure(beyond) => match departure {
                    Departure::HalfClosed => {
                        beyond = true;
                        half_close.send_replace(true);
                    }
                    Departure::Gone => return Err(io::ErrorKind::ConnectionReset.into()),
                },
            }
        }
    }

    /// The answer to a request that is not read to its end.
    fn rejected(&self, head: &Head, reason: Rejection) -> hyper::Response<Paid> {
        self.port.counts.requests_rejected.fetch_add(1, Relaxed);
        let mut response = self.port.handler.reject(head, reason);
        // The rest of the body is still on its way; it must not be read as a request.
        self.unread.store(true, Relaxed);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        self.written.begin(None);
        response.map(|body| Paid::new(body, |_| None))
    }
}
