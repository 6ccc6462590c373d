//! Messages by sequence number, in copy-on-write chunks. A ready message that was never received
//! takes one slot of 12 bytes; any other has its full record beside the slots.
//!
//! Chunks stand behind `Arc`, so a snapshot is a copy of pointers; the first change after it
//! copies the chunk that it touches and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use kyu_model::{Address, Seq, UnixMs};

use crate::queue::message::{FrameRef, Message};

const CHUNK_BITS: u32 = 10;
const CHUNK_SLOTS: usize = 1 << CHUNK_BITS;
const WORDS: usize = CHUNK_SLOTS / 64;

/// Frame address (low and high half) and length; length 0 is an empty slot, [`FULL`] points to
/// the full record.
#[derive(Clone, Copy, Default)]
struct Slot {
    low: u32,
    high: u32,
    bytes: u32,
}

const FULL: u32 = u32::MAX;

impl Slot {
    fn plain(frame: FrameRef) -> Self {
        Self { low: frame.at as u32, high: (frame.at >> 32) as u32, bytes: frame.bytes }
    }

    fn frame(self) -> FrameRef {
        FrameRef { at: u64::from(self.high) << 32 | u64::from(self.low), bytes: self.bytes }
    }
}

/// Up to 1,024 messages with neighbouring sequence numbers.
#[derive(Clone, Default)]
pub(crate) struct Chunk {
    /// Index of the first slot in `slots`: a queue's first chunk need not start at 0.
    first: u16,
    slots: Vec<Slot>,
    full: BTreeMap<u16, Message>,
    /// Messages in the chunk.
    live: u16,
    /// A bit for each message whose age follows the order of sequence numbers.
    in_age_order: [u64; WORDS],
    /// The enqueue times of messages as steps: an index and the time of the messages from it on.
    times: Vec<(u16, UnixMs)>,
    /// Lowest and highest frame address that was ever in the chunk.
    addresses: Option<(Address, Address)>,
}

fn locate(seq: Seq) -> (u64, u16) {
    (seq >> CHUNK_BITS, (seq % CHUNK_SLOTS as u64) as u16)
}

fn word_bit(index: u16) -> (usize, u64) {
    (usize::from(index / 64), 1 << (index % 64))
}

impl Chunk {
    fn slot(&self, index: u16) -> Slot {
        let at = usize::from(index).checked_sub(usize::from(self.first));
        at.and_then(|at| self.slots.get(at)).copied().unwrap_or_default()
    }

    fn set_slot(&mut self, index: u16, slot: Slot) {
        if self.slots.is_empty() {
            self.first = index;
        }
        if index < self.first {
            // Only a rolled-back removal comes here: the slots begin later than it.
            let missing = usize::from(self.first - index);
            self.slots.splice(0..0, std::iter::repeat_n(Slot::default(), missing));
            self.first = index;
        }
        let at = usize::from(index - self.first);
        if at >= self.slots.len() {
            self.slots.resize(at + 1, Slot::default());
        }
        if let Some(place) = self.slots.get_mut(at) {
            *place = slot;
        }
    }

    fn time_at(&self, index: u16) -> UnixMs {
        let after = self.times.partition_point(|(from, _)| *from <= index);
        after.checked_sub(1).and_then(|i| self.times.get(i)).map_or(0, |(_, at)| *at)
    }

    /// Notes the enqueue time of a message; times rise with the index except after a rollback.
    fn set_time(&mut self, index: u16, at_ms: UnixMs) {
        match self.times.last() {
            Some((_, last)) if *last == at_ms => {}
            Some((from, _)) if *from >= index => {} // rolled back: the time is still noted
            _ => self.times.push((index, at_ms)),
        }
    }

    fn get(&self, seq: Seq, index: u16) -> Option<Message> {
        let slot = self.slot(index);
        match slot.bytes {
            0 => None,
            FULL => self.full.get(&index).cloned(),
            _ => Some(Message::new(slot.frame(), seq, self.time_at(index))),
        }
    }

