//! The moment from which a message's retention counts.

/// The moment from which a message's retention counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum RetentionFrom {
    /// The retention counts as in SQS: from the send, or the end of a delay or backoff, through all
    /// leases; the dead letters of a standard queue take their age along.
    Sent = 0,
    /// The retention counts from the last time that the message became receivable: also anew when a
    /// lease ends without an acknowledgement. A dead letter starts anew.
    #[default]
    Receivable = 1,
}
