//! Parts of the frozen binary forms that several facts and snapshot blocks share.

use std::collections::BTreeMap;

use kyu_model::wire::{Malformed, Reader, Write};
use kyu_model::{DeadReason, QueueId, QueueName, Seq};

/// The number of a fact, and the queue that it is about.
pub(crate) fn head(out: &mut Vec<u8>, number: impl Into<u8>, queue: QueueId) {
    out.u8(number.into());
    out.varint(u64::from(queue.0));
}

pub(crate) fn queue(r: &mut Reader) -> Result<QueueId, Malformed> {
    Ok(QueueId(r.varint32()?))
}

/// A count, the first number, then the differences (zigzag): neighbours take a byte each.
pub(crate) fn encode_seqs(seqs: &[Seq], out: &mut Vec<u8>) {
    out.varint(seqs.len() as u64);
    let mut last = 0u64;
    for seq in seqs {
        let step = seq.wrapping_sub(last) as i64;
        out.varint((step << 1 ^ step >> 63) as u64);
        last = *seq;
    }
}

pub(crate) fn decode_seqs(r: &mut Reader) -> Result<Vec<Seq>, Malformed> {
    let count = r.count()?;
    let mut seqs = Vec::with_capacity(count);
    let mut last = 0u64;
    for _ in 0..count {
        let zigzag = r.varint()?;
        let step = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
        last = last.wrapping_add(step as u64);
        seqs.push(last);
    }
    Ok(seqs)
}

pub(crate) fn encode_name(name: &QueueName, out: &mut Vec<u8>) {
    out.str(&name.namespace);
    out.str(&name.name);
}

pub(crate) fn decode_name(r: &mut Reader) -> Result<QueueName, Malformed> {
    Ok(QueueName { namespace: r.string()?, name: r.string()? })
}

pub(crate) fn encode_opt_name(name: Option<&QueueName>, out: &mut Vec<u8>) {
    out.u8(u8::from(name.is_some()));
    if let Some(name) = name {
        encode_name(name, out);
    }
}

pub(crate) fn decode_opt_name(r: &mut Reader) -> Result<Option<QueueName>, Malformed> {
    Ok(if r.bool()? { Some(decode_name(r)?) } else { None })
}

pub(crate) fn opt_u32(r: &mut Reader) -> Result<Option<u32>, Malformed> {
    r.opt_varint()?.map(|v| u32::try_from(v).map_err(|_| Malformed("number"))).transpose()
}

pub(crate) fn encode_map(map: &BTreeMap<String, String>, out: &mut Vec<u8>) {
    out.varint(map.len() as u64);
    for (key, value) in map {
        out.str(key);
        out.str(value);
    }
}

pub(crate) fn decode_map(r: &mut Reader) -> Result<BTreeMap<String, String>, Malformed> {
    (0..r.count()?).map(|_| Ok((r.string()?, r.string()?))).collect()
}

pub(crate) fn dead_reason(number: u8) -> Result<Option<DeadReason>, Malformed> {
    Ok(match number {
        0 => None,
        1 => Some(DeadReason::MaxReceives),
        2 => Some(DeadReason::Rejected),
        3 => Some(DeadReason::Deadline),
        4 => Some(DeadReason::Retention),
        _ => return Err(Malformed("reason of a dead letter")),
    })
}
