//! The one table of frozen numbers. They are on disks: a row may be added, with a number that no row
//! has or had; none may be changed or removed, and no number may be used for something else.
//!
//! Whoever adds a row is led by the compiler to the places that need an answer for it: reading and
//! writing, applying, and whether it adds to what is stored.

/// Declares numbers by groups: an enum for each group, and one that tells the group of a number.
macro_rules! frozen {
    (
        $(#[$all_doc:meta])* $all:ident;
        $( $(#[$group_doc:meta])* $group:ident($numbers:ident) {
            $( $(#[$doc:meta])* $name:ident = $number:literal, )*
        } )*
    ) => {
        $(
            $(#[$group_doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            #[repr(u8)]
            pub(crate) enum $numbers { $( $(#[$doc])* $name = $number, )* }

            impl From<$numbers> for u8 {
                fn from(number: $numbers) -> Self {
                    number as u8
                }
            }
        )*

        $(#[$all_doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $all { $( $group($numbers), )* }

        impl $all {
            /// The row that has a number. Two rows with one number do not compile.
            #[deny(unreachable_patterns)]
            pub(crate) fn of(number: u8) -> Option<Self> {
                match number {
                    $( $( $number => Some(Self::$group($numbers::$name)), )* )*
                    _ => None,
                }
            }
        }
    };
}

frozen! {
    /// The number of a fact in a record. Free: 40 to 42, and from 63 on.
    FactNumber;

    /// Facts of queues.
    Queue(QueueNumber) {
        Created = 1,
        Configured = 2,
        Deleted = 3,
        Purged = 4,
        Swept = 15,
        NamesSwept = 17,
        Paused = 35,
        LanePaused = 36,
        PauseEnds = 62,
    }
    /// Facts of messages.
    Message(MessageNumber) {
        Enqueued = 5,
        /// The form of `Enqueued`, and then the binding.
        EnqueuedVia = 19,
        Leased = 6,
        Removed = 7,
        /// The form of `Removed`, and then the time.
        RemovedAt = 37,
        Released = 8,
        Extended = 9,
        Promoted = 10,
        Moved = 11,
        /// The form of `Moved`, and then whether the age begins anew.
        MovedDead = 32,
        Relocated = 12,
        AttemptRepeated = 18,
        KeptDead = 33,
        Revived = 34,
        Receivable = 39,
        UniqueTaken = 48,
        Prioritised = 61,
    }
    /// Facts of messages that are named by their numbers.
    Claim(ClaimNumber) {
        Reserved = 55,
        Claimed = 56,
        Unclaimed = 57,
        Received = 58,
        Archived = 59,
    }
    /// Facts of attempts and guards.
    Retry(RetryNumber) {
        AttemptEnded = 27,
        Taken = 28,
        Retried = 29,
        StaleAck = 30,
        GuardChanged = 31,
        GuardKey = 60,
    }
    /// Facts of move tasks.
    MoveTask(MoveTaskNumber) {
        Started = 13,
        Progressed = 14,
        /// The form of `Progressed`, and then the number of skipped messages, the last message
        /// looked at, and the reason.
        Skipped = 38,
    }
    /// Facts of exchanges and bindings.
    Exchange(ExchangeNumber) {
        Created = 20,
        Configured = 21,
        Deleted = 22,
        Bound = 23,
        Rebound = 24,
        Unbound = 25,
        Published = 26,
    }
    /// Facts of the ledger.
    Ledger(LedgerNumber) {
        Claimed = 43,
        Extended = 44,
        Completed = 45,
        Forgotten = 46,
        Put = 47,
    }
    /// Facts of schedules.
    Schedule(ScheduleNumber) {
        Created = 49,
        Configured = 50,
        Paused = 51,
        Deleted = 52,
        Ran = 53,
        Missed = 54,
    }
    /// The bytes of a frame; facts after it refer to them by offset.
    Frame(FrameNumber) {
        Bytes = 16,
    }
}

frozen! {
    /// The number of a section in a queue's configuration. A section is left out while what it holds
    /// is what stood there before it existed. Free: 7 to 9, 17 to 19, and from 21 on.
    SectionNumber;

    /// Settings of retries.
    Retry(RetrySection) {
        Retry = 1,
        BackAfterReceives = 2,
        KeepHistory = 3,
        ExpiredTo = 4,
        Guard = 5,
        Fencing = 6,
    }
    /// Settings of lanes and rates.
    Lanes(LaneSection) {
        Fairness = 10,
        Rate = 11,
        LaneMaxInFlight = 12,
        LaneRate = 13,
        Weights = 14,
    }
    /// Settings of guards that came after section 5.
    Guard(GuardSection) {
        SlowStart = 15,
        Attribute = 16,
    }
    /// Settings of the retention.
    Retention(RetentionSection) {
        From = 20,
    }
}

frozen! {
    /// The kind of a block in a snapshot. Free: 26 to 28, and from 30 on.
    BlockNumber;

    /// Blocks of the state as a whole.
    State(StateBlock) {
        /// Counters and names; first. Starts with the version of the layout.
        Global = 1,
        Task = 6,
        /// Last; without it the snapshot is not complete.
        End = 7,
        /// The counter that `Global` has no place for: the next exchange's number. The block is
        /// left out while it is 1.
        Counters = 8,
        /// The ledger's next token. Left out while it is 1.
        Ledger = 16,
        LedgerEntries = 17,
        /// A schedule, or (first) the last identifier that one got.
        Schedule = 19,
    }
    /// Blocks of an exchange.
    Exchange(ExchangeBlock) {
        /// Begins an exchange; the following blocks of bindings and ids belong to it.
        Exchange = 9,
        Bindings = 10,
        Dedup = 11,
    }
    /// Blocks of a queue.
    Queue(QueueBlock) {
        /// Begins a queue; the following blocks belong to it.
        Queue = 2,
        Messages = 3,
        Dedup = 4,
        Attempts = 5,
        /// Totals of a queue for which `Queue` has no place. Left out while all are 0.
        MoreTotals = 12,
        /// Guards of a queue, and messages acknowledged after more than one delivery.
        Guards = 13,
        /// The pauses of a queue and its lanes.
        Pauses = 14,
        /// Token buckets of a queue and of its lanes that are not full.
        Buckets = 15,
        /// Unique keys of a queue.
        Unique = 18,
        /// Phases before claims. Left out where there are none.
        Claims = 20,
        /// The greatest number enqueued, where it is not the last one given out.
        Newest = 21,
        /// Values by which messages are guarded. Left out where there are none.
        GuardKeys = 22,
        /// Dead letters kept and brought back, and messages cancelled, counted. Left out while all
        /// are 0.
        DeadTotals = 23,
        /// The ends of the last messages of a queue that were not acknowledged. The block is left
        /// out while none is remembered.
        Ends = 24,
        /// The sequence number below which all messages were gone after the last purge. The block
        /// is left out while it is 0.
        PurgedBelow = 25,
        /// The times at which pauses of a queue end by themselves. The block is left out while
        /// there are none.
        PauseEnds = 29,
    }
}
