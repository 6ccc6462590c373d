//! The reasons why there is no answer, or none that helps.

use std::fmt;

use serde_json::Value;

/// The reason why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// There can be no such client, or no such request: a URL, a file, credentials. Fix it.
    Invalid(String),
    /// Nobody answered, or not in time. Whether the server has done it is not known.
    Unreachable(String),
    /// The answer came from no Kyu server.
    NotUnderstood(String),
    /// The server says no.
    Refused(Problem),
}

/// A problem document (RFC 9457) of the admin API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// The kind, for programs.
    pub code: String,
    /// The mistake, in words for people.
    pub detail: String,
    /// The position of the command in an atomic group.
    pub at: Option<u64>,
    /// The field of the request that is wrong, as a JSON pointer.
    pub pointer: Option<String>,
}

impl Problem {
    pub(crate) fn of(status: u16, document: &Value) -> Self {
        let text = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default();
        Self {
            status,
            code: text("code").to_owned(),
            detail: text("detail").to_owned(),
            at: document.get("at").and_then(Value::as_u64),
            pointer: document.get("pointer").and_then(Value::as_str).map(str::to_owned),
        }
    }

    /// Tells whether the same call may succeed later: overload, shutdown, a full disk.
    pub fn is_temporary(&self) -> bool {
        self.status >= 500 || self.status == 408
    }
}

impl fmt::Display for Problem {
    /// `detail (code)`, behind the place in the request.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.pointer, self.at) {
            (Some(pointer), _) => write!(f, "{pointer}: ")?,
            (None, Some(at)) => write!(f, "command {at}: ")?,
            (None, None) => {}
        }
        write!(f, "{} ({})", self.detail, self.code)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(text) | Self::Unreachable(text) | Self::NotUnderstood(text) => {
                f.write_str(text)
            }
            Self::Refused(problem) => problem.fmt(f),
        }
    }
}

impl std::error::Error for Error {}
