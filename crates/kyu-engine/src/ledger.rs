//! The ledger: durable entries under keys, for effects that must happen once.
//!
//! Two kinds of entries share one store and one row of tokens:
//! - a **claim** says that somebody is doing the work of a key, and later what came of it;
//! - a **record** is a value that is replaced only by who knows its version (compare and set).
//!
//! Every change of an entry gets a token that is greater than all before, in the whole ledger: it
//! fences, because whoever holds an older one can no longer change the entry.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;

use kyu_machine::Replace;

use crate::ids::UnixMs;
use crate::limits::{MAX_LISTED, MAX_TICK_MESSAGES};

/// Key of an entry within a namespace. Both at most [`crate::limits::MAX_KEY_BYTES`], the key at
/// least one byte.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LedgerKey {
    /// Tenant, as in [`crate::QueueName`].
    pub namespace: String,
    /// The user's key.
    pub key: String,
}

/// What is asked of the ledger. All of it may stand in an atomic group; there, whatever does not
/// succeed (a claim that is not [`Claimed::Run`], a conflict, a lost token) refuses the whole group.
#[derive(Clone, Debug)]
pub enum LedgerCommand {
    /// Ask to do the work of a key. Answer: [`LedgerReply::Claimed`].
    Claim(LedgerClaim),
    /// Let a claim run for longer. Answer: [`LedgerReply::Extended`], or
    /// [`LedgerRefusal::TokenLost`].
    Extend(LedgerExtend),
    /// Save what came of the work. Answer: [`LedgerReply::Completed`], or
    /// [`LedgerRefusal::TokenLost`].
    Complete(LedgerComplete),
    /// Forget an entry of either kind. Answer: [`LedgerReply::Released`], or
    /// [`LedgerRefusal::TokenLost`].
    Release(LedgerRelease),
    /// Replace a record if it has not changed. Answer: [`LedgerReply::Put`], or
    /// [`LedgerRefusal::Conflict`].
    Put(LedgerPut),
}

/// See [`LedgerCommand::Claim`].
#[derive(Clone, Debug)]
pub struct LedgerClaim {
    /// The key.
    pub key: LedgerKey,
    /// What the work is done on, usually a hash of the input; at most
    /// [`crate::limits::MAX_FINGERPRINT_BYTES`].
    pub fingerprint: Bytes,
    /// After this time without completion another may claim; from 1 to
    /// [`crate::limits::MAX_LEASE_MS`].
    pub lease_ms: u64,
    /// Who asks, for people, and to recognise a claim that is repeated because its answer was lost:
    /// the holder of a running claim gets its token again and the lease anew. It should name the
    /// attempt (a delivery), not the process. Empty: nobody in particular, never recognised. At
    /// most [`crate::limits::MAX_KEY_BYTES`].
    pub holder: String,
}

/// See [`LedgerCommand::Extend`].
#[derive(Clone, Debug)]
pub struct LedgerExtend {
    /// The key.
    pub key: LedgerKey,
    /// Token of the claim.
    pub token: u64,
    /// From now; from 1 to [`crate::limits::MAX_LEASE_MS`].
    pub lease_ms: u64,
}

/// See [`LedgerCommand::Complete`]. A claim whose time is over can still be completed as long as
/// nobody else has taken it, for [`LAPSED_CLAIM_KEPT_MS`]. Completing again with the same token and
/// result changes nothing and succeeds.
#[derive(Clone, Debug)]
pub struct LedgerComplete {
    /// The key.
    pub key: LedgerKey,
    /// Token of the claim.
    pub token: u64,
    /// What later claims are told; at most [`crate::limits::MAX_LEDGER_VALUE_BYTES`].
    pub result: Bytes,
    /// How long it is remembered; at most [`crate::limits::MAX_LEDGER_KEEP_MS`].
    pub keep_ms: u64,
}

/// See [`LedgerCommand::Release`].
#[derive(Clone, Debug)]
pub struct LedgerRelease {
    /// The key.
    pub key: LedgerKey,
    /// Token of the claim or its completion, or version of the record.
    pub token: u64,
}

/// See [`LedgerCommand::Put`].
#[derive(Clone, Debug)]
pub struct LedgerPut {
    /// The key.
    pub key: LedgerKey,
    /// The version that is replaced; `None`: there must be no record.
    pub expected: Option<u64>,
    /// The new value; at most [`crate::limits::MAX_LEDGER_VALUE_BYTES`].
    pub value: Bytes,
    /// How long it is remembered, at most [`crate::limits::MAX_LEDGER_KEEP_MS`]; `None`: for ever.
    pub keep_ms: Option<u64>,
}

/// Answer to a [`LedgerCommand`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerReply {
    /// What the one who claims is to do.
    Claimed(Claimed),
    /// The claim runs until then.
    Extended {
        /// New end of the claim.
        until_ms: UnixMs,
    },
    /// The result is saved.
    Completed {
        /// Until when it is remembered.
        until_ms: UnixMs,
    },
    /// The entry is forgotten.
    Released,
    /// The record has its new value.
    Put {
        /// Its new version, greater than every version and token before.
        version: u64,
    },
}

