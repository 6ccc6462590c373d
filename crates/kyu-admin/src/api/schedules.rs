//! Schedules: messages that time sends.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AttributeValue;

/// A schedule's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleSettings {
    /// The times of its runs.
    pub rule: ScheduleRule,
    /// The target of its messages.
    pub target: ScheduleTarget,
    /// The message of its runs.
    #[serde(default)]
    pub message: ScheduledMessage,
    /// Each run comes later by a time from 0 to this, to spread load.
    #[serde(default)]
    #[schemars(range(max = 86_400_000))]
    pub jitter_ms: u64,
    /// The policy for runs that could not happen in time.
    #[serde(default)]
    pub catch_up: CatchUp,
    /// The policy while the message of an earlier run is still in the queue.
    #[serde(default)]
    pub overlap: OverlapPolicy,
    /// No run is due before.
    #[serde(default)]
    #[schemars(range(max = 253_402_300_799_999_u64))]
    pub from_at_ms: Option<u64>,
    /// No run is due at this time or later.
    #[serde(default)]
    #[schemars(range(max = 253_402_300_799_999_u64))]
    pub until_at_ms: Option<u64>,
}

/// The times of the runs of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ScheduleRule {
    /// By a cron expression of five fields, or six with seconds first.
    Cron {
        /// The expression.
        expression: String,
        /// Name of an IANA time zone; `UTC` if left out.
        #[serde(default = "utc")]
        time_zone: String,
    },
    /// Every so many milliseconds.
    Every {
        /// The interval.
        #[schemars(range(min = 1_000, max = 315_360_000_000_u64))]
        interval_ms: u64,
        /// A time of the row; now, if left out.
        #[serde(default)]
        #[schemars(range(max = 253_402_300_799_999_u64))]
        anchor_at_ms: Option<u64>,
    },
}

fn utc() -> String {
    "UTC".to_owned()
}

/// The target of a schedule's messages. While it does not exist, runs fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleTarget {
    /// Into a queue of the namespace.
    Queue(String),
    /// To an exchange of the namespace.
    Exchange(String),
}

/// The message of a schedule's runs; at most one of `body` and `body_base64`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduledMessage {
    /// The body as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The body in base64 (RFC 4648 section 4, with padding).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// Values beside the body.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, AttributeValue>,
    /// Lane; FIFO targets need one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// Priority; for queues.
    pub priority: u8,
    /// Delay; for queues.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 315_576_000_000_u64))]
    pub delay_ms: Option<u64>,
    /// It expires this long after its run; for queues.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 315_576_000_000_u64))]
    pub expires_after_ms: Option<u64>,
}

/// The policy for runs whose time has passed: the server was down, or its clock jumped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum CatchUp {
    /// Only the latest happens, and only if it is at most this late.
    Skip {
        /// In milliseconds.
        #[schemars(range(max = 315_576_000_000_u64))]
        grace_ms: u64,
    },
    /// The latest happens, however late it is.
    #[default]
    One,
    /// All happen, in order, but only the latest so many.
    All {
        /// At most so many.
        #[schemars(range(min = 1, max = 500))]
        max: u32,
    },
}

/// The policy for a run while the message of an earlier run is still in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OverlapPolicy {
    /// It happens all the same.
    #[default]
    Allow,
    /// It does not happen.
    Skip,
    /// Its message replaces the earlier one if that waits.
    Replace,
}

/// A schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Schedule {
    /// Name, unique among the namespace's schedules.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Never given to another schedule.
    pub id: u64,
    /// Rises by one with every change of the settings.
    pub version: u64,
    /// For `If-Match`: id and version.
    pub etag: String,
    /// It does not run.
    pub paused: bool,
    /// The time of its creation.
    pub created_at_ms: u64,
    /// The time of its last change.
    pub modified_at_ms: u64,
    /// Settings.
    pub settings: ScheduleSettings,
    /// The run that it waits for; `null` while it is paused or has ended.
    pub next: Option<NextRun>,
    /// The last run.
    pub last: Option<ScheduleRun>,
    /// The counts of its runs by outcome.
    pub totals: ScheduleTotals,
}

/// A run to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NextRun {
    /// The time that the rule says.
    pub due_at_ms: u64,
    /// The time at which it happens: its share of the jitter later.
    pub run_at_ms: u64,
}

/// The outcome of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// Its message is in the queue, or was published.
    Sent,
    /// It did not happen because of an earlier message.
    Overlapped,
    /// The target would not take its message.
    Failed,
}

/// A run that was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScheduleRun {
    /// The time that the rule said, or at which it was asked for.
    pub due_at_ms: u64,
    /// The time at which it happened.
    pub run_at_ms: u64,
    /// It was asked for.
    pub manual: bool,
    /// The outcome.
    pub outcome: RunOutcome,
    /// Its message, or the earlier one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The reason why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// The counts of a schedule's runs by outcome; each run is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScheduleTotals {
    /// Sent a message.
    pub sent: u64,
    /// Could not happen in time, and was not caught up.
    pub missed: u64,
    /// Did not happen because an earlier message was still there.
    pub overlapped: u64,
    /// Was refused by the target.
    pub failed: u64,
}

/// Some of the schedules, in order of name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SchedulePage {
    /// The schedules.
    pub items: Vec<Schedule>,
    /// The beginning of the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

/// The number of runs to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunsQuery {
    /// The namespace; the server's own if left out.
    pub namespace: Option<String>,
    /// Most runs; 10 if left out.
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<u32>,
}

/// Settings of a schedule that need not exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunsPreview {
    /// The settings.
    pub settings: ScheduleSettings,
    /// Only runs due after this; now, if left out.
    #[serde(default)]
    #[schemars(range(max = 253_402_300_799_999_u64))]
    pub after_at_ms: Option<u64>,
}

/// Runs to come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NextRuns {
    /// In order.
    pub items: Vec<NextRun>,
    /// The time zone of the rule, for showing the times; `null` for intervals.
    pub time_zone: Option<String>,
}

/// A time that is past, whose runs are wanted now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backfill {
    /// Runs due at this time or later.
    #[schemars(range(max = 253_402_300_799_999_u64))]
    pub from_at_ms: u64,
    /// Runs due before this time; at most now, and now if left out.
    #[serde(default)]
    #[schemars(range(max = 253_402_300_799_999_u64))]
    pub until_at_ms: Option<u64>,
    /// The policy while the message of an earlier run is still in the queue; the schedule's own if
    /// left out.
    #[serde(default)]
    pub overlap: Option<OverlapPolicy>,
    /// Most runs of this request, to 1000; 1000 if left out.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<u32>,
}

/// Runs that happened late, on request. Each is on disk; a request that breaks off in the middle has
/// done the first of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Backfilled {
    /// The outcome of each run, in the order in which they were due.
    pub runs: Vec<ScheduleRun>,
    /// `from_at_ms` of a request that goes on; `null` if nothing is left.
    pub next_from_at_ms: Option<u64>,
}
