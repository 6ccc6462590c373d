//! The one gateway between front doors and the engine: typed commands in, durable replies out.
//!
//! The path of a command: [`Broker::ask`] puts it into the inbox; the engine's thread takes all
//! that is there, decides each, appends its effects to the log and applies them; the reply waits in
//! the outbox until the log's writer thread reports that the disk has it. Nothing is answered, and
//! nothing shown, that a crash could take back; the one exception is stated in `outbox.rs`.
//!
//! [`Core`] is all of this without threads and clocks, for simulation and benchmarks.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod admission;
mod background;
mod bodies;
mod broken_disk;
mod broker;
mod clock;
mod core;
mod directory;
mod engine_thread;
mod error;
pub mod facts;
mod filtered;
mod group;
mod inbox;
pub mod limits;
mod metrics;
mod open;
mod options;
mod outbox;
mod pins;
mod request;
mod seeds;
mod thread;
mod waiters;

pub use crate::core::{
    Core, CoreOptions, Deliver, LostMessages, OpenError, QueueMessages, Work, stopped,
};
pub use bodies::Received;
pub use broker::Broker;
pub use directory::Directory;
pub use error::Error;
pub use filtered::{PublishError, Publishes};
pub use group::{At, Group, Replies};
pub use metrics::{Counter, Gauges, Metrics, MetricsSnapshot, QueueMetrics};
pub use options::{Options, Policy};
pub use outbox::{Completion, Response};
pub use pins::Pin;
pub use request::Leased;
pub use waiters::ReceiveId;

/// The words of commands and replies, for those who depend on the broker anyway.
pub use kyu_model::*;
