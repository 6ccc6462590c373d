//! Recently written bytes, kept in memory so that a flowing queue never reads the disk.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::Lsn;

/// The last batches, oldest first, up to a budget of bytes.
pub(crate) struct HotCache {
    // A std Mutex: it is held for a binary search or a push, never across I/O.
    batches: Mutex<Batches>,
    budget_bytes: u64,
}

#[derive(Default)]
struct Batches {
    in_order: VecDeque<(Lsn, Bytes)>,
    total_bytes: u64,
}

impl HotCache {
    pub(crate) fn new(budget_bytes: u64) -> Self {
        HotCache { batches: Mutex::default(), budget_bytes }
    }

    /// Adds a batch that begins at `start`, after all batches before it.
    ///
    /// The newest batch always stays, whatever the budget, because until it is written there is no
    /// other place to read it from.
    pub(crate) fn insert(&self, start: Lsn, bytes: Bytes) {
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        batches.total_bytes += bytes.len() as u64;
        batches.in_order.push_back((start, bytes));
        while batches.total_bytes > self.budget_bytes && batches.in_order.len() > 1 {
            if let Some((_, oldest)) = batches.in_order.pop_front() {
                batches.total_bytes -= oldest.len() as u64;
            }
        }
    }

    /// The `len` bytes at `at`, without copying.
    pub(crate) fn get(&self, at: Lsn, len: usize) -> Option<Bytes> {
        let batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        let after = batches.in_order.partition_point(|(start, _)| *start <= at);
        let (start, bytes) = batches.in_order.get(after.checked_sub(1)?)?;
        let from = usize::try_from(at.0 - start.0).ok()?;
        let to = from.checked_add(len)?;
        (to <= bytes.len()).then(|| bytes.slice(from..to))
    }
}
