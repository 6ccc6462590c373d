//! Snapshots: the whole state at one moment, written by another thread while the engine goes on.
//!
//! Layout, frozen: a row of blocks, each `length u32, kind u8, fields`. Kinds: [`BlockNumber`]. What
//! follows from the messages (ready order, deadlines, counts) is not written but built anew.

pub(crate) mod blocks;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use kyu_model::wire::{Malformed, Reader, Write};
use kyu_model::{Address, MoveTask, QueueName, UnixMs};

use crate::codec::{decode_name, encode_name};
use crate::exchange::snapshot as exchange;
use crate::exchange::store::Exchange;
use crate::ledger::snapshot::{self as ledger, FrozenLedger};
use crate::load_error::LoadError;
use crate::machines::{BlockNumber, ExchangeBlock, QueueBlock, StateBlock};
use crate::move_task::snapshot::{decode_task, encode_task};
use crate::queue::dedup::{Dedup, Original};
use crate::queue::snapshot::{FrozenQueue, QueueLoader, decode_dedup};
use crate::schedule::snapshot::{self as schedule, FrozenSchedules};
use crate::snapshot::blocks::Blocks;
use crate::state::State;

const VERSION: u8 = 1;
/// No block of ours is longer: 4,096 full messages, or a queue's configuration.
const MAX_BLOCK_BYTES: u32 = 64 << 20;

/// The state at one moment. Holds pointers into the engine's copy-on-write structures.
pub struct Frozen {
    next_queue: u32,
    next_task: u64,
    last_time_ms: UnixMs,
    deleted_names: BTreeMap<QueueName, UnixMs>,
    shared: BTreeMap<Address, u32>,
    tasks: BTreeMap<u64, MoveTask>,
    next_exchange: u32,
    exchanges: Vec<Arc<Exchange>>,
    ledger: FrozenLedger,
    schedules: FrozenSchedules,
    queues: Vec<FrozenQueue>,
}

impl Frozen {
    pub(crate) fn of(state: &State) -> Self {
        Self {
            next_queue: *state.next_queue,
            next_task: *state.next_task,
            last_time_ms: *state.last_time_ms,
            deleted_names: (*state.deleted_names).clone(),
            shared: state.frames.shared().clone(),
            tasks: (*state.tasks).clone(),
            next_exchange: *state.next_exchange,
            exchanges: state.exchanges.values().cloned().collect(),
            ledger: FrozenLedger::of(state),
            schedules: FrozenSchedules::of(state),
            queues: state.queues.values().map(FrozenQueue::of).collect(),
        }
    }

    /// Writes the snapshot.
    pub fn write(&self, out: &mut impl io::Write) -> io::Result<()> {
        let mut blocks = Blocks { out, buffer: Vec::new() };
        blocks.write(StateBlock::Global, |b| self.encode_global(b))?;
        for task in self.tasks.values() {
            blocks.write(StateBlock::Task, |b| encode_task(task, b))?;
        }
        if self.next_exchange > 1 {
            blocks.write(StateBlock::Counters, |b| b.varint(u64::from(self.next_exchange)))?;
        }
        self.ledger.write(&mut blocks)?;
        self.schedules.write(&mut blocks)?;
        for exchange in &self.exchanges {
            exchange::write(exchange, &mut blocks)?;
        }
        for queue in &self.queues {
            queue.write(&mut blocks)?;
        }
        blocks.write(StateBlock::End, |_| {})
    }

    /// A number that is equal for equal states (FNV-1a of what [`Frozen::write`] writes).
    pub fn digest(&self) -> u64 {
        let mut fnv = Fnv(0xcbf2_9ce4_8422_2325);
        // Writing into a hash cannot fail.
        let _ = self.write(&mut fnv);
        fnv.0
    }

    fn encode_global(&self, out: &mut Vec<u8>) {
        out.u8(VERSION);
        out.varint(u64::from(self.next_queue));
        out.varint(self.next_task);
        out.varint(self.last_time_ms);
        out.varint(self.deleted_names.len() as u64);
        for (name, at_ms) in &self.deleted_names {
            encode_name(name, out);
            out.varint(*at_ms);
        }
        out.varint(self.shared.len() as u64);
        for (at, shares) in &self.shared {
            out.varint(*at);
            out.varint(u64::from(*shares));
        }
    }
}

struct Fnv(u64);

