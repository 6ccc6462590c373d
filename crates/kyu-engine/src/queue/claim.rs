//! The facts of messages that commands name by their numbers: their binary form, and how they are
//! applied.

use kyu_model::wire::{Malformed, Reader, Write};
use kyu_model::{Phase, QueueId, Seq, SessionId, UnixMs};

use crate::codec::{decode_seqs, encode_seqs, head, queue};
use crate::machines::ClaimNumber;
use crate::queue::message::{LaneId, Message};
use crate::state::State;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ClaimFact {
    /// All sequence numbers below this have been given out.
    Reserved { queue: QueueId, next_seq: Seq },
    /// Messages are claimed by a transaction; their phase before is remembered.
    Claimed { queue: QueueId, session: SessionId, seqs: Vec<Seq> },
    /// Messages are back in the phase before their claim, without a trace.
    Unclaimed { queue: QueueId, seqs: Vec<Seq> },
    /// A message was received by a transaction that has committed (0 times: it only becomes visible
    /// at another time).
    Received(ReceivedFact),
    /// Messages moved into an archive under the same numbers.
    Archived { queue: QueueId, to: QueueId, at_ms: UnixMs, seqs: Vec<Seq> },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ReceivedFact {
    pub(crate) queue: QueueId,
    pub(crate) seq: Seq,
    pub(crate) times: u32,
    pub(crate) at_ms: UnixMs,
    pub(crate) epoch: u32,
    /// Ready, delayed or leased.
    pub(crate) phase: Phase,
}

impl ClaimFact {
    /// Returns true if the fact adds to what is stored: see [`crate::Effects::grows`].
    pub(crate) fn grows(&self) -> bool {
        match self {
            Self::Reserved { .. }
            | Self::Claimed { .. }
            | Self::Unclaimed { .. }
            | Self::Received(_)
            | Self::Archived { .. } => false,
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Reserved { queue, next_seq } => {
                head(out, ClaimNumber::Reserved, *queue);
                out.varint(*next_seq);
            }
            Self::Claimed { queue, session, seqs } => {
                head(out, ClaimNumber::Claimed, *queue);
                out.varint(session.0);
                encode_seqs(seqs, out);
            }
            Self::Unclaimed { queue, seqs } => {
                head(out, ClaimNumber::Unclaimed, *queue);
                encode_seqs(seqs, out);
            }
            Self::Received(received) => received.encode(out),
            Self::Archived { queue, to, at_ms, seqs } => {
                head(out, ClaimNumber::Archived, *queue);
                out.varint(u64::from(to.0));
                out.varint(*at_ms);
                encode_seqs(seqs, out);
            }
        }
    }

    pub(crate) fn decode(number: ClaimNumber, r: &mut Reader) -> Result<Self, Malformed> {
        let queue = queue(r)?;
        Ok(match number {
            ClaimNumber::Reserved => Self::Reserved { queue, next_seq: r.varint()? },
            ClaimNumber::Claimed => {
                Self::Claimed { queue, session: SessionId(r.varint()?), seqs: decode_seqs(r)? }
            }
            ClaimNumber::Unclaimed => Self::Unclaimed { queue, seqs: decode_seqs(r)? },
            ClaimNumber::Received => Self::Received(ReceivedFact {
                queue,
                seq: r.varint()?,
                times: r.varint32()?,
                at_ms: r.varint()?,
                epoch: r.varint32()?,
                phase: decode_phase(r)?,
            }),
            ClaimNumber::Archived => Self::Archived {
                queue,
                to: QueueId(r.varint32()?),
                at_ms: r.varint()?,
                seqs: decode_seqs(r)?,
            },
        })
    }
}

impl ReceivedFact {
    fn encode(&self, out: &mut Vec<u8>) {
        head(out, ClaimNumber::Received, self.queue);
        out.varint(self.seq);
        out.varint(u64::from(self.times));
        out.varint(self.at_ms);
        out.varint(u64::from(self.epoch));
        encode_phase(self.phase, out);
    }
}

/// Writes a phase in its frozen form: a kind, and the phase's number.
pub(crate) fn encode_phase(phase: Phase, out: &mut Vec<u8>) {
    let (kind, value) = match phase {
        Phase::Ready => (0, 0),
        Phase::Delayed(until_ms) => (1, until_ms),
        Phase::Leased(until_ms) => (2, until_ms),
        Phase::Held(session) => (3, session.0),
        Phase::Archived(at_ms) => (4, at_ms),
        Phase::Backoff(until_ms) => (5, until_ms),
        Phase::Parked => (6, 0),
        Phase::Dead(at_ms) => (7, at_ms),
    };
    out.u8(kind);
    out.varint(value);
}

pub(crate) fn decode_phase(r: &mut Reader) -> Result<Phase, Malformed> {
    Ok(match (r.u8()?, r.varint()?) {
        (0, _) => Phase::Ready,
        (1, until_ms) => Phase::Delayed(until_ms),
        (2, until_ms) => Phase::Leased(until_ms),
        (3, session) => Phase::Held(SessionId(session)),
        (4, at_ms) => Phase::Archived(at_ms),
        (5, until_ms) => Phase::Backoff(until_ms),
        (6, _) => Phase::Parked,
        (7, at_ms) => Phase::Dead(at_ms),
        _ => return Err(Malformed("phase")),
    })
}

impl State {
    pub(crate) fn apply_claim(&mut self, effect: &ClaimFact) {
        match effect {
            ClaimFact::Reserved { queue, next_seq } => {
                if let Some(queue) = self.queues.get_mut(queue) {
                    *queue.next_seq = (*queue.next_seq).max(*next_seq);
                }
            }
            ClaimFact::Claimed { queue, session, seqs } => {
                for seq in seqs {
                    let Some(mut message) = self.message(*queue, *seq) else { continue };
                    let before = std::mem::replace(&mut message.phase, Phase::Held(*session));
                    self.put(*queue, *seq, Some(message));
                    if let Some(queue) = self.queues.get_mut(queue) {
                        queue.claims.insert(seq, before);
                    }
                }
            }
            ClaimFact::Unclaimed { queue, seqs } => {
                for seq in seqs {
                    let Some(mut message) = self.message(*queue, *seq) else { continue };
                    let before = self.queues.get(queue).and_then(|q| q.claims.get(seq).copied());
                    message.phase = before.unwrap_or(Phase::Ready);
                    self.put(*queue, *seq, Some(message));
                }
            }
            ClaimFact::Received(received) => self.receive_late(received),
            ClaimFact::Archived { queue, to, at_ms, seqs } => {
                self.archive(*queue, *to, *at_ms, seqs);
            }
        }
    }

    pub(crate) fn message(&self, queue: QueueId, seq: Seq) -> Option<Message> {
        self.queues.get(&queue)?.messages.get(seq)
    }

    fn receive_late(&mut self, e: &ReceivedFact) {
        self.note_time(e.at_ms);
        let Some(queue) = self.queues.get_mut(&e.queue) else { return };
        let Some(mut message) = queue.messages.get(e.seq) else { return };
        queue.totals.received += u64::from(e.times);
        if e.times > 0 {
            let history = &mut message.history;
            history.deliveries += e.times;
            history.receives += e.times;
            history.epoch = e.epoch;
            history.given_back = false;
            history.last_received_at_ms = e.at_ms;
            if history.first_received_at_ms == 0 {
                history.first_received_at_ms = e.at_ms;
            }
        }
        message.phase = e.phase;
        let (lane, metered) = (message.lane, queue.lanes.limits.is_metered());
        self.put(e.queue, e.seq, Some(message));
        if metered && e.times > 0 {
            self.take_tokens(e.queue, lane, e.at_ms);
            self.end_metering(e.queue, e.at_ms);
        }
    }

    fn archive(&mut self, id: QueueId, to: QueueId, at_ms: UnixMs, seqs: &[Seq]) {
        self.note_time(at_ms);
        if !self.queues.contains_key(&to) {
            return;
        }
        for seq in seqs {
            let Some(mut message) = self.put(id, *seq, None) else { continue };
            message.phase = Phase::Archived(at_ms);
            message.lane = LaneId::NONE;
            message.order = *seq;
            message.set_expiry(None);
            // An archive keeps no index of ages.
            message.out_of_age_order = true;
            if let Some(replaced) = self.put(to, *seq, Some(message)) {
                self.frames.free(replaced.frame);
            }
            if let Some(queue) = self.queues.get_mut(&id) {
                queue.totals.moved_out += 1;
            }
            if let Some(queue) = self.queues.get_mut(&to) {
                queue.totals.moved_in += 1;
                *queue.next_seq = (*queue.next_seq).max(*seq + 1);
            }
        }
        self.sweep_lanes(id);
    }
}

/// The phase of a message that is to be ready at a time.
pub(crate) fn shown_at(at_ms: UnixMs, leased: bool, now_ms: UnixMs) -> Phase {
    match leased {
        _ if at_ms <= now_ms => Phase::Ready,
        true => Phase::Leased(at_ms),
        false => Phase::Delayed(at_ms),
    }
}

#[cfg(test)]
mod tests {
    use crate::effect::Effects;

    use super::*;

    #[test]
    fn golden_bytes() {
        let queue = QueueId(7);
        let received =
            |phase| ReceivedFact { queue, seq: 300, times: 2, at_ms: 5, epoch: 9, phase };
        let cases: [(ClaimFact, &[u8]); 7] = [
            (ClaimFact::Reserved { queue, next_seq: 300 }, &[55, 7, 0xac, 2]),
            (
                ClaimFact::Claimed { queue, session: SessionId(4), seqs: vec![3, 4] },
                &[56, 7, 4, 2, 6, 2],
            ),
            (ClaimFact::Unclaimed { queue, seqs: vec![3] }, &[57, 7, 1, 6]),
            (ClaimFact::Received(received(Phase::Leased(6))), &[58, 7, 0xac, 2, 2, 5, 9, 2, 6]),
            (ClaimFact::Received(received(Phase::Ready)), &[58, 7, 0xac, 2, 2, 5, 9, 0, 0]),
            (ClaimFact::Received(received(Phase::Delayed(8))), &[58, 7, 0xac, 2, 2, 5, 9, 1, 8]),
            (
                ClaimFact::Archived { queue, to: QueueId(8), at_ms: 5, seqs: vec![1] },
                &[59, 7, 8, 5, 1, 2],
            ),
        ];
        for (effect, golden) in cases {
            let mut effects = Effects::default();
            effects.push(effect);
            assert_eq!(effects.bytes(), golden, "{effects:?}");
            assert_eq!(Effects::decode(golden).unwrap().list, effects.list);
        }
    }
}
