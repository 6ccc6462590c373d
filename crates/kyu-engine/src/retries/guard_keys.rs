//! The keys of guards that go by an attribute of messages (`GuardKey::Attribute`): the value of
//! each message, and the messages that wait. They are kept beside the messages, so that other
//! queues do not pay for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kyu_model::wire::{Malformed, Reader, Write};
use kyu_model::{Phase, Seq};

use crate::queue::message::Message;

/// The value of an attribute; `None` for messages that do not have it.
pub(crate) type GuardValue = Option<Arc<str>>;

/// A value, and the messages that have it.
pub(crate) type OfValue = (Arc<str>, Vec<Seq>);

#[derive(Clone, Default)]
pub(crate) struct GuardKeys {
    of: BTreeMap<Seq, Arc<str>>,
    /// The values, each with the number of messages that have it.
    values: BTreeMap<Arc<str>, u64>,
    /// Messages that wait for a token or for their breaker, by value.
    waiting: BTreeMap<GuardValue, Waiting>,
}

/// The messages of a value that wait, by place in the order of service.
#[derive(Clone, Default)]
pub(crate) struct Waiting {
    /// The messages that need no token.
    pub(crate) first: BTreeSet<(u64, Seq)>,
    pub(crate) retries: BTreeSet<(u64, Seq)>,
}

impl GuardKeys {
    pub(crate) fn get(&self, seq: Seq) -> GuardValue {
        self.of.get(&seq).cloned()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (Seq, &Arc<str>)> {
        self.of.iter().map(|(seq, value)| (*seq, value))
    }

    /// Gives a message a value, or takes it. `message` is the message if it is there.
    pub(crate) fn set(
        &mut self,
        seq: Seq,
        value: GuardValue,
        message: Option<&Message>,
    ) -> GuardValue {
        if let Some(message) = message {
            self.note_gone(seq, message);
        }
        let value = value.map(|value| self.share(value));
        let old = match value {
            Some(value) => self.of.insert(seq, value),
            None => self.of.remove(&seq),
        };
        if let Some(old) = &old {
            self.drop_value(old);
        }
        if let Some(message) = message {
            self.note(seq, message);
        }
        old
    }

    /// Returns the one copy of a value, and counts it once more.
    fn share(&mut self, value: Arc<str>) -> Arc<str> {
        let known = self.values.get_key_value(&value).map(|(known, _)| known.clone());
        let value = known.unwrap_or(value);
        *self.values.entry(value.clone()).or_default() += 1;
        value
    }

    fn drop_value(&mut self, value: &Arc<str>) {
        if let Some(messages) = self.values.get_mut(value) {
            *messages -= 1;
            if *messages == 0 {
                self.values.remove(value);
            }
        }
    }

    /// Notes that a message is there, in this state.
    pub(crate) fn note(&mut self, seq: Seq, message: &Message) {
        if message.phase == Phase::Parked {
            let waiting = self.waiting.entry(self.get(seq)).or_default();
            waiting.of(message).insert((message.order, seq));
        }
    }

    /// Notes that a message is no longer in this state.
    pub(crate) fn note_gone(&mut self, seq: Seq, message: &Message) {
        if message.phase != Phase::Parked {
            return;
        }
        let value = self.get(seq);
        if let Some(waiting) = self.waiting.get_mut(&value) {
            waiting.of(message).remove(&(message.order, seq));
            if waiting.first.is_empty() && waiting.retries.is_empty() {
                self.waiting.remove(&value);
            }
        }
    }

    pub(crate) fn waiting(&self, value: &GuardValue) -> Option<&Waiting> {
        self.waiting.get(value)
    }

    /// Returns the values for which messages wait.
    pub(crate) fn waited_for(&self) -> impl Iterator<Item = &GuardValue> {
        self.waiting.keys()
    }

    /// Writes a block of the snapshot: messages by value. The layout is frozen.
    pub(crate) fn encode<'a>(some: impl Iterator<Item = (Seq, &'a Arc<str>)>, out: &mut Vec<u8>) {
        let mut by_value: BTreeMap<&str, Vec<Seq>> = BTreeMap::new();
        for (seq, value) in some {
            by_value.entry(value).or_default().push(seq);
        }
        out.varint(by_value.len() as u64);
        for (value, seqs) in by_value {
            out.str(value);
            crate::codec::encode_seqs(&seqs, out);
        }
    }

    /// Reads the messages and values of a block.
    pub(crate) fn decode(r: &mut Reader) -> Result<Vec<OfValue>, Malformed> {
        let one = |r: &mut Reader| {
            let value: Arc<str> = r.string()?.into();
            Ok((value, crate::codec::decode_seqs(r)?))
        };
        (0..r.count()?).map(|_| one(r)).collect()
    }
}

impl Waiting {
    fn of(&mut self, message: &Message) -> &mut BTreeSet<(u64, Seq)> {
        if message.history.receives == 0 { &mut self.first } else { &mut self.retries }
    }

    pub(crate) fn len(&self) -> usize {
        self.first.len() + self.retries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::message::FrameRef;

    #[test]
    fn golden_bytes() {
        let mut keys = GuardKeys::default();
        for (seq, value) in [(1, "b"), (2, "a"), (300, "b")] {
            keys.set(seq, Some(value.into()), None);
        }
        let mut bytes = Vec::new();
        GuardKeys::encode(keys.iter(), &mut bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "020161010401620202d604");
        let read = GuardKeys::decode(&mut Reader::new(bytes.clone().into())).unwrap();
        assert_eq!(read, [("a".into(), vec![2]), ("b".into(), vec![1, 300])]);
        for end in 0..bytes.len() {
            let cut = bytes[..end].to_vec();
            assert!(GuardKeys::decode(&mut Reader::new(cut.into())).is_err());
        }
    }

    #[test]
    fn who_waits_follows_the_value_that_a_message_gets_later() {
        let mut keys = GuardKeys::default();
        let message =
            Message { phase: Phase::Parked, ..Message::new(FrameRef { at: 0, bytes: 1 }, 7, 0) };
        keys.note(7, &message);
        assert_eq!(keys.waiting(&None).map(Waiting::len), Some(1));
        keys.set(7, Some("a".into()), Some(&message));
        assert_eq!(keys.waited_for().collect::<Vec<_>>(), [&Some("a".into())]);
        keys.note_gone(7, &message);
        assert_eq!(keys.set(7, None, None).as_deref(), Some("a"));
        assert!(keys.of.is_empty() && keys.values.is_empty() && keys.waiting.is_empty());
    }
}
