//! Recently written bytes, kept in memory so that a flowing queue never reads the disk.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::Lsn;
use crate::file::buffer::{AlignedBuffer, BufferPool};

/// The last batches, oldest first, up to a budget of bytes.
pub(crate) struct HotCache {
    // A std Mutex: it is held for a binary search or a push, never across I/O.
    batches: Mutex<Batches>,
    budget_bytes: u64,
    pool: Arc<BufferPool>,
}

/// A batch in memory, without its padding.
struct HotBatch {
    start: Lsn,
    len: usize,
    memory: Memory,
}

/// The memory of a batch. A small batch would leave most of its aligned buffer empty, so it is copied
/// into memory of its own size; a large one stays where it was built.
enum Memory {
    Copied(Bytes),
    Shared(Arc<AlignedBuffer>),
}

impl HotBatch {
    fn memory_bytes(&self) -> u64 {
        match &self.memory {
            Memory::Copied(bytes) => bytes.len() as u64,
            Memory::Shared(buffer) => buffer.memory_bytes() as u64,
        }
    }

    fn part(&self, from: usize, to: usize) -> Option<Bytes> {
        match &self.memory {
            _ if to > self.len || from > to => None,
            Memory::Copied(bytes) => Some(bytes.slice(from..to)),
            Memory::Shared(buffer) => buffer.share(from..to),
        }
    }
}

#[derive(Default)]
struct Batches {
    in_order: VecDeque<HotBatch>,
    total_bytes: u64,
}

impl HotCache {
    /// An empty cache; the memory of evicted batches goes back to `pool`.
    pub(crate) fn new(budget_bytes: u64, pool: Arc<BufferPool>) -> Self {
        HotCache { batches: Mutex::default(), budget_bytes, pool }
    }

    /// Adds a batch that begins at `start`, after all batches before it.
    ///
    /// The newest batch always stays, whatever the budget, because until it is written there is no
    /// other place to read it from.
    pub(crate) fn insert(&self, start: Lsn, padded: &Arc<AlignedBuffer>, len: usize) {
        let memory = match padded.as_slice().get(..len) {
            Some(bytes) if padded.memory_bytes() > len + len / 4 => {
                Memory::Copied(Bytes::copy_from_slice(bytes))
            }
            _ => Memory::Shared(Arc::clone(padded)),
        };
        let batch = HotBatch { start, len, memory };
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        batches.total_bytes += batch.memory_bytes();
        batches.in_order.push_back(batch);
        while batches.total_bytes > self.budget_bytes && batches.in_order.len() > 1 {
            if let Some(oldest) = batches.in_order.pop_front() {
                batches.total_bytes -= oldest.memory_bytes();
                if let Memory::Shared(buffer) = oldest.memory {
                    self.pool.give_back(buffer);
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
        batch.part(from, from.checked_add(len)?)
    }
}
