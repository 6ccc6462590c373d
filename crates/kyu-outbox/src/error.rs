//! Why a relay ends or waits.

use std::fmt;

use tokio_postgres::error::SqlState;

/// Named by what follows from it.
#[derive(Debug)]
pub enum Error {
    /// Another relay has taken this source over. End, and leave it the work.
    Fenced(String),
    /// The user's Postgres or Kyu is away. Connect again and go on.
    Lost(tokio_postgres::Error),
    /// Something else is wrong, which time does not mend.
    Refused(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fenced(position) => {
                write!(f, "another relay has taken this source over (position: {position})")
            }
            Self::Lost(error) => write!(f, "connection: {}", describe(error)),
            Self::Refused(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        // Classes 08, 53, 57 and 58: the server is ending, full or broken. No code: the connection.
        let passes = error.code().is_none_or(|code| {
            ["08", "53", "57", "58"].iter().any(|class| code.code().starts_with(class))
                || *code == SqlState::T_R_SERIALIZATION_FAILURE
        });
        if passes { Self::Lost(error) } else { Self::Refused(describe(&error)) }
    }
}

/// An error with what the server said: its `Display` alone is "db error".
pub(crate) fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => format!("{}: {}", said.code().code(), said.message()),
        None => error.to_string(),
    }
}
