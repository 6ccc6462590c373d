//! The answer of [`crate::Query::Guards`]: the state of budgets and breakers.

use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use kyu_model::{GuardKey, GuardStats, UnixMs};

use crate::queue::store::Queue;
use crate::retries::queue_guards::Whose;

impl Queue {
    /// Returns guards by key, from the first after a given one.
    pub(crate) fn guard_stats(
        &self,
        after: Option<&str>,
        max: usize,
        now_ms: UnixMs,
    ) -> Vec<GuardStats> {
        let Some(config) = self.guard_config() else { return Vec::new() };
        let from = after.map_or(Unbounded, |after| Excluded(Some(Arc::from(after))));
        let some = self.guards.range((from, Unbounded)).take(max);
        let stats = some.map(|(key, guard)| {
            let mut now = guard.clone();
            now.refill(&config, now_ms);
            let (successes, failures) = now.counts();
            let whose = match config.key {
                GuardKey::Queue => None,
                GuardKey::Lane => self.lane_of_guard(&config, key).map(Whose::Lane),
                GuardKey::Attribute => Some(Whose::Value(key.clone())),
            };
            let held = match whose {
                None if config.key == GuardKey::Queue => self.all_parked.len(),
                None => 0,
                Some(Whose::Lane(lane)) => self.parked.get(&lane).map_or(0, |lane| lane.len()),
                Some(Whose::Value(value)) => {
                    self.guard_keys.waiting(&value).map_or(0, |waiting| waiting.len())
                }
            };
            GuardStats {
                key: key.as_deref().map(str::to_owned),
                breaker: config.breaker.map(|_| now.breaker_state()),
                successes,
                failures,
                tokens: config.budget.map(|_| now.whole_tokens()),
                held: held as u64,
            }
        });
        stats.collect()
    }

    /// Returns the key of a message's guard as a text: `dependency=stripe`, or a lane.
    pub(crate) fn guarded_by(&self, whose: &Whose) -> Option<String> {
        let config = self.guard_config()?;
        let value = self.guard_key(&config, whose)?;
        match (config.key, &self.info.config.guard_attribute) {
            (GuardKey::Attribute, Some(name)) => {
                Some(format!("{name}={}", value.as_deref().unwrap_or_default()))
            }
            (GuardKey::Lane, _) => Some(format!("lane {:?}", value.as_deref().unwrap_or_default())),
            (GuardKey::Attribute, None) | (GuardKey::Queue, _) => None,
        }
    }
}
