//! The door itself: from an HTTP request to an action and back.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use kyu_broker::Broker;
use kyu_door::access::{Access, Principal};
use kyu_door::http::{Handler, Head, Method, Rejection, Request, Response, StatusCode};
use kyu_door::origin::Origins;
use kyu_door::sigv4::claimed_region;

use crate::actions;
use crate::address;
use crate::call::Call;
use crate::cors;
use crate::error::Error;
use crate::request_id::{RequestId, RequestIds};
use crate::sns::{self, Deliveries, DeliveryCounts, Sns, SnsOptions};
use crate::sts;
use crate::wire::{Input, Protocol, form};

/// Service and action of a JSON request.
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const TARGET_PREFIX: &str = "AmazonSQS.";
/// The content type of a Query request's body.
const FORM: &[u8] = b"application/x-www-form-urlencoded";
/// The trace of a request, as X-Ray puts it there.
const TRACE_HEADER: HeaderName = HeaderName::from_static("x-amzn-trace-id");
/// Says which request an answer belongs to.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
/// The Query code of a JSON error, for clients that were written when there was only Query.
const QUERY_ERROR: HeaderName = HeaderName::from_static("x-amzn-query-error");

/// The options of SQS that an operator may choose.
#[derive(Clone, Debug)]
pub struct SqsOptions {
    /// The account that owns all queues: 12 digits.
    pub account: String,
    /// The region in ARNs, and of clients that name none.
    pub region: String,
    /// There is only this region, whatever clients sign for. Otherwise each region has queues and
    /// topics of its own.
    pub single_region: bool,
    /// Time between two purges of a queue; AWS has 60 s.
    pub purge_cooldown_ms: u64,
    /// Time before a deleted queue's name may be used again; AWS has 60 s.
    pub name_reuse_wait_ms: u64,
    /// The origins at which clients reach this server, for the URLs in answers.
    pub origins: Origins,
    /// The options of SNS alone.
    pub sns: SnsOptions,
}

impl Default for SqsOptions {
    /// No waiting: AWS needs it because its deletions take time; here they are done at once.
    fn default() -> Self {
        Self {
            account: "000000000000".into(),
            region: "us-east-1".into(),
            single_region: false,
            purge_cooldown_ms: 0,
            name_reuse_wait_ms: 0,
            origins: Origins::trusting_loopback(),
            sns: SnsOptions::default(),
        }
    }
}

/// The SQS API over one broker; a [`Handler`] for an HTTP port.
pub struct Sqs {
    broker: Broker,
    access: Access,
    options: Arc<SqsOptions>,
    sns: Arc<Sns>,
    ids: RequestIds,
}

impl Sqs {
    /// Makes the door.
    pub fn new(broker: Broker, access: Access, options: SqsOptions) -> Self {
        let sns = Sns::new(&options.sns);
        Self { broker, access, options: Arc::new(options), sns, ids: RequestIds::new() }
    }

    /// Begins to deliver to the HTTP endpoints that are subscribed to topics. Until then their
    /// messages wait. Must be called within a tokio runtime.
    pub fn start_deliveries(&self) -> Deliveries {
        let (options, sns) = (Arc::clone(&self.options), Arc::clone(&self.sns));
        Deliveries::start(self.broker.clone(), options, sns)
    }

    /// Counts of deliveries to HTTP endpoints, by how they ended.
    pub fn delivery_counts(&self) -> &DeliveryCounts {
        &self.sns.deliveries
    }

    /// Finds out what is asked, by whom, and does it.
    async fn answer(
        &self,
        request: &Request,
        protocol: Protocol,
        id: &RequestId,
    ) -> Result<(Protocol, Bytes), Failure> {
        let Request { head, body, peer, .. } = request;
        let admitted = self.access.admit(head, body, *peer, now_s());
        let in_url = head.uri.query().unwrap_or("").as_bytes();
        let is_stranger = admitted.is_err();
        let principal = match admitted {
            Ok(principal) => principal,
            // Who follows a link from a message proves by it that the message came there.
            Err(_) if !is_signed(head) && is_link(protocol, head, in_url, body) => Principal::Local,
            Err(denied) => return Err(Error::Denied(denied).into()),
        };
        let origin = self.options.origins.of(head, request.arrival());
        let claimed = claimed_region(head).filter(|_| !self.options.single_region);
        let region = claimed.unwrap_or_else(|| self.options.region.clone());
        let client = request.client();
        let call = Call {
            client: &client,
            broker: &self.broker,
            options: &self.options,
            principal: &principal,
            protocol,
            origin: &origin,
            region: &region,
            path_queue: address::of_path(head.uri.path(), &region, &self.options),
            trace_header: text_of(head, TRACE_HEADER),
            signed: is_signed(head),
            is_stranger,
            sns: &self.sns,
            body,
        };
        if protocol == Protocol::Json {
            self.access.check_signs(head, TARGET.as_str()).map_err(Error::Denied)?;
            let action = json_action(head).ok_or(Error::UnknownOperation)?;
            let done = actions::run(action, &call, Input::Json(body), protocol, id).await;
            return Ok((protocol, done.unwrap_or(Err(Error::UnknownOperation))?));
        }
        if head.method != Method::GET && head.method != Method::POST {
            return Err(Error::UnknownOperation.into());
        }
        if head.method == Method::GET && head.uri.path() == sns::OUTBOX_PATH {
            let listed = sns::outbox(&call).await.map_err(Failure::Sns)?;
            return Ok((Protocol::QueryJson, listed));
        }
        let in_body: &[u8] = if head.method == Method::POST { body } else { b"" };
        let parameters = form::parse(&[in_url, in_body])?;
        if sts::is_addressed(&parameters) {
            let done = sts::run(&call, &parameters, id).map_err(Failure::Sts)?;
            return Ok((Protocol::Query, done));
        }
        if sns::is_addressed(&parameters) {
            let done = sns::run(&call, &parameters, id).await;
            return Ok((Protocol::Query, done.map_err(Failure::Sns)?));
        }
        let action = parameters.text("Action").ok_or(Error::UnknownOperation)?;
        let invalid = || Error::InvalidAction { action: action.to_owned() };
        if call.path_queue.is_some() && !actions::is_of_a_queue(action) {
            return Err(invalid().into());
        }
        let done = actions::run(action, &call, Input::Form(&parameters), protocol, id).await;
        Ok((protocol, done.unwrap_or_else(|| Err(invalid()))?))
    }
}

