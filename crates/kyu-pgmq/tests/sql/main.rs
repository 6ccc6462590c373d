//! The SQL surface over a fake host.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod calls;
mod catalogue;
mod fake;
mod modify;
mod recorded;
