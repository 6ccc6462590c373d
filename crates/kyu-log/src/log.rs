//! The interface between the broker and a log, wherever the log keeps its records.
//!
//! [`FileLog`](crate::FileLog) keeps them in files, [`SimLog`](crate::SimLog) in memory. The
//! promises of every log are stated here, and `tests/log/promises.rs` checks each log against them.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;

use crate::{AppendError, Class, Lsn, ReplayError};

/// A function that is called with each record: the address of the first byte of its body, and the
/// body. `Err` stops.
pub type Visit<'v, E> = &'v mut dyn FnMut(Lsn, &[u8]) -> Result<(), E>;

/// A function that is called with each new durable address.
pub type OnDurable = Box<dyn FnMut(Lsn) + Send>;

/// The durable records of a log, read back in order: of one that is open, or of a stopped one.
pub trait History {
    /// Visits, in order, every durable record that begins at or after `from`, which is zero or the end
    /// of a record. `visit` gets the address of the body's first byte and the body. Returns the end of
    /// the last record.
    ///
    /// Every byte is verified before it is handed out. A missing or damaged record is an error, never
    /// a gap.
    fn replay<E>(&self, from: Lsn, visit: Visit<'_, E>) -> Result<Lsn, ReplayError<E>>;

    /// Returns true if all segments that a replay from `from` needs exist.
    fn reaches(&self, from: Lsn) -> bool;

    /// The ones of `segments` that do not exist or are empty.
    fn missing(&self, segments: &[u64]) -> io::Result<Vec<MissingSegment>>;

    /// Bytes in one segment: `address / segment_bytes` is the segment's number.
    fn segment_bytes(&self) -> u32;
}

/// An open log: one incarnation, which appends records and learns when they are durable.
///
/// A log has at most one incarnation that may append. Each has an epoch, larger than any before it;
/// opening seals the log at its own epoch.
pub trait Log: History {
    /// A handle to read bytes by address.
    type Reader: LogReader;

    /// Assigns an address to a record and takes a copy of it; it becomes durable later, after all
    /// records before it. May wait for those.
    fn append(&mut self, class: Class, body: &[u8]) -> Result<Appended, AppendError>;

    /// Returns when everything appended so far is durable.
    fn flush(&self) -> Result<(), AppendError>;

    /// The address up to which the log is durable: every record that ends at or before it.
    fn durable(&self) -> Lsn;

    /// The end of the last appended record, durable or not.
    fn end(&self) -> Lsn;

    /// Calls `callback` with the new durable address whenever it has moved, in order. It replaces an
    /// earlier callback and must not call the log. A log may call it from a thread of its own.
    fn on_durable(&self, callback: OnDurable);

    /// A handle to read bytes by address from any thread.
    fn reader(&self) -> Self::Reader;

    /// Gives back a closed segment in which nothing is live and which no replay needs. Any order.
    /// False if there is no such segment or it is not closed.
    ///
    /// Nothing can be read from it afterwards, except what is still in memory.
    fn recycle(&self, segment: u64) -> bool;

    /// The segments that hold records or are about to, oldest first.
    fn segments(&self) -> Vec<SegmentInfo>;

    /// The space that the log uses, and that is free.
    fn space(&self) -> io::Result<Space>;

    /// Counters since the log was opened.
    fn metrics(&self) -> Metrics;

    /// Ends all incarnations whose epoch is below `epoch`, be it this one or another owner's. Of what
    /// they have appended and is not durable, nothing becomes durable any more; their next `append`
    /// or `flush` is [`AppendError::Sealed`]. Durable when it returns, and the next incarnation's
    /// epoch is not below it.
    fn seal(&mut self, epoch: u64) -> Result<(), AppendError>;

    /// Makes everything durable and marks that the incarnation ended in good order.
    fn close(self) -> Result<(), AppendError>
    where
        Self: Sized;
}

/// A handle to read bodies by address, from any thread. Clones share their cache, if there is one.
///
/// It returns the stored bytes unchecked: a checksum covers a whole record, so it cannot verify a slice
/// of a body. Replay verifies.
pub trait LogReader: Clone + Send + Sync + 'static {
    /// The `len` bytes at `at`.
    ///
    /// Recent bytes come from memory without a copy. `NotFound` if the segment was recycled or the
    /// address was never appended. Waits for at most one batch to be written, and only if asked for
    /// bytes that are not durable yet.
    fn read(&self, at: Lsn, len: usize) -> io::Result<Bytes>;

    /// The bytes at `at` if they are in memory.
    fn read_hot(&self, at: Lsn, len: usize) -> Option<Bytes>;
}

/// The place of an appended record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Address of the first byte of the body.
    pub body_at: Lsn,
    /// Address after the last byte: the record is durable when `durable() >= end`, and replay from
    /// `end` gives what comes after it.
    pub end: Lsn,
}

/// The facts about a log that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The earliest address from which a replay can begin.
    pub first: Lsn,
    /// The end of the last record.
    pub last: Lsn,
    /// This incarnation's number, larger than any before it, and durable already.
    pub epoch: u64,
    /// The identity of the log.
    pub log_id: u64,
    /// The segment size of the log, which is not that of the options if the log existed.
    pub segment_bytes: u32,
    /// A batch that was being written when the last incarnation ended, and was dropped.
    pub torn_tail: Option<TornTail>,
    /// True if the last incarnation ended with `close`.
    pub closed_in_order: bool,
}

/// A batch that was never reported durable and was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The address where it began; the log continues here.
    pub at: Lsn,
}

/// A segment of an open log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// The segment's number; its addresses begin at `number * segment_bytes`.
    pub number: u64,
    /// The size on disk, in bytes.
    pub bytes: u64,
    /// True if nothing will be appended to it any more: it may be recycled.
    pub closed: bool,
}

/// A segment that is needed and that does not exist or is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingSegment {
    /// The segment's number.
    pub number: u64,
    /// The file that should hold it.
    pub file: PathBuf,
}

/// Counters since the log was opened. A log that knows nothing of one leaves it zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Bytes written to segments, padding and headers included.
    pub written_bytes: u64,
    /// Batches written.
    pub batches: u64,
    /// Durable writes of batches.
    pub syncs: u64,
    /// Segments reused or removed.
    pub recycled_segments: u64,
    /// Segments that had to be filled with zeros.
    pub prewritten_segments: u64,
    /// Reads that went to a file.
    pub cold_reads: u64,
}

/// The space of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes of all segments.
    pub used_bytes: u64,
    /// Bytes that can be appended to segments that exist already.
    pub headroom_bytes: u64,
    /// Free bytes of the disk.
    pub free_bytes: u64,
    /// True while `Grow` appends are refused.
    pub full: bool,
}
