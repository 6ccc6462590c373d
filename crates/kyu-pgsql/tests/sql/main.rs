//! The evaluator over a host of its own: no queues, no protocol.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod bounds;
mod functions;
mod host;
