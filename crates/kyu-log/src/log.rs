//! What the broker asks of a log.

use std::io;
use std::path::PathBuf;

use crate::scan::Visit;
use crate::{Lsn, ReplayError};

/// The durable records of a log, read back in order: of one that is open, or of a stopped one.
pub trait History {
    /// Visits, in order, every durable record that begins at or after `from`, which is zero or the end
    /// of a record. `visit` gets the address of the body's first byte and the body. Returns the end of
    /// the last record.
    ///
    /// Every byte is verified before it is handed out. A missing or damaged record is an error, never
    /// a gap.
    fn replay<E>(&self, from: Lsn, visit: Visit<'_, E>) -> Result<Lsn, ReplayError<E>>;

    /// Whether all segments that replay from `from` needs are there.
    fn reaches(&self, from: Lsn) -> bool;

    /// Those of `segments` of which nothing is left: they do not exist, or are empty.
    fn missing(&self, segments: &[u64]) -> io::Result<Vec<MissingSegment>>;

    /// Bytes in one segment: `address / segment_bytes` is the segment's number.
    fn segment_bytes(&self) -> u32;
}

/// A segment that is needed and of which nothing is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingSegment {
    /// Its number.
    pub number: u64,
    /// The file that should hold it.
    pub file: PathBuf,
}
