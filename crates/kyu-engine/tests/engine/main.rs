//! The engine as its users see it: commands in, replies out, restarts in the middle.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod atomic;
mod by_seq;
mod dead_letter;
mod exchange;
mod explain;
mod fencing;
mod fifo;
mod guards;
mod intervene;
mod lanes;
mod ledger;
mod life_cycle;
mod limit_audit;
mod limits;
mod nowhere;
mod order;
mod random;
mod random_claims;
mod random_retry;
mod retention;
mod retry;
mod schedule;
mod sharing;
mod timer_audit;
mod unique;
mod world;
