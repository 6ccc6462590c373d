//! The snapshot blocks of retries. Layouts are frozen.

use std::collections::BTreeMap;
use std::sync::Arc;

use kyu_model::QueueTotals;
use kyu_model::wire::{Malformed, Reader, Write};

use crate::codec::dead_reason;
use crate::queue::message::Message;
use crate::queue::store::Queue;
use crate::retries::finished::{Done, Finished};
use crate::retries::guard::GuardState;
use crate::retries::trail::Trail;

/// Totals beyond the first nine.
pub(crate) fn more_totals(t: &QueueTotals) -> [u64; 10] {
    [
        t.expired_by_deadline,
        t.dead_by_receives,
        t.dead_by_rejection,
        t.dead_by_deadline,
        t.dead_by_retention,
        t.stale_acks,
        t.late_acks,
        t.double_executions,
        t.held,
        t.breaker_opened,
    ]
}

pub(crate) fn decode_more_totals(t: &mut QueueTotals, r: &mut Reader) -> Result<(), Malformed> {
    for total in [
        &mut t.expired_by_deadline,
        &mut t.dead_by_receives,
        &mut t.dead_by_rejection,
        &mut t.dead_by_deadline,
        &mut t.dead_by_retention,
        &mut t.stale_acks,
        &mut t.late_acks,
        &mut t.double_executions,
        &mut t.held,
        &mut t.breaker_opened,
    ] {
        *total = r.varint()?;
    }
    Ok(())
}

pub(crate) fn encode_guards(
    guards: &BTreeMap<Option<Arc<str>>, GuardState>,
    finished: &Finished,
    out: &mut Vec<u8>,
) {
    out.varint(guards.len() as u64);
    for (lane, guard) in guards {
        out.opt_str(lane.as_deref());
        guard.encode(out);
    }
    out.varint(finished.len() as u64);
    for (seq, done) in finished.iter() {
        out.varint(seq);
        out.varint(u64::from(done.epoch));
        out.varint(u64::from(done.delivery));
        out.u8(u8::from(done.twice));
    }
}

pub(crate) fn decode_guards(queue: &mut Queue, r: &mut Reader) -> Result<(), Malformed> {
    for _ in 0..r.count()? {
        let lane = r.opt_string()?.map(Arc::from);
        let guard = GuardState::decode(r)?;
        queue.put_guard(lane, Some(guard));
    }
    let finished = Arc::make_mut(&mut queue.finished);
    for _ in 0..r.count()? {
        let seq = r.varint()?;
        let (epoch, delivery) = (r.varint32()?, r.varint32()?);
        finished.add(seq, Done { epoch, delivery, twice: r.bool()? });
    }
    Ok(())
}

/// Bits of a full message's flags.
pub(crate) const TRAIL: u8 = 4;
pub(crate) const MARKS: u8 = 8;
/// A start of the retention and receives of its own.
pub(crate) const LATER: u8 = 16;

/// The bits of the marks that hold the reason why the message is dead.
const REASON: u8 = 0x0f;
const STALE_ACKED: u8 = 0x10;

/// Returns true if the message has the fields that [`LATER`] announces.
pub(crate) fn has_later(m: &Message) -> bool {
    m.receivable_at_ms > 0 || m.receives_before() > 0
}

/// Returns true if the message has marks.
pub(crate) fn has_marks(m: &Message) -> bool {
    m.dead_reason.is_some() || m.stale_acked
}

/// Writes the fields that the three flags announce.
pub(crate) fn encode_extras(m: &Message, out: &mut Vec<u8>) {
    if let Some(trail) = &m.trail {
        trail.encode(out);
    }
    if has_marks(m) {
        let reason = m.dead_reason.map_or(0, |reason| reason as u8);
        out.u8(reason | if m.stale_acked { STALE_ACKED } else { 0 });
    }
    if has_later(m) {
        out.varint(m.receivable_at_ms);
        out.varint(u64::from(m.receives_before()));
    }
}

pub(crate) fn decode_extras(flags: u8, m: &mut Message, r: &mut Reader) -> Result<(), Malformed> {
    if flags & TRAIL != 0 {
        m.trail = Some(Arc::new(Trail::decode(r)?));
    }
    if flags & MARKS != 0 {
        let marks = r.u8()?;
        m.stale_acked = marks & STALE_ACKED != 0;
        m.dead_reason = dead_reason(marks & REASON)?;
    }
    if flags & LATER != 0 {
        m.receivable_at_ms = r.varint()?;
        let receives = r.varint32()?;
        if let Some(source) = &mut m.source {
            Arc::make_mut(source).receives = receives;
        }
    }
    Ok(())
}
