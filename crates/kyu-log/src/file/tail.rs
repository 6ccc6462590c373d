//! The end of the log in memory: the address of the next record, and the batches for the writer.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::file::batch::Batch;
use crate::file::buffer::BufferPool;
use crate::file::format::{
    BATCH_HEADER_BYTES, FLAG_CLOSE, FLAG_END, FLAG_OPEN, RECORD_HEADER_BYTES,
};
use crate::limits::{BLOCK_BYTES, MAX_BATCH_BYTES, MAX_RECORD_BYTES, MAX_UNWRITTEN_BYTES};
use crate::log::Appended;
use crate::lsn::{Geometry, align_up};
use crate::{Class, Lsn};

/// The end of the log. It assigns addresses and collects batches, under one mutex that is held for a
/// copy into memory.
pub(crate) struct Tail {
    geometry: Geometry,
    reserve_bytes: u64,
    /// Memory for batches; the hot cache gives it back.
    pub(crate) buffers: Arc<BufferPool>,
    /// The batch that collects records now.
    open: Option<Batch>,
    /// Batches that will not change any more, oldest first.
    closed: VecDeque<Batch>,
    closed_bytes: usize,
    segment: u64,
    /// The offset of the next batch, when none is open.
    offset: u32,
    /// Every segment up to this number exists.
    pub(crate) prepared_to: u64,
    /// True if the last attempt to prepare a segment found no space.
    pub(crate) no_space: bool,
    /// True if an append was refused or a segment recycled since that attempt: another may succeed.
    pub(crate) retry_space: bool,
    pub(crate) record_end: Lsn,
    last_batch_bytes: usize,
    /// True while the writer thread waits for work.
    pub(crate) writer_idle: bool,
    /// True while the writer has a batch that is not durable yet.
    pub(crate) writing: bool,
    pub(crate) failed: bool,
    /// The epoch of the seal that has ended this incarnation.
    pub(crate) sealed_by: Option<u64>,
    pub(crate) stopping: bool,
}

/// The answer to a request to append a record now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Yes,
    /// No space, and none in preparation.
    Full,
    /// The next segment is not prepared yet.
    AwaitSegment,
    /// Too much is unwritten.
    AwaitWriter,
    Failed,
    /// The incarnation was sealed at this epoch.
    Sealed(u64),
}

impl Tail {
    pub(crate) fn new(
        geometry: Geometry,
        reserve_bytes: u64,
        segment: u64,
        offset: u32,
        prepared_to: u64,
        record_end: Lsn,
    ) -> Tail {
        Tail {
            geometry,
            reserve_bytes,
            buffers: Arc::default(),
            open: None,
            closed: VecDeque::new(),
            closed_bytes: 0,
            segment,
            offset,
            prepared_to,
            no_space: false,
            retry_space: false,
            record_end,
            last_batch_bytes: 0,
            writer_idle: false,
            writing: false,
            failed: false,
            sealed_by: None,
            stopping: false,
        }
    }

    /// The segment that the next record goes to, or the one after it.
    pub(crate) fn segment(&self) -> u64 {
        self.segment
    }

    /// The largest body that fits a segment of its own, and memory.
    pub(crate) fn max_body_bytes(&self) -> usize {
        let overhead = 2 * BLOCK_BYTES as usize + BATCH_HEADER_BYTES + RECORD_HEADER_BYTES;
        (self.geometry.segment_bytes as usize).saturating_sub(overhead).min(MAX_RECORD_BYTES)
    }

    /// Offset of the first byte after everything appended to the current segment, a batch header
    /// included.
    fn next_record_offset(&self) -> u32 {
        match &self.open {
            Some(batch) => batch.offset + batch.len() as u32,
            None => self.offset + BATCH_HEADER_BYTES as u32,
        }
    }

    /// The offset at which the records of a segment end at the latest: the last block is for END.
    fn records_limit(&self) -> u64 {
        u64::from(self.geometry.segment_bytes - BLOCK_BYTES)
    }

    /// Returns true if `bytes` more fit the current segment.
    fn fits_here(&self, bytes: usize) -> bool {
        self.segment <= self.prepared_to
            && align_up(u64::from(self.next_record_offset()) + bytes as u64) <= self.records_limit()
    }

    /// Bytes that can be appended to segments that exist.
    pub(crate) fn headroom_bytes(&self) -> u64 {
        let here = if self.segment <= self.prepared_to {
            self.records_limit().saturating_sub(u64::from(self.next_record_offset()))
        } else {
            0
        };
        let a_segment = u64::from(self.geometry.segment_bytes - 2 * BLOCK_BYTES);
        here + self.prepared_to.saturating_sub(self.segment) * a_segment
    }

    /// Decides if a body of `len` bytes may be appended now. The caller has checked `max_body_bytes`.
    pub(crate) fn admit(&self, class: Class, len: usize) -> Admission {
        if self.failed {
            return Admission::Failed;
        }
        if let Some(by) = self.sealed_by {
            return Admission::Sealed(by);
        }
        let bytes = RECORD_HEADER_BYTES + len;
        let room = self.fits_here(bytes) || self.segment < self.prepared_to;
        let reserve = match class {
            Class::Grow => self.reserve_bytes,
            Class::Shrink => 0,
        };
        // The reserve is kept even while a segment is being prepared: that may yet find no space.
        if !room || self.headroom_bytes() < bytes as u64 + reserve {
            return if self.no_space { Admission::Full } else { Admission::AwaitSegment };
        }
        let unwritten = self.closed_bytes + self.open.as_ref().map_or(0, Batch::len);
        if unwritten > 0 && unwritten + bytes > MAX_UNWRITTEN_BYTES {
            return Admission::AwaitWriter;
        }
        Admission::Yes
    }