/// Answer to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// Do the work, and complete or release it under this token.
    Run {
        /// Greater than every token before: pass it to what is fenced outside, too.
        token: u64,
        /// When others may take it over.
        until_ms: UnixMs,
    },
    /// It has been done; do nothing.
    AlreadyDone {
        /// What came of it.
        result: Bytes,
        /// Token of its completion: releasing with it forgets the result.
        token: u64,
        /// Until when it is remembered.
        until_ms: UnixMs,
    },
    /// Somebody is doing it.
    HeldBySomebodyElse {
        /// Who.
        holder: String,
        /// When the claim lapses, unless it is extended.
        until_ms: UnixMs,
    },
    /// The key stands for other input: most likely a mistake of the one who claims.
    KeyReusedWithOtherInput,
}

/// Why a ledger command was refused; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerRefusal {
    /// The token is not the entry's (another has taken the claim, or it is completed), or there is
    /// no entry (any more).
    TokenLost,
    /// The record has another version.
    Conflict {
        /// Its version; `None`: there is no record.
        version: Option<u64>,
    },
    /// The key holds an entry of the other kind.
    OtherKind,
    /// Key, fingerprint, holder, value or time is out of bounds.
    Malformed(&'static str),
}

/// A question about the ledger.
#[derive(Clone, Debug)]
pub enum LedgerQuery {
    /// One entry, with its value. Answer: [`LedgerAnswer::Entry`].
    Get(LedgerKey),
    /// Entries in order of key, without values. Answer: [`LedgerAnswer::Entries`].
    List {
        /// The namespace.
        namespace: String,
        /// Only keys that begin so.
        prefix: String,
        /// Only keys greater than this.
        after: Option<String>,
        /// At most this many, to [`crate::limits::MAX_LISTED`].
        max: usize,
    },
    /// Counts. Answer: [`LedgerAnswer::Stats`].
    Stats,
}

/// Answer to a [`LedgerQuery`]. An entry whose time is over may be shown until a tick removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerAnswer {
    /// The entry, if there is one.
    Entry(Option<LedgerEntry>),
    /// Entries by key; values are left out (empty).
    Entries(Vec<LedgerEntry>),
    /// Counts of the whole ledger.
    Stats(LedgerStats),
}

/// Size of the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerStats {
    /// Entries.
    pub entries: u64,
    /// Bytes of their keys, fingerprints, holders and values.
    pub bytes: u64,
}

/// An entry as those outside see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The key.
    pub key: LedgerKey,
    /// Token or version.
    pub token: u64,
    /// When it was last changed.
    pub at_ms: UnixMs,
    /// What it is.
    pub state: LedgerState,
}

/// Kind and standing of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerState {
    /// Somebody does it, or did not finish in time.
    Claimed {
        /// What on.
        fingerprint: Bytes,
        /// Who.
        holder: String,
        /// When the claim lapses or lapsed.
        until_ms: UnixMs,
    },
    /// It is done.
    Done {
        /// What on.
        fingerprint: Bytes,
        /// What came of it.
        result: Bytes,
        /// Until when it is remembered.
        until_ms: UnixMs,
    },
    /// A record.
    Record {
        /// Its value.
        value: Bytes,
        /// Until when it is remembered; `None`: for ever.
        until_ms: Option<UnixMs>,
    },
}

/// How long a lapsed claim is remembered, so that it can still be completed.
pub const LAPSED_CLAIM_KEPT_MS: u64 = 3_600_000;

impl LedgerEntry {
    /// When time removes it.
    pub(crate) fn due_ms(&self) -> Option<UnixMs> {
        match &self.state {
            LedgerState::Claimed { until_ms, .. } => {
                Some(until_ms.saturating_add(LAPSED_CLAIM_KEPT_MS))
            }
            LedgerState::Done { until_ms, .. } => Some(*until_ms),
            LedgerState::Record { until_ms, .. } => *until_ms,
        }
    }

    fn bytes(&self) -> u64 {
        let of_state = match &self.state {
            LedgerState::Claimed { fingerprint, holder, .. } => fingerprint.len() + holder.len(),
            LedgerState::Done { fingerprint, result, .. } => fingerprint.len() + result.len(),
            LedgerState::Record { value, .. } => value.len(),
        };
        (self.key.namespace.len() + self.key.key.len() + of_state) as u64
    }

    fn without_value(&self) -> Self {
        let mut entry = self.clone();
        match &mut entry.state {
            LedgerState::Done { result: value, .. } | LedgerState::Record { value, .. } => {
                *value = Bytes::new();
            }
            LedgerState::Claimed { .. } => {}
        }
        entry
    }
}

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
    /// What a snapshot keeps.
    pub(crate) fn freeze(&self) -> LedgerEntries {
        self.entries.clone()
    }

    /// When the first entry is forgotten.
    pub(crate) fn first_due_ms(&self) -> Option<UnixMs> {
        self.due.first().map(|(due_ms, _)| *due_ms)
    }

    /// Keys whose time is over, a tick's worth at most.
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
    // Derived.
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

    /// Every entry, in an order that depends only on the contents.
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
