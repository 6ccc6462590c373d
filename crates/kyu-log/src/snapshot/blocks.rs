//! The checksummed blocks of a snapshot file.

use std::io::{self, Read, Write};

use crate::disk::DiskFile;
use crate::file::format::{FILE_HEADER_BYTES, u32_at, u64_at};
use crate::limits::SNAPSHOT_BLOCK_BYTES;

const BLOCK_HEADER_BYTES: usize = 8;
const END_BIT: u32 = 1 << 31;

/// A block's buffer with room for its header.
fn empty_block() -> Vec<u8> {
    let mut block = Vec::with_capacity(BLOCK_HEADER_BYTES + SNAPSHOT_BLOCK_BYTES);
    block.resize(BLOCK_HEADER_BYTES, 0);
    block
}

/// The CRC of a block, continuing the one before it.
fn block_crc(chain: u32, length_field: u32, data: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(chain, &length_field.to_le_bytes()), data)
}

/// A writer that splits its bytes into checksummed blocks.
pub(super) struct BlockWriter {
    file: Box<dyn DiskFile>,
    offset: u64,
    chain: u32,
    data_bytes: u64,
    block: Vec<u8>,
}

impl BlockWriter {
    /// A writer that continues behind a file's header, whose checksum seeds the first block's.
    pub(super) fn new(file: Box<dyn DiskFile>, first_chain: u32) -> BlockWriter {
        let (offset, block) = (FILE_HEADER_BYTES as u64, empty_block());
        BlockWriter { file, offset, chain: first_chain, data_bytes: 0, block }
    }

    fn write_block(&mut self, end_bit: u32) -> io::Result<()> {
        let data = self.block.get(BLOCK_HEADER_BYTES..).unwrap_or_default();
        let length_field = data.len() as u32 | end_bit;
        self.chain = block_crc(self.chain, length_field, data);
        let head = u64::from(length_field) | u64::from(self.chain) << 32;
        if let Some(place) = self.block.first_chunk_mut() {
            *place = head.to_le_bytes();
        }
        self.file.write_at(&self.block, self.offset)?;
        self.offset += self.block.len() as u64;
        self.block.truncate(BLOCK_HEADER_BYTES);
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<u64> {
        self.flush()?;
        self.block.extend_from_slice(&self.data_bytes.to_le_bytes());
        self.write_block(END_BIT)?;
        self.file.sync()?;
        Ok(self.offset)
    }
}

impl Write for BlockWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = BLOCK_HEADER_BYTES + SNAPSHOT_BLOCK_BYTES - self.block.len();
        let piece = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.block.extend_from_slice(piece);
        self.data_bytes += piece.len() as u64;
        if piece.len() == room {
            self.write_block(0)?;
        }
        Ok(piece.len())
    }

    /// Ends the block; the bytes are durable only after `SnapshotStore::write` has returned.
    fn flush(&mut self) -> io::Result<()> {
        if self.block.len() > BLOCK_HEADER_BYTES { self.write_block(0) } else { Ok(()) }
    }
}

/// A reader of the bytes that a `BlockWriter` has written.
pub(super) struct BlockReader {
    file: Box<dyn DiskFile>,
    first_chain: u32,
    offset: u64,
    chain: u32,
    data_bytes: u64,
    block: Vec<u8>,
    /// The number of bytes of `block` that were handed out.
    taken: usize,
    ended: bool,
}

impl BlockReader {
    pub(super) fn new(file: Box<dyn DiskFile>, first_chain: u32) -> BlockReader {
        let offset = FILE_HEADER_BYTES as u64;
        let (block, chain) = (Vec::new(), first_chain);
        BlockReader {
            file,
            first_chain,
            offset,
            chain,
            data_bytes: 0,
            block,
            taken: 0,
            ended: false,
        }
    }

    /// Reads everything once, then rewinds.
    pub(super) fn verify(&mut self) -> io::Result<()> {
        while !self.ended {
            self.next_block()?;
        }
        (self.offset, self.chain) = (FILE_HEADER_BYTES as u64, self.first_chain);
        (self.data_bytes, self.taken, self.ended) = (0, 0, false);
        self.block.clear();
        Ok(())
    }

    fn next_block(&mut self) -> io::Result<()> {
        let offset = self.offset;
        let damaged = |what: &str| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{what} at offset {offset}"))
        };
        let cut_short = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged("it is cut short"),
            _ => error,
        };
        let mut head = [0; BLOCK_HEADER_BYTES];
        self.file.read_exact_at(&mut head, self.offset).map_err(cut_short)?;
        let length_field = u32_at(&head, 0);
        let len = (length_field & !END_BIT) as usize;
        if len > SNAPSHOT_BLOCK_BYTES || len == 0 {
            return Err(damaged("a block has an impossible length"));
        }
        self.block.resize(len, 0);
        let data_at = self.offset + BLOCK_HEADER_BYTES as u64;
        self.file.read_exact_at(&mut self.block, data_at).map_err(cut_short)?;
        self.chain = block_crc(self.chain, length_field, &self.block);
        if self.chain != u32_at(&head, 4) {
            return Err(damaged("a block's checksum does not match"));
        }
        self.offset = data_at + len as u64;
        self.taken = 0;
        if length_field & END_BIT != 0 {
            self.ended = true;
            if len != 8 || u64_at(&self.block, 0) != self.data_bytes {
                return Err(damaged("the end does not fit what is before it"));
            }
            self.block.clear();
        }
        self.data_bytes += self.block.len() as u64;
        Ok(())
    }
}

impl Read for BlockReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.block.len() && !self.ended {
            self.next_block()?;
        }
        let rest = self.block.get(self.taken..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.taken += count;
        Ok(count)
    }
}
