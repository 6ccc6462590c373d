//! Settles and extensions: the deliveries that may decide about a message, and the consequences.

use kyu_broker::{Extend, Extended, Outcome, Receipt, Settle, Settled};

use super::{Auditor, LeaseBook, Request};
use crate::coverage::Event;
use crate::violation::{Violation, ensure};

impl Auditor {
    pub(super) fn note_settle(&mut self, settle: &Settle, request: &mut Request) {
        for (receipt, outcome) in &settle.items {
            let role = self.role(receipt.queue);
            let moves = role.root() == role && role.has_family();
            let Some(lease) = self.leases.get_mut(&(receipt.queue, receipt.seq)) else { continue };
            let key = (lease.number, lease.root);
            if lease.receipt <= *receipt || lease.receipt.epoch <= receipt.epoch {
                lease.end(request.event);
            }
            if let Outcome::Release { counted: false, .. } = outcome {
                lease.uncounted = true;
            }
            match outcome {
                Outcome::Release { .. } | Outcome::Failed { retry: true, .. } => {}
                Outcome::Ack => self.doubt(key, request),
                Outcome::Dead | Outcome::Failed { .. } if moves => {
                    if let Some(copy) = self.copies.get_mut(&key) {
                        copy.displaced = true;
                    }
                }
                // Kept as dead where it is, until a move task brings it back.
                Outcome::Dead | Outcome::Failed { .. } => {
                    lease.buried = true;
                    if let Some(copy) = self.copies.get_mut(&key) {
                        (copy.displaced, copy.buried) = (true, true);
                    }
                }
            }
        }
    }

    pub(super) fn note_extend(&mut self, extend: &Extend, request: &Request) {
        for (receipt, run_ms) in &extend.items {
            if !self.role(receipt.queue).is_fifo() {
                self.loose.insert((receipt.queue, receipt.seq));
            }
            let lease = self.leases.get_mut(&(receipt.queue, receipt.seq));
            if let Some(lease) = lease.filter(|lease| lease.receipt == *receipt) {
                lease.until_ms = lease.until_ms.min(request.at_ms + run_ms);
                if *run_ms == 0 {
                    lease.end(request.event);
                }
            }
        }
    }

    pub(super) fn settled(
        &mut self,
        settle: &Settle,
        results: &[Settled],
        request: &Request,
    ) -> Result<(), Violation> {
        ensure!(results.len() == settle.items.len(), "a settle answered {results:?}");
        for ((receipt, outcome), result) in settle.items.iter().zip(results) {
            let Some(lease) = self.leases.get(&(receipt.queue, receipt.seq)).cloned() else {
                return Err(Violation(format!("{receipt:?} is in no book")));
            };
            match result {
                Settled::Done => self.decided(receipt, outcome, &lease, request)?,
                Settled::Gone => self.check_gone(receipt, &lease, request)?,
                Settled::Stale => self.coverage.note(Event::Stale),
                Settled::Lapsed => self.coverage.note(Event::Lapsed),
                Settled::Foreign => {
                    return Err(Violation(format!("{receipt:?} was called foreign")));
                }
            }
        }
        Ok(())
    }

    fn decided(
        &mut self,
        receipt: &Receipt,
        outcome: &Outcome,
        lease: &LeaseBook,
        request: &Request,
    ) -> Result<(), Violation> {
        let key = (lease.number, lease.root);
        let role = self.role(receipt.queue);
        let newer = lease.receipt != *receipt
            && lease.completed < request.event
            && (lease.life == self.life || role.leases_are_durable());
        let accepted_late = role.accepts_late_acks() && *outcome == Outcome::Ack;
        if newer && accepted_late {
            self.coverage.note(Event::LateAck);
        }
        ensure!(
            !newer || accepted_late,
            "message {} in {role:?}: the stale {receipt:?} decided after {:?} was handed out",
            lease.number,
            lease.receipt
        );
        if let Some(copy) = self.copies.get(&key) {
            ensure!(
                copy.gone.is_none_or(|event| event >= request.event),
                "message {} in {role:?}: settled though it was gone",
                lease.number
            );
        }
        match outcome {
            Outcome::Ack => {
                self.coverage.note(Event::Acked);
                if self.full {
                    self.coverage.note(Event::AckWhileFull);
                }
                if receipt.epoch < self.epoch_of_life() {
                    self.coverage.note(Event::AckedAfterRestart);
                }
                if let Some(book) = self.queues.get_mut(&receipt.queue) {
                    book.acked.0 += 1;
                }
                self.remove(&key);
            }
            Outcome::Release { .. } | Outcome::Failed { retry: true, .. } => {
                self.coverage.note(Event::Released);
            }
            Outcome::Dead | Outcome::Failed { .. } => {}
        }
        Ok(())
    }

    /// The newest epoch that any delivery came from.
    fn epoch_of_life(&self) -> u32 {
        self.leases
            .values()
            .filter(|l| l.life == self.life)
            .map(|l| l.receipt.epoch)
            .max()
            .unwrap_or(0)
    }

    /// Checks an answer that a message is no longer there, which is a violation if it surely is.
    fn check_gone(
        &self,
        receipt: &Receipt,
        lease: &LeaseBook,
        request: &Request,
    ) -> Result<(), Violation> {
        let role = self.role(receipt.queue);
        let key = (lease.number, lease.root);
        let in_hand = lease.receipt == *receipt
            && lease.ended_by.is_none_or(|event| event >= request.event)
            && lease.life == self.life
            && lease.until_ms > self.now_ms
            && !self.loose.contains(&(receipt.queue, receipt.seq));
        ensure!(
            role.has_family() || !(in_hand && self.surely_in_hand(&key)),
            "message {} in {role:?} was taken from its worker: {receipt:?} was answered \"gone\"",
            lease.number
        );
        ensure!(
            role.has_family() || !self.surely_there(&key),
            "message {} in {role:?} is lost: {receipt:?} was answered \"gone\"",
            lease.number
        );
        Ok(())
    }

    pub(super) fn extended(
        &mut self,
        extend: &Extend,
        results: &[Extended],
        request: &Request,
    ) -> Result<(), Violation> {
        ensure!(results.len() == extend.items.len(), "an extend answered {results:?}");
        for ((receipt, run_ms), result) in extend.items.iter().zip(results) {
            let Some(lease) = self.leases.get(&(receipt.queue, receipt.seq)).cloned() else {
                return Err(Violation(format!("{receipt:?} is in no book")));
            };
            match result {
                Extended::Done => {
                    self.coverage.note(Event::Extended);
                    let role = self.role(receipt.queue);
                    let fences = !role.accepts_late_acks() || *run_ms == 0;
                    let newer = (role.is_fifo() || fences)
                        && lease.receipt != *receipt
                        && lease.completed < request.event
                        && lease.life == self.life;
                    ensure!(
                        !newer,
                        "the stale {receipt:?} extended the lease of {:?}",
                        lease.receipt
                    );
                    if lease.receipt == *receipt
                        && lease.session.is_none()
                        && let Some(lease) = self.leases.get_mut(&(receipt.queue, receipt.seq))
                    {
                        lease.until_ms = request.at_ms + run_ms;
                    }
                }
                Extended::Gone => self.check_gone(receipt, &lease, request)?,
                Extended::NotInFlight => {}
                Extended::TooLong | Extended::Foreign => {
                    return Err(Violation(format!("{receipt:?} was answered {result:?}")));
                }
            }
        }
        Ok(())
    }
}
