//! Snapshots: the whole state at one moment, written by another thread while the engine goes on.
//!
//! Layout, frozen: a row of blocks, each `length u32, kind u8, fields`. Kinds: [`BlockNumber`]. What
//! follows from the messages (ready order, deadlines, counts) is not written but built anew.

pub(crate) mod blocks;
mod keys;

use kyu_model::{
    Address, BindingInfo, ExchangeId, ExchangeInfo, MessageId, MoveTask, Phase, QueueId, QueueInfo,
    QueueName, QueueTotals, Receipt, Seq, UnixMs,
};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use crate::codec::{decode_name, decode_opt_name, encode_name, encode_opt_name};
use crate::exchange::record::{
    decode_binding, decode_binding_id, decode_exchange, encode_binding, encode_exchange,
};
use crate::exchange::store::Exchange;
use crate::lanes::snapshot::{FrozenLimits, load_buckets, load_pause_ends, load_pauses};
use crate::load_error::LoadError;
use crate::machines::{BlockNumber, ExchangeBlock, QueueBlock, StateBlock};
use crate::move_task::snapshot::{decode_task, encode_task};
use crate::queue::attempts::{Attempt, Attempts};
use crate::queue::chunk::Messages;
use crate::queue::claim::{decode_phase, encode_phase};
use crate::queue::config_codec::{decode_config, encode_config};
use crate::queue::dedup::{Dedup, Original};
use crate::queue::ends::Ends;
use crate::queue::message::{FrameRef, History, LaneId, Message, Source};
use crate::queue::snapshot as snapshot_ends;
use crate::queue::store::Queue;
use crate::queue::unique::UniqueShards;
use crate::retries::finished::Finished;
use crate::retries::guard::GuardState;
use crate::retries::guard_keys::GuardKeys;
use crate::retries::snapshot::{self as snapshot_retry, LATER, MARKS, TRAIL};
use crate::snapshot::blocks::{BLOCK_ITEMS, Blocks};
use crate::snapshot::keys::{FrozenKeys, load_ledger, load_schedule, load_unique, write_unique};
use crate::state::State;
use kyu_model::wire::{Malformed, Reader, Write};

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
    keys: Box<FrozenKeys>,
    queues: Vec<FrozenQueue>,
}

struct FrozenQueue {
    info: Arc<QueueInfo>,
    totals: QueueTotals,
    next_seq: Seq,
    newest_ms: UnixMs,
    newest_seq: Seq,
    claims: BTreeMap<Seq, Phase>,
    purged_at_ms: Option<UnixMs>,
    purged_below: Seq,
    ends: Arc<Ends>,
    messages: Messages,
    lane_keys: Vec<Option<Arc<str>>>,
    dedup: Dedup,
    attempts: Attempts,
    guards: BTreeMap<Option<Arc<str>>, GuardState>,
    guard_keys: GuardKeys,
    finished: Arc<Finished>,
    unique: UniqueShards,
    limits: FrozenLimits,
}

