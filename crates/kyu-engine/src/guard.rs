//! The state of one retry budget and one breaker. Pure arithmetic: who is guarded, and what follows
//! for messages, is decided in `decide/guards.rs`.

use crate::ids::UnixMs;
use crate::retry::{Breaker, Guard, RetryBudget};
use crate::wire::{Malformed, Reader, Write};

/// A token, in thousandths.
pub(crate) const TOKEN: u64 = 1_000;
/// The floor of a budget saves up for so many seconds.
const FLOOR_SAVES_SECONDS: u64 = 10;
/// A closed guard that nothing happened to for so long is forgotten: it would start anew.
const IDLE_MS: u64 = 60_000;

/// Budget and breaker of a queue or a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GuardState {
    /// When it last changed.
    pub(crate) at_ms: UnixMs,
    /// Thousandths of tokens at that time.
    tokens: u64,
    window_start_ms: UnixMs,
    successes: u32,
    failures: u32,
    circuit: Circuit,
    /// Attempts that began before this say nothing any more: the breaker has changed since.
    since_ms: UnixMs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Circuit {
    Closed,
    Open {
        until_ms: UnixMs,
    },
    HalfOpen {
        /// Probes under way, and when they are given up.
        out: u32,
        until_ms: UnixMs,
        succeeded: u32,
    },
}

/// How an attempt ended, as far as guards care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Success {
        first: bool,
    },
    Failure,
    /// It says nothing of the dependency.
    Neither,
}

