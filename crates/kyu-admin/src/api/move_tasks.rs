//! Move tasks: dead letters on their way back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A move to start. All may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NewMoveTask {
    /// The queue to move them to; the one that each message came from if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// Most messages a second; as fast as possible if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_per_second: Option<u32>,
}

/// The state of a move task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MoveStatus {
    /// Moving.
    Running,
    /// All that was there has been moved, or skipped.
    Completed,
    /// Stopped by request.
    Cancelled,
    /// The destination does not exist, or all that was there was skipped.
    Failed,
}

/// The reason why a move task left messages where they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MoveFailure {
    /// Nobody knows where they came from: they were sent to this queue.
    NoSource,
    /// The queue that they came from does not exist any more.
    SourceGone,
    /// The task's destination does not exist any more. This ends the task.
    DestinationGone,
}

/// Messages that are moved from one queue in the background.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MoveTask {
    /// Identifier.
    pub id: u64,
    /// The queue that is emptied.
    pub source: String,
    /// The queue to move them to; `null` for the one that each message came from.
    pub destination: Option<String>,
    /// Most messages a second.
    pub max_per_second: Option<u32>,
    /// State.
    pub status: MoveStatus,
    /// The time at which it started.
    pub started_at_ms: u64,
    /// Messages moved so far.
    pub moved: u64,
    /// Messages in the source when it started: the dead letters that it keeps of its own, or else
    /// what is ready.
    pub to_move: u64,
    /// Messages left where they are, because there is no queue to move them to.
    #[serde(default)]
    pub skipped: u64,
    /// The reason why it failed, or skipped the last message that it skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<MoveFailure>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// The last ten tasks of a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MoveTasks {
    /// The newest first.
    pub items: Vec<MoveTask>,
}
