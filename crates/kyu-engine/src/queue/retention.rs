//! The retention of messages: when it begins, and which messages it may take.
//!
//! Retention is for what nobody comes to fetch. It takes messages that could be received all along,
//! and dead letters that are kept; never one that is delayed, under lease, in a transaction, or
//! waiting for its next attempt. A message that becomes receivable after such a time begins a new
//! retention period, which is a fact of the log ([`MessageFact::Receivable`]).

use kyu_model::{FOREVER, Phase, QueueId, RetentionFrom, Seq, UnixMs};

use crate::effect::Effects;
use crate::queue::message::Message;
use crate::queue::message_record::MessageFact;
use crate::queue::store::Queue;
use crate::state::State;

/// A wait shorter than this share of the retention starts no new period: keeping a time of its own
/// for each message would make a backlog of briefly delayed ones ten times as large.
const GRAIN: u64 = 100;

impl Queue {
    /// Returns true if a message that becomes receivable at this time begins a new retention
    /// period.
    pub(crate) fn begins_anew(&self, message: &Message, at_ms: UnixMs) -> bool {
        let config = &self.info.config;
        let waited_ms = at_ms.saturating_sub(message.retained_from());
        let restarts = match message.phase {
            Phase::Delayed(_) | Phase::Backoff(_) | Phase::Parked => true,
            Phase::Leased(_) | Phase::Held(_) => config.retention_from == RetentionFrom::Receivable,
            Phase::Ready | Phase::Archived(_) | Phase::Dead(_) => false,
        };
        // Without a retention this is false, as no wait is that long.
        restarts && waited_ms > config.retention_ms / GRAIN
    }

    /// Records which of the given messages, which become receivable at this time, begin a new
    /// retention period.
    pub(crate) fn note_receivable(&self, seqs: &[Seq], at_ms: UnixMs, effects: &mut Effects) {
        if self.info.config.retention_ms == FOREVER {
            return;
        }
        let anew = |seq: &Seq| self.messages.get(*seq).is_some_and(|m| self.begins_anew(&m, at_ms));
        let seqs: Vec<Seq> = seqs.iter().copied().filter(anew).collect();
        if !seqs.is_empty() {
            let queue = self.id();
            effects.push(MessageFact::Receivable { queue, at_ms, seqs });
        }
    }

    /// Returns the time at which the retention of a message would end if nobody did anything;
    /// `None` for never, or if that depends on what somebody does. It is for display;
    /// [`Queue::retention_ends`] is the one that decides.
    pub(crate) fn retained_until(&self, message: &Message) -> Option<UnixMs> {
        let from = match message.phase {
            Phase::Ready | Phase::Dead(_) => message.retained_from(),
            Phase::Delayed(until) | Phase::Backoff(until) | Phase::Leased(until) => {
                let anew = self.begins_anew(message, until);
                if anew { until } else { message.retained_from() }
            }
            Phase::Held(_) | Phase::Parked | Phase::Archived(_) => return None,
        };
        from.checked_add(self.info.config.retention_ms)
    }

    /// Returns the time at which the retention of a message ends as it is; `None` for never.
    pub(crate) fn retention_ends(&self, message: &Message) -> Option<UnixMs> {
        let from = message.phase.is_retained().then(|| message.retained_from())?;
        from.checked_add(self.info.config.retention_ms)
    }

    /// Returns true if a message's own expiry or the queue's retention is over at `now_ms`.
    pub(crate) fn is_over(&self, message: &Message, now_ms: UnixMs) -> bool {
        self.retention_ends(message).is_some_and(|at| at <= now_ms)
            || message.expires_at_ms().is_some_and(|at| at <= now_ms)
    }
}

impl State {
    pub(crate) fn begin_retention(&mut self, id: QueueId, at_ms: UnixMs, seqs: &[Seq]) {
        self.note_time(at_ms);
        for seq in seqs {
            let Some(mut message) = self.message(id, *seq) else { continue };
            message.receivable_at_ms = at_ms;
            self.put(id, *seq, Some(message));
        }
    }
}
