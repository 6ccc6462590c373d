//! The address of a subscriber, and one POST to it: without redirects, in bounded time, with a
//! bounded answer.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use super::reach::Reach;

/// Longest time from the first packet to the end of the answer, as AWS has it.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of an answer that are read, so that the connection can be used again. Of a longer one the
/// status counts, and the connection is closed.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// Largest head of an answer.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// Connections that one subscriber keeps open for its next messages.
const MAX_IDLE: usize = 8;

/// A subscriber's address, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    tls: bool,
    host: String,
    port: u16,
    host_header: HeaderValue,
    authorization: Option<HeaderValue>,
    target: Uri,
}

impl Endpoint {
    /// Reads a URL with scheme `http` or `https`; `None` if it is no such URL.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        // A fragment is the client's own business.
        let url = url.split('#').next().unwrap_or_default();
        let uri: Uri = url.parse().ok()?;
        let tls = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let authority = uri.authority()?;
        let (user, host_port) = match authority.as_str().rsplit_once('@') {
            Some((user, host_port)) => (Some(user), host_port),
            None => (None, authority.as_str()),
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return None;
        }
        let authorization = user.map(|user| {
            let user: Vec<u8> = percent_encoding::percent_decode_str(user).collect();
            HeaderValue::from_str(&format!("Basic {}", BASE64.encode(user)))
        });
        Some(Self {
            tls,
            port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            host,
            host_header: HeaderValue::from_str(host_port).ok()?,
            authorization: authorization.transpose().ok()?,
            target: uri.path_and_query().map_or("/", |path| path.as_str()).parse().ok()?,
        })
    }

    /// Tells whether the URL's scheme is this one.
    pub(crate) fn is(&self, scheme: &str) -> bool {
        scheme == if self.tls { "https" } else { "http" }
    }

    /// The address, where the URL has one and no name.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        let address: IpAddr = self.host.parse().ok()?;
        Some(SocketAddr::new(address, self.port))
    }

    /// The host that the URL names.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The request with a letter.
    fn request(&self, letter: &Letter) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(letter.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.clone();
        let headers = request.headers_mut();
        *headers = letter.headers.clone();
        headers.insert(HOST, self.host_header.clone());
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        request
    }
}

/// The headers and the body that are posted.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The reason why there was no answer.
#[derive(Debug)]
pub(crate) enum PostError {
    Timeout,
    Forbidden(String),
    Failed(String),
}

impl fmt::Display for PostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => write!(f, "no answer within {} seconds", TIMEOUT.as_secs()),
            Self::Forbidden(host) => write!(f, "this server may not connect to {host}"),
            Self::Failed(problem) => f.write_str(problem),
        }
    }
}

fn failed(what: &str, problem: impl fmt::Display) -> PostError {
    PostError::Failed(format!("{what}: {problem}"))
}

type Connection = SendRequest<Full<Bytes>>;

/// Makes connections; one for all subscribers.
pub(crate) struct Connector {
    reach: Reach,
    /// Reading the system's certificates takes some milliseconds, which only `https` needs.
    tls: OnceCell<TlsConnector>,
}

impl Connector {
    pub(crate) fn new(reach: Reach) -> Self {
        Self { reach, tls: OnceCell::new() }
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Connection, PostError> {
        let addresses = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)).await;
        let addresses: Vec<SocketAddr> =
            addresses.map_err(|problem| failed(&endpoint.host, problem))?.collect();
        let allowed: Vec<_> =
            addresses.iter().copied().filter(|at| self.reach.allows(*at)).collect();
        if allowed.is_empty() && !addresses.is_empty() {
            return Err(PostError::Forbidden(endpoint.host.clone()));
        }
        let stream = TcpStream::connect(&*allowed).await;
        let stream = stream.map_err(|problem| failed("connecting", problem))?;
        // A message is written whole.
        stream.set_nodelay(true).map_err(|problem| failed("connecting", problem))?;
        if !endpoint.tls {
            return handshake(stream).await;
        }
        let name = ServerName::try_from(endpoint.host.clone());
        let name = name.map_err(|problem| failed("TLS", problem))?;
        let tls = self.tls.get_or_try_init(trust).await?;
        let stream = tls.connect(name, stream).await;
        handshake(stream.map_err(|problem| failed("TLS", problem))?).await
    }
}

