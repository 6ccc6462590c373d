//! The admin API: everything a server does, as HTTP and JSON under `/v1`. The command line, the
//! dashboard and the Rust SDK use nothing else.
//!
//! Start at `operations/mod.rs` for the table of operations: it routes requests, and the
//! OpenAPI document is made from it and from the types in [`api`] that requests are parsed into.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

pub mod api;
mod call;
mod condition;
mod content;
mod door;
mod exchange_settings;
mod explain;
mod form;
mod form_limits;
mod limits;
mod openapi;
mod operation;
mod operations;
mod problem;
mod refusals;
#[cfg(test)]
mod test_door;

pub use door::{Admin, AdminOptions};
pub use problem::Code;

/// The OpenAPI 3.1 document of the API.
pub fn openapi() -> &'static serde_json::Value {
    openapi::document()
}
