//! The options of a log.

use std::fmt;
use std::io;
use std::sync::Arc;

/// The options with which a log is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Size of a segment file, a multiple of 4 KiB. It counts only when the log is created; an
    /// existing log keeps its own.
    pub segment_bytes: u32,
    /// Segments kept pre-written ahead of the writer.
    pub spare_segments: u16,
    /// Upper bound for all segment files together; at it, `Grow` appends are refused.
    pub max_log_bytes: Option<u64>,
    /// Pre-written space that only `Shrink` appends may use, and free disk space that the log leaves
    /// to snapshots.
    pub reserve_bytes: u64,
    /// Recently written bytes kept in memory.
    pub hot_bytes: u64,
    /// True to write with O_DIRECT|O_DSYNC where the file system allows it; otherwise, and elsewhere,
    /// write and fdatasync.
    pub direct_io: bool,
    /// The meaning of "durable"; always [`SyncMode::Always`] outside fault tests.
    pub sync: SyncMode,
    /// The reaction to a failed write or sync.
    pub on_failure: OnFailure,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            segment_bytes: 64 << 20,
            spare_segments: 2,
            max_log_bytes: None,
            reserve_bytes: 48 << 20,
            hot_bytes: 256 << 20,
            direct_io: true,
            sync: SyncMode::Always,
            on_failure: OnFailure::Abort,
        }
    }
}

/// The relation between a batch's being on disk and its being reported durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// A batch is on disk before it is reported durable.
    Always,
    /// A batch is reported durable before it is on disk: the positive control of fault tests, which
    /// must notice the loss.
    Broken,
}

/// The effect of an append on the amount of live data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// New data: refused when the log is full.
    Grow,
    /// Work that lets space be freed (acknowledge, delete, relocate): may use the reserve.
    Shrink,
}

/// The reaction to a failed write or sync. Afterwards the log accepts nothing in any case.
#[derive(Clone, Default)]
pub enum OnFailure {
    /// Reports the error on standard error and aborts the process, so that nothing acts on state that
    /// is not on disk.
    #[default]
    Abort,
    /// Calls a function; for tests.
    Call(Arc<dyn Fn(&io::Error) + Send + Sync>),
}

impl fmt::Debug for OnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OnFailure::Abort => "Abort",
            OnFailure::Call(_) => "Call",
        })
    }
}
