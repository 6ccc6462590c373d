//! Changes of a part of the settings.

use kyu_model::QueueConfig;
use serde_json::{Map, Value};

use crate::convert::of;
use crate::queue::QueueSettings;

/// Merges a patch into a value by RFC 7396, section 2: an object changes the fields that it names
/// and takes away those that it sets to `null`; anything else replaces the value. An object that
/// names its `kind` is replaced as a whole.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (name, change) in changes {
        if change.is_null() {
            fields.remove(name);
        } else if change.get("kind").is_some() {
            // One of several forms: the fields of the old one mean nothing in the new one.
            fields.insert(name.clone(), change.clone());
        } else {
            merge(fields.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}

/// A queue's settings as a merge patch leaves them; what the patch sets to `null` has its default
/// again. Fails with a sentence for the user if the patch is not an object, or if the settings would
/// have an unknown field or a value of the wrong type.
pub fn patched(config: &QueueConfig, patch: &Value) -> Result<QueueSettings, String> {
    if !patch.is_object() {
        return Err("settings are a JSON object".to_owned());
    }
    let mut settings = serde_json::to_value(of(config)).map_err(|error| error.to_string())?;
    merge(&mut settings, patch);
    serde_json::from_value(settings).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_merge_patch_is_as_in_the_rfc() {
        // RFC 7396, appendix A.
        for (original, patch, result) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            let mut merged = original.clone();
            merge(&mut merged, &patch);
            assert_eq!(merged, result, "{original} {patch}");
        }
    }

    #[test]
    fn a_patch_changes_what_it_names_and_null_is_the_default() {
        let config = QueueConfig { delay_ms: 5, max_bytes: Some(7), ..QueueConfig::default() };
        let settings = patched(&config, &json!({"delay_ms": null, "max_messages": 3})).unwrap();
        assert_eq!((settings.delay_ms, settings.max_messages), (0, Some(3)));
        assert_eq!(settings.max_bytes, Some(7));
        assert!(patched(&config, &json!({"delay": 1})).unwrap_err().contains("unknown field"));
        assert_eq!(patched(&config, &json!(1)).unwrap_err(), "settings are a JSON object");
    }
}
