//! Memory that direct I/O accepts, without unsafe code.

use bytes::Bytes;

use crate::limits::BLOCK_BYTES;
use crate::lsn::align_up;

/// A growing byte buffer whose first byte lies at a block boundary in memory.
///
/// The allocator gives no such promise to safe code, so this asks for a block more than it needs and
/// begins at the first boundary inside. It never lets `Vec` reallocate on its own, because the
/// boundary would move.
pub(crate) struct AlignedBuffer {
    memory: Vec<u8>,
    /// Where the aligned part begins.
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

    fn capacity(&self) -> usize {
        self.memory.capacity() - self.base
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

    /// The same bytes, immutable and shared, still aligned.
    ///
    /// A mostly empty allocation is first moved to a small one, because the bytes may stay in the hot
    /// cache for long and only their length is counted there.
    pub(crate) fn freeze(self) -> Bytes {
        let block = BLOCK_BYTES as usize;
        let compact = if self.capacity() > 2 * self.len() + block {
            let mut small = AlignedBuffer::with_capacity(self.len());
            small.extend(self.as_slice());
            small
        } else {
            self
        };
        let base = compact.base;
        Bytes::from(compact.memory).slice(base..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_aligned_while_growing_and_after_freezing() {
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
        let frozen = buffer.freeze();
        assert_eq!(frozen.as_ptr().addr() % 4096, 0);
        assert_eq!(frozen.len() % 4096, 0);
        assert_eq!(&frozen[..expected.len()], expected);
    }
}
