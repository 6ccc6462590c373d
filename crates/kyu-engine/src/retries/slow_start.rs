//! The slow start of a breaker, which closes it step by step. After the probes, the *allowance* of
//! attempts under way at one time is the number of probes that succeeded. Each *round* of as many
//! attempts as are allowed lets the allowance grow, or cuts it, until it holds no message up any
//! more. TCP finds the capacity of a path in the same way (RFC 5681: slow start, congestion
//! avoidance, threshold). It is pure arithmetic, as in `guard.rs`.

use kyu_model::wire::{Malformed, Reader, Write};
use kyu_model::{Breaker, UnixMs};

use crate::retries::guard::AttemptSignal;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlowStart {
    /// Attempts that may be under way at one time. At least 1.
    pub(crate) allowed: u32,
    /// The allowance above which growth becomes careful, learnt when the load was last too high; 0
    /// for unknown.
    pub(crate) threshold: u32,
    /// Attempts under way that began since the probes.
    pub(crate) out: u32,
    /// Messages that were let go for an attempt that has not begun.
    pub(crate) granted: u32,
    /// The time at which granted messages that did not begin are given up.
    pub(crate) until_ms: UnixMs,
    /// The beginning of the round: attempts that began before it say nothing of the present
    /// allowance.
    round_ms: UnixMs,
    succeeded: u32,
    failed: u32,
    /// The time at which the allowance last held a message back.
    bound_ms: UnixMs,
}

/// The step that follows the end of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    GoOn,
    Close,
    /// The breaker opens, with the threshold that is known.
    Open(u32),
}

impl SlowStart {
    pub(crate) fn new(breaker: &Breaker, threshold: u32, now_ms: UnixMs) -> Self {
        Self {
            allowed: breaker.probes.max(1),
            threshold,
            out: 0,
            granted: 0,
            until_ms: now_ms,
            round_ms: now_ms,
            succeeded: 0,
            failed: 0,
            bound_ms: now_ms,
        }
    }

    /// Returns the number of attempts that may still begin.
    pub(crate) fn room(&self) -> u32 {
        self.allowed.saturating_sub(self.out)
    }

    pub(crate) fn begin(&mut self, breaker: &Breaker, now_ms: UnixMs) {
        self.out = self.out.saturating_add(1);
        self.granted = self.granted.saturating_sub(1);
        self.until_ms = now_ms.saturating_add(breaker.open_ms);
        self.note_bound(now_ms);
    }

    fn note_bound(&mut self, now_ms: UnixMs) {
        if self.room() == 0 {
            self.bound_ms = now_ms;
        }
    }

    /// Ends an attempt that began since the probes.
    pub(crate) fn end(
        &mut self,
        breaker: &Breaker,
        started_ms: UnixMs,
        signal: AttemptSignal,
        now_ms: UnixMs,
    ) -> Step {
        self.note_bound(now_ms);
        self.out = self.out.saturating_sub(1);
        let counts = started_ms >= self.round_ms;
        match signal {
            AttemptSignal::Neither => return Step::GoOn,
            AttemptSignal::Success { .. } => self.succeeded += u32::from(counts),
            AttemptSignal::Failure => self.failed += u32::from(counts),
        }
        if matches!(signal, AttemptSignal::Success { .. })
            && now_ms >= self.bound_ms.saturating_add(breaker.window_ms)
        {
            return Step::Close;
        }
        let too_many = |of: u32| {
            self.failed > 0
                && u64::from(self.failed) * 100
                    >= u64::from(breaker.failure_percent) * u64::from(of)
        };
        let all = self.succeeded.saturating_add(self.failed);
        if too_many(all.max(self.allowed)) {
            return self.cut(breaker, now_ms);
        }
        if all >= self.allowed {
            self.grow(breaker);
            self.begin_round(now_ms);
        }
        Step::GoOn
    }

    fn grow(&mut self, breaker: &Breaker) {
        let share = |percent: u32, of: u32| u64::from(of) * u64::from(percent) / 100;
        let careful = self.threshold > 0 && self.allowed >= self.threshold;
        let percent = breaker.slow_start_percent;
        let more =
            if careful { share(percent, self.allowed) / 10 } else { share(percent, self.allowed) };
        let grown = u64::from(self.allowed).saturating_add(more.max(1));
        let most = if careful || self.threshold == 0 { u32::MAX } else { self.threshold };
        self.allowed = u32::try_from(grown).unwrap_or(u32::MAX).min(most);
    }

    fn cut(&mut self, breaker: &Breaker, now_ms: UnixMs) -> Step {
        let half = (self.allowed / 2).max(1);
        if self.allowed <= breaker.probes {
            return Step::Open(self.threshold);
        }
        (self.allowed, self.threshold) = (half, half);
        self.begin_round(now_ms);
        Step::GoOn
    }

    fn begin_round(&mut self, now_ms: UnixMs) {
        // What began in this millisecond may have begun before.
        self.round_ms = now_ms.saturating_add(1);
        (self.succeeded, self.failed) = (0, 0);
    }

    /// Gives up granted messages that have not begun, and attempts that are no longer in flight and
    /// did not end here.
    pub(crate) fn give_up(&mut self, breaker: &Breaker, in_flight: u64, now_ms: UnixMs) {
        self.granted = 0;
        self.out = self.out.min(u32::try_from(in_flight).unwrap_or(u32::MAX));
        self.until_ms = now_ms.saturating_add(breaker.open_ms);
    }

