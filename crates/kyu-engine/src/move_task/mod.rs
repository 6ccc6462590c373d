//! Move tasks: bringing messages back out of a dead-letter queue.

pub(crate) mod apply;
pub(crate) mod decide;
pub(crate) mod record;
pub(crate) mod snapshot;
