//! The thread that drives the core: the only one that changes state or appends to the log.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use kyu_engine::Frozen;
use kyu_log::Lsn;

use crate::background::ReadOrder;
use crate::clock::{Clock, LOOK_AT_CLOCKS_EVERY};
use crate::core::{Core, Work};
use crate::inbox::Inbox;
use crate::limits::COMMANDS_PER_HAND_OVER;
use crate::request::{Job, Ticket};
use crate::thread::Threads;

/// The state that the engine's thread owns.
pub(crate) struct EngineThread {
    pub(crate) core: Core<Ticket>,
    pub(crate) inbox: Arc<Inbox<Job>>,
    pub(crate) clock: Arc<Clock>,
    /// The channel to the thread that writes snapshots.
    pub(crate) snapshots: Sender<(Lsn, Box<Frozen>)>,
    /// The channel to the thread that reads frames for relocation.
    pub(crate) frame_reads: Sender<ReadOrder>,
    /// True while that thread has delivered a part and waits for the order to go on.
    pub(crate) frame_reader_waits: bool,
    /// These two threads.
    pub(crate) threads: Threads,
}

impl EngineThread {
    /// Runs until the inbox is closed and empty, then closes the core.
    pub(crate) fn run(mut self) {
        let mut jobs = Vec::new();
        let mut follower = self.clock.follower();
        while self.inbox.take(&mut jobs, self.patience()) {
            self.clock.follow_wall(&mut follower);
            self.core.see_wall(self.clock.wall_ahead_ms());
            self.core.advance(self.clock.now_ms());
            for (done, job) in jobs.drain(..).enumerate() {
                self.handle(job);
                if done % COMMANDS_PER_HAND_OVER == COMMANDS_PER_HAND_OVER - 1 {
                    self.core.hand_over();
                }
            }
            self.core.hand_over();
            self.upkeep();
        }
        self.close();
    }

    /// Answers what is inside, writes the last snapshot, and only then gives up the log's lock.
    fn close(mut self) {
        if let Some((lsn, frozen)) = self.core.finish() {
            let _ends = self.snapshots.send((lsn, frozen));
        }
        drop(self.snapshots);
        drop(self.frame_reads);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the broker ended badly");
            }
        }
        self.core.close();
    }

    fn patience(&self) -> Option<Duration> {
        let wake_ms = self.core.next_wake_ms()?;
        let patience = Duration::from_millis(wake_ms.saturating_sub(self.clock.now_ms()));
        // What is due may become so by a step of the wall clock, or by a suspend, which the system's
        // timers do not count.
        Some(patience.min(LOOK_AT_CLOCKS_EVERY))
    }

    fn handle(&mut self, job: Job) {
        match job {
            Job::Command(command, ticket) => self.core.submit(&command, ticket),
            Job::Query(query, ticket) => self.core.query(&query, ticket),
            Job::Receive { id, acquire, wait_ms, ticket, permit } => {
                self.core.receive(id, acquire, wait_ms, ticket);
                drop(permit);
            }
            Job::EndWait(queue, id) => self.core.end_wait(queue, id),
            Job::Cancel(queue, id) => self.core.cancel(queue, id),
            Job::GiveBack(claims) => self.core.give_back(claims),
            Job::Abandon(queue, receipts) => self.core.abandon(queue, receipts),
            Job::SnapshotDone { lsn, bytes } => self.core.snapshot_done(lsn, bytes),
            Job::FramesRead { frames, last } => {
                self.core.frames_read(frames, last);
                self.frame_reader_waits = !last;
            }
            Job::EndLongPolls => self.core.end_long_polls(),
            Job::Metrics(caller) => {
                let _gone = caller.send(self.core.measure());
            }
            Job::QueueMetrics(queues, caller) => {
                let _gone = caller.send(self.core.measure_queues(&queues));
            }
        }
    }

    /// Does a small step of upkeep; slow work goes to other threads. A send fails only when the
    /// process ends.
    fn upkeep(&mut self) {
        match self.core.upkeep() {
            Some(Work::Snapshot { lsn, frozen }) => {
                let _ends = self.snapshots.send((lsn, frozen));
            }
            Some(Work::ReadFrames(frames)) => {
                let _ends = self.frame_reads.send(ReadOrder::Start(frames));
            }
            None => {}
        }
        if self.frame_reader_waits && self.core.wants_frames() {
            self.frame_reader_waits = false;
            let _ends = self.frame_reads.send(ReadOrder::GoOn);
        }
    }
}
