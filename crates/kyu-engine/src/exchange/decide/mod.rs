//! What exchanges answer, and where publications go.

pub(crate) mod exchange;
pub(crate) mod publish;
