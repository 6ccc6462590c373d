//! Unique keys of a queue: while one is held, no second message with it comes in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kyu_machine::Replace;
use kyu_model::wire::{Malformed, Reader, Write};
use kyu_model::{MessageId, QueueId, Seq, UnixMs};

use crate::machines::MessageNumber;

/// The message that holds a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) message_id: MessageId,
    pub(crate) seq: Seq,
    /// True if the holder counts as long as it is in the queue.
    pub(crate) until_done: bool,
    /// True if the holder is in the queue.
    pub(crate) there: bool,
    /// The time until which the holder counts.
    pub(crate) until_ms: Option<UnixMs>,
}

impl Holder {
    pub(crate) fn holds(&self, now_ms: UnixMs) -> bool {
        self.holds_by_being_there() || self.until_ms.is_some_and(|until_ms| until_ms > now_ms)
    }

    pub(crate) fn holds_by_being_there(&self) -> bool {
        self.there && self.until_done
    }
}

/// A message that came in before in the same record holds a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UniqueTaken {
    pub(crate) queue: QueueId,
    pub(crate) seq: Seq,
    pub(crate) message_id: u128,
    pub(crate) key: String,
    pub(crate) until_done: bool,
    pub(crate) until_ms: Option<UnixMs>,
}

impl UniqueTaken {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.u8(MessageNumber::UniqueTaken.into());
        out.varint(u64::from(self.queue.0));
        out.varint(self.seq);
        out.u128(self.message_id);
        out.str(&self.key);
        out.u8(u8::from(self.until_done));
        out.opt_varint(self.until_ms);
    }

    pub(crate) fn decode(r: &mut Reader) -> Result<Self, Malformed> {
        Ok(Self {
            queue: QueueId(r.varint32()?),
            seq: r.varint()?,
            message_id: r.u128()?,
            key: r.string()?,
            until_done: r.bool()?,
            until_ms: r.opt_varint()?,
        })
    }
}

/// A holder in a snapshot.
pub(crate) fn encode_holder(key: &str, holder: &Holder, out: &mut Vec<u8>) {
    out.str(key);
    out.u128(holder.message_id.0);
    out.varint(holder.seq);
    out.u8(u8::from(holder.until_done));
    out.u8(u8::from(holder.there));
    out.opt_varint(holder.until_ms);
}

pub(crate) fn decode_holder(r: &mut Reader) -> Result<(String, Holder), Malformed> {
    let key = r.string()?;
    let holder = Holder {
        message_id: MessageId(r.u128()?),
        seq: r.varint()?,
        until_done: r.bool()?,
        there: r.bool()?,
        until_ms: r.opt_varint()?,
    };
    Ok((key, holder))
}

const SHARDS: usize = 64;

/// Holders by key, sharded so that a snapshot copies pointers.
pub(crate) type UniqueShards = Vec<Arc<BTreeMap<Arc<str>, Holder>>>;

/// The unique keys of a queue: about 250 bytes and the key for each (`examples/key_memory.rs`).
#[derive(Clone, Default)]
pub(crate) struct UniqueKeys {
    /// The holders by shard; empty while no key was ever held.
    shards: UniqueShards,
    // What follows is derived, and not in snapshots.
    by_seq: BTreeMap<Seq, Arc<str>>,
    expiry: BTreeSet<(UnixMs, Arc<str>)>,
}

impl Replace for UniqueKeys {
    type Key = str;
    type Entry = Holder;

    fn replace(&mut self, key: &str, new: Option<Holder>) -> Option<Holder> {
        if self.shards.is_empty() {
            self.shards.resize_with(SHARDS, Arc::default);
        }
        let shard = Arc::make_mut(self.shards.get_mut(Self::shard_of(key))?);
        let shared: Arc<str> = key.into();
        let old = match new {
            Some(holder) => shard.insert(shared.clone(), holder),
            None => shard.remove(key),
        };
        if let Some(old) = old {
            if self.by_seq.get(&old.seq).is_some_and(|of| **of == *key) {
                self.by_seq.remove(&old.seq);
            }
            if let Some(until_ms) = old.until_ms {
                self.expiry.remove(&(until_ms, shared.clone()));
            }
        }
        if let Some(new) = new {
            if new.there {
                self.by_seq.insert(new.seq, shared.clone());
            }
            if let Some(until_ms) = new.until_ms {
                self.expiry.insert((until_ms, shared));
            }
        }
        old
    }
}

impl UniqueKeys {
    fn shard_of(key: &str) -> usize {
        crc32c::crc32c(key.as_bytes()) as usize % SHARDS
    }

    pub(crate) fn get(&self, key: &str) -> Option<Holder> {
        self.shards.get(Self::shard_of(key))?.get(key).copied()
    }

    /// The key that a message in the queue holds.
    pub(crate) fn key_of(&self, seq: Seq) -> Option<Arc<str>> {
        self.by_seq.get(&seq).cloned()
    }

    /// Returns true if any message in the queue holds a key.
    pub(crate) fn has_holders(&self) -> bool {
        !self.by_seq.is_empty()
    }

    /// Returns the keys that are free by now because their time is over.
    pub(crate) fn expired(&self, now_ms: UnixMs) -> Vec<(Arc<str>, Holder)> {
        let due = self.expiry.iter().take_while(|(until_ms, _)| *until_ms <= now_ms);
        due.filter_map(|(_, key)| Some((key.clone(), self.get(key)?))).collect()
    }

    pub(crate) fn first_expiry(&self) -> Option<UnixMs> {
        self.expiry.first().map(|(until_ms, _)| *until_ms)
    }

    /// The holders, for a snapshot.
    pub(crate) fn freeze(&self) -> UniqueShards {
        self.shards.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Effects;
    use crate::queue::message_record::MessageFact;

    fn holder(seq: Seq, until_ms: Option<UnixMs>) -> Holder {
        Holder { message_id: MessageId(1), seq, until_done: true, there: true, until_ms }
    }

    /// These bytes are on disks: this test may get new rows, never changed ones.
    #[test]
    fn golden_bytes() {
        let taken = UniqueTaken {
            queue: QueueId(300),
            seq: 7,
            message_id: 2,
            key: "k".into(),
            until_done: true,
            until_ms: Some(5),
        };
        let mut effects = Effects::default();
        effects.push(MessageFact::UniqueTaken(Box::new(taken)));
        let hex: String = effects.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "30ac020702000000000000000000000000000000016b010105");
        assert_eq!(Effects::decode(effects.bytes()).unwrap().list, effects.list);
        for end in 1..effects.bytes().len() {
            assert!(Effects::decode(&effects.bytes()[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn indexes_follow_the_holders() {
        let mut keys = UniqueKeys::default();
        assert_eq!(keys.key_of(1), None);
        keys.replace("a", Some(holder(1, Some(10))));
        keys.replace("a", Some(holder(2, Some(20))));
        assert_eq!(keys.key_of(1), None, "replaced");
        assert_eq!(keys.key_of(2).as_deref(), Some("a"));
        assert_eq!(keys.first_expiry(), Some(20));
        assert_eq!(keys.expired(19), []);
        assert_eq!(keys.expired(20).len(), 1);
        let old = keys.replace("a", None).unwrap();
        assert_eq!((keys.get("a"), keys.key_of(2), keys.first_expiry()), (None, None, None));
        keys.replace("a", Some(old));
        assert_eq!(keys.key_of(2).as_deref(), Some("a"));
    }
}
