//! Deciding the commands of schedules, and the runs that are due.

pub(crate) mod fire;
pub(crate) mod schedule;
