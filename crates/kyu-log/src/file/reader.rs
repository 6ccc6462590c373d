//! Reads bytes back by address while the log is open.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};

use crate::file::segments::Segment;
use crate::file::shared::Shared;
use crate::limits::{READ_BLOCK_BYTES, READ_CACHE_BLOCKS};
use crate::{LogReader, Lsn};

/// A reader of bodies in memory or on disk. Clones share one cache of cold blocks.
#[derive(Clone)]
pub struct FileReader {
    shared: Arc<Shared>,
    // A std Mutex: held for a search among at most `READ_CACHE_BLOCKS` entries, never across I/O.
    cache: Arc<Mutex<VecDeque<Block>>>,
}

/// A piece of a segment. Segment numbers are never reused, so it cannot go stale; while its segment is
/// being written it may be shorter than it will be.
#[derive(Clone)]
struct Block {
    segment: u64,
    index: u32,
    bytes: Bytes,
}

impl LogReader for FileReader {
    fn read(&self, at: Lsn, len: usize) -> io::Result<Bytes> {
        if let Some(bytes) = self.shared.hot.get(at, len) {
            return Ok(bytes);
        }
        if at.0.saturating_add(len as u64) > self.shared.durable().0 {
            return self.read_unwritten(at, len);
        }
        self.read_cold(at, len)
    }

    fn read_hot(&self, at: Lsn, len: usize) -> Option<Bytes> {
        self.shared.hot.get(at, len).or_else(|| {
            let beyond = at.0.saturating_add(len as u64) > self.shared.durable().0;
            beyond.then(|| self.shared.tail().copy_unwritten(at, len)).flatten()
        })
    }
}

impl FileReader {
    pub(crate) fn new(shared: Arc<Shared>) -> FileReader {
        FileReader { shared, cache: Arc::default() }
    }

    fn read_unwritten(&self, at: Lsn, len: usize) -> io::Result<Bytes> {
        let mut tail = self.shared.tail();
        loop {
            let found = self.shared.hot.get(at, len).or_else(|| tail.copy_unwritten(at, len));
            if let Some(bytes) = found {
                return Ok(bytes);
            }
            if at.0.saturating_add(len as u64) <= self.shared.durable().0 {
                drop(tail);
                return self.read_cold(at, len);
            }
            if !tail.writing || tail.failed {
                return Err(not_found(at));
            }
            // The writer is computing the batch's checksums; it tells when the bytes can be seen.
            tail = self.shared.progress.wait(tail).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn read_cold(&self, at: Lsn, len: usize) -> io::Result<Bytes> {
        let geometry = self.shared.geometry;
        let number = geometry.segment(at);
        let segment = self.shared.segments.hold(number).ok_or_else(|| not_found(at))?;
        let from = u64::from(geometry.offset(at));
        let to = from + len as u64;
        if to > u64::from(geometry.segment_bytes) {
            return Err(not_found(at));
        }
        if len > READ_BLOCK_BYTES as usize {
            return self.read_range(&segment, from, to);
        }
        let block_bytes = u64::from(READ_BLOCK_BYTES);
        let mut whole = BytesMut::new();
        let mut next = from;
        while next < to {
            let index = (next / block_bytes) as u32;
            let begin = u64::from(index) * block_bytes;
            let end = to.min(begin + block_bytes);
            let block = self.block(&segment, index, (end - begin) as usize)?;
            let piece = block.slice((next - begin) as usize..(end - begin) as usize);
            if next == from && end == to {
                return Ok(piece);
            }
            whole.extend_from_slice(&piece);
            next = end;
        }
        Ok(whole.freeze())
    }

    /// Block `index` of a segment, at least its first `needed` bytes.
    fn block(&self, segment: &Segment, index: u32, needed: usize) -> io::Result<Bytes> {
        if let Some(bytes) = self.cached(segment.number, index, needed) {
            return Ok(bytes);
        }
        let geometry = self.shared.geometry;
        let durable = self.shared.durable();
        let written_to = if geometry.segment(durable) == segment.number {
            geometry.offset(durable)
        } else {
            geometry.segment_bytes
        };
        let begin = u64::from(index) * u64::from(READ_BLOCK_BYTES);
        let end = u64::from(written_to).min(begin + u64::from(READ_BLOCK_BYTES));
        if end < begin + needed as u64 {
            return Err(not_found(geometry.at(segment.number, index * READ_BLOCK_BYTES)));
        }
        let bytes = self.read_range(segment, begin, end)?;
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.retain(|block| (block.segment, block.index) != (segment.number, index));
        cache.push_front(Block { segment: segment.number, index, bytes: bytes.clone() });
        cache.truncate(READ_CACHE_BLOCKS);
        Ok(bytes)
    }

    fn cached(&self, segment: u64, index: u32, needed: usize) -> Option<Bytes> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let at = cache.iter().position(|b| (b.segment, b.index) == (segment, index))?;
        let block = cache.remove(at)?;
        let bytes = block.bytes.clone();
        cache.push_front(block);
        (bytes.len() >= needed).then_some(bytes)
    }

    fn read_range(&self, segment: &Segment, from: u64, to: u64) -> io::Result<Bytes> {
        let file = self.shared.segments.open_for_read(segment)?;
        let mut bytes = vec![0; (to - from) as usize];
        file.read_exact_at(&mut bytes, from)?;
        self.shared.counters.cold_reads.add(1);
        Ok(bytes.into())
    }
}

fn not_found(at: Lsn) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("nothing is stored at log address {at}"))
}
