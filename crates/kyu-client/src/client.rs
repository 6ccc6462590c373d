//! The client.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::Value;

use crate::call::Call;
use crate::error::{Error, Problem};
use crate::trust;

/// A server on the same machine answers at once, one far away in less than this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that nobody has used for so long is closed, before a server or proxy does it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest answer: a thousand messages of 4 MiB together, in base64 and JSON, fit.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// An access key of the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Public half.
    pub access_key_id: String,
    /// Secret half. It is in every request, so that it needs TLS wherever others can listen.
    pub secret_access_key: String,
}

impl fmt::Debug for Credentials {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish()
    }
}

/// The server to call, and the caller's credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientOptions {
    /// `http://HOST:PORT` or `https://HOST:PORT`; with a path where a proxy wants one.
    pub url: String,
    /// The credentials for a server that wants some.
    pub credentials: Option<Credentials>,
    /// PEM file with the only certificate authorities that are believed; `None` for those of the
    /// machine.
    pub authorities: Option<PathBuf>,
    /// The namespace of every request; `None` for the server's own.
    pub namespace: Option<String>,
}

impl ClientOptions {
    /// No credentials, and the authorities of the machine.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), credentials: None, authorities: None, namespace: None }
    }
}

/// A server, reached over as many connections as are in use at a time.
pub struct Client {
    http: HttpClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// Without a slash at the end.
    base: String,
    authorization: Option<HeaderValue>,
    namespace: Option<String>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a client; it connects when it is used. With `https`, reads certificates from files.
    pub fn new(options: &ClientOptions) -> Result<Self, Error> {
        let base = options.url.trim_end_matches('/');
        let bad = |why: &str| Error::Invalid(format!("{base}: {why}"));
        let uri: Uri = base.parse().map_err(|_| bad("not a URL"))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(bad("use http://HOST:PORT or https://HOST:PORT")),
        };
        if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
            return Err(bad("a host and nothing before it; credentials come beside the URL"));
        }
        if uri.query().is_some() {
            return Err(bad("a URL without a query"));
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.enforce_http(false);
        // Certificates of the machine take some milliseconds to read, which only `https` needs.
        let tls = match (secure, &options.authorities) {
            (true, authorities) => trust::config(authorities.as_deref())?,
            (false, None) => trust::nobody()?,
            (false, Some(_)) => return Err(bad("certificates are for https:// only")),
        };
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls);
        let builder = if secure { builder.https_only() } else { builder.https_or_http() };
        let http = HttpClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(builder.enable_http1().wrap_connector(connector));
        let authorization = options.credentials.as_ref().map(basic).transpose()?;
        let namespace = options.namespace.clone();
        Ok(Self { http, base: base.to_owned(), authorization, namespace })
    }

    /// Asks, and gives the answer of a success; `null` if there is nothing in it.
    pub async fn call(&self, call: Call) -> Result<Value, Error> {
        let patience = call.patience;
        let request = self.request(call.query("namespace", self.namespace.as_ref()))?;
        let answer = tokio::time::timeout(patience, self.exchange(request)).await;
        let (status, body) = answer.map_err(|_| self.unreachable("no answer in time"))??;
        if status.is_success() && body.is_empty() {
            return Ok(Value::Null);
        }
        let document: Value = serde_json::from_slice(&body).map_err(|_| match status {
            // A proxy without a server, or a port that is full.
            status if status.is_server_error() => self.unreachable(&status.to_string()),
            status => Error::NotUnderstood(format!("{}: {status} of no Kyu server", self.base)),
        })?;
        if status.is_success() {
            return Ok(document);
        }
        Err(Error::Refused(Problem::of(status.as_u16(), &document)))
    }

    fn request(&self, call: Call) -> Result<Request<Full<Bytes>>, Error> {
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("{}{}", self.base, call.path))
            .header(USER_AGENT, concat!("kyu/", env!("CARGO_PKG_VERSION")));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        let mut bytes = Bytes::new();
        if let Some(body) = call.body {
            request = request.header(CONTENT_TYPE, "application/json");
            bytes = body.to_string().into();
        }
        request
            .body(Full::new(bytes))
            .map_err(|error| Error::Invalid(format!("no such request can be made: {error}")))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), Error> {
        let response = self.http.request(request).await;
        let response = response.map_err(|error| self.unreachable(&causes(&error)))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        Ok((status, body.map_err(|error| self.unreachable(&error.to_string()))?.to_bytes()))
    }

    fn unreachable(&self, why: &str) -> Error {
        Error::Unreachable(format!("{}: {why}", self.base))
    }
}

/// The credentials as HTTP Basic (RFC 7617), which the admin API takes as it takes a signature.
fn basic(credentials: &Credentials) -> Result<HeaderValue, Error> {
    let Credentials { access_key_id, secret_access_key } = credentials;
    let pair = BASE64.encode(format!("{access_key_id}:{secret_access_key}"));
    let value = HeaderValue::try_from(format!("Basic {pair}"));
    let mut value = value.map_err(|error| Error::Invalid(format!("credentials: {error}")))?;
    value.set_sensitive(true);
    Ok(value)
}

/// An error and what it comes from: "client error (Connect)" alone helps nobody.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked() {
        let client = |url: &str| Client::new(&ClientOptions::new(url));
        for good in ["http://127.0.0.1:9324/", "https://[::1]:1", "https://proxy/kyu"] {
            assert!(client(good).is_ok(), "{good}");
        }
        for bad in ["127.0.0.1:9324", "ftp://host", "nonsense url", "http://u:p@h", "http://h/?a"] {
            assert!(matches!(client(bad), Err(Error::Invalid(_))), "{bad}");
        }
    }

    #[test]
    fn certificate_files_are_checked() {
        let client = |url: &str, file: &str| {
            let authorities = Some(PathBuf::from(file));
            Client::new(&ClientOptions { authorities, ..ClientOptions::new(url) })
        };
        // No file; a file without a certificate; a certificate that nobody would look at.
        for (url, file) in
            [("https://h", "/nowhere/ca.pem"), ("https://h", "Cargo.toml"), ("http://h", "ca.pem")]
        {
            assert!(matches!(client(url, file), Err(Error::Invalid(_))), "{url} {file}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let credentials =
            Credentials { access_key_id: "AKID".into(), secret_access_key: "hush".into() };
        assert!(!format!("{:?}", basic(&credentials).unwrap()).contains("Basic"));
        let options =
            ClientOptions { credentials: Some(credentials), ..ClientOptions::new("http://h") };
        assert!(!format!("{options:?}").contains("hush"));
    }
}
