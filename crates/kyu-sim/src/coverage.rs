//! The events that have happened in simulated runs, counted so that a fault that never strikes is
//! noticed.

use std::fmt;

macro_rules! events {
    ($($(#[doc = $help:literal])+ $variant:ident => $name:literal,)+) => {
        /// Something a simulation wants to have seen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Event {
            $($(#[doc = $help])+ $variant,)+
        }

        impl Event {
            /// All of them.
            pub const ALL: &[Event] = &[$(Event::$variant,)+];

            /// The name in the report.
            pub fn name(self) -> &'static str {
                match self { $(Event::$variant => $name,)+ }
            }
        }
    };
}

events! {
    /// Requests sent, of any kind.
    Request => "requests",
    /// Requests answered.
    Answer => "answers",
    /// Messages accepted.
    Accepted => "messages accepted",
    /// Messages accepted into several queues.
    FanOut => "fan-outs",
    /// Messages recognised as duplicates.
    Duplicate => "duplicates recognised",
    /// A duplicate whose original was sent before a restart.
    DuplicateAfterRestart => "duplicates recognised over a restart",
    /// Messages refused because a queue was full.
    QueueFull => "queue-full refusals",
    /// Deliveries.
    Delivery => "deliveries",
    /// Deliveries of messages that an earlier run of the server accepted.
    DeliveryAfterRestart => "deliveries after a restart",
    /// Deliveries of dead letters.
    DeadLetter => "dead letters delivered",
    /// Deliveries of redriven messages.
    Redriven => "redriven messages delivered",
    /// Deliveries under a session.
    SessionLease => "session leases",
    /// Sessions ended.
    SessionEnded => "sessions ended",
    /// Deliveries of a repeated receive attempt.
    AttemptRepeated => "attempts repeated",
    /// Bodies that had to be read from disk.
    ColdRead => "cold reads",
    /// Bodies read late, under a pin.
    SlowRead => "slow readers",
    /// Long polls that a message ended.
    LongPollWoken => "long polls woken",
    /// Long polls that time ended.
    LongPollEmpty => "long polls that ended empty",
    /// Long polls cancelled by their client.
    LongPollCancelled => "long polls cancelled",
    /// Deliveries that nobody took.
    Abandoned => "deliveries abandoned",
    /// Acknowledgements done.
    Acked => "acknowledgements",
    /// Acknowledgements of a delivery that an earlier run made.
    AckedAfterRestart => "acknowledgements after a restart",
    /// Deliveries given back.
    Released => "releases",
    /// Receipts refused because a later delivery exists.
    Stale => "stale receipts refused",
    /// Receipts refused because the lease is over.
    Lapsed => "lapsed receipts refused",
    /// Leases extended.
    Extended => "leases extended",
    /// Atomic groups carried out.
    AtomicDone => "atomic groups done",
    /// Publications accepted by an exchange.
    Published => "publications accepted",
    /// Bindings made while messages flow.
    Bound => "bindings made",
    /// A message whose send was cut off, found in one of its queues.
    CutOffFound => "sends cut off and found to have happened",
    /// Atomic groups refused.
    AtomicRefused => "atomic groups refused",
    /// Claims of the ledger granted.
    LedgerGranted => "ledger claims granted",
    /// Claims answered with a saved result.
    LedgerDone => "ledger claims that were done already",
    /// Claims that somebody else held.
    LedgerHeld => "ledger claims held by somebody else",
    /// Completions under an old token refused.
    LedgerFenced => "stale ledger tokens refused",
    /// A relay's cursor moved in one group with a message.
    CursorMoved => "cursors moved",
    /// A relay's cursor had been moved by another.
    CursorConflict => "cursor conflicts",
    /// Messages dropped because another has their unique key.
    UniqueKept => "messages dropped for their unique key",
    /// Messages that took the place of another with their unique key.
    UniqueReplaced => "messages replaced by unique key",
    /// Deliveries of messages that schedules sent.
    TimedDelivery => "deliveries of scheduled messages",
    /// Transactions of SQL committed.
    TableCommit => "SQL transactions committed",
    /// Transactions of SQL rolled back that had claims.
    TableRollback => "SQL transactions rolled back with claims",
    /// Messages by number that a transaction had claimed.
    TableBusy => "messages found claimed",
    /// Restarts after which the table was one that it may be.
    TableCompared => "tables compared over a restart",
    /// Restarts that ended claims.
    TableClaimsLost => "restarts that ended claims",
    /// Runs of schedules missed, by their policy.
    TimedMissed => "scheduled runs missed",
    /// Runs of schedules that did not happen because of an earlier message.
    TimedOverlap => "scheduled runs that overlapped",
    /// Queues purged.
    Purged => "purges",
    /// Queues created while messages flow.
    Created => "queues created",
    /// Queues deleted while messages flow.
    Deleted => "queues deleted",
    /// Queues or lanes paused.
    Paused => "pauses",
    /// Queues or lanes resumed.
    Resumed => "resumptions",
    /// A lane had as many messages in flight as it allows.
    LaneFull => "lanes at their limit",
    /// Queues configured.
    Configured => "queues configured",
    /// Move tasks started.
    MoveStarted => "move tasks started",
    /// Move tasks cancelled.
    MoveCancelled => "move tasks cancelled",
    /// Messages past their retention.
    Expired => "messages expired",
    /// Retries that waited for a token.
    Held => "retries held for want of a token",
    /// Breakers that opened.
    BreakerOpened => "breakers opened",
    /// Messages past their time that went to the dead letters.
    DeadLate => "late messages dead-lettered",
    /// Acknowledgements by overtaken deliveries that were accepted.
    LateAck => "late acknowledgements accepted",
    /// Dead letters that were kept in their queues.
    KeptDead => "dead letters kept",
    /// Kept dead letters that were brought back.
    Revived => "kept dead letters brought back",
    /// Messages that two deliveries acknowledged.
    DoubleExecution => "double executions proven",
    /// Messages dropped to make room.
    Dropped => "messages dropped",
    /// Snapshots written.
    Snapshot => "snapshots",
    /// Snapshots that a crash or an error cut off.
    SnapshotCut => "snapshots cut off",
    /// Segments recycled.
    Recycled => "segments recycled",
    /// Messages relocated.
    Relocated => "messages relocated",
    /// The process died, the machine did not.
    Kill => "kills",
    /// Power lost between two operations of the disk.
    PowerLoss => "power losses",
    /// Power lost within an operation of the disk.
    PowerLossInOperation => "power losses within an operation",
    /// Power lost while the log was being opened.
    PowerLossInOpen => "power losses during open",
    /// A write or sync of the log failed.
    LogFailure => "I/O errors that ended the process",
    /// Orderly shutdowns.
    Shutdown => "orderly shutdowns",
    /// Requests without an answer when the process ended.
    Unanswered => "requests cut off",
    /// Requests refused because the log had no room.
    StorageFull => "storage-full refusals",
    /// Requests that free space refused all the same: the reserve was used up.
    ReserveUsedUp => "storage-full refusals of requests that free space",
    /// Acknowledgements accepted while growth was refused.
    AckWhileFull => "acknowledgements while full",
    /// Growth accepted again after it had been refused.
    RoomAgain => "growth after full",
    /// Restarts whose state was compared with the state before.
    StateCompared => "restarts with equal state",
    /// Restarts that recovered to a place between two states that were kept.
    StateNotKept => "restarts to a state not kept",
    /// A restart lost records that were never reported durable.
    TailLost => "restarts that lost an unacknowledged tail",
    /// A flipped bit was refused at open.
    FlipRefused => "flipped bits refused at open",
    /// A flipped bit did no harm to the state.
    FlipHarmless => "flipped bits without effect on the state",
    /// A flipped bit was found when a body was read.
    FlipInBody => "flipped bits found in a body",
    /// A flipped bit in the last batch looked like a torn write.
    FlipInTail => "flipped bits in the last batch",
}

impl Event {
    /// The events that a run of a minute may well miss.
    const RARE: [Event; 3] = [Event::StateNotKept, Event::ReserveUsedUp, Event::FlipInTail];
}

/// The counts of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    counts: Vec<u64>,
}

impl Default for Coverage {
    fn default() -> Self {
        Self { counts: vec![0; Event::ALL.len()] }
    }
}

impl Coverage {
    pub(crate) fn add(&mut self, event: Event, count: u64) {
        self.counts[event as usize] += count;
    }

    pub(crate) fn note(&mut self, event: Event) {
        self.add(event, 1);
    }

    /// Returns the number of times that an event happened.
    pub fn count(&self, event: Event) -> u64 {
        self.counts[event as usize]
    }

    /// Adds the counts of another run.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
    }

    /// Returns the events that never happened and should have, in a run of some length.
    pub fn missing(&self) -> Vec<Event> {
        let expected = Event::ALL.iter().filter(|event| !Event::RARE.contains(event));
        expected.copied().filter(|event| self.count(*event) == 0).collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for event in Event::ALL {
            writeln!(f, "{:>10}  {}", self.count(*event), event.name())?;
        }
        Ok(())
    }
}
