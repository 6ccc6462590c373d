//! Deliveries: the right message, whole, to one receiver at a time, and none that was gone.

use bytes::Bytes;
use kyu_broker::{
    AttemptEnd, Content, DeadReason, Delivery, Frame, Lease, Property, QueueId, Receipt,
};

use super::messages::CopyKey;
use super::{Auditor, LeaseBook, Request, Taken};
use crate::cast::{LEAST_VISIBILITY_MS, MAX_RECEIVES, Role};
use crate::content::number_of;
use crate::coverage::Event;
use crate::violation::{Violation, ensure};

/// The request of a receive.
pub(super) struct Asked<'a> {
    pub(super) lease: Lease,
    pub(super) has_attempt_id: bool,
    pub(super) with_history: bool,
    pub(super) request: &'a Request,
}

/// Returns true if a content is the one that was sent; an ordered exchange adds the sequence
/// number.
fn is_same(found: &Bytes, sent: &Bytes) -> bool {
    let (Ok(mut found), Ok(sent)) = (Content::decode(found.clone()), Content::decode(sent.clone()))
    else {
        return false;
    };
    found.properties.retain(|(property, _)| *property != Property::Sequence);
    found == sent
}

impl Auditor {
    /// Checks the deliveries of one answer. `frames` are their bytes as a receiver read them.
    pub(super) fn received(
        &mut self,
        deliveries: &[Delivery],
        frames: &mut impl Iterator<Item = Bytes>,
        asked: &Asked<'_>,
    ) -> Result<Vec<Taken>, Violation> {
        let mut taken: Vec<Taken> = Vec::with_capacity(deliveries.len());
        for (delivery, frame) in deliveries.iter().zip(frames) {
            if self.is_timed(delivery.receipt.queue) {
                self.timed_delivered(delivery, frame)?;
                continue;
            }
            let number = self.identify(delivery, frame)?;
            taken.push(Taken { delivery: delivery.clone(), number });
        }
        self.check_lanes(&taken)?;
        for one in &taken {
            self.delivered(one, asked)?;
        }
        self.check_limits(&taken, asked.request)?;
        Ok(taken)
    }

    /// Returns the number of the message whose bytes these are; every byte must be as it was sent.
    fn identify(&self, delivery: &Delivery, frame: Bytes) -> Result<u64, Violation> {
        let receipt = delivery.receipt;
        let frame = Frame::decode(frame)
            .map_err(|error| Violation(format!("{receipt:?}: the body is damaged: {error:?}")))?;
        let number = number_of(&frame.content);
        let book = number.and_then(|number| self.messages.get(&number));
        let (Some(number), Some(book)) = (number, book) else {
            return Err(Violation(format!("{receipt:?}: nobody sent {:?}", frame.message_id)));
        };
        let same = is_same(&frame.content, &book.content)
            && frame.lane == book.lane
            && frame.dedup_id == book.dedup_id
            && frame.sent_at_ms == book.at_ms;
        ensure!(same, "message {number}: {frame:?} is not what was sent: {book:?}");
        ensure!(
            book.message_id.is_none_or(|id| id == frame.message_id),
            "message {number} changed its id from {:?} to {}",
            book.message_id,
            frame.message_id
        );
        Ok(number)
    }

    fn delivered(&mut self, taken: &Taken, asked: &Asked<'_>) -> Result<(), Violation> {
        let Taken { delivery, number } = taken;
        let queue = delivery.receipt.queue;
        let Some(root) = self.queues.get(&queue).map(|book| book.root) else {
            return Err(Violation(format!("message {number} came from the unknown {queue:?}")));
        };
        let (key, role) = ((*number, root), self.role(queue));
        self.check_presence(&key, queue, asked)?;
        self.check_source(taken, role, asked)?;
        if self.was_overtaken(taken, asked) {
            return Ok(());
        }
        self.check_lease(taken, role, asked)?;
        self.note_delivery(&key, role, delivery);
        self.note_lease(taken, root, asked);
        Ok(())
    }

