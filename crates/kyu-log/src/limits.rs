//! Every bound of the log, with its reason and its effect.

use std::time::Duration;

/// The time for which opening a file is retried while there is no free file descriptor or memory.
/// Longer than any door lets a connection idle in front of a login or a body; after it the log
/// fails as if the file could not be opened, which ends the process.
pub(crate) const OPEN_PATIENCE: Duration = Duration::from_secs(90);

/// Alignment of batches and of direct I/O. 4 KiB is the largest sector that disks write atomically.
pub const BLOCK_BYTES: u32 = 4096;

/// Smallest segment: a header, one batch and the END batch still leave room for a record.
/// A smaller `Options::segment_bytes` is refused at open. Tests use it to roll often.
pub const MIN_SEGMENT_BYTES: u32 = 4 * BLOCK_BYTES;

/// Largest segment: offsets are `u32` and recovery reads a whole segment.
pub const MAX_SEGMENT_BYTES: u32 = 1 << 30;

/// Largest record body, if the segment has room for it. Bounds the memory of recovery and of one
/// write. A larger one is `AppendError::TooLarge`.
pub const MAX_RECORD_BYTES: usize = 16 << 20;

/// A batch that has reached this size is closed. Bounds the latency that one write adds to the next
/// batch; a few MiB are already near the disk's full bandwidth.
pub const MAX_BATCH_BYTES: usize = 4 << 20;

/// Appended bytes that the writer has not written yet. At the bound `append` waits for the writer
/// (and a stepped log flushes), which slows down the caller that fills the log.
pub const MAX_UNWRITTEN_BYTES: usize = 64 << 20;

/// A cold read fetches this much around what was asked, so that a sequential backlog is not one
/// system call a message.
pub const READ_BLOCK_BYTES: u32 = 128 << 10;

/// Cold blocks kept in memory, shared by all readers: 8 MiB.
pub const READ_CACHE_BLOCKS: usize = 64;

/// Zero-filling writes and syncs in steps of this size, so that it does not hold the disk for long
/// while the writer waits to sync.
pub const FILL_STEP_BYTES: usize = 1 << 20;

/// One checksummed block of a snapshot file.
pub const SNAPSHOT_BLOCK_BYTES: usize = 256 << 10;

/// A batch buffer smaller than this is cheaper to allocate than to keep.
pub const MIN_POOLED_BYTES: usize = 4 << 10;

/// Batch buffers that are kept for later, each of at most a batch.
pub const MAX_POOLED_BUFFERS: usize = 8;

/// Rounds of one repair. Each repairs everything that one start reports, and each cut lies before the
/// last one, so a few are enough. After the bound the repair gives up with the start's last error.
pub const MAX_REPAIR_ROUNDS: usize = 64;
