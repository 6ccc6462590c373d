//! Addresses in the log.

use std::fmt;

/// A byte address in the log: `segment number * segment_bytes + offset in the segment`.
///
/// Zero is before the first record of any log: segment numbers begin at 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The address before the first record.
    pub const ZERO: Lsn = Lsn(0);
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The mapping between addresses and segments; fixed for the life of a log directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) segment_bytes: u32,
}

impl Geometry {
    /// The segment that holds `lsn`.
    pub(crate) fn segment(self, lsn: Lsn) -> u64 {
        lsn.0 / u64::from(self.segment_bytes.max(1))
    }

    /// The offset of `lsn` in its segment.
    pub(crate) fn offset(self, lsn: Lsn) -> u32 {
        // The remainder is below `segment_bytes`, which is a u32.
        (lsn.0 % u64::from(self.segment_bytes.max(1))) as u32
    }

    /// The address of `offset` in `segment`.
    pub(crate) fn at(self, segment: u64, offset: u32) -> Lsn {
        Lsn(segment.saturating_mul(u64::from(self.segment_bytes)) + u64::from(offset))
    }
}

/// `bytes` rounded up to a whole number of blocks.
pub(crate) fn align_up(bytes: u64) -> u64 {
    bytes.next_multiple_of(u64::from(crate::limits::BLOCK_BYTES))
}