    fn replace(&mut self, seq: Seq, index: u16, new: Option<&Message>) -> Option<Message> {
        let slot = self.slot(index);
        let old = match slot.bytes {
            0 => None,
            FULL => self.full.remove(&index),
            _ => Some(Message::new(slot.frame(), seq, self.time_at(index))),
        };
        self.live -= u16::from(old.is_some());
        self.live += u16::from(new.is_some());
        let aged = new.is_some_and(|m| !m.out_of_age_order);
        let (word, bit) = word_bit(index);
        if let Some(word) = self.in_age_order.get_mut(word) {
            *word = if aged { *word | bit } else { *word & !bit };
        }
        match new {
            None => self.set_slot(index, Slot::default()),
            Some(message) => {
                let at = message.frame.at;
                let (low, high) = self.addresses.unwrap_or((at, at));
                self.addresses = Some((low.min(at), high.max(at)));
                if aged {
                    self.set_time(index, message.enqueued_at_ms);
                }
                if message.is_plain(seq) && self.time_at(index) == message.enqueued_at_ms {
                    self.set_slot(index, Slot::plain(message.frame));
                } else {
                    self.set_slot(index, Slot { bytes: FULL, ..Slot::default() });
                    self.full.insert(index, message.clone());
                }
            }
        }
        old
    }

    fn oldest_in_age_order(&self) -> Option<u16> {
        let (word, bits) = self.in_age_order.iter().enumerate().find(|(_, bits)| **bits != 0)?;
        Some((word * 64) as u16 + bits.trailing_zeros() as u16)
    }

    /// Returns the indexes, from a given one on, of messages whose age follows their sequence
    /// numbers.
    fn aged(&self, from: u16) -> impl Iterator<Item = u16> + '_ {
        let (first, bit) = word_bit(from);
        let words = self.in_age_order.iter().enumerate().skip(first);
        words.flat_map(move |(word, bits)| {
            let mut left = if word == first { bits & !(bit - 1) } else { *bits };
            std::iter::from_fn(move || {
                let index = (left != 0).then(|| (word * 64) as u16 + left.trailing_zeros() as u16);
                left &= left.wrapping_sub(1);
                index
            })
        })
    }

    fn newest_in_age_order(&self) -> Option<u16> {
        let words = self.in_age_order.iter().enumerate();
        let (word, bits) = words.rev().find(|(_, bits)| **bits != 0)?;
        Some((word * 64) as u16 + 63 - bits.leading_zeros() as u16)
    }

    /// Returns the messages in order, with their sequence numbers.
    pub(crate) fn iter(&self, number: u64) -> impl Iterator<Item = (Seq, Message)> + '_ {
        let last = self.first + self.slots.len() as u16;
        (self.first..last).filter_map(move |index| {
            let seq = (number << CHUNK_BITS) + u64::from(index);
            self.get(seq, index).map(|message| (seq, message))
        })
    }
}

/// All messages of a queue.
#[derive(Clone, Default)]
pub(crate) struct Messages {
    chunks: BTreeMap<u64, Arc<Chunk>>,
}

impl Messages {
    pub(crate) fn get(&self, seq: Seq) -> Option<Message> {
        let (number, index) = locate(seq);
        self.chunks.get(&number)?.get(seq, index)
    }

    /// Puts a message in place of another (or of none) and returns the other.
    pub(crate) fn replace(&mut self, seq: Seq, new: Option<&Message>) -> Option<Message> {
        let (number, index) = locate(seq);
        if new.is_none() && !self.chunks.contains_key(&number) {
            return None;
        }
        let chunk = self.chunks.entry(number).or_default();
        let chunk = Arc::make_mut(chunk);
        let old = chunk.replace(seq, index, new);
        if chunk.live == 0 {
            self.chunks.remove(&number);
        }
        old
    }

    /// The first message among those whose age follows their sequence numbers.
    pub(crate) fn oldest_in_age_order(&self) -> Option<(Seq, UnixMs)> {
        self.chunks.iter().find_map(|(number, chunk)| {
            let index = chunk.oldest_in_age_order()?;
            let seq = (number << CHUNK_BITS) + u64::from(index);
            Some((seq, chunk.get(seq, index)?.enqueued_at_ms))
        })
    }

