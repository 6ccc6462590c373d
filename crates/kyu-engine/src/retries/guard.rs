//! The state of one retry budget and one breaker. It is pure arithmetic: which messages are
//! guarded, and what follows for them, is decided in `decide/guards.rs`.

use kyu_model::wire::{Malformed, Reader, Write};
use kyu_model::{Breaker, BreakerState, Guard, Hold, RetryBudget, UnixMs};

use crate::retries::slow_start::{SlowStart, Step};

/// A token, in thousandths.
pub(crate) const TOKEN: u64 = 1_000;
/// The number of seconds for which the floor of a budget saves up.
const FLOOR_SAVES_SECONDS: u64 = 10;
/// The time after which a closed, idle guard is forgotten, in milliseconds: a new one would be in
/// the same state.
const IDLE_MS: u64 = 60_000;

/// Budget and breaker of a queue or a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GuardState {
    /// The time of the last change.
    pub(crate) at_ms: UnixMs,
    /// Thousandths of tokens at that time.
    tokens: u64,
    window_start_ms: UnixMs,
    successes: u32,
    failures: u32,
    circuit: Circuit,
    /// The time of the breaker's last change: attempts that began before it do not count.
    since_ms: UnixMs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Circuit {
    Closed,
    Open {
        until_ms: UnixMs,
        /// The threshold of the next slow start: see [`SlowStart::threshold`].
        threshold: u32,
    },
    HalfOpen(HalfOpen),
    SlowStart(SlowStart),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct HalfOpen {
    /// The number of probes under way.
    out: u32,
    /// The time at which the probes under way are given up.
    until_ms: UnixMs,
    succeeded: u32,
    /// The messages that were released for a probe that has not begun: see [`SlowStart::granted`].
    granted: u32,
    /// The threshold of the next slow start: see [`SlowStart::threshold`].
    threshold: u32,
}

impl HalfOpen {
    fn room(&self, breaker: &Breaker) -> u32 {
        breaker.probes.saturating_sub(self.out.saturating_add(self.succeeded))
    }

    fn is_under_way(&self) -> bool {
        self.out > 0 || self.granted > 0
    }
}

/// The signal that the end of an attempt gives to its guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttemptSignal {
    /// The attempt succeeded.
    Success {
        /// True if it was the message's first attempt, which earns a share of a token.
        first: bool,
    },
    /// The attempt failed.
    Failure,
    /// The end of the attempt says nothing about the dependency.
    Neither,
}

impl GuardState {
    pub(crate) fn new(config: &Guard, now_ms: UnixMs) -> Self {
        Self {
            at_ms: now_ms,
            tokens: config.budget.map_or(0, |budget| floor_cap(&budget)),
            window_start_ms: now_ms,
            successes: 0,
            failures: 0,
            circuit: Circuit::Closed,
            since_ms: 0,
        }
    }

    /// Brings the tokens of the floor up to this time.
    pub(crate) fn refill(&mut self, config: &Guard, now_ms: UnixMs) {
        let elapsed_ms = now_ms.saturating_sub(self.at_ms);
        self.at_ms = self.at_ms.max(now_ms);
        let Some(budget) = config.budget else { return };
        let gained = elapsed_ms.saturating_mul(u64::from(budget.floor_per_second));
        if self.tokens < floor_cap(&budget) {
            self.tokens = self.tokens.saturating_add(gained).min(floor_cap(&budget));
        }
    }

    /// Takes a token for one retry. The caller has refilled.
    pub(crate) fn take_token(&mut self) -> bool {
        let has = self.tokens >= TOKEN;
        if has {
            self.tokens -= TOKEN;
        }
        has
    }

    pub(crate) fn has_token(&self) -> bool {
        self.tokens >= TOKEN
    }

