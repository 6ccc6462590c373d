//! Lanes: order and fairness between the messages of one queue, limits, rates and pauses.

pub(crate) mod apply;
pub(crate) mod buckets;
pub(crate) mod codec;
pub(crate) mod decide;
pub(crate) mod lane;
pub(crate) mod limits;
pub(crate) mod pause_ends;
pub(crate) mod picks;
pub(crate) mod snapshot;
