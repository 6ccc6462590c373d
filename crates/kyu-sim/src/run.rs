//! One run: a seed makes a world, clients, faults and deaths, and the auditor judges.

use bytes::Bytes;
use kyu_broker::{
    Command, Completion, Core, CreateQueue, Delivery, Error, Pin, Receipt, ReceiveId, Response,
};
use kyu_log::{Log, SyncMode};

use crate::audit::{Auditor, Taken, Wish, deliveries_of};
use crate::cast::Role;
use crate::clients::{Action, Clients};
use crate::coverage::{Coverage, Event};
use crate::lives::LifeEnd;
use crate::random::Random;
use crate::tables::Tables;
use crate::timed::Timer;
use crate::topics::Topic;
use crate::trace::Trace;
use crate::violation::{Violation, ensure};
use crate::world::{Setup, World};

/// A time on which every run begins.
const START_MS: u64 = 1_700_000_000_000;
/// Messages whose bodies are read late.
const MAX_SLOW_READERS: usize = 8;

/// The options of a run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// [`SyncMode::Broken`] is the control: the auditor must notice.
    pub sync: SyncMode,
    /// Compare states over restarts from inside, as the auditor cannot.
    pub compare_states: bool,
    /// Keep the text of the trace.
    pub keep_trace: bool,
    /// Lives of the server.
    pub lives: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { sync: SyncMode::Always, compare_states: true, keep_trace: false, lives: 6 }
    }
}

/// The report of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// The first broken promise, if there was one.
    pub violation: Option<Violation>,
    /// The events that happened.
    pub coverage: Coverage,
    /// All that was asked and answered.
    pub trace: Trace,
}

/// Carries out the run of a seed.
pub fn run(seed: u64, options: &Options) -> Report {
    let mut random = Random::new(seed);
    let setup = Setup {
        seed,
        sync: options.sync,
        compare_states: options.compare_states,
        start_ms: START_MS,
    };
    let world = match World::new(&setup, &mut random) {
        Ok(world) => world,
        Err(violation) => {
            let (coverage, trace) = (Coverage::default(), Trace::default());
            return Report { seed, violation: Some(violation), coverage, trace };
        }
    };
    let mut run = Run {
        random,
        world,
        auditor: Auditor::new(START_MS),
        clients: Clients::default(),
        tables: Tables::default(),
        slow_readers: Vec::new(),
        trace: Trace::new(options.keep_trace),
        last_ticket: 0,
    };
    let violation = run.all(options.lives).err();
    if let Some(violation) = &violation {
        run.trace.line(format_args!("VIOLATION {violation}"));
    }
    Report { seed, violation, coverage: run.auditor.coverage, trace: run.trace }
}

pub(crate) struct Run {
    pub(crate) random: Random,
    pub(crate) world: World,
    pub(crate) auditor: Auditor,
    pub(crate) clients: Clients,
    pub(crate) tables: Tables,
    pub(crate) slow_readers: Vec<SlowReader>,
    pub(crate) trace: Trace,
    last_ticket: u64,
}

/// Reads a body long after it was delivered; its pin must keep the body where it is.
pub(crate) struct SlowReader {
    delivery: Delivery,
    frame: Bytes,
    rounds: u64,
    _pin: Pin,
}

impl Run {
    fn all(&mut self, lives: u64) -> Result<(), Violation> {
        self.create_cast()?;
        for _ in 0..lives {
            let ending = self.live()?;
            self.end_life(ending)?;
            self.be_reborn()?;
        }
        self.end_run()
    }

