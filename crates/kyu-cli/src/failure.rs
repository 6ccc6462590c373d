//! The reasons why a verb did not do what it was asked; each kind has an exit code that scripts
//! rely on.

use std::fmt;

/// The reason why a verb failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Anything else.
    Failed(String),
    /// The arguments, or what the server says of them.
    Usage(String),
    /// The thing that is named is not there.
    NotFound(String),
    /// The state does not allow it: it exists already, was changed meanwhile, is at its limit.
    Conflict(String),
    /// The server wants other credentials, or serves nobody from here.
    Denied(String),
    /// No server answers.
    Unreachable(String),
}

impl Failure {
    /// The exit code. 3 and 4 are the server's own.
    pub fn code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::NotFound(_) => 5,
            Self::Conflict(_) => 6,
            Self::Denied(_) => 7,
            Self::Unreachable(_) => 8,
        }
    }
}

impl From<kyu_client::Error> for Failure {
    fn from(error: kyu_client::Error) -> Self {
        let text = error.to_string();
        match error {
            kyu_client::Error::Invalid(_) => Self::Usage(text),
            kyu_client::Error::Unreachable(_) => Self::Unreachable(text),
            kyu_client::Error::NotUnderstood(_) => Self::Failed(text),
            kyu_client::Error::Refused(problem) => match problem.status {
                401 | 403 => Self::Denied(text),
                404 => Self::NotFound(text),
                409 | 412 => Self::Conflict(text),
                400..500 => Self::Usage(text),
                _ => Self::Failed(text),
            },
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(text)
            | Self::Usage(text)
            | Self::NotFound(text)
            | Self::Conflict(text)
            | Self::Denied(text)
            | Self::Unreachable(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Failure {}
