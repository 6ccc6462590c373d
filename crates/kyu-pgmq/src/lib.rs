//! The pgmq door: the pgmq SQL API over the Postgres protocol, version 3. It is not Postgres.
//!
//! ```text
//!  socket -> wire (messages, authentication, portals) -> kyu-pgsql (reads, resolves, runs SQL)
//!         -> Host = queues (pgmq functions, relations, transactions) -> kyu-broker
//! ```
//!
//! `kyu-pgsql` knows neither of the others. `wire` knows no queues: what it needs of them is its trait
//! [`wire::Queues`], which `queues` implements, and `kyu_pgsql`'s `Host`.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

#[doc(hidden)]
pub mod fuzzing;
pub mod queues;
pub mod wire;
