//! An HTTP/1.1 server for many protocols on one port: [`serve`] owns the sockets and the limits, a
//! [`Handler`] owns the meaning.

mod answer;
mod body;
mod client;
mod port_memory;
mod request_line;
mod server;
mod stall;
mod wire;

use std::future::Future;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
pub use hyper::http::request::Parts as Head;
pub use hyper::{HeaderMap, Method, StatusCode, header};

use crate::origin::Arrival;
pub use client::{Client, SMALL_ANSWER_BYTES};
pub use port_memory::PortMemory;
pub use server::{Counts, serve};

/// A request that arrived whole.
#[derive(Debug)]
pub struct Request {
    /// Method, URI and header fields.
    pub head: Head,
    /// The body, at most [`max_body_bytes`](crate::limits::Limits::max_body_bytes).
    pub body: Bytes,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// This end; `None` if the system did not say.
    pub local: Option<SocketAddr>,
    /// True if it came over TLS that ended here.
    pub secure: bool,
}

impl Request {
    /// Returns the addresses between which the request came, and whether it was encrypted.
    pub fn arrival(&self) -> Arrival {
        Arrival { peer: self.peer, local: self.local, secure: self.secure }
    }

    /// The client: if it is still there, and what may be loaded for it.
    pub fn client(&self) -> Client {
        self.head.extensions.get().cloned().unwrap_or_else(Client::unbounded)
    }
}

/// An answer; its body is in memory, so that it leaves in one write.
pub type Response = hyper::Response<Full<Bytes>>;

/// Why a request never became a [`Request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// It has more than one `Host` (RFC 9112 section 3.2): a proxy and this server may each believe
    /// another one. The connection is closed after the answer.
    SeveralHosts,
    /// The body is larger than the limit. The connection is closed after the answer.
    BodyTooLarge {
        /// The limit.
        max_bytes: usize,
    },
    /// The body arrived too slowly. The connection is closed after the answer.
    BodyTimeout,
    /// The client went away, or broke the protocol in the middle of the body.
    BodyBroken,
    /// There was no memory for the body in time.
    Busy,
}

/// The handler of a port's requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. The future is dropped when the connection breaks; a client that has only
    /// ended its side gets its answer. Handlers that wait look at [`Client::half_closed`], those that
    /// load much call [`Client::pay`] first.
    fn handle(&self, request: Request) -> impl Future<Output = Response> + Send;

    /// Answers a request that could not be read, in the dialect that its head asks for.
    fn reject(&self, head: &Head, reason: Rejection) -> Response;
}

/// A plain-text answer, for paths that speak no protocol of their own.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

#[cfg(test)]
mod tests;