impl GuardState {
    pub(crate) fn new(config: &Guard, now_ms: UnixMs) -> Self {
        Self {
            at_ms: now_ms,
            tokens: config.budget.map_or(0, |budget| budget.floor_cap()),
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
        if self.tokens < budget.floor_cap() {
            self.tokens = self.tokens.saturating_add(gained).min(budget.floor_cap());
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

    /// When time alone brings the n-th token from now, from 1.
    pub(crate) fn token_at_ms(&self, budget: &RetryBudget, n: u64) -> UnixMs {
        let missing = n.saturating_mul(TOKEN).saturating_sub(self.tokens);
        self.at_ms.saturating_add(missing.div_ceil(u64::from(budget.floor_per_second.max(1))))
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.circuit, Circuit::Open { .. })
    }

    /// Until when nothing may be tried, if that is so.
    pub(crate) fn closed_until_ms(&self, config: &Guard) -> Option<UnixMs> {
        match (self.circuit, config.breaker) {
            (Circuit::Open { until_ms }, Some(_)) => Some(until_ms),
            (Circuit::HalfOpen { out, until_ms, succeeded }, Some(breaker))
                if out + succeeded >= breaker.probes =>
            {
                Some(until_ms)
            }
            _ => None,
        }
    }

    /// An attempt begins, which [`GuardState::closed_until_ms`] allows. True if it is a probe.
    pub(crate) fn begin(&mut self, config: &Guard, now_ms: UnixMs) -> bool {
        let (Circuit::HalfOpen { out, until_ms, .. }, Some(breaker)) =
            (&mut self.circuit, config.breaker)
        else {
            return false;
        };
        *out += 1;
        *until_ms = now_ms.saturating_add(breaker.open_ms);
        true
    }

    /// An attempt that began at that time is over.
    pub(crate) fn end(&mut self, config: &Guard, started_ms: UnixMs, ended: Ended, now_ms: UnixMs) {
        self.refill(config, now_ms);
        if let (Ended::Success { first: true }, Some(budget)) = (ended, config.budget) {
            let earned = self.tokens.saturating_add(u64::from(budget.earn_percent) * TOKEN / 100);
            self.tokens = earned.min(budget.cap()).max(self.tokens);
        }
        let Some(breaker) = config.breaker.filter(|_| started_ms >= self.since_ms) else { return };
        match &mut self.circuit {
            Circuit::Open { .. } => {}
            Circuit::Closed => self.count(&breaker, ended, now_ms),
            Circuit::HalfOpen { out, succeeded, .. } => {
                *out = out.saturating_sub(1);
                match ended {
                    Ended::Neither => {}
                    Ended::Failure => self.open(&breaker, now_ms),
                    Ended::Success { .. } => {
                        *succeeded += 1;
                        if *succeeded >= breaker.probes {
                            self.close(now_ms);
                        }
                    }
                }
            }
        }
    }

    fn count(&mut self, breaker: &Breaker, ended: Ended, now_ms: UnixMs) {
        if now_ms >= self.window_start_ms.saturating_add(breaker.window_ms) {
            self.window_start_ms = now_ms;
            (self.successes, self.failures) = (0, 0);
        }
        match ended {
            Ended::Success { .. } => self.successes = self.successes.saturating_add(1),
            Ended::Failure => self.failures = self.failures.saturating_add(1),
            Ended::Neither => return,
        }
        let all = u64::from(self.successes) + u64::from(self.failures);
        let failed = u64::from(self.failures) * 100 >= u64::from(breaker.failure_percent) * all;
        if failed && all >= u64::from(breaker.min_attempts) {
            self.open(breaker, now_ms);
        }
    }

    fn open(&mut self, breaker: &Breaker, now_ms: UnixMs) {
        self.circuit = Circuit::Open { until_ms: now_ms.saturating_add(breaker.open_ms) };
        self.since_ms = now_ms;
        (self.successes, self.failures) = (0, 0);
    }

    fn close(&mut self, now_ms: UnixMs) {
        self.circuit = Circuit::Closed;
        self.since_ms = now_ms;
        self.window_start_ms = now_ms;
    }

    /// Does what time brings; true if anything changed.
    pub(crate) fn pass_time(&mut self, now_ms: UnixMs) -> bool {
        match &mut self.circuit {
            Circuit::Open { until_ms } if *until_ms <= now_ms => {
                self.circuit = Circuit::HalfOpen { out: 0, until_ms: now_ms, succeeded: 0 };
                self.since_ms = now_ms;
                true
            }
            Circuit::HalfOpen { out, until_ms, .. } if *out > 0 && *until_ms <= now_ms => {
                *out = 0; // given up: others may try
                true
            }
            _ => false,
        }
    }

    /// When time next has work here beside giving out tokens.
    pub(crate) fn due_ms(&self) -> Option<UnixMs> {
        match self.circuit {
            Circuit::Open { until_ms } => Some(until_ms),
            Circuit::HalfOpen { out, until_ms, .. } => (out > 0).then_some(until_ms),
            Circuit::Closed => Some(self.idle_at_ms()),
        }
    }

    fn idle_at_ms(&self) -> UnixMs {
        self.at_ms.saturating_add(IDLE_MS)
    }

    /// Whether it may be forgotten.
    pub(crate) fn is_idle(&self, now_ms: UnixMs) -> bool {
        self.circuit == Circuit::Closed && self.idle_at_ms() <= now_ms
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.varint(self.at_ms);
        out.varint(self.tokens);
        out.varint(self.window_start_ms);
        out.varint(u64::from(self.successes));
        out.varint(u64::from(self.failures));
        match self.circuit {
            Circuit::Closed => out.u8(0),
            Circuit::Open { until_ms } => {
                out.u8(1);
                out.varint(until_ms);
            }
            Circuit::HalfOpen { out: under_way, until_ms, succeeded } => {
                out.u8(2);
                out.varint(u64::from(under_way));
                out.varint(until_ms);
                out.varint(u64::from(succeeded));
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
                1 => Circuit::Open { until_ms: r.varint()? },
                2 => {
                    let (out, until_ms) = (r.varint32()?, r.varint()?);
                    Circuit::HalfOpen { out, until_ms, succeeded: r.varint32()? }
                }
                _ => return Err(Malformed("circuit")),
            },
            since_ms: r.varint()?,
        })
    }
}

impl RetryBudget {
    fn cap(&self) -> u64 {
        u64::from(self.max_tokens.max(1)) * TOKEN
    }

