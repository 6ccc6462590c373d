//! The snapshot blocks of a queue: a block that begins it, then blocks with its messages, the ids
//! and attempts that it remembers, and what its lanes and guards have. What follows from the
//! messages (ready order, deadlines, counts) is built anew.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use kyu_model::wire::{Malformed, Reader, Write};
use kyu_model::{Address, MessageId, Phase, QueueId, QueueInfo, QueueTotals, Receipt, Seq, UnixMs};

use crate::codec::{decode_name, decode_opt_name, encode_name, encode_opt_name};
use crate::exchange::record::decode_binding_id;
use crate::lanes::pause_ends::PauseEnds;
use crate::lanes::snapshot::{self as lanes, FrozenLimits};
use crate::machines::QueueBlock;
use crate::queue::attempts::{Attempt, Attempts};
use crate::queue::chunk::Messages;
use crate::queue::claim::{decode_phase, encode_phase};
use crate::queue::config_codec::{decode_config, encode_config};
use crate::queue::dedup::{Dedup, Original};
use crate::queue::ends::Ends;
use crate::queue::message::{FrameRef, History, LaneId, Message, Source};
use crate::queue::store::Queue;
use crate::queue::unique::{UniqueShards, decode_holder, encode_holder};
use crate::retries::finished::Finished;
use crate::retries::guard::GuardState;
use crate::retries::guard_keys::GuardKeys;
use crate::retries::snapshot::{self as retries, LATER, MARKS, TRAIL};
use crate::snapshot::blocks::{BLOCK_ITEMS, Blocks};
use crate::state::State;

/// A queue at one moment. Holds pointers into its copy-on-write structures.
pub(crate) struct FrozenQueue {
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

impl FrozenQueue {
    pub(crate) fn of(queue: &Queue) -> Self {
        Self {
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
        }
    }

