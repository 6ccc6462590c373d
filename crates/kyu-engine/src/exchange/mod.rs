//! Exchanges: one publish to many queues.

pub(crate) mod apply;
pub(crate) mod decide;
pub(crate) mod record;
pub(crate) mod snapshot;
pub(crate) mod store;
