//! Settings of queues, between JSON and the engine.

use kyu_model::{FOREVER, QueueConfig, QueueName};

use crate::limits::{MAX_LEASE_MS, MAX_MESSAGE_BYTES, MAX_SPAN_MS, MAX_WAIT_MS};
use crate::policies::Guard;
use crate::queue::{DeadLetter, DedupScope, Overflow, QueueKind, QueueSettings, RetentionFrom};

/// A queue's settings, to be shown.
pub fn of(config: &QueueConfig) -> QueueSettings {
    QueueSettings {
        kind: config.kind.into(),
        visibility_timeout_ms: config.visibility_timeout_ms,
        delay_ms: config.delay_ms,
        retention_ms: if config.retention_ms == FOREVER { 0 } else { config.retention_ms },
        retention_from: config.retention_from.into(),
        receive_wait_ms: config.receive_wait_ms,
        max_message_bytes: config.max_message_bytes,
        max_in_flight: config.max_in_flight,
        max_messages: config.max_messages,
        max_bytes: config.max_bytes,
        overflow: config.overflow.into(),
        content_based_deduplication: config.content_based_deduplication,
        dedup_scope: config.dedup_scope.into(),
        dedup_window_ms: config.dedup_window_ms,
        dead_letter: config.dead_letter.as_ref().map(|rule| DeadLetter {
            queue: rule.target.name.clone(),
            max_receives: rule.max_receives,
        }),
        fairness: config.fairness.into(),
        rate: config.rate.map(Into::into),
        lanes: config.lanes.clone().into(),
        retry: config.retry.as_ref().map(Into::into),
        back_after_receives: config.back_after_receives.unwrap_or(0),
        keep_history: config.keep_history,
        expired_to: (&config.expired_to).into(),
        guard: Guard::of(config),
        fencing: config.fencing.into(),
        tags: config.tags.clone(),
    }
}

/// Puts the settings in place of a queue's old ones. What only other doors understand stays.
pub fn apply(
    settings: QueueSettings,
    namespace: &str,
    config: &mut QueueConfig,
) -> Result<(), String> {
    check(&settings)?;
    config.kind = settings.kind.into();
    config.visibility_timeout_ms = settings.visibility_timeout_ms;
    config.delay_ms = settings.delay_ms;
    config.retention_ms = if settings.retention_ms == 0 { FOREVER } else { settings.retention_ms };
    config.retention_from = settings.retention_from.into();
    config.receive_wait_ms = settings.receive_wait_ms;
    config.max_message_bytes = settings.max_message_bytes;
    config.max_in_flight = settings.max_in_flight;
    config.max_messages = settings.max_messages;
    config.max_bytes = settings.max_bytes;
    config.overflow = settings.overflow.into();
    config.content_based_deduplication = settings.content_based_deduplication;
    config.dedup_scope = settings.dedup_scope.into();
    config.dedup_window_ms = settings.dedup_window_ms;
    config.dead_letter = settings.dead_letter.map(|rule| kyu_model::DeadLetter {
        target: QueueName { namespace: namespace.to_owned(), name: rule.queue },
        max_receives: rule.max_receives,
    });
    config.fairness = settings.fairness.into();
    config.rate = settings.rate.map(Into::into);
    config.lanes = settings.lanes.into();
    config.retry = settings.retry.map(Into::into);
    config.back_after_receives = Some(settings.back_after_receives).filter(|count| *count > 0);
    config.keep_history = settings.keep_history;
    config.expired_to = settings.expired_to.within(namespace);
    (config.guard, config.guard_attribute) = match settings.guard.map(Guard::into_engine) {
        Some((guard, attribute)) => (Some(guard), attribute),
        None => (None, None),
    };
    config.fencing = settings.fencing.into();
    config.tags = settings.tags;
    Ok(())
}

