//! Errors as a Postgres client sees them.

use std::fmt;

/// An error: the fields of ErrorResponse (PostgreSQL manual, "Error and Notice
/// Message Fields").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PgError {
    /// The five characters of SQLSTATE, such as `42P01`.
    pub code: &'static str,
    /// One line, worded as Postgres or pgmq word it.
    pub message: String,
    /// More, if there is more to say.
    pub detail: Option<String>,
    /// A hint at what to do instead.
    pub hint: Option<String>,
    /// The place in the statement, in characters from 1.
    pub position: Option<u32>,
    /// The place that it came from: "PL/pgSQL function ..." where clients show it.
    pub context: Option<String>,
}

impl PgError {
    /// An error with a code and a message only.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            context: None,
        }
    }

    /// Adds what to do instead.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for PgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for PgError {}

/// A NoticeResponse: told, but nothing failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// `NOTICE` or `WARNING`.
    pub severity: &'static str,
    /// SQLSTATE; `00000` for none.
    pub code: &'static str,
    /// One line.
    pub message: String,
}
