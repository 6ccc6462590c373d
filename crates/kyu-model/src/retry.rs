//! A queue's policies for attempts that fail: when and how often a message is tried again, how many
//! attempts a dependency must bear, what history keeps, and where messages go that are too old.
//!
//! Four types say how something ended, each of something else:
//! - [`crate::Outcome`]: the *outcome* of a delivery, which its consumer reports in a settle;
//! - [`AttemptEnd`]: the *end* of an attempt, which the engine records in the message's history. An
//!   attempt also ends without an outcome, when its lease lapses or its session ends;
//! - [`crate::EndKind`]: the *end* of a message that left its queue without an acknowledgement;
//! - [`crate::RunOutcome`]: the *outcome* of a schedule's run.

use crate::config::QueueConfig;
use crate::ids::{QueueName, UnixMs};
use crate::limits::{MAX_KEY_BYTES, MAX_RETRY_DELAY_MS, MAX_RETRY_DELAYS};

/// A retry policy: when a failed message is tried again, and how often. A failure counts when a
/// lease lapses, and when a delivery fails or is released counted without a delay of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct RetryPolicy {
    /// Delays between attempts.
    pub backoff: Backoff,
    /// The share of each delay that is random, in percent: with 30, a delay of 10 s becomes one
    /// from 7 to 10 s.
    #[cfg_attr(feature = "serde", serde(default))]
    #[cfg_attr(feature = "serde", schemars(range(max = 100)))]
    pub jitter_percent: u8,
    /// The last attempt: a message that fails in it goes to the dead-letter queue, or is kept as
    /// `dead` if the queue has no dead-letter rule. `null` for the rule's `max_receives` alone.
    #[cfg_attr(feature = "serde", serde(default))]
    #[cfg_attr(feature = "serde", schemars(range(min = 1)))]
    pub max_attempts: Option<u32>,
}

/// Delays between attempts, each at most 30 days.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema))]
#[cfg_attr(feature = "serde", serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields))]
pub enum Backoff {
    /// Always the same.
    Fixed {
        /// The delay.
        #[cfg_attr(feature = "serde", schemars(range(max = 2_592_000_000_u64)))]
        delay_ms: u64,
    },
    /// `first_ms`, then `step_ms` more each time, at most `max_ms`.
    Linear {
        /// The first delay.
        #[cfg_attr(feature = "serde", schemars(range(max = 2_592_000_000_u64)))]
        first_ms: u64,
        /// The time that each delay adds to the one before.
        #[cfg_attr(feature = "serde", schemars(range(max = 2_592_000_000_u64)))]
        step_ms: u64,
        /// The longest delay.
        #[cfg_attr(feature = "serde", schemars(range(max = 2_592_000_000_u64)))]
        max_ms: u64,
    },
    /// `first_ms`, then each delay `factor_percent` of the one before, at most `max_ms`.
    Exponential {
        /// The first delay.
        #[cfg_attr(feature = "serde", schemars(range(max = 2_592_000_000_u64)))]
        first_ms: u64,
        /// 200 doubles each time.
        #[cfg_attr(feature = "serde", schemars(range(min = 100, max = 10_000)))]
        factor_percent: u32,
        /// The longest delay.
        #[cfg_attr(feature = "serde", schemars(range(max = 2_592_000_000_u64)))]
        max_ms: u64,
    },
    /// The given delays in order, 1 to 64; the last one repeats.
    List {
        /// The delays.
        #[cfg_attr(
            feature = "serde",
            schemars(length(min = 1, max = 64), inner(range(max = 2_592_000_000_u64)))
        )]
        delays_ms: Vec<u64>,
    },
}

/// The place for messages whose time is over: past the queue's retention, or past their own
/// `expires_at_ms`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum ExpiredTo {
    /// They are removed and counted ([`crate::QueueTotals::expired`]), as SQS does.
    #[default]
    Nowhere,
    /// They move to the queue of the dead-letter rule, where they start a new retention period,
    /// with [`DeadReason::Deadline`] or [`DeadReason::Retention`]. While that does not exist they
    /// are kept as dead ([`crate::Phase::Dead`]) for one more retention period.
    DeadLetterQueue,
    /// They move as with `DeadLetterQueue`, but to this queue.
    Queue(QueueName),
}

/// A queue's guard protects the systems that its consumers depend on. Both parts are off unless
/// given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Guard {
    /// The key: the guard's unit of protection.
    pub key: GuardKey,
    /// The retry budget, which bounds retries by successes.
    pub budget: Option<RetryBudget>,
    /// The breaker, which stops deliveries while most attempts fail.
    pub breaker: Option<Breaker>,
}

