//! What becomes of a failed attempt, and whom guards let through.

pub(crate) mod guards;
pub(crate) mod retry;
