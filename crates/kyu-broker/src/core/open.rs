//! From files to a running core, and back.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use kyu_engine::{
    Address, Answer, Command, EndSession, Engine, Frozen, LedgerAnswer, LedgerQuery, LedgerStats,
    Query, QueueId,
};
use kyu_log::{Disk, FileLog, Lsn, Opened, SnapshotStore, SyncMode};

use super::{Core, Deliver, upkeep};
use crate::directory::Directory;
use crate::metrics::{Counter, Gauges, Metrics, MetricsSnapshot, QueueMetrics};
use crate::options::Policy;
use crate::outbox::Outbox;
use crate::pins::Pins;
use crate::seeds::Seeds;
use crate::waiters::Waiters;

/// How a core is opened.
#[derive(Clone, Debug)]
pub struct CoreOptions {
    /// Directory of the log and its snapshots.
    pub dir: PathBuf,
    /// The log's options.
    pub log: kyu_log::Options,
    /// When the core works on its own account.
    pub policy: Policy,
    /// All randomness comes from this.
    pub seed: u64,
}

/// Why a broker did not open.
#[derive(Debug)]
pub enum OpenError {
    /// The log says why.
    Log(kyu_log::OpenError),
    /// A snapshot or a record is not what was written.
    Damaged(String),
    /// Anything else.
    Failed(String),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(error) => error.fmt(f),
            Self::Damaged(text) | Self::Failed(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for OpenError {}

impl<T: Send + 'static> Core<T> {
    /// Opens the log with threads of its own: replies become durable by themselves.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: &CoreOptions,
        deliver: Deliver<T>,
    ) -> Result<Self, OpenError> {
        let opened = FileLog::open(Arc::clone(&disk), &options.dir, options.log.clone());
        Self::from_log(disk, opened.map_err(OpenError::Log)?, options, deliver)
    }

    /// Opens the log without threads: nothing is durable before the caller flushes it.
    pub fn open_stepped(
        disk: Arc<dyn Disk>,
        options: &CoreOptions,
        deliver: Deliver<T>,
    ) -> Result<Self, OpenError> {
        let opened = FileLog::open_stepped(Arc::clone(&disk), &options.dir, options.log.clone());
        Self::from_log(disk, opened.map_err(OpenError::Log)?, options, deliver)
    }

    fn from_log(
        disk: Arc<dyn Disk>,
        (log, opened): (FileLog, Opened),
        options: &CoreOptions,
        deliver: Deliver<T>,
    ) -> Result<Self, OpenError> {
        let snapshots = SnapshotStore::new(disk, &options.dir, opened.log_id);
        let loaded = load(&log, &opened, &snapshots)?;
        let epoch = u32::try_from(opened.epoch)
            .map_err(|_| OpenError::Failed("the log was opened more than 2^32 times".into()))?;
        let directory = Arc::new(Directory::new(loaded.engine.queues().map(Arc::clone)));
        let durable = match options.log.sync {
            SyncMode::Always => log.durable().0,
            // The positive control: no reply waits, not even for the write.
            SyncMode::Broken => Address::MAX,
        };
        let outbox = Arc::new(Outbox::new(durable, Arc::clone(&directory)));
        deliver_when_durable(&log, &outbox, &deliver);
        let mut core = Self {
            log_end: opened.last.0,
            segment_bytes: u64::from(opened.segment_bytes),
            epoch,
            seeds: Seeds::new(options.seed),
            now_ms: loaded.engine.last_time_ms(),
            wall_ahead_ms: 0,
            tick_not_before_ms: 0,
            outbox,
            replies: Vec::new(),
            deliver,
            waiters: Waiters::new(),
            long_polls_ended: false,
            woken: Vec::new(),
            stale_sessions: Vec::new(),
            pins: Pins::new(),
            // Addresses begin with segment 1.
            upkeep: upkeep::Upkeep::new(
                loaded.snapshot_lsn.0.max(u64::from(opened.segment_bytes)),
                loaded.snapshot_bytes,
                loaded.fallback_lsn.0.max(u64::from(opened.segment_bytes)),
            ),
            policy: options.policy,
            directory,
            metrics: Arc::new(Metrics::new()),
            snapshots,
            engine: loaded.engine,
            log,
        };
        core.stale_sessions = core.engine.sessions();
        core.end_stale_sessions();
        Ok(core)
    }

    /// Sessions end with the process that held them. On a log without room for it upkeep tries
    /// again, or their messages would stay locked until the next start.
    pub(super) fn end_stale_sessions(&mut self) {
        for session in std::mem::take(&mut self.stale_sessions) {
            if let Err(error) = self.execute(&Command::EndSession(EndSession { session })) {
                tracing::warn!(session = session.0, %error, "ending a session of an earlier run");
                self.stale_sessions.push(session);
            }
        }
        self.serve_woken();
    }

    /// Where snapshots of this log are written.
    pub fn snapshots(&self) -> &SnapshotStore {
        &self.snapshots
    }

