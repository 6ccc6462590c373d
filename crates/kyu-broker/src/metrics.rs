//! The broker's counters and gauges, in base units. `kyu` renders them for Prometheus.

use std::sync::atomic::{AtomicU64, Ordering};

use kyu_engine::{QueueStats, QueueTotals, Reply, Settled};

macro_rules! counters {
    ($($(#[doc = $help:literal])+ $variant:ident => $name:literal,)+) => {
        /// Values that only rise.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Counter {
            $($(#[doc = $help])+ $variant,)+
        }

        impl Counter {
            /// All counters, in the order of their declaration.
            pub const ALL: &[Counter] = &[$(Counter::$variant,)+];

            /// Name in Prometheus.
            pub fn name(self) -> &'static str {
                match self { $(Counter::$variant => $name,)+ }
            }

            /// One line of help.
            pub fn help(self) -> &'static str {
                match self { $(Counter::$variant => concat!($($help),+).trim_ascii(),)+ }
            }
        }
    };
}

counters! {
    /// Commands that the engine decided, its own included.
    Commands => "kyu_commands_total",
    /// Commands that the engine refused.
    Refusals => "kyu_refusals_total",
    /// Queries answered.
    Queries => "kyu_queries_total",
    /// Messages accepted.
    EnqueuedMessages => "kyu_enqueued_messages_total",
    /// Messages leased to receivers.
    AcquiredMessages => "kyu_acquired_messages_total",
    /// Deliveries settled: acknowledged, given back or dead-lettered.
    SettledDeliveries => "kyu_settled_deliveries_total",
    /// Deliveries given back because their receiver had gone.
    AbandonedDeliveries => "kyu_abandoned_deliveries_total",
    /// Requests refused because too many were waiting.
    Overloads => "kyu_overloads_total",
    /// Requests refused because the log was full.
    StorageFull => "kyu_storage_full_total",
    /// Message bodies read from disk.
    ColdReads => "kyu_cold_reads_total",
    /// Message bodies that could not be read back as they were written.
    DamagedFrames => "kyu_damaged_frames_total",
    /// Live messages moved so that a segment can be reused.
    RelocatedMessages => "kyu_relocated_messages_total",
    /// Bytes of live messages moved so that a segment can be reused.
    RelocatedBytes => "kyu_relocated_bytes_total",
    /// Log segments given back for reuse.
    RecycledSegments => "kyu_recycled_segments_total",
    /// Snapshots written.
    Snapshots => "kyu_snapshots_total",
    /// Bytes of snapshots written.
    SnapshotBytes => "kyu_snapshot_bytes_total",
    /// Snapshots that could not be written.
    SnapshotFailures => "kyu_snapshot_failures_total",
}

/// Counters shared by the broker's threads.
#[derive(Debug)]
pub struct Metrics {
    counters: Vec<AtomicU64>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self { counters: Counter::ALL.iter().map(|_| AtomicU64::new(0)).collect() }
    }

    /// A counter's value.
    pub fn get(&self, counter: Counter) -> u64 {
        self.counters.get(counter as usize).map_or(0, |c| c.load(Ordering::Relaxed))
    }

    pub(crate) fn add(&self, counter: Counter, n: u64) {
        if let Some(c) = self.counters.get(counter as usize) {
            c.fetch_add(n, Ordering::Relaxed);
        }
    }

    pub(crate) fn count_reply(&self, reply: &Reply) {
        match reply {
            Reply::Enqueued(results) => {
                let accepted = results.iter().filter(|r| r.is_ok_and(|e| !e.duplicate)).count();
                self.add(Counter::EnqueuedMessages, accepted as u64);
            }
            Reply::Published(results) => {
                let queues = results.iter().flatten().filter(|published| !published.duplicate);
                let enqueued: u64 = queues.map(|published| u64::from(published.queues)).sum();
                self.add(Counter::EnqueuedMessages, enqueued);
            }
            Reply::Acquired(deliveries) => {
                self.add(Counter::AcquiredMessages, deliveries.len() as u64);
            }
            Reply::Settled(results) => {
                let done = results.iter().filter(|r| **r == Settled::Done).count();
                self.add(Counter::SettledDeliveries, done as u64);
            }
            Reply::Relocated { moved: true } => self.add(Counter::RelocatedMessages, 1),
            Reply::Atomic(replies) => replies.iter().for_each(|reply| self.count_reply(reply)),
            Reply::Relocated { moved: false }
            | Reply::QueueCreated(_)
            | Reply::QueueConfigured(_)
            | Reply::QueueDeleted
            | Reply::QueuePurged { .. }
            | Reply::PausedSet { .. }
            | Reply::Extended(_)
            | Reply::SessionEnded { .. }
            | Reply::MoveTaskStarted { .. }
            | Reply::MoveTaskCancelled(_)
            | Reply::Ticked { .. }
            | Reply::ExchangeCreated(_)
            | Reply::ExchangeConfigured
            | Reply::ExchangeDeleted
            | Reply::Bound(_)
            | Reply::BindingConfigured
            | Reply::Unbound
            | Reply::Ledger(_)
            | Reply::Reserved { .. }
            | Reply::BySeq(_)
            | Reply::Intervened(_)
            | Reply::Concluded { .. }
            | Reply::GivenBack { .. }
            | Reply::Schedule(_) => {}
        }
    }
}

macro_rules! gauges {
    ($($(#[doc = $help:literal])+ $field:ident => $name:literal,)+) => {
        /// Values that rise and fall, at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Gauges {
            $($(#[doc = $help])+ pub $field: u64,)+
        }

        impl Gauges {
            /// Name in Prometheus, help, value.
            pub fn samples(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$(($name, concat!($($help),+).trim_ascii(), self.$field),)+]
            }
        }
    };
}

gauges! {
    /// Queues.
    queues => "kyu_queues",
    /// Long polls that wait for a message.
    waiting_receives => "kyu_waiting_receives",
    /// Requests that wait to be admitted.
    waiting_requests => "kyu_waiting_requests",
    /// Replies that wait for the disk.
    held_replies => "kyu_held_replies",
    /// Bytes of all log segments.
    log_used_bytes => "kyu_log_used_bytes",
    /// Free bytes of the log's disk.
    log_free_bytes => "kyu_log_free_bytes",
    /// 1 while new messages are refused because the log is full, else 0.
    log_full => "kyu_log_full",
    /// Bytes of log that a restart would replay.
    log_since_snapshot_bytes => "kyu_log_since_snapshot_bytes",
    /// Bytes of the newest snapshot.
    newest_snapshot_bytes => "kyu_newest_snapshot_bytes",
    /// Entries of the ledger.
    ledger_entries => "kyu_ledger_entries",
    /// Seconds between the wall clock and the clock of leases, in either direction.
    clock_off_seconds => "kyu_clock_off_seconds",
    /// Bytes of the ledger's keys, fingerprints, holders and values; all of them in RAM.
    ledger_bytes => "kyu_ledger_bytes",
}

/// The measurements of one queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueMetrics {
    /// The queue's current state.
    pub stats: QueueStats,
    /// Totals since the queue was created.
    pub totals: QueueTotals,
}

/// The values of all counters and gauges at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsSnapshot {
    /// Counters, in the order of [`Counter::ALL`].
    pub counters: Vec<u64>,
    /// Gauges.
    pub gauges: Gauges,
    /// The log's own counters.
    pub log: kyu_log::Metrics,
}
