//! The door itself: from an HTTP request to an operation and back.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{HeaderName, HeaderValue};
use kyu_broker::Broker;
use kyu_door::access::Access;
use kyu_door::http::{Handler, Head, Method, Rejection, Request, Response, StatusCode, header};
use percent_encoding::percent_decode_str;

use crate::call::Call;
use crate::openapi::parameter_name;
use crate::operation::{Operation, Reply};
use crate::operations::OPERATIONS;
use crate::problem::{Code, Problem};

/// The beginning of the API's paths.
const PREFIX: &str = "/v1/";

/// The options of the admin API that an operator may choose.
#[derive(Clone, Debug)]
pub struct AdminOptions {
    /// The namespace of requests that name none.
    pub namespace: String,
}

impl Default for AdminOptions {
    fn default() -> Self {
        Self { namespace: "000000000000".into() }
    }
}

/// The admin API over one broker; a [`Handler`] for an HTTP port.
pub struct Admin {
    broker: Broker,
    access: Access,
    options: AdminOptions,
}

impl Admin {
    /// Makes the door.
    pub fn new(broker: Broker, access: Access, options: AdminOptions) -> Self {
        Self { broker, access, options }
    }

    /// Tells whether a request is for the admin API.
    pub fn is_addressed(head: &Head) -> bool {
        head.uri.path().starts_with(PREFIX)
    }

    async fn answer(&self, request: &Request) -> Result<Reply, Failure> {
        let Request { head, body, peer, .. } = request;
        let principal = self.access.admit_api(head, body, *peer, now_s()).map_err(Problem::from)?;
        let (operation, path) = route(&head.method, head.uri.path())?;
        let (broker, options, principal) = (&self.broker, &self.options, &principal);
        let client = &request.client();
        let call = Call { broker, options, principal, client, head, body, path };
        let mut reply = (operation.run)(&call).await?;
        if reply.status == StatusCode::CREATED && reply.location.is_none() {
            reply.location = Some(head.uri.path().to_owned());
        }
        if operation.method == Method::GET
            && let Some(etag) = &reply.etag
            && call.conditions()?.is_unmodified(etag)
        {
            (reply.status, reply.body) = (StatusCode::NOT_MODIFIED, Vec::new());
        }
        Ok(reply)
    }
}

impl Handler for Admin {
    async fn handle(&self, request: Request) -> Response {
        match self.answer(&request).await {
            Ok(reply) => success(reply),
            Err(Failure { problem, allow }) => failure(&problem, &allow),
        }
    }

    fn reject(&self, _head: &Head, reason: Rejection) -> Response {
        failure(&reason.into(), &[])
    }
}

/// A problem, and the methods that the path does take.
#[derive(Debug)]
pub(crate) struct Failure {
    problem: Problem,
    allow: Vec<Method>,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self { problem, allow: Vec::new() }
    }
}

/// The operation of a method and a path, and the values of the path's parameters. HEAD is GET: what
/// writes the answer leaves the body out (RFC 9110, section 9.3.2).
pub(crate) fn route(
    method: &Method,
    path: &str,
) -> Result<(&'static Operation, Vec<String>), Failure> {
    let mut allow = Vec::new();
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    for operation in OPERATIONS {
        let Some(parameters) = matched(operation.path, path) else { continue };
        if operation.method == *method {
            let decoded = parameters.into_iter().map(|value| {
                let value = percent_decode_str(value).decode_utf8();
                value.map(|value| value.into_owned())
            });
            let decoded = decoded.collect::<Result<_, _>>();
            return Ok((
                operation,
                decoded.map_err(|_| Problem::invalid("The path is not UTF-8."))?,
            ));
        }
        allow.push(operation.method.clone());
        if operation.method == Method::GET {
            allow.push(Method::HEAD);
        }
    }
    if allow.is_empty() {
        let detail = "There is nothing at this path; see /v1/openapi.json.";
        return Err(Problem::new(Code::NoSuchRoute, detail).into());
    }
    Err(Failure { problem: Problem::of(Code::MethodNotAllowed), allow })
}

/// The values of a template's parameters in a path; `None` if it is another path.
fn matched<'p>(template: &str, path: &'p str) -> Option<Vec<&'p str>> {
    let mut values = Vec::new();
    let mut segments = path.split('/');
    for expected in template.split('/') {
        let segment = segments.next()?;
        if parameter_name(expected).is_some() {
            if segment.is_empty() {
                return None;
            }
            values.push(segment);
        } else if segment != expected {
            return None;
        }
    }
    segments.next().is_none().then_some(values)
}

fn success(reply: Reply) -> Response {
    let mut response = Response::new(Full::new(Bytes::from(reply.body)));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    if !matches!(reply.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let etag = reply.etag.and_then(|etag| HeaderValue::try_from(format!("\"{etag}\"")).ok());
    if let Some(etag) = etag {
        headers.insert(header::ETAG, etag);
    }
    if let Some(location) = reply.location.and_then(|path| HeaderValue::try_from(path).ok()) {
        headers.insert(header::LOCATION, location);
    }
    guard(response)
}

fn failure(problem: &Problem, allow: &[Method]) -> Response {
    let body = serde_json::to_vec(&problem.body()).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = problem.code.status();
    let headers = response.headers_mut();
    let media = HeaderValue::from_static("application/problem+json");
    headers.insert(header::CONTENT_TYPE, media);
    if problem.code == Code::Unauthenticated {
        let scheme = HeaderValue::from_static("Basic realm=\"kyu\", charset=\"UTF-8\"");
        headers.insert(header::WWW_AUTHENTICATE, scheme);
    }
    if let Some(retry_after_ms) = problem.retry_after_ms {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after_ms.div_ceil(1000)));
    }
    if !allow.is_empty() {
        let names: Vec<&str> = allow.iter().map(Method::as_str).collect();
        if let Ok(value) = HeaderValue::try_from(names.join(", ")) {
            headers.insert(header::ALLOW, value);
        }
    }
    guard(response)
}

/// Answers are data about now, and nothing for a browser to show.
fn guard(mut response: Response) -> Response {
    const OPTIONS: HeaderName = header::X_CONTENT_TYPE_OPTIONS;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod dead_tests;
#[cfg(test)]
mod tests;
