//! What every front door needs and none should write twice: who is calling ([`access`]), whether
//! the signature is theirs ([`sigv4`]), and an HTTP/1.1 server whose every buffer, wait and
//! connection count has a bound ([`http`]).
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

pub mod access;
mod basic;
pub mod http;
pub mod limits;
pub mod sigv4;
