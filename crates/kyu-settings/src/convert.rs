//! Settings of queues, between JSON and the engine.

use kyu_model::{FOREVER, QueueConfig, QueueName};

use crate::limits::{MAX_LEASE_MS, MAX_MESSAGE_BYTES, MAX_SPAN_MS, MAX_WAIT_MS};
use crate::policies::Guard;
use crate::queue::{DeadLetter, QueueSettings};

/// A queue's settings, to be shown.
pub fn of(config: &QueueConfig) -> QueueSettings {
    // Taken apart, so that a new setting does not compile before it is shown, or left to a door.
    let QueueConfig {
        kind,
        visibility_timeout_ms,
        delay_ms,
        retention_ms,
        retention_from,
        receive_wait_ms,
        max_message_bytes,
        max_in_flight,
        max_messages,
        max_bytes,
        overflow,
        content_based_deduplication,
        dedup_scope,
        dedup_window_ms,
        dead_letter,
        fairness,
        rate,
        lanes,
        retry,
        back_after_receives,
        keep_history,
        expired_to,
        guard: _,
        guard_attribute: _,
        fencing,
        // What only one door understands.
        attributes: _,
        tags,
    } = config.clone();
    QueueSettings {
        kind,
        visibility_timeout_ms,
        delay_ms,
        retention_ms: if retention_ms == FOREVER { 0 } else { retention_ms },
        retention_from,
        receive_wait_ms,
        max_message_bytes,
        max_in_flight,
        max_messages,
        max_bytes,
        overflow,
        content_based_deduplication,
        dedup_scope,
        dedup_window_ms,
        dead_letter: dead_letter
            .map(|rule| DeadLetter { queue: rule.target.name, max_receives: rule.max_receives }),
        fairness,
        rate,
        lanes,
        retry,
        back_after_receives: back_after_receives.unwrap_or(0),
        keep_history,
        expired_to: (&expired_to).into(),
        guard: Guard::of(config),
        fencing,
        tags,
    }
}

/// Puts the settings in place of a queue's old ones. What only other doors understand stays.
pub fn apply(
    settings: QueueSettings,
    namespace: &str,
    config: &mut QueueConfig,
) -> Result<(), String> {
    check(&settings)?;
    let (guard, guard_attribute) = match settings.guard.map(Guard::into_engine) {
        Some((guard, attribute)) => (Some(guard), attribute),
        None => (None, None),
    };
    *config = QueueConfig {
        kind: settings.kind,
        visibility_timeout_ms: settings.visibility_timeout_ms,
        delay_ms: settings.delay_ms,
        retention_ms: if settings.retention_ms == 0 { FOREVER } else { settings.retention_ms },
        retention_from: settings.retention_from,
        receive_wait_ms: settings.receive_wait_ms,
        max_message_bytes: settings.max_message_bytes,
        max_in_flight: settings.max_in_flight,
        max_messages: settings.max_messages,
        max_bytes: settings.max_bytes,
        overflow: settings.overflow,
        content_based_deduplication: settings.content_based_deduplication,
        dedup_scope: settings.dedup_scope,
        dedup_window_ms: settings.dedup_window_ms,
        dead_letter: settings.dead_letter.map(|rule| kyu_model::DeadLetter {
            target: QueueName { namespace: namespace.to_owned(), name: rule.queue },
            max_receives: rule.max_receives,
        }),
        fairness: settings.fairness,
        rate: settings.rate,
        lanes: settings.lanes,
        retry: settings.retry,
        back_after_receives: Some(settings.back_after_receives).filter(|count| *count > 0),
        keep_history: settings.keep_history,
        expired_to: settings.expired_to.within(namespace),
        guard,
        guard_attribute,
        fencing: settings.fencing,
        attributes: std::mem::take(&mut config.attributes),
        tags: settings.tags,
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_put_back_and_what_other_doors_know_stays() {
        let mut config = QueueConfig {
            kind: kyu_model::QueueKind::Fifo,
            max_bytes: Some(7),
            retry: Some(kyu_model::RetryPolicy {
                backoff: kyu_model::Backoff::List { delays_ms: vec![1, 2] },
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
