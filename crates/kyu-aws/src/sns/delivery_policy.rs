//! Delivery policies: when a message that an HTTP endpoint did not take is sent again, how often a
//! second at most, and with what content type (SNS developer guide, "Message delivery retries").

use serde_json::{Map, Value, json};

/// Longest delay between two tries, and all delays of a policy together, in seconds.
const MAX_DELAY_S: u64 = 3_600;
const MAX_RETRIES: u64 = 100;
/// The content type of a message unless a policy says otherwise.
pub(super) const DEFAULT_CONTENT_TYPE: &str = "text/plain; charset=UTF-8";
/// The content types that a policy may name.
const CONTENT_TYPES: &[&str] = &[
    "application/atom+xml",
    "application/json",
    "application/octet-stream",
    "application/soap+xml",
    "application/x-www-form-urlencoded",
    "application/xhtml+xml",
    "application/xml",
    "text/css",
    "text/csv",
    "text/html",
    "text/plain",
    "text/xml",
    DEFAULT_CONTENT_TYPE,
];

/// The curve on which delays grow from the smallest to the largest in the backoff phase. AWS names
/// the curves and draws them, but gives no formula; these have the drawn shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backoff {
    Arithmetic,
    Exponential,
    Geometric,
    Linear,
}

/// The four phases of a policy: without delay, with the smallest delay, growing, with the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RetryPolicy {
    min_delay_s: u64,
    max_delay_s: u64,
    retries: u64,
    no_delay_retries: u64,
    min_delay_retries: u64,
    max_delay_retries: u64,
    backoff: Backoff,
}

impl Default for RetryPolicy {
    /// Three retries, 20 seconds apart.
    fn default() -> Self {
        Self {
            min_delay_s: 20,
            max_delay_s: 20,
            retries: 3,
            no_delay_retries: 0,
            min_delay_retries: 0,
            max_delay_retries: 0,
            backoff: Backoff::Linear,
        }
    }
}

impl RetryPolicy {
    /// The time to wait after the try with this number (from 1) has failed; `None` if it was the
    /// last.
    pub(super) fn delay_ms(&self, failed_try: u32) -> Option<u64> {
        let retry = u64::from(failed_try.max(1));
        if retry > self.retries {
            return None;
        }
        let backoff_from = self.no_delay_retries + self.min_delay_retries;
        let backoff_retries = self.retries.saturating_sub(backoff_from + self.max_delay_retries);
        Some(if retry <= self.no_delay_retries {
            0
        } else if retry <= backoff_from {
            self.min_delay_s * 1_000
        } else if retry <= backoff_from + backoff_retries {
            self.backoff_ms(retry - backoff_from - 1, backoff_retries - 1)
        } else {
            self.max_delay_s * 1_000
        })
    }

    /// The delay at step `at` (from 0) of a phase whose last step is `last`.
    fn backoff_ms(&self, at: u64, last: u64) -> u64 {
        let (min, max) = (self.min_delay_s as f64, self.max_delay_s as f64);
        let share = if last == 0 { 0.0 } else { at as f64 / last as f64 };
        let seconds = match self.backoff {
            Backoff::Linear => min + (max - min) * share,
            Backoff::Arithmetic => min + (max - min) * share * (1.0 + share) / 2.0,
            Backoff::Geometric => min * (max / min).powf(share),
            Backoff::Exponential => {
                let steps = (last.min(30)) as f64;
                min + (max - min) * ((share * steps).exp2() - 1.0) / (steps.exp2() - 1.0).max(1.0)
            }
        };
        (seconds * 1_000.0) as u64
    }

    fn total_s(&self) -> u64 {
        let delays = (1..).map_while(|retry| self.delay_ms(retry));
        delays.sum::<u64>() / 1_000
    }

