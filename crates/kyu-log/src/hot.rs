//! Recently written bytes, kept in memory so that a flowing queue never reads the disk.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::Lsn;
use crate::buffer::{AlignedBuffer, BufferPool};

/// The last batches, oldest first, up to a budget of bytes.
pub(crate) struct HotCache {
    // A std Mutex: it is held for a binary search or a push, never across I/O.
    batches: Mutex<Batches>,
    budget_bytes: u64,
    pool: Arc<BufferPool>,
}

/// A batch in memory; `len` leaves out its padding.
struct HotBatch {
    start: Lsn,
    len: usize,
    padded: Arc<AlignedBuffer>,
}

#[derive(Default)]
struct Batches {
    in_order: VecDeque<HotBatch>,
    total_bytes: u64,
}

impl HotCache {
    /// Memory of batches that leave goes to `pool`.
    pub(crate) fn new(budget_bytes: u64, pool: Arc<BufferPool>) -> Self {
        HotCache { batches: Mutex::default(), budget_bytes, pool }
    }

    /// Adds a batch that begins at `start`, after all batches before it.
    ///
    /// The newest batch always stays, whatever the budget, because until it is written there is no
    /// other place to read it from.
    pub(crate) fn insert(&self, start: Lsn, padded: Arc<AlignedBuffer>, len: usize) {
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        batches.total_bytes += len as u64;
        batches.in_order.push_back(HotBatch { start, len, padded });
        while batches.total_bytes > self.budget_bytes && batches.in_order.len() > 1 {
            if let Some(oldest) = batches.in_order.pop_front() {
                batches.total_bytes -= oldest.len as u64;
                // Unless somebody still reads it.
                if let Ok(buffer) = Arc::try_unwrap(oldest.padded) {
                    self.pool.give(buffer);
                }
            }
        }
    }

    /// The `len` bytes at `at`, without copying.
    pub(crate) fn get(&self, at: Lsn, len: usize) -> Option<Bytes> {
        let batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        let after = batches.in_order.partition_point(|batch| batch.start <= at);
        let batch = batches.in_order.get(after.checked_sub(1)?)?;
        let from = usize::try_from(at.0 - batch.start.0).ok()?;
        let to = from.checked_add(len)?;
        if to <= batch.len { batch.padded.share(from..to) } else { None }
    }
}
