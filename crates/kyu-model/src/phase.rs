//! Where a message is in its life.

use crate::ids::{SessionId, UnixMs};

/// Where a message is in its life. ARCHITECTURE.md draws the transitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// An acquire may return it (if its lane allows).
    Ready,
    /// Becomes ready at this time.
    Delayed(UnixMs),
    /// Under lease until this time.
    Leased(UnixMs),
    /// Under lease until the session ends.
    Held(SessionId),
    /// Kept in an archive since this time: never delivered, never expires.
    Archived(UnixMs),
    /// Failed; it may be tried again at this time. Blocks its FIFO lane.
    Backoff(UnixMs),
    /// Failed, and waits for a token of the retry budget. Blocks its FIFO lane.
    Parked,
    /// Dead since this time, and kept here because there was nowhere to move it: not delivered
    /// until a move task brings it back. Blocks nothing.
    Dead(UnixMs),
}

impl Phase {
    /// Whether somebody has it under lease.
    pub fn in_flight(self) -> bool {
        matches!(self, Self::Leased(_) | Self::Held(_))
    }

    /// Whether it is kept in an archive.
    pub fn is_archived(self) -> bool {
        matches!(self, Self::Archived(_))
    }

    /// When time alone moves the message on.
    pub fn deadline(self) -> Option<UnixMs> {
        match self {
            Self::Delayed(until) | Self::Leased(until) | Self::Backoff(until) => Some(until),
            Self::Ready | Self::Held(_) | Self::Archived(_) | Self::Parked | Self::Dead(_) => None,
        }
    }

    /// Whether the queue's retention may take a message in this phase.
    pub fn is_retained(self) -> bool {
        match self {
            Self::Ready | Self::Dead(_) => true,
            Self::Delayed(_)
            | Self::Leased(_)
            | Self::Held(_)
            | Self::Archived(_)
            | Self::Backoff(_)
            | Self::Parked => false,
        }
    }
}