    /// Appends a record that was admitted.
    pub(crate) fn push(&mut self, body: &[u8]) -> Appended {
        if !self.fits_here(RECORD_HEADER_BYTES + body.len()) {
            self.roll();
        }
        let batch = match &mut self.open {
            Some(batch) => batch,
            None => {
                let capacity = self.last_batch_bytes.max(BATCH_HEADER_BYTES + 2 * body.len());
                let pool = &self.buffers;
                let (segment, offset) = (self.segment, self.offset);
                self.open.insert(Batch::new(self.geometry, segment, offset, pool, capacity))
            }
        };
        let body_at = batch.push(body);
        let end = batch.end();
        let full = batch.len() >= MAX_BATCH_BYTES;
        self.record_end = end;
        if full {
            self.close_batch(0);
        }
        Appended { body_at, end }
    }

    /// The address that the body of the next record will have, if `len` bytes are appended before the
    /// writer takes the open batch.
    pub(crate) fn next_body_at(&self, len: usize) -> Lsn {
        let record = RECORD_HEADER_BYTES as u32;
        if self.fits_here(RECORD_HEADER_BYTES + len) {
            self.geometry.at(self.segment, self.next_record_offset() + record)
        } else {
            let first = BLOCK_BYTES + BATCH_HEADER_BYTES as u32 + record;
            self.geometry.at(self.segment + 1, first)
        }
    }

    /// Ends the current segment and moves to the next.
    pub(crate) fn roll(&mut self) {
        self.mark(FLAG_END);
        self.begin_next_segment();
    }

    fn begin_next_segment(&mut self) {
        self.segment += 1;
        self.offset = BLOCK_BYTES;
    }

    /// Marks the start of this incarnation. The current segment must be prepared; the mark fits it
    /// always, in the place of its END batch if need be.
    pub(crate) fn mark_open(&mut self) {
        if self.fits_here(0) {
            self.mark(FLAG_OPEN);
        } else {
            self.mark(FLAG_OPEN | FLAG_END);
            self.begin_next_segment();
        }
    }

    /// Marks the end of this incarnation, in a batch of its own: it proves that all before it was
    /// durable. Without a prepared segment there is no mark, which costs nothing but that proof.
    pub(crate) fn mark_close(&mut self) {
        self.close_batch(0);
        if self.fits_here(0) {
            self.mark(FLAG_CLOSE);
        } else if self.segment <= self.prepared_to {
            self.mark(FLAG_CLOSE | FLAG_END);
            self.begin_next_segment();
        }
    }

    /// Ends this incarnation: takes back everything that the writer has not taken, as if nothing had
    /// been appended after `durable`.
    pub(crate) fn give_up(&mut self, epoch: u64, durable: Lsn) {
        self.sealed_by = Some(epoch);
        if let Some(first) = self.closed.front().or(self.open.as_ref()) {
            (self.segment, self.offset) = (first.segment, first.offset);
        }
        self.closed.clear();
        self.open = None;
        self.closed_bytes = 0;
        self.record_end = durable;
    }

    /// Returns true if there is no segment for a mark.
    pub(crate) fn needs_segment(&self) -> bool {
        self.segment > self.prepared_to
    }

    /// Writes the mark with which an incarnation of that epoch would begin.
    pub(crate) fn mark_seal(&mut self, epoch: u64) {
        self.mark_open();
        if let Some(mark) = self.closed.back_mut() {
            mark.new_epoch = Some(epoch);
        }
    }

    /// Closes the open batch, or an empty one, with a flag.
    pub(crate) fn mark(&mut self, flag: u32) {
        if self.open.is_none() {
            let (segment, offset) = (self.segment, self.offset);
            let mark =
                Batch::new(self.geometry, segment, offset, &self.buffers, BATCH_HEADER_BYTES);
            self.open = Some(mark);
        }
        self.close_batch(flag);
    }

    fn close_batch(&mut self, flag: u32) {
        if let Some(mut batch) = self.open.take() {
            batch.flags |= flag;
            self.offset = batch.next_offset();
            self.closed_bytes += batch.len();
            // A mark says nothing about how much the next batch will hold.
            if flag == 0 {
                self.last_batch_bytes = batch.len();
            }
            self.closed.push_back(batch);
        }
    }

    /// The next batch to write, closing the open one if no other waits.
    pub(crate) fn take(&mut self) -> Option<Batch> {
        if self.closed.is_empty() {
            self.close_batch(0);
        }
        let batch = self.closed.pop_front()?;
        self.closed_bytes -= batch.len();
        self.writing = true;
        Some(batch)
    }

    /// Returns true if the writer has not taken everything that was appended.
    pub(crate) fn has_work(&self) -> bool {
        self.open.is_some() || !self.closed.is_empty()
    }

    /// A copy of bytes that the writer has not taken yet.
    pub(crate) fn copy_unwritten(&self, at: Lsn, len: usize) -> Option<Bytes> {
        self.closed.iter().chain(&self.open).find_map(|batch| batch.copy(at, len))
    }
}
