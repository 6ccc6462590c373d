//! `name=value` pairs, for command lines and tags.

use serde_json::{Map, Value};

use crate::duration::duration_ms;

/// Makes an object of `name=value` pairs. A dot in a name goes into an object below; a value is JSON
/// where it reads as such, a length of time (`5m`) where the name ends in `_ms`, and text otherwise.
pub fn of_pairs<S: AsRef<str>>(pairs: impl IntoIterator<Item = S>) -> Result<Value, String> {
    let mut settings = Map::new();
    for pair in pairs {
        let pair = pair.as_ref();
        let bad = || format!("{pair:?}: write NAME=VALUE, such as delay_ms=500");
        let (path, value) = pair.split_once('=').ok_or_else(bad)?;
        let value = match serde_json::from_str(value) {
            Ok(value) => value,
            Err(_) if path.ends_with("_ms") && !path.ends_with("_at_ms") => {
                duration_ms(value)?.into()
            }
            Err(_) => Value::from(value),
        };
        let mut object = &mut settings;
        let mut names = path.split('.').peekable();
        while let Some(name) = names.next() {
            if name.is_empty() {
                return Err(bad());
            }
            if names.peek().is_none() {
                object.insert(name.to_owned(), value);
                break;
            }
            let below = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
            object = below.as_object_mut().ok_or_else(bad)?;
        }
    }
    Ok(settings.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pairs_become_settings() {
        let pairs = [
            "kind=fifo",
            "delay_ms=5",
            "dedup_window_ms=1h30m",
            "dead_letter.queue=dead",
            "rate=null",
            "dead_letter.max_receives=3",
            r#"retry={"backoff":{"kind":"fixed","delay_ms":1}}"#,
        ];
        let pairs: Vec<String> = pairs.map(str::to_owned).into();
        let expected = json!({
            "kind": "fifo",
            "delay_ms": 5,
            "dedup_window_ms": 5_400_000,
            "dead_letter": { "queue": "dead", "max_receives": 3 },
            "rate": null,
            "retry": { "backoff": { "kind": "fixed", "delay_ms": 1 } },
        });
        assert_eq!(of_pairs(&pairs), Ok(expected));
        for bad in [["x"], ["=1"], ["a..b=1"], ["delay_ms=soon"]] {
            assert!(of_pairs(bad).is_err(), "{bad:?}");
        }
    }
}
