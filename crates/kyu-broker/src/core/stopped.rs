//! The verification and the repair of a stopped broker.
//!
//! Both use `load`, as a start does, so they find exactly what a start would find.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use kyu_engine::{Engine, Frame};
use kyu_log::{Disk, DryRun, Lsn, Refusal, RepairStep, SegmentReport, SnapshotStore, StoppedLog};

use super::open::{Loaded, Messages, OpenError, QueueMessages, load, messages_of};

/// The state of a stopped broker's directory.
#[derive(Debug)]
pub struct Verdict {
    /// Segments that were written to, oldest first, each scanned by itself. Empty if the log's
    /// identity cannot be read.
    pub segments: Vec<SegmentReport>,
    /// Addresses of the snapshots, newest first, and what is wrong with one.
    pub snapshots: Vec<(Lsn, Option<String>)>,
    /// The result that a start would have.
    pub start: Result<StartReport, OpenError>,
}

impl Verdict {
    /// Returns true if nothing is wrong: a start succeeds, and every message can be read back.
    pub fn is_clean(&self) -> bool {
        let readable = matches!(&self.start, Ok(start) if start.unreadable.is_empty());
        readable
            && self.segments.iter().all(|segment| segment.damage.is_none())
            && self.snapshots.iter().all(|(_, damage)| damage.is_none())
    }
}

/// The findings of a start that succeeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartReport {
    /// Address from which it replays: that of the newest whole snapshot, or zero.
    pub from: Lsn,
    /// A batch that was in flight when the last process died; the start drops it.
    pub torn_tail: Option<Lsn>,
    /// Messages that cannot be read back and will not be delivered, by queue.
    pub unreadable: Vec<QueueMessages>,
}

/// The steps of a repair, and what the start after it finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairPlan {
    /// The steps; none if the broker starts as it is.
    pub steps: Vec<RepairStep>,
    /// The start afterwards.
    pub start: StartReport,
}

impl fmt::Display for RepairPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        if self.start.unreadable.is_empty() {
            f.write_str("every message that is left can be read")
        } else {
            let unreadable = Messages(&self.start.unreadable);
            write!(f, "{unreadable} stay in the queues and cannot be read back or delivered")
        }
    }
}

/// Verifies the stopped broker in `dir` and changes nothing. Fails if a server has the directory
/// open or a file cannot be read.
pub fn verify(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Verdict, OpenError> {
    let _lock = kyu_log::lock(disk.as_ref(), dir).map_err(OpenError::Log)?;
    let start = start(disk, dir);
    let segments = match kyu_log::verify_segments(disk.as_ref(), dir) {
        Ok(segments) => segments,
        Err(error @ kyu_log::OpenError::Io { .. }) if start.is_ok() => {
            return Err(OpenError::Log(error));
        }
        // The start's own answer says why.
        Err(_) => Vec::new(),
    };
    let snapshots = match kyu_log::log_id(disk.as_ref(), dir) {
        Ok(log_id) => SnapshotStore::new(Arc::clone(disk), dir, log_id)
            .verify()
            .map_err(|error| OpenError::Failed(format!("reading the snapshots: {error}")))?,
        Err(_) => Vec::new(),
    };
    Ok(Verdict { segments, snapshots, start })
}

/// Plans the repair of the stopped broker in `dir`: the steps until it starts, and their losses.
/// Changes nothing. The error is the fault that no repair can put right.
pub fn plan_repair(disk: &Arc<dyn Disk>, dir: &Path) -> Result<RepairPlan, OpenError> {
    let _lock = kyu_log::lock(disk.as_ref(), dir).map_err(OpenError::Log)?;
    dry_run(disk, dir)
}

/// Carries out a plan. Fails if anything has changed since it was made.
pub fn repair(disk: &Arc<dyn Disk>, dir: &Path, plan: &RepairPlan) -> Result<(), OpenError> {
    let _lock = kyu_log::lock(disk.as_ref(), dir).map_err(OpenError::Log)?;
    if dry_run(disk, dir)? != *plan {
        return Err(OpenError::Failed("the log has changed since the plan was made".into()));
    }
    repair_until_it_starts(disk, dir).map(drop)
}

fn dry_run(disk: &Arc<dyn Disk>, dir: &Path) -> Result<RepairPlan, OpenError> {
    let dry: Arc<dyn Disk> = Arc::new(DryRun::new(Arc::clone(disk)));
    repair_until_it_starts(&dry, dir)
}

fn repair_until_it_starts(disk: &Arc<dyn Disk>, dir: &Path) -> Result<RepairPlan, OpenError> {
    let (steps, start) = kyu_log::repair(disk, dir, |disk| start(disk, dir).map_err(refusal))
        .map_err(OpenError::from)?;
    Ok(RepairPlan { steps, start })
}

/// The part of a start before its first change.
fn start(disk: &Arc<dyn Disk>, dir: &Path) -> Result<StartReport, OpenError> {
    let Some(log) = StoppedLog::read(Arc::clone(disk), dir).map_err(OpenError::Log)? else {
        return Ok(StartReport { from: Lsn::ZERO, torn_tail: None, unreadable: Vec::new() });
    };
    let opened = log.opened();
    let store = SnapshotStore::new(Arc::clone(disk), dir, opened.log_id);
    let Loaded { engine, snapshot_lsn, .. } = load(&log, &opened, &store)?;
    let last = opened.last.0 / u64::from(opened.segment_bytes).max(1);
    Ok(StartReport {
        from: snapshot_lsn,
        torn_tail: opened.torn_tail.map(|torn| torn.at),
        unreadable: unreadable(&log, &engine, last),
    })
}

/// Messages whose bytes are not those that were written. A start does not read them: that would take
/// as long as reading the whole log.
fn unreadable(log: &StoppedLog, engine: &Engine, last: u64) -> Vec<QueueMessages> {
    let live = (0..=last).filter(|number| engine.live_bytes(*number) > 0);
    let bad = live.flat_map(|number| engine.live_frames(number)).filter(|frame| {
        let bytes = log.read_at(Lsn(frame.at), frame.bytes as usize);
        !bytes.is_ok_and(|bytes| Frame::decode(Bytes::from(bytes)).is_ok())
    });
    messages_of(engine, bad)
}

/// Converts a start's error for the log's repair.
fn refusal(error: OpenError) -> Refusal {
    match error {
        OpenError::Log(error) => Refusal::Open(error),
        OpenError::Snapshots(error) => Refusal::Snapshots(error),
        OpenError::Replay { from, error } => Refusal::Replay { from, error },
        OpenError::Lost(lost) => Refusal::Missing(lost.segments),
        OpenError::Damaged(text) | OpenError::Failed(text) => Refusal::Other(text),
    }
}

impl From<Refusal> for OpenError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Open(error) => Self::Log(error),
            Refusal::Snapshots(error) => Self::Snapshots(error),
            Refusal::Replay { from, error } => Self::Replay { from, error },
            Refusal::Missing(segments) => {
                Self::Lost(super::open::LostMessages { segments, messages: Vec::new() })
            }
            Refusal::Other(text) => Self::Damaged(text),
        }
    }
}