    fn floor_cap(&self) -> u64 {
        (u64::from(self.floor_per_second) * FLOOR_SAVES_SECONDS * TOKEN).min(self.cap())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::GuardKey;

    fn config() -> Guard {
        let budget = RetryBudget { earn_percent: 20, floor_per_second: 1, max_tokens: 50 };
        let breaker = Breaker {
            window_ms: 1_000,
            min_attempts: 4,
            failure_percent: 50,
            open_ms: 500,
            probes: 2,
        };
        Guard { key: GuardKey::Queue, budget: Some(budget), breaker: Some(breaker) }
    }

    #[test]
    fn five_first_successes_earn_one_token_and_the_floor_saves_ten_seconds() {
        let config = config();
        let mut guard = GuardState::new(&config, 0);
        while guard.take_token() {}
        for _ in 0..4 {
            guard.end(&config, 0, Ended::Success { first: true }, 0);
            assert!(!guard.has_token());
        }
        guard.end(&config, 0, Ended::Success { first: false }, 0);
        assert!(!guard.has_token(), "a retry that succeeds earns nothing");
        guard.end(&config, 0, Ended::Success { first: true }, 0);
        assert!(guard.take_token());
        assert_eq!(guard.token_at_ms(&config.budget.unwrap(), 3), 3_000);
        guard.refill(&config, 100_000);
        assert_eq!((0..).take_while(|_| guard.take_token()).count(), 10);
        for _ in 0..1_000 {
            guard.end(&config, 0, Ended::Success { first: true }, 100_000);
        }
        assert_eq!((0..).take_while(|_| guard.take_token()).count(), 50, "no more than are saved");
    }

    #[test]
    fn the_breaker_opens_probes_and_closes() {
        let config = config();
        let mut guard = GuardState::new(&config, 0);
        let success = Ended::Success { first: true };
        for ended in [success, success, Ended::Failure] {
            guard.end(&config, 0, ended, 10);
        }
        assert!(!guard.is_open());
        guard.end(&config, 0, Ended::Failure, 20);
        assert_eq!(guard.closed_until_ms(&config), Some(520));
        assert!(!guard.pass_time(519));
        assert!(guard.pass_time(520), "half open");
        guard.end(&config, 15, Ended::Failure, 530);
        assert!(!guard.is_open(), "an attempt from before says nothing");
        assert!(guard.begin(&config, 540));
        assert!(guard.begin(&config, 541));
        assert_eq!(guard.closed_until_ms(&config), Some(1_041), "all probes are under way");
        guard.end(&config, 540, success, 600);
        assert!(guard.closed_until_ms(&config).is_some(), "one more must succeed");
        guard.end(&config, 541, Ended::Failure, 700);
        assert_eq!(guard.closed_until_ms(&config), Some(1_200));
        guard.pass_time(1_200);
        for _ in 0..2 {
            guard.begin(&config, 1_200);
            guard.end(&config, 1_200, success, 1_300);
        }
        assert_eq!((guard.closed_until_ms(&config), guard.circuit), (None, Circuit::Closed));
    }

    #[test]
    fn probes_that_never_end_are_given_up() {
        let config = config();
        let mut guard = GuardState::new(&config, 0);
        (0..4).for_each(|_| guard.end(&config, 0, Ended::Failure, 0));
        guard.pass_time(500);
        (0..2).for_each(|_| {
            guard.begin(&config, 500);
        });
        assert_eq!(guard.due_ms(), Some(1_000));
        assert!(guard.pass_time(1_000));
        assert_eq!(guard.closed_until_ms(&config), None);
    }

    #[test]
    fn failures_of_different_windows_do_not_add_up() {
        let config = config();
        let mut guard = GuardState::new(&config, 0);
        for at_ms in [0, 400, 800, 1_200, 1_600, 2_000] {
            guard.end(&config, 0, Ended::Failure, at_ms);
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
        (0..4).for_each(|_| guard.end(&config, 300, Ended::Failure, 300));
        for step in 0..3 {
            let mut bytes = Vec::new();
            guard.encode(&mut bytes);
            assert_eq!(
                GuardState::decode(&mut Reader::new(bytes.clone().into())),
                Ok(guard.clone())
            );
            for end in 0..bytes.len() {
                assert!(
                    GuardState::decode(&mut Reader::new(bytes[..end].to_vec().into())).is_err()
                );
            }
            match step {
                0 => assert!(guard.pass_time(800)),
                _ => assert!(guard.begin(&config, 900)),
            }
        }
    }
}
