//! Jobs: what is enqueued, and how it is tried again.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A kind of work. Its value travels as JSON, so that every other door can send and read it.
pub trait Job: Serialize + DeserializeOwned + Send + 'static {
    /// The queue of this kind. Made with its dead-letter queue (`<QUEUE>-dead`) when it is first
    /// used and does not exist; an existing queue keeps its settings.
    const QUEUE: &'static str;

    /// How failures are tried again.
    const RETRY: Retry = Retry::DEFAULT;

    /// Longest run of one attempt. While it runs its lease is extended; after this it has failed.
    const TIMEOUT: Duration = Duration::from_secs(300);
}

/// When a failed job is tried again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    /// Attempts in all, at least 1. After the last the job goes to the dead-letter queue.
    pub max_attempts: u32,
    /// Wait after the first failure.
    pub first: Duration,
    /// Each wait is the one before times this; 1 for a fixed wait.
    pub factor: f64,
    /// No wait is longer than this.
    pub longest: Duration,
    /// Share of each wait that is left to chance, from 0 to 1, so that jobs that failed together
    /// do not come back together.
    pub jitter: f64,
}

impl Retry {
    /// Five attempts, 1 s to 10 min apart, doubling five-fold, half of each wait by chance.
    pub const DEFAULT: Self = Self {
        max_attempts: 5,
        first: Duration::from_secs(1),
        factor: 5.0,
        longest: Duration::from_secs(600),
        jitter: 0.5,
    };

    /// The wait after the given attempt (from 1); `chance` is from 0 to 1.
    pub fn delay(&self, attempt: u32, chance: f64) -> Duration {
        let power = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let longest_s = self.longest.as_secs_f64();
        let whole_s = (self.first.as_secs_f64() * self.factor.powi(power)).min(longest_s);
        let whole_s = if whole_s.is_finite() { whole_s } else { longest_s };
        Duration::from_secs_f64(whole_s * (1.0 - self.jitter.clamp(0.0, 1.0) * chance))
    }
}

/// What may be said of one job when it is enqueued.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnqueueOptions {
    /// Not before this time from now.
    pub delay: Option<Duration>,
    /// Not after this time from now: then it is no longer wanted and expires.
    pub not_after: Option<Duration>,
    /// 0 (default) to 255 (first).
    pub priority: u8,
    /// Whose turn it counts for: tenant, customer. Lanes share a queue fairly.
    pub lane: Option<String>,
    /// Enqueued again under the same id within the queue's window, the job is recognised and not
    /// added twice: makes enqueueing safe to repeat.
    pub dedup_id: Option<String>,
}

/// A job that was accepted and is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enqueued {
    /// Identifier, a UUID; the original's for a duplicate.
    pub id: String,
    /// An equal `dedup_id` was there: nothing was added.
    pub duplicate: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_longest_and_are_shortened_by_chance() {
        let retry = Retry { factor: 2.0, longest: Duration::from_secs(5), ..Retry::DEFAULT };
        let waits = [1, 2, 3, 4, 99].map(|attempt| retry.delay(attempt, 0.0).as_secs());
        assert_eq!(waits, [1, 2, 4, 5, 5]);
        assert_eq!(retry.delay(2, 1.0), Duration::from_secs(1));
        let fixed = Retry { factor: 1.0, ..retry };
        assert_eq!(fixed.delay(u32::MAX, 0.0), Duration::from_secs(1));
    }
}
