//! A client of the admin API (`/v1`, JSON over HTTP/1.1, with or without TLS): one for the `kyu`
//! command and for the Rust SDK. It knows requests and problems, and nothing of what they mean.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod call;
mod client;
mod error;
mod trust;

pub use call::{Call, encoded};
pub use client::{Client, ClientOptions, Credentials};
pub use error::{Error, Problem};
pub use hyper::Method;
