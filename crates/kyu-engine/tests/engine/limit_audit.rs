//! An observer of a queue with limits, which holds it to them.

use std::collections::{BTreeMap, BTreeSet};

use kyu_engine::*;

const LANE_IN_FLIGHT: u32 = 2;
const LANE_RATE: RateLimit = RateLimit { permits: 2, interval_ms: 3_000, burst: 3 };
const RATE: RateLimit = RateLimit { permits: 5, interval_ms: 2_000, burst: 4 };

pub(crate) fn config() -> QueueConfig {
    QueueConfig {
        rate: Some(RATE),
        fairness: Fairness::Weighted,
        lanes: LaneLimits {
            max_in_flight: Some(LANE_IN_FLIGHT),
            rate: Some(LANE_RATE),
            weights: [("lane 1".to_owned(), 2)].into(),
            ..LaneLimits::default()
        },
        ..QueueConfig::default()
    }
}

#[derive(Default)]
pub(crate) struct LimitAudit {
    /// Leases that run: lane and end.
    held: BTreeMap<Seq, (Option<String>, UnixMs)>,
    /// Times of all deliveries, and of each lane's.
    delivered: Vec<UnixMs>,
    by_lane: BTreeMap<String, Vec<UnixMs>>,
    paused: bool,
    paused_lanes: BTreeSet<String>,
}

impl LimitAudit {
    pub(crate) fn paused(&mut self, lane: Option<&str>, paused: bool) {
        match lane {
            None => self.paused = paused,
            Some(lane) if paused => drop(self.paused_lanes.insert(lane.to_owned())),
            Some(lane) => drop(self.paused_lanes.remove(lane)),
        }
    }

    pub(crate) fn delivered(
        &mut self,
        now_ms: UnixMs,
        lane: Option<String>,
        seq: Seq,
        lease_ms: u64,
    ) {
        assert!(!self.paused, "delivered while the queue is paused");
        self.held.retain(|_, (_, until_ms)| *until_ms > now_ms);
        if lease_ms > 0 {
            self.held.insert(seq, (lane.clone(), now_ms + lease_ms));
        }
        self.delivered.push(now_ms);
        check_rate(&RATE, &self.delivered);
        let Some(lane) = lane else { return };
        assert!(!self.paused_lanes.contains(&lane), "delivered while {lane} is paused");
        let in_flight = self.held.values().filter(|(of, _)| of.as_ref() == Some(&lane)).count();
        assert!(in_flight <= LANE_IN_FLIGHT as usize, "{in_flight} of {lane} are in flight");
        let times = self.by_lane.entry(lane).or_default();
        times.push(now_ms);
        check_rate(&LANE_RATE, times);
    }

    pub(crate) fn extended(&mut self, seq: Seq, until_ms: UnixMs) {
        if let Some((_, until)) = self.held.get_mut(&seq) {
            *until = until_ms;
        }
    }

    pub(crate) fn ended(&mut self, seq: Seq) {
        self.held.remove(&seq);
    }

    pub(crate) fn purged(&mut self) {
        self.held.clear();
    }
}

/// No window that ends with the last delivery has more than its share.
fn check_rate(rate: &RateLimit, times: &[UnixMs]) {
    let Some(to) = times.last() else { return };
    for (count, from) in (1u64..).zip(times.iter().rev()) {
        let most = u64::from(rate.burst) * rate.interval_ms + (to - from) * u64::from(rate.permits);
        assert!(
            count * rate.interval_ms <= most,
            "{count} deliveries from {from} to {to}: {rate:?}"
        );
    }
}
