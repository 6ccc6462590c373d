//! Attributes that AWS does not have: settings of Kyu that unmodified SQS clients can send, as none
//! of them checks names. A value is the setting as the admin API has it, in JSON
//! (`{"backoff":{"kind":"fixed","delay_ms":500}}`) or as pairs
//! (`backoff.kind=fixed backoff.delay_ms=500`); an empty one brings the default back. Tags of these
//! names do the same.

use kyu_broker::{QueueConfig, QueueName};
use kyu_settings::QueueSettings;
use serde_json::{Map, Value};

use super::defaults;
use crate::error::{Error, quoted};

/// The beginning of the names of these attributes.
pub(crate) const PREFIX: &str = "kyu:";

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extension {
    /// The name on the wire.
    pub(super) name: &'static str,
    /// The setting's name in [`QueueSettings`].
    setting: &'static str,
}

macro_rules! extensions {
    ($($name:literal => $setting:literal,)+) => {
        /// All of them.
        pub(crate) const ALL: &[Extension] =
            &[$(Extension { name: concat!("kyu:", $name), setting: $setting },)+];
    };
}

extensions! {
    "RetryPolicy" => "retry",
    "Guard" => "guard",
    "Fencing" => "fencing",
    "ExpiredTo" => "expired_to",
    "RetentionFrom" => "retention_from",
    "KeepHistory" => "keep_history",
    "BackAfterReceives" => "back_after_receives",
    "Fairness" => "fairness",
    "RateLimit" => "rate",
    "Lanes" => "lanes",
    "MaxInFlight" => "max_in_flight",
    "MaxMessages" => "max_messages",
    "MaxBytes" => "max_bytes",
    "Overflow" => "overflow",
    "DedupWindowMs" => "dedup_window_ms",
}

impl Extension {
    pub(super) fn named(name: &str) -> Option<Self> {
        ALL.iter().find(|extension| extension.name == name).copied()
    }

    /// Tells whether a queue has another value than one that SQS makes.
    pub(crate) fn is_set(self, config: &QueueConfig) -> bool {
        self.of(config) != self.of(&defaults::of(config.kind))
    }

    /// The value as it is shown; `None` where there is none.
    pub(super) fn read(self, config: &QueueConfig) -> Option<String> {
        match self.of(config)? {
            Value::Null => None,
            Value::String(text) => Some(text),
            value => Some(value.to_string()),
        }
    }

    fn of(self, config: &QueueConfig) -> Option<Value> {
        fields(config).remove(self.setting)
    }

    /// Puts a value into the settings of a queue.
    pub(super) fn apply(
        self,
        value: &str,
        queue: &QueueName,
        config: &mut QueueConfig,
    ) -> Result<(), Error> {
        let mut fields = fields(config);
        match parse(value) {
            Value::Null => fields.insert(self.setting.to_owned(), self.default(config)),
            value => fields.insert(self.setting.to_owned(), value),
        };
        let settings: QueueSettings = serde_json::from_value(fields.into())
            .map_err(|error| self.invalid(value, &error.to_string()))?;
        let applied = kyu_settings::apply(settings, &queue.namespace, config);
        // A redrive policy to the queue itself is AWS' own affair.
        let applied = applied.and_then(|()| match self.setting {
            "expired_to" => kyu_settings::check_targets(queue, config),
            _ => Ok(()),
        });
        applied.map_err(|reason| self.invalid(value, &reason))
    }

    fn default(self, config: &QueueConfig) -> Value {
        self.of(&defaults::of(config.kind)).unwrap_or_default()
    }

    fn invalid(self, value: &str, reason: &str) -> Error {
        Error::InvalidAttributeValue(format!(
            "Invalid value for the parameter {}. Reason: {} ({})",
            self.name,
            quoted(reason),
            quoted(value)
        ))
    }
}

/// Applies a tag with such a name: it does the same as the attribute, for tools that can only tag.
/// It acts when it is set or taken away. Other tags do nothing.
pub(crate) fn apply_tag(
    key: &str,
    value: &str,
    queue: &QueueName,
    config: &mut QueueConfig,
) -> Result<(), Error> {
    if !key.starts_with(PREFIX) {
        return Ok(());
    }
    let extension = Extension::named(key).ok_or_else(|| {
        Error::InvalidParameterValue(format!("The tag {} names no setting.", quoted(key)))
    })?;
    extension.apply(value, queue, config).map_err(|error| match error {
        Error::InvalidAttributeValue(text) => Error::InvalidParameterValue(text),
        other => other,
    })
}

