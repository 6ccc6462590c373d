//! From when on a message's retention counts.

/// From when on the retention of a message counts. Numbers are frozen: they are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum RetentionFrom {
    /// As SQS has it: from the send, or from the end of a delay or backoff, through all leases; the
    /// dead letters of a standard queue take their age along.
    Sent = 0,
    /// From the last time that the message became receivable: as with `Sent`, and anew whenever a
    /// lease ends without an acknowledgement. A dead letter starts anew.
    #[default]
    Receivable = 1,
}