/// Refuses settings by which a queue's dead or expired messages would go to the queue itself.
pub fn check_targets(name: &QueueName, config: &QueueConfig) -> Result<(), String> {
    if config.dead_letter.as_ref().is_some_and(|rule| rule.target == *name) {
        return Err("dead_letter.queue is the queue itself; name another one.".to_owned());
    }
    match &config.expired_to {
        kyu_model::ExpiredTo::Queue(target) if target == name => {
            Err("expired_to is the queue itself; name another one.".to_owned())
        }
        kyu_model::ExpiredTo::Queue(_)
        | kyu_model::ExpiredTo::DeadLetterQueue
        | kyu_model::ExpiredTo::Nowhere => Ok(()),
    }
}

fn check(settings: &QueueSettings) -> Result<(), String> {
    let within = |name: &str, value: u64, least: u64, most: u64| {
        if (least..=most).contains(&value) {
            return Ok(());
        }
        Err(format!("{name} is {value}; it may be from {least} to {most}."))
    };
    within("visibility_timeout_ms", settings.visibility_timeout_ms, 0, MAX_LEASE_MS)?;
    within("delay_ms", settings.delay_ms, 0, MAX_SPAN_MS)?;
    within("retention_ms", settings.retention_ms, 0, MAX_SPAN_MS)?;
    within("receive_wait_ms", settings.receive_wait_ms, 0, MAX_WAIT_MS)?;
    within("dedup_window_ms", settings.dedup_window_ms, 0, MAX_SPAN_MS)?;
    let max_bytes = u64::from(MAX_MESSAGE_BYTES);
    within("max_message_bytes", u64::from(settings.max_message_bytes), 1, max_bytes)?;
    if let Some(rule) = &settings.dead_letter {
        let most = u64::from(u32::MAX);
        within("dead_letter.max_receives", u64::from(rule.max_receives), 1, most)?;
    }
    Ok(())
}

same_words! {
    QueueKind { Standard, Fifo }
    DedupScope { Queue, Lane }
    Overflow { Refuse, DropHead }
    RetentionFrom { Sent, Receivable }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_put_back_and_what_other_doors_know_stays() {
        let mut config = QueueConfig {
            kind: kyu_model::QueueKind::Fifo,
            max_bytes: Some(7),
            retry: Some(kyu_model::RetryPolicy {
                backoff: kyu_model::Backoff::List(vec![1, 2]),
                jitter_percent: 5,
                max_attempts: Some(3),
            }),
            back_after_receives: None,
            expired_to: kyu_model::ExpiredTo::Queue(QueueName {
                namespace: "n".into(),
                name: "late".into(),
            }),
            guard: Some(kyu_model::Guard {
                key: kyu_model::GuardKey::Attribute,
                budget: Some(kyu_model::RetryBudget::default()),
                breaker: Some(kyu_model::Breaker::default()),
            }),
            guard_attribute: Some("dependency".into()),
            rate: Some(kyu_model::RateLimit { permits: 1, interval_ms: 2, burst: 3 }),
            fairness: kyu_model::Fairness::Weighted,
            dead_letter: Some(kyu_model::DeadLetter {
                target: QueueName { namespace: "n".into(), name: "dead".into() },
                max_receives: 3,
            }),
            retention_ms: 7,
            retention_from: kyu_model::RetentionFrom::Sent,
            ..QueueConfig::default()
        };
        config.attributes.insert("Policy".into(), "{}".into());
        config.tags.insert("team".into(), "a".into());
        let mut again =
            QueueConfig { attributes: config.attributes.clone(), ..QueueConfig::default() };
        apply(of(&config), "n", &mut again).unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn times_that_would_overflow_are_refused() {
        for settings in [
            QueueSettings { visibility_timeout_ms: u64::MAX, ..QueueSettings::default() },
            QueueSettings { delay_ms: u64::MAX, ..QueueSettings::default() },
            QueueSettings { retention_ms: u64::MAX, ..QueueSettings::default() },
            QueueSettings { max_message_bytes: 0, ..QueueSettings::default() },
        ] {
            apply(settings, "n", &mut QueueConfig::default()).unwrap_err();
        }
    }
}
