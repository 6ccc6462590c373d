//! The pgmq door: the pgmq SQL API over the Postgres protocol, version 3. It is not Postgres.
//!
//! ```text
//!  socket -> wire (messages, authentication, portals) -> sql (parse, choose overloads, evaluate)
//!         -> Host (pgmq functions, relations, transactions) -> kyu-broker
//! ```
//!
//! `sql` knows no bytes of the protocol and no broker; `wire` knows no SQL beyond statements;
//! `queues` implements [`host::Host`] over the broker and knows neither.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

pub mod budget;
pub mod error;
#[doc(hidden)]
pub mod fuzzing;
pub mod host;
pub mod json;
pub mod queues;
pub mod sql;
pub mod types;
pub mod value;
pub mod wire;
