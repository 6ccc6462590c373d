//! What snapshots keep under keys: the ledger, schedules, and the unique keys of a queue. Each block
//! is left out while there is nothing for it.

use kyu_model::{QueueId, ScheduleInfo};
use std::io;
use std::sync::Arc;

use crate::ledger::record::{decode_entry, encode_entry};
use crate::ledger::store::LedgerEntries;
use crate::machines::{QueueBlock, StateBlock};
use crate::queue::unique::{UniqueShards, decode_holder, encode_holder};
use crate::schedule::record::{decode_schedule, encode_schedule};
use crate::snapshot::blocks::{BLOCK_ITEMS, Blocks};
use crate::state::State;
use kyu_model::wire::{Malformed, Reader, Write};

/// Ledger entries of one block: each may have 64 KiB.
const BLOCK_ENTRIES: usize = 256;

/// What stands under keys beside queues.
pub(crate) struct FrozenKeys {
    ledger: LedgerEntries,
    next_token: u64,
    last_schedule: u64,
    schedules: Vec<Arc<ScheduleInfo>>,
}

impl FrozenKeys {
    pub(crate) fn of(state: &State) -> Self {
        Self {
            ledger: state.ledger.freeze(),
            next_token: *state.next_token,
            last_schedule: *state.last_schedule,
            schedules: state.schedules.by_name.values().cloned().collect(),
        }
    }

    pub(crate) fn write(&self, blocks: &mut Blocks<'_, impl io::Write>) -> io::Result<()> {
        write_ledger(self.next_token, &self.ledger, blocks)?;
        write_schedules(self.last_schedule, &self.schedules, blocks)
    }
}

fn write_ledger(
    next_token: u64,
    ledger: &LedgerEntries,
    blocks: &mut Blocks<'_, impl io::Write>,
) -> io::Result<()> {
    if next_token > 1 {
        blocks.write(StateBlock::Ledger, |b| b.varint(next_token))?;
    }
    let mut entries = ledger.iter().peekable();
    while entries.peek().is_some() {
        blocks.write(StateBlock::LedgerEntries, |b| {
            for entry in entries.by_ref().take(BLOCK_ENTRIES) {
                encode_entry(entry, b);
            }
        })?;
    }
    Ok(())
}

pub(crate) fn load_ledger(state: &mut State, r: &mut Reader) -> Result<(), Malformed> {
    while r.remaining() > 0 {
        let entry = Arc::new(decode_entry(r)?);
        state.ledger.insert(&entry.key.clone(), entry);
    }
    Ok(())
}

/// One block each: a content may be long. The last identifier stands first.
fn write_schedules(
    last_id: u64,
    schedules: &[Arc<ScheduleInfo>],
    blocks: &mut Blocks<'_, impl io::Write>,
) -> io::Result<()> {
    if last_id > 0 {
        blocks.write(StateBlock::Schedule, |b| {
            b.u8(0);
            b.varint(last_id);
        })?;
    }
    for info in schedules {
        blocks.write(StateBlock::Schedule, |b| {
            b.u8(1);
            encode_schedule(info, b);
        })?;
    }
    Ok(())
}

pub(crate) fn load_schedule(state: &mut State, r: &mut Reader) -> Result<(), Malformed> {
    if r.bool()? {
        let info = Arc::new(decode_schedule(r)?);
        state.schedules.insert(&info.name.clone(), info);
    } else {
        *state.last_schedule = r.varint()?;
    }
    Ok(())
}

pub(crate) fn write_unique(
    shards: &UniqueShards,
    blocks: &mut Blocks<'_, impl io::Write>,
) -> io::Result<()> {
    let mut keys = shards.iter().flat_map(|shard| shard.iter()).peekable();
    while keys.peek().is_some() {
        blocks.write(QueueBlock::Unique, |b| {
            for (key, holder) in keys.by_ref().take(BLOCK_ITEMS) {
                encode_holder(key, holder, b);
            }
        })?;
    }
    Ok(())
}

pub(crate) fn load_unique(
    state: &mut State,
    queue: Option<QueueId>,
    r: &mut Reader,
) -> Result<(), Malformed> {
    let id = queue.ok_or(Malformed("block order"))?;
    while r.remaining() > 0 {
        let (key, holder) = decode_holder(r)?;
        state.put_holder(id, &key, Some(holder));
    }
    Ok(())
}