    /// Answers everything that is inside and makes it durable. Returns the last state to be
    /// written as a snapshot, if the one on disk is older; then comes [`Core::close`].
    pub fn finish(&mut self) -> Option<(Lsn, Box<Frozen>)> {
        self.end_long_polls();
        self.hand_over();
        if let Err(error) = self.log.flush() {
            tracing::error!(%error, "flushing the log at the end");
            return None;
        }
        let newer = self.log_bytes_since_snapshot() > 0;
        newer.then(|| (Lsn(self.log_end), Box::new(self.engine.freeze())))
    }

    /// Closes the log in good order.
    pub fn close(self) {
        if let Err(error) = self.log.close() {
            tracing::error!(%error, "closing the log");
        }
    }

    /// All that is measured, now.
    pub fn measure(&self) -> MetricsSnapshot {
        let space = self.log.space().ok();
        let ledger = match self.engine.query(&Query::Ledger(LedgerQuery::Stats)) {
            Ok(Answer::Ledger(LedgerAnswer::Stats(stats))) => stats,
            _ => LedgerStats::default(),
        };
        let gauges = Gauges {
            clock_off_seconds: 0,
            queues: self.directory.len() as u64,
            waiting_receives: self.waiters.len() as u64,
            waiting_requests: 0,
            held_replies: self.outbox.len() as u64,
            log_used_bytes: space.map_or(0, |space| space.used_bytes),
            log_free_bytes: space.map_or(0, |space| space.free_bytes),
            log_full: space.map_or(0, |space| u64::from(space.full)),
            log_since_snapshot_bytes: self.log_bytes_since_snapshot(),
            newest_snapshot_bytes: self.snapshot_bytes(),
            ledger_entries: ledger.entries,
            ledger_bytes: ledger.bytes,
        };
        let counters = Counter::ALL.iter().map(|counter| self.metrics.get(*counter)).collect();
        MetricsSnapshot { counters, gauges, log: self.log.metrics() }
    }

    /// All that is measured of these queues, now; `None` for one that is not there.
    pub fn measure_queues(&self, queues: &[QueueId]) -> Vec<Option<QueueMetrics>> {
        let measure = |queue: &QueueId| {
            let stats = self.engine.query(&Query::Stats(*queue)).ok()?;
            let totals = self.engine.query(&Query::Totals(*queue)).ok()?;
            match (stats, totals) {
                (Answer::Stats(stats), Answer::Totals(totals)) => {
                    Some(QueueMetrics { stats, totals })
                }
                _ => None,
            }
        };
        queues.iter().map(measure).collect()
    }
}

struct Loaded {
    engine: Engine,
    snapshot_lsn: Lsn,
    snapshot_bytes: u64,
    fallback_lsn: Lsn,
}

/// The state: the newest snapshot, then the records after it.
fn load(log: &FileLog, opened: &Opened, store: &SnapshotStore) -> Result<Loaded, OpenError> {
    let segment_bytes = u64::from(opened.segment_bytes);
    let newest = store.load(|from| log.reaches(from));
    let (mut engine, snapshot_lsn, snapshot_bytes) = match newest {
        Err(error) => return Err(OpenError::Damaged(error.to_string())),
        Ok(None) => (Engine::new(segment_bytes), Lsn::ZERO, 0),
        Ok(Some(snapshot)) => {
            for file in &snapshot.skipped {
                tracing::error!(file = %file.display(), "a damaged snapshot was passed over");
            }
            store.set_aside(&snapshot.skipped).map_err(|error| {
                OpenError::Failed(format!("setting a damaged snapshot aside: {error}"))
            })?;
            let lsn = snapshot.lsn;
            let mut counted = Counted { from: snapshot, bytes: 0 };
            let engine = Engine::load(&mut counted, segment_bytes).map_err(|error| {
                OpenError::Damaged(format!("the snapshot of {lsn} cannot be read: {error}"))
            })?;
            (engine, lsn, counted.bytes)
        }
    };
    let replayed =
        log.replay(snapshot_lsn, &mut |body_at, record| engine.replay(body_at.0, record));
    replayed.map_err(|error| OpenError::Damaged(error.to_string()))?;
    // What replay woke or changed is old news.
    engine.take_woken(&mut Vec::new());
    drop(engine.take_directory_changes());
    let all = store.list().map_err(|error| OpenError::Failed(format!("snapshots: {error}")))?;
    let older = all.into_iter().find(|lsn| *lsn < snapshot_lsn && log.reaches(*lsn));
    let first = if log.reaches(Lsn::ZERO) { Lsn::ZERO } else { snapshot_lsn };
    Ok(Loaded { engine, snapshot_lsn, snapshot_bytes, fallback_lsn: older.unwrap_or(first) })
}

/// Counts what is read.
struct Counted<R> {
    from: R,
    bytes: u64,
}

impl<R: io::Read> io::Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buffer)?;
        self.bytes += n as u64;
        Ok(n)
    }
}

/// Connects the log's writer thread with the replies that wait for it.
fn deliver_when_durable<T: Send + 'static>(
    log: &FileLog,
    outbox: &Arc<Outbox<T>>,
    deliver: &Deliver<T>,
) {
    let (outbox, deliver) = (Arc::clone(outbox), Arc::clone(deliver));
    let mut done = Vec::new();
    log.on_durable(Box::new(move |durable| {
        outbox.on_durable(durable.0, &mut done);
        for completion in done.drain(..) {
            deliver(completion);
        }
    }));
}
