//! The types of the API: what is sent and answered as JSON, and what the OpenAPI document says.
//!
//! Requests refuse fields that they do not know. Times are Unix milliseconds (`..._at_ms`), lengths
//! of time milliseconds (`..._ms`), sizes bytes (`..._bytes`).

mod atomic;
mod exchanges;
mod explain;
mod guards;
mod lanes;
mod ledger;
mod messages;
mod move_tasks;
mod queues;
mod schedules;
mod selection;
mod server;

pub use kyu_settings::{
    Backoff, Breaker, DeadLetter, DedupScope, ExpiredTo, Fairness, Fencing, Guard, GuardKey,
    LaneLimits, Overflow, QueueKind, QueueSettings, RateLimit, RetryBudget, RetryPolicy,
};

pub use atomic::*;
pub use exchanges::*;
pub use explain::*;
pub use guards::*;
pub use lanes::*;
pub use ledger::*;
pub use messages::*;
pub use move_tasks::*;
pub use queues::*;
pub use schedules::*;
pub use selection::*;
pub use server::*;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One of several namespaces; without it, the server's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InNamespace {
    /// The namespace; the server's own if left out.
    pub namespace: Option<String>,
}

/// A page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Page {
    /// The namespace; the server's own if left out.
    pub namespace: Option<String>,
    /// Most items of the answer, from 1 to 1000; 100 if left out.
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// A request without parameters in its query string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoQuery {}

/// The problem of one item of a request, the others being done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ItemError {
    /// Stable name of the error; programs decide by it.
    pub code: String,
    /// The advice on what to do about it, for people.
    pub detail: String,
    /// The field of the request that is wrong (JSON pointer, RFC 6901).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
}

/// The answer to a request that was not carried out (RFC 9457, `application/problem+json`).
/// Nothing has changed, except after `internal`, where the outcome is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProblemBody {
    /// `urn:kyu:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The mistake in this request, for people.
    pub detail: String,
    /// Stable name of the problem; programs decide by it.
    #[schemars(schema_with = "crate::openapi::code_schema")]
    pub code: String,
    /// The field of the body that is wrong (JSON pointer, RFC 6901); `null` where it is none, or more
    /// than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// In an atomic group: the command that was refused, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    /// The time after which it is worth trying again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}
