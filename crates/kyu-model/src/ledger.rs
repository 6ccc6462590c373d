//! The ledger: durable entries under keys, for effects that must happen once.
//!
//! Two kinds of entries share one store and one row of tokens:
//! - a **claim** says that somebody is doing the work of a key, and later what came of it;
//! - a **record** is a value that is replaced only by who knows its version (compare and set).
//!
//! Every change of an entry gets a token that is greater than all before, in the whole ledger: it
//! fences, because whoever holds an older one can no longer change the entry.

use bytes::Bytes;

use crate::ids::UnixMs;

/// Key of an entry within a namespace. Both at most [`crate::limits::MAX_KEY_BYTES`], the key at
/// least one byte.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LedgerKey {
    /// Tenant, as in [`crate::QueueName`].
    pub namespace: String,
    /// The user's key.
    pub key: String,
}

/// A command to the ledger. Every one may stand in an atomic group; there, a command that does not
/// succeed (a claim that is not [`Claimed::Run`], a conflict, a lost token) refuses the whole
/// group.
#[derive(Clone, Debug)]
pub enum LedgerCommand {
    /// Ask to do the work of a key. Answer: [`LedgerReply::Claimed`].
    Claim(LedgerClaim),
    /// Let a claim run for longer. Answer: [`LedgerReply::Extended`], or
    /// [`LedgerRefusal::TokenLost`].
    Extend(LedgerExtend),
    /// Save the result of the work. Answer: [`LedgerReply::Completed`], or
    /// [`LedgerRefusal::TokenLost`].
    Complete(LedgerComplete),
    /// Forget an entry of either kind. Answer: [`LedgerReply::Released`], or
    /// [`LedgerRefusal::TokenLost`].
    Release(LedgerRelease),
    /// Replace a record if it has not changed. Answer: [`LedgerReply::Put`], or
    /// [`LedgerRefusal::Conflict`].
    Put(LedgerPut),
}

/// The parameters of [`LedgerCommand::Claim`].
#[derive(Clone, Debug)]
pub struct LedgerClaim {
    /// The key.
    pub key: LedgerKey,
    /// The fingerprint of the work's input, usually a hash; at most
    /// [`crate::limits::MAX_FINGERPRINT_BYTES`].
    pub fingerprint: Bytes,
    /// The lease, in milliseconds: without completion within it, another may claim; from 1 to
    /// [`crate::limits::MAX_LEASE_MS`].
    pub lease_ms: u64,
    /// The holder's name, for people, and to recognise a claim that is repeated because its answer
    /// was lost: the holder of a running claim gets its token again and the lease anew. It should
    /// name the attempt (a delivery), not the process. Empty: nobody in particular, never
    /// recognised. At most [`crate::limits::MAX_KEY_BYTES`].
    pub holder: String,
}

/// The parameters of [`LedgerCommand::Extend`].
#[derive(Clone, Debug)]
pub struct LedgerExtend {
    /// The key.
    pub key: LedgerKey,
    /// Token of the claim.
    pub token: u64,
    /// The new lease from now, in milliseconds; from 1 to [`crate::limits::MAX_LEASE_MS`].
    pub lease_ms: u64,
}

/// The parameters of [`LedgerCommand::Complete`]. A claim whose time is over can still be completed
/// as long as nobody else has taken it, for [`LAPSED_CLAIM_KEPT_MS`]. Completing again with the
/// same token and result changes nothing and succeeds.
#[derive(Clone, Debug)]
pub struct LedgerComplete {
    /// The key.
    pub key: LedgerKey,
    /// Token of the claim.
    pub token: u64,
    /// The result that later claims are told; at most [`crate::limits::MAX_LEDGER_VALUE_BYTES`].
    pub result: Bytes,
    /// The time for which the result is remembered; at most [`crate::limits::MAX_LEDGER_KEEP_MS`].
    pub keep_ms: u64,
}

/// The parameters of [`LedgerCommand::Release`].
#[derive(Clone, Debug)]
pub struct LedgerRelease {
    /// The key.
    pub key: LedgerKey,
    /// Token of the claim or its completion, or version of the record.
    pub token: u64,
}

