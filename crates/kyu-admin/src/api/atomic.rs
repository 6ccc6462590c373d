//! Atomic groups.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ExtendItem, ExtendResult, NewMessage, NewPublication, Published, Sent, SettleItem, SettleResult,
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
}

/// What one command of a group did.
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
}

/// One result for each command, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AtomicResults {
    /// The results.
    pub results: Vec<AtomicResult>,
}
