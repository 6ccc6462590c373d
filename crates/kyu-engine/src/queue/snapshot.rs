//! What snapshots hold of the ends of messages. The layouts are frozen.

use kyu_model::{QueueTotals, Seq};
use std::io;

use crate::machines::QueueBlock;
use crate::queue::ends::Ends;
use crate::queue::store::Queue;
use crate::snapshot::blocks::Blocks;
use kyu_model::wire::{Malformed, Reader, Write};

pub(crate) fn write(
    totals: &QueueTotals,
    ends: &Ends,
    purged_below: Seq,
    blocks: &mut Blocks<'_, impl io::Write>,
) -> io::Result<()> {
    let dead = [totals.kept_dead, totals.revived, totals.cancelled];
    if dead.iter().any(|total| *total > 0) {
        blocks.write(QueueBlock::DeadTotals, |b| dead.iter().for_each(|total| b.varint(*total)))?;
    }
    if !ends.is_empty() {
        blocks.write(QueueBlock::Ends, |b| ends.encode(b))?;
    }
    if purged_below > 0 {
        blocks.write(QueueBlock::PurgedBelow, |b| b.varint(purged_below))?;
    }
    Ok(())
}

pub(crate) fn load_totals(queue: &mut Queue, r: &mut Reader) -> Result<(), Malformed> {
    (queue.totals.kept_dead, queue.totals.revived) = (r.varint()?, r.varint()?);
    queue.totals.cancelled = r.varint()?;
    Ok(())
}
