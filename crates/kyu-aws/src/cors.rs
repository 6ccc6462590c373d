//! Web pages of other origins (CORS, Fetch standard). Where requests must be signed, a page that has a
//! key may call, as it may call AWS. Where they need not be, none may: an open local port is within
//! reach of every page in the user's browser.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, HeaderValue, ORIGIN, VARY,
};
use kyu_door::access::Access;
use kyu_door::http::{Head, Method, Response, StatusCode};

const ANY: HeaderValue = HeaderValue::from_static("*");
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST");
const EXPOSED: HeaderValue = HeaderValue::from_static("x-amzn-requestid, x-amzn-query-error, date");
/// The time for which a browser may remember the answer, in seconds: two days, as AWS has it.
const MAX_AGE_S: HeaderValue = HeaderValue::from_static("172800");
const VARIES: HeaderValue = HeaderValue::from_static(
    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
);

/// The answer to a preflight; `None` for any other request. It is answered before anybody is known:
/// browsers send it without credentials.
pub(crate) fn preflight(head: &Head, access: &Access) -> Option<Response> {
    let headers = &head.headers;
    let is_preflight = head.method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if !is_preflight {
        return None;
    }
    let mut response = Response::new(Full::default());
    if !allows_pages(access) {
        let text = "Web pages of other origins may call this server only if it has credentials.\n";
        *response.body_mut() = Full::new(Bytes::from_static(text.as_bytes()));
        *response.status_mut() = StatusCode::FORBIDDEN;
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, plain);
        return Some(response);
    }
    let asked = headers.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let answer = response.headers_mut();
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    answer.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    answer.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE_S);
    answer.insert(VARY, VARIES);
    if let Some(asked) = asked {
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked);
    }
    Some(response)
}

/// Lets the page that asked read the answer, where pages may ask.
pub(crate) fn let_read(head: &Head, access: &Access, mut response: Response) -> Response {
    if head.headers.contains_key(ORIGIN) && allows_pages(access) {
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
        response.headers_mut().insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
    response
}

fn allows_pages(access: &Access) -> bool {
    match access {
        Access::Loopback(_) => false,
        Access::Keys(_) => true,
    }
}
