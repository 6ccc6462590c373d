//! The system under test: one core over one simulated disk, its clock, its deaths and its rebirths.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use kyu_broker::{
    Completion, Context, Core, CoreOptions, Counter, Deliver, Delivery, EndSession, Frame,
    OpenError, Policy, Query, SessionId, UnixMs, Work,
};
use kyu_engine::{Engine, Frozen, LiveFrame};
use kyu_log::{Log, LogReader, Lsn, OnFailure, SimDisk, SimFaults, SyncMode};

use crate::coverage::{Coverage, Event};
use crate::random::Random;
use crate::violation::{Violation, ensure};

/// The number of snapshots that are kept, as by the broker's snapshot thread: the newest and one to
/// fall back to.
const KEPT_SNAPSHOTS: usize = 2;

/// A state of the engine and the end of the log when it had it.
type Mark = (u64, Frozen);

/// The world of a simulation: the disk, its faults, and the server on it.
pub(crate) struct World {
    pub(crate) disk: SimDisk,
    pub(crate) faults: SimFaults,
    pub(crate) core: Core<u64>,
    pub(crate) now_ms: UnixMs,
    options: CoreOptions,
    done: Arc<Mutex<Vec<Completion<u64>>>>,
    failed: Arc<AtomicBool>,
    /// States that a crash may bring back, oldest first.
    marks: Vec<Mark>,
    /// The positions up to which the log was durable before the last flush that made a difference,
    /// and after it.
    pub(crate) flushed: (u64, u64),
    compare_states: bool,
}

/// The settings that a world is made with.
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) sync: SyncMode,
    /// Compare the state after a restart with the state before; without it only the auditor,
    /// who sees no more than clients do, can notice a loss.
    pub(crate) compare_states: bool,
    pub(crate) start_ms: UnixMs,
}

impl World {
    /// An empty disk and a fresh server.
    pub(crate) fn new(setup: &Setup, random: &mut Random) -> Result<Self, Violation> {
        let failed = Arc::new(AtomicBool::new(false));
        let options = options(setup, random, &failed);
        let disk = SimDisk::new(random.next());
        let done = Arc::default();
        let core = open(&disk, &options, &done).map_err(does_not_open)?;
        let mut world = Self {
            disk,
            faults: SimFaults::default(),
            core,
            now_ms: setup.start_ms,
            options,
            done,
            failed,
            marks: Vec::new(),
            flushed: (0, 0),
            compare_states: setup.compare_states,
        };
        world.mark();
        Ok(world)
    }

    pub(crate) fn segment_bytes(&self) -> u64 {
        u64::from(self.options.log.segment_bytes)
    }

    /// Arms the faults of `self.faults`.
    pub(crate) fn arm(&self) {
        self.disk.set_faults(self.faults.clone());
    }

    /// The process cannot go on: the log failed or the power is off.
    pub(crate) fn is_dead(&self) -> bool {
        self.failed.load(Ordering::Relaxed) || self.power_is_off()
    }

    pub(crate) fn power_is_off(&self) -> bool {
        self.faults.crash_at.is_some_and(|at| self.disk.operations() >= at)
    }

    /// Keeps the state as one that a crash may bring back.
    pub(crate) fn mark(&mut self) {
        let end = self.core.log().end().0;
        if self.marks.last().is_none_or(|(at, _)| *at != end) {
            self.marks.push((end, self.core.engine().freeze()));
        }
    }

    /// Lets time pass.
    pub(crate) fn advance(&mut self, ms: u64) {
        self.now_ms += ms;
        // A tick does a bounded part; the engine's thread would come back for the rest.
        for _ in 0..4 {
            self.core.advance(self.now_ms);
            self.mark();
        }
    }

    /// Makes everything durable. False if the process died of it.
    pub(crate) fn flush(&mut self) -> bool {
        self.core.hand_over();
        let before = self.core.log().durable().0;
        let flushed = self.core.log().flush().is_ok();
        let after = self.core.log().durable().0;
        if after != before {
            self.flushed = (before, after);
        }
        let first_kept = self.marks.iter().rposition(|(at, _)| *at <= after).unwrap_or(0);
        self.marks.drain(..first_kept);
        flushed && !self.is_dead()
    }

