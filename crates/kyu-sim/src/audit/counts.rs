//! Conservation: what came in is there or went out once, in the server's counts and in the books.

use std::collections::BTreeMap;

use kyu_broker::{QueueId, QueueStats, QueueTotals};
use kyu_engine::Engine;

use super::{Auditor, Wish};
use crate::cast::{BOUND, Presence, Role};
use crate::coverage::Event;
use crate::violation::{Violation, ensure};

impl Auditor {
    /// Compares the books with the server's counts. Called when everything asked is on disk.
    pub(crate) fn check_counts(&mut self, engine: &Engine) -> Result<(), Violation> {
        self.check_topics(engine)?;
        let mut live: BTreeMap<QueueId, u64> = BTreeMap::new();
        for (id, book) in &self.queues {
            if book.presence != Presence::There {
                continue;
            }
            let (stats, totals) = ask(engine, *id)?;
            let there = stats.ready + stats.delayed + stats.in_flight + stats.archived + stats.dead;
            let out = totals.acked
                + totals.expired
                + totals.dropped
                + totals.rejected
                + totals.moved_out
                + totals.purged
                + totals.cancelled;
            let name = &book.name.name;
            ensure!(
                totals.sent + totals.moved_in == there + out,
                "conservation in {name}: {stats:?} {totals:?}"
            );
            let dead = totals.dead_by_receives
                + totals.dead_by_rejection
                + totals.dead_by_deadline
                + totals.dead_by_retention;
            ensure!(
                dead <= totals.moved_out
                    && stats.held <= stats.delayed
                    && stats.dead + totals.revived <= totals.kept_dead,
                "counts by reason in {name}: {stats:?} {totals:?}"
            );
            if book.role == Role::Timed {
                self.check_timers(engine, totals.sent)?;
                self.check_long_polls(*id, &stats)?;
                continue;
            }
            if book.role.is_table() {
                continue;
            }
            between(totals.sent, book.sent, name, "sent")?;
            between(totals.acked, book.acked, name, "acknowledged")?;
            let bounded = matches!(book.role, Role::Bounded | Role::Dropping);
            ensure!(!bounded || there <= BOUND, "{name} holds {there} messages");
            *live.entry(book.root).or_default() += there;
            self.check_long_polls(*id, &stats)?;
        }
        for (root, there) in live {
            self.check_family(root, there)?;
        }
        Ok(())
    }

    /// The queues of one family hold all that is surely there, and no more than may be.
    fn check_family(&self, root: QueueId, there: u64) -> Result<(), Violation> {
        let open = self.open.get(&root);
        let most = open.map_or(0, |numbers| numbers.len() as u64);
        let sure = open.into_iter().flatten().filter(|n| self.surely_there(&(**n, root)));
        let least = sure.count() as u64;
        ensure!(
            (least..=most).contains(&there),
            "{:?} and its family hold {there} messages, the books say {least} to {most}",
            self.role(root)
        );
        Ok(())
    }

    /// Returns the number of messages whose time is over but that may still be counted, because a
    /// full log cannot record their end.
    fn perhaps_expired(&self, queue: QueueId) -> u64 {
        let Some(root) = self.queues.get(&queue).map(|book| book.root) else { return 0 };
        let open = self.open.get(&root).into_iter().flatten();
        open.filter(|n| self.is_late(&(**n, root), self.now_ms)).count() as u64
    }

    /// Checks that nobody waits at a standard queue that has messages, and that nobody waits too
    /// long.
    fn check_long_polls(&self, queue: QueueId, stats: &QueueStats) -> Result<(), Violation> {
        for (ticket, request) in &self.pending {
            let Wish::Receive { acquire, wait_ms } = &request.wish else { continue };
            if acquire.queue != queue || request.cancelled {
                continue;
            }
            ensure!(
                request.at_ms + wait_ms > self.now_ms,
                "receive {ticket} of {:?} waits longer than it asked for",
                self.role(queue)
            );
            ensure!(
                // A breaker may be open.
                self.role(queue).is_fifo()
                    || self.role(queue) == Role::Retried
                    || self.role(queue) == Role::Limited
                    || stats.ready <= self.perhaps_expired(queue),
                "receive {ticket} waits though {:?} has {} messages ready",
                self.role(queue),
                stats.ready
            );
        }
        Ok(())
    }

    /// Checks, after everything was received and acknowledged, that nothing that surely was there
    /// is left in the books.
    pub(crate) fn check_drained(&mut self, engine: &Engine) -> Result<(), Violation> {
        for (root, numbers) in &self.open {
            for number in numbers {
                ensure!(
                    !self.surely_there(&(*number, *root)),
                    "message {number} of {:?} is lost: {:?}",
                    self.role(*root),
                    self.copies.get(&(*number, *root))
                );
            }
        }
        let there = self.queues.iter().filter(|(_, book)| book.presence == Presence::There);
        for (id, book) in there {
            let (stats, totals) = ask(engine, *id)?;
            let left = stats.ready + stats.delayed + stats.in_flight + stats.archived + stats.dead;
            ensure!(left == 0, "{left} messages are stuck in {:?}: {stats:?}", book.role);
            self.coverage.add(Event::Expired, totals.expired);
            self.coverage.add(Event::Dropped, totals.dropped);
            self.coverage.add(Event::Held, totals.held);
            self.coverage.add(Event::BreakerOpened, totals.breaker_opened);
            self.coverage.add(Event::DeadLate, totals.dead_by_deadline + totals.dead_by_retention);
            self.coverage.add(Event::DoubleExecution, totals.double_executions);
            self.coverage.add(Event::KeptDead, totals.kept_dead);
            self.coverage.add(Event::Revived, totals.revived);
        }
        self.check_timers_drained(engine)
    }
}

fn ask(engine: &Engine, queue: QueueId) -> Result<(QueueStats, QueueTotals), Violation> {
    match (engine.stats(queue), engine.totals(queue)) {
        (Ok(stats), Ok(totals)) => Ok((stats, totals)),
        other => Err(Violation(format!("{queue:?} has no counts: {other:?}"))),
    }
}

fn between(
    count: u64,
    (surely, perhaps): (u64, u64),
    name: &str,
    what: &str,
) -> Result<(), Violation> {
    ensure!(
        (surely..=surely + perhaps).contains(&count),
        "{name} counts {count} {what}, the books say {surely} and perhaps {perhaps} more"
    );
    Ok(())
}
