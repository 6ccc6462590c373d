//! The Postgres protocol, version 3: bytes in, statements out, rows back.
//!
//! ```text
//!  server (accept, bounds) -> login (TLS, startup, SCRAM) -> session (one message after another)
//!     connection: frames in, answers gathered, cancel and hang-up noticed meanwhile
//!     portal, run, transaction: what messages and statements do to the session
//!     apart: long statements run in threads of their own, with a budget
//!     frontend, startup, reader, backend, binary, copy, scram: bytes, and nothing else
//! ```

mod apart;
mod backend;
mod binary;
mod block;
mod connection;
mod copy;
mod frontend;
mod limits;
mod login;
mod memory;
mod portal;
mod reader;
mod run;
mod scram;
mod server;
mod session;
mod settings;
mod startup;
mod style;
#[cfg(test)]
mod tests;
mod transaction;

pub use limits::{Limits, MAX_NOTIFICATIONS};
pub use memory::DoorMemory;
pub use server::{Counts, Door, DoorOptions, Notification, Queues, Tls};

/// For [`crate::fuzzing`].
pub(crate) fn fuzz_startup(bytes: &[u8]) {
    let _ = startup::parse(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = kyu_pgsql::Zone::parse(text);
    }
}

/// For [`crate::fuzzing`].
pub(crate) fn fuzz_messages(mut bytes: &[u8]) {
    while let Ok(Some(header)) = frontend::Header::parse(bytes, 1 << 20) {
        let Some((message, rest)) = bytes.split_at_checked(header.total) else { break };
        let parsed = frontend::Frontend::parse(header.kind, message.get(5..).unwrap_or_default());
        if let Ok(frontend::Frontend::Bind(bind)) = parsed {
            for (parameter, ty) in bind.parameters.iter().flatten().zip(kyu_pgsql::oid::all()) {
                let _ = binary::read(ty, 0, parameter);
            }
        }
        bytes = rest;
    }
}