impl io::Write for Fnv {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Loads what [`Frozen::write`] wrote.
pub(crate) fn load(from: &mut impl io::Read, segment_bytes: u64) -> Result<State, LoadError> {
    let mut loader = Loader {
        state: State::new(segment_bytes),
        queue: None,
        exchange: None,
        counted: BTreeSet::new(),
    };
    loop {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length);
        if length == 0 || length > MAX_BLOCK_BYTES {
            return Err(Malformed("block length").into());
        }
        let mut bytes = vec![0; length as usize];
        from.read_exact(&mut bytes)?;
        let mut reader = Reader::new(bytes.into());
        if loader.block(&mut reader)? == Progress::Ended {
            return Ok(loader.state);
        }
    }
}

#[derive(PartialEq, Eq)]
enum Progress {
    More,
    Ended,
}

struct Loader {
    state: State,
    /// The queue that the following blocks belong to.
    queue: Option<QueueLoader>,
    /// The exchange that the following blocks belong to, and the ids that it remembers.
    exchange: Option<(Exchange, Vec<(String, Original)>)>,
    /// Shared frames that are counted as live already.
    counted: BTreeSet<Address>,
}

impl Loader {
    fn block(&mut self, r: &mut Reader) -> Result<Progress, Malformed> {
        match BlockNumber::of(r.u8()?).ok_or(Malformed("block kind"))? {
            BlockNumber::State(StateBlock::End) => {
                self.end();
                self.state.directory_changes.clear();
                return Ok(Progress::Ended);
            }
            BlockNumber::State(block) => self.state_block(block, r)?,
            BlockNumber::Exchange(block) => self.exchange_block(block, r)?,
            BlockNumber::Queue(QueueBlock::Queue) => {
                self.end();
                self.queue = Some(QueueLoader::begin(&mut self.state, r)?);
            }
            BlockNumber::Queue(block) => {
                let queue = self.queue.as_mut().ok_or(Malformed("block order"))?;
                queue.block(block, &mut self.state, &mut self.counted, r)?;
            }
        }
        if r.remaining() > 0 {
            return Err(Malformed("block"));
        }
        Ok(Progress::More)
    }

    fn state_block(&mut self, block: StateBlock, r: &mut Reader) -> Result<(), Malformed> {
        let state = &mut self.state;
        match block {
            StateBlock::Global => self.global(r)?,
            StateBlock::Task => {
                let task = decode_task(r)?;
                state.tasks.insert(&task.id.clone(), task);
            }
            StateBlock::Schedule => schedule::load(state, r)?,
            StateBlock::Ledger => *state.next_token = r.varint()?,
            StateBlock::LedgerEntries => ledger::load_entries(state, r)?,
            StateBlock::Counters => *state.next_exchange = r.varint32()?,
            StateBlock::End => {}
        }
        Ok(())
    }

    fn exchange_block(&mut self, block: ExchangeBlock, r: &mut Reader) -> Result<(), Malformed> {
        if block == ExchangeBlock::Exchange {
            self.end();
            self.exchange = Some((exchange::load(r)?, Vec::new()));
            return Ok(());
        }
        let (exchange, ids) = self.exchange.as_mut().ok_or(Malformed("block order"))?;
        match block {
            ExchangeBlock::Exchange => {}
            ExchangeBlock::Bindings => {
                let info = exchange::load_binding(exchange, r)?;
                self.state.bindings.insert(&info.id, exchange.info.id);
                exchange.bindings.insert(info.id, Arc::new(info));
            }
            ExchangeBlock::Dedup => decode_dedup(ids, r)?,
        }
        Ok(())
    }

    fn global(&mut self, r: &mut Reader) -> Result<(), Malformed> {
        if r.u8()? != VERSION {
            return Err(Malformed("snapshot version"));
        }
        *self.state.next_queue = r.varint32()?;
        *self.state.next_task = r.varint()?;
        *self.state.last_time_ms = r.varint()?;
        for _ in 0..r.count()? {
            let name = decode_name(r)?;
            self.state.deleted_names.insert(&name, r.varint()?);
        }
        for _ in 0..r.count()? {
            let at = r.varint()?;
            self.state.frames.share(at, r.varint32()?);
        }
        Ok(())
    }

    /// Ends the queue or exchange that blocks belonged to.
    fn end(&mut self) {
        if let Some(queue) = self.queue.take() {
            queue.end(&mut self.state);
        }
        let Some((mut exchange, ids)) = self.exchange.take() else { return };
        exchange.dedup = Dedup::restore(ids);
        let id = exchange.info.id;
        self.state.exchange_names.insert(&exchange.info.name, id);
        self.state.exchanges.insert(&id, Arc::new(exchange));
    }
}
