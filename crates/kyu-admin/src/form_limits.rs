//! The limits of numbers that a JSON schema states, held against a document. Settings are checked by
//! what the OpenAPI document shows, so that no limit stands in two places.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

use crate::content::escaped;
use crate::problem::{Code, Problem};

/// Refuses a document with a number beyond the limits of its schema.
pub(crate) fn check<T: JsonSchema>(document: &Value) -> Result<(), Problem> {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    check_by(&schema, document)
}

fn check_by(root: &Schema, document: &Value) -> Result<(), Problem> {
    let definitions = root.get("$defs").and_then(Value::as_object);
    let Some(fields) = root.as_object() else { return Ok(()) };
    Limits { definitions }.check(fields, document, "")
}

/// One reading of a document beside its schema.
struct Limits<'s> {
    definitions: Option<&'s Map<String, Value>>,
}

impl Limits<'_> {
    fn check(
        &self,
        schema: &Map<String, Value>,
        value: &Value,
        place: &str,
    ) -> Result<(), Problem> {
        if let Some(schema) = self.referred(schema) {
            self.check(schema, value, place)?;
        }
        for forms in ["oneOf", "anyOf"] {
            let forms = schema.get(forms).and_then(Value::as_array).into_iter().flatten();
            for form in forms.filter_map(Value::as_object).filter(|form| is_meant(form, value)) {
                self.check(form, value, place)?;
            }
        }
        match value {
            Value::Number(number) => check_number(schema, number, place),
            Value::Object(fields) => {
                let properties = schema.get("properties").and_then(Value::as_object);
                let others = schema.get("additionalProperties").and_then(Value::as_object);
                for (name, value) in fields {
                    let named = properties.and_then(|all| all.get(name)?.as_object());
                    if let Some(schema) = named.or(others) {
                        self.check(schema, value, &format!("{place}/{}", escaped(name)))?;
                    }
                }
                Ok(())
            }
            Value::Array(items) => {
                let Some(schema) = schema.get("items").and_then(Value::as_object) else {
                    return Ok(());
                };
                for (at, item) in items.iter().enumerate() {
                    self.check(schema, item, &format!("{place}/{at}"))?;
                }
                Ok(())
            }
            Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
        }
    }

    fn referred(&self, schema: &Map<String, Value>) -> Option<&Map<String, Value>> {
        let name = schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/")?;
        self.definitions?.get(name)?.as_object()
    }
}

/// Tells whether a form is the one that the value's tag (`kind`) names, or has none.
fn is_meant(form: &Map<String, Value>, value: &Value) -> bool {
    let properties = form.get("properties").and_then(Value::as_object);
    properties.into_iter().flatten().all(|(name, schema)| match schema.get("const") {
        Some(tag) => value.get(name) == Some(tag),
        None => true,
    })
}

fn check_number(
    schema: &Map<String, Value>,
    number: &serde_json::Number,
    place: &str,
) -> Result<(), Problem> {
    let limit = |name: &str| schema.get(name).and_then(Value::as_u64);
    // What is no whole number from 0 on is refused by its type.
    let Some(value) = number.as_u64() else { return Ok(()) };
    let (least, most) = (limit("minimum").unwrap_or(0), limit("maximum").unwrap_or(u64::MAX));
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let name = place.trim_start_matches('/').replace('/', ".");
    let detail = format!("{name} is {value}; it may be from {least} to {most}.");
    Err(Problem::new(Code::InvalidSetting, detail).below(place))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::{QueueSettings, ScheduleSettings};

    fn said<T: JsonSchema>(document: Value) -> Option<(String, String)> {
        let problem = check::<T>(&document).err()?;
        assert_eq!(problem.code, Code::InvalidSetting);
        Some((problem.pointer.unwrap(), problem.detail.into_owned()))
    }

    #[test]
    fn a_number_beyond_its_limits_is_named_wherever_it_stands() {
        let fixed = |delay_ms: u64| json!({ "backoff": { "kind": "fixed", "delay_ms": delay_ms } });
        for (settings, pointer) in [
            (json!({ "delay_ms": 315_576_000_001_u64 }), "/delay_ms"),
            (json!({ "max_message_bytes": 0 }), "/max_message_bytes"),
            (
                json!({ "dead_letter": { "queue": "d", "max_receives": 0 } }),
                "/dead_letter/max_receives",
            ),
            (json!({ "retry": fixed(2_592_000_001) }), "/retry/backoff/delay_ms"),
            (
                json!({ "retry": { "backoff": { "kind": "list", "delays_ms": [1, 2_592_000_001_u64] } } }),
                "/retry/backoff/delays_ms/1",
            ),
            (json!({ "lanes": { "weights": { "a/b": 0 } } }), "/lanes/weights/a~1b"),
            (json!({ "guard": { "breaker": { "open_ms": 0 } } }), "/guard/breaker/open_ms"),
        ] {
            let found = said::<QueueSettings>(settings.clone()).unwrap();
            assert_eq!(found.0, pointer, "{settings}");
            assert!(found.1.contains("; it may be from "), "{}", found.1);
        }
        for settings in
            [json!({}), json!({ "retry": fixed(2_592_000_000) }), json!({ "rate": null })]
        {
            assert_eq!(said::<QueueSettings>(settings), None);
        }
        let schedule = json!({ "rule": { "kind": "every", "interval_ms": 1 } });
        assert_eq!(said::<ScheduleSettings>(schedule).unwrap().0, "/rule/interval_ms");
    }
}