    /// Returns the time at which the n-th token from now, counted from 1, comes without any
    /// success.
    pub(crate) fn token_at_ms(&self, budget: &RetryBudget, n: u64) -> UnixMs {
        let missing = n.saturating_mul(TOKEN).saturating_sub(self.tokens);
        self.at_ms.saturating_add(missing.div_ceil(u64::from(budget.floor_per_second.max(1))))
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.circuit, Circuit::Open { .. })
    }

    /// Returns the number of attempts that may begin.
    pub(crate) fn room(&self, config: &Guard) -> u32 {
        let Some(breaker) = config.breaker else { return u32::MAX };
        match &self.circuit {
            Circuit::Closed => u32::MAX,
            Circuit::Open { .. } => 0,
            Circuit::HalfOpen(half) => half.room(&breaker),
            Circuit::SlowStart(slow) => slow.room(),
        }
    }

    /// Returns true if no attempt may begin.
    pub(crate) fn is_shut(&self, config: &Guard) -> bool {
        self.room(config) == 0
    }

    /// Returns the number of waiting messages that may be released for an attempt.
    pub(crate) fn grantable(&self, config: &Guard) -> u32 {
        let granted = match &self.circuit {
            Circuit::Closed | Circuit::Open { .. } => 0,
            Circuit::HalfOpen(half) => half.granted,
            Circuit::SlowStart(slow) => slow.granted,
        };
        self.room(config).saturating_sub(granted)
    }

    /// Notes that a number of messages were released.
    pub(crate) fn grant(&mut self, config: &Guard, messages: u32, now_ms: UnixMs) {
        let Some(breaker) = config.breaker else { return };
        let (granted, until_ms) = match &mut self.circuit {
            Circuit::Closed | Circuit::Open { .. } => return,
            Circuit::HalfOpen(half) => (&mut half.granted, &mut half.until_ms),
            Circuit::SlowStart(slow) => (&mut slow.granted, &mut slow.until_ms),
        };
        *granted = granted.saturating_add(messages);
        *until_ms = now_ms.saturating_add(breaker.open_ms);
    }

    /// Gives back the token of a retry that does not take place now.
    pub(crate) fn return_token(&mut self, config: &Guard) {
        if let Some(budget) = config.budget {
            self.tokens = self.tokens.saturating_add(TOKEN).min(cap(&budget)).max(self.tokens);
        }
    }

    /// Returns what holds back a message that could be tried otherwise. `waits`: it was put aside,
    /// and must be let go first.
    pub(crate) fn hold(&self, config: &Guard, waits: bool) -> Option<Hold> {
        let room = if waits { self.grantable(config) } else { self.room(config) };
        if room > 0 {
            return None;
        }
        match self.circuit {
            Circuit::Closed => None,
            Circuit::Open { until_ms, .. } | Circuit::HalfOpen(HalfOpen { until_ms, .. }) => {
                Some(Hold::Breaker { until_ms })
            }
            Circuit::SlowStart(SlowStart { out, allowed, .. }) => {
                Some(Hold::SlowStart { in_flight: out, allowed })
            }
        }
    }

    /// Begins an attempt, for which there must be room. Returns true if that changes the guard.
    pub(crate) fn begin(&mut self, config: &Guard, now_ms: UnixMs) -> bool {
        let Some(breaker) = config.breaker else { return false };
        match &mut self.circuit {
            Circuit::Closed | Circuit::Open { .. } => return false,
            Circuit::HalfOpen(half) => {
                half.out += 1;
                half.granted = half.granted.saturating_sub(1);
                half.until_ms = now_ms.saturating_add(breaker.open_ms);
            }
            Circuit::SlowStart(slow) => slow.begin(&breaker, now_ms),
        }
        self.at_ms = self.at_ms.max(now_ms);
        true
    }

    /// Ends an attempt that began at the given time.
    pub(crate) fn end(
        &mut self,
        config: &Guard,
        started_ms: UnixMs,
        signal: AttemptSignal,
        now_ms: UnixMs,
    ) {
        self.refill(config, now_ms);
        if let (AttemptSignal::Success { first: true }, Some(budget)) = (signal, config.budget) {
            let earned = self.tokens.saturating_add(u64::from(budget.earn_percent) * TOKEN / 100);
            self.tokens = earned.min(cap(&budget)).max(self.tokens);
        }
        let Some(breaker) = config.breaker.filter(|_| started_ms >= self.since_ms) else { return };
        match &mut self.circuit {
            Circuit::Open { .. } => {}
            Circuit::Closed => self.count(&breaker, signal, now_ms),
            Circuit::HalfOpen(half) => {
                half.out = half.out.saturating_sub(1);
                let threshold = half.threshold;
                match signal {
                    AttemptSignal::Neither => {}
                    AttemptSignal::Failure => self.open(&breaker, threshold, now_ms),
                    AttemptSignal::Success { .. } => {
                        half.succeeded += 1;
                        if half.succeeded >= breaker.probes {
                            self.prove(&breaker, threshold, now_ms);
                        }
                    }
                }
            }
            Circuit::SlowStart(slow) => match slow.end(&breaker, started_ms, signal, now_ms) {
                Step::GoOn => {}
                Step::Close => self.close(now_ms),
                Step::Open(threshold) => self.open(&breaker, threshold, now_ms),
            },
        }
    }

    fn count(&mut self, breaker: &Breaker, signal: AttemptSignal, now_ms: UnixMs) {
        if now_ms >= self.window_start_ms.saturating_add(breaker.window_ms) {
            self.window_start_ms = now_ms;
            (self.successes, self.failures) = (0, 0);
        }
        match signal {
            AttemptSignal::Success { .. } => self.successes = self.successes.saturating_add(1),
            AttemptSignal::Failure => self.failures = self.failures.saturating_add(1),
            AttemptSignal::Neither => return,
        }
        let all = u64::from(self.successes) + u64::from(self.failures);
        let failed = u64::from(self.failures) * 100 >= u64::from(breaker.failure_percent) * all;
        if failed && all >= u64::from(breaker.min_attempts) {
            self.open(breaker, 0, now_ms);
        }
    }

    fn open(&mut self, breaker: &Breaker, threshold: u32, now_ms: UnixMs) {
        self.circuit =
            Circuit::Open { until_ms: now_ms.saturating_add(breaker.open_ms), threshold };
        self.since_ms = now_ms;
        (self.successes, self.failures) = (0, 0);
    }

    /// Closes the breaker, or begins the slow start, after all probes succeeded.
    fn prove(&mut self, breaker: &Breaker, threshold: u32, now_ms: UnixMs) {
        self.close(now_ms);
        if breaker.slow_start_percent > 0 {
            self.circuit = Circuit::SlowStart(SlowStart::new(breaker, threshold, now_ms));
        }
    }

    fn close(&mut self, now_ms: UnixMs) {
        self.circuit = Circuit::Closed;
        self.since_ms = now_ms;
        self.window_start_ms = now_ms;
    }

    /// Does the work that is due, with `in_flight` messages in flight; returns true if anything
    /// changed.
    pub(crate) fn pass_time(&mut self, config: &Guard, in_flight: u64, now_ms: UnixMs) -> bool {
        match &mut self.circuit {
            Circuit::Open { until_ms, threshold } if *until_ms <= now_ms => {
                let threshold = *threshold;
                let half = HalfOpen { until_ms: now_ms, threshold, ..HalfOpen::default() };
                self.circuit = Circuit::HalfOpen(half);
                self.since_ms = now_ms;
                true
            }
            Circuit::HalfOpen(half) if half.is_under_way() && half.until_ms <= now_ms => {
                (half.out, half.granted) = (0, 0); // given up: others may try
                true
            }
            Circuit::SlowStart(slow) if slow.is_under_way() && slow.until_ms <= now_ms => {
                let Some(breaker) = config.breaker else { return false };
                slow.give_up(&breaker, in_flight, now_ms);
                true
            }
            Circuit::Closed
            | Circuit::Open { .. }
            | Circuit::HalfOpen(_)
            | Circuit::SlowStart(_) => false,
        }
    }

    /// Returns the time at which the guard next has work beside giving out tokens.
    pub(crate) fn due_ms(&self) -> Option<UnixMs> {
        match &self.circuit {
            Circuit::Open { until_ms, .. } => Some(*until_ms),
            Circuit::HalfOpen(half) => half.is_under_way().then_some(half.until_ms),
            Circuit::SlowStart(slow) if slow.is_under_way() => Some(slow.until_ms),
            Circuit::SlowStart(_) | Circuit::Closed => Some(self.idle_at_ms()),
        }
    }

    pub(crate) fn breaker_state(&self) -> BreakerState {
        match &self.circuit {
            Circuit::Closed => BreakerState::Closed,
            Circuit::Open { until_ms, .. } => BreakerState::Open { until_ms: *until_ms },
            Circuit::HalfOpen(half) => {
                BreakerState::HalfOpen { in_flight: half.out, succeeded: half.succeeded }
            }
            Circuit::SlowStart(slow) => {
                BreakerState::SlowStart { in_flight: slow.out, allowed: slow.allowed }
            }
        }
    }

    /// Returns the successes and failures of the window.
    pub(crate) fn counts(&self) -> (u32, u32) {
        (self.successes, self.failures)
    }

    pub(crate) fn whole_tokens(&self) -> u64 {
        self.tokens / TOKEN
    }

    /// Returns true if the breaker is in its slow start and lets more and more attempts through.
    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.circuit, Circuit::SlowStart(_))
    }

    fn idle_at_ms(&self) -> UnixMs {
        self.at_ms.saturating_add(IDLE_MS)
    }

    /// Returns true if the guard may be forgotten.
    pub(crate) fn is_idle(&self, now_ms: UnixMs) -> bool {
        let rests = match &self.circuit {
            Circuit::Closed => true,
            Circuit::SlowStart(slow) => !slow.is_under_way(),
            Circuit::Open { .. } | Circuit::HalfOpen(_) => false,
        };
        rests && self.idle_at_ms() <= now_ms
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.varint(self.at_ms);
        out.varint(self.tokens);
        out.varint(self.window_start_ms);
        out.varint(u64::from(self.successes));
        out.varint(u64::from(self.failures));
        match &self.circuit {
            Circuit::Closed => out.u8(0),
            Circuit::Open { until_ms, threshold } => {
                out.u8(if *threshold == 0 { 1 } else { 4 });
                out.varint(*until_ms);
                if *threshold > 0 {
                    out.varint(u64::from(*threshold));
                }
            }
            Circuit::HalfOpen(half) => {
                let more = half.granted > 0 || half.threshold > 0;
                out.u8(if more { 5 } else { 2 });
                out.varint(u64::from(half.out));
                out.varint(half.until_ms);
                out.varint(u64::from(half.succeeded));
                if more {
                    out.varint(u64::from(half.granted));
                    out.varint(u64::from(half.threshold));
                }
            }
            Circuit::SlowStart(slow) => {
                out.u8(3);
                slow.encode(out);
            }
        }
        out.varint(self.since_ms);
    }

    pub(crate) fn decode(r: &mut Reader) -> Result<Self, Malformed> {
        Ok(Self {
            at_ms: r.varint()?,
            tokens: r.varint()?,
            window_start_ms: r.varint()?,
            successes: r.varint32()?,
            failures: r.varint32()?,
            circuit: match r.u8()? {
                0 => Circuit::Closed,
                1 => Circuit::Open { until_ms: r.varint()?, threshold: 0 },
                tag @ (2 | 5) => {
                    let (out, until_ms, succeeded) = (r.varint32()?, r.varint()?, r.varint32()?);
                    let (granted, threshold) =
                        if tag == 5 { (r.varint32()?, r.varint32()?) } else { (0, 0) };
                    Circuit::HalfOpen(HalfOpen { out, until_ms, succeeded, granted, threshold })
                }
                3 => Circuit::SlowStart(SlowStart::decode(r)?),
                4 => Circuit::Open { until_ms: r.varint()?, threshold: r.varint32()? },
                _ => return Err(Malformed("circuit")),
            },
            since_ms: r.varint()?,
        })
    }
}

