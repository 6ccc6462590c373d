//! The log: an appended record is on disk before it is reported durable, and reads back exactly as it
//! was written.
//!
//! The log knows nothing about what its records mean. [`Log`] says what the broker asks of one;
//! [`FileLog`] is the one in files, [`SimLog`] one in memory that fails when a test says.
//!
//! An address ([`Lsn`]) is `segment number * segment_bytes + offset`. It is never used twice for
//! acknowledged bytes.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod disk;
mod error;
mod file;
pub mod limits;
mod log;
mod lsn;
mod options;
mod random;
mod simulated;
mod snapshot;

pub use disk::{Disk, DiskFile, DiskLock, DryRun, RealDisk, SimDisk, SimFaults};
pub use error::{AppendError, Damage, OpenError, ReplayError};
pub use file::{
    Cut, FileLog, FileReader, Refusal, RepairStep, SegmentReport, StoppedLog, lock, log_id, repair,
    verify_segments,
};
pub use log::{
    Appended, History, Log, LogReader, Metrics, MissingSegment, OnDurable, Opened, SegmentInfo,
    Space, TornTail, Visit,
};
pub use lsn::Lsn;
pub use options::{Class, OnFailure, Options, SyncMode};
pub use simulated::{SimLog, SimLogFaults, SimReader, SimStore};
pub use snapshot::{Snapshot, SnapshotError, SnapshotStore};
