//! The snapshot blocks of a queue's pauses and token buckets: two kinds of blocks behind its
//! messages, left out while nothing is paused and all buckets are full.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use kyu_model::wire::{Malformed, Reader, Write};

use crate::lanes::buckets::Buckets;
use crate::lanes::pause_ends::PauseEnds;
use crate::machines::QueueBlock;
use crate::queue::store::Queue;
use crate::snapshot::blocks::{BLOCK_ITEMS, Blocks};

pub(crate) struct FrozenLimits {
    paused: bool,
    paused_lanes: BTreeSet<Arc<str>>,
    pause_ends: PauseEnds,
    buckets: Buckets,
}

impl FrozenLimits {
    pub(crate) fn of(queue: &Queue) -> Self {
        let limits = &queue.lanes.limits;
        Self {
            paused: *queue.paused,
            paused_lanes: limits.paused.clone(),
            pause_ends: (*queue.pause_ends).clone(),
            buckets: limits.buckets.clone(),
        }
    }

    pub(crate) fn write(&self, blocks: &mut Blocks<'_, impl io::Write>) -> io::Result<()> {
        if self.paused || !self.paused_lanes.is_empty() {
            blocks.write(QueueBlock::Pauses, |b| {
                b.u8(u8::from(self.paused));
                self.paused_lanes.iter().for_each(|key| b.str(key));
            })?;
        }
        if !self.pause_ends.is_empty() {
            blocks.write(QueueBlock::PauseEnds, |b| self.pause_ends.encode(b))?;
        }
        if self.buckets.is_empty() {
            return Ok(());
        }
        let mut lanes = self.buckets.lanes().peekable();
        loop {
            blocks.write(QueueBlock::Buckets, |b| {
                b.varint(self.buckets.queue_full_at_ns);
                for (key, full_at_ns) in lanes.by_ref().take(BLOCK_ITEMS) {
                    b.str(key);
                    b.varint(full_at_ns);
                }
            })?;
            if lanes.peek().is_none() {
                return Ok(());
            }
        }
    }
}

pub(crate) fn load_pauses(queue: &mut Queue, r: &mut Reader) -> Result<(), Malformed> {
    *queue.paused = r.bool()?;
    while r.remaining() > 0 {
        queue.set_lane_paused(&r.string()?, true);
    }
    Ok(())
}

pub(crate) fn load_buckets(queue: &mut Queue, r: &mut Reader) -> Result<(), Malformed> {
    queue.set_bucket(None, r.varint()?);
    while r.remaining() > 0 {
        let key = r.string()?;
        queue.set_bucket(Some(&key.into()), r.varint()?);
    }
    Ok(())
}
