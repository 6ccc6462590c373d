//! From when on a message's retention counts.

/// From when on the retention of a message counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum RetentionFrom {
    /// As SQS has it: from the send, or the end of a delay or backoff, through all leases; the dead
    /// letters of a standard queue take their age along.
    Sent = 0,
    /// From the last time that the message became receivable: also anew when a lease ends without
    /// an acknowledgement. A dead letter starts anew.
    #[default]
    Receivable = 1,
}