    /// A later delivery was answered before: a lazily logged lease waits for less than an atomic
    /// group does. Only for requests that were on their way at the same time.
    fn was_overtaken(&self, taken: &Taken, asked: &Asked<'_>) -> bool {
        let receipt = taken.delivery.receipt;
        self.leases.get(&(receipt.queue, receipt.seq)).is_some_and(|newest| {
            older(&receipt, &newest.receipt)
                && newest.number == taken.number
                && asked.request.event < newest.completed
        })
    }

    /// The copy may be where it was found: sent there, not removed, not expired.
    fn check_presence(
        &mut self,
        key: &CopyKey,
        queue: QueueId,
        asked: &Asked<'_>,
    ) -> Result<(), Violation> {
        let (number, role) = (key.0, self.role(queue));
        let Some(copy) = self.copies.get(key) else {
            return Err(Violation(format!("message {number} was never accepted by {role:?}")));
        };
        if let Some(event) = copy.gone {
            ensure!(
                asked.request.event < event,
                "message {number} came back in {role:?}: it was gone before it was asked for"
            );
            return Ok(());
        }
        ensure!(
            role.root() != role
                || role.has_family()
                || !self.has_surely_expired(key, asked.request.at_ms),
            "message {number} was delivered by {role:?} after it had expired"
        );
        // A receive that was sent after the doubt arose has settled it.
        if let Some(copy) = self.copies.get_mut(key)
            && copy.perhaps_gone.is_none_or(|since| since < asked.request.event)
        {
            copy.perhaps_gone = None;
            copy.known = true;
            if copy.cut_off {
                self.coverage.note(Event::CutOffFound);
                self.found_somewhere(number);
            }
        }
        Ok(())
    }

    fn check_source(
        &mut self,
        taken: &Taken,
        role: Role,
        asked: &Asked<'_>,
    ) -> Result<(), Violation> {
        let source = taken.delivery.dead_letter_source.as_ref().map(|name| name.name.clone());
        let expected = match role {
            dead if dead.is_dead() => Some(role.root().name(0).name),
            _ => None,
        };
        ensure!(
            source == expected,
            "message {} in {role:?} says it was dead-lettered from {source:?}",
            taken.number
        );
        let reason = taken.delivery.dead_reason;
        let late = matches!(reason, Some(DeadReason::Deadline | DeadReason::Retention));
        ensure!(
            reason.is_some() == role.is_dead() && (!late || role == Role::UrgentDead),
            "message {} in {role:?} says it is dead because of {reason:?}",
            taken.number
        );
        ensure!(
            role != Role::RetriedDead
                || !asked.with_history
                || taken.delivery.receive_count > 1
                || ends_as_told(&taken.delivery),
            "message {} in {role:?} has this history: {:?}",
            taken.number,
            taken.delivery
        );
        if expected.is_some() {
            self.coverage.note(Event::DeadLetter);
        } else if role == Role::Rescue {
            self.coverage.note(Event::Redriven);
        }
        Ok(())
    }

    /// Checks that no other lease of the message runs, and that its delivery number and its count
    /// rise.
    fn check_lease(
        &mut self,
        taken: &Taken,
        role: Role,
        asked: &Asked<'_>,
    ) -> Result<(), Violation> {
        let Taken { delivery, number } = taken;
        let (receipt, count) = (delivery.receipt, delivery.receive_count);
        ensure!(count >= 1, "message {number} in {role:?}: receive count {count}");
        ensure!(
            !role.has_dead_letters() || count <= MAX_RECEIVES,
            "message {number} in {role:?} was received {count} times"
        );
        let before = delivery.total_receive_count.checked_sub(count);
        let by_count = delivery.dead_reason == Some(DeadReason::MaxReceives);
        ensure!(
            before.is_some_and(|before| if by_count { before == MAX_RECEIVES } else { true })
                && (role.is_dead() || before == Some(0)),
            "message {number} in {role:?}: {count} of {} receives",
            delivery.total_receive_count
        );
        let Some(old) = self.leases.get(&(receipt.queue, receipt.seq)) else { return Ok(()) };
        ensure!(
            old.number == *number,
            "{:?} was message {} and is message {number}",
            receipt,
            old.number
        );
        if old.receipt == receipt {
            ensure!(asked.has_attempt_id, "{receipt:?} was given to two receives");
            self.coverage.note(Event::AttemptRepeated);
            return Ok(());
        }
        ensure!(
            older(&old.receipt, &receipt),
            "message {number} in {role:?}: {receipt:?} after {:?}",
            old.receipt
        );
        let binding = old.life == self.life || role.leases_are_durable();
        let runs = match old.session {
            Some(_) => old.life == self.life && !old.ended,
            None => {
                let loose = self.loose.contains(&(receipt.queue, receipt.seq));
                binding && !loose && !old.ended && old.until_ms > self.now_ms
            }
        };
        ensure!(
            !runs,
            "message {number} in {role:?} has two leases at {}: {old:?} and {receipt:?}",
            self.now_ms
        );
        if binding && !old.buried {
            let least = old.receive_count + u32::from(!old.uncounted);
            let exact = old.life == self.life && !old.uncounted && role.leases_are_durable();
            ensure!(
                count >= least && (!exact || count == least),
                "message {number} in {role:?}: receive count {count} after {}",
                old.receive_count
            );
        }
        Ok(())
    }

