//! The SQS workloads.

mod call;
mod consumer;
mod flow;
mod long;
mod probe;
mod producer;
mod request;
mod workloads;

pub(crate) use long::run_long;
pub(crate) use producer::{Producer, Shape};
pub(crate) use workloads::{Target, run};

/// The latency series of every SQS workload; a row shows those it recorded, in this order.
const OPERATIONS: [&str; 4] = ["end to end", "send", "receive", "delete"];
const END_TO_END: usize = 0;
const SEND: usize = 1;
const RECEIVE: usize = 2;
const DELETE: usize = 3;