    pub(crate) fn is_under_way(&self) -> bool {
        self.out > 0 || self.granted > 0
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let Self { allowed, threshold, out: under_way, granted, succeeded, failed, .. } = self;
        for number in [allowed, threshold, under_way, granted, succeeded, failed] {
            out.varint(u64::from(*number));
        }
        [self.until_ms, self.round_ms, self.bound_ms].into_iter().for_each(|ms| out.varint(ms));
    }

    pub(crate) fn decode(r: &mut Reader) -> Result<Self, Malformed> {
        let (allowed, threshold) = (r.varint32()?, r.varint32()?);
        let (out, granted) = (r.varint32()?, r.varint32()?);
        let (succeeded, failed) = (r.varint32()?, r.varint32()?);
        let (until_ms, round_ms, bound_ms) = (r.varint()?, r.varint()?, r.varint()?);
        Ok(Self {
            allowed,
            threshold,
            out,
            granted,
            until_ms,
            round_ms,
            succeeded,
            failed,
            bound_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BREAKER: Breaker = Breaker {
        window_ms: 1_000,
        min_attempts: 4,
        failure_percent: 50,
        open_ms: 500,
        probes: 4,
        slow_start_percent: 100,
    };
    const SUCCESS: AttemptSignal = AttemptSignal::Success { first: true };

    /// Runs a round: as many attempts as are allowed, of which `successes` succeed.
    fn round(slow: &mut SlowStart, now_ms: &mut UnixMs, successes: u32) -> Step {
        let (began_ms, out) = (*now_ms + 1, slow.room());
        (0..out).for_each(|_| slow.begin(&BREAKER, began_ms));
        *now_ms += 100;
        for n in 0..out {
            let signal = if n < successes { SUCCESS } else { AttemptSignal::Failure };
            match slow.end(&BREAKER, began_ms, signal, *now_ms) {
                Step::GoOn => {}
                step => return step,
            }
        }
        Step::GoOn
    }

    #[test]
    fn good_rounds_double_what_is_allowed_a_bad_one_halves_it_and_then_growth_is_careful() {
        let (mut slow, mut now_ms) = (SlowStart::new(&BREAKER, 0, 0), 0);
        let mut allowed = Vec::new();
        for _ in 0..4 {
            assert_eq!(round(&mut slow, &mut now_ms, u32::MAX), Step::GoOn);
            allowed.push(slow.allowed);
        }
        assert_eq!(allowed, [8, 16, 32, 64]);
        assert_eq!(round(&mut slow, &mut now_ms, 32), Step::GoOn);
        assert_eq!((slow.allowed, slow.threshold), (32, 32));
        assert_eq!(round(&mut slow, &mut now_ms, 17), Step::GoOn);
        assert_eq!(slow.allowed, 35, "fewer failures than open a breaker do not cut");
        let mut again = SlowStart::new(&BREAKER, 32, now_ms);
        for expected in [8, 16, 32, 35] {
            round(&mut again, &mut now_ms, u32::MAX);
            assert_eq!(again.allowed, expected, "up to the threshold as fast as before");
        }
    }

    #[test]
    fn a_dependency_that_is_down_again_opens_it_after_few_attempts_more_than_are_allowed() {
        let (mut slow, mut now_ms) = (SlowStart::new(&BREAKER, 0, 0), 0);
        (0..3).for_each(|_| {
            round(&mut slow, &mut now_ms, u32::MAX);
        });
        let steps: Vec<Step> = (0..4).map(|_| round(&mut slow, &mut now_ms, 0)).collect();
        assert_eq!(steps, [Step::GoOn, Step::GoOn, Step::GoOn, Step::Open(4)]);
    }

    #[test]
    fn attempts_of_the_round_before_do_not_cut_again() {
        let mut slow = SlowStart { allowed: 8, ..SlowStart::new(&BREAKER, 0, 0) };
        (0..8).for_each(|_| slow.begin(&BREAKER, 1));
        for _ in 0..8 {
            assert_eq!(slow.end(&BREAKER, 1, AttemptSignal::Failure, 100), Step::GoOn);
        }
        assert_eq!((slow.allowed, slow.out), (4, 0));
    }

    #[test]
    fn it_closes_when_for_a_window_nobody_was_held_up_and_not_before() {
        let mut slow = SlowStart { allowed: 100, ..SlowStart::new(&BREAKER, 0, 0) };
        let mut one = |now_ms| {
            slow.begin(&BREAKER, now_ms);
            slow.end(&BREAKER, now_ms, SUCCESS, now_ms + 1)
        };
        assert_eq!(one(500), Step::GoOn);
        assert_eq!(one(998), Step::GoOn);
        assert_eq!(one(999), Step::Close);
        let (mut slow, mut now_ms) = (SlowStart::new(&BREAKER, 0, 0), 0);
        for _ in 0..20 {
            assert_eq!(round(&mut slow, &mut now_ms, u32::MAX), Step::GoOn, "it binds: {slow:?}");
        }
    }

    #[test]
    fn long_attempts_that_fill_what_is_allowed_keep_it_from_closing() {
        let mut slow = SlowStart::new(&BREAKER, 0, 0);
        (0..4).for_each(|_| slow.begin(&BREAKER, 1));
        assert_eq!(slow.end(&BREAKER, 1, SUCCESS, 60_000), Step::GoOn);
    }
}
