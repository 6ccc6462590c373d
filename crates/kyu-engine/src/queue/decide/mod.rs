//! Deciding the commands of queues: one file for each kind of command.

pub(crate) mod acquire;
pub(crate) mod by_seq;
pub(crate) mod conclude;
pub(crate) mod enqueue;
pub(crate) mod extend;
pub(crate) mod intervene;
pub(crate) mod lease;
pub(crate) mod queue;
pub(crate) mod relocate;
pub(crate) mod sequences;
pub(crate) mod session;
pub(crate) mod settle;
pub(crate) mod tick;
pub(crate) mod unique;
