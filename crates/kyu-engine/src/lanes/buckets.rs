//! Token buckets. A bucket is one number: the time at which it is (or was) full again, in
//! nanoseconds, so that tokens need no clock that ticks (the generic cell rate algorithm, ITU-T
//! I.371). What a bucket allows is computed from the time of the command.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kyu_model::{RateLimit, UnixMs};

const NS_PER_MS: u64 = 1_000_000;

/// The buckets of a queue. A full one is not kept.
#[derive(Clone, Default)]
pub(crate) struct Buckets {
    /// The time at which the queue's own bucket is full again; 0 while it is full.
    pub(crate) queue_full_at_ns: u64,
    lanes: BTreeMap<Arc<str>, u64>,
    by_time: BTreeSet<(u64, Arc<str>)>,
}

impl Buckets {
    /// Returns the time at which the lane's bucket is full again, in nanoseconds; 0 if it is full.
    pub(crate) fn lane(&self, key: &str) -> u64 {
        self.lanes.get(key).copied().unwrap_or(0)
    }

    pub(crate) fn set_lane(&mut self, key: &Arc<str>, full_at_ns: u64) {
        let before = match full_at_ns {
            0 => self.lanes.remove(key),
            at_ns => self.lanes.insert(key.clone(), at_ns),
        };
        if let Some(before) = before {
            self.by_time.remove(&(before, key.clone()));
        }
        if full_at_ns > 0 {
            self.by_time.insert((full_at_ns, key.clone()));
        }
    }

    /// Forgets buckets that are full.
    pub(crate) fn sweep(&mut self, now_ms: UnixMs) {
        let now_ns = now_ms.saturating_mul(NS_PER_MS);
        while let Some((at_ns, key)) = self.by_time.first().cloned() {
            if at_ns > now_ns {
                break;
            }
            self.set_lane(&key, 0);
        }
        if self.queue_full_at_ns <= now_ns {
            self.queue_full_at_ns = 0;
        }
    }

    /// Returns the time at which a lane's bucket can next be forgotten.
    pub(crate) fn first_full_ms(&self) -> Option<UnixMs> {
        self.by_time.first().map(|(at_ns, _)| at_ns.div_ceil(NS_PER_MS))
    }

    /// Adopts new settings from this time on.
    pub(crate) fn adopt(
        &mut self,
        queue: Option<&RateLimit>,
        lane: Option<&RateLimit>,
        at_ms: UnixMs,
    ) {
        let before = self.queue_full_at_ns;
        self.queue_full_at_ns = queue.map_or(0, |rate| rate.adopt(before, at_ms));
        for (key, before) in std::mem::take(&mut self.lanes) {
            self.by_time.remove(&(before, key.clone()));
            self.set_lane(&key, lane.map_or(0, |rate| rate.adopt(before, at_ms)));
        }
    }

    /// Returns the lanes' buckets by key.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = (&str, u64)> {
        self.lanes.iter().map(|(key, at_ns)| (key.as_ref(), *at_ns))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue_full_at_ns == 0 && self.lanes.is_empty()
    }
}