/// The key of a guard: the unit that has one budget and one breaker of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum GuardKey {
    /// The queue.
    #[default]
    Queue = 0,
    /// Each lane: senders name the dependency as the lane (message group) of a message. Messages
    /// without a lane share one. While [`crate::limits::MAX_GUARDED_LANES`] lanes have guards,
    /// further ones are not guarded.
    Lane = 1,
    /// Each value of the attribute that [`crate::QueueConfig::guard_attribute`] names, such as
    /// `dependency`; as `Lane` otherwise. Values that are not text, empty, or longer than
    /// [`crate::limits::MAX_KEY_BYTES`] count as none. A message has the value with which it was
    /// sent to this queue; messages from before this setting have none.
    Attribute = 2,
}

/// A retry budget: a message is delivered again only for a token; without one it is held until
/// there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct RetryBudget {
    /// The hundredths of a token that the acknowledgement of a first attempt earns.
    #[cfg_attr(feature = "serde", schemars(range(max = 1_000)))]
    pub earn_percent: u32,
    /// The tokens that come each second in any case.
    #[cfg_attr(feature = "serde", schemars(range(min = 1, max = 100_000)))]
    pub floor_per_second: u32,
    /// The most tokens that are saved.
    #[cfg_attr(feature = "serde", schemars(range(max = 1_000_000)))]
    pub max_tokens: u32,
}

impl Default for RetryBudget {
    /// One retry for five first successes, one each second in any case, 100 saved.
    fn default() -> Self {
        Self { earn_percent: 20, floor_per_second: 1, max_tokens: 100 }
    }
}

/// A breaker opens when too many attempts fail: nothing is delivered for `open_ms`, then `probes`
/// attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Breaker {
    /// The length of the windows over which attempts are counted, in milliseconds.
    #[cfg_attr(feature = "serde", schemars(range(min = 1, max = 3_600_000)))]
    pub window_ms: u64,
    /// The fewest attempts in a window by which the breaker may open.
    #[cfg_attr(feature = "serde", schemars(range(min = 1)))]
    pub min_attempts: u32,
    /// The percentage of failed attempts at which the breaker opens.
    #[cfg_attr(feature = "serde", schemars(range(min = 1, max = 100)))]
    pub failure_percent: u8,
    /// The time for which the breaker stays open, and for which a probe may run, in milliseconds.
    #[cfg_attr(feature = "serde", schemars(range(min = 1, max = 86_400_000)))]
    pub open_ms: u64,
    /// The number of attempts that are let through while the breaker is half open.
    #[cfg_attr(feature = "serde", schemars(range(min = 1, max = 1_000)))]
    pub probes: u32,
    /// The percentage by which the limit of attempts under way grows with each good round after the
    /// probes; the limit begins with the number of probes that succeeded. 0 closes the breaker at
    /// once.
    #[cfg_attr(feature = "serde", schemars(range(max = 1_000)))]
    pub slow_start_percent: u32,
}

impl Default for Breaker {
    /// Half of at least 20 attempts in ten seconds; open for 30 seconds; 5 probes; then doubling.
    fn default() -> Self {
        Self {
            window_ms: 10_000,
            min_attempts: 20,
            failure_percent: 50,
            open_ms: 30_000,
            probes: 5,
            slow_start_percent: 100,
        }
    }
}

/// The fencing policy: the rights of receipts whose delivery was followed by a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Fencing {
    /// True if their acknowledgement removes the message, as with SQS; otherwise (the default) it
    /// is refused as stale. It is counted either way.
    pub accept_late_acks: bool,
    /// True (the default) if they do not move a lease; otherwise they move it in standard queues,
    /// but never end it.
    pub refuse_stale_extends: bool,
}

impl Fencing {
    /// Overtaken receipts move leases, and acknowledge nothing.
    pub const NONE: Self = Self { accept_late_acks: false, refuse_stale_extends: false };
}

impl Default for Fencing {
    /// Only the latest delivery decides about a message.
    fn default() -> Self {
        Self { accept_late_acks: false, refuse_stale_extends: true }
    }
}

/// The reason why a message is in a dead-letter queue. Numbers are frozen: they are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum DeadReason {
    /// It was received, or failed, as often as the queue allows.
    MaxReceives = 1,
    /// Its consumer rejected it for good.
    Rejected = 2,
    /// It was past its own `expires_at_ms`.
    Deadline = 3,
    /// It was past the queue's retention.
    Retention = 4,
}

