//! The queue engine: a pure, deterministic state machine.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod command;
mod config;
mod content;
mod frame;
mod ids;
pub mod limits;
mod reply;
pub mod wire;

pub use command::*;
pub use config::*;
pub use content::{Attribute, AttributeValue, Content, Property};
pub use frame::Frame;
pub use ids::*;
pub use reply::*;
