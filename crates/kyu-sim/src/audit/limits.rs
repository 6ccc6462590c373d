//! The limits of a queue and of its lanes: deliveries over any window, messages in flight, pauses.

use std::collections::BTreeMap;

use kyu_broker::{QueueId, RateLimit, SetPaused, UnixMs};

use super::{Auditor, Request, Taken};
use crate::cast::{LANE_IN_FLIGHT, LANE_RATE, RATE, Role};
use crate::coverage::Event;
use crate::violation::{Violation, ensure};

/// The auditor's book of the queue with limits.
#[derive(Debug, Default)]
pub(super) struct LimitBook {
    /// The pauses of the queue (`None`) and of its lanes.
    pauses: BTreeMap<Option<String>, PauseBook>,
    /// The times at which messages were leased, in order: of the queue (`None`) and of its lanes.
    leased: BTreeMap<Option<String>, Vec<UnixMs>>,
    /// The event at which it was last asked to be emptied.
    emptied: u64,
    /// True if its settings were changed: nothing is held against it any more.
    lifted: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct PauseBook {
    /// The event since which it surely is paused.
    since: Option<u64>,
    /// The event at which it was last asked to be resumed.
    resume_asked: u64,
}

impl Auditor {
    pub(super) fn note_pause(&mut self, command: &SetPaused, request: &Request) {
        if !command.paused {
            let book = self.limits.pauses.entry(command.lane.clone()).or_default();
            *book = PauseBook { since: None, resume_asked: request.event };
        }
    }

    pub(super) fn paused(&mut self, command: &SetPaused, request: &Request) {
        self.coverage.note(if command.paused { Event::Paused } else { Event::Resumed });
        let event = self.event;
        let book = self.limits.pauses.entry(command.lane.clone()).or_default();
        if command.paused && book.since.is_none() && book.resume_asked < request.event {
            book.since = Some(event);
        }
    }

    /// Notes that nothing is limited from now on.
    pub(super) fn lift_limits(&mut self, queue: QueueId) {
        self.limits.lifted |= self.role(queue) == Role::Limited;
    }

    pub(super) fn note_limited_emptying(&mut self, queue: QueueId, request: &Request) {
        if self.role(queue) == Role::Limited {
            self.limits.emptied = request.event;
        }
    }

    /// Called when the leases of the batch are in the books.
    pub(super) fn check_limits(
        &mut self,
        batch: &[Taken],
        request: &Request,
    ) -> Result<(), Violation> {
        for taken in batch {
            let queue = taken.delivery.receipt.queue;
            if self.role(queue) != Role::Limited || self.limits.lifted {
                continue;
            }
            // The queue may have been emptied while this answer was on its way.
            let place = (queue, taken.delivery.receipt.seq);
            if request.event < self.limits.emptied
                && let Some(lease) = self.leases.get_mut(&place)
            {
                lease.ended = true;
            }
            let lane = self.messages.get(&taken.number).and_then(|book| book.lane.clone());
            self.check_pause(&None, request)?;
            self.check_rate(None, &RATE, taken.delivery.last_received_at_ms)?;
            if lane.is_some() {
                self.check_pause(&lane, request)?;
                self.check_in_flight(queue, &lane)?;
                self.check_rate(lane, &LANE_RATE, taken.delivery.last_received_at_ms)?;
            }
        }
        Ok(())
    }

    fn check_pause(&self, lane: &Option<String>, request: &Request) -> Result<(), Violation> {
        let since = self.limits.pauses.get(lane).and_then(|book| book.since);
        ensure!(
            since.is_none_or(|since| request.event < since),
            "a message of {lane:?} was delivered to {:?}, though it was paused before",
            request.wish
        );
        Ok(())
    }

    /// Checks that no window has more deliveries than the burst and the tokens that came in with
    /// time.
    fn check_rate(
        &mut self,
        lane: Option<String>,
        rate: &RateLimit,
        at_ms: UnixMs,
    ) -> Result<(), Violation> {
        let all = self.limits.leased.entry(lane.clone()).or_default();
        let place = all.partition_point(|before| *before <= at_ms);
        all.insert(place, at_ms);
        for (first, from) in all.iter().enumerate().take(place + 1).rev() {
            for (last, to) in all.iter().enumerate().skip(place) {
                let saved = u64::from(rate.burst) * rate.interval_ms;
                let most = saved + (to - from) * u64::from(rate.permits);
                let count = (last - first + 1) as u64;
                ensure!(
                    count * rate.interval_ms <= most,
                    "{count} deliveries of {lane:?} from {from} to {to} are more than {rate:?}"
                );
            }
        }
        Ok(())
    }

    /// Checks the messages in flight: leases that surely run now have run together since the last
    /// of them began.
    fn check_in_flight(&mut self, queue: QueueId, lane: &Option<String>) -> Result<(), Violation> {
        let running = self.leases.iter().filter(|(place, lease)| {
            place.0 == queue
                && !lease.ended
                && lease.until_ms > self.now_ms
                && !self.loose.contains(place)
                && self.messages.get(&lease.number).is_some_and(|book| book.lane == *lane)
        });
        let running = running.count();
        ensure!(running <= LANE_IN_FLIGHT as usize, "{running} messages of {lane:?} are in flight");
        if running == LANE_IN_FLIGHT as usize {
            self.coverage.note(Event::LaneFull);
        }
        Ok(())
    }
}
