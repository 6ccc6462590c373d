//! The settings that a job type declares for its queue, against those that the queue has.
//!
//! A queue remembers, in a tag, what code last declared for it. When the code says something else
//! now, what it changed is applied, and what an operator has set meanwhile stays.

use serde_json::{Map, Value, json};

/// The tag with what code last declared, as JSON.
pub(super) const TAG: &str = "kyu.declared";

/// The change to a queue that is there.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Plan {
    /// It is as declared, or as somebody wanted it after that.
    Keep,
    /// The code has changed: a merge patch (RFC 7396) of the queue's settings, with the tag.
    Apply(Value),
    /// Nobody has declared it so far, and these settings are others: they stay.
    Differs(Vec<String>),
}

/// A queue's settings with the tag that remembers them. `settings` are those that are not defaults.
pub(super) fn tagged(settings: &Value) -> Value {
    let mut tagged = settings.clone();
    if let Value::Object(fields) = &mut tagged {
        fields.insert("tags".to_owned(), json!({ TAG: settings.to_string() }));
    }
    tagged
}

/// Compares what is declared now with the settings of the queue that is there. Of both, only the
/// settings that are not defaults are given.
pub(super) fn plan(declared: &Value, there: &Value) -> Plan {
    let tag = there.pointer(&format!("/tags/{TAG}")).and_then(Value::as_str);
    let before: Option<Value> = tag.and_then(|text| serde_json::from_str(text).ok());
    let Some(before) = before else {
        let differing = changed(declared, there).into_iter().map(|(name, _)| name);
        let differing: Vec<String> = differing.filter(|name| name != "tags").collect();
        return if differing.is_empty() { Plan::Keep } else { Plan::Differs(differing) };
    };
    let mut patch: Map<String, Value> = changed(declared, &before).into_iter().collect();
    if patch.is_empty() {
        return Plan::Keep;
    }
    patch.insert("tags".to_owned(), json!({ TAG: declared.to_string() }));
    Plan::Apply(patch.into())
}

/// The settings that differ, with what they are now; `null` for the default. A setting counts as a
/// whole: half of a policy means nothing.
fn changed(now: &Value, before: &Value) -> Vec<(String, Value)> {
    let empty = Map::new();
    let (now, before) = (now.as_object().unwrap_or(&empty), before.as_object().unwrap_or(&empty));
    let set = now.iter().filter(|(name, value)| before.get(*name) != Some(value));
    let unset = before.keys().filter(|name| !now.contains_key(*name));
    let set = set.map(|(name, value)| (name.clone(), value.clone()));
    set.chain(unset.map(|name| (name.clone(), Value::Null))).collect()
}

/// Gives settings what a plan applies. Unlike a merge of objects, a setting is replaced as a whole,
/// and of the tags only ours.
pub(super) fn applied(settings: &Value, patch: &Value) -> Value {
    let mut settings = settings.clone();
    if let (Value::Object(fields), Value::Object(patch)) = (&mut settings, patch) {
        for (name, value) in patch {
            match (name.as_str(), value) {
                ("tags", Value::Object(ours)) => {
                    let tags = fields.entry("tags").or_insert_with(|| json!({}));
                    if let Value::Object(tags) = tags {
                        tags.extend(ours.clone());
                    }
                }
                (_, Value::Null) => drop(fields.remove(name)),
                (_, value) => drop(fields.insert(name.clone(), value.clone())),
            }
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_code_changed_is_applied_and_what_an_operator_set_stays() {
        let first =
            json!({ "max_in_flight": 4, "retry": { "max_attempts": 5, "jitter_percent": 9 } });
        let made = tagged(&first);
        assert_eq!(plan(&first, &made), Plan::Keep);
        // An operator slows it down and names a team.
        let operated = applied(&made, &json!({ "max_in_flight": 1, "tags": { "team": "a" } }));
        assert_eq!(plan(&first, &operated), Plan::Keep);
        // A release of the code tries more often, and has no other wish than before.
        let second = json!({ "max_in_flight": 4, "retry": { "max_attempts": 9 } });
        let Plan::Apply(patch) = plan(&second, &operated) else { panic!() };
        let after = applied(&operated, &patch);
        assert_eq!((&after["max_in_flight"], &after["retry"]), (&json!(1), &second["retry"]));
        assert_eq!(after["tags"]["team"], "a");
        assert_eq!(plan(&second, &after), Plan::Keep);
        // The next one drops its limit.
        let third = json!({ "retry": { "max_attempts": 9 } });
        let Plan::Apply(patch) = plan(&third, &after) else { panic!() };
        assert_eq!(applied(&after, &patch).get("max_in_flight"), None);
    }

    #[test]
    fn a_queue_that_nobody_declared_is_left_as_it_is() {
        let declared = json!({ "max_in_flight": 4 });
        let tags = json!({ "team": "a" });
        assert_eq!(
            plan(&declared, &json!({ "delay_ms": 5, "tags": tags })),
            Plan::Differs(vec!["max_in_flight".into(), "delay_ms".into()])
        );
        assert_eq!(plan(&declared, &json!({ "max_in_flight": 4, "tags": tags })), Plan::Keep);
    }
}
