//! The lives of the server: which faults strike, how each life ends, how the next begins.

use std::collections::BTreeMap;

use kyu_broker::{
    Acquire, Command, Lease, OpenError, Outcome, PurgeQueue, QueueId, Receipt, Settle,
    StartMoveTask,
};
use kyu_log::Log;

use crate::audit::Wish;
use crate::cast::{Presence, Role};
use crate::clients;
use crate::coverage::Event;
use crate::flips::{self, Flip};
use crate::run::Run;
use crate::timed::Timer;
use crate::violation::{Violation, ensure};
use crate::world::{ReopenError, does_not_open};

/// Faults are due within this many operations of the disk.
const FAULT_WITHIN_OPERATIONS: u64 = 30;
/// Opening a log that is not full takes no more tries than this: one fault each.
const MAX_OPENS: u32 = 8;
/// Rounds of receiving that empty every queue, three seconds each.
const DRAIN_ROUNDS: u32 = 60;
const DRAIN_STEP_MS: u64 = 3_000;
/// Closed segments that an empty log may still hold.
const MAX_CLOSED_WHEN_EMPTY: usize = 2;
/// Enough for upkeep to free what can be freed.
const UPKEEP_ROUNDS: u32 = 50;
const UPKEEP_STEP_MS: u64 = 100;

/// The way in which a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LifeEnd {
    Kill,
    PowerLoss,
    /// Within an operation of the disk.
    PowerLossInOperation,
    /// A write or a sync fails.
    LogFailure,
    Shutdown,
}

/// The plan of a life: its rounds, its end and its faults.
pub(crate) struct LifePlan {
    pub(crate) rounds: u64,
    pub(crate) ending: LifeEnd,
    /// The round in which the fault of the ending is armed.
    fault_at: u64,
    /// The rounds in which the disk is full.
    full: Option<(u64, u64)>,
}

impl Run {
    pub(crate) fn plan_life(&mut self) -> LifePlan {
        let random = &mut self.random;
        let endings = [
            LifeEnd::Kill,
            LifeEnd::PowerLoss,
            LifeEnd::PowerLossInOperation,
            LifeEnd::LogFailure,
            LifeEnd::Shutdown,
        ];
        let ending = endings[random.weighted(&[20, 20, 30, 15, 15])];
        let rounds = random.between(20, 160);
        let full = random.percent(25).then(|| {
            let from = random.below(rounds);
            (from, from + random.between(20, 80))
        });
        let plan = LifePlan { rounds, ending, fault_at: random.below(rounds), full };
        self.world.faults.short_reads = random.percent(30);
        self.world.faults.torn_sectors = random.percent(60);
        self.world.faults.capacity_bytes = None;
        self.clients.flood = false;
        self.world.arm();
        plan
    }

    /// Lets the faults of this round strike.
    pub(crate) fn strike(&mut self, plan: &mut LifePlan, round: u64) {
        if round == plan.fault_at {
            let within = self.random.between(1, FAULT_WITHIN_OPERATIONS);
            let at = Some(self.world.disk.operations() + within);
            match plan.ending {
                LifeEnd::PowerLossInOperation => self.world.faults.crash_at = at,
                LifeEnd::LogFailure => self.world.faults.fail_at = at,
                LifeEnd::Kill | LifeEnd::PowerLoss | LifeEnd::Shutdown => {}
            }
            self.world.arm();
        }
        let Some((from, to)) = plan.full else { return };
        if round == from {
            let room = self.random.below(self.world.segment_bytes());
            self.clients.flood = true;
            self.world.faults.capacity_bytes = Some(self.used_bytes() + room);
            self.world.arm();
        } else if round == to {
            self.clients.flood = false;
            self.world.faults.capacity_bytes = None;
            self.world.arm();
        }
    }

    fn used_bytes(&self) -> u64 {
        let disk = &self.world.disk;
        disk.files().iter().filter_map(|f| disk.contents(f)).map(|bytes| bytes.len() as u64).sum()
    }

    pub(crate) fn cause_of_death(&self) -> LifeEnd {
        if self.world.power_is_off() { LifeEnd::PowerLossInOperation } else { LifeEnd::LogFailure }
    }

