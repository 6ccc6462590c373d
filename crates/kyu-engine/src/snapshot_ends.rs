//! What snapshots hold of the ends of messages. The layouts are frozen.

use std::io;
use std::sync::Arc;

use crate::config::QueueTotals;
use crate::ends::Ends;
use crate::ids::Seq;
use crate::queue::Queue;
use crate::snapshot::{Blocks, block};
use crate::wire::{Malformed, Reader, Write};

pub(crate) fn write(
    totals: &QueueTotals,
    ends: &Ends,
    purged_below: Seq,
    blocks: &mut Blocks<'_, impl io::Write>,
) -> io::Result<()> {
    let dead = [totals.kept_dead, totals.revived, totals.cancelled];
    if dead.iter().any(|total| *total > 0) {
        blocks.write(block::DEAD_TOTALS, |b| dead.iter().for_each(|total| b.varint(*total)))?;
    }
    if !ends.is_empty() {
        blocks.write(block::ENDS, |b| ends.encode(b))?;
    }
    if purged_below > 0 {
        blocks.write(block::PURGED_BELOW, |b| b.varint(purged_below))?;
    }
    Ok(())
}

/// Reads one of these three blocks.
pub(crate) fn load(kind: u8, queue: &mut Queue, r: &mut Reader) -> Result<(), Malformed> {
    match kind {
        block::DEAD_TOTALS => {
            (queue.totals.kept_dead, queue.totals.revived) = (r.varint()?, r.varint()?);
            queue.totals.cancelled = r.varint()?;
        }
        block::ENDS => *queue.ends = Arc::new(Ends::decode(r)?),
        block::PURGED_BELOW => queue.purged_below = r.varint()?,
        _ => return Err(Malformed("block kind")),
    }
    Ok(())
}
