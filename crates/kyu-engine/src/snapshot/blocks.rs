//! Blocks of a snapshot, written one after the other.

use std::io;

use kyu_model::wire::Write;

/// Messages or ids of one block.
pub(crate) const BLOCK_ITEMS: usize = 4_096;

pub(crate) struct Blocks<'a, W> {
    pub(crate) out: &'a mut W,
    pub(crate) buffer: Vec<u8>,
}

impl<W: io::Write> Blocks<'_, W> {
    pub(crate) fn write(
        &mut self,
        kind: impl Into<u8>,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> io::Result<()> {
        self.buffer.clear();
        self.buffer.u8(kind.into());
        fill(&mut self.buffer);
        self.out.write_all(&(self.buffer.len() as u32).to_le_bytes())?;
        self.out.write_all(&self.buffer)
    }
}
