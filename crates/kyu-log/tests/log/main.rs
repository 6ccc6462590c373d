//! The log's tests: one suite that every disk must pass, and faults on the simulated one.

// The lint's exemption for tests does not reach helper functions of an integration test.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod conformance;
mod crash;
mod damage;
mod model;
mod repairs;
mod snapshots;
mod space;
mod support;