impl Frozen {
    pub(crate) fn of(state: &State) -> Self {
        let queues = state.queues.values().map(|queue| FrozenQueue {
            info: queue.info.clone(),
            totals: *queue.totals,
            next_seq: *queue.next_seq,
            newest_ms: *queue.newest_ms,
            newest_seq: *queue.newest_seq,
            claims: (*queue.claims).clone(),
            purged_at_ms: queue.purged_at_ms,
            purged_below: queue.purged_below,
            ends: (*queue.ends).clone(),
            messages: queue.messages.clone(),
            lane_keys: queue.lanes.keys(),
            dedup: (*queue.dedup).clone(),
            attempts: (*queue.attempts).clone(),
            guards: queue.guards.clone(),
            guard_keys: queue.guard_keys.clone(),
            finished: (*queue.finished).clone(),
            unique: queue.unique.freeze(),
            limits: FrozenLimits::of(queue),
        });
        Self {
            next_queue: *state.next_queue,
            next_task: *state.next_task,
            last_time_ms: *state.last_time_ms,
            deleted_names: (*state.deleted_names).clone(),
            shared: state.frames.shared().clone(),
            tasks: (*state.tasks).clone(),
            next_exchange: *state.next_exchange,
            exchanges: state.exchanges.values().cloned().collect(),
            keys: Box::new(FrozenKeys::of(state)),
            queues: queues.collect(),
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
        self.keys.write(&mut blocks)?;
        for exchange in &self.exchanges {
            write_exchange(exchange, &mut blocks)?;
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

impl FrozenQueue {
    fn write(&self, blocks: &mut Blocks<'_, impl io::Write>) -> io::Result<()> {
        blocks.write(QueueBlock::Queue, |b| self.encode_head(b))?;
        let more = snapshot_retry::more_totals(&self.totals);
        if more.iter().any(|total| *total > 0) {
            blocks.write(QueueBlock::MoreTotals, |b| {
                more.iter().for_each(|total| b.varint(*total))
            })?;
        }
        snapshot_ends::write(&self.totals, &self.ends, self.purged_below, blocks)?;
        if !self.guards.is_empty() || !self.finished.is_empty() {
            blocks.write(QueueBlock::Guards, |b| {
                snapshot_retry::encode_guards(&self.guards, &self.finished, b);
            })?;
        }
        let mut lanes = LaneWriter { keys: &self.lane_keys, written: BTreeMap::new() };
        let mut messages = self.messages.iter().peekable();
        while messages.peek().is_some() {
            blocks.write(QueueBlock::Messages, |b| {
                let mut last = Last::default();
                for (seq, message) in messages.by_ref().take(BLOCK_ITEMS) {
                    encode_message(seq, &message, &mut last, &mut lanes, b);
                }
            })?;
        }
        let mut guard_keys = self.guard_keys.iter().peekable();
        while guard_keys.peek().is_some() {
            blocks.write(QueueBlock::GuardKeys, |b| {
                GuardKeys::encode(guard_keys.by_ref().take(BLOCK_ITEMS), b);
            })?;
        }
        if self.newest_seq + 1 != self.next_seq {
            blocks.write(QueueBlock::Newest, |b| b.varint(self.newest_seq))?;
        }
        let mut claims = self.claims.iter().peekable();
        while claims.peek().is_some() {
            blocks.write(QueueBlock::Claims, |b| {
                for (seq, phase) in claims.by_ref().take(BLOCK_ITEMS) {
                    b.varint(*seq);
                    encode_phase(*phase, b);
                }
            })?;
        }
        write_dedup(QueueBlock::Dedup, &self.dedup, blocks)?;
        let mut attempts = self.attempts.iter().peekable();
        while attempts.peek().is_some() {
            blocks.write(QueueBlock::Attempts, |b| {
                for (id, attempt) in attempts.by_ref().take(BLOCK_ITEMS) {
                    encode_attempt(id, attempt, b);
                }
            })?;
        }
        write_unique(&self.unique, blocks)?;
        self.limits.write(blocks)
    }

    fn encode_head(&self, out: &mut Vec<u8>) {
        out.varint(u64::from(self.info.id.0));
        encode_name(&self.info.name, out);
        encode_config(&self.info.config, out);
        out.varint(self.info.version);
        out.varint(self.info.created_at_ms);
        out.varint(self.info.modified_at_ms);
        out.varint(self.next_seq);
        out.varint(self.newest_ms);
        out.opt_varint(self.purged_at_ms);
        let t = &self.totals;
        for total in [
            t.sent,
            t.received,
            t.acked,
            t.expired,
            t.dropped,
            t.rejected,
            t.moved_in,
            t.moved_out,
            t.purged,
        ] {
            out.varint(total);
        }
    }
}

fn write_dedup(
    kind: impl Into<u8> + Copy,
    dedup: &Dedup,
    blocks: &mut Blocks<'_, impl io::Write>,
) -> io::Result<()> {
    let mut ids = dedup.iter().peekable();
    while ids.peek().is_some() {
        blocks.write(kind, |b| {
            for (key, original) in ids.by_ref().take(BLOCK_ITEMS) {
                b.str(key);
                b.u128(original.message_id.0);
                b.varint(original.seq);
                b.varint(original.until_ms);
            }
        })?;
    }
    Ok(())
}

fn write_exchange(exchange: &Exchange, blocks: &mut Blocks<'_, impl io::Write>) -> io::Result<()> {
    blocks.write(ExchangeBlock::Exchange, |b| {
        b.varint(u64::from(exchange.info.id.0));
        encode_name(&exchange.info.name, b);
        encode_exchange(&exchange.info.config, b);
        b.varint(exchange.info.version);
        b.varint(exchange.info.created_at_ms);
        b.varint(exchange.removed_bindings);
        b.varint(exchange.next_seq);
    })?;
    // One block each: a binding's attributes may be long.
    for binding in exchange.bindings.values() {
        blocks.write(ExchangeBlock::Bindings, |b| {
            b.varint(binding.id.get());
            encode_binding(&binding.config, b);
            b.varint(binding.version);
            b.varint(binding.created_at_ms);
        })?;
    }
    write_dedup(ExchangeBlock::Dedup, &exchange.dedup, blocks)
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

/// The message before, in the same block: numbers are written as steps from it.
#[derive(Default)]
struct Last {
    seq: Seq,
    at: Address,
    enqueued_at_ms: UnixMs,
}

/// Lane keys in order of first use, so that equal states are written equally.
struct LaneWriter<'a> {
    keys: &'a [Option<Arc<str>>],
    written: BTreeMap<LaneId, u64>,
}

impl LaneWriter<'_> {
    /// 0 is no lane, 1 a new key that follows, `n + 2` the key that came as number `n`.
    fn write(&mut self, lane: LaneId, out: &mut Vec<u8>) {
        let Some(Some(key)) = self.keys.get(lane.0 as usize) else { return out.u8(0) };
        match self.written.get(&lane) {
            Some(number) => out.varint(number + 2),
            None => {
                self.written.insert(lane, self.written.len() as u64);
                out.u8(1);
                out.str(key);
            }
        }
    }
}

const PLAIN: u8 = 0;
const FULL: u8 = 1;
/// As `FULL`, and then the binding it came by.
const FULL_VIA: u8 = 2;

/// Bits of a full message's flags. Frozen.
const OUT_OF_AGE_ORDER: u8 = 1;
const GIVEN_BACK: u8 = 2;

fn zigzag(step: u64) -> u64 {
    let step = step as i64;
    (step << 1 ^ step >> 63) as u64
}

fn unzigzag(v: u64) -> u64 {
    (v >> 1) ^ (v & 1).wrapping_neg()
}

fn encode_message(
    seq: Seq,
    m: &Message,
    last: &mut Last,
    lanes: &mut LaneWriter<'_>,
    out: &mut Vec<u8>,
) {
    let plain = m.is_plain(seq);
    out.u8(match m.via {
        _ if plain => PLAIN,
        None => FULL,
        Some(_) => FULL_VIA,
    });
    out.varint(seq.wrapping_sub(last.seq));
    out.varint(zigzag(m.frame.at.wrapping_sub(last.at)));
    out.varint(u64::from(m.frame.bytes));
    out.varint(zigzag(m.enqueued_at_ms.wrapping_sub(last.enqueued_at_ms)));
    *last = Last { seq, at: m.frame.at, enqueued_at_ms: m.enqueued_at_ms };
    if plain {
        return;
    }
    encode_phase(m.phase, out);
    out.varint(m.order);
    out.u8(m.priority);
    lanes.write(m.lane, out);
    let flags = [
        (m.out_of_age_order, OUT_OF_AGE_ORDER),
        (m.history.given_back, GIVEN_BACK),
        (m.trail.is_some(), TRAIL),
        (snapshot_retry::has_marks(m), MARKS),
        (snapshot_retry::has_later(m), LATER),
    ];
    out.u8(flags.iter().filter(|(on, _)| *on).map(|(_, bit)| bit).sum());
    out.opt_varint(m.expires_at_ms());
    let h = &m.history;
    out.varint(u64::from(h.deliveries));
    out.varint(u64::from(h.receives));
    out.varint(u64::from(h.epoch));
    out.varint(h.last_received_at_ms);
    out.varint(h.first_received_at_ms);
    encode_opt_name(m.source_queue().map(Arc::as_ref), out);
    snapshot_retry::encode_extras(m, out);
    if let Some(via) = m.via {
        out.varint(via.get());
    }
}

fn encode_attempt(id: &str, attempt: &Attempt, out: &mut Vec<u8>) {
    out.str(id);
    out.varint(attempt.until_ms);
    out.varint(attempt.leased_until_ms);
    out.varint(attempt.receipts.len() as u64);
    for receipt in &attempt.receipts {
        out.varint(receipt.seq);
        out.varint(u64::from(receipt.delivery));
        out.varint(u64::from(receipt.epoch));
    }
}

/// Loads what [`Frozen::write`] wrote.
pub(crate) fn load(from: &mut impl io::Read, segment_bytes: u64) -> Result<State, LoadError> {
    let mut loader = Loader {
        state: State::new(segment_bytes),
        queue: None,
        exchange: None,
        lane_keys: Vec::new(),
        dedup: Vec::new(),
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
    queue: Option<QueueId>,
    /// The exchange that the following blocks belong to.
    exchange: Option<Exchange>,
    lane_keys: Vec<String>,
    dedup: Vec<(String, Original)>,
    /// Shared frames that are counted as live already.
    counted: BTreeSet<Address>,
}

impl Loader {
    fn block(&mut self, r: &mut Reader) -> Result<Progress, Malformed> {
        match BlockNumber::of(r.u8()?).ok_or(Malformed("block kind"))? {
            BlockNumber::State(StateBlock::End) => {
                self.end_exchange();
                self.end_queue();
                self.state.directory_changes.clear();
                return Ok(Progress::Ended);
            }
            BlockNumber::State(block) => self.state_block(block, r)?,
            BlockNumber::Exchange(block) => self.exchange_block(block, r)?,
            BlockNumber::Queue(block) => self.queue_block(block, r)?,
        }
        if r.remaining() > 0 {
            return Err(Malformed("block"));
        }
        Ok(Progress::More)
    }

    fn state_block(&mut self, block: StateBlock, r: &mut Reader) -> Result<(), Malformed> {
        match block {
            StateBlock::Global => self.global(r)?,
            StateBlock::Task => {
                let task = decode_task(r)?;
                self.state.tasks.insert(&task.id.clone(), task);
            }
            StateBlock::Schedule => load_schedule(&mut self.state, r)?,
            StateBlock::Ledger => *self.state.next_token = r.varint()?,
            StateBlock::LedgerEntries => load_ledger(&mut self.state, r)?,
            StateBlock::Counters => *self.state.next_exchange = r.varint32()?,
            StateBlock::End => {}
        }
        Ok(())
    }

    fn exchange_block(&mut self, block: ExchangeBlock, r: &mut Reader) -> Result<(), Malformed> {
        match block {
            ExchangeBlock::Exchange => {
                self.end_exchange();
                self.begin_exchange(r)
            }
            ExchangeBlock::Bindings => self.binding(r),
            ExchangeBlock::Dedup => self.dedup(r),
        }
    }

    fn queue_block(&mut self, block: QueueBlock, r: &mut Reader) -> Result<(), Malformed> {
        match block {
            QueueBlock::Queue => {
                self.end_exchange();
                self.end_queue();
                self.begin_queue(r)?;
            }
            QueueBlock::MoreTotals => {
                snapshot_retry::decode_more_totals(&mut self.own_queue()?.totals, r)?;
            }
            QueueBlock::DeadTotals => snapshot_ends::load_totals(self.own_queue()?, r)?,
            QueueBlock::Ends => *self.own_queue()?.ends = Arc::new(Ends::decode(r)?),
            QueueBlock::PurgedBelow => self.own_queue()?.purged_below = r.varint()?,
            QueueBlock::Guards => snapshot_retry::decode_guards(self.own_queue()?, r)?,
            QueueBlock::Messages => self.messages(r)?,
            QueueBlock::GuardKeys => self.guard_keys(r)?,
            QueueBlock::Dedup => self.dedup(r)?,
            QueueBlock::Attempts => self.attempts(r)?,
            QueueBlock::Unique => load_unique(&mut self.state, self.queue, r)?,
            QueueBlock::Newest => *self.own_queue()?.newest_seq = r.varint()?,
            QueueBlock::Claims => {
                let queue = self.own_queue()?;
                while r.remaining() > 0 {
                    queue.claims.insert(&r.varint()?, decode_phase(r)?);
                }
            }
            QueueBlock::Pauses => load_pauses(&mut self.state, self.queue, r)?,
            QueueBlock::PauseEnds => load_pause_ends(&mut self.state, self.queue, r)?,
            QueueBlock::Buckets => load_buckets(&mut self.state, self.queue, r)?,
        }
        Ok(())
    }

    fn dedup(&mut self, r: &mut Reader) -> Result<(), Malformed> {
        while r.remaining() > 0 {
            let key = r.string()?;
            let message_id = MessageId(r.u128()?);
            let (seq, until_ms) = (r.varint()?, r.varint()?);
            self.dedup.push((key, Original { message_id, seq, until_ms }));
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

    fn guard_keys(&mut self, r: &mut Reader) -> Result<(), Malformed> {
        let queue = self.own_queue()?;
        for (value, seqs) in GuardKeys::decode(r)? {
            for seq in seqs {
                queue.set_guard_value(seq, Some(value.clone()));
            }
        }
        Ok(())
    }

    fn own_queue(&mut self) -> Result<&mut Queue, Malformed> {
        let queue = self.queue.and_then(|id| self.state.queues.get_mut(&id));
        queue.ok_or(Malformed("block order"))
    }

    fn begin_exchange(&mut self, r: &mut Reader) -> Result<(), Malformed> {
        let info = Arc::new(ExchangeInfo {
            id: ExchangeId(r.varint32()?),
            name: decode_name(r)?,
            config: decode_exchange(r)?,
            version: r.varint()?,
            created_at_ms: r.varint()?,
        });
        let mut exchange = Exchange::new(info);
        exchange.removed_bindings = r.varint()?;
        exchange.next_seq = r.varint()?;
        self.exchange = Some(exchange);
        Ok(())
    }

    fn binding(&mut self, r: &mut Reader) -> Result<(), Malformed> {
        let exchange = self.exchange.as_mut().ok_or(Malformed("block order"))?;
        let info = BindingInfo {
            id: decode_binding_id(r)?,
            exchange: exchange.info.name.clone(),
            config: decode_binding(r)?,
            version: r.varint()?,
            created_at_ms: r.varint()?,
        };
        self.state.bindings.insert(&info.id, exchange.info.id);
        exchange.bindings.insert(info.id, Arc::new(info));
        Ok(())
    }

    fn end_exchange(&mut self) {
        let Some(mut exchange) = self.exchange.take() else { return };
        exchange.dedup = Dedup::restore(std::mem::take(&mut self.dedup));
        let id = exchange.info.id;
        self.state.exchange_names.insert(&exchange.info.name, id);
        self.state.exchanges.insert(&id, Arc::new(exchange));
    }

    fn begin_queue(&mut self, r: &mut Reader) -> Result<(), Malformed> {
        let info = Arc::new(QueueInfo {
            id: QueueId(r.varint32()?),
            name: decode_name(r)?,
            config: decode_config(r)?,
            version: r.varint()?,
            created_at_ms: r.varint()?,
            modified_at_ms: r.varint()?,
        });
        let mut queue = Queue::new(info.clone());
        *queue.next_seq = r.varint()?;
        *queue.newest_seq = queue.next_seq.saturating_sub(1);
        *queue.newest_ms = r.varint()?;
        queue.purged_at_ms = r.opt_varint()?;
        *queue.totals = QueueTotals {
            sent: r.varint()?,
            received: r.varint()?,
            acked: r.varint()?,
            expired: r.varint()?,
            dropped: r.varint()?,
            rejected: r.varint()?,
            moved_in: r.varint()?,
            moved_out: r.varint()?,
            purged: r.varint()?,
            ..QueueTotals::default()
        };
        self.state.names.insert(&info.name, info.id);
        self.state.queues.insert(info.id, queue);
        self.queue = Some(info.id);
        self.lane_keys.clear();
        Ok(())
    }

    fn end_queue(&mut self) {
        let dedup = std::mem::take(&mut self.dedup);
        let Some(id) = self.queue.take() else { return };
        if let Some(queue) = self.state.queues.get_mut(&id) {
            *queue.dedup.all_mut() = Dedup::restore(dedup);
            queue.lanes.sweep();
            let due_ms = queue.next_due_ms();
            self.state.watch(id, due_ms);
        }
    }

    fn messages(&mut self, r: &mut Reader) -> Result<(), Malformed> {
        let id = self.queue.ok_or(Malformed("block order"))?;
        let mut last = Last::default();
        while r.remaining() > 0 {
            let form = r.u8()?;
            let seq = last.seq.wrapping_add(r.varint()?);
            let at = last.at.wrapping_add(unzigzag(r.varint()?));
            let frame = FrameRef { at, bytes: r.varint32()? };
            let enqueued_at_ms = last.enqueued_at_ms.wrapping_add(unzigzag(r.varint()?));
            last = Last { seq, at, enqueued_at_ms };
            let mut message = Message::new(frame, seq, enqueued_at_ms);
            match form {
                PLAIN => {}
                FULL => self.full_message(id, &mut message, r)?,
                FULL_VIA => {
                    self.full_message(id, &mut message, r)?;
                    message.via = Some(decode_binding_id(r)?);
                }
                _ => return Err(Malformed("message form")),
            }
            if !self.state.frames.shared().contains_key(&at) || self.counted.insert(at) {
                // A shared frame is in the map with its count already.
                self.state.frames.count_live(frame);
            }
            self.state.put(id, seq, Some(message));
        }
        Ok(())
    }

    fn full_message(
        &mut self,
        id: QueueId,
        m: &mut Message,
        r: &mut Reader,
    ) -> Result<(), Malformed> {
        m.phase = decode_phase(r)?;
        m.order = r.varint()?;
        m.priority = r.u8()?;
        m.lane = self.lane(id, r)?;
        let flags = r.u8()?;
        m.out_of_age_order = flags & OUT_OF_AGE_ORDER != 0;
        let given_back = flags & GIVEN_BACK != 0;
        m.set_expiry(r.opt_varint()?);
        m.history = History {
            deliveries: r.varint32()?,
            receives: r.varint32()?,
            epoch: r.varint32()?,
            last_received_at_ms: r.varint()?,
            first_received_at_ms: r.varint()?,
            given_back,
        };
        let source = decode_opt_name(r)?;
        m.source = source.map(|name| Arc::new(Source { queue: Arc::new(name), receives: 0 }));
        snapshot_retry::decode_extras(flags, m, r)?;
        Ok(())
    }

    fn lane(&mut self, id: QueueId, r: &mut Reader) -> Result<LaneId, Malformed> {
        let key = match r.varint()? {
            0 => return Ok(LaneId::NONE),
            1 => {
                self.lane_keys.push(r.string()?);
                self.lane_keys.last()
            }
            number => self.lane_keys.get(number as usize - 2),
        };
        let key = key.ok_or(Malformed("lane"))?;
        let queue = self.state.queues.get_mut(&id).ok_or(Malformed("block order"))?;
        Ok(queue.lane_of(Some(key)))
    }

    fn attempts(&mut self, r: &mut Reader) -> Result<(), Malformed> {
        let id = self.queue.ok_or(Malformed("block order"))?;
        while r.remaining() > 0 {
            let attempt_id = r.string()?;
            let until_ms = r.varint()?;
            let leased_until_ms = r.varint()?;
            let receipts = (0..r.count()?).map(|_| {
                Ok(Receipt {
                    queue: id,
                    seq: r.varint()?,
                    delivery: r.varint32()?,
                    epoch: r.varint32()?,
                })
            });
            let receipts = receipts.collect::<Result<_, Malformed>>()?;
            self.state.remember_attempt(
                id,
                &attempt_id,
                Attempt { until_ms, leased_until_ms, receipts },
            );
        }
        Ok(())
    }
}
