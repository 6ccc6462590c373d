//! Deciding the consequences of failed attempts, and which messages guards let through.

pub(crate) mod guards;
pub(crate) mod retry;
