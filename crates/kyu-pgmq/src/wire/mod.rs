//! The Postgres protocol, version 3: bytes in, statements out, rows back.
//!
//! ```text
//!  server (accept, bounds) -> login (TLS, startup, SCRAM) -> session (one message after another)
//!     connection: frames in, answers gathered, cancel and hang-up noticed meanwhile
//!     portal, run, transaction: what messages and statements do to the session
//!     frontend, startup, backend, binary, copy, scram: bytes, and nothing else
//! ```

mod backend;
mod binary;
mod connection;
mod copy;
mod frontend;
mod limits;
mod login;
pub mod oid;
mod portal;
mod run;
mod scram;
mod server;
mod session;
mod settings;
mod startup;
#[cfg(test)]
mod tests;
mod transaction;
mod zone;

pub use binary::columns as composite_columns;
pub use limits::{Limits, MAX_NOTIFICATIONS};
pub use server::{Counts, Door, DoorOptions, Notification, Queues, Tls};
