//! Retries: attempts that ended, messages that wait for the next one, and the guards that hold
//! retries back.

pub(crate) mod apply;
pub(crate) mod codec;
pub(crate) mod decide;
pub(crate) mod finished;
pub(crate) mod guard;
pub(crate) mod guard_codec;
pub(crate) mod guard_keys;
pub(crate) mod guard_stats;
pub(crate) mod queue_guards;
pub(crate) mod record;
pub(crate) mod slow_start;
pub(crate) mod snapshot;
pub(crate) mod trail;