/// The end of an attempt, as history keeps it. Numbers are frozen: they are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum AttemptEnd {
    /// The consumer said that it failed, or gave it back as a failure.
    Failed = 0,
    /// The consumer rejected the message for good.
    Rejected = 1,
    /// The lease lapsed.
    TimedOut = 2,
    /// The consumer's session (its connection) ended.
    Disconnected = 3,
    /// The consumer gave it back, not counted as a failure.
    GivenBack = 4,
    /// The message's time was over while it was under lease.
    Expired = 5,
}

/// One attempt that is over. A queue keeps them for each message if
/// [`crate::QueueConfig::keeps_history`]: the last [`crate::limits::MAX_ATTEMPTS_KEPT`], with texts
/// of at most [`crate::limits::MAX_ATTEMPT_TEXT_BYTES`] together. They go with the message into the
/// dead-letter queue and back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastAttempt {
    /// The time at which the message was handed out.
    pub started_at_ms: UnixMs,
    /// The time at which the attempt ended.
    pub ended_at_ms: UnixMs,
    /// The end of the attempt.
    pub end: AttemptEnd,
    /// The consumer that it was handed to, if that was given ([`crate::Acquire::consumer`]).
    pub consumer: Option<String>,
    /// The error, if one was given ([`crate::Outcome::Failed`]) and is still kept.
    pub error: Option<String>,
}

/// The reason why a message is held back after a failure or by its guard, and the time until which
/// it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It failed and waits for its next attempt.
    Backoff {
        /// The time at which its delay is over.
        until_ms: UnixMs,
    },
    /// It waits for a token of the retry budget.
    Budget {
        /// The number of messages that get a token before it.
        ahead: u64,
        /// The time at which its token comes without any success; successes bring it earlier.
        until_ms: UnixMs,
    },
    /// The breaker is open, or half open with all its probes under way.
    Breaker {
        /// The time at which it lets attempts through again.
        until_ms: UnixMs,
    },
    /// The breaker is closing, and as many attempts are under way as it allows now.
    SlowStart {
        /// Attempts under way.
        in_flight: u32,
        /// The most that may be under way.
        allowed: u32,
    },
}

impl RetryPolicy {
    /// Returns the delay after the n-th failure, counted from 1, without jitter.
    pub fn delay_ms(&self, failures: u32) -> u64 {
        let n = failures.max(1) - 1;
        match &self.backoff {
            Backoff::Fixed { delay_ms } => *delay_ms,
            Backoff::Linear { first_ms, step_ms, max_ms } => {
                first_ms.saturating_add(step_ms.saturating_mul(u64::from(n))).min(*max_ms)
            }
            Backoff::Exponential { first_ms, factor_percent, max_ms } => {
                let mut delay_ms = (*first_ms).min(*max_ms);
                for _ in 0..n {
                    if delay_ms >= *max_ms || *factor_percent <= 100 || delay_ms == 0 {
                        break;
                    }
                    let next_ms = u128::from(delay_ms) * u128::from(*factor_percent) / 100;
                    let next_ms = u64::try_from(next_ms).unwrap_or(u64::MAX);
                    delay_ms = next_ms.max(delay_ms + 1).min(*max_ms);
                }
                delay_ms
            }
            Backoff::List { delays_ms: delays } => {
                delays.get(n as usize).or(delays.last()).copied().unwrap_or_default()
            }
        }
    }

    /// Returns the delay of [`RetryPolicy::delay_ms`] with the jitter that these random bits give.
    pub fn jittered_ms(&self, failures: u32, random: u64) -> u64 {
        let delay_ms = self.delay_ms(failures);
        let most_less = delay_ms.saturating_mul(u64::from(self.jitter_percent.min(100))) / 100;
        delay_ms - random % (most_less + 1)
    }
}

/// Checks a queue's settings of this file and returns a text for people about the first that is
/// wrong.
pub(crate) fn check(config: &QueueConfig) -> Result<(), &'static str> {
    if config.back_after_receives == Some(0) {
        return Err("back_after_receives must be at least 1");
    }
    if let Some(retry) = &config.retry {
        retry.check()?;
    }
    let by_attribute = config.guard.is_some_and(|guard| guard.key == GuardKey::Attribute);
    match &config.guard_attribute {
        Some(name) if name.is_empty() || name.len() > MAX_KEY_BYTES => {
            return Err("the name of a guard's attribute is empty or too long");
        }
        name if name.is_some() != by_attribute => {
            return Err("a guard by attribute names the attribute, and no other does");
        }
        _ => {}
    }
    if let Some(budget) = config.guard.and_then(|guard| guard.budget) {
        budget.check()?;
    }
    match config.guard.and_then(|guard| guard.breaker) {
        Some(breaker) => breaker.check(),
        None => Ok(()),
    }
}

