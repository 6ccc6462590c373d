//! Lanes of a queue, and pauses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The lane or queue to pause or resume. May be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PauseTarget {
    /// One lane, whether or not it has messages now; the whole queue if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// A pause ends by itself after this time; without it and `until_at_ms`, never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 315_576_000_000_u64))]
    pub for_ms: Option<u64>,
    /// A pause ends by itself at this time, instead of `for_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 253_402_300_799_999_u64))]
    pub until_at_ms: Option<u64>,
}

/// The outcome of a pause or a resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PauseState {
    /// It is paused now.
    pub paused: bool,
    /// It was otherwise before.
    pub changed: bool,
}

/// One lane of a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lane {
    /// Its key.
    pub key: String,
    /// Messages in any state.
    pub messages: u64,
    /// Messages under lease.
    pub in_flight: u32,
    /// Gives nothing until it is resumed.
    pub paused: bool,
    /// Out of tokens, and when it has one again.
    pub next_token_at_ms: Option<u64>,
    /// Its share where lanes are weighted.
    pub weight: u32,
}

/// Some of the lanes that have messages, in order of key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LanePage {
    /// The lanes.
    pub items: Vec<Lane>,
    /// The beginning of the next page; `null` on the last.
    pub next_cursor: Option<String>,
    /// All lanes that are paused, whether or not they have messages.
    pub paused_lanes: Vec<String>,
}
