//! Interventions by people on messages that nobody works on: cancel, run now, postpone, change the
//! priority, move.

use crate::ids::{QueueId, Seq, UnixMs};

/// The parameters of [`crate::Command::Intervene`]. One result for each message, in order.
#[derive(Clone, Debug)]
pub struct Intervene {
    /// The queue.
    pub queue: QueueId,
    /// The messages, to [`crate::limits::MAX_BATCH`].
    pub messages: Vec<Chosen>,
    /// The action on each of them.
    pub action: Intervention,
}

/// A message that somebody has looked at and chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Its number.
    pub seq: Seq,
    /// The number of deliveries that the person saw: a message that was delivered since is left
    /// alone. `None` applies the action in any case.
    pub deliveries: Option<u32>,
}

/// An intervention: an action on chosen messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intervention {
    /// The messages are removed, and counted as cancelled.
    Cancel {
        /// True to remove messages in flight as well: their consumer learns it when the lease is
        /// next extended or the delivery settled. Messages that an open transaction has claimed
        /// stay in any case.
        in_flight: bool,
    },
    /// The messages are ready at once: delayed ones, failed ones that wait for their next attempt,
    /// and dead letters that are kept here, which begin anew.
    RunNow,
    /// The messages are not received before this time. Dead letters stay dead.
    Postpone(UnixMs),
    /// The messages have this priority from now on.
    Prioritise(u8),
    /// The messages move to this queue and begin anew there, as after a redrive.
    MoveTo(QueueId),
    /// Dead letters move back to where they came from, or begin anew here if they were kept.
    MoveBack,
}

/// The result of an intervention for one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intervened {
    /// It was done.
    Done,
    /// There is no such message.
    Missing,
    /// It was delivered since it was chosen.
    Delivered,
    /// Somebody works on it, or a transaction has claimed it.
    InFlight,
    /// The action is not for messages in this state: archived ones; postponing dead letters.
    NotApplicable,
    /// The queue that it came from is not known, or not there.
    NoSource,
}
