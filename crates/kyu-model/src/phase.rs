//! The phases of a message's life.

use crate::ids::{SessionId, UnixMs};

/// A message's phase: the state it has in its life. ARCHITECTURE.md draws the transitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The message is ready: an acquire may return it if its lane allows.
    Ready,
    /// The message is delayed and becomes ready at this time.
    Delayed(UnixMs),
    /// The message is under lease until this time.
    Leased(UnixMs),
    /// The message is under lease until the session ends.
    Held(SessionId),
    /// The message has been in an archive since this time: it is never delivered and never expires.
    Archived(UnixMs),
    /// The last attempt failed; the next may begin at this time. The message blocks its FIFO lane.
    Backoff(UnixMs),
    /// The message waits for its guard: for a token of the retry budget, or for the breaker. It
    /// blocks its FIFO lane.
    Parked,
    /// The message has been dead since this time, and is kept here because there was nowhere to
    /// move it: it is not delivered until a move task brings it back. It blocks nothing.
    Dead(UnixMs),
}

impl Phase {
    /// Returns true if the message is under lease.
    pub fn in_flight(self) -> bool {
        matches!(self, Self::Leased(_) | Self::Held(_))
    }

    /// Returns true if the message is kept in an archive.
    pub fn is_archived(self) -> bool {
        matches!(self, Self::Archived(_))
    }

    /// Returns the time at which the phase ends by itself; `None` if time alone does not end it.
    pub fn deadline(self) -> Option<UnixMs> {
        match self {
            Self::Delayed(until) | Self::Leased(until) | Self::Backoff(until) => Some(until),
            Self::Ready | Self::Held(_) | Self::Archived(_) | Self::Parked | Self::Dead(_) => None,
        }
    }

    /// Returns true if the queue's retention may take a message in this phase.
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
