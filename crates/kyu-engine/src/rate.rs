//! Token buckets. A bucket is one number: the time at which it is (or was) full again, in
//! nanoseconds, so that tokens need no clock that ticks (the generic cell rate algorithm, ITU-T
//! I.371). What a bucket allows is computed from the time of the command.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ids::UnixMs;
use crate::lane_policy::RateLimit;

const NS_PER_MS: u64 = 1_000_000;

impl RateLimit {
    /// Time between two tokens; rounded up, so that no window gets more than it should.
    fn token_ns(&self) -> u64 {
        let interval_ns = self.interval_ms.saturating_mul(NS_PER_MS);
        interval_ns.div_ceil(u64::from(self.permits.max(1))).max(1)
    }

    /// Time in which an empty bucket fills.
    pub(crate) fn fill_ns(&self) -> u64 {
        self.token_ns().saturating_mul(u64::from(self.burst.max(1)))
    }

    /// Tokens in a bucket.
    pub(crate) fn available(&self, full_at_ns: u64, now_ms: UnixMs) -> u64 {
        let lacking_ns = full_at_ns.saturating_sub(now_ms.saturating_mul(NS_PER_MS));
        self.fill_ns().saturating_sub(lacking_ns) / self.token_ns()
    }

    /// The bucket after a token was taken.
    pub(crate) fn take(&self, full_at_ns: u64, at_ms: UnixMs) -> u64 {
        full_at_ns.max(at_ms.saturating_mul(NS_PER_MS)).saturating_add(self.token_ns())
    }

    /// From when on the bucket has a token; in the past if it has one.
    pub(crate) fn next_token_ms(&self, full_at_ns: u64) -> UnixMs {
        full_at_ns.saturating_sub(self.fill_ns() - self.token_ns()).div_ceil(NS_PER_MS)
    }

    /// The bucket under new settings: never emptier than empty.
    pub(crate) fn adopt(&self, full_at_ns: u64, at_ms: UnixMs) -> u64 {
        let at_ns = at_ms.saturating_mul(NS_PER_MS);
        if full_at_ns <= at_ns { 0 } else { full_at_ns.min(at_ns.saturating_add(self.fill_ns())) }
    }
}

/// The buckets of a queue. A full one is not kept.
#[derive(Clone, Default)]
pub(crate) struct Buckets {
    /// The queue's own; 0 while it is full.
    pub(crate) queue_full_at_ns: u64,
    lanes: BTreeMap<Arc<str>, u64>,
    by_time: BTreeSet<(u64, Arc<str>)>,
}

impl Buckets {
    /// When the lane's bucket is full again; 0 if it is.
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

    /// When a lane's bucket can next be forgotten.
    pub(crate) fn first_full_ms(&self) -> Option<UnixMs> {
        self.by_time.first().map(|(at_ns, _)| at_ns.div_ceil(NS_PER_MS))
    }

    /// New settings, from this time on.
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

    /// The lanes' buckets, by key.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = (&str, u64)> {
        self.lanes.iter().map(|(key, at_ns)| (key.as_ref(), *at_ns))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue_full_at_ns == 0 && self.lanes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_full_bucket_gives_its_burst_and_then_one_token_at_a_time() {
        let rate = RateLimit { permits: 3, interval_ms: 1_000, burst: 2 };
        let (mut bucket, now_ms) = (0, 1_000_000);
        assert_eq!(rate.available(bucket, now_ms), 2);
        bucket = rate.take(rate.take(bucket, now_ms), now_ms);
        assert_eq!(rate.available(bucket, now_ms), 0);
        let next = rate.next_token_ms(bucket);
        assert_eq!(next, now_ms + 334);
        assert_eq!((rate.available(bucket, next - 1), rate.available(bucket, next)), (0, 1));
        assert_eq!(rate.available(bucket, now_ms + 666), 1);
        assert_eq!(rate.available(bucket, now_ms + 667), 2);
        assert_eq!(rate.available(bucket, now_ms + 99_999), 2, "more than the burst is not saved");
    }

    proptest! {
        /// Over any window the bucket gives no more than `burst + window * permits / interval`, and
        /// the time that it names is the first at which it gives again.
        #[test]
        fn no_window_gets_more_than_its_share(
            (permits, interval_ms, burst) in (1..2_000u32, 1..5_000u64, 1..20u32),
            waits in prop::collection::vec(0..2_000u64, 1..60),
        ) {
            let rate = RateLimit { permits, interval_ms, burst };
            let (mut bucket, mut now_ms, mut taken) = (0, 50_000, Vec::new());
            for wait in waits {
                now_ms += wait;
                let tokens = rate.available(bucket, now_ms);
                let next_ms = rate.next_token_ms(bucket);
                prop_assert_eq!(tokens > 0, next_ms <= now_ms);
                if tokens == 0 {
                    prop_assert_eq!(rate.available(bucket, next_ms - 1), 0);
                    prop_assert!(rate.available(bucket, next_ms) > 0);
                }
                for _ in 0..tokens.min(25) {
                    bucket = rate.take(bucket, now_ms);
                    taken.push(now_ms);
                }
            }
            for (first, from) in taken.iter().enumerate() {
                for (last, to) in taken.iter().enumerate().skip(first) {
                    let most = u64::from(burst) * interval_ms + (to - from) * u64::from(permits);
                    prop_assert!((last - first + 1) as u64 * interval_ms <= most);
                }
            }
        }
    }
}
