//! The broker's errors, named by what the caller must do.

use std::fmt;

use kyu_engine::Refusal;

/// The reason why a request was not carried out. Nothing has changed, except after
/// [`Error::Internal`], where the outcome is not known.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// The request cannot be done as asked; the engine says why. Fix the request.
    Refused(Refusal),
    /// The log has no room for more data. Receive and acknowledge, or add disk, then retry.
    StorageFull,
    /// More requests are waiting than the broker holds. Retry later.
    Overloaded,
    /// The server is ending. Retry with its successor.
    ShuttingDown,
    /// The broker lost the request: its threads are gone. Report a bug.
    Internal,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "refused: {refusal:?}"),
            Self::StorageFull => f.write_str("the log has no room for more data"),
            Self::Overloaded => f.write_str("too many requests are waiting"),
            Self::ShuttingDown => f.write_str("the server is shutting down"),
            Self::Internal => f.write_str("the request was lost inside the broker"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