    pub(crate) fn end_life(&mut self, planned: LifeEnd) -> Result<(), Violation> {
        let mut ending = planned;
        if ending == LifeEnd::Shutdown && !self.shut_down()? {
            ending = self.cause_of_death();
        }
        if ending == LifeEnd::PowerLossInOperation && !self.world.power_is_off() {
            ending = LifeEnd::PowerLoss;
        }
        self.trace.line(format_args!("ends by {ending:?} at {}", self.world.now_ms));
        self.slow_readers.clear();
        let coverage = &mut self.auditor.coverage;
        if ending != LifeEnd::Shutdown {
            self.world.count(coverage);
        }
        coverage.note(match ending {
            LifeEnd::Kill => Event::Kill,
            LifeEnd::PowerLoss => Event::PowerLoss,
            LifeEnd::PowerLossInOperation => Event::PowerLossInOperation,
            LifeEnd::LogFailure => Event::LogFailure,
            LifeEnd::Shutdown => Event::Shutdown,
        });
        let power = match ending {
            LifeEnd::PowerLoss | LifeEnd::PowerLossInOperation => true,
            LifeEnd::Kill => false,
            LifeEnd::LogFailure | LifeEnd::Shutdown => self.random.percent(50),
        };
        if power {
            self.world.lose_power()
        } else {
            self.world.kill()
        }
        self.auditor.died();
        self.clients.disconnected();
        self.tables.disconnected();
        Ok(())
    }

    /// An orderly shutdown. False if the process died before it was done.
    fn shut_down(&mut self) -> Result<bool, Violation> {
        let survived = self.world.finish(&mut self.auditor.coverage);
        self.take_answers()?;
        if !survived {
            return Ok(false);
        }
        // Abandoned deliveries may have come in; everything else was answered.
        self.auditor.forget_cancelled();
        ensure!(
            self.auditor.pending.is_empty(),
            "requests were left without an answer by an orderly shutdown: {:?}",
            self.auditor.pending
        );
        self.world.count(&mut self.auditor.coverage);
        self.world.close()?;
        Ok(!self.world.is_dead())
    }

    /// Opens the log again, through faults that strike while it opens.
    pub(crate) fn be_reborn(&mut self) -> Result<(), Violation> {
        let down_ms = self.random.below(5_000);
        self.world.now_ms += down_ms;
        self.auditor.now_ms = self.world.now_ms;
        let flipped = if self.random.percent(15) {
            flips::flip(&self.world, &mut self.random)?
        } else {
            None
        };
        if flipped.is_none() && self.random.percent(20) {
            let within = self.random.between(1, 12);
            self.world.faults.crash_at = Some(self.world.disk.operations() + within);
            self.world.arm();
        }
        let mut opens = 0;
        while let Err(error) = self.world.reopen(&mut self.auditor.coverage) {
            opens += 1;
            match error {
                ReopenError::Violation(violation) => return Err(violation),
                ReopenError::Open(error) => self.retry_open(error, opens)?,
            }
        }
        self.trace.line(format_args!(
            "reborn at {}, log ends at {}",
            self.world.now_ms,
            self.world.core.log().durable()
        ));
        let directory = self.world.core.directory().clone();
        self.auditor.restarted(&directory)?;
        self.auditor.table_restarted(self.world.core.engine())?;
        if let Some(flip) = flipped {
            self.judge(flip)?;
        }
        self.advance(0);
        self.auditor.check_counts(self.world.core.engine())
    }

    fn judge(&mut self, flip: Flip) -> Result<(), Violation> {
        flips::judge(flip, &mut self.world, &mut self.auditor.coverage)
    }

    fn retry_open(&mut self, error: OpenError, opens: u32) -> Result<(), Violation> {
        self.trace.line(format_args!("does not open: {error}"));
        if opens >= MAX_OPENS {
            return Err(does_not_open(error));
        }
        if self.world.power_is_off() {
            self.auditor.coverage.note(Event::PowerLossInOpen);
            self.world.lose_power();
        } else if self.world.faults.capacity_bytes.take().is_some() {
            self.world.kill();
        } else {
            return Err(does_not_open(error));
        }
        Ok(())
    }

    /// Without faults from here: everything that is there is received and acknowledged, and the log
    /// becomes small.
    pub(crate) fn end_run(&mut self) -> Result<(), Violation> {
        // A fault that was to strike while the log was opened may have struck just after.
        let power_is_off = self.world.power_is_off();
        self.end_life(if power_is_off { LifeEnd::PowerLossInOperation } else { LifeEnd::Kill })?;
        self.world.faults = kyu_log::SimFaults::default();
        self.world.arm();
        self.be_reborn_in_peace()?;
        for timer in Timer::ALL {
            self.ask(Wish::Command(timer.pause()));
        }
        self.lift_limits()?;
        self.empty_tables()?;
        for _ in 0..DRAIN_ROUNDS {
            self.bring_back_dead()?;
            self.drain_round()?;
            self.advance(DRAIN_STEP_MS);
        }
        self.auditor.check_drained(self.world.core.engine())?;
        // The log is kept back to the snapshot before the newest, so it takes two to make it small.
        for _ in 0..2 {
            self.send_one()?;
            self.drain_round()?;
            self.end_life(LifeEnd::Shutdown)?;
            self.be_reborn_in_peace()?;
        }
        for _ in 0..UPKEEP_ROUNDS {
            self.world.upkeep(&mut self.auditor.coverage);
            ensure!(self.world.flush(), "the log failed without a fault");
            self.advance(UPKEEP_STEP_MS);
        }
        let segments = self.world.core.log().segments();
        let closed = segments.iter().filter(|segment| segment.closed).count();
        ensure!(
            closed <= MAX_CLOSED_WHEN_EMPTY,
            "{closed} closed segments are kept though nothing is live: {segments:?}"
        );
        Ok(())
    }