impl RetryPolicy {
    fn check(&self) -> Result<(), &'static str> {
        let longest_ms = match &self.backoff {
            Backoff::Fixed { delay_ms } => *delay_ms,
            Backoff::Linear { first_ms, max_ms, .. } => *first_ms.max(max_ms),
            Backoff::Exponential { first_ms, max_ms, factor_percent } => {
                if !(100..=10_000).contains(factor_percent) {
                    return Err("factor_percent must be from 100 to 10,000");
                }
                *first_ms.max(max_ms)
            }
            Backoff::List { delays_ms: delays } => {
                if delays.is_empty() || delays.len() > MAX_RETRY_DELAYS {
                    return Err("a list of retry delays has from 1 to 64 of them");
                }
                delays.iter().copied().max().unwrap_or_default()
            }
        };
        if longest_ms > MAX_RETRY_DELAY_MS {
            return Err("a retry delay is at most 30 days");
        }
        if self.jitter_percent > 100 {
            return Err("jitter_percent must be from 0 to 100");
        }
        if self.max_attempts == Some(0) {
            return Err("max_attempts must be at least 1");
        }
        Ok(())
    }
}

impl RetryBudget {
    fn check(&self) -> Result<(), &'static str> {
        if self.earn_percent > 1_000 {
            return Err("earn_percent must be at most 1,000");
        }
        if !(1..=100_000).contains(&self.floor_per_second) {
            return Err("floor_per_second must be from 1 to 100,000");
        }
        if self.max_tokens > 1_000_000 {
            return Err("max_tokens must be at most 1,000,000");
        }
        Ok(())
    }
}

impl Breaker {
    fn check(&self) -> Result<(), &'static str> {
        if !(1..=3_600_000).contains(&self.window_ms) {
            return Err("window_ms must be from 1 ms to one hour");
        }
        if !(1..=86_400_000).contains(&self.open_ms) {
            return Err("open_ms must be from 1 ms to one day");
        }
        if !(1..=100).contains(&self.failure_percent) {
            return Err("failure_percent must be from 1 to 100");
        }
        if self.min_attempts == 0 || !(1..=1_000).contains(&self.probes) {
            return Err("min_attempts must be at least 1, probes from 1 to 1,000");
        }
        if self.slow_start_percent > 1_000 {
            return Err("slow_start_percent must be at most 1,000");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(backoff: Backoff) -> Vec<u64> {
        let policy = RetryPolicy { backoff, jitter_percent: 0, max_attempts: None };
        (1..=5).map(|n| policy.delay_ms(n)).collect()
    }

    #[test]
    fn each_kind_of_backoff_gives_its_row_of_delays() {
        assert_eq!(delays(Backoff::Fixed { delay_ms: 7 }), [7, 7, 7, 7, 7]);
        let linear = Backoff::Linear { first_ms: 10, step_ms: 5, max_ms: 22 };
        assert_eq!(delays(linear), [10, 15, 20, 22, 22]);
        let doubling = Backoff::Exponential { first_ms: 100, factor_percent: 200, max_ms: 1_000 };
        assert_eq!(delays(doubling), [100, 200, 400, 800, 1_000]);
        let slow = Backoff::Exponential { first_ms: 1, factor_percent: 110, max_ms: 1_000 };
        assert_eq!(delays(slow), [1, 2, 3, 4, 5], "it grows even where a percentage rounds away");
        assert_eq!(
            delays(Backoff::List { delays_ms: vec![1, 60, 3_600] }),
            [1, 60, 3_600, 3_600, 3_600]
        );
    }

    #[test]
    fn far_attempts_do_not_overflow() {
        let big = u64::MAX / 2;
        let linear = Backoff::Linear { first_ms: big, step_ms: big, max_ms: u64::MAX };
        let exponential =
            Backoff::Exponential { first_ms: big, factor_percent: 10_000, max_ms: u64::MAX };
        for backoff in [linear, exponential] {
            let policy = RetryPolicy { backoff, jitter_percent: 100, max_attempts: None };
            assert!(policy.delay_ms(u32::MAX) >= big);
            policy.jittered_ms(u32::MAX, u64::MAX);
        }
    }

    #[test]
    fn jitter_only_shortens_and_by_no_more_than_its_share() {
        let backoff = Backoff::Fixed { delay_ms: 1_000 };
        let policy = RetryPolicy { backoff, jitter_percent: 30, max_attempts: None };
        let all: Vec<u64> = (0..5_000).map(|random| policy.jittered_ms(1, random)).collect();
        assert_eq!(all.iter().min(), Some(&700));
        assert_eq!(all.iter().max(), Some(&1_000));
    }
}
