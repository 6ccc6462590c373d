//! The file log: appended bytes are on disk before anyone is told so, and come back exactly as they were.
//!
//! The log knows nothing about what its records mean. The path of a record: `FileLog::append` copies
//! it into the open batch and gives it an address; the writer thread seals the batch, adds checksums,
//! writes it with one durable write, moves `durable()` forward and calls `on_durable`. There is no
//! timer: while one batch is being written the next one collects.
//!
//! On disk (details and frozen numbers in `format.rs`, reasons in `docs/adr/0002-file-log.md`):
//!
//! ```text
//! DIR/LOCK                     flock: one process at a time
//! DIR/META                     identity of this log and its segment size
//! DIR/00000000000000000007.log segment 7: header block, then batches, each starting at a 4 KiB boundary
//! DIR/snapshot-<address>       the state after all records before that address
//! DIR/*.spare                  a pre-written file without a number yet
//!
//! segment = [header 4 KiB][batch][batch]...[END batch]
//! batch   = [batch header 48 B][record]...[record][zeros to 4 KiB]
//! record  = [record header 20 B][body]
//! ```
//!
//! An address (`Lsn`) is `segment number * segment_bytes + offset`. It is never used twice for
//! acknowledged bytes.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod batch;
mod buffer;
pub mod disk;
mod error;
mod file_log;
mod format;
mod headers;
mod hot;
pub mod limits;
mod log;
mod lsn;
mod options;
mod reader;
mod recover;
mod repair;
mod replay;
mod scan;
mod segments;
mod shared;
mod snapshot;
mod stopped;
mod survey;
mod tail;
mod verify;
mod writer;

pub use disk::{Disk, DiskFile, DiskLock, DryRun, RealDisk, SimDisk, SimFaults};
pub use error::{AppendError, Damage, OpenError, ReplayError};
pub use file_log::{Appended, FileLog, Opened, TornTail};
pub use headers::log_id;
pub use log::{History, MissingSegment};
pub use lsn::Lsn;
pub use options::{Class, OnFailure, Options, SyncMode};
pub use reader::Reader;
pub use repair::{Cut, Mend, Refusal, repair};
pub use scan::Visit;
pub use segments::SegmentInfo;
pub use shared::{Metrics, Space};
pub use snapshot::{Snapshot, SnapshotError, SnapshotStore};
pub use stopped::{StoppedLog, lock};
pub use verify::{SegmentReport, verify_segments};
