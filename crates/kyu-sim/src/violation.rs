//! Violations: the auditor's reports of broken promises.

use std::fmt;

/// A broken promise, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Violation {}

/// Returns a [`Violation`] with this text from the function unless the promise is kept.
macro_rules! ensure {
    ($kept:expr, $($text:tt)+) => {
        if !$kept {
            return Err($crate::violation::Violation(format!($($text)+)));
        }
    };
}
pub(crate) use ensure;
