//! The ledger's entries in the state.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;

use kyu_machine::Replace;
use kyu_model::limits::{MAX_LISTED, MAX_TICK_MESSAGES};
use kyu_model::{LedgerEntry, LedgerKey, LedgerStats, UnixMs};

/// An entry in order of its key.
#[derive(Clone)]
pub(crate) struct ByKey(Arc<LedgerEntry>);

impl Borrow<LedgerKey> for ByKey {
    fn borrow(&self) -> &LedgerKey {
        &self.0.key
    }
}

impl Ord for ByKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.key.cmp(&other.0.key)
    }
}

impl PartialOrd for ByKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for ByKey {}

type Entries = BTreeSet<ByKey>;

const SHARDS: usize = 64;

/// The entries, and when they are forgotten.
#[derive(Default)]
pub(crate) struct Ledger {
    entries: LedgerEntries,
    due: BTreeSet<(UnixMs, ByKey)>,
}

impl Deref for Ledger {
    type Target = LedgerEntries;

    fn deref(&self) -> &LedgerEntries {
        &self.entries
    }
}

impl Replace for Ledger {
    type Key = LedgerKey;
    type Entry = Arc<LedgerEntry>;

    fn replace(&mut self, key: &LedgerKey, new: Option<Self::Entry>) -> Option<Self::Entry> {
        let old = self.entries.replace(key, new.clone());
        let place = |entry: Arc<LedgerEntry>| Some((entry.due_ms()?, ByKey(entry)));
        if let Some(old) = old.clone().and_then(place) {
            self.due.remove(&old);
        }
        if let Some(new) = new.and_then(place) {
            self.due.insert(new);
        }
        old
    }
}

impl Ledger {
    /// Returns the entries for a snapshot.
    pub(crate) fn freeze(&self) -> LedgerEntries {
        self.entries.clone()
    }

    /// Returns the time at which the first entry is forgotten.
    pub(crate) fn first_due_ms(&self) -> Option<UnixMs> {
        self.due.first().map(|(due_ms, _)| *due_ms)
    }

    /// Returns keys whose time is over, at most as many as one tick handles.
    pub(crate) fn due(&self, now_ms: UnixMs) -> Vec<LedgerKey> {
        let due = self.due.iter().take_while(|(due_ms, _)| *due_ms <= now_ms);
        due.take(MAX_TICK_MESSAGES).map(|(_, ByKey(entry))| entry.key.clone()).collect()
    }
}

/// All entries. Sharded so that a snapshot copies pointers, and the first change after it copies
/// only one shard.
#[derive(Clone)]
pub(crate) struct LedgerEntries {
    shards: Vec<Arc<Entries>>,
    // What follows is derived, and not in snapshots.
    stats: LedgerStats,
}

impl Default for LedgerEntries {
    fn default() -> Self {
        Self { shards: vec![Arc::default(); SHARDS], stats: LedgerStats::default() }
    }
}

impl LedgerEntries {
    fn shard_of(key: &LedgerKey) -> usize {
        let crc =
            crc32c::crc32c_append(crc32c::crc32c(key.namespace.as_bytes()), key.key.as_bytes());
        crc as usize % SHARDS
    }

    pub(crate) fn get(&self, key: &LedgerKey) -> Option<&Arc<LedgerEntry>> {
        self.shards.get(Self::shard_of(key))?.get(key).map(|ByKey(entry)| entry)
    }

    /// The entry, unless its time is over.
    pub(crate) fn live(&self, key: &LedgerKey, now_ms: UnixMs) -> Option<&LedgerEntry> {
        let entry = self.get(key)?;
        entry.due_ms().is_none_or(|due_ms| due_ms > now_ms).then_some(entry)
    }

    fn replace(
        &mut self,
        key: &LedgerKey,
        new: Option<Arc<LedgerEntry>>,
    ) -> Option<Arc<LedgerEntry>> {
        let shard = Arc::make_mut(self.shards.get_mut(Self::shard_of(key))?);
        let added = new.as_ref().map_or(0, |entry| entry.bytes());
        self.stats.entries += u64::from(new.is_some());
        let old = match new {
            Some(entry) => shard.replace(ByKey(entry)),
            None => shard.take(key),
        };
        let old = old.map(|ByKey(entry)| entry);
        self.stats.entries -= u64::from(old.is_some());
        self.stats.bytes += added;
        self.stats.bytes -= old.as_ref().map_or(0, |entry| entry.bytes());
        old
    }

    pub(crate) fn stats(&self) -> LedgerStats {
        self.stats
    }

    /// Returns every entry, in an order that depends only on the contents.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &LedgerEntry> {
        self.shards.iter().flat_map(|shard| shard.iter().map(|ByKey(entry)| entry.as_ref()))
    }

    pub(crate) fn list(
        &self,
        namespace: &str,
        prefix: &str,
        after: Option<&str>,
        max: usize,
    ) -> Vec<LedgerEntry> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let max = max.min(MAX_LISTED);
        let key = |key: &str| LedgerKey { namespace: namespace.to_owned(), key: key.to_owned() };
        let from = match after {
            Some(after) if after >= prefix => Excluded(key(after)),
            _ => Included(key(prefix)),
        };
        let mut found: Vec<&Arc<LedgerEntry>> = Vec::new();
        for shard in &self.shards {
            let range = shard.range::<LedgerKey, _>((from.clone(), Unbounded));
            let matching = range.map(|ByKey(entry)| entry).take_while(|entry| {
                entry.key.namespace == namespace && entry.key.key.starts_with(prefix)
            });
            found.extend(matching.take(max));
        }
        found.sort_by(|a, b| a.key.cmp(&b.key));
        found.into_iter().take(max).map(|entry| entry.without_value()).collect()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kyu_model::LedgerState;

    use super::*;

    fn entry(key: &str, until_ms: UnixMs) -> Arc<LedgerEntry> {
        Arc::new(LedgerEntry {
            key: LedgerKey { namespace: "n".into(), key: key.into() },
            token: 1,
            at_ms: 1,
            state: LedgerState::Record {
                value: Bytes::from_static(b"value"),
                until_ms: Some(until_ms),
            },
        })
    }

    #[test]
    fn entries_are_listed_in_order_of_key_across_shards() {
        let mut ledger = Ledger::default();
        for i in 0..300 {
            let entry = entry(&format!("job-{i:03}"), 9);
            ledger.replace(&entry.key.clone(), Some(entry));
        }
        let other = entry("other", 9);
        ledger.replace(&other.key.clone(), Some(other));
        let page = ledger.list("n", "job-", Some("job-009"), 5);
        let keys: Vec<&str> = page.iter().map(|e| e.key.key.as_str()).collect();
        assert_eq!(keys, ["job-010", "job-011", "job-012", "job-013", "job-014"]);
        assert_eq!(ledger.list("n", "job-", None, 1_000).len(), 300);
        assert_eq!(ledger.list("m", "", None, 1_000).len(), 0);
        assert_eq!(ledger.stats().entries, 301);
        assert_eq!(ledger.stats().bytes, 300 * 13 + 11);
    }
}