fn fields(config: &QueueConfig) -> Map<String, Value> {
    match serde_json::to_value(kyu_settings::of(config)) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// JSON, pairs, or a word.
fn parse(value: &str) -> Value {
    let value = value.trim();
    if value.is_empty() {
        return Value::Null;
    }
    if let Ok(json) = serde_json::from_str(value) {
        return json;
    }
    if value.contains('=')
        && let Ok(pairs) = kyu_settings::of_pairs(value.split_ascii_whitespace())
    {
        return pairs;
    }
    value.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::test_door::*;

    #[test]
    fn every_extension_names_a_setting() {
        let fields = fields(&QueueConfig::default());
        for extension in ALL {
            assert!(fields.contains_key(extension.setting), "{}", extension.name);
            assert!(extension.name.starts_with(PREFIX));
        }
    }

    #[test]
    fn every_setting_is_an_attribute() {
        let of_aws = [
            "kind",
            "visibility_timeout_ms",
            "delay_ms",
            "retention_ms",
            "receive_wait_ms",
            "max_message_bytes",
            "content_based_deduplication",
            "dedup_scope",
            "dead_letter",
            "tags",
        ];
        for setting in fields(&QueueConfig::default()).keys() {
            let own = ALL.iter().any(|extension| extension.setting == setting);
            assert!(own || of_aws.contains(&setting.as_str()), "{setting}");
        }
    }

    #[test]
    fn values_in_every_form() {
        let pairs = "backoff.kind=fixed backoff.delay_ms=500 max_attempts=3";
        let json = json!({ "backoff": { "kind": "fixed", "delay_ms": 500 }, "max_attempts": 3 });
        assert_eq!(parse(pairs), json);
        assert_eq!(parse(&json.to_string()), json);
        assert_eq!(
            (parse("weighted"), parse("7"), parse(" ")),
            (json!("weighted"), json!(7), json!(null))
        );
    }

    #[tokio::test]
    async fn they_are_set_shown_and_taken_back_beside_those_of_aws() {
        let door = Door::open();
        let retry = "backoff.kind=fixed backoff.delay_ms=500";
        let url = door.queue("q", json!({ "kyu:RetryPolicy": retry, "DelaySeconds": "0" })).await;
        let all = |url: String| json!({ "QueueUrl": url, "AttributeNames": ["All"] });
        let shown = door.ok("GetQueueAttributes", all(url.clone())).await["Attributes"].take();
        let policy: Value =
            serde_json::from_str(shown["kyu:RetryPolicy"].as_str().unwrap()).unwrap();
        assert_eq!(policy["backoff"], json!({ "kind": "fixed", "delay_ms": 500 }));
        let kyu = |shown: &Value| {
            shown.as_object().unwrap().keys().filter(|name| name.starts_with(PREFIX)).count()
        };
        assert_eq!(kyu(&shown), 1);
        // The same queue again, and one that differs.
        assert_eq!(door.queue("q", json!({ "kyu:RetryPolicy": retry })).await, url);
        let other = json!({ "QueueName": "q", "Attributes": { "kyu:Fairness": "weighted" } });
        assert_eq!(door.fails("CreateQueue", other).await.1, "QueueAlreadyExists");
        // By name also where it is the default.
        assert_eq!(door.attribute(&url, "kyu:Fairness").await, "quiet_first");
        assert_eq!(door.attribute(&url, "kyu:RateLimit").await, Value::Null);
        let set =
            |value: &str| json!({ "QueueUrl": url, "Attributes": { "kyu:RetryPolicy": value } });
        door.ok("SetQueueAttributes", set("")).await;
        let shown = door.ok("GetQueueAttributes", all(url.clone())).await["Attributes"].take();
        assert_eq!(kyu(&shown), 0);
        let empty_list = r#"{"backoff":{"kind":"list","delays_ms":[]}}"#;
        assert_eq!(
            door.fails("SetQueueAttributes", set(empty_list)).await.1,
            "InvalidAttributeValue"
        );
        for wrong in ["backoff.kind=fixed", "often"] {
            let (status, code, text) = door.fails("SetQueueAttributes", set(wrong)).await;
            assert_eq!((status, code.as_str()), (400, "InvalidAttributeValue"), "{wrong}: {text}");
            assert!(text.starts_with("Invalid value for the parameter kyu:RetryPolicy. Reason: "));
        }
        let unknown = json!({ "QueueUrl": url, "Attributes": { "kyu:Nope": "1" } });
        let failure = door.fails("SetQueueAttributes", unknown).await;
        assert_eq!(
            failure,
            (400, "InvalidAttributeName".into(), "Unknown Attribute kyu:Nope.".into())
        );
    }

    #[tokio::test]
    async fn tags_of_these_names_set_the_same_and_their_end_takes_it_back() {
        let door = Door::open();
        let tags = json!({ "kyu:Lanes": "max_in_flight=2", "team": "a" });
        let create = json!({ "QueueName": "q", "tags": tags });
        let url = door.ok("CreateQueue", create).await["QueueUrl"].as_str().unwrap().to_owned();
        let lanes = async || {
            let lanes = door.attribute(&url, "kyu:Lanes").await;
            let lanes: Value = serde_json::from_str(lanes.as_str().unwrap()).unwrap();
            lanes["max_in_flight"].clone()
        };
        assert_eq!(lanes().await, 2);
        let tag = |tags: Value| json!({ "QueueUrl": url, "Tags": tags });
        door.ok("TagQueue", tag(json!({ "kyu:Lanes": "max_in_flight=3" }))).await;
        assert_eq!(lanes().await, 3);
        let keys = json!(["kyu:Lanes", "team", "kyu:Guard"]);
        door.ok("UntagQueue", json!({ "QueueUrl": url, "TagKeys": keys })).await;
        assert_eq!(lanes().await, Value::Null);
        for wrong in [json!({ "kyu:Nope": "1" }), json!({ "kyu:Lanes": "many" })] {
            assert_eq!(door.fails("TagQueue", tag(wrong)).await.1, "InvalidParameterValue");
        }
    }
}
