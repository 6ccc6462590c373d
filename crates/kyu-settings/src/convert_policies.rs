//! Policies of queues, between JSON and the engine.

use kyu_model::{QueueConfig, QueueName};

use crate::policies::{
    Backoff, Breaker, ExpiredTo, Fairness, Fencing, Guard, GuardKey, LaneLimits, RateLimit,
    RetryBudget, RetryPolicy,
};

impl From<&kyu_model::RetryPolicy> for RetryPolicy {
    fn from(policy: &kyu_model::RetryPolicy) -> Self {
        let backoff = match &policy.backoff {
            kyu_model::Backoff::Fixed { delay_ms } => Backoff::Fixed { delay_ms: *delay_ms },
            kyu_model::Backoff::Linear { first_ms, step_ms, max_ms } => {
                Backoff::Linear { first_ms: *first_ms, step_ms: *step_ms, max_ms: *max_ms }
            }
            kyu_model::Backoff::Exponential { first_ms, factor_percent, max_ms } => {
                let (first_ms, factor_percent, max_ms) = (*first_ms, *factor_percent, *max_ms);
                Backoff::Exponential { first_ms, factor_percent, max_ms }
            }
            kyu_model::Backoff::List(delays_ms) => Backoff::List { delays_ms: delays_ms.clone() },
        };
        let (jitter_percent, max_attempts) = (policy.jitter_percent, policy.max_attempts);
        Self { backoff, jitter_percent, max_attempts }
    }
}

impl From<RetryPolicy> for kyu_model::RetryPolicy {
    fn from(policy: RetryPolicy) -> Self {
        let backoff = match policy.backoff {
            Backoff::Fixed { delay_ms } => kyu_model::Backoff::Fixed { delay_ms },
            Backoff::Linear { first_ms, step_ms, max_ms } => {
                kyu_model::Backoff::Linear { first_ms, step_ms, max_ms }
            }
            Backoff::Exponential { first_ms, factor_percent, max_ms } => {
                kyu_model::Backoff::Exponential { first_ms, factor_percent, max_ms }
            }
            Backoff::List { delays_ms } => kyu_model::Backoff::List(delays_ms),
        };
        let (jitter_percent, max_attempts) = (policy.jitter_percent, policy.max_attempts);
        Self { backoff, jitter_percent, max_attempts }
    }
}

impl From<&kyu_model::ExpiredTo> for ExpiredTo {
    fn from(to: &kyu_model::ExpiredTo) -> Self {
        match to {
            kyu_model::ExpiredTo::Nowhere => Self::Nowhere,
            kyu_model::ExpiredTo::DeadLetterQueue => Self::DeadLetterQueue,
            kyu_model::ExpiredTo::Queue(name) => Self::Queue(name.name.clone()),
        }
    }
}

impl ExpiredTo {
    pub(crate) fn within(self, namespace: &str) -> kyu_model::ExpiredTo {
        match self {
            Self::Nowhere => kyu_model::ExpiredTo::Nowhere,
            Self::DeadLetterQueue => kyu_model::ExpiredTo::DeadLetterQueue,
            Self::Queue(name) => {
                kyu_model::ExpiredTo::Queue(QueueName { namespace: namespace.to_owned(), name })
            }
        }
    }
}

/// Structures with the same fields in the API and in the engine.
macro_rules! same_fields {
    ($($name:ident { $($field:ident),+ })+) => {$(
        impl From<kyu_model::$name> for $name {
            fn from(from: kyu_model::$name) -> Self {
                let kyu_model::$name { $($field),+ } = from;
                Self { $($field),+ }
            }
        }

        impl From<$name> for kyu_model::$name {
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
        let kyu_model::Guard { key, budget, breaker } = config.guard?;
        let key = match key {
            kyu_model::GuardKey::Queue => GuardKey::Queue,
            kyu_model::GuardKey::Lane => GuardKey::Lane,
            kyu_model::GuardKey::Attribute => {
                GuardKey::Attribute(config.guard_attribute.clone().unwrap_or_default())
            }
        };
        Some(Self { key, budget: budget.map(Into::into), breaker: breaker.map(Into::into) })
    }

    /// The guard, and the attribute that it goes by.
    pub(crate) fn into_engine(self) -> (kyu_model::Guard, Option<String>) {
        let (key, attribute) = match self.key {
            GuardKey::Queue => (kyu_model::GuardKey::Queue, None),
            GuardKey::Lane => (kyu_model::GuardKey::Lane, None),
            GuardKey::Attribute(name) => (kyu_model::GuardKey::Attribute, Some(name)),
        };
        let (budget, breaker) = (self.budget.map(Into::into), self.breaker.map(Into::into));
        (kyu_model::Guard { key, budget, breaker }, attribute)
    }
}

impl From<kyu_model::LaneLimits> for LaneLimits {
    fn from(limits: kyu_model::LaneLimits) -> Self {
        let kyu_model::LaneLimits { max_in_flight, rate, default_weight, weights } = limits;
        Self { max_in_flight, rate: rate.map(Into::into), default_weight, weights }
    }
}

impl From<LaneLimits> for kyu_model::LaneLimits {
    fn from(limits: LaneLimits) -> Self {
        let LaneLimits { max_in_flight, rate, default_weight, weights } = limits;
        Self { max_in_flight, rate: rate.map(Into::into), default_weight, weights }
    }
}

crate::same_words! {
    Fairness { QuietFirst, StrictOrder, Weighted }
}
