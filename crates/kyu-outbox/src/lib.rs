//! The transactional outbox: messages sent inside transactions of a user's own Postgres, relayed to
//! Kyu exactly once and in order.
//!
//! ```text
//!  BEGIN; UPDATE orders ...; SELECT pgmq.send('mails', '{...}'); COMMIT;     (the user's Postgres)
//!                                   | a row of pgmq.outbox
//!                               kyu outbox
//!                                   | BEGIN; outbox_advance(...); send(...) ...; COMMIT;   (Kyu)
//!                                queue mails
//! ```
//!
//! **Nothing lost.** Polling reads rows in order of `(xid, id)`, and only of transactions below the
//! oldest that still runs (`pg_snapshot_xmin`): no row can appear behind the cursor. A cursor by `id`
//! alone would lose rows, because numbers are taken before the commit. Logical replication reads them
//! from the log, in the order of commits (`wal`).
//!
//! **Nothing doubled.** The cursor lives in Kyu's ledger and moves in the *same atomic record* as the
//! messages. Whatever dies whenever: what Kyu has and where to go on are one fact.
//!
//! **One relay.** A relay that starts takes the cursor over under its own name; an older one finds
//! that out at its next step, or within a second, changes nothing, and ends.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod conninfo;
mod error;
mod polling;
mod position;
mod relay;
mod sink;
mod source;
mod tls;
mod wal;

pub use error::Error;
pub use relay::{Lag, Options, Relay};
pub use source::Schema;
pub use wal::Replication;
