//! The reasons why a relay ends or waits.

use std::fmt;
use std::io;

use tokio_postgres::error::SqlState;

/// Named by what follows from it.
#[derive(Debug)]
pub enum Error {
    /// Another relay has taken this source over. End, and leave it the work.
    Fenced(String),
    /// The user's Postgres or Kyu is away. Connect again and go on.
    Lost(String),
    /// It was told to stop, between two tries.
    Stopped,
    /// Something else is wrong, which time does not mend.
    Refused(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fenced(position) => {
                write!(f, "another relay has taken this source over (position: {position})")
            }
            Self::Stopped => f.write_str("told to stop"),
            Self::Lost(error) => write!(f, "connection: {error}"),
            Self::Refused(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        let text = describe(&error);
        let passes = match error.code() {
            Some(code) => passes(code.code()) || *code == SqlState::T_R_SERIALIZATION_FAILURE,
            None => !is_about_tls(&error) && !text.starts_with("invalid configuration"),
        };
        if passes { Self::Lost(text) } else { Self::Refused(text) }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        let text = error.to_string();
        if is_about_tls(&error) { Self::Refused(text) } else { Self::Lost(text) }
    }
}

/// Tells whether an error of this SQLSTATE passes by itself. Classes 08, 53, 57 and 58: the server
/// is ending, full or broken.
pub(crate) fn passes(sqlstate: &str) -> bool {
    ["08", "53", "57", "58"].iter().any(|class| sqlstate.starts_with(class))
}

/// A certificate that is not accepted, or a server that does no TLS: not a connection that broke.
fn is_about_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return error
            .get_ref()
            .is_some_and(|inner| inner.is::<rustls::Error>() || inner.is::<NoTls>());
    }
    match error.source() {
        Some(source) => is_about_tls(source),
        None => error.to_string().contains("does not support TLS"),
    }
}

/// The server does no TLS, and the connection string demands it.
#[derive(Debug)]
pub(crate) struct NoTls;

impl fmt::Display for NoTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the source does not speak TLS")
    }
}

impl std::error::Error for NoTls {}

/// An error with what the server said: its `Display` alone is "db error".
pub(crate) fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("{}: {}", said.code().code(), said.message());
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}
