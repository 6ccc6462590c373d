//! Schedules: messages that time sends, by cron expressions or at intervals.
//!
//! The next run of a schedule is part of the state: whoever decides about a run picks the one after
//! it, and the effect carries it. Replay never computes a time, so that other rules of a time zone
//! in a later version change no past.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::ids::{MessageId, QueueName, UnixMs};

/// A schedule's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleConfig {
    /// The rule by which it runs.
    pub rule: ScheduleRule,
    /// The queue or exchange that gets its messages.
    pub target: ScheduleTarget,
    /// The template of its messages.
    pub message: MessageTemplate,
    /// The most by which a run comes later, in milliseconds: each run has a delay from 0 to this,
    /// to spread load, fixed for each run, so that previews are right. At most
    /// [`crate::limits::MAX_JITTER_MS`], and the interval.
    pub jitter_ms: u64,
    /// The policy for runs that could not happen in time.
    pub catch_up: CatchUp,
    /// The policy for a run while the message of an earlier run is still in the queue.
    pub overlap: OverlapPolicy,
    /// The time before which no run is due.
    pub from_ms: Option<UnixMs>,
    /// The time from which on no run is due.
    pub until_ms: Option<UnixMs>,
    /// Attributes that doors and users keep with it.
    pub attributes: BTreeMap<String, String>,
}

impl ScheduleConfig {
    /// The defaults: no jitter, one run for all that were missed, overlapping allowed, for ever.
    pub fn new(rule: ScheduleRule, target: ScheduleTarget, message: MessageTemplate) -> Self {
        Self {
            rule,
            target,
            message,
            jitter_ms: 0,
            catch_up: CatchUp::default(),
            overlap: OverlapPolicy::default(),
            from_ms: None,
            until_ms: None,
            attributes: BTreeMap::new(),
        }
    }
}

/// The rule by which a schedule runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScheduleRule {
    /// The schedule runs by a cron expression of five fields, or six with seconds first; see
    /// `kyu-cron` for its form and for what happens when clocks are put forward and back.
    Cron {
        /// The expression.
        expression: String,
        /// Name of an IANA time zone, such as `Europe/Berlin` or `UTC`.
        time_zone: String,
    },
    /// The schedule runs at `anchor_ms`, and then every `interval_ms` milliseconds.
    Every {
        /// The interval, from [`crate::limits::MIN_INTERVAL_MS`] to
        /// [`crate::limits::MAX_INTERVAL_MS`].
        interval_ms: u64,
        /// One of the times at which it runs; `None` for the time of the command, so that the first
        /// run is one interval later. A schedule that is read back always has it.
        anchor_ms: Option<UnixMs>,
    },
}

/// A schedule's target, by name: it may be deleted and come back. While it does not exist, runs
/// fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScheduleTarget {
    /// Into a queue.
    Queue(QueueName),
    /// Published to an exchange. Bindings that filter bodies do not get it.
    Exchange(QueueName),
}

/// The template of a schedule's messages. Each also has the time at which it was due, as
/// [`crate::Property::ScheduledAt`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageTemplate {
    /// The content, encoded by [`crate::Content::encode`]; at most
    /// [`crate::limits::MAX_SCHEDULE_CONTENT_BYTES`].
    pub content: Bytes,
    /// Its size as the door counts it; for exchanges.
    pub size_bytes: u32,
    /// Lane; FIFO targets need one.
    pub lane: Option<String>,
    /// Priority; for queues.
    pub priority: u8,
    /// Delay; `None` for the queue's own. For queues.
    pub delay_ms: Option<u64>,
    /// The time from a run to its message's expiry, in milliseconds. For queues.
    pub expires_after_ms: Option<u64>,
}

/// The policy for runs whose time has passed because the server was down, or its clock jumped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CatchUp {
    /// Only the latest of the runs that are due happens, and only if it is at most this late; the
    /// others are counted as missed.
    Skip {
        /// The most that a run may be late, in milliseconds.
        grace_ms: u64,
    },
    /// The latest happens, however late it is; the others are counted as missed.
    #[default]
    One,
    /// The latest runs happen, in order and up to `max`; the others are counted as missed.
    All {
        /// The most runs that happen, from 1 to [`crate::limits::MAX_CATCH_UP`].
        max: u32,
    },
}

