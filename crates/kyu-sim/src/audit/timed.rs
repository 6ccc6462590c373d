//! Schedules: each run that is due is accounted for once, and sends one message at most.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kyu_broker::{
    Answer, Delivery, Frame, MessageId, Outcome, Property, Query, QueueId, Receipt, ScheduleAnswer,
    ScheduleInfo, ScheduleQuery, Seq, Settle, Settled, UnixMs,
};
use kyu_engine::Engine;

use super::Auditor;
use crate::cast::Role;
use crate::content::number_of;
use crate::coverage::Event;
use crate::timed::Timer;
use crate::violation::{Violation, ensure};

/// Receipts that clients remember.
const MAX_RECEIPTS: usize = 30;

/// The auditor's book of the messages that schedules sent.
#[derive(Default)]
pub(crate) struct TimedBook {
    pub(crate) start_ms: UnixMs,
    /// The receipts that clients have, old and stale ones included.
    pub(crate) receipts: Vec<Receipt>,
    /// The message of each run that was seen.
    runs: BTreeMap<(Timer, UnixMs), MessageId>,
    /// The runs whose messages were seen, by their numbers in the queue.
    seen: BTreeMap<Seq, (Timer, UnixMs)>,
    /// Messages whose removal was asked for.
    over: BTreeSet<Seq>,
}

impl TimedBook {
    pub(super) fn new(start_ms: UnixMs) -> Self {
        Self { start_ms, ..Self::default() }
    }
}

impl Auditor {
    pub(super) fn is_timed(&self, queue: QueueId) -> bool {
        self.role(queue) == Role::Timed
    }

    pub(super) fn timed_delivered(
        &mut self,
        delivery: &Delivery,
        frame: Bytes,
    ) -> Result<(), Violation> {
        let receipt = delivery.receipt;
        let broken = |what: &str| Violation(format!("{receipt:?} of a schedule: {what}"));
        let frame = Frame::decode(frame).map_err(|error| broken(&format!("{error:?}")))?;
        let content = frame.content().map_err(|error| broken(&format!("{error:?}")))?;
        let due_ms = content.property(Property::ScheduledAt).and_then(|text| text.parse().ok());
        let due_ms: UnixMs = due_ms.ok_or_else(|| broken("says not when it was due"))?;
        let timer = number_of(&frame.content).and_then(Timer::numbered);
        let timer = timer.ok_or_else(|| broken("is of no schedule"))?;
        let book = &mut self.timed;
        ensure!(
            timer.is_due(book.start_ms, due_ms) && due_ms <= frame.sent_at_ms,
            "{timer:?} sent at {} for {due_ms}",
            frame.sent_at_ms
        );
        let first = *book.runs.entry((timer, due_ms)).or_insert(frame.message_id);
        ensure!(
            first == frame.message_id,
            "the run of {timer:?} at {due_ms} sent {first} and {}",
            frame.message_id
        );
        book.seen.insert(receipt.seq, (timer, due_ms));
        if timer == Timer::Skipping {
            let over = &book.over;
            let mut others = book
                .seen
                .iter()
                .filter(|(seq, (of, due))| *of == timer && *due != due_ms && !over.contains(seq));
            if let Some((seq, other)) = others.next()
                && !over.contains(&receipt.seq)
            {
                return Err(broken(&format!("{other:?} ({seq}) is there as well as {due_ms}")));
            }
        }
        if book.receipts.len() >= MAX_RECEIPTS {
            book.receipts.remove(0);
        }
        book.receipts.push(receipt);
        self.coverage.note(Event::TimedDelivery);
        Ok(())
    }

    pub(super) fn note_timed_settle(&mut self, settle: &Settle) {
        for (receipt, outcome) in &settle.items {
            if !matches!(outcome, Outcome::Release { .. }) {
                self.timed.over.insert(receipt.seq);
            }
            self.timed.receipts.retain(|one| one != receipt);
        }
    }

    pub(super) fn timed_settled(&self, results: &[Settled]) -> Result<(), Violation> {
        let foreign = results.contains(&Settled::Foreign);
        ensure!(!foreign, "a receipt of a schedule's message was called foreign");
        Ok(())
    }

    /// Checks that every run that was due is either sent, missed or overlapped.
    pub(super) fn check_timers(&self, engine: &Engine, sent: u64) -> Result<(), Violation> {
        let mut of_timers = 0;
        for timer in Timer::ALL {
            let Some(info) = ask(engine, timer) else { continue };
            let Some(next) = info.next else { continue };
            let t = info.totals;
            let runs = timer.runs_before(self.timed.start_ms, next.due_ms);
            ensure!(
                t.sent + t.missed + t.overlapped + t.failed == runs,
                "{timer:?} was due {runs} times before {}, and counts {t:?}",
                next.due_ms
            );
            ensure!(t.failed == 0, "{timer:?} failed: {:?}", info.last);
            ensure!(
                timer != Timer::Every || t.sent == runs,
                "{timer:?} was to catch up all of its {runs} runs: {t:?}"
            );
            of_timers += t.sent;
        }
        ensure!(
            of_timers == 0 || of_timers == sent,
            "schedules sent {of_timers} messages, and their queue has got {sent}"
        );
        Ok(())
    }

    /// Checks, after everything was received, that the message of each run was seen.
    pub(super) fn check_timers_drained(&mut self, engine: &Engine) -> Result<(), Violation> {
        for timer in Timer::ALL {
            let Some(info) = ask(engine, timer) else { continue };
            let seen = self.timed.runs.keys().filter(|(of, _)| *of == timer).count() as u64;
            let t = info.totals;
            // What was replaced nobody has seen.
            let exact = timer != Timer::Replacing;
            ensure!(
                seen <= t.sent && (!exact || seen == t.sent),
                "{timer:?} sent {} messages, and {seen} came: {t:?}",
                t.sent
            );
            self.coverage.add(Event::TimedMissed, t.missed);
            self.coverage.add(Event::TimedOverlap, t.overlapped);
        }
        Ok(())
    }
}

fn ask(engine: &Engine, timer: Timer) -> Option<ScheduleInfo> {
    match engine.query(&Query::Schedule(ScheduleQuery::Get(timer.name()))) {
        Ok(Answer::Schedule(ScheduleAnswer::Schedule(info))) => info.map(|info| (*info).clone()),
        _ => None,
    }
}