    /// Reads a policy at `place`; what it does not name has its default.
    fn read(value: &Value, place: &str) -> Result<Self, String> {
        let object = object(value, place)?;
        let default = Self::default();
        let number = |name: &str, default: u64, range: std::ops::RangeInclusive<u64>| {
            let Some(value) = object.get(name).filter(|value| !value.is_null()) else {
                return Ok(default);
            };
            value.as_u64().filter(|number| range.contains(number)).ok_or_else(|| {
                let (low, high) = (range.start(), range.end());
                format!("{place}.{name} must be an integer from {low} to {high}")
            })
        };
        let min_delay_s = number("minDelayTarget", default.min_delay_s, 1..=MAX_DELAY_S)?;
        let default_max_s = default.max_delay_s.max(min_delay_s);
        let policy = Self {
            min_delay_s,
            max_delay_s: number("maxDelayTarget", default_max_s, min_delay_s..=MAX_DELAY_S)?,
            retries: number("numRetries", default.retries, 0..=MAX_RETRIES)?,
            no_delay_retries: number("numNoDelayRetries", 0, 0..=MAX_RETRIES)?,
            min_delay_retries: number("numMinDelayRetries", 0, 0..=MAX_RETRIES)?,
            max_delay_retries: number("numMaxDelayRetries", 0, 0..=MAX_RETRIES)?,
            backoff: match object.get("backoffFunction").unwrap_or(&Value::Null) {
                Value::Null => Backoff::Linear,
                value => match value.as_str() {
                    Some("arithmetic") => Backoff::Arithmetic,
                    Some("exponential") => Backoff::Exponential,
                    Some("geometric") => Backoff::Geometric,
                    Some("linear") => Backoff::Linear,
                    _ => {
                        return Err(format!(
                            "{place}.backoffFunction must be one of arithmetic, exponential, \
                             geometric, linear"
                        ));
                    }
                },
            },
        };
        let phases = policy.no_delay_retries + policy.min_delay_retries + policy.max_delay_retries;
        if phases > policy.retries {
            return Err(format!("{place}.numRetries must be at least the retries of its phases"));
        }
        if policy.total_s() > MAX_DELAY_S {
            return Err(format!("{place}: the delays together exceed {MAX_DELAY_S} seconds"));
        }
        Ok(policy)
    }

    fn render(&self) -> Value {
        json!({
            "minDelayTarget": self.min_delay_s,
            "maxDelayTarget": self.max_delay_s,
            "numRetries": self.retries,
            "numMaxDelayRetries": self.max_delay_retries,
            "numNoDelayRetries": self.no_delay_retries,
            "numMinDelayRetries": self.min_delay_retries,
            "backoffFunction": match self.backoff {
                Backoff::Arithmetic => "arithmetic",
                Backoff::Exponential => "exponential",
                Backoff::Geometric => "geometric",
                Backoff::Linear => "linear",
            },
        })
    }
}

/// The contents of one of the two kinds of policies: a topic's or a subscription's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Stated {
    retry: Option<RetryPolicy>,
    max_per_second: Option<u64>,
    content_type: Option<String>,
    /// A topic's policy goes before those of its subscriptions.
    overrides_off: bool,
}

/// The policy that holds for one subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeliveryPolicy {
    pub(super) retry: RetryPolicy,
    /// Most deliveries a second.
    pub(super) max_per_second: Option<u64>,
    pub(super) content_type: String,
}

impl DeliveryPolicy {
    /// The policy of what topic and subscription say. Both were checked when they were set.
    pub(super) fn effective(topic: Option<&String>, subscription: Option<&String>) -> Self {
        let topic = topic.and_then(|text| of_topic(text).ok()).unwrap_or_default();
        let own = subscription.filter(|_| !topic.overrides_off);
        let own = own.and_then(|text| of_subscription(text).ok()).unwrap_or_default();
        Self {
            retry: own.retry.or(topic.retry).unwrap_or_default(),
            max_per_second: own.max_per_second.or(topic.max_per_second),
            content_type: own
                .content_type
                .or(topic.content_type)
                .unwrap_or_else(|| DEFAULT_CONTENT_TYPE.to_owned()),
        }
    }

    /// The policy as a subscription's attribute `EffectiveDeliveryPolicy`.
    pub(super) fn render(&self) -> String {
        json!({
            "healthyRetryPolicy": self.retry.render(),
            "sicklyRetryPolicy": null,
            "throttlePolicy":
                self.max_per_second.map(|number| json!({ "maxReceivesPerSecond": number })),
            "requestPolicy": { "headerContentType": self.content_type },
            "guaranteed": false,
        })
        .to_string()
    }
}

