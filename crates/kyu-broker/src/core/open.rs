//! Opening a core from a log and its snapshots, and closing it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use kyu_engine::{Address, Command, EndSession, Engine, Frozen, LiveFrame, QueueId};
use kyu_log::{
    Disk, FileLog, History, Log, Lsn, MissingSegment, Opened, ReplayError, SnapshotError,
    SnapshotStore, StoppedLog, SyncMode,
};

use super::{Core, Deliver, upkeep};
use crate::directory::Directory;
use crate::metrics::{Counter, Gauges, Metrics, MetricsSnapshot, QueueMetrics};
use crate::options::Policy;
use crate::outbox::Outbox;
use crate::pins::Pins;
use crate::seeds::Seeds;
use crate::waiters::Waiters;

/// The options with which a core is opened.
#[derive(Clone, Debug)]
pub struct CoreOptions {
    /// Directory of the log and its snapshots.
    pub dir: PathBuf,
    /// The log's options.
    pub log: kyu_log::Options,
    /// The thresholds of the core's own work: snapshots, recycling, relocation.
    pub policy: Policy,
    /// The seed of all randomness.
    pub seed: u64,
}

/// The reason why a broker did not open.
#[derive(Debug)]
pub enum OpenError {
    /// The log did not open.
    Log(kyu_log::OpenError),
    /// No whole snapshot is left to start from.
    Snapshots(SnapshotError),
    /// The records after the snapshot cannot be replayed.
    Replay {
        /// The address of the snapshot; zero without one.
        from: Lsn,
        /// The reason why the replay stopped.
        error: ReplayError<String>,
    },
    /// Segments that hold messages are not there.
    Lost(LostMessages),
    /// A snapshot with correct checksums cannot be read.
    Damaged(String),
    /// Any other failure, in words.
    Failed(String),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(error) => error.fmt(f),
            Self::Snapshots(error) => error.fmt(f),
            Self::Replay { error, .. } => error.fmt(f),
            Self::Lost(lost) => lost.fmt(f),
            Self::Damaged(text) | Self::Failed(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for OpenError {}

/// Messages of the state whose segments are missing.
#[derive(Debug)]
pub struct LostMessages {
    /// The missing segments, oldest first.
    pub segments: Vec<MissingSegment>,
    /// Messages in them, by queue.
    pub messages: Vec<QueueMessages>,
}

/// A number of messages of one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueMessages {
    /// The queue's name, with its namespace.
    pub queue: String,
    /// The number of messages.
    pub messages: u64,
}

/// The number of queues that an error names; the others are counted.
const NAMED_QUEUES: usize = 5;

impl fmt::Display for LostMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lie in segments that are missing or empty:", Messages(&self.messages))?;
        for segment in &self.segments {
            write!(f, " {}", segment.file.display())?;
        }
        f.write_str("; put the files back, or give the messages up with `kyu log repair`")
    }
}

/// The text "N messages (n of queue q, ...)".
pub(super) struct Messages<'a>(pub(super) &'a [QueueMessages]);

impl fmt::Display for Messages<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: u64 = self.0.iter().map(|of| of.messages).sum();
        write!(f, "{all} messages (")?;
        for (at, of) in self.0.iter().take(NAMED_QUEUES).enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{} of queue {}", of.messages, of.queue)?;
        }
        match self.0.len().saturating_sub(NAMED_QUEUES) {
            0 => f.write_str(")"),
            more => write!(f, ", and those of {more} other queues)"),
        }
    }
}

impl<T: Send + 'static> Core<T, FileLog> {
    /// Opens the log with threads of its own: replies become durable by themselves.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: &CoreOptions,
        deliver: Deliver<T>,
    ) -> Result<Self, OpenError> {
        let (log, opened, loaded) = open_files(&disk, options)?;
        let log = log.with_threads().map_err(OpenError::Log)?;
        Self::with_state((log, opened), loaded, disk, options, deliver)
    }

    /// Opens the log without threads: nothing is durable before the caller flushes it.
    pub fn open_stepped(
        disk: Arc<dyn Disk>,
        options: &CoreOptions,
        deliver: Deliver<T>,
    ) -> Result<Self, OpenError> {
        let (log, opened, loaded) = open_files(&disk, options)?;
        Self::with_state((log, opened), loaded, disk, options, deliver)
    }
}

