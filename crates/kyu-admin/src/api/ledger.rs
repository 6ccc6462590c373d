//! The ledger: durable entries under keys, for effects that must happen once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Asks to do the work of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewClaim {
    /// The input of the work, usually a hash of it; at most 64 bytes.
    #[serde(default)]
    pub fingerprint: String,
    /// After this time without completion another may claim; to 12 hours.
    #[schemars(range(min = 1, max = 43_200_000))]
    pub lease_ms: u64,
    /// The name of whoever asks: the same holder, asking again, gets its claim again. It should
    /// name the attempt, not the process.
    #[serde(default)]
    pub holder: String,
}

/// The answer to a claim: what the one who claims is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Claimed {
    /// Do the work, and complete or release it under this token.
    Run {
        /// Greater than every token before.
        token: u64,
        /// The time from which others may take it over.
        expires_at_ms: u64,
    },
    /// It has been done; do nothing.
    AlreadyDone {
        /// The result, if that is UTF-8.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<String>,
        /// The result in base64, if it is not UTF-8.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result_base64: Option<String>,
        /// Releasing with it forgets the result.
        token: u64,
        /// Until when it is remembered.
        expires_at_ms: u64,
    },
    /// Somebody is doing it.
    Held {
        /// The holder.
        holder: String,
        /// The time at which the claim lapses, unless it is extended.
        expires_at_ms: u64,
    },
    /// The key stands for other input: most likely a mistake of the one who claims.
    KeyReused,
}

/// Lets a claim run for longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtendClaim {
    /// Token of the claim.
    pub token: u64,
    /// From now, to 12 hours.
    #[schemars(range(min = 1, max = 43_200_000))]
    pub lease_ms: u64,
}

/// Saves what came of the work; at most one of `result` and `result_base64`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompleteClaim {
    /// Token of the claim.
    pub token: u64,
    /// The result that later claims are told, as text; at most 64 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// The same in base64 (RFC 4648 section 4, with padding).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_base64: Option<String>,
    /// The time for which it is remembered, to 366 days.
    #[schemars(range(max = 31_622_400_000_u64))]
    pub keep_ms: u64,
}

/// Forgets an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseEntry {
    /// Token of the claim or its completion, or version of the record.
    pub token: u64,
}

/// Replaces a record if it has not changed; one of `value` and `value_base64`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PutRecord {
    /// The version that is replaced; `null`: there must be no record.
    pub expected_version: Option<u64>,
    /// The value as text; at most 64 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The value in base64 (RFC 4648 section 4, with padding).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_base64: Option<String>,
    /// The time for which it is remembered, to 366 days; `null`: for ever.
    #[schemars(range(max = 31_622_400_000_u64))]
    pub keep_ms: Option<u64>,
}

/// Until when an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntryExpiry {
    /// The time.
    pub expires_at_ms: u64,
}

/// A record has its new value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordVersion {
    /// Greater than every version and token before.
    pub version: u64,
}

/// The state of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryState {
    /// Somebody does it, or did not finish in time.
    Claimed,
    /// It is done.
    Done,
    /// A record.
    Record,
}

/// An entry of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LedgerEntry {
    /// Its key.
    pub key: String,
    /// Its state.
    pub state: EntryState,
    /// Token of the claim or completion, or version of the record.
    pub token: u64,
    /// The time of its last change.
    pub changed_at_ms: u64,
    /// The time at which the claim lapses, or the entry is forgotten; `null`: never.
    pub expires_at_ms: Option<u64>,
    /// The holder that claimed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// The fingerprint of the input of the work; in base64 unless it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Result or value, if it is UTF-8. Lists leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Result or value in base64, if it is not UTF-8. Lists leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_base64: Option<String>,
}

/// The entries to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListEntries {
    /// The namespace; the server's own if left out.
    pub namespace: Option<String>,
    /// Only keys that begin so.
    pub prefix: Option<String>,
    /// Most items of the answer, from 1 to 1000; 100 if left out.
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Some of the entries, in order of key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LedgerPage {
    /// The entries, without values.
    pub items: Vec<LedgerEntry>,
    /// The beginning of the next page; `null` on the last.
    pub next_cursor: Option<String>,
}