/// Checks a topic's attribute `DeliveryPolicy`.
pub(super) fn check_topic(text: &str) -> Result<(), String> {
    of_topic(text).map(drop)
}

/// Checks a subscription's attribute `DeliveryPolicy`.
pub(super) fn check_subscription(text: &str) -> Result<(), String> {
    of_subscription(text).map(drop)
}

/// A topic's attribute `EffectiveDeliveryPolicy`.
pub(super) fn effective_of_topic(stated: Option<&String>) -> String {
    let stated = stated.and_then(|text| of_topic(text).ok()).unwrap_or_default();
    let content_type = stated.content_type.as_deref().unwrap_or(DEFAULT_CONTENT_TYPE);
    let mut http = json!({
        "defaultHealthyRetryPolicy": stated.retry.unwrap_or_default().render(),
        "disableSubscriptionOverrides": stated.overrides_off,
        "defaultRequestPolicy": { "headerContentType": content_type },
    });
    if let (Some(number), Some(http)) = (stated.max_per_second, http.as_object_mut()) {
        http.insert("defaultThrottlePolicy".into(), json!({ "maxReceivesPerSecond": number }));
    }
    json!({ "http": http }).to_string()
}

fn of_topic(text: &str) -> Result<Stated, String> {
    let policy = parse(text)?;
    let empty = Value::Object(Map::new());
    let http = policy.get("http").filter(|value| !value.is_null()).unwrap_or(&empty);
    let http = object(http, "http")?;
    stated(
        http,
        "http.",
        ["defaultHealthyRetryPolicy", "defaultThrottlePolicy", "defaultRequestPolicy"],
        &["defaultSicklyRetryPolicy", "disableSubscriptionOverrides"],
    )
}

fn of_subscription(text: &str) -> Result<Stated, String> {
    stated(
        &parse(text)?,
        "",
        ["healthyRetryPolicy", "throttlePolicy", "requestPolicy"],
        &["sicklyRetryPolicy", "guaranteed"],
    )
}

fn parse(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|problem| format!("failed to parse JSON. {problem}"))
}

fn object<'v>(value: &'v Value, place: &str) -> Result<&'v Map<String, Value>, String> {
    value.as_object().ok_or_else(|| format!("{place} must be an object"))
}