/// The parameters of [`LedgerCommand::Put`].
#[derive(Clone, Debug)]
pub struct LedgerPut {
    /// The key.
    pub key: LedgerKey,
    /// The version that is replaced; `None` if there must be no record.
    pub expected: Option<u64>,
    /// The new value; at most [`crate::limits::MAX_LEDGER_VALUE_BYTES`].
    pub value: Bytes,
    /// The time for which the record is remembered, at most [`crate::limits::MAX_LEDGER_KEEP_MS`];
    /// `None` for ever.
    pub keep_ms: Option<u64>,
}

/// Answer to a [`LedgerCommand`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerReply {
    /// The claim's answer: what the claimant is to do.
    Claimed(Claimed),
    /// The claim runs until a new time.
    Extended {
        /// New end of the claim.
        until_ms: UnixMs,
    },
    /// The result is saved.
    Completed {
        /// The time until which it is remembered.
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
        /// The claim's token, greater than every token before: pass it on to outside systems that
        /// fence.
        token: u64,
        /// The time from which others may take the claim over.
        until_ms: UnixMs,
    },
    /// It has been done; do nothing.
    AlreadyDone {
        /// The result of the work.
        result: Bytes,
        /// Token of its completion: releasing with it forgets the result.
        token: u64,
        /// The time until which it is remembered.
        until_ms: UnixMs,
    },
    /// Somebody is doing it.
    HeldBySomebodyElse {
        /// The holder.
        holder: String,
        /// The time at which the claim lapses, unless it is extended.
        until_ms: UnixMs,
    },
    /// The key was claimed for other input before, most likely a mistake of the claimant.
    KeyReusedWithOtherInput,
}

/// The reason why a ledger command was refused; nothing has changed.
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
        /// The prefix that the listed keys have.
        prefix: String,
        /// The key after which the list begins; `None` begins at the first.
        after: Option<String>,
        /// The most to list, up to [`crate::limits::MAX_LISTED`].
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

/// A ledger entry as doors see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The key.
    pub key: LedgerKey,
    /// Token or version.
    pub token: u64,
    /// The time at which the entry was last changed.
    pub at_ms: UnixMs,
    /// The entry's kind and state.
    pub state: LedgerState,
}

/// An entry's kind and state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerState {
    /// The work is claimed: somebody does it, or did not finish in time.
    Claimed {
        /// The fingerprint of the work's input.
        fingerprint: Bytes,
        /// The holder.
        holder: String,
        /// The time at which the claim lapses or lapsed.
        until_ms: UnixMs,
    },
    /// The work is done.
    Done {
        /// The fingerprint of the work's input.
        fingerprint: Bytes,
        /// The result of the work.
        result: Bytes,
        /// The time until which it is remembered.
        until_ms: UnixMs,
    },
    /// A record.
    Record {
        /// Its value.
        value: Bytes,
        /// The time until which it is remembered; `None` for ever.
        until_ms: Option<UnixMs>,
    },
}

/// The time for which a lapsed claim is remembered, so that it can still be completed, in
/// milliseconds.
pub const LAPSED_CLAIM_KEPT_MS: u64 = 3_600_000;

impl LedgerEntry {
    /// Returns the time at which the entry expires; `None` if it never does.
    pub fn due_ms(&self) -> Option<UnixMs> {
        match &self.state {
            LedgerState::Claimed { until_ms, .. } => {
                Some(until_ms.saturating_add(LAPSED_CLAIM_KEPT_MS))
            }
            LedgerState::Done { until_ms, .. } => Some(*until_ms),
            LedgerState::Record { until_ms, .. } => *until_ms,
        }
    }

    /// The bytes of keys and values that it takes.
    pub fn bytes(&self) -> u64 {
        let of_state = match &self.state {
            LedgerState::Claimed { fingerprint, holder, .. } => fingerprint.len() + holder.len(),
            LedgerState::Done { fingerprint, result, .. } => fingerprint.len() + result.len(),
            LedgerState::Record { value, .. } => value.len(),
        };
        (self.key.namespace.len() + self.key.key.len() + of_state) as u64
    }

    /// The entry without its result or value.
    #[must_use]
    pub fn without_value(&self) -> Self {
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
