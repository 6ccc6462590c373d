//! The options of a broker.

use std::path::PathBuf;

/// The options with which a broker is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of the log and its snapshots; created if it does not exist.
    pub dir: PathBuf,
    /// The log's own options.
    pub log: kyu_log::Options,
    /// The thresholds of the broker's own work.
    pub policy: Policy,
    /// The largest number of requests that wait for admission: see [`crate::limits`].
    pub max_waiting_requests: usize,
}

impl Options {
    /// The default options for the directory `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            log: kyu_log::Options::default(),
            policy: Policy::default(),
            max_waiting_requests: crate::limits::MAX_WAITING_REQUESTS,
        }
    }
}

/// The thresholds at which the core writes snapshots, frees segments and refuses long polls.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// A snapshot is due when the log has grown by this and by the size of the last snapshot:
    /// bounds replay, and the share of writing that snapshots take to one half.
    pub snapshot_after_log_bytes: u64,
    /// Closed segments may hold twice the live bytes and this much before live frames are moved
    /// out of half-empty ones.
    pub relocate_above_bytes: u64,
    /// Long polls waiting at one time; more are refused as [`crate::Error::Overloaded`].
    pub max_waiting_receives: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            snapshot_after_log_bytes: 256 << 20,
            relocate_above_bytes: 512 << 20,
            max_waiting_receives: crate::limits::MAX_WAITING_RECEIVES,
        }
    }
}
