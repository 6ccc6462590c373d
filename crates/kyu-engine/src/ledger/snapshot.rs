//! The snapshot blocks of the ledger: its next token, left out while that is 1, and its entries.

use std::io;
use std::sync::Arc;

use kyu_model::wire::{Malformed, Reader, Write};

use crate::ledger::record::{decode_entry, encode_entry};
use crate::ledger::store::LedgerEntries;
use crate::machines::StateBlock;
use crate::snapshot::blocks::Blocks;
use crate::state::State;

/// Ledger entries of one block: each may have 64 KiB.
const BLOCK_ENTRIES: usize = 256;

/// The ledger at one moment.
pub(crate) struct FrozenLedger {
    entries: LedgerEntries,
    next_token: u64,
}

impl FrozenLedger {
    pub(crate) fn of(state: &State) -> Self {
        Self { entries: state.ledger.freeze(), next_token: *state.next_token }
    }

    pub(crate) fn write(&self, blocks: &mut Blocks<'_, impl io::Write>) -> io::Result<()> {
        if self.next_token > 1 {
            blocks.write(StateBlock::Ledger, |b| b.varint(self.next_token))?;
        }
        let mut entries = self.entries.iter().peekable();
        while entries.peek().is_some() {
            blocks.write(StateBlock::LedgerEntries, |b| {
                for entry in entries.by_ref().take(BLOCK_ENTRIES) {
                    encode_entry(entry, b);
                }
            })?;
        }
        Ok(())
    }
}

pub(crate) fn load_entries(state: &mut State, r: &mut Reader) -> Result<(), Malformed> {
    while r.remaining() > 0 {
        let entry = Arc::new(decode_entry(r)?);
        state.ledger.insert(&entry.key.clone(), entry);
    }
    Ok(())
}
