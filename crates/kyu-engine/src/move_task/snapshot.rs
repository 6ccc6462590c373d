//! The snapshot blocks of move tasks. The layout is frozen.

use kyu_model::wire::{Malformed, Reader, Write};
use kyu_model::{MoveTask, QueueId};

use crate::codec::{decode_opt_name, encode_opt_name, opt_u32};
use crate::move_task::record::{decode_reason, decode_status};

pub(crate) fn encode_task(task: &MoveTask, out: &mut Vec<u8>) {
    out.varint(task.id);
    out.varint(u64::from(task.source.0));
    encode_opt_name(task.destination.as_ref(), out);
    out.opt_varint(task.max_per_second.map(u64::from));
    out.u8(task.status as u8);
    out.varint(task.started_at_ms);
    out.varint(task.moved);
    out.varint(task.to_move);
    out.opt_str(task.failure.as_deref());
    // Left out by tasks from before there was more to say.
    if task.skipped > 0 || task.looked_at > 0 || task.reason.is_some() {
        out.varint(task.skipped);
        out.varint(task.looked_at);
        out.u8(task.reason.map_or(0, |reason| reason as u8));
    }
}

pub(crate) fn decode_task(r: &mut Reader) -> Result<MoveTask, Malformed> {
    let mut task = MoveTask {
        id: r.varint()?,
        source: QueueId(r.varint32()?),
        destination: decode_opt_name(r)?,
        max_per_second: opt_u32(r)?,
        status: decode_status(r)?,
        started_at_ms: r.varint()?,
        moved: r.varint()?,
        to_move: r.varint()?,
        failure: r.opt_string()?,
        reason: None,
        skipped: 0,
        looked_at: 0,
    };
    if r.remaining() > 0 {
        (task.skipped, task.looked_at) = (r.varint()?, r.varint()?);
        task.reason = decode_reason(r)?;
    }
    Ok(task)
}
