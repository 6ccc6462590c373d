//! The ledger: durable entries under keys, for effects that must happen once.

pub(crate) mod apply;
pub(crate) mod decide;
pub(crate) mod record;
pub(crate) mod snapshot;
pub(crate) mod store;
