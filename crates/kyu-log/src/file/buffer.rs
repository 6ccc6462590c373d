//! Memory that direct I/O accepts, without unsafe code.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::limits::{BLOCK_BYTES, MAX_POOLED_BUFFERS, MIN_POOLED_BYTES};
use crate::lsn::align_up;

/// A growing byte buffer whose first byte lies at a block boundary in memory.
///
/// The allocator gives no such promise to safe code, so this asks for a block more than it needs and
/// begins at the first boundary inside. It never lets `Vec` reallocate on its own, because the
/// boundary would move.
pub(crate) struct AlignedBuffer {
    memory: Vec<u8>,
    /// The offset in `memory` where the aligned part begins.
    base: usize,
}

impl AlignedBuffer {
    /// An empty buffer with room for `capacity` bytes.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        let block = BLOCK_BYTES as usize;
        let mut memory: Vec<u8> = Vec::with_capacity(align_up(capacity as u64) as usize + block);
        let base = memory.as_ptr().addr().next_multiple_of(block) - memory.as_ptr().addr();
        memory.resize(base, 0);
        AlignedBuffer { memory, base }
    }

    pub(crate) fn len(&self) -> usize {
        self.memory.len() - self.base
    }

    /// The number of bytes that fit wherever the allocator put the memory. A buffer must not grow
    /// earlier or later because of an address, or a simulation could not be repeated.
    fn capacity(&self) -> usize {
        self.memory.capacity().saturating_sub(BLOCK_BYTES as usize)
    }

    /// The allocated bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory.capacity()
    }

    /// Makes room for `more` bytes, moving to a larger allocation if it must.
    pub(crate) fn reserve(&mut self, more: usize) {
        let needed = self.len() + more;
        if needed > self.capacity() {
            let mut larger = AlignedBuffer::with_capacity(needed.max(2 * self.capacity()));
            larger.memory.extend_from_slice(self.as_slice());
            *self = larger;
        }
    }

    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.memory.extend_from_slice(bytes);
    }

    /// Fills with zeros up to the next block boundary.
    pub(crate) fn pad_to_block(&mut self) {
        let padding = align_up(self.len() as u64) as usize - self.len();
        self.reserve(padding);
        self.memory.resize(self.memory.len() + padding, 0);
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.memory.get(self.base..).unwrap_or_default()
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        self.memory.get_mut(self.base..).unwrap_or_default()
    }

    /// Returns the buffer emptied, with the same memory.
    fn cleared(mut self) -> Self {
        self.memory.truncate(self.base);
        self
    }

    /// Bytes `range` of a shared buffer, without copying.
    pub(crate) fn share(self: &Arc<Self>, range: Range<usize>) -> Option<Bytes> {
        (range.start <= range.end && range.end <= self.len())
            .then(|| Bytes::from_owner(Part { buffer: Arc::clone(self), range }))
    }
}

/// Keeps a buffer for as long as somebody reads a part of it.
struct Part {
    buffer: Arc<AlignedBuffer>,
    range: Range<usize>,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        self.buffer.as_slice().get(self.range.clone()).unwrap_or_default()
    }
}

/// A pool of unused buffers. New memory costs a page fault every 4 KiB, which at full
/// speed is more than the copy into it.
#[derive(Default)]
pub(crate) struct BufferPool {
    // A std Mutex: held to push or to pick one of a few.
    free: Mutex<Vec<AlignedBuffer>>,
}

impl BufferPool {
    /// An empty buffer with room for `capacity` bytes: the smallest that is free, else a new one.
    pub(crate) fn take(&self, capacity: usize) -> AlignedBuffer {
        let mut free = self.free();
        let fitting = free.iter().enumerate().filter(|(_, buffer)| buffer.capacity() >= capacity);
        match fitting.min_by_key(|(_, buffer)| buffer.capacity()).map(|(at, _)| at) {
            Some(at) => free.swap_remove(at),
            None => AlignedBuffer::with_capacity(capacity),
        }
    }

    /// Takes a buffer back, unless somebody still reads it.
    pub(crate) fn give_back(&self, buffer: Arc<AlignedBuffer>) {
        if let Ok(buffer) = Arc::try_unwrap(buffer) {
            self.give(buffer);
        }
    }

    /// Keeps a buffer for later if it is large enough and there is room.
    fn give(&self, buffer: AlignedBuffer) {
        let mut free = self.free();
        if buffer.capacity() >= MIN_POOLED_BYTES && free.len() < MAX_POOLED_BUFFERS {
            free.push(buffer.cleared());
        }
    }

    fn free(&self) -> MutexGuard<'_, Vec<AlignedBuffer>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_aligned_while_growing() {
        let mut buffer = AlignedBuffer::with_capacity(10);
        let mut expected = Vec::new();
        for round in 0..200u32 {
            let piece = vec![round as u8; 1 + (round as usize * 37) % 5000];
            buffer.extend(&piece);
            expected.extend_from_slice(&piece);
            assert_eq!(buffer.as_slice().as_ptr().addr() % 4096, 0);
        }
        assert_eq!(buffer.as_slice(), expected);
        buffer.pad_to_block();
        let shared = Arc::new(buffer);
        assert_eq!(shared.len() % 4096, 0);
        assert_eq!(shared.share(0..expected.len()).unwrap(), expected);
        assert_eq!(shared.share(1..shared.len() + 1), None);
    }

    #[test]
    fn the_capacity_does_not_depend_on_the_address() {
        let buffers = (0..50).map(|n| (vec![0u8; n * 40], AlignedBuffer::with_capacity(10)));
        let buffers: Vec<_> = buffers.collect();
        assert!(buffers.iter().all(|(_, buffer)| buffer.capacity() == BLOCK_BYTES as usize));
    }

    #[test]
    fn memory_that_was_given_back_is_used_again_and_empty() {
        let pool = BufferPool::default();
        let mut buffer = pool.take(2 * MIN_POOLED_BYTES);
        buffer.extend(&[7; 100]);
        let memory = buffer.as_slice().as_ptr();
        pool.give(buffer);
        let mut again = pool.take(MIN_POOLED_BYTES);
        assert_eq!(again.len(), 0);
        again.extend(&[8]);
        assert_eq!((again.as_slice().as_ptr(), again.as_slice()), (memory, &[8u8][..]));
    }
}
