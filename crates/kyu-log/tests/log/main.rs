//! The log's tests: one suite that every disk must pass, and faults on the simulated one.

mod conformance;
mod crash;
mod damage;
mod model;
mod repairs;
mod snapshots;
mod space;
mod support;
