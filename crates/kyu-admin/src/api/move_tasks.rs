//! Move tasks: dead letters on their way back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A move to start. All may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NewMoveTask {
    /// Where to; the queue that each message came from if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// Most messages a second; as fast as possible if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_per_second: Option<u32>,
}

/// Where a move task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MoveStatus {
    /// Moving.
    Running,
    /// All that was there has been moved.
    Completed,
    /// Stopped by request.
    Cancelled,
    /// A destination does not exist.
    Failed,
}

/// Messages that are moved from one queue in the background.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MoveTask {
    /// Identifier.
    pub id: u64,
    /// The queue that is emptied.
    pub source: String,
    /// Where to; `null` for the queue that each message came from.
    pub destination: Option<String>,
    /// Most messages a second.
    pub max_per_second: Option<u32>,
    /// State.
    pub status: MoveStatus,
    /// When it started.
    pub started_at_ms: u64,
    /// Messages moved so far.
    pub moved: u64,
    /// Messages in the source when it started.
    pub to_move: u64,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// The last ten tasks of a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MoveTasks {
    /// The newest first.
    pub items: Vec<MoveTask>,
}
