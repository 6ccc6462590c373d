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
mod apply_exchange;
mod apply_ledger;
mod apply_limits;
mod apply_retry;
mod apply_schedule;
mod apply_unique;
mod attempts;
mod chunk;
mod claim;
mod codec;
mod config_codec;
mod dead;
mod dead_letters;
mod decide;
mod dedup;
mod delivery;
mod effect;
mod ends;
mod engine;
mod exchange;
mod exchange_codec;
#[cfg(test)]
mod fact_tests;
mod finished;
mod frames;
mod guard;
mod guard_codec;
mod guard_keys;
mod guard_stats;
mod intervene;
mod lane;
mod lane_codec;
mod lane_limits;
mod ledger;
mod ledger_codec;
mod load_error;
mod machines;
mod message;
mod message_codec;
mod message_fact;
mod move_task_fact;
mod pause_ends;
mod picks;
mod queue;
mod queue_fact;
mod queue_guards;
mod rate;
mod retention;
mod retry_codec;
mod retry_fact;
mod schedule;
mod schedule_codec;
mod seq_set;
mod slow_start;
mod snapshot;
mod snapshot_blocks;
mod snapshot_ends;
mod snapshot_keys;
mod snapshot_limits;
mod snapshot_retry;
mod snapshot_task;
mod state;
mod trail;
mod unique;

pub use kyu_model::*;

pub use decide::{Decision, Wait};
pub use effect::Effects;
pub use engine::{Engine, LiveFrame};
pub use load_error::LoadError;
pub use snapshot::Frozen;
pub use state::DirectoryChange;
