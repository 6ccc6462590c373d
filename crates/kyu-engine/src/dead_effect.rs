//! The facts of dead letters that had nowhere to go. Numbers and layouts are frozen.

use crate::effect::MoveReason;
use crate::effect_codec::{decode_reason_of_move, head, queue};
use crate::ids::{QueueId, Seq, UnixMs};
use crate::message::{History, Phase, Source};
use crate::state::State;
use crate::wire::{Malformed, Reader, Write};
use std::sync::Arc;

/// Frozen numbers of these effects.
pub(crate) mod number {
    pub(crate) const KEPT: u8 = 33;
    pub(crate) const REVIVED: u8 = 34;
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum DeadEffect {
    /// A message is dead and stays where it is.
    Kept { queue: QueueId, seq: Seq, at_ms: UnixMs, reason: MoveReason },
    /// One that was kept begins a new life there.
    Revived { queue: QueueId, seq: Seq, at_ms: UnixMs },
}

impl DeadEffect {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Kept { queue, seq, at_ms, reason } => {
                head(out, number::KEPT, *queue);
                out.varint(*seq);
                out.varint(*at_ms);
                out.u8(*reason as u8);
            }
            Self::Revived { queue, seq, at_ms } => {
                head(out, number::REVIVED, *queue);
                out.varint(*seq);
                out.varint(*at_ms);
            }
        }
    }

    pub(crate) fn decode(tag: u8, r: &mut Reader) -> Result<Self, Malformed> {
        let (queue, seq, at_ms) = (queue(r)?, r.varint()?, r.varint()?);
        Ok(match tag {
            number::KEPT => Self::Kept { queue, seq, at_ms, reason: decode_reason_of_move(r)? },
            number::REVIVED => Self::Revived { queue, seq, at_ms },
            _ => return Err(Malformed("effect number")),
        })
    }
}

impl State {
    pub(crate) fn apply_dead(&mut self, effect: &DeadEffect) {
        match effect {
            DeadEffect::Kept { queue, seq, at_ms, reason } => {
                self.keep_dead(*queue, *seq, *at_ms, *reason);
            }
            DeadEffect::Revived { queue, seq, at_ms } => self.revive(*queue, *seq, *at_ms),
        }
    }

    fn keep_dead(&mut self, id: QueueId, seq: Seq, at_ms: UnixMs, reason: MoveReason) {
        self.note_time(at_ms);
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let Some(mut message) = queue.messages.get(seq) else { return };
        queue.totals.kept_dead += 1;
        // A dead letter of another queue still belongs there.
        message.source.get_or_insert_with(|| {
            let queue = Arc::new(queue.info.name.clone());
            Arc::new(Source { queue, receives: 0 })
        });
        message.dead_reason = reason.dead();
        message.phase = Phase::Dead(at_ms);
        message.receivable_at_ms = at_ms;
        message.set_expiry(None);
        message.forget_consumer();
        self.put(id, seq, Some(message));
        // Another with its key may come: it would wait for this one for ever.
        self.free_unique(id, seq);
        // It may have stood before messages that somebody waits for.
        self.wake(id);
        self.sweep_lanes(id);
    }

    fn revive(&mut self, id: QueueId, seq: Seq, at_ms: UnixMs) {
        self.note_time(at_ms);
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let Some(mut message) = queue.messages.get(seq) else { return };
        queue.totals.revived += 1;
        message.source = None;
        message.dead_reason = None;
        message.phase = Phase::Ready;
        message.receivable_at_ms = at_ms;
        message.stale_acked = false;
        // Receipts of its last life have their numbers still, and must not be those of new ones.
        let History { deliveries, epoch, .. } = message.history;
        message.history = History { deliveries, epoch, given_back: true, ..History::default() };
        self.put(id, seq, Some(message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::{Effect, Effects};

    /// These bytes are on disks: this test may get new rows, never changed ones.
    #[test]
    fn golden_bytes() {
        let queue = QueueId(300);
        let kept = DeadEffect::Kept { queue, seq: 1, at_ms: 2, reason: MoveReason::Rejected };
        let revived = DeadEffect::Revived { queue, seq: 1, at_ms: 2 };
        for (effect, golden) in
            [(kept, &[33, 0xac, 2, 1, 2, 1][..]), (revived, &[34, 0xac, 2, 1, 2][..])]
        {
            let mut bytes = Vec::new();
            Effect::Dead(effect.clone()).encode(&mut bytes);
            assert_eq!(bytes, golden);
            assert_eq!(Effects::decode(&bytes).unwrap().list, [Effect::Dead(effect)]);
            for end in 1..bytes.len() {
                assert!(Effects::decode(&bytes[..end]).is_err(), "cut at {end}");
            }
        }
    }
}