/// Returns the most that a budget holds.
fn cap(budget: &RetryBudget) -> u64 {
    u64::from(budget.max_tokens.max(1)) * TOKEN
}

/// Returns the most that a budget saves of its floor.
fn floor_cap(budget: &RetryBudget) -> u64 {
    (u64::from(budget.floor_per_second) * FLOOR_SAVES_SECONDS * TOKEN).min(cap(budget))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kyu_model::GuardKey;

    fn config() -> Guard {
        let budget = RetryBudget { earn_percent: 20, floor_per_second: 1, max_tokens: 50 };
        let breaker = Breaker {
            window_ms: 1_000,
            min_attempts: 4,
            failure_percent: 50,
            open_ms: 500,
            probes: 2,
            slow_start_percent: 0,
        };
        Guard { key: GuardKey::Queue, budget: Some(budget), breaker: Some(breaker) }
    }

    fn shut(until_ms: UnixMs) -> Option<Hold> {
        Some(Hold::Breaker { until_ms })
    }

    #[test]
    fn five_first_successes_earn_one_token_and_the_floor_saves_ten_seconds() {
        let config = config();
        let mut guard = GuardState::new(&config, 0);
        while guard.take_token() {}
        for _ in 0..4 {
            guard.end(&config, 0, AttemptSignal::Success { first: true }, 0);
            assert!(!guard.has_token());
        }
        guard.end(&config, 0, AttemptSignal::Success { first: false }, 0);
        assert!(!guard.has_token(), "a retry that succeeds earns nothing");
        guard.end(&config, 0, AttemptSignal::Success { first: true }, 0);
        assert!(guard.take_token());
        assert_eq!(guard.token_at_ms(&config.budget.unwrap(), 3), 3_000);
        guard.refill(&config, 100_000);
        assert_eq!((0..).take_while(|_| guard.take_token()).count(), 10);
        for _ in 0..1_000 {
            guard.end(&config, 0, AttemptSignal::Success { first: true }, 100_000);
        }
        assert_eq!((0..).take_while(|_| guard.take_token()).count(), 50, "no more than are saved");
    }

    #[test]
    fn the_breaker_opens_probes_and_closes() {
        let config = config();
        let mut guard = GuardState::new(&config, 0);
        let success = AttemptSignal::Success { first: true };
        for signal in [success, success, AttemptSignal::Failure] {
            guard.end(&config, 0, signal, 10);
        }
        assert!(!guard.is_open());
        guard.end(&config, 0, AttemptSignal::Failure, 20);
        assert_eq!(guard.hold(&config, false), shut(520));
        assert!(!guard.pass_time(&config, 0, 519));
        assert!(guard.pass_time(&config, 0, 520), "half open");
        guard.end(&config, 15, AttemptSignal::Failure, 530);
        assert!(!guard.is_open(), "an attempt from before says nothing");
        assert!(guard.begin(&config, 540));
        assert!(guard.begin(&config, 541));
        assert_eq!(guard.hold(&config, false), shut(1_041), "all probes are under way");
        guard.end(&config, 540, success, 600);
        assert!(guard.is_shut(&config), "one more must succeed");
        guard.end(&config, 541, AttemptSignal::Failure, 700);
        assert_eq!(guard.hold(&config, false), shut(1_200));
        guard.pass_time(&config, 0, 1_200);
        for _ in 0..2 {
            guard.begin(&config, 1_200);
            guard.end(&config, 1_200, success, 1_300);
        }
        assert_eq!((guard.hold(&config, false), guard.circuit), (None, Circuit::Closed));
    }

    #[test]
    fn probes_that_never_end_are_given_up() {
        let config = config();
        let mut guard = GuardState::new(&config, 0);
        (0..4).for_each(|_| guard.end(&config, 0, AttemptSignal::Failure, 0));
        guard.pass_time(&config, 0, 500);
        (0..2).for_each(|_| {
            guard.begin(&config, 500);
        });
        assert_eq!(guard.due_ms(), Some(1_000));
        assert!(guard.pass_time(&config, 0, 1_000));
        assert_eq!(guard.hold(&config, false), None);
    }

    /// A guard whose probes have just succeeded.
    fn proven(config: &Guard) -> GuardState {
        let mut guard = GuardState::new(config, 0);
        (0..4).for_each(|_| guard.end(config, 0, AttemptSignal::Failure, 0));
        assert!(guard.pass_time(config, 0, 500));
        for _ in 0..2 {
            guard.begin(config, 500);
            guard.end(config, 500, AttemptSignal::Success { first: true }, 600);
        }
        guard
    }

    fn slow_config() -> Guard {
        let mut config = config();
        config.breaker.as_mut().unwrap().slow_start_percent = 100;
        config
    }

    #[test]
    fn after_its_probes_it_closes_step_by_step_and_a_failing_round_of_few_opens_it() {
        let config = slow_config();
        let mut guard = proven(&config);
        assert!(guard.is_closing());
        guard.begin(&config, 600);
        guard.begin(&config, 600);
        assert_eq!(guard.hold(&config, false), Some(Hold::SlowStart { in_flight: 2, allowed: 2 }));
        guard.end(&config, 550, AttemptSignal::Failure, 610);
        assert!(guard.is_shut(&config), "an attempt from before the probes' end says nothing");
        guard.end(&config, 600, AttemptSignal::Failure, 620);
        assert_eq!(guard.hold(&config, false), shut(1_120));
    }

    #[test]
    fn a_closing_guard_is_forgotten_as_a_closed_one_but_not_while_attempts_are_under_way() {
        let config = slow_config();
        let mut guard = proven(&config);
        assert_eq!(guard.due_ms(), Some(60_600));
        assert!(!guard.is_idle(60_599) && guard.is_idle(60_600));
        guard.begin(&config, 700);
        assert_eq!(guard.due_ms(), Some(1_200));
        assert!(guard.pass_time(&config, 1, 1_200), "it is in flight, as the queue knows");
        assert_eq!(guard.room(&config), 1);
        assert!(guard.pass_time(&config, 0, 1_700), "it is gone, and nobody said how it ended");
        assert_eq!((guard.room(&config), guard.is_idle(61_000)), (2, true));
    }

    #[test]
    fn failures_of_different_windows_do_not_add_up() {
        let config = config();
        let mut guard = GuardState::new(&config, 0);
        for at_ms in [0, 400, 800, 1_200, 1_600, 2_000] {
            guard.end(&config, 0, AttemptSignal::Failure, at_ms);
        }
        assert!(!guard.is_open());
    }

    #[test]
    fn golden_bytes() {
        let config = config();
        let mut guard = GuardState::new(&config, 300);
        let mut all = Vec::new();
        guard.encode(&mut all);
        assert_eq!(all, [0xac, 2, 0x90, 0x4e, 0xac, 2, 0, 0, 0, 0]);
        (0..4).for_each(|_| guard.end(&config, 300, AttemptSignal::Failure, 300));
        let at_ms = |guard: &mut GuardState, at_ms| assert!(guard.pass_time(&config, 0, at_ms));
        type Change<'a> = &'a dyn Fn(&mut GuardState);
        let states: [(&str, Change<'_>); 6] = [
            ("ac02904eac02000001a006ac02", &|_| {}),
            ("ac02904eac02000004a00609ac02", &|guard| {
                guard.circuit = Circuit::Open { until_ms: 800, threshold: 9 };
            }),
            ("ac02904eac0200000500a00600 0009a006", &|guard| at_ms(guard, 800)),
            ("8407904eac0200000501f80a00 0009a006", &|guard| assert!(guard.begin(&config, 900))),
            ("8407904eac0200000201f80a00 a006", &|guard| {
                let Circuit::HalfOpen(half) = &mut guard.circuit else { panic!("{guard:?}") };
                half.threshold = 0;
            }),
            ("8407904eac0200000302000000000084078407 8407a006", &|guard| {
                let slow = SlowStart::new(&config.breaker.unwrap(), 0, 900);
                guard.circuit = Circuit::SlowStart(slow);
            }),
        ];
        for (golden, change) in states {
            change(&mut guard);
            let mut bytes = Vec::new();
            guard.encode(&mut bytes);
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, golden.replace(' ', ""), "{guard:?}");
            assert_eq!(
                GuardState::decode(&mut Reader::new(bytes.clone().into())),
                Ok(guard.clone())
            );
            for end in 0..bytes.len() {
                assert!(
                    GuardState::decode(&mut Reader::new(bytes[..end].to_vec().into())).is_err()
                );
            }
        }
    }
}