    /// Answers that have come.
    pub(crate) fn take_done(&mut self) -> Vec<Completion<u64>> {
        std::mem::take(&mut *self.done.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The bytes of a delivery, as a receiver reads them.
    pub(crate) fn read(&mut self, delivery: &Delivery) -> Result<Bytes, Violation> {
        let (at, len) = (Lsn(delivery.frame_at), delivery.frame_bytes as usize);
        self.core.log().reader().read(at, len).map_err(|error| {
            Violation(format!("{:?} at address {at} cannot be read: {error}", delivery.receipt))
        })
    }

    /// One step of upkeep; what it hands out is done at once or, if the power fails, in part.
    pub(crate) fn upkeep(&mut self, coverage: &mut Coverage) {
        match self.core.upkeep() {
            Some(Work::Snapshot { lsn, frozen }) => self.write_snapshot(lsn, &frozen, coverage),
            Some(Work::ReadFrames(frames)) => self.read_frames(frames),
            None => {}
        }
        self.mark();
    }

    fn write_snapshot(&mut self, lsn: Lsn, frozen: &Frozen, coverage: &mut Coverage) {
        let store = self.core.snapshots().clone();
        let written = store.write(lsn, |mut file| frozen.write(&mut file)).ok();
        let event = if written.is_some() { Event::Snapshot } else { Event::SnapshotCut };
        coverage.note(event);
        if written.is_some() {
            // Failing to remove an old one costs only space.
            let _kept = store.prune(KEPT_SNAPSHOTS);
        }
        self.core.snapshot_done(lsn, written);
    }

    fn read_frames(&mut self, frames: Vec<LiveFrame>) {
        let reader = self.core.log().reader();
        let read = frames.into_iter().filter_map(|live| {
            let bytes = reader.read(Lsn(live.at), live.bytes as usize).ok()?;
            Frame::decode(bytes.clone()).ok()?;
            Some((live, bytes))
        });
        let read = read.collect();
        self.core.frames_read(read, true);
    }

    /// Adds what this incarnation counted; it is about to end.
    pub(crate) fn count(&mut self, coverage: &mut Coverage) {
        let metrics = Arc::clone(self.core.metrics());
        coverage.add(Event::Recycled, metrics.get(Counter::RecycledSegments));
        coverage.add(Event::Relocated, metrics.get(Counter::RelocatedMessages));
        coverage.add(Event::ColdRead, self.core.log().metrics().cold_reads);
    }

    /// Answers everything that is inside and makes it durable, as the first part of an orderly
    /// shutdown. False if the process died of it.
    pub(crate) fn finish(&mut self, coverage: &mut Coverage) -> bool {
        let before = self.core.log().durable().0;
        let newest = self.core.finish();
        self.mark();
        let after = self.core.log().durable().0;
        if after != before {
            self.flushed = (before, after);
        }
        if let (Some((lsn, frozen)), false) = (newest, self.is_dead()) {
            self.write_snapshot(lsn, &frozen, coverage);
        }
        !self.is_dead()
    }

    /// The second part: the log is closed.
    pub(crate) fn close(&mut self) -> Result<(), Violation> {
        // A core on a disk of its own takes the place of the one that closes.
        let nobody = open(&SimDisk::new(0), &self.options, &Arc::default());
        let core = std::mem::replace(&mut self.core, nobody.map_err(does_not_open)?);
        core.close();
        Ok(())
    }

    /// The power goes and comes back: what was not synced is lost, wholly or in part.
    pub(crate) fn lose_power(&mut self) {
        self.disk.crash();
        self.come_to_rest();
    }

    /// The process ends; what it wrote is still there.
    pub(crate) fn kill(&mut self) {
        self.disk.kill_process();
        self.come_to_rest();
    }

    fn come_to_rest(&mut self) {
        (self.faults.crash_at, self.faults.fail_at) = (None, None);
        self.arm();
        self.failed.store(false, Ordering::Relaxed);
        self.take_done();
    }

    /// Opens what is on the disk. The state must be one that the log had, no older than what was
    /// reported durable.
    pub(crate) fn reopen(&mut self, coverage: &mut Coverage) -> Result<(), ReopenError> {
        // Randomness is as fresh as in a new process.
        self.options.seed = self.options.seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        let options = self.options.clone();
        let core = open(&self.disk, &options, &self.done).map_err(ReopenError::Open)?;
        // Ending the sessions of the run before writes to the log; a real process ends right there.
        if self.is_dead() {
            let died = OpenError::Failed("the power went while it opened".into());
            return Err(ReopenError::Open(died));
        }
        // The old incarnation is dropped only now: after a crash nothing of it runs.
        self.core = core;
        let end = self.core.log().durable().0;
        self.compare(end, coverage).map_err(ReopenError::Violation)?;
        self.marks.retain(|(at, _)| *at == end);
        // A batch may have reached the disk unreported; then it is the last one.
        let (before, after) = self.flushed;
        self.flushed = (if end > after { after } else { before.min(end) }, end);
        self.mark();
        Ok(())
    }

    fn compare(&mut self, end: u64, coverage: &mut Coverage) -> Result<(), Violation> {
        if !self.compare_states {
            return Ok(());
        }
        ensure!(
            end >= self.flushed.1,
            "the log ends at {end}, but was reported durable up to {}",
            self.flushed.1
        );
        if self.marks.last().is_some_and(|(at, _)| *at > end) {
            coverage.note(Event::TailLost);
        }
        let Some((_, frozen)) = self.marks.iter().find(|(at, _)| *at == end) else {
            coverage.note(Event::StateNotKept);
            return Ok(());
        };
        let found = self.core.engine();
        let left = found.sessions();
        ensure!(
            left.is_empty() || self.faults.capacity_bytes.is_some(),
            "the sessions {left:?} of an earlier run live on though the disk has room"
        );
        let expected = after_restart(frozen, &left, self.segment_bytes())?;
        ensure!(
            found.digest() == expected.digest(),
            "the state after the restart at {end} is not the state before: {}",
            difference(found, &expected)
        );
        for segment in 0..=end / self.segment_bytes() {
            let (found, expected) = (found.live_bytes(segment), expected.live_bytes(segment));
            ensure!(found == expected, "segment {segment}: {found} live bytes, not {expected}");
        }
        coverage.note(Event::StateCompared);
        Ok(())
    }

    /// The directory of the log and its snapshots.
    pub(crate) fn dir(&self) -> &Path {
        &self.options.dir
    }

    /// Opens a copy of the disk, for experiments on it.
    pub(crate) fn open_copy(&self, disk: &SimDisk) -> Result<Core<u64>, OpenError> {
        open(disk, &self.options, &Arc::default())
    }
}

/// The reason why a world did not come back.
pub(crate) enum ReopenError {
    /// The log says why; right after a fault of the disk, or when it is full.
    Open(OpenError),
    /// It came back wrong.
    Violation(Violation),
}

pub(crate) fn does_not_open(error: OpenError) -> Violation {
    Violation(format!("the server does not open: {error}"))
}

/// Returns the state as a restart leaves it: sessions end, except for those that the log has no
/// room to end.
fn after_restart(
    frozen: &Frozen,
    left: &[SessionId],
    segment_bytes: u64,
) -> Result<Engine, Violation> {
    let mut bytes = Vec::new();
    frozen.write(&mut bytes).map_err(|error| Violation(error.to_string()))?;
    let mut engine = Engine::load(&mut bytes.as_slice(), segment_bytes)
        .map_err(|error| Violation(format!("a snapshot in memory cannot be loaded: {error}")))?;
    let now_ms = engine.last_time_ms();
    let context = Context { now_ms, wall_ms: now_ms, seed: 0, epoch: 0 };
    for session in engine.sessions().into_iter().filter(|session| !left.contains(session)) {
        let end = kyu_broker::Command::EndSession(EndSession { session });
        let decision = engine
            .decide(&end, &context)
            .map_err(|refusal| Violation(format!("{end:?} was refused: {refusal:?}")))?;
        // Ending a session writes no frames, so the address does not matter.
        engine.apply(&decision.effects, 0);
    }
    Ok(engine)
}

/// Describes the first visible difference of two states.
fn difference(found: &Engine, expected: &Engine) -> String {
    let show = |engine: &Engine| {
        let queues = engine.queues().map(|info| {
            let counts =
                (engine.query(&Query::Stats(info.id)), engine.query(&Query::Totals(info.id)));
            format!("{:?} v{} {counts:?}", info.id, info.version)
        });
        let mut lines: Vec<String> = queues.collect();
        lines.push(format!("time {} sessions {:?}", engine.last_time_ms(), engine.sessions()));
        lines
    };
    let (found, expected) = (show(found), show(expected));
    let mut differing = found.iter().zip(&expected).filter(|(found, expected)| found != expected);
    match differing.next() {
        Some((found, expected)) => format!("found {found}, expected {expected}"),
        None => {
            format!("{} and {} queues that count the same", found.len() - 1, expected.len() - 1)
        }
    }
}

fn options(setup: &Setup, random: &mut Random, failed: &Arc<AtomicBool>) -> CoreOptions {
    let segment_bytes = 1u32 << random.between(16, 18);
    let segment = u64::from(segment_bytes);
    let failed = Arc::clone(failed);
    CoreOptions {
        dir: PathBuf::from("/sim"),
        log: kyu_log::Options {
            segment_bytes,
            spare_segments: random.between(1, 2) as u16,
            max_log_bytes: None,
            reserve_bytes: segment,
            // Little, so that bodies are read from the disk.
            hot_bytes: random.below(64 << 10),
            direct_io: setup.sync == SyncMode::Always && random.percent(70),
            sync: setup.sync,
            on_failure: OnFailure::Call(Arc::new(move |_| failed.store(true, Ordering::Relaxed))),
        },
        policy: Policy {
            snapshot_after_log_bytes: random.between(segment / 2, 4 * segment),
            relocate_above_bytes: random.between(0, 2 * segment),
            ..Policy::default()
        },
        seed: setup.seed,
    }
}

fn open(
    disk: &SimDisk,
    options: &CoreOptions,
    done: &Arc<Mutex<Vec<Completion<u64>>>>,
) -> Result<Core<u64>, OpenError> {
    let done = Arc::clone(done);
    let deliver: Deliver<u64> = Arc::new(move |completion| {
        done.lock().unwrap_or_else(PoisonError::into_inner).push(completion);
    });
    Core::open_stepped(Arc::new(disk.clone()), options, deliver)
}
