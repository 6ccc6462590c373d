//! The errors: for callers of the handle, and for handlers of jobs.

use std::fmt;
use std::time::Duration;

/// The reason why a call failed, named by what the caller can do.
#[derive(Debug)]
pub enum Error {
    /// The request cannot be done as asked. Fix it.
    Invalid(String),
    /// Not now: overloaded, ending, unreachable, or out of disk. Nothing was changed, or (where the
    /// connection broke) that is not known; doing it again is safe with a deduplication id.
    Retry(String),
    /// The data directory cannot be opened.
    Open(String),
    /// A job or a result does not turn into JSON or back.
    Encoding(serde_json::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(text) => write!(f, "refused: {text}"),
            Self::Retry(text) => write!(f, "not now: {text}"),
            Self::Open(text) => write!(f, "opening: {text}"),
            Self::Encoding(error) => write!(f, "encoding: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Encoding(error) => Some(error),
            _ => None,
        }
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Encoding(error)
    }
}

/// The words of a handler for a job that is not done. Every error turns into [`JobError::Failed`]
/// by `?`.
#[derive(Debug)]
pub enum JobError {
    /// The attempt failed and counts. Tried again after the job type's own back-off, or dead-lettered
    /// when that was the last attempt.
    Failed(String),
    /// The job failed, and is tried again after this time.
    FailedRetryIn(String, Duration),
    /// Trying again is no use: to the dead-letter queue at once.
    Dead(String),
    /// Nothing went wrong, it is only too early: given back, not counted, due after this time.
    NotYet(Duration),
}

impl JobError {
    /// A failure that is worth another attempt.
    pub fn failed(why: impl fmt::Display) -> Self {
        Self::Failed(why.to_string())
    }

    /// A failure that no other attempt can mend.
    pub fn dead(why: impl fmt::Display) -> Self {
        Self::Dead(why.to_string())
    }
}

impl<E: std::error::Error> From<E> for JobError {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}