/// The policy for a run while the message of an earlier run of the schedule is still in the queue
/// (ready, delayed or in flight; a dead letter is not). Exchanges know only `Allow`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverlapPolicy {
    /// It happens all the same.
    #[default]
    Allow,
    /// It does not happen, and is counted as overlapped.
    Skip,
    /// Its message replaces the earlier one if that waits; if that is in flight, as `Skip`.
    Replace,
}

/// A command about schedules. In an atomic group, a run on request that sends no message refuses the
/// whole group.
#[derive(Clone, Debug)]
pub enum ScheduleCommand {
    /// A new schedule. Answer: [`ScheduleReply::Created`], or [`ScheduleRefusal::Exists`].
    Create(Box<CreateSchedule>),
    /// Replace its settings; the next run is chosen anew, from now on. Answer:
    /// [`ScheduleReply::Changed`].
    Update(Box<UpdateSchedule>),
    /// Delete it; its messages stay. Answer: [`ScheduleReply::Deleted`].
    Delete(QueueName),
    /// Pause the schedule. Answer: [`ScheduleReply::Changed`], also if it is paused already.
    Pause(QueueName),
    /// Resume the schedule from now on: runs that were missed while it was paused are not caught
    /// up. Answer: [`ScheduleReply::Changed`], also if it is not paused.
    Resume(QueueName),
    /// Run the schedule once now, also while it is paused, in addition to the runs that are due.
    /// The overlap policy applies. Answer: [`ScheduleReply::Ran`].
    RunNow(QueueName),
    /// Run now what was due in a span of the past, whether or not it ran then. These runs come in
    /// addition to those that are due, also while the schedule is paused. Answer:
    /// [`ScheduleReply::Backfilled`].
    Backfill(Box<BackfillSchedule>),
}

/// The parameters of [`ScheduleCommand::Backfill`].
#[derive(Clone, Debug)]
pub struct BackfillSchedule {
    /// The schedule.
    pub name: QueueName,
    /// Runs due at this time or later.
    pub from_ms: UnixMs,
    /// Runs due before this time; at most the time of the command and a millisecond.
    pub until_ms: UnixMs,
    /// The policy for a run while the message of an earlier run is still in the queue; `None` for
    /// the schedule's own policy.
    pub overlap: Option<OverlapPolicy>,
    /// The most runs, up to [`crate::limits::MAX_TICK_RUNS`].
    pub max: u32,
}

/// The parameters of [`ScheduleCommand::Create`].
#[derive(Clone, Debug)]
pub struct CreateSchedule {
    /// Namespace and name; schedules share names with nothing else.
    pub name: QueueName,
    /// Its settings.
    pub config: ScheduleConfig,
    /// Create it paused.
    pub paused: bool,
}

/// The parameters of [`ScheduleCommand::Update`].
#[derive(Clone, Debug)]
pub struct UpdateSchedule {
    /// The schedule.
    pub name: QueueName,
    /// All settings, replacing the old ones.
    pub config: ScheduleConfig,
    /// Refuse with [`crate::Refusal::VersionConflict`] if the schedule's version is another one.
    pub expected_version: u64,
}

/// Answer to a [`ScheduleCommand`].
#[derive(Clone, Debug, PartialEq)]
pub enum ScheduleReply {
    /// The new schedule.
    Created(Arc<ScheduleInfo>),
    /// The schedule as it is now.
    Changed(Arc<ScheduleInfo>),
    /// The schedule is deleted.
    Deleted,
    /// The run and its outcome.
    Ran(ScheduleRun),
    /// The outcomes of the runs that this command had room for.
    Backfilled(Backfilled),
}

/// The outcomes of a backfill, as far as one command had room.
#[derive(Clone, Debug, PartialEq)]
pub struct Backfilled {
    /// The runs, in order; at most as many as were asked for; to an exchange, one.
    pub runs: Vec<ScheduleRun>,
    /// The time at which the next command continues; `None` when all runs are done.
    pub next_from_ms: Option<UnixMs>,
}