    /// Lifts all limits, because what they hold back could not be drained in time.
    fn lift_limits(&mut self) -> Result<(), Violation> {
        let directory = self.world.core.directory().clone();
        for command in clients::lift_limits(&self.auditor, &directory) {
            self.ask(Wish::Command(command));
        }
        ensure!(self.world.flush(), "the log failed without a fault");
        self.take_answers()?;
        Ok(())
    }

    /// Dead letters that are kept in their queues begin anew.
    fn bring_back_dead(&mut self) -> Result<(), Violation> {
        let engine = self.world.core.engine();
        let keeps = |id: &QueueId| engine.stats(*id).is_ok_and(|stats| stats.dead > 0);
        let queues: Vec<QueueId> = self.auditor.queues.keys().copied().filter(keeps).collect();
        for source in queues {
            let (destination, max_per_second) = (None, None);
            let start = StartMoveTask { source, destination, max_per_second };
            self.ask(Wish::Command(Command::StartMoveTask(start)));
        }
        ensure!(self.world.flush(), "the log failed without a fault");
        self.take_answers()?;
        Ok(())
    }

    fn empty_tables(&mut self) -> Result<(), Violation> {
        for role in [Role::Table, Role::TableArchive] {
            let Some(queue) = self.auditor.queue_of(role) else { continue };
            self.ask(Wish::Table(Command::PurgeQueue(PurgeQueue { queue, cooldown_ms: 0 })));
            ensure!(self.world.flush(), "the log failed without a fault");
            self.take_answers()?;
            self.auditor.check_table(self.world.core.engine())?;
        }
        Ok(())
    }

    /// There is room for one more message, whatever the disk was like before.
    fn send_one(&mut self) -> Result<(), Violation> {
        let Some(send) = self.clients.send_to(Role::Plain, &self.auditor, &mut self.random) else {
            return Err(Violation("the first queues are gone".into()));
        };
        let accepted = self.auditor.coverage.count(Event::Accepted);
        self.ask(Wish::Command(send));
        ensure!(self.world.flush(), "the log failed without a fault");
        self.take_answers()?;
        let now_accepted = self.auditor.coverage.count(Event::Accepted);
        ensure!(now_accepted == accepted + 1, "an empty server on an empty disk refuses a message");
        Ok(())
    }

    fn be_reborn_in_peace(&mut self) -> Result<(), Violation> {
        match self.world.reopen(&mut self.auditor.coverage) {
            Ok(()) => {}
            Err(ReopenError::Open(error)) => return Err(does_not_open(error)),
            Err(ReopenError::Violation(violation)) => return Err(violation),
        }
        let directory = self.world.core.directory().clone();
        self.auditor.restarted(&directory)?;
        self.auditor.table_restarted(self.world.core.engine())?;
        self.advance(0);
        self.auditor.check_counts(self.world.core.engine())
    }

    fn drain_round(&mut self) -> Result<(), Violation> {
        let there = self.auditor.queues.iter().filter(|(_, q)| q.presence == Presence::There);
        let queues: Vec<QueueId> = there.map(|(id, _)| *id).collect();
        for queue in queues {
            let lease = Lease::For(DRAIN_STEP_MS);
            let (max_messages, max_bytes) = (100, u64::MAX);
            let acquire = Acquire { lease, max_bytes, ..Acquire::new(queue, max_messages) };
            self.ask(Wish::Receive { acquire, wait_ms: 0 });
        }
        ensure!(self.world.flush(), "the log failed without a fault");
        let mut by_queue: BTreeMap<QueueId, Vec<(Receipt, Outcome)>> = BTreeMap::new();
        for taken in self.take_answers()? {
            let receipt = taken.delivery.receipt;
            by_queue.entry(receipt.queue).or_default().push((receipt, Outcome::Ack));
        }
        // Also receipts of long ago: each is tried until it is acknowledged.
        for receipt in self.auditor.timed.receipts.clone() {
            by_queue.entry(receipt.queue).or_default().push((receipt, Outcome::Ack));
        }
        for (queue, items) in by_queue {
            self.ask(Wish::Command(Command::Settle(Settle { queue, items })));
        }
        ensure!(self.world.flush(), "the log failed without a fault");
        self.take_answers()?;
        self.auditor.check_counts(self.world.core.engine())?;
        self.world.upkeep(&mut self.auditor.coverage);
        Ok(())
    }
}
