//! The parts that every front door needs and none should write twice: the accept loop of a port
//! ([`accept`]), what counts as a credential ([`credentials`]), how many descriptors connections may
//! take ([`descriptors`]), memory ([`budget`]) and how times are written ([`calendar`]); and, with
//! the feature `http`, who is calling ([`access`]), whether the signature is theirs ([`sigv4`]), and
//! an HTTP/1.1 server whose every buffer, wait and connection count has a bound ([`http`]).
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

pub mod accept;
#[cfg(feature = "http")]
pub mod access;
#[cfg(feature = "http")]
mod basic;
pub mod calendar;
pub mod credentials;
pub mod descriptors;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "http")]
pub mod limits;
#[cfg(feature = "http")]
pub mod origin;
#[cfg(feature = "http")]
pub mod sigv4;

/// Memory that clients make the server hold; every door pays from it.
pub use kyu_budget as budget;