fn stated(
    policy: &Map<String, Value>,
    place: &str,
    [retry, throttle, request]: [&str; 3],
    others: &[&str],
) -> Result<Stated, String> {
    let known = [retry, throttle, request];
    if let Some(name) =
        policy.keys().find(|name| !known.iter().chain(others).any(|known| known == name))
    {
        return Err(format!("Unexpected JSON member: {}{name}", place));
    }
    let present = |name: &str| policy.get(name).filter(|value| !value.is_null());
    let mut found = Stated::default();
    if let Some(value) = present(retry) {
        found.retry = Some(RetryPolicy::read(value, &format!("{place}{retry}"))?);
    }
    if let Some(value) = present(throttle) {
        let rate = object(value, &format!("{place}{throttle}"))?.get("maxReceivesPerSecond");
        let rate = rate.filter(|rate| !rate.is_null());
        let number = rate.map(|rate| {
            rate.as_u64().filter(|rate| *rate > 0).ok_or_else(|| {
                format!("{place}{throttle}.maxReceivesPerSecond must be an integer from 1")
            })
        });
        found.max_per_second = number.transpose()?;
    }
    if let Some(value) = present(request) {
        let stated = object(value, &format!("{place}{request}"))?.get("headerContentType");
        if let Some(stated) = stated.filter(|stated| !stated.is_null()) {
            let known = stated.as_str().filter(|stated| CONTENT_TYPES.contains(stated));
            let known = known.ok_or_else(|| {
                format!("{place}{request}.headerContentType is none of the supported types")
            })?;
            found.content_type = Some(known.to_owned());
        }
    }
    found.overrides_off =
        present("disableSubscriptionOverrides").and_then(Value::as_bool).unwrap_or(false);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays_s(policy: &str) -> Vec<u64> {
        let policy = DeliveryPolicy::effective(None, Some(&policy.to_owned()));
        (1..).map_while(|failed| policy.retry.delay_ms(failed)).map(|ms| ms / 1_000).collect()
    }

    #[test]
    fn four_phases() {
        let policy = r#"{"healthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":60,
            "numRetries":10,"numNoDelayRetries":2,"numMinDelayRetries":2,"numMaxDelayRetries":2,
            "backoffFunction":"CURVE"}}"#;
        for (curve, growing) in [
            ("linear", [1, 20, 40, 60]),
            ("arithmetic", [1, 14, 33, 60]),
            ("geometric", [1, 3, 15, 60]),
            ("exponential", [1, 9, 26, 60]),
        ] {
            let found = delays_s(&policy.replace("CURVE", curve));
            let [a, b, c, d] = growing;
            assert_eq!(found, [0, 0, 1, 1, a, b, c, d, 60, 60], "{curve}");
        }
    }

    #[test]
    fn the_default_is_three_times_twenty_seconds_and_none_is_none() {
        assert_eq!(delays_s("{}"), [20, 20, 20]);
        assert_eq!(delays_s(r#"{"healthyRetryPolicy":{"numRetries":0}}"#), [0; 0]);
        assert_eq!(delays_s(r#"{"healthyRetryPolicy":{"minDelayTarget":30}}"#), [30, 30, 30]);
    }

    #[test]
    fn a_subscription_goes_before_its_topic_unless_that_forbids_it() {
        let own = r#"{"healthyRetryPolicy":{"numRetries":1},
                      "throttlePolicy":{"maxReceivesPerSecond":7}}"#;
        let topic = r#"{"http":{"defaultHealthyRetryPolicy":{"numRetries":5},
            "defaultRequestPolicy":{"headerContentType":"application/json"}}}"#;
        let of = |topic: &str, own: &str| {
            let policy = DeliveryPolicy::effective(Some(&topic.into()), Some(&own.into()));
            (policy.retry.retries, policy.max_per_second, policy.content_type)
        };
        assert_eq!(of(topic, own), (1, Some(7), "application/json".into()));
        assert_eq!(of(topic, "{}"), (5, None, "application/json".into()));
        let strict =
            topic.replace("{\"http\":{", "{\"http\":{\"disableSubscriptionOverrides\":true,");
        assert_eq!(of(&strict, own), (5, None, "application/json".into()));
        let effective: Value =
            serde_json::from_str(&effective_of_topic(Some(&topic.to_owned()))).unwrap();
        assert_eq!(effective["http"]["defaultHealthyRetryPolicy"]["minDelayTarget"], 20);
        assert_eq!(effective["http"]["disableSubscriptionOverrides"], false);
    }

    #[test]
    fn what_a_policy_may_not_say() {
        for (policy, text) in [
            (r#"{"healthyRetryPolicy":{"minDelayTarget":0}}"#, "minDelayTarget"),
            (r#"{"healthyRetryPolicy":{"minDelayTarget":5,"maxDelayTarget":4}}"#, "maxDelayTarget"),
            (r#"{"healthyRetryPolicy":{"numRetries":101}}"#, "numRetries"),
            (r#"{"healthyRetryPolicy":{"numRetries":"3"}}"#, "numRetries"),
            (r#"{"healthyRetryPolicy":{"numNoDelayRetries":4}}"#, "numRetries must be at least"),
            (r#"{"healthyRetryPolicy":{"minDelayTarget":1300,"maxDelayTarget":1300}}"#, "exceed"),
            (r#"{"healthyRetryPolicy":{"backoffFunction":"x"}}"#, "backoffFunction"),
            (r#"{"healthyRetryPolicy":[]}"#, "must be an object"),
            (r#"{"throttlePolicy":{"maxReceivesPerSecond":0}}"#, "maxReceivesPerSecond"),
            (r#"{"requestPolicy":{"headerContentType":"x"}}"#, "headerContentType"),
            (r#"{"http":{}}"#, "Unexpected JSON member: http"),
            ("[]", "failed to parse JSON"),
        ] {
            let found = check_subscription(policy).unwrap_err();
            assert!(found.contains(text), "{policy}: {found}");
        }
        assert!(check_topic(r#"{"http":{"x":1}}"#).is_err());
        assert!(check_topic(r#"{"http":{"defaultHealthyRetryPolicy":null}}"#).is_ok());
    }
}
