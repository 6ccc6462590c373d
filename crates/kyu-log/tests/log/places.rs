//! Where a log can lie. What every log promises is tried in all of these places.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kyu_log::{
    AppendError, Disk, FileLog, Log, OpenError, Opened, Options, RealDisk, SimDisk, SimFaults,
    SimLog, SimLogFaults, SimStore,
};

use crate::support::{self, SEGMENT_BYTES};

/// A place for one log.
pub(crate) trait Place {
    type Log: Log;
    type Error: Debug;

    /// Opens the log, or creates it. A log in memory has nothing else to keep bytes in, so only files
    /// heed `hot_bytes`.
    fn open_with(&self, hot_bytes: u64) -> Result<(Self::Log, Opened), Self::Error>;

    fn open(&self) -> Result<(Self::Log, Opened), Self::Error> {
        self.open_with(0)
    }
}

/// A place that can lose power.
pub(crate) trait Faulty: Place {
    /// The power goes at the n-th operation from now.
    fn lose_power_in(&self, operations: u64);
    /// The power goes, and comes back.
    fn crash(&self);
    /// The process dies, and nothing that it wrote is lost.
    fn kill(&self);
}

/// A directory, and whether the log has threads.
pub(crate) struct FilePlace {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) threads: bool,
    pub(crate) direct: bool,
}

impl FilePlace {
    pub(crate) fn open_as(&self, options: Options) -> Result<(FileLog, Opened), OpenError> {
        let options = Options { direct_io: self.direct, ..options };
        if self.threads {
            FileLog::open(self.disk.clone(), &self.dir, options)
        } else {
            FileLog::open_stepped(self.disk.clone(), &self.dir, options)
        }
    }
}

impl Place for FilePlace {
    type Log = FileLog;
    type Error = OpenError;

    fn open_with(&self, hot_bytes: u64) -> Result<(FileLog, Opened), OpenError> {
        self.open_as(Options { hot_bytes, ..support::options() })
    }
}

/// Runs a scenario on the real disk (direct and buffered) and the simulated one, with and without
/// threads.
pub(crate) fn on_files(scenario: fn(&FilePlace)) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    for threads in [false, true] {
        for direct in [false, true] {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("kyu-log-test-{}-{count}", std::process::id());
            let dir = std::env::temp_dir().join(name);
            let place = FilePlace { disk: Arc::new(RealDisk), dir: dir.clone(), threads, direct };
            scenario(&place);
            std::fs::remove_dir_all(dir).expect("the directory is ours");
        }
        let disk = Arc::new(SimDisk::new(7));
        scenario(&FilePlace { disk, dir: support::dir(), threads, direct: true });
    }
}

/// A log in files on a disk that fails.
pub(crate) struct FaultyFiles(pub(crate) SimDisk);

impl FaultyFiles {
    pub(crate) fn new(seed: u64) -> FaultyFiles {
        let place = FaultyFiles(SimDisk::new(seed));
        place.arm(None);
        place
    }

    fn arm(&self, crash_at: Option<u64>) {
        let faults =
            SimFaults { crash_at, torn_sectors: true, short_reads: true, ..SimFaults::default() };
        self.0.set_faults(faults);
    }
}

impl Place for FaultyFiles {
    type Log = FileLog;
    type Error = OpenError;

    fn open_with(&self, _hot_bytes: u64) -> Result<(FileLog, Opened), OpenError> {
        support::open(&self.0)
    }
}

impl Faulty for FaultyFiles {
    fn lose_power_in(&self, operations: u64) {
        self.arm(Some(self.0.operations() + operations));
    }

    fn crash(&self) {
        self.0.crash();
    }

    fn kill(&self) {
        self.0.kill_process();
    }
}

/// A log in memory.
pub(crate) struct SimPlace(pub(crate) SimStore);

impl SimPlace {
    pub(crate) fn new(seed: u64) -> SimPlace {
        SimPlace(SimStore::new(seed, SEGMENT_BYTES))
    }
}

impl Place for SimPlace {
    type Log = SimLog;
    type Error = AppendError;

    fn open_with(&self, _hot_bytes: u64) -> Result<(SimLog, Opened), AppendError> {
        self.0.open()
    }
}

impl Faulty for SimPlace {
    fn lose_power_in(&self, operations: u64) {
        let crash_at = Some(self.0.operations() + operations);
        self.0.set_faults(SimLogFaults { crash_at, ..SimLogFaults::default() });
    }

    fn crash(&self) {
        self.0.crash();
    }

    /// What a dead process has not flushed is gone, and that is all.
    fn kill(&self) {}
}
