//! Running plans: rows, within what a statement may spend.

pub(crate) mod aggregate;
pub(crate) mod eval;
pub(crate) mod execute;
mod host_calls;
mod join;
pub(crate) mod key;
mod sorting;
pub mod turns;
mod window;
