//! Deciding the commands of exchanges, and routing publications.

pub(crate) mod exchange;
pub(crate) mod publish;
