//! The AWS front door: Amazon SQS as boto3 and the other SDKs speak it, in both of its protocols,
//! and Amazon SNS (`sns`) beside it on the same endpoint.
//!
//! A request's path: [`Sqs`] (who is calling, which protocol, which action) -> `wire` (typed
//! request) -> `actions` (one file each: contract, request, apply) -> the broker -> `wire` (typed
//! response). What goes wrong is an `error::Error`, and its table says what AWS calls that.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod actions;
mod address;
mod batch;
mod call;
mod cors;
mod digest;
mod door;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod limits;
mod message;
mod message_attributes;
mod message_id;
mod policy;
mod queue_attributes;
mod receipt;
mod request_id;
mod sns;
mod sts;
mod wire;

#[cfg(test)]
mod test_door;

pub use door::{Sqs, SqsOptions};
pub use sns::{Deliveries, DeliveryCounts, EndpointRule, SnsOptions};
