//! Exchanges (topics), their bindings, and publications.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AttributeValue, DedupScope, ItemError, QueueKind};

/// An exchange's settings. Left out is the default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExchangeSettings {
    /// `fifo`: every publication needs a lane and a deduplication id. Cannot change.
    pub kind: QueueKind,
    /// FIFO: the body's SHA-256 is the deduplication id where the publisher gives none.
    pub content_based_deduplication: bool,
    /// The scope within which deduplication ids are unique.
    pub dedup_scope: DedupScope,
    /// Largest publication: body and attributes.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub max_message_bytes: u32,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

impl Default for ExchangeSettings {
    fn default() -> Self {
        crate::exchange_settings::of(&kyu_broker::ExchangeConfig::default())
    }
}

/// An exchange: one publish goes to every queue whose binding wants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exchange {
    /// Name, unique among the namespace's exchanges.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Never given to another exchange.
    pub id: u32,
    /// Rises by one with every change of the settings.
    pub version: u64,
    /// For `If-Match`: id and version.
    pub etag: String,
    /// The time of its creation.
    pub created_at_ms: u64,
    /// Settings.
    pub settings: ExchangeSettings,
}

/// Some of the exchanges, in order of name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExchangePage {
    /// The exchanges.
    pub items: Vec<Exchange>,
    /// The beginning of the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

/// A binding to create.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBinding {
    /// The queue that receives; it may come into being later.
    pub queue: String,
    /// SQS clients get the bare body; otherwise the envelope of SNS around it. `true` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bare: Option<bool>,
    /// The queue to which publications go while the queue does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter: Option<String>,
}

/// A queue's wish for what is published to an exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Binding {
    /// UUID.
    pub id: String,
    /// The exchange.
    pub exchange: String,
    /// The queue that receives.
    pub queue: String,
    /// The way to the subscriber, in the words of the door that made the binding.
    pub protocol: String,
    /// The subscriber's address, in the words of that door.
    pub address: String,
    /// The body is delivered bare.
    pub bare: bool,
    /// It receives.
    pub active: bool,
    /// It wants only some publications.
    pub filtered: bool,
    /// The queue to which publications go while the queue does not exist.
    pub dead_letter: Option<String>,
    /// The time of its creation.
    pub created_at_ms: u64,
}

/// Some of the bindings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BindingPage {
    /// The bindings, in order of identifier.
    pub items: Vec<Binding>,
    /// The beginning of the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

/// A message to publish; one of `body` and `body_base64`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NewPublication {
    /// The body as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The body in base64 (RFC 4648 section 4, with padding).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// Values beside the body; filters look at them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, AttributeValue>,
    /// Lane. FIFO exchanges need one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// FIFO exchanges only: published again within five minutes under the same id, it is accepted
    /// and goes nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedup_id: Option<String>,
}

/// Messages to publish, 1 to 1000; each succeeds or fails alone, and the order is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishBatch {
    /// The messages.
    pub messages: Vec<NewPublication>,
}

/// A message that is on disk in every queue that wants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Published {
    /// UUID, also in the queues.
    pub message_id: String,
    /// FIFO exchanges: place in the exchange's order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// Queues that it went to.
    pub queues: u32,
    /// Bindings that wanted it and had neither their queue nor a dead-letter queue.
    pub undeliverable: u32,
    /// A message with the same deduplication id was there before: nothing was published.
    pub duplicate: bool,
}

/// The outcome of one message of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PublishResult {
    /// It is on disk.
    Published(Published),
    /// It is not.
    Refused {
        /// The reason.
        error: ItemError,
    },
}

/// One result for each message, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PublishResults {
    /// The results.
    pub results: Vec<PublishResult>,
}
