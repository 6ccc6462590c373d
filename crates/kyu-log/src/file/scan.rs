//! Reads a segment back and trusts nothing that its checksums do not prove.

use std::io;

use crate::disk::DiskFile;
use crate::file::batch::Chain;
use crate::file::format::{
    BATCH_HEADER_BYTES, BatchHeader, FLAG_END, FLAG_OPEN, FLAG_REPAIRED, RECORD_HEADER_BYTES,
    open_record, verified_record,
};
use crate::limits::BLOCK_BYTES;
use crate::lsn::{Geometry, align_up};
use crate::{Lsn, Visit};

const READ_AHEAD_BYTES: usize = 1 << 20;

/// A reader of the batches of one segment, in order.
pub(crate) struct Scanner<'a> {
    file: &'a dyn DiskFile,
    geometry: Geometry,
    segment: u64,
    /// The offset where the next batch begins.
    pub(crate) offset: u32,
    /// The chain that the next batch must continue. An `epoch` of 0 stands for an unknown chain
    /// ([`Chain::unknown`]).
    pub(crate) chain: Chain,
    window: Vec<u8>,
    window_at: u64,
}

/// The content at the scanner's offset.
pub(crate) enum Found {
    /// A whole, valid batch, which the scanner has passed.
    Batch(BatchHeader),
    /// No batch that was written since the file got this segment's number.
    Nothing,
    /// A batch header, but not all records as they were written.
    Torn,
    /// A batch that does not continue what came before it.
    Mismatch(&'static str),
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(
        file: &'a dyn DiskFile,
        geometry: Geometry,
        segment: u64,
        chain: Chain,
    ) -> Scanner<'a> {
        let offset = BLOCK_BYTES;
        Scanner { file, geometry, segment, offset, chain, window: Vec::new(), window_at: 0 }
    }

    /// The address of the scanner's offset.
    pub(crate) fn lsn(&self) -> Lsn {
        self.geometry.at(self.segment, self.offset)
    }

