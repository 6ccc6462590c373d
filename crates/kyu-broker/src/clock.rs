//! One clock: monotone, near the wall clock, and never torn by a jump of it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kyu_engine::UnixMs;

/// Share of the elapsed time by which a difference to the wall clock shrinks: 1/200 follows any
/// disciplined clock (NTP slews at most 1/2000), and bends a lease of an hour by 18 s at worst.
const SLEW_DIVISOR: i64 = 200;
/// Elapsed time between two comparisons with the wall clock.
const COMPARE_EVERY: Duration = Duration::from_secs(1);

/// Shared by all threads; only the engine thread calls [`Clock::follow_wall`].
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    /// Unix time in microseconds at `started`, as corrected so far.
    origin_us: AtomicI64,
}

impl Clock {
    /// Starts at wall time, but not before `not_before_ms`: the time of the last record in the log.
    pub(crate) fn start(not_before_ms: UnixMs) -> Self {
        let not_before_us = i64::try_from(not_before_ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
        Self { started: Instant::now(), origin_us: AtomicI64::new(wall_us().max(not_before_us)) }
    }

    /// Unix time; two readings may differ by -1 ms at a correction, so users take the maximum.
    pub(crate) fn now_ms(&self) -> UnixMs {
        let us = self.origin_us.load(Ordering::Relaxed).saturating_add(elapsed_us(self.started));
        u64::try_from(us / 1_000).unwrap_or(0)
    }

    /// Creates the follower that keeps this clock near the wall clock.
    pub(crate) fn follower(&self) -> Follower {
        Follower { compared: self.started }
    }

    /// Moves a little towards the wall clock, at most once in [`COMPARE_EVERY`].
    pub(crate) fn follow_wall(&self, follower: &mut Follower) {
        let now = Instant::now();
        let elapsed = now.duration_since(follower.compared);
        if elapsed < COMPARE_EVERY {
            return;
        }
        follower.compared = now;
        let origin_us = self.origin_us.load(Ordering::Relaxed);
        let mono_us = origin_us.saturating_add(elapsed_us(self.started));
        let elapsed_us = i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX);
        let step_us = slew(mono_us, wall_us(), elapsed_us);
        self.origin_us.store(origin_us.saturating_add(step_us), Ordering::Relaxed);
    }
}

/// When the wall clock was last looked at.
#[derive(Debug)]
pub(crate) struct Follower {
    compared: Instant,
}

/// The correction of our time after `elapsed_us`: towards `wall_us`, at most 1/200 of the elapsed.
fn slew(our_us: i64, wall_us: i64, elapsed_us: i64) -> i64 {
    let most_us = elapsed_us / SLEW_DIVISOR;
    wall_us.saturating_sub(our_us).clamp(-most_us, most_us)
}

fn elapsed_us(since: Instant) -> i64 {
    i64::try_from(since.elapsed().as_micros()).unwrap_or(i64::MAX)
}

fn wall_us() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_US: i64 = 3_600_000_000;

    #[test]
    fn a_jump_of_the_wall_clock_bends_time_by_half_a_percent_at_most() {
        assert_eq!(slew(0, HOUR_US, 1_000_000), 5_000);
        assert_eq!(slew(HOUR_US, 0, 1_000_000), -5_000);
    }

    #[test]
    fn a_small_difference_is_made_up_at_once_and_then_rests() {
        assert_eq!(slew(1_000, 1_400, 1_000_000), 400);
        assert_eq!(slew(1_400, 1_400, 1_000_000), 0);
    }

    #[test]
    fn time_does_not_start_before_the_log_ends() {
        let far_ms = 10_000_000_000_000;
        assert!(Clock::start(far_ms).now_ms() >= far_ms);
        assert!(Clock::start(0).now_ms() > 1_600_000_000_000);
    }
}
