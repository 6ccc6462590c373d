//! One message as a resource, and many by what they have in common.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DeadReason, MessageState};

/// The options of removing one message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CancelQuery {
    /// The namespace; the server's own if left out.
    pub namespace: Option<String>,
    /// Also a message that somebody works on: its worker hears that it is gone when it next extends
    /// its lease or settles.
    pub in_flight: Option<bool>,
}

/// The changes to a message that nobody works on. Fields that are left out stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MessageChange {
    /// 0 to 255, which is received first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// Not received before this has passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 315_576_000_000_u64))]
    pub delay_ms: Option<u64>,
    /// Not received before this time, instead of `delay_ms`; at once if it is past.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 253_402_300_799_999_u64))]
    pub ready_at_ms: Option<u64>,
}

/// The destination of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MessageMove {
    /// The queue that it goes to; the one that it was dead-lettered from if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
}

/// The properties that chosen messages have in common. Those that are left out do not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MessageFilter {
    /// They are in one of these states.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<MessageState>,
    /// They were dead-lettered for one of these reasons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dead_reasons: Vec<DeadReason>,
    /// They were sent longer ago than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub older_than_ms: Option<u64>,
    /// They were sent within this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub younger_than_ms: Option<u64>,
    /// They are in this lane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// They have all of these attributes, with these texts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// This text is in their body. Upper and lower case differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// This text is in the error of their last attempt that had one. Upper and lower case differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The action on the chosen messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum SelectionAction {
    /// They are removed.
    Cancel {
        /// Also those that somebody works on.
        #[serde(default)]
        in_flight: bool,
    },
    /// They are ready at once, whatever they wait for.
    RunNow,
    /// They are not received before this time.
    Postpone {
        /// The time.
        #[schemars(range(max = 253_402_300_799_999_u64))]
        ready_at_ms: u64,
    },
    /// They have another priority.
    Prioritise {
        /// 0 to 255, which is received first.
        priority: u8,
    },
    /// They move to another queue and begin anew there.
    Move {
        /// The queue; the one that each was dead-lettered from if left out.
        #[serde(default)]
        destination: Option<String>,
    },
}

/// Messages to choose, and what happens to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// The filter that chooses messages.
    pub filter: MessageFilter,
    /// The action on them; nothing if left out, so that one can look first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<SelectionAction>,
    /// Most messages that are chosen, from 1 to 1000; 100 if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<u32>,
    /// Begin at this place in the order of arrival.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_seq: Option<u64>,
}

/// The outcome for a chosen message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SelectedStatus {
    /// It was chosen, and no action was asked for.
    Chosen,
    /// The action is done.
    Done,
    /// It went in this moment.
    Gone,
    /// It was delivered in this moment: it is not what was looked at any more.
    Delivered,
    /// Somebody works on it.
    InFlight,
    /// The action is not for messages in its state.
    NotApplicable,
    /// The queue that it came from is not known, or not there.
    NoSource,
}

/// A message that was chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SelectedMessage {
    /// Place in the queue's order of arrival.
    pub seq: u64,
    /// UUID.
    pub message_id: String,
    /// The outcome.
    pub status: SelectedStatus,
}

/// The messages of one request. Each was changed, or not, by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SelectedMessages {
    /// In order of arrival.
    pub items: Vec<SelectedMessage>,
    /// The number of messages that were looked at.
    pub looked_at: u64,
    /// `from_seq` of a request that goes on; `null` when the end of the queue was reached.
    pub next_seq: Option<u64>,
}