/// An error in the words of the service that was asked.
enum Failure {
    Sqs(Error),
    Sns(sns::Error),
    /// An answer that is written already.
    Sts(Bytes),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Sqs(error)
    }
}

impl Handler for Sqs {
    async fn handle(&self, request: Request) -> Response {
        if let Some(answer) = cors::preflight(&request.head, &self.access) {
            return answer;
        }
        let id = self.ids.next();
        let protocol = protocol_of(&request.head);
        // A certificate is public: whoever got a message may check its signature.
        if request.head.method == Method::GET
            && request.head.uri.query().is_none()
            && let Some(certificate) = self.sns.signer.certificate(request.head.uri.path()).await
        {
            let mut response = respond(Protocol::Query, certificate.into(), &id);
            let format = HeaderValue::from_static("application/x-pem-file");
            response.headers_mut().insert(CONTENT_TYPE, format);
            return response;
        }
        let response = match self.answer(&request, protocol, &id).await {
            Ok((protocol, body)) => respond(protocol, body, &id),
            Err(Failure::Sqs(error)) => respond_error(protocol, &error, &id),
            Err(Failure::Sns(error)) => {
                let mut response = respond(Protocol::Query, error.answer(&id), &id);
                *response.status_mut() = error.status();
                response
            }
            Err(Failure::Sts(answer)) => {
                let mut response = respond(Protocol::Query, answer, &id);
                *response.status_mut() = StatusCode::BAD_REQUEST;
                response
            }
        };
        cors::let_read(&request.head, &self.access, response)
    }

    fn reject(&self, head: &Head, reason: Rejection) -> Response {
        respond_error(protocol_of(head), &reason.into(), &self.ids.next())
    }
}

/// Tells whether a request claims to be somebody's.
fn is_signed(head: &Head) -> bool {
    head.headers.contains_key(AUTHORIZATION)
        || head.uri.query().is_some_and(|query| query.contains("X-Amz-Signature="))
}

/// Tells whether a request is a link from a message of SNS.
fn is_link(protocol: Protocol, head: &Head, in_url: &[u8], body: &[u8]) -> bool {
    let in_body: &[u8] = if head.method == Method::POST { body } else { b"" };
    protocol != Protocol::Json
        && matches!(head.method, Method::GET | Method::POST)
        && form::parse(&[in_url, in_body])
            .is_ok_and(|parameters| sns::is_addressed(&parameters) && sns::is_link(&parameters))
}

/// A form is Query, whatever its other headers say; JSON requests say so in two ways, and each alone
/// is enough to know how to answer.
fn protocol_of(head: &Head) -> Protocol {
    let starts_with = |name: HeaderName, start: &[u8]| {
        head.headers.get(name).is_some_and(|value| value.as_bytes().starts_with(start))
    };
    let is_form = starts_with(CONTENT_TYPE, FORM);
    let has_target = head.headers.contains_key(TARGET) && head.method == Method::POST;
    if starts_with(CONTENT_TYPE, b"application/x-amz-json") || (has_target && !is_form) {
        Protocol::Json
    } else if starts_with(ACCEPT, b"application/json") {
        Protocol::QueryJson
    } else {
        Protocol::Query
    }
}

fn json_action(head: &Head) -> Option<&str> {
    if head.method != Method::POST {
        return None;
    }
    text_of(head, TARGET)?.strip_prefix(TARGET_PREFIX)
}

/// A header of visible ASCII; `None` if it is not there or something else.
fn text_of(head: &Head, name: HeaderName) -> Option<&str> {
    head.headers.get(name)?.to_str().ok()
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn respond(protocol: Protocol, body: Bytes, id: &RequestId) -> Response {
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(protocol.content_type()));
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

fn respond_error(protocol: Protocol, error: &Error, id: &RequestId) -> Response {
    let row = error.row();
    // Who names no action is answered before AWS looks at `Accept` (recorded).
    let protocol = match protocol {
        Protocol::QueryJson if row.bare_in_query => Protocol::Query,
        asked => asked,
    };
    if row.status.is_server_error() {
        tracing::warn!(%error, request_id = id.as_str(), "request failed");
    }
    let mut response = respond(protocol, protocol.failure(error, id), id);
    *response.status_mut() = row.status;
    if protocol == Protocol::Json {
        let code = HeaderValue::from_str(&format!("{};{}", row.query_code, row.fault()));
        if let Ok(code) = code {
            response.headers_mut().insert(QUERY_ERROR, code);
        }
    }
    response
}

#[cfg(test)]
mod tests;