    /// Bytes of the file, or fewer if it ends before.
    fn bytes(&mut self, offset: u32, len: usize) -> io::Result<&[u8]> {
        let offset = u64::from(offset);
        let end = offset + len as u64;
        if offset < self.window_at || end > self.window_at + self.window.len() as u64 {
            let rest = u64::from(self.geometry.segment_bytes).saturating_sub(offset) as usize;
            self.window.resize(len.max(READ_AHEAD_BYTES).min(rest), 0);
            self.window_at = offset;
            match self.file.read_exact_at(&mut self.window, offset) {
                Ok(()) => {}
                // A file cut short: what is missing reads as nothing.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    let there = self.file.len()?.saturating_sub(offset) as usize;
                    self.window.truncate(there.min(self.window.len()));
                    self.file.read_exact_at(&mut self.window, offset)?;
                }
                Err(error) => {
                    self.window.clear();
                    return Err(error);
                }
            }
        }
        let from = (offset - self.window_at) as usize;
        let to = (from + len).min(self.window.len());
        Ok(self.window.get(from..to).unwrap_or_default())
    }

    /// The batch header at `offset`, whatever it continues.
    fn header_at(&mut self, offset: u32) -> io::Result<Option<(BatchHeader, u32)>> {
        let (at, log_id) = (self.geometry.at(self.segment, offset), self.chain.log_id);
        let segment = self.segment;
        let bytes = self.bytes(offset, BATCH_HEADER_BYTES)?;
        Ok(BatchHeader::decode(bytes, at, log_id, segment))
    }

    /// The header of the segment's first batch, if it was ever written.
    pub(crate) fn first_header(&mut self) -> io::Result<Option<BatchHeader>> {
        Ok(self.header_at(BLOCK_BYTES)?.map(|(header, _)| header))
    }

    /// Reads and verifies the next batch. `visit` gets each record's body with its address, and only
    /// after the whole batch was found valid; `Err` stops.
    pub(crate) fn next<E>(&mut self, visit: Visit<'_, E>) -> io::Result<Result<Found, E>> {
        if u64::from(self.offset) + BATCH_HEADER_BYTES as u64
            > u64::from(self.geometry.segment_bytes)
        {
            return Ok(Ok(Found::Nothing));
        }
        let Some((header, crc)) = self.header_at(self.offset)? else {
            return Ok(Ok(Found::Nothing));
        };
        if let Some(reason) = self.mismatch(&header) {
            return Ok(Ok(Found::Mismatch(reason)));
        }
        let batch_bytes = BATCH_HEADER_BYTES as u64 + u64::from(header.records_bytes);
        let end = align_up(u64::from(self.offset) + batch_bytes);
        if end > u64::from(self.geometry.segment_bytes) {
            return Ok(Ok(Found::Mismatch("a batch is longer than its segment")));
        }
        let records_at = Lsn(header.lsn.0 + BATCH_HEADER_BYTES as u64);
        let batch = self.bytes(self.offset, batch_bytes as usize)?;
        let records = batch.get(BATCH_HEADER_BYTES..).unwrap_or_default();
        let Some(last_crc) = verify_records(records, records_at, crc, &header) else {
            return Ok(Ok(Found::Torn));
        };
        let visited = visit_records(records, records_at, visit);
        self.offset = end as u32;
        self.chain.epoch = header.epoch;
        self.chain.crc = last_crc;
        self.chain.record_end = match header.record_count {
            0 => header.prev_record_end,
            _ => Lsn(header.lsn.0 + batch_bytes),
        };
        Ok(visited.map(|()| Found::Batch(header)))
    }

    fn mismatch(&self, header: &BatchHeader) -> Option<&'static str> {
        let known = self.chain.epoch != 0;
        // A repair may give up records that a snapshot covers; `replay` refuses if it needs them.
        let gives_up =
            header.flags & FLAG_REPAIRED != 0 && header.prev_record_end > self.chain.record_end;
        if known && !gives_up && header.prev_record_end != self.chain.record_end {
            return Some("records before this batch are missing");
        }
        if known && header.prev_chain != self.chain.crc {
            return Some("the batch does not continue the one before it");
        }
        let opens = header.flags & (FLAG_OPEN | FLAG_REPAIRED) != 0;
        let epoch_fits = if opens {
            header.epoch > self.chain.epoch
        } else {
            !known || header.epoch == self.chain.epoch
        };
        (!epoch_fits).then_some("the batch is of another incarnation")
    }

    /// The headers of all batches of the segment, whole or not, in order.
    pub(crate) fn headers(&mut self) -> io::Result<Vec<BatchHeader>> {
        let mut found = Vec::new();
        let mut offset = u64::from(BLOCK_BYTES);
        while offset + u64::from(BLOCK_BYTES) <= u64::from(self.geometry.segment_bytes) {
            let mut step = u64::from(BLOCK_BYTES);
            if let Some((header, _)) = self.header_at(offset as u32)? {
                step = align_up(BATCH_HEADER_BYTES as u64 + u64::from(header.records_bytes));
                found.push(header);
            }
            offset += step;
        }
        Ok(found)
    }

    /// The first batch header after the current offset. The writer begins a batch only when the one
    /// before it is durable, so such a header proves that what is broken here was once whole.
    pub(crate) fn later_batch(&mut self) -> io::Result<Option<Lsn>> {
        let mut offset = u64::from(self.offset) + u64::from(BLOCK_BYTES);
        while offset + u64::from(BLOCK_BYTES) <= u64::from(self.geometry.segment_bytes) {
            if let Some((header, _)) = self.header_at(offset as u32)? {
                return Ok(Some(header.lsn));
            }
            offset += u64::from(BLOCK_BYTES);
        }
        Ok(None)
    }
}

/// Returns true for the last batch of a segment.
pub(crate) fn ends_segment(header: &BatchHeader) -> bool {
    header.flags & FLAG_END != 0
}

/// The CRC of the last record, if the records are exactly those that the header announces.
fn verify_records(
    mut records: &[u8],
    mut at: Lsn,
    mut crc: u32,
    header: &BatchHeader,
) -> Option<u32> {
    if records.len() != header.records_bytes as usize {
        return None;
    }
    for _ in 0..header.record_count {
        let (body, record_crc) = open_record(records, at, crc)?;
        let len = RECORD_HEADER_BYTES + body.len();
        crc = record_crc;
        at = Lsn(at.0 + len as u64);
        records = records.get(len..)?;
    }
    records.is_empty().then_some(crc)
}

/// Hands out records that were verified.
fn visit_records<E>(mut records: &[u8], mut at: Lsn, visit: Visit<'_, E>) -> Result<(), E> {
    while let Some((body, len)) = verified_record(records) {
        visit(Lsn(at.0 + RECORD_HEADER_BYTES as u64), body)?;
        at = Lsn(at.0 + len as u64);
        records = records.get(len..).unwrap_or_default();
    }
    Ok(())
}