impl<T: Send + 'static, L: Log> Core<T, L> {
    /// A core over a log that was just opened. Its snapshots lie on `disk`, in `options.dir`; of
    /// `options.log` only `sync` counts.
    pub fn over(
        (log, opened): (L, Opened),
        disk: Arc<dyn Disk>,
        options: &CoreOptions,
        deliver: Deliver<T>,
    ) -> Result<Self, OpenError> {
        let snapshots = SnapshotStore::new(Arc::clone(&disk), &options.dir, opened.log_id);
        let loaded = load(&log, &opened, &snapshots)?;
        Self::with_state((log, opened), loaded, disk, options, deliver)
    }

    fn with_state(
        (log, opened): (L, Opened),
        loaded: Loaded,
        disk: Arc<dyn Disk>,
        options: &CoreOptions,
        deliver: Deliver<T>,
    ) -> Result<Self, OpenError> {
        let snapshots = SnapshotStore::new(disk, &options.dir, opened.log_id);
        for file in &loaded.skipped {
            tracing::error!(file = %file.display(), "a damaged snapshot was passed over");
        }
        snapshots.set_aside(&loaded.skipped).map_err(|error| {
            OpenError::Failed(format!("setting a damaged snapshot aside: {error}"))
        })?;
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
            epoch: loaded.epoch,
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

    /// Ends the sessions of an earlier process, which died with it. If the log has no room for that,
    /// upkeep tries again, or the messages of the sessions would stay locked until the next start.
    pub(super) fn end_stale_sessions(&mut self) {
        for session in std::mem::take(&mut self.stale_sessions) {
            if let Err(error) = self.execute(&Command::EndSession(EndSession { session })) {
                tracing::warn!(session = session.0, %error, "ending a session of an earlier run");
                self.stale_sessions.push(session);
            }
        }
        self.serve_woken();
    }

    /// The store of this core's snapshots.
    pub fn snapshots(&self) -> &SnapshotStore {
        &self.snapshots
    }

    /// Answers all requests that are inside and makes them durable. Returns the last state, to be
    /// written as a snapshot, if the one on disk is older. [`Core::close`] comes next.
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

    /// The current values of all counters and gauges.
    pub fn measure(&self) -> MetricsSnapshot {
        let space = self.log.space().ok();
        let ledger = self.engine.ledger_stats();
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

    /// The current measurements of these queues; `None` for a queue that does not exist.
    pub fn measure_queues(&self, queues: &[QueueId]) -> Vec<Option<QueueMetrics>> {
        let measure = |queue: &QueueId| {
            let (stats, totals) = (self.engine.stats(*queue), self.engine.totals(*queue));
            Some(QueueMetrics { stats: stats.ok()?, totals: totals.ok()? })
        };
        queues.iter().map(measure).collect()
    }
}

/// Opens the log in files once its state is loaded: a start that is refused changes nothing, however
/// often it is tried.
fn open_files(
    disk: &Arc<dyn Disk>,
    options: &CoreOptions,
) -> Result<(FileLog, Opened, Loaded), OpenError> {
    let dir = options.dir.as_path();
    let store = |opened: &Opened| SnapshotStore::new(Arc::clone(disk), dir, opened.log_id);
    disk.create_dir(dir)
        .map_err(|error| OpenError::Failed(format!("creating {}: {error}", dir.display())))?;
    let lock = kyu_log::lock(disk.as_ref(), dir).map_err(OpenError::Log)?;
    let stopped = StoppedLog::read(Arc::clone(disk), dir).map_err(OpenError::Log)?;
    let loaded = match &stopped {
        Some(log) => Some(load(log, &log.opened(), &store(&log.opened()))?),
        None => None,
    };
    let (log, opened) = FileLog::open_locked(Arc::clone(disk), dir, lock, options.log.clone())
        .map_err(OpenError::Log)?;
    let loaded = match loaded {
        Some(loaded) => loaded,
        None => load(&log, &opened, &store(&opened))?,
    };
    Ok((log, opened, loaded))
}

/// The state that a start finds.
pub(super) struct Loaded {
    pub(super) engine: Engine,
    /// Number of the run that begins with this start.
    pub(super) epoch: u32,
    pub(super) snapshot_lsn: Lsn,
    snapshot_bytes: u64,
    fallback_lsn: Lsn,
    /// Newer snapshots that were damaged and passed over.
    pub(super) skipped: Vec<PathBuf>,
}

/// Loads the newest snapshot, then the records after it, and checks that the segments of the messages
/// exist. Changes nothing: a start and the verification of a stopped log share this function.
pub(super) fn load(
    log: &impl History,
    opened: &Opened,
    store: &SnapshotStore,
) -> Result<Loaded, OpenError> {
    let epoch = u32::try_from(opened.epoch)
        .map_err(|_| OpenError::Failed("the log was opened more than 2^32 times".into()))?;
    let segment_bytes = u64::from(opened.segment_bytes);
    let newest = store.load(|from| log.reaches(from)).map_err(OpenError::Snapshots)?;
    let mut skipped = Vec::new();
    let (mut engine, snapshot_lsn, snapshot_bytes) = match newest {
        None => (Engine::new(segment_bytes), Lsn::ZERO, 0),
        Some(mut snapshot) => {
            skipped = std::mem::take(&mut snapshot.skipped);
            let lsn = snapshot.lsn;
            let mut counted = Counted { from: snapshot, bytes: 0 };
            let engine = Engine::load(&mut counted, segment_bytes).map_err(|error| {
                OpenError::Damaged(format!("the snapshot of {lsn} cannot be read: {error}"))
            })?;
            (engine, lsn, counted.bytes)
        }
    };
    log.replay(snapshot_lsn, &mut |body_at, record| {
        engine.replay(body_at.0, record).map_err(|error| error.to_string())
    })
    .map_err(|error| OpenError::Replay { from: snapshot_lsn, error })?;
    // What replay woke or changed is old news.
    engine.take_woken(&mut Vec::new());
    drop(engine.take_directory_changes());
    find_messages(log, opened, &engine)?;
    let all = store.list().map_err(|error| OpenError::Failed(format!("snapshots: {error}")))?;
    let older = all.into_iter().find(|lsn| *lsn < snapshot_lsn && log.reaches(*lsn));
    let first = if log.reaches(Lsn::ZERO) { Lsn::ZERO } else { snapshot_lsn };
    let fallback_lsn = older.unwrap_or(first);
    Ok(Loaded { engine, epoch, snapshot_lsn, snapshot_bytes, fallback_lsn, skipped })
}

/// Checks that the segments with live messages exist. The log alone cannot distinguish a segment that
/// went missing behind the snapshot from one that was recycled because nothing in it was live.
fn find_messages(log: &impl History, opened: &Opened, engine: &Engine) -> Result<(), OpenError> {
    let last = opened.last.0 / u64::from(opened.segment_bytes).max(1);
    let live: Vec<u64> = (0..=last).filter(|number| engine.live_bytes(*number) > 0).collect();
    let segments = log
        .missing(&live)
        .map_err(|error| OpenError::Failed(format!("looking at the segments: {error}")))?;
    if segments.is_empty() {
        return Ok(());
    }
    let frames = segments.iter().flat_map(|segment| engine.live_frames(segment.number));
    let messages = messages_of(engine, frames);
    Err(OpenError::Lost(LostMessages { segments, messages }))
}

/// The owners of some frames, counted by queue.
pub(super) fn messages_of(
    engine: &Engine,
    frames: impl Iterator<Item = LiveFrame>,
) -> Vec<QueueMessages> {
    let mut by_queue: BTreeMap<QueueId, u64> = BTreeMap::new();
    for (queue, _) in frames.flat_map(|frame| frame.owners) {
        *by_queue.entry(queue).or_default() += 1;
    }
    let named = engine.queues().filter_map(|info| {
        let messages = by_queue.get(&info.id).copied()?;
        let queue = format!("{}/{}", info.name.namespace, info.name.name);
        Some(QueueMessages { queue, messages })
    });
    named.collect()
}

/// A reader that counts the bytes.
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
    log: &impl Log,
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
