//! Two clocks. One is monotone and is never torn by a jump of the wall clock: leases, delays and the
//! times in the log go by it. It counts suspends, and is slewed towards the wall clock. How far the
//! wall clock is from it, when that is more than seconds, is the other one's: schedules go by it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kyu_engine::UnixMs;
use rustix::time::{ClockId, clock_gettime};

/// The longest time that the engine's thread waits without looking at the clocks.
pub(crate) const LOOK_AT_CLOCKS_EVERY: Duration = Duration::from_secs(2);

/// The share of the elapsed time by which a difference to the wall clock shrinks: 1/200 follows any
/// disciplined clock (NTP slews at most 1/2000), and bends a lease of an hour by 18 s at worst.
const SLEW_DIVISOR: i64 = 200;
/// Elapsed time between two comparisons with the wall clock.
const COMPARE_EVERY_US: i64 = 1_000_000;
/// The largest difference that is drift. Above it the wall clock has stepped, or was wrong at the
/// start.
const STEP_US: i64 = 5_000_000;

/// The broker's clock. All threads share it; only the engine thread calls [`Clock::follow_wall`].
#[derive(Debug)]
pub(crate) struct Clock {
    /// The reading of the clock since boot at which this clock was started.
    started_us: i64,
    /// Unix time in microseconds at `started`, as corrected so far.
    origin_us: AtomicI64,
    /// The difference by which the wall clock is ahead of our time; 0 while it is less than
    /// [`STEP_US`].
    wall_ahead_us: AtomicI64,
}

impl Clock {
    /// Starts at wall time, but not before `not_before_ms`: the time of the last record in the log.
    pub(crate) fn start(not_before_ms: UnixMs) -> Self {
        let not_before_us = i64::try_from(not_before_ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
        let (started_us, wall_us) = (boot_us(), wall_us());
        let origin_us = wall_us.max(not_before_us);
        let clock = Self {
            started_us,
            origin_us: AtomicI64::new(origin_us),
            wall_ahead_us: AtomicI64::new(0),
        };
        clock.see_wall(origin_us, wall_us);
        clock
    }

    /// Unix time; two readings may differ by -1 ms at a correction, so users take the maximum.
    pub(crate) fn now_ms(&self) -> UnixMs {
        u64::try_from(self.now_us() / 1_000).unwrap_or(0)
    }

    /// The difference by which the wall clock is ahead of [`Clock::now_ms`]; 0 while it is small.
    pub(crate) fn wall_ahead_ms(&self) -> i64 {
        self.wall_ahead_us.load(Ordering::Relaxed) / 1_000
    }

    /// Creates the follower that compares this clock with the wall clock.
    pub(crate) fn follower(&self) -> Follower {
        Follower { compared_us: self.started_us }
    }

    /// Moves a little towards the wall clock, and notes a step of it, at most once a second.
    pub(crate) fn follow_wall(&self, follower: &mut Follower) {
        let boot_us = boot_us();
        let elapsed_us = boot_us.saturating_sub(follower.compared_us);
        if elapsed_us < COMPARE_EVERY_US {
            return;
        }
        follower.compared_us = boot_us;
        let (our_us, wall_us) = (self.now_us(), wall_us());
        let step_us = slew(our_us, wall_us, elapsed_us);
        self.origin_us.fetch_add(step_us, Ordering::Relaxed);
        self.see_wall(our_us.saturating_add(step_us), wall_us);
    }

    fn now_us(&self) -> i64 {
        let elapsed_us = boot_us().saturating_sub(self.started_us);
        self.origin_us.load(Ordering::Relaxed).saturating_add(elapsed_us)
    }

    fn see_wall(&self, our_us: i64, wall_us: i64) {
        let ahead_us = beyond_drift(our_us, wall_us);
        let before_us = self.wall_ahead_us.swap(ahead_us, Ordering::Relaxed);
        if ahead_us.abs_diff(before_us) >= STEP_US.unsigned_abs() {
            tracing::warn!(
                off_seconds = ahead_us / 1_000_000,
                "the wall clock has stepped: schedules follow it, leases and delays do not"
            );
        }
    }
}

/// The time at which the wall clock was last read.
#[derive(Debug)]
pub(crate) struct Follower {
    compared_us: i64,
}

/// The correction of our time after `elapsed_us`: towards `wall_us`, at most 1/200 of the elapsed.
fn slew(our_us: i64, wall_us: i64, elapsed_us: i64) -> i64 {
    let most_us = elapsed_us / SLEW_DIVISOR;
    wall_us.saturating_sub(our_us).clamp(-most_us, most_us)
}

/// The difference by which the wall clock is ahead of our time, if it is too large to be slewed.
fn beyond_drift(our_us: i64, wall_us: i64) -> i64 {
    let ahead_us = wall_us.saturating_sub(our_us);
    if ahead_us.saturating_abs() < STEP_US { 0 } else { ahead_us }
}

/// Time since the machine was started, suspends included.
fn boot_us() -> i64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1_000)
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

    /// The wall stepped by two hours, and schedules followed it in 17 days.
    #[test]
    fn a_step_is_followed_at_once_either_way_and_drift_is_not() {
        assert_eq!(beyond_drift(HOUR_US, 3 * HOUR_US), 2 * HOUR_US);
        assert_eq!(beyond_drift(3 * HOUR_US, HOUR_US), -2 * HOUR_US);
        assert_eq!(beyond_drift(HOUR_US, HOUR_US + STEP_US - 1), 0);
        assert_eq!(beyond_drift(HOUR_US + STEP_US - 1, HOUR_US), 0);
    }

    /// A boot with a clock that is ahead leaves times of the future in the log. Ours does not go
    /// back behind them, but schedules go by the wall again.
    #[test]
    fn time_does_not_start_before_the_log_ends_and_the_wall_is_seen_behind_it() {
        let far_ms = 10_000_000_000_000;
        let clock = Clock::start(far_ms);
        assert!(clock.now_ms() >= far_ms);
        let wall_ms = clock.now_ms().saturating_add_signed(clock.wall_ahead_ms());
        assert!(wall_ms.abs_diff(u64::try_from(wall_us() / 1_000).unwrap()) < 1_000);
        let clock = Clock::start(0);
        assert!(clock.now_ms() > 1_600_000_000_000);
        assert_eq!(clock.wall_ahead_ms(), 0);
    }
}
