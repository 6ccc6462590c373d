//! The vocabulary that every door shares: the requests to a queue server, and its answers.
//!
//! Commands with their replies, questions with their answers, refusals, settings, identifiers and
//! the content of messages. No state and no I/O: doors, settings, the SDK and the command depend on
//! this crate, and not on the engine that carries the commands out.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod ask;
mod by_seq;
mod command;
mod config;
mod content;
mod document;
mod ends;
mod exchange;
mod explain;
mod frame;
mod guard_stats;
mod ids;
mod intervene;
mod lane_policy;
mod ledger;
pub mod limits;
mod matcher;
mod phase;
mod reply;
mod retention;
mod retry;
mod schedule;
mod unique;
pub mod wire;

pub use ask::*;
pub use by_seq::*;
pub use command::*;
pub use config::*;
pub use content::*;
pub use document::*;
pub use ends::*;
pub use exchange::*;
pub use explain::*;
pub use frame::*;
pub use guard_stats::*;
pub use ids::*;
pub use intervene::*;
pub use lane_policy::*;
pub use ledger::*;
pub use matcher::*;
pub use phase::*;
pub use reply::*;
pub use retention::*;
pub use retry::*;
pub use schedule::*;
pub use unique::*;