/// The reason why a schedule command was refused; nothing has changed.
#[derive(Clone, Debug, PartialEq)]
pub enum ScheduleRefusal {
    /// No such schedule.
    NotFound,
    /// The name is taken.
    Exists(Arc<ScheduleInfo>),
    /// A setting is wrong; what and why is said for people.
    Invalid(String),
}

/// A question about schedules.
#[derive(Clone, Debug)]
pub enum ScheduleQuery {
    /// One schedule. Answer: [`ScheduleAnswer::Schedule`].
    Get(QueueName),
    /// Schedules of a namespace in order of name. Answer: [`ScheduleAnswer::Schedules`].
    List {
        /// The namespace.
        namespace: String,
        /// The name after which the list begins; `None` begins at the first.
        after: Option<String>,
        /// The most to list, up to [`crate::limits::MAX_LISTED`].
        max: usize,
    },
    /// The runs that settings would bring after a time, for a schedule that need not exist (jitter
    /// is left out). Answer: [`ScheduleAnswer::Runs`], or [`ScheduleRefusal::Invalid`].
    Preview {
        /// The settings.
        config: Box<ScheduleConfig>,
        /// The time after which the listed runs are due.
        after_ms: UnixMs,
        /// The most to list, up to [`crate::limits::MAX_PREVIEW`].
        max: usize,
    },
    /// The next runs of a schedule, from the one that it waits for; none while it is paused.
    /// Answer: [`ScheduleAnswer::Runs`].
    NextRuns {
        /// The schedule.
        name: QueueName,
        /// The most to list, up to [`crate::limits::MAX_PREVIEW`].
        max: usize,
    },
}

/// Answer to a [`ScheduleQuery`].
#[derive(Clone, Debug, PartialEq)]
pub enum ScheduleAnswer {
    /// The schedule, if there is one.
    Schedule(Option<Arc<ScheduleInfo>>),
    /// Schedules by name.
    Schedules(Vec<Arc<ScheduleInfo>>),
    /// Runs in order.
    Runs(Vec<NextRun>),
}

/// A schedule as doors see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleInfo {
    /// Identifier, never reused.
    pub id: u64,
    /// Namespace and name.
    pub name: QueueName,
    /// Current settings.
    pub config: ScheduleConfig,
    /// Rises by one with every change of `config`; guards read-modify-write.
    pub version: u64,
    /// True if the schedule is paused: it does not run.
    pub paused: bool,
    /// The time at which it was created.
    pub created_at_ms: UnixMs,
    /// The time at which `config` or `paused` last changed.
    pub modified_at_ms: UnixMs,
    /// The run that it waits for; `None` while it is paused or has ended.
    pub next: Option<NextRun>,
    /// The last run that was due or asked for, missed ones excepted.
    pub last: Option<ScheduleRun>,
    /// Totals of its runs.
    pub totals: ScheduleTotals,
}

/// A future run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextRun {
    /// The time that the rule gives.
    pub due_ms: UnixMs,
    /// The time at which it happens: `due_ms` plus its share of the jitter.
    pub at_ms: UnixMs,
}

/// A past run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleRun {
    /// The time that the rule gave; for [`ScheduleCommand::RunNow`], the time of the request.
    pub due_ms: UnixMs,
    /// The time at which it happened.
    pub at_ms: UnixMs,
    /// True if the run was requested by [`ScheduleCommand::RunNow`] or
    /// [`ScheduleCommand::Backfill`].
    pub manual: bool,
    /// The outcome of the run.
    pub outcome: RunOutcome,
}

/// The outcome of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunOutcome {
    /// Its message is in the queue, or was published.
    Sent(MessageId),
    /// It did not happen because of this earlier message.
    Overlapped(MessageId),
    /// The target would not take its message; why is said for people.
    Failed(String),
}

/// Totals of a schedule's runs; each is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScheduleTotals {
    /// Runs that sent a message.
    pub sent: u64,
    /// Runs that could not happen in time, and were not caught up.
    pub missed: u64,
    /// Runs that did not happen because an earlier message was still there.
    pub overlapped: u64,
    /// Runs whose message the target refused.
    pub failed: u64,
}
