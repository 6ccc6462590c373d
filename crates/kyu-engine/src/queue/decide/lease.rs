//! Handing out messages under a lease.

use kyu_model::{Context, Delivery, Lease, Phase, Seq, UnixMs};

use crate::effect::Effects;
use crate::queue::claim::ClaimFact;
use crate::queue::decide::sequences::{Sequences, back_in_order};
use crate::queue::delivery::last_delivery;
use crate::queue::delivery::next_delivery;
use crate::queue::message::Message;
use crate::queue::message_record::{LeaseEnd, MessageFact, Removal};
use crate::queue::store::Queue;

/// Returns the end of a lease that begins now.
pub(crate) fn lease_end(queue: &Queue, lease: Lease, now_ms: UnixMs) -> LeaseEnd {
    let visibility_ms = queue.info.config.visibility_timeout_ms;
    match lease {
        Lease::QueueDefault => LeaseEnd::At(now_ms.saturating_add(visibility_ms)),
        Lease::For(lease_ms) => LeaseEnd::At(now_ms.saturating_add(lease_ms)),
        Lease::Session(session) | Lease::Claim(session) => LeaseEnd::Session(session),
        Lease::Take => LeaseEnd::At(now_ms),
    }
}

/// Hands out ready messages: returns the deliveries, and writes the effects of the lease.
pub(crate) fn hand_out(
    queue: &Queue,
    picked: &[(Seq, Message)],
    lease: Lease,
    attempt: Option<&str>,
    ctx: &Context,
    sequences: &mut Sequences,
    effects: &mut Effects,
) -> Vec<Delivery> {
    if picked.is_empty() {
        return Vec::new();
    }
    let id = queue.id();
    let seqs: Vec<Seq> = picked.iter().map(|(seq, _)| *seq).collect();
    if let Lease::Claim(session) = lease {
        effects.push(ClaimFact::Claimed { queue: id, session, seqs });
        return picked.iter().map(|(seq, message)| last_delivery(id, *seq, message)).collect();
    }
    let end = lease_end(queue, lease, ctx.now_ms);
    let taken = (lease == Lease::Take).then(|| seqs.clone());
    effects.push(MessageFact::Leased {
        queue: id,
        at_ms: ctx.now_ms,
        epoch: ctx.epoch,
        end,
        attempt: attempt.map(str::to_owned),
        seqs,
    });
    if let Some(seqs) = taken {
        effects.push(MessageFact::Removed { queue: id, reason: Removal::Acked, seqs, at_ms: None });
    } else if end == LeaseEnd::At(ctx.now_ms) {
        // A visibility timeout of 0: received, and visible again in the same moment.
        for (seq, message) in picked {
            effects.push(back_in_order(queue, *seq, message.history.receives + 1, sequences));
        }
    }
    let phase = phase_under(end, ctx.now_ms);
    let delivery = |(seq, message): &(Seq, Message)| {
        let next = next_delivery(id, *seq, message, ctx);
        let last_received_at_ms = match lease {
            Lease::Take => message.history.last_received_at_ms,
            Lease::QueueDefault | Lease::For(_) | Lease::Session(_) | Lease::Claim(_) => {
                next.last_received_at_ms
            }
        };
        Delivery { phase, last_received_at_ms, ..next }
    };
    picked.iter().map(delivery).collect()
}

/// Returns the phase of messages under a lease.
pub(crate) fn phase_under(end: LeaseEnd, now_ms: UnixMs) -> Phase {
    match end {
        LeaseEnd::At(until_ms) if until_ms <= now_ms => Phase::Ready,
        LeaseEnd::At(until_ms) => Phase::Leased(until_ms),
        LeaseEnd::Session(session) => Phase::Held(session),
    }
}
