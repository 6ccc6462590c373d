//! The memory of a queue's recent deduplication ids.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use kyu_machine::Replace;
use kyu_model::{MessageId, Seq, UnixMs};

/// The message that an id stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Original {
    pub(crate) message_id: MessageId,
    pub(crate) seq: Seq,
    pub(crate) until_ms: UnixMs,
}

const SHARDS: usize = 64;

#[derive(Clone, Default)]
struct Shard {
    by_key: BTreeMap<Arc<str>, Original>,
    /// Keys by rising expiry, one entry for every insertion.
    expiry: VecDeque<(UnixMs, Arc<str>)>,
}

/// Deduplication ids of a queue. Sharded so that a snapshot copies pointers, and the first change
/// after it copies only one shard.
#[derive(Clone, Default)]
pub(crate) struct Dedup {
    shards: Vec<Arc<Shard>>,
}

impl Dedup {
    /// The key of an id in a lane; the lane only counts when it is the scope.
    pub(crate) fn key(lane: Option<&str>, id: &str) -> String {
        match lane {
            None => id.to_owned(),
            Some(lane) => format!("{}:{lane}{id}", lane.len()),
        }
    }

    fn shard_of(key: &str) -> usize {
        crc32c::crc32c(key.as_bytes()) as usize % SHARDS
    }

    fn shard_mut(&mut self, key: &str) -> Option<&mut Shard> {
        if self.shards.is_empty() {
            self.shards.resize_with(SHARDS, Arc::default);
        }
        self.shards.get_mut(Self::shard_of(key)).map(Arc::make_mut)
    }

    /// The original of a key, if it is still remembered at `now_ms`.
    pub(crate) fn get(&self, key: &str, now_ms: UnixMs) -> Option<Original> {
        let shard = self.shards.get(Self::shard_of(key))?;
        shard.by_key.get(key).copied().filter(|original| original.until_ms > now_ms)
    }

    /// Forgets what has expired.
    pub(crate) fn sweep(&mut self, now_ms: UnixMs) {
        for shard in &mut self.shards {
            if shard.expiry.front().is_none_or(|(until, _)| *until > now_ms) {
                continue;
            }
            let shard = Arc::make_mut(shard);
            while let Some((until, key)) = shard.expiry.pop_front_if(|(until, _)| *until <= now_ms)
            {
                if shard.by_key.get(&key).is_some_and(|original| original.until_ms <= until) {
                    shard.by_key.remove(&key);
                }
            }
        }
    }

    /// Returns the time at which the first key expires.
    pub(crate) fn first_expiry(&self) -> Option<UnixMs> {
        self.shards.iter().filter_map(|s| s.expiry.front().map(|(until, _)| *until)).min()
    }

    /// Returns every key that is remembered, in an order that depends only on the contents.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Original)> {
        self.shards.iter().flat_map(|s| s.by_key.iter().map(|(key, o)| (&**key, *o)))
    }

    /// Puts back what [`Dedup::iter`] gave, in any order.
    pub(crate) fn restore(entries: Vec<(String, Original)>) -> Self {
        let mut entries = entries;
        entries.sort_by_key(|(_, original)| original.until_ms);
        let mut dedup = Self::default();
        for (key, original) in entries {
            dedup.replace(&key, Some(original));
        }
        dedup
    }
}

impl Replace for Dedup {
    type Key = str;
    type Entry = Original;

    /// Remembers a key, or forgets it (only a roll-back does).
    fn replace(&mut self, key: &str, new: Option<Original>) -> Option<Original> {
        let shard = self.shard_mut(key)?;
        match new {
            None => shard.by_key.remove(key),
            Some(original) => {
                let key: Arc<str> = key.into();
                shard.expiry.push_back((original.until_ms, key.clone()));
                shard.by_key.insert(key, original)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn original(seq: Seq, until_ms: UnixMs) -> Original {
        Original { message_id: MessageId(u128::from(seq)), seq, until_ms }
    }

    #[test]
    fn a_key_is_remembered_until_its_time_and_a_renewed_one_longer() {
        let mut dedup = Dedup::default();
        dedup.replace("k", Some(original(1, 100)));
        assert_eq!(dedup.get("k", 99), Some(original(1, 100)));
        assert_eq!(dedup.get("k", 100), None);
        dedup.replace("k", Some(original(2, 200)));
        dedup.sweep(150);
        assert_eq!(dedup.get("k", 150), Some(original(2, 200)));
        dedup.sweep(200);
        assert_eq!(dedup.iter().count(), 0);
    }

    #[test]
    fn lane_and_id_do_not_run_into_each_other() {
        assert_ne!(Dedup::key(Some("a"), "bc"), Dedup::key(Some("ab"), "c"));
    }
}