    fn note_delivery(&mut self, key: &CopyKey, role: Role, delivery: &Delivery) {
        self.coverage.note(Event::Delivery);
        let life = self.life;
        let Some(copy) = self.copies.get_mut(key) else { return };
        copy.deliveries += 1;
        let elsewhere = role.root() != role || copy.seq.is_some_and(|s| s != delivery.receipt.seq);
        // At its last receive it may go to the dead-letter queue behind everybody's back.
        let last = role.has_family() && delivery.receive_count >= MAX_RECEIVES;
        copy.displaced |= elsewhere || last;
        if copy.life < life {
            self.coverage.note(Event::DeliveryAfterRestart);
        }
    }

    fn note_lease(&mut self, taken: &Taken, root: QueueId, asked: &Asked<'_>) {
        let delivery = &taken.delivery;
        let at_ms = asked.request.at_ms;
        let (until_ms, session) = match asked.lease {
            Lease::QueueDefault => (at_ms + LEAST_VISIBILITY_MS, None),
            Lease::For(ms) => (at_ms + ms, None),
            Lease::Session(session) | Lease::Claim(session) => (u64::MAX, Some(session)),
            Lease::Take => (at_ms, None),
        };
        if session.is_some() {
            self.coverage.note(Event::SessionLease);
        }
        // The session may have been ended while this answer was on its way.
        let ended = session
            .and_then(|session| self.session_ends.get(&session))
            .is_some_and(|event| *event > asked.request.event);
        // So may the lease that a repeated attempt shows again.
        let place = (delivery.receipt.queue, delivery.receipt.seq);
        let shown = self.leases.get(&place).filter(|old| old.receipt == delivery.receipt);
        let (was_ended, was_uncounted, was_buried) =
            shown.map_or((false, false, false), |old| (old.ended, old.uncounted, old.buried));
        self.event += 1;
        self.leases.insert(
            place,
            LeaseBook {
                receipt: delivery.receipt,
                number: taken.number,
                root,
                until_ms,
                session,
                ended: ended || was_ended,
                ended_by: (ended || was_ended).then_some(0),
                buried: was_buried,
                uncounted: ended || was_uncounted,
                life: self.life,
                completed: self.event,
                receive_count: delivery.receive_count,
            },
        );
    }
}

/// Returns true if the last attempt of a dead letter ended as its reason says.
fn ends_as_told(delivery: &Delivery) -> bool {
    let last = delivery.past_attempts.last().map(|attempt| attempt.end);
    let rejected = delivery.dead_reason == Some(DeadReason::Rejected);
    match last {
        Some(AttemptEnd::Rejected) => rejected,
        Some(AttemptEnd::Failed | AttemptEnd::TimedOut) => !rejected,
        _ => false,
    }
}

/// Returns true if `a` is the receipt of an earlier delivery than `b`.
fn older(a: &Receipt, b: &Receipt) -> bool {
    (a.epoch, a.delivery) < (b.epoch, b.delivery)
}
