//! The SQL surface over a fake host.

mod fake;
mod recorded;