/// TLS that trusts whom the machine trusts, and the certificates of `$SSL_CERT_FILE`.
async fn trust() -> Result<TlsConnector, PostError> {
    let loaded = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
    let loaded = loaded.map_err(|problem| failed("TLS", problem))?;
    for problem in &loaded.errors {
        tracing::warn!(%problem, "reading the system's root certificates");
    }
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(loaded.certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|problem| failed("TLS", problem))?;
    let config = config.with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn handshake<S>(stream: S) -> Result<Connection, PostError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    let shaken = builder.max_buf_size(MAX_HEAD_BYTES).handshake(TokioIo::new(stream)).await;
    let (sender, connection) = shaken.map_err(|problem| failed("connecting", problem))?;
    // Ends when the sender is dropped, or the other side closes.
    tokio::spawn(async move {
        if let Err(problem) = connection.await {
            tracing::debug!(%problem, "a connection to an SNS subscriber ended");
        }
    });
    Ok(sender)
}

/// One subscriber's connections.
pub(crate) struct Line {
    connector: Arc<Connector>,
    idle: Mutex<Vec<Connection>>,
}

impl Line {
    pub(crate) fn new(connector: Arc<Connector>) -> Self {
        Self { connector, idle: Mutex::new(Vec::new()) }
    }

    /// Posts a letter and returns the answer's status.
    pub(crate) async fn post(
        &self,
        endpoint: &Endpoint,
        letter: &Letter,
    ) -> Result<StatusCode, PostError> {
        match tokio::time::timeout(TIMEOUT, self.post_without_limit(endpoint, letter)).await {
            Ok(done) => done,
            Err(_) => Err(PostError::Timeout),
        }
    }

    async fn post_without_limit(
        &self,
        endpoint: &Endpoint,
        letter: &Letter,
    ) -> Result<StatusCode, PostError> {
        if let Some(mut connection) = self.take_idle()
            && let Ok(status) = self.exchange(&mut connection, endpoint, letter).await
        {
            self.put_back(connection, status.1);
            return Ok(status.0);
        }
        // A connection that was idle may have been closed in the moment of its use.
        let mut connection = self.connector.connect(endpoint).await?;
        let (status, whole) = self.exchange(&mut connection, endpoint, letter).await?;
        self.put_back(connection, whole);
        Ok(status)
    }

    /// The status, and whether the answer was read to its end.
    async fn exchange(
        &self,
        connection: &mut Connection,
        endpoint: &Endpoint,
        letter: &Letter,
    ) -> Result<(StatusCode, bool), PostError> {
        connection.ready().await.map_err(|problem| failed("sending", problem))?;
        let answer = connection.send_request(endpoint.request(letter)).await;
        let (head, body) = answer.map_err(|problem| failed("sending", problem))?.into_parts();
        let whole = Limited::new(body, MAX_ANSWER_BYTES).collect().await.is_ok();
        Ok((head.status, whole))
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(connection) = idle.pop() {
            if !connection.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    fn put_back(&self, connection: Connection, whole: bool) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if whole && !connection.is_closed() && idle.len() < MAX_IDLE {
            idle.push(connection);
        }
    }

    /// Closes the connections that nobody uses.
    pub(crate) fn hang_up(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let one = Endpoint::parse("https://us%20er:p%40ss@Example.com:8443/a/b?c=d#e").unwrap();
        assert!(one.is("https") && !one.is("http"));
        assert_eq!((one.host.as_str(), one.port), ("Example.com", 8443));
        assert_eq!(one.host_header, "Example.com:8443");
        assert_eq!(one.target, "/a/b?c=d");
        assert_eq!(one.authorization.unwrap(), format!("Basic {}", BASE64.encode("us er:p@ss")));
        let plain = Endpoint::parse("http://[::1]").unwrap();
        assert_eq!((plain.host.as_str(), plain.port, plain.target.path()), ("::1", 80, "/"));
        for wrong in ["", "x", "/x", "http://", "ftp://x", "http:x", "https://", "http://a b/"] {
            assert!(Endpoint::parse(wrong).is_none(), "{wrong}");
        }
    }
}
