//! A small HTTP/1.1 client of the admin API: one connection, JSON both ways.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::args::Connection;
use crate::failure::Failure;

/// A server on the same machine answers at once, one far away in less than this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest long poll and time to spare.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// The largest answer: a thousand messages of 4 MiB together, in base64 and JSON, fit.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// What may stand in a path as it is (RFC 3986, unreserved).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A segment of a path, or a value of a query string.
pub(crate) fn encoded(text: &str) -> String {
    match text {
        // As they are, they would be taken for directions.
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        text => utf8_percent_encode(text, SEGMENT).to_string(),
    }
}

/// One request to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Call {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), body: None, headers: Vec::new() }
    }

    pub(crate) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// One parameter more in the query string.
    pub(crate) fn query(mut self, name: &str, value: Option<impl AsRef<str>>) -> Self {
        if let Some(value) = value {
            let first = if self.path.contains('?') { '&' } else { '?' };
            self.path.push_str(&format!("{first}{name}={}", encoded(value.as_ref())));
        }
        self
    }
}

/// A connection to a server.
pub(crate) struct Client {
    url: String,
    host: String,
    authorization: Option<String>,
    namespace: Option<String>,
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    pub(crate) async fn connect(connection: &Connection) -> Result<Self, Failure> {
        let url = connection.url.trim_end_matches('/').to_owned();
        let bad = |why: &str| Failure::Usage(format!("--url {url}: {why}"));
        let uri: Uri = url.parse().map_err(|_| bad("not a URL"))?;
        if uri.scheme_str() != Some("http") {
            return Err(bad("only http:// is spoken here; use a proxy for TLS"));
        }
        let host = uri.authority().ok_or_else(|| bad("no host"))?.as_str().to_owned();
        let name = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(80);
        let unreachable =
            |error: &dyn std::fmt::Display| Failure::Unreachable(format!("{url}: {error}"));
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect((name, port))).await;
        let stream = opened
            .map_err(|_| unreachable(&"no connection in time"))?
            .map_err(|error| unreachable(&error))?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (sender, driver) = handshake.map_err(|error| unreachable(&error))?;
        // Ends with the connection; what goes wrong there, the request reports.
        tokio::spawn(async move { drop(driver.await) });
        let authorization = match (&connection.access_key_id, &connection.secret_access_key) {
            (Some(id), Some(secret)) => {
                Some(format!("Basic {}", BASE64.encode(format!("{id}:{secret}"))))
            }
            (None, None) => None,
            _ => {
                let text = "--access-key-id and --secret-access-key come together";
                return Err(Failure::Usage(text.into()));
            }
        };
        Ok(Self { url, host, authorization, namespace: connection.namespace.clone(), sender })
    }

    /// Asks, and gives the answer of a success; `null` if there is nothing in it.
    pub(crate) async fn call(&mut self, call: Call) -> Result<Value, Failure> {
        let call = call.query("namespace", self.namespace.clone());
        let mut request = Request::builder()
            .method(call.method)
            .uri(call.path)
            .header(HOST, &self.host)
            .header("user-agent", concat!("kyu-cli/", env!("CARGO_PKG_VERSION")));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        let body = match call.body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        let request = request
            .body(Full::new(body))
            .map_err(|error| Failure::Usage(format!("no such request can be made: {error}")))?;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, self.exchange(request)).await;
        let unreachable = |why: &str| Failure::Unreachable(format!("{}: {why}", self.url));
        let (status, body) = answer
            .map_err(|_| unreachable("no answer in time"))?
            .map_err(|error| unreachable(&error))?;
        if (200..300).contains(&status) && body.is_empty() {
            return Ok(Value::Null);
        }
        let value: Value = serde_json::from_slice(&body).map_err(|_| {
            Failure::Failed(format!("{}: not the answer of a Kyu server", self.url))
        })?;
        if (200..300).contains(&status) {
            return Ok(value);
        }
        Err(Failure::of_status(status, problem_text(&value)))
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<(u16, Bytes), String> {
        let ready = self.sender.ready().await;
        ready.map_err(|error| error.to_string())?;
        let response = self.sender.send_request(request).await.map_err(|e| e.to_string())?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        Ok((status, body.map_err(|error| error.to_string())?.to_bytes()))
    }
}

/// `detail (code)`, and the place in a group.
fn problem_text(problem: &Value) -> String {
    let text = |name: &str| problem.get(name).and_then(Value::as_str).unwrap_or_default();
    let place = problem.get("at").map(|at| format!("command {at}: ")).unwrap_or_default();
    format!("{place}{} ({})", text("detail"), text("code"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_segments() {
        assert_eq!(encoded("a/b c.fifo"), "a%2Fb%20c.fifo");
        assert_eq!((encoded("."), encoded("..")), ("%2E".into(), "%2E%2E".into()));
        let call = Call::new(Method::GET, "/v1/queues").query("a", Some("x&y"));
        let call = call.query("b", None::<String>).query("c", Some("1"));
        assert_eq!(call.path, "/v1/queues?a=x%26y&c=1");
    }
}
