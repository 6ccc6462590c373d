//! Atomic groups.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    CompleteClaim, ExtendItem, ExtendResult, NewClaim, NewMessage, NewPublication, Published,
    PutRecord, Sent, SettleItem, SettleResult,
};

/// Commands that happen together or not at all, 1 to 1000; later ones see what earlier ones did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Atomic {
    /// The commands, in order.
    pub commands: Vec<AtomicCommand>,
}

/// One command of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum AtomicCommand {
    /// Send messages to a queue.
    Send {
        /// The queue.
        queue: String,
        /// The messages.
        messages: Vec<NewMessage>,
    },
    /// Publish messages to an exchange.
    Publish {
        /// The exchange.
        exchange: String,
        /// The messages.
        messages: Vec<NewPublication>,
    },
    /// Settle deliveries of a queue.
    Settle {
        /// The queue.
        queue: String,
        /// The deliveries.
        items: Vec<SettleItem>,
    },
    /// Extend leases of a queue.
    Extend {
        /// The queue.
        queue: String,
        /// The leases.
        items: Vec<ExtendItem>,
    },
    /// Ask to do the work of a key; anything but `run` refuses the group.
    Claim {
        /// The key.
        key: String,
        /// The claim.
        claim: NewClaim,
    },
    /// Save what came of the work of a key.
    CompleteClaim {
        /// The key.
        key: String,
        /// The completion.
        complete: CompleteClaim,
    },
    /// Forget an entry of the ledger.
    ReleaseEntry {
        /// The key.
        key: String,
        /// Its token.
        token: u64,
    },
    /// Set a record of the ledger.
    PutRecord {
        /// The key.
        key: String,
        /// The record.
        record: PutRecord,
    },
}

/// The outcome of one command of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum AtomicResult {
    /// The messages.
    Send {
        /// One for each message.
        results: Vec<Sent>,
    },
    /// The publications.
    Publish {
        /// One for each message.
        results: Vec<Published>,
    },
    /// The deliveries.
    Settle {
        /// One for each item, all done.
        results: Vec<SettleResult>,
    },
    /// The leases.
    Extend {
        /// One for each item, all done.
        results: Vec<ExtendResult>,
    },
    /// The claim.
    Claim {
        /// Token of the claim.
        token: u64,
        /// The time from which others may take it over.
        expires_at_ms: u64,
    },
    /// The completion.
    CompleteClaim {
        /// Until when the result is remembered.
        expires_at_ms: u64,
    },
    /// The entry is forgotten.
    ReleaseEntry,
    /// The record.
    PutRecord {
        /// Its version.
        version: u64,
    },
}

/// One result for each command, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AtomicResults {
    /// The results.
    pub results: Vec<AtomicResult>,
}
