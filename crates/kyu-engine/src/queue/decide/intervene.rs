//! Interventions of people on messages that nobody works on.

use std::collections::BTreeSet;

use kyu_model::limits::MAX_BATCH;
use kyu_model::{Context, Intervene, Intervened, Intervention, Phase, Refusal, Seq};

use crate::decision::{Decided, Wait};
use crate::effect::Effects;
use crate::queue::decide::sequences::{Sequences, moved};
use crate::queue::message::Message;
use crate::queue::message_record::{MessageFact, MoveReason, Removal};
use crate::queue::store::Queue;
use crate::state::State;

pub(crate) fn decide(
    state: &State,
    command: &Intervene,
    ctx: &Context,
    effects: &mut Effects,
) -> Decided<Intervene> {
    let queue = state.queue(command.queue)?;
    if command.messages.len() > MAX_BATCH {
        return Err(Refusal::LimitExceeded("messages of one intervention"));
    }
    if let Intervention::MoveTo(to) = command.action {
        state.queue(to)?;
    }
    let mut seen = BTreeSet::new();
    let mut hand = Hand { state, queue, ctx, sequences: Sequences::default(), listed: Vec::new() };
    let results = command.messages.iter().map(|chosen| {
        let message = queue.messages.get(chosen.seq).filter(|_| seen.insert(chosen.seq));
        let Some(message) = message else { return Intervened::Missing };
        if chosen.deliveries.is_some_and(|deliveries| deliveries != message.history.deliveries) {
            return Intervened::Delivered;
        }
        hand.act(chosen.seq, &message, command.action, effects)
    });
    let results: Vec<Intervened> = results.collect();
    let (queue, seqs) = (queue.id(), hand.listed);
    if !seqs.is_empty() {
        match command.action {
            Intervention::Cancel { .. } => {
                let (reason, at_ms) = (Removal::Cancelled, Some(ctx.now_ms));
                effects.push(MessageFact::Removed { queue, reason, seqs, at_ms });
            }
            Intervention::Prioritise(priority) => {
                effects.push(MessageFact::Prioritised { queue, priority, seqs });
            }
            Intervention::RunNow
            | Intervention::Postpone(_)
            | Intervention::MoveTo(_)
            | Intervention::MoveBack => {}
        }
    }
    Ok((results, Wait::Record))
}

/// The state of one command while its messages are handled.
struct Hand<'a> {
    state: &'a State,
    queue: &'a Queue,
    ctx: &'a Context,
    sequences: Sequences,
    /// Messages that one effect names together.
    listed: Vec<Seq>,
}

impl Hand<'_> {
    fn act(
        &mut self,
        seq: Seq,
        message: &Message,
        action: Intervention,
        effects: &mut Effects,
    ) -> Intervened {
        let claimed = self.queue.claims.contains_key(&seq);
        let also_in_flight = matches!(action, Intervention::Cancel { in_flight: true });
        if claimed || (message.phase.in_flight() && !also_in_flight) {
            return Intervened::InFlight;
        }
        let is_dead = matches!(message.phase, Phase::Dead(_));
        match action {
            Intervention::Cancel { .. } => self.listed.push(seq),
            _ if message.phase.is_archived() => return Intervened::NotApplicable,
            Intervention::Prioritise(priority) if message.priority == priority => {}
            Intervention::Prioritise(_) => self.listed.push(seq),
            Intervention::RunNow if is_dead => self.revive(seq, effects),
            Intervention::RunNow if message.phase == Phase::Ready => {}
            Intervention::RunNow => {
                self.release(seq, None, effects);
                self.queue.note_receivable(&[seq], self.ctx.now_ms, effects);
            }
            Intervention::Postpone(_) if is_dead => return Intervened::NotApplicable,
            Intervention::Postpone(until_ms) => {
                let later = (until_ms > self.ctx.now_ms).then_some(until_ms);
                self.release(seq, later, effects);
            }
            Intervention::MoveTo(to) if to == self.queue.id() => {
                return Intervened::NotApplicable;
            }
            Intervention::MoveTo(to) => match self.state.queue(to) {
                Ok(to) => self.send_on(seq, to, effects),
                Err(_) => return Intervened::NoSource,
            },
            Intervention::MoveBack => {
                let source = message.source_queue().and_then(|name| self.state.by_name(name));
                match source {
                    Some(to) if to.id() != self.queue.id() => self.send_on(seq, to, effects),
                    Some(_) if is_dead => self.revive(seq, effects),
                    Some(_) | None => return Intervened::NoSource,
                }
            }
        }
        Intervened::Done
    }

    fn release(&self, seq: Seq, ready_at_ms: Option<u64>, effects: &mut Effects) {
        let queue = self.queue.id();
        effects.push(MessageFact::Released { queue, seq, ready_at_ms, order: None, counted: true });
    }

    fn revive(&self, seq: Seq, effects: &mut Effects) {
        let (queue, at_ms) = (self.queue.id(), self.ctx.now_ms);
        effects.push(MessageFact::Revived { queue, seq, at_ms });
    }

    fn send_on(&mut self, seq: Seq, to: &Queue, effects: &mut Effects) {
        let (reason, now_ms) = (MoveReason::Redrive, self.ctx.now_ms);
        effects.push(moved(self.queue, seq, to, reason, now_ms, &mut self.sequences));
    }
}