    pub(crate) fn write(&self, blocks: &mut Blocks<'_, impl io::Write>) -> io::Result<()> {
        blocks.write(QueueBlock::Queue, |b| self.encode_head(b))?;
        let more = retries::more_totals(&self.totals);
        if more.iter().any(|total| *total > 0) {
            blocks.write(QueueBlock::MoreTotals, |b| {
                more.iter().for_each(|total| b.varint(*total))
            })?;
        }
        write_ends(&self.totals, &self.ends, self.purged_below, blocks)?;
        if !self.guards.is_empty() || !self.finished.is_empty() {
            blocks.write(QueueBlock::Guards, |b| {
                retries::encode_guards(&self.guards, &self.finished, b);
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

fn write_ends(
    totals: &QueueTotals,
    ends: &Ends,
    purged_below: Seq,
    blocks: &mut Blocks<'_, impl io::Write>,
) -> io::Result<()> {
    let dead = [totals.kept_dead, totals.revived, totals.cancelled];
    if dead.iter().any(|total| *total > 0) {
        blocks.write(QueueBlock::DeadTotals, |b| dead.iter().for_each(|total| b.varint(*total)))?;
    }
    if !ends.is_empty() {
        blocks.write(QueueBlock::Ends, |b| ends.encode(b))?;
    }
    if purged_below > 0 {
        blocks.write(QueueBlock::PurgedBelow, |b| b.varint(purged_below))?;
    }
    Ok(())
}

pub(crate) fn write_dedup(
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

fn write_unique(shards: &UniqueShards, blocks: &mut Blocks<'_, impl io::Write>) -> io::Result<()> {
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
    /// Writes a lane: 0 is no lane, 1 a new key that follows, `n + 2` the key that came as number
    /// `n`.
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
/// The form of `FULL`, and then the binding that the message came by.
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
        (retries::has_marks(m), MARKS),
        (retries::has_later(m), LATER),
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
    retries::encode_extras(m, out);
    if let Some(via) = m.via {
        out.varint(via.get());
    }
}

/// Reads the blocks of one queue.
pub(crate) struct QueueLoader {
    id: QueueId,
    /// Lane keys in the order in which messages named them.
    lane_keys: Vec<String>,
    dedup: Vec<(String, Original)>,
}

impl QueueLoader {
    /// Reads the block that begins a queue.
    pub(crate) fn begin(state: &mut State, r: &mut Reader) -> Result<Self, Malformed> {
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
        state.names.insert(&info.name, info.id);
        state.queues.insert(info.id, queue);
        Ok(Self { id: info.id, lane_keys: Vec::new(), dedup: Vec::new() })
    }

    /// Reads a block that follows. `counted` are the shared frames that are counted as live already.
    pub(crate) fn block(
        &mut self,
        block: QueueBlock,
        state: &mut State,
        counted: &mut BTreeSet<Address>,
        r: &mut Reader,
    ) -> Result<(), Malformed> {
        let queue = state.queues.get_mut(&self.id).ok_or(Malformed("block order"))?;
        match block {
            QueueBlock::Queue => return Err(Malformed("block order")),
            QueueBlock::MoreTotals => retries::decode_more_totals(&mut queue.totals, r)?,
            QueueBlock::DeadTotals => load_dead_totals(&mut queue.totals, r)?,
            QueueBlock::Ends => *queue.ends = Arc::new(Ends::decode(r)?),
            QueueBlock::PurgedBelow => queue.purged_below = r.varint()?,
            QueueBlock::Guards => retries::decode_guards(queue, r)?,
            QueueBlock::GuardKeys => {
                for (value, seqs) in GuardKeys::decode(r)? {
                    for seq in seqs {
                        queue.set_guard_value(seq, Some(value.clone()));
                    }
                }
            }
            QueueBlock::Newest => *queue.newest_seq = r.varint()?,
            QueueBlock::Claims => {
                while r.remaining() > 0 {
                    queue.claims.insert(&r.varint()?, decode_phase(r)?);
                }
            }
            QueueBlock::Dedup => decode_dedup(&mut self.dedup, r)?,
            QueueBlock::Messages => self.messages(state, counted, r)?,
            QueueBlock::Attempts => self.attempts(state, r)?,
            QueueBlock::Unique => {
                while r.remaining() > 0 {
                    let (key, holder) = decode_holder(r)?;
                    state.put_holder(self.id, &key, Some(holder));
                }
            }
            QueueBlock::Pauses => lanes::load_pauses(queue, r)?,
            QueueBlock::PauseEnds => *queue.pause_ends = PauseEnds::decode(r)?,
            QueueBlock::Buckets => {
                lanes::load_buckets(queue, r)?;
                // Nothing is full at time 0: this only watches for the next token.
                state.end_metering(self.id, 0);
            }
        }
        Ok(())
    }

    /// All blocks of the queue have been read.
    pub(crate) fn end(self, state: &mut State) {
        if let Some(queue) = state.queues.get_mut(&self.id) {
            *queue.dedup.all_mut() = Dedup::restore(self.dedup);
            queue.lanes.sweep();
            let due_ms = queue.next_due_ms();
            state.watch(self.id, due_ms);
        }
    }

    fn messages(
        &mut self,
        state: &mut State,
        counted: &mut BTreeSet<Address>,
        r: &mut Reader,
    ) -> Result<(), Malformed> {
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
                FULL => self.full_message(state, &mut message, r)?,
                FULL_VIA => {
                    self.full_message(state, &mut message, r)?;
                    message.via = Some(decode_binding_id(r)?);
                }
                _ => return Err(Malformed("message form")),
            }
            if !state.frames.shared().contains_key(&at) || counted.insert(at) {
                // A shared frame is in the map with its count already.
                state.frames.count_live(frame);
            }
            state.put(self.id, seq, Some(message));
        }
        Ok(())
    }

    fn full_message(
        &mut self,
        state: &mut State,
        m: &mut Message,
        r: &mut Reader,
    ) -> Result<(), Malformed> {
        m.phase = decode_phase(r)?;
        m.order = r.varint()?;
        m.priority = r.u8()?;
        m.lane = self.lane(state, r)?;
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
        retries::decode_extras(flags, m, r)?;
        Ok(())
    }

    fn lane(&mut self, state: &mut State, r: &mut Reader) -> Result<LaneId, Malformed> {
        let key = match r.varint()? {
            0 => return Ok(LaneId::NONE),
            1 => {
                self.lane_keys.push(r.string()?);
                self.lane_keys.last()
            }
            number => self.lane_keys.get(number as usize - 2),
        };
        let key = key.ok_or(Malformed("lane"))?;
        let queue = state.queues.get_mut(&self.id).ok_or(Malformed("block order"))?;
        Ok(queue.lane_of(Some(key)))
    }

    fn attempts(&self, state: &mut State, r: &mut Reader) -> Result<(), Malformed> {
        let id = self.id;
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
            state.remember_attempt(
                id,
                &attempt_id,
                Attempt { until_ms, leased_until_ms, receipts },
            );
        }
        Ok(())
    }
}

fn load_dead_totals(totals: &mut QueueTotals, r: &mut Reader) -> Result<(), Malformed> {
    (totals.kept_dead, totals.revived) = (r.varint()?, r.varint()?);
    totals.cancelled = r.varint()?;
    Ok(())
}

/// Reads a block that [`write_dedup`] wrote.
pub(crate) fn decode_dedup(
    ids: &mut Vec<(String, Original)>,
    r: &mut Reader,
) -> Result<(), Malformed> {
    while r.remaining() > 0 {
        let key = r.string()?;
        let message_id = MessageId(r.u128()?);
        let (seq, until_ms) = (r.varint()?, r.varint()?);
        ids.push((key, Original { message_id, seq, until_ms }));
    }
    Ok(())
}
