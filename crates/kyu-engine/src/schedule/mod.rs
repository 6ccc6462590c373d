//! Schedules: messages that time sends.

pub(crate) mod apply;
pub(crate) mod decide;
pub(crate) mod record;
pub(crate) mod snapshot;
pub(crate) mod store;