    fn create_cast(&mut self) -> Result<(), Violation> {
        self.world.advance(0);
        for role in Role::LASTING {
            let (name, config) = (role.name(0), role.config());
            let create = CreateQueue { name, config: config.into(), name_reuse_wait_ms: 0 };
            self.ask(Wish::Command(Command::CreateQueue(create)));
        }
        for command in Topic::ALL.into_iter().flat_map(Topic::founding) {
            self.ask(Wish::Command(command));
        }
        for timer in Timer::ALL {
            self.ask(Wish::Command(timer.create(START_MS)));
        }
        self.world.flush();
        self.take_answers()?;
        ensure!(self.auditor.pending.is_empty(), "the first queues were not created");
        Ok(())
    }

    /// Rounds until the life ends, one way or another.
    fn live(&mut self) -> Result<LifeEnd, Violation> {
        let mut plan = self.plan_life();
        for round in 0..plan.rounds {
            self.strike(&mut plan, round);
            if !self.round()? {
                return Ok(self.cause_of_death());
            }
        }
        Ok(plan.ending)
    }

    /// Time, requests, the disk, answers, upkeep. False if the process has died.
    fn round(&mut self) -> Result<bool, Violation> {
        self.pass_time();
        for _ in 0..self.random.between(1, 6) {
            let directory = self.world.core.directory().clone();
            match self.clients.next(&self.auditor, &directory, &mut self.random) {
                Some(Action::Ask(wish)) => self.ask(*wish),
                Some(Action::Cancel(queue, ticket)) => {
                    self.auditor.coverage.note(Event::LongPollCancelled);
                    self.trace.line(format_args!("{ticket} cancelled"));
                    self.auditor.cancelled(ticket);
                    self.world.core.cancel(queue, ReceiveId(ticket));
                }
                None => {}
            }
            self.ask_table();
            if self.world.is_dead() {
                return Ok(false);
            }
        }
        let flushes = self.random.percent(70);
        if flushes {
            if !self.flush_all()? {
                return Ok(false);
            }
            self.auditor.forget_cancelled();
            self.check_quiet()?;
        } else {
            self.world.core.hand_over();
            self.take_answers()?;
        }
        if self.random.percent(60) {
            for _ in 0..self.random.between(1, 3) {
                self.world.upkeep(&mut self.auditor.coverage);
            }
        }
        self.read_slowly()?;
        Ok(!self.world.is_dead())
    }

    fn ask_table(&mut self) {
        if !self.random.percent(60) {
            return;
        }
        // What is due is done first: rows are visible to the millisecond. A full log may refuse it.
        self.advance(0);
        let engine = self.world.core.engine();
        self.auditor.tables.look_for_stale(engine);
        if engine.next_due_ms().is_some_and(|due_ms| due_ms <= self.world.now_ms) {
            return;
        }
        if let Some(wish) = self.tables.next(&self.auditor, &mut self.random) {
            self.ask(wish);
        }
    }

    /// Flushes until everything is durable and answered: deliveries that nobody takes go on to
    /// those who wait. Returns false if the process has died.
    fn flush_all(&mut self) -> Result<bool, Violation> {
        loop {
            let survived = self.world.flush();
            self.take_answers()?;
            if !survived {
                return Ok(false);
            }
            if self.world.core.log().end() == self.world.core.log().durable() {
                return Ok(true);
            }
        }
    }

    fn pass_time(&mut self) {
        let ms = match self.random.weighted(&[50, 35, 12, 3]) {
            0 => 0,
            1 => self.random.between(1, 100),
            2 => self.random.between(500, 3_000),
            _ => self.random.between(5_000, 30_000),
        };
        self.advance(ms);
    }

    pub(crate) fn advance(&mut self, ms: u64) {
        self.world.advance(ms);
        self.auditor.now_ms = self.world.now_ms;
    }

    pub(crate) fn ask(&mut self, wish: Wish) {
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        self.trace.line(format_args!("{ticket} at {} asks {wish:?}", self.world.now_ms));
        self.auditor.submitted(ticket, wish.clone());
        let core: &mut Core<u64> = &mut self.world.core;
        match wish {
            Wish::Command(command) | Wish::Table(command) => core.submit(&command, ticket),
            Wish::Receive { acquire, wait_ms } => {
                if wait_ms > 0 {
                    self.clients.waiting.push((acquire.queue, ticket));
                }
                core.receive(ReceiveId(ticket), acquire, wait_ms, ticket);
            }
        }
        self.world.mark();
    }

