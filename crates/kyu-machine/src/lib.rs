//! The parts of which deterministic state machines are made: state that takes its changes back.
//!
//! Nothing here knows queues, clocks, files or threads.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod journaled;

pub use journaled::{Journaled, JournaledMap, JournaledMembers, Replace, Trial};
