//! The SQL surface over a fake host.

mod calls;
mod catalogue;
mod fake;
mod recorded;
