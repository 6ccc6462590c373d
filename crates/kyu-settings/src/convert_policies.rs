//! Policies of queues, between JSON and the engine.

use kyu_broker::{QueueConfig, QueueName};

use crate::policies::{
    Backoff, Breaker, ExpiredTo, Fairness, Fencing, Guard, GuardKey, LaneLimits, RateLimit,
    RetryBudget, RetryPolicy,
};

impl From<&kyu_broker::RetryPolicy> for RetryPolicy {
    fn from(policy: &kyu_broker::RetryPolicy) -> Self {
        let backoff = match &policy.backoff {
            kyu_broker::Backoff::Fixed { delay_ms } => Backoff::Fixed { delay_ms: *delay_ms },
            kyu_broker::Backoff::Linear { first_ms, step_ms, max_ms } => {
                Backoff::Linear { first_ms: *first_ms, step_ms: *step_ms, max_ms: *max_ms }
            }
            kyu_broker::Backoff::Exponential { first_ms, factor_percent, max_ms } => {
                let (first_ms, factor_percent, max_ms) = (*first_ms, *factor_percent, *max_ms);
                Backoff::Exponential { first_ms, factor_percent, max_ms }
            }
            kyu_broker::Backoff::List(delays_ms) => Backoff::List { delays_ms: delays_ms.clone() },
        };
        let (jitter_percent, max_attempts) = (policy.jitter_percent, policy.max_attempts);
        Self { backoff, jitter_percent, max_attempts }
    }
}

impl From<RetryPolicy> for kyu_broker::RetryPolicy {
    fn from(policy: RetryPolicy) -> Self {
        let backoff = match policy.backoff {
            Backoff::Fixed { delay_ms } => kyu_broker::Backoff::Fixed { delay_ms },
            Backoff::Linear { first_ms, step_ms, max_ms } => {
                kyu_broker::Backoff::Linear { first_ms, step_ms, max_ms }
            }
            Backoff::Exponential { first_ms, factor_percent, max_ms } => {
                kyu_broker::Backoff::Exponential { first_ms, factor_percent, max_ms }
            }
            Backoff::List { delays_ms } => kyu_broker::Backoff::List(delays_ms),
        };
        let (jitter_percent, max_attempts) = (policy.jitter_percent, policy.max_attempts);
        Self { backoff, jitter_percent, max_attempts }
    }
}

impl From<&kyu_broker::ExpiredTo> for ExpiredTo {
    fn from(to: &kyu_broker::ExpiredTo) -> Self {
        match to {
            kyu_broker::ExpiredTo::Nowhere => Self::Nowhere,
            kyu_broker::ExpiredTo::DeadLetterQueue => Self::DeadLetterQueue,
            kyu_broker::ExpiredTo::Queue(name) => Self::Queue(name.name.clone()),
        }
    }
}

impl ExpiredTo {
    pub(crate) fn within(self, namespace: &str) -> kyu_broker::ExpiredTo {
        match self {
            Self::Nowhere => kyu_broker::ExpiredTo::Nowhere,
            Self::DeadLetterQueue => kyu_broker::ExpiredTo::DeadLetterQueue,
            Self::Queue(name) => {
                kyu_broker::ExpiredTo::Queue(QueueName { namespace: namespace.to_owned(), name })
            }
        }
    }
}

/// Structures with the same fields in the API and in the engine.
macro_rules! same_fields {
    ($($name:ident { $($field:ident),+ })+) => {$(
        impl From<kyu_broker::$name> for $name {
            fn from(from: kyu_broker::$name) -> Self {
                let kyu_broker::$name { $($field),+ } = from;
                Self { $($field),+ }
            }
        }

        impl From<$name> for kyu_broker::$name {
            fn from(from: $name) -> Self {
                let $name { $($field),+ } = from;
                Self { $($field),+ }
            }
        }
    )+};
}

same_fields! {
    RetryBudget { earn_percent, floor_per_second, max_tokens }
    Breaker { window_ms, min_attempts, failure_percent, open_ms, probes, slow_start_percent }
    Fencing { accept_late_acks, refuse_stale_extends }
    RateLimit { permits, interval_ms, burst }
}

impl Guard {
    pub(crate) fn of(config: &QueueConfig) -> Option<Self> {
        let kyu_broker::Guard { key, budget, breaker } = config.guard?;
        let key = match key {
            kyu_broker::GuardKey::Queue => GuardKey::Queue,
            kyu_broker::GuardKey::Lane => GuardKey::Lane,
            kyu_broker::GuardKey::Attribute => {
                GuardKey::Attribute(config.guard_attribute.clone().unwrap_or_default())
            }
        };
        Some(Self { key, budget: budget.map(Into::into), breaker: breaker.map(Into::into) })
    }

    /// The guard, and the attribute that it goes by.
    pub(crate) fn into_engine(self) -> (kyu_broker::Guard, Option<String>) {
        let (key, attribute) = match self.key {
            GuardKey::Queue => (kyu_broker::GuardKey::Queue, None),
            GuardKey::Lane => (kyu_broker::GuardKey::Lane, None),
            GuardKey::Attribute(name) => (kyu_broker::GuardKey::Attribute, Some(name)),
        };
        let (budget, breaker) = (self.budget.map(Into::into), self.breaker.map(Into::into));
        (kyu_broker::Guard { key, budget, breaker }, attribute)
    }
}

impl From<kyu_broker::LaneLimits> for LaneLimits {
    fn from(limits: kyu_broker::LaneLimits) -> Self {
        let kyu_broker::LaneLimits { max_in_flight, rate, default_weight, weights } = limits;
        Self { max_in_flight, rate: rate.map(Into::into), default_weight, weights }
    }
}

impl From<LaneLimits> for kyu_broker::LaneLimits {
    fn from(limits: LaneLimits) -> Self {
        let LaneLimits { max_in_flight, rate, default_weight, weights } = limits;
        Self { max_in_flight, rate: rate.map(Into::into), default_weight, weights }
    }
}

crate::same_words! {
    Fairness { QuietFirst, StrictOrder, Weighted }
}