    /// Returns the messages whose age follows their sequence numbers, in order, from a number on.
    /// They may be in any phase.
    pub(crate) fn in_age_order(&self, from: Seq) -> impl Iterator<Item = (Seq, Message)> + '_ {
        let (first, index) = locate(from);
        let chunks = self.chunks.range(first..);
        chunks.flat_map(move |(number, chunk)| {
            let from = if *number == first { index } else { 0 };
            let seq = move |index: u16| (number << CHUNK_BITS) + u64::from(index);
            chunk.aged(from).filter_map(move |index| {
                let seq = seq(index);
                Some((seq, chunk.get(seq, index)?))
            })
        })
    }

    /// Returns the time at which the last of the messages was enqueued whose age follows their
    /// sequence numbers.
    pub(crate) fn newest_in_age_order(&self) -> Option<UnixMs> {
        self.chunks.values().rev().find_map(|chunk| {
            let index = chunk.newest_in_age_order()?;
            Some(chunk.get(0, index)?.enqueued_at_ms)
        })
    }

    /// Returns the messages from a sequence number on, in order.
    pub(crate) fn from(&self, seq: Seq) -> impl Iterator<Item = (Seq, Message)> + '_ {
        let (first, _) = locate(seq);
        let chunks = self.chunks.range(first..);
        chunks.flat_map(|(number, chunk)| chunk.iter(*number)).skip_while(move |(at, _)| *at < seq)
    }

    /// All messages in order of sequence numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Seq, Message)> + '_ {
        self.chunks.iter().flat_map(|(number, chunk)| chunk.iter(*number))
    }

    /// Returns the messages whose frame lies in `[from, to)`.
    pub(crate) fn in_addresses(
        &self,
        from: Address,
        to: Address,
    ) -> impl Iterator<Item = (Seq, Message)> + '_ {
        self.chunks
            .iter()
            .filter(move |(_, chunk)| {
                chunk.addresses.is_some_and(|(low, high)| low < to && high >= from)
            })
            .flat_map(|(number, chunk)| chunk.iter(*number))
            .filter(move |(_, message)| (from..to).contains(&message.frame.at))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use kyu_model::Phase;

    fn message(seq: Seq, at_ms: UnixMs) -> Message {
        Message::new(FrameRef { at: seq * 100, bytes: 50 }, seq, at_ms)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn behaves_as_a_map(
            ops in prop::collection::vec((0u64..3000, 0u8..3, 0u64..20), 0..100),
        ) {
            let mut messages = Messages::default();
            let mut model = BTreeMap::new();
            let mut now = 1_000;
            let mut next = 0;
            for (seq, op, step) in ops {
                now += step;
                let (seq, new) = match op {
                    0 => { next += 1 + step * 40; (next, Some(message(next, now))) }
                    1 => (seq, model.get(&seq).cloned().map(|mut m: Message| {
                        m.phase = Phase::Leased(now);
                        m
                    })),
                    _ => (seq, None),
                };
                let expected = match new.clone() {
                    Some(new) => model.insert(seq, new),
                    None => model.remove(&seq),
                };
                let before = messages.clone();
                let frozen: Vec<_> = before.iter().collect();
                prop_assert_eq!(messages.replace(seq, new.as_ref()), expected);
                prop_assert_eq!(before.iter().collect::<Vec<_>>(), frozen, "a snapshot changed");
                prop_assert_eq!(messages.get(seq), model.get(&seq).cloned());
                prop_assert_eq!(
                    messages.oldest_in_age_order(),
                    model.first_key_value().map(|(seq, m)| (*seq, m.enqueued_at_ms))
                );
            }
            prop_assert_eq!(messages.iter().collect::<Vec<_>>(), model.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_plain_slot_takes_twelve_bytes() {
        assert_eq!(size_of::<Slot>(), 12);
    }
}
