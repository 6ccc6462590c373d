//! Requests.

use std::time::Duration;

use hyper::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// The characters that may stand in a path as they are (RFC 3986, unreserved).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The time that an answer may take beyond the wait that was asked for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A segment of a path, or a value of a query string.
pub fn encoded(text: &str) -> String {
    match text {
        // As they are, they would be taken for directions.
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        text => utf8_percent_encode(text, SEGMENT).to_string(),
    }
}

/// One request to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// Path and query, from `/v1` on.
    pub path: String,
    /// The body that is sent, if any.
    pub body: Option<Value>,
    /// Header fields besides those that every request has.
    pub headers: Vec<(&'static str, String)>,
    /// Longest time until the whole answer is there; 30 s if nothing else is said.
    pub patience: Duration,
}

impl Call {
    /// A request without a body.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), body: None, headers: Vec::new(), patience: PATIENCE }
    }

    /// The call with this body.
    #[must_use]
    pub fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// The call with one header field more.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// One parameter more in the query string.
    #[must_use]
    pub fn query(mut self, name: &str, value: Option<impl AsRef<str>>) -> Self {
        if let Some(value) = value {
            let first = if self.path.contains('?') { '&' } else { '?' };
            self.path.push_str(&format!("{first}{name}={}", encoded(value.as_ref())));
        }
        self
    }

    /// The server may wait as long as this before it answers.
    #[must_use]
    pub fn waiting(mut self, wait_ms: u64) -> Self {
        self.patience = PATIENCE.saturating_add(Duration::from_millis(wait_ms));
        self
    }
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
