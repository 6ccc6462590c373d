//! The log's tests: one suite that every log must pass, and faults of the disk for the log in files.

// The lint's exemption for tests does not reach helper functions of an integration test.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod conformance;
mod crash;
mod damage;
mod fencing;
mod model;
mod places;
mod promises;
mod repairs;
mod snapshots;
mod space;
mod support;
