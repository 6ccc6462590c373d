//! What schedules answer, and the runs that are due.

pub(crate) mod fire;
pub(crate) mod schedule;