    pub(crate) fn take_answers(&mut self) -> Result<Vec<Taken>, Violation> {
        let mut all = Vec::new();
        for completion in self.world.take_done() {
            all.extend(self.take_answer(completion)?);
        }
        Ok(all)
    }

    fn take_answer(&mut self, completion: Completion<u64>) -> Result<Vec<Taken>, Violation> {
        let Completion { ticket, result, pin } = completion;
        self.trace.line(format_args!("{ticket} answered {result:?}"));
        self.clients.waiting.retain(|(_, waiting)| *waiting != ticket);
        let deliveries = match &result {
            Ok(Response::Reply(reply)) => deliveries_of(reply),
            _ => Vec::new(),
        };
        // An answer of a process that is dying does not reach its client.
        let lost = matches!(result, Err(Error::Internal)) && self.world.is_dead();
        let mut frames = Vec::with_capacity(deliveries.len());
        for delivery in &deliveries {
            match self.world.read(delivery) {
                Ok(frame) => frames.push(frame),
                Err(_) if self.world.is_dead() => return Ok(Vec::new()),
                Err(violation) => return Err(violation),
            }
        }
        if lost {
            return Ok(Vec::new());
        }
        let (taken, left) = self.auditor.answered(ticket, &result, frames.clone())?;
        if left || (!taken.is_empty() && self.random.percent(4)) {
            self.abandon(&taken);
            return Ok(Vec::new());
        }
        self.clients.took(&taken, &mut self.random);
        if let (Some(delivery), Some(frame)) = (deliveries.first(), frames.first())
            && self.slow_readers.len() < MAX_SLOW_READERS
            && self.random.percent(5)
        {
            let (delivery, frame) = (delivery.clone(), frame.clone());
            let rounds = self.random.between(1, 40);
            self.slow_readers.push(SlowReader { delivery, frame, rounds, _pin: pin });
        }
        Ok(taken)
    }

    /// The client has gone, or goes before it takes the messages.
    fn abandon(&mut self, taken: &[Taken]) {
        let receipts: Vec<Receipt> = taken.iter().map(|one| one.delivery.receipt).collect();
        let Some(first) = receipts.first() else { return };
        self.auditor.abandoned(&receipts);
        self.trace.line(format_args!("abandoned {receipts:?}"));
        let queue = first.queue;
        let of_queue = receipts.iter().copied().filter(|receipt| receipt.queue == queue).collect();
        self.world.core.abandon(queue, of_queue);
        self.world.mark();
    }

    fn check_quiet(&mut self) -> Result<(), Violation> {
        self.auditor.check_table(self.world.core.engine())?;
        let waits = |wish: &Wish| matches!(wish, Wish::Receive { wait_ms, .. } if *wait_ms > 0);
        if self.auditor.pending.values().all(|request| waits(&request.wish)) {
            self.auditor.check_counts(self.world.core.engine())?;
        }
        Ok(())
    }

    fn read_slowly(&mut self) -> Result<(), Violation> {
        for reader in &mut self.slow_readers {
            reader.rounds = reader.rounds.saturating_sub(1);
        }
        let done: Vec<SlowReader> = self.slow_readers.extract_if(.., |r| r.rounds == 0).collect();
        for reader in done {
            match self.world.read(&reader.delivery) {
                Ok(frame) => ensure!(
                    frame == reader.frame,
                    "{:?} reads differently later",
                    reader.delivery.receipt
                ),
                Err(_) if self.world.is_dead() => {}
                Err(violation) => return Err(violation),
            }
            self.auditor.coverage.note(Event::SlowRead);
        }
        Ok(())
    }
}
