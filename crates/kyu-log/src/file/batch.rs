//! One batch: the records of one durable write.

use bytes::Bytes;

use crate::Lsn;
use crate::file::buffer::{AlignedBuffer, BufferPool};
use crate::file::format::{
    BATCH_HEADER_BYTES, BatchHeader, RECORD_HEADER_BYTES, record_header, seal_record,
};
use crate::lsn::{Geometry, align_up};

/// A batch that collects records in memory. Its place in the log is fixed from the start, so that
/// every record has its address when it is appended.
pub(crate) struct Batch {
    pub(crate) segment: u64,
    pub(crate) offset: u32,
    pub(crate) flags: u32,
    /// The epoch that begins with this batch, if it is another than that of the chain.
    pub(crate) new_epoch: Option<u64>,
    start: Lsn,
    record_count: u32,
    buffer: AlignedBuffer,
}

/// The state of the checksums behind a batch, from which the next batch continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) log_id: u64,
    pub(crate) epoch: u64,
    pub(crate) crc: u32,
    /// End of the last record so far.
    pub(crate) record_end: Lsn,
}

impl Chain {
    /// An unknown chain: a scan trusts what its first batch says about the records before it.
    pub(crate) fn unknown(log_id: u64) -> Chain {
        Chain { log_id, epoch: 0, crc: 0, record_end: Lsn::ZERO }
    }
}

/// A batch as it goes to the disk.
pub(crate) struct Finished {
    pub(crate) start: Lsn,
    /// Whole blocks.
    pub(crate) padded: AlignedBuffer,
    /// Length without the padding.
    pub(crate) len: usize,
    /// The chain after this batch.
    pub(crate) chain: Chain,
}

impl Batch {
    pub(crate) fn new(
        geometry: Geometry,
        segment: u64,
        offset: u32,
        pool: &BufferPool,
        capacity: usize,
    ) -> Batch {
        let mut buffer = pool.take(capacity.max(BATCH_HEADER_BYTES));
        buffer.extend(&[0; BATCH_HEADER_BYTES]);
        let start = geometry.at(segment, offset);
        Batch { segment, offset, flags: 0, new_epoch: None, start, record_count: 0, buffer }
    }

    /// Bytes so far, without padding.
    pub(crate) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// The address after the last byte.
    pub(crate) fn end(&self) -> Lsn {
        Lsn(self.start.0 + self.buffer.len() as u64)
    }

    /// The offset where the next batch begins.
    pub(crate) fn next_offset(&self) -> u32 {
        // A batch ends inside its segment, whose size is a u32.
        align_up(u64::from(self.offset) + self.buffer.len() as u64) as u32
    }

    /// Adds a record and returns the address of its body.
    pub(crate) fn push(&mut self, body: &[u8]) -> Lsn {
        let at = self.end();
        self.buffer.reserve(RECORD_HEADER_BYTES + body.len());
        // `Tail` has refused bodies that do not fit a segment.
        self.buffer.extend(&record_header(at, body.len() as u32));
        self.buffer.extend(body);
        self.record_count += 1;
        Lsn(at.0 + RECORD_HEADER_BYTES as u64)
    }

    /// A copy of the bytes at `at`, if they are in this batch.
    pub(crate) fn copy(&self, at: Lsn, len: usize) -> Option<Bytes> {
        let from = usize::try_from(at.0.checked_sub(self.start.0)?).ok()?;
        let bytes = self.buffer.as_slice().get(from..from.checked_add(len)?)?;
        Some(Bytes::copy_from_slice(bytes))
    }

    /// Adds header, checksums and padding.
    pub(crate) fn finish(mut self, mut chain: Chain) -> Finished {
        let end = self.end();
        chain.epoch = self.new_epoch.unwrap_or(chain.epoch);
        let header = BatchHeader {
            lsn: self.start,
            epoch: chain.epoch,
            prev_record_end: chain.record_end,
            records_bytes: (self.buffer.len() - BATCH_HEADER_BYTES) as u32,
            record_count: self.record_count,
            flags: self.flags,
            prev_chain: chain.crc,
        };
        let (header, crc) = header.encode(chain.log_id, self.segment);
        chain.crc = crc;
        if let Some((head, mut records)) =
            self.buffer.as_mut_slice().split_at_mut_checked(BATCH_HEADER_BYTES)
        {
            head.copy_from_slice(&header);
            while let Some((len, crc)) = seal_record(records, chain.crc) {
                chain.crc = crc;
                records = records.get_mut(len..).unwrap_or_default();
            }
        }
        if self.record_count > 0 {
            chain.record_end = end;
        }
        let len = self.buffer.len();
        self.buffer.pad_to_block();
        Finished { start: self.start, padded: self.buffer, len, chain }
    }
}
