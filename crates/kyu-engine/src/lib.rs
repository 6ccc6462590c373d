//! The queue engine: a pure, deterministic state machine.
//!
//! Commands are decided into effects, effects go to the log, and applying them is the only way
//! state changes: `state == replay(log)` at every position. The engine knows no clock, no
//! randomness, no I/O and no threads; time and random bits come in with each command.
//!
//! ```text
//!            enqueue                    acquire                   ack
//!  (nothing) ------> DELAYED --time--> READY ------> LEASED/HELD ----> (gone)
//!               \______________________^ ^                 |  |
//!                                        \__ release, lapse, end of session
//!                                                           |
//!                 received too often, or dead -----> READY in the dead-letter queue
//! ```
//!
//! Bodies are not here: a message knows the address of its [`Frame`] in the log.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod apply;
mod codec;
mod decide;
mod decision;
mod effect;
mod engine;
mod exchange;
mod explain;
#[cfg(test)]
mod fact_tests;
mod frames;
mod group;
mod lanes;
mod ledger;
mod load_error;
mod machines;
mod move_task;
mod queue;
mod retries;
mod schedule;
mod snapshot;
mod state;

pub use kyu_model::*;

pub use decision::{Decision, Wait};
pub use effect::Effects;
pub use engine::{Engine, LiveFrame};
pub use load_error::LoadError;
pub use snapshot::Frozen;
pub use state::DirectoryChange;
