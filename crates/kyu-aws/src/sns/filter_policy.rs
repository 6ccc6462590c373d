//! Filter policies: JSON, checked as SNS checks it and compiled into the engine's matchers. Texts are
//! those recorded from AWS, without the place in the JSON that AWS' parser adds.

use kyu_broker::{Bound, Condition, Filter, Literal, Matcher, Network, Range, Test};
use serde_json::{Map, Value};

/// Properties at the top of a policy (SNS developer guide, "Filter policy constraints").
const MAX_KEYS: usize = 5;
/// Combinations of values: the work that a policy may make.
const MAX_COMBINATIONS: usize = 150;
/// Bytes of a policy.
const MAX_BYTES: usize = 262_144;

const OPERATORS: &[&str] =
    &["prefix", "suffix", "equals-ignore-case", "anything-but", "numeric", "exists", "cidr"];

/// What a filter policy looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    MessageAttributes,
    MessageBody,
}

/// Compiles a policy. The error is AWS' text after `Invalid parameter: `.
pub(super) fn compile(text: &str, scope: Scope) -> Result<Matcher, String> {
    let about_policy = |problem: String| format!("FilterPolicy: {problem}");
    if text.len() > MAX_BYTES {
        return Err(about_policy("Filter policy is too large".into()));
    }
    let policy: Map<String, Value> = serde_json::from_str(text)
        .map_err(|problem| about_policy(format!("failed to parse JSON. {problem}")))?;
    if policy.len() > MAX_KEYS {
        return Err(about_policy("Filter policy can not have more than 5 keys".into()));
    }
    if combinations(&policy, 1, 1, scope)? > MAX_COMBINATIONS {
        return Err(about_policy("Filter policy is too complex".into()));
    }
    let alternatives = expand(&policy, "", vec![Vec::new()]).map_err(about_policy)?;
    let filter = Filter { alternatives };
    Ok(match scope {
        Scope::MessageAttributes => Matcher::Attributes(filter),
        Scope::MessageBody => Matcher::Body(filter),
    })
}

/// The alternatives of a `$or`; `None` where that is the name of a property.
fn alternatives<'v>(key: &str, value: &'v Value) -> Option<Vec<&'v Map<String, Value>>> {
    let list = value.as_array().filter(|list| key == "$or" && list.len() > 1)?;
    let objects: Option<Vec<_>> = list.iter().map(Value::as_object).collect();
    let is_property =
        |object: &&Map<String, Value>| !object.keys().any(|key| OPERATORS.contains(&key.as_str()));
    objects.filter(|objects| objects.iter().all(is_property))
}

/// How many combinations a policy has, counted as AWS does: the numbers of values times their
/// depths, multiplied; those of alternatives added.
fn combinations(
    policy: &Map<String, Value>,
    depth: usize,
    before: usize,
    scope: Scope,
) -> Result<usize, String> {
    if depth > 1 && scope == Scope::MessageAttributes {
        return Err(
            "Filter policy scope MessageAttributes does not support nested filter policy".into()
        );
    }
    let mut count = before;
    for (key, value) in policy {
        if let Some(objects) = alternatives(key, value) {
            let counts = objects.into_iter().map(|one| combinations(one, depth, count, scope));
            count = counts.sum::<Result<usize, String>>()?;
        } else {
            count = match value {
                Value::Object(below) => combinations(below, depth + 1, count, scope)?,
                Value::Array(values) if values.is_empty() => {
                    return Err("FilterPolicy: Empty arrays are not allowed".into());
                }
                Value::Array(values) => count.saturating_mul(values.len() * depth),
                _ => {
                    return Err(format!("FilterPolicy: \"{key}\" must be an object or an array"));
                }
            };
        }
        // Far beyond the limit there is nothing to count, and adding must not overflow.
        count = count.min(1 << 32);
    }
    Ok(count)
}

/// Adds the tests of a policy to each alternative; those of a `$or` make as many times more.
fn expand(
    policy: &Map<String, Value>,
    path: &str,
    mut into: Vec<Vec<Test>>,
) -> Result<Vec<Vec<Test>>, String> {
    for (key, value) in policy {
        if let Some(objects) = alternatives(key, value) {
            let grown = objects.into_iter().map(|one| expand(one, path, into.clone()));
            into = grown.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
            continue;
        }
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match value {
            Value::Object(below) => into = expand(below, &path, into)?,
            Value::Array(rules) => {
                let conditions = rules.iter().map(condition).collect::<Result<Vec<_>, _>>()?;
                let test = Test { path, conditions };
                into.iter_mut().for_each(|tests| tests.push(test.clone()));
            }
            _ => return Err(format!("\"{key}\" must be an object or an array")),
        }
    }
    Ok(into)
}

fn condition(rule: &Value) -> Result<Condition, String> {
    let Value::Object(rule) = rule else { return literal(rule).map(Condition::Is) };
    let mut rules = rule.iter();
    let (Some((operator, value)), None) = (rules.next(), rules.next()) else {
        return Err("Only one key allowed in match expression".into());
    };
    let text = || {
        let text = value.as_str().map(str::to_owned);
        text.ok_or_else(|| format!("{operator} match pattern must be a string"))
    };
    Ok(match operator.as_str() {
        "prefix" => Condition::Prefix(text()?),
        "suffix" => Condition::Suffix(text()?),
        "equals-ignore-case" => Condition::SameIgnoringCase(text()?),
        "anything-but" => anything_but(value)?,
        "numeric" => Condition::Within(range(value)?),
        "exists" => Condition::Exists(
            value.as_bool().ok_or("exists match pattern must be either true or false.")?,
        ),
        "cidr" => Condition::Network(network(value)?),
        other => return Err(format!("Unrecognized match type {other}")),
    })
}

fn literal(value: &Value) -> Result<Literal, String> {
    Ok(match value {
        Value::Null => Literal::Null,
        Value::Bool(flag) => Literal::Bool(*flag),
        Value::Number(number) => Literal::Number(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Literal::Text(text.clone()),
        Value::Array(_) | Value::Object(_) => {
            return Err("Match value must be String, number, true, false, or null".into());
        }
    })
}

fn anything_but(value: &Value) -> Result<Condition, String> {
    match value {
        Value::Array(values) => {
            Ok(Condition::AnythingBut(values.iter().map(literal).collect::<Result<_, _>>()?))
        }
        Value::Object(pattern) => {
            if let Some(other) = pattern.keys().find(|key| *key != "prefix") {
                return Err(format!("Unsupported anything-but pattern: {other}"));
            }
            let start = pattern.get("prefix").and_then(Value::as_str);
            let start = start.ok_or("prefix match pattern must be a string")?;
            Ok(Condition::AnythingButPrefix(vec![start.to_owned()]))
        }
        value => Ok(Condition::AnythingBut(vec![literal(value)?])),
    }
}

/// `["=", 5]`, `["<", 5]`, or a range of both: `[">=", 0, "<", 5]`.
fn range(value: &Value) -> Result<Range, String> {
    let mut terms = value.as_array().map(Vec::as_slice).unwrap_or_default().iter();
    let first = terms.next().ok_or("Invalid member in numeric match: ]")?;
    let Value::String(operator) = first else {
        return Err(format!("Invalid member in numeric match: {first}"));
    };
    if !matches!(operator.as_str(), "<" | "<=" | "=" | ">" | ">=") {
        return Err(format!("Unrecognized numeric range operator: {operator}"));
    }
    let number = |operator: &str, term: Option<&Value>| {
        let name = if operator == "=" { "equals" } else { operator };
        term.and_then(Value::as_f64).ok_or_else(|| format!("Value of {name} must be numeric"))
    };
    let value = number(operator, terms.next())?;
    let bound = Bound { value, inclusive: operator.contains('=') };
    let mut range = match operator.as_str() {
        "=" => Range { low: Some(bound), high: Some(bound) },
        "<" | "<=" => Range { low: None, high: Some(bound) },
        _ => Range { low: Some(bound), high: None },
    };
    let Some(second) = terms.next() else { return Ok(range) };
    if range.high.is_some() {
        return Err("Too many elements in numeric expression".into());
    }
    let Value::String(operator) = second else {
        return Err(format!("Bad value in numeric range: {second}"));
    };
    if !matches!(operator.as_str(), "<" | "<=") {
        return Err(format!("Bad numeric range operator: {operator}"));
    }
    let top = number(operator, terms.next())?;
    if top <= value {
        return Err("Bottom must be less than top".into());
    }
    if terms.next().is_some() {
        return Err("Too many terms in numeric range expression".into());
    }
    range.high = Some(Bound { value: top, inclusive: operator.contains('=') });
    Ok(range)
}

fn network(value: &Value) -> Result<Network, String> {
    let text = value.as_str().ok_or("prefix match pattern must be a string")?;
    let one = "Malformed CIDR, one '/' required";
    let (first, bits) = text.split_once('/').filter(|(_, bits)| !bits.contains('/')).ok_or(one)?;
    let prefix_bits: u8 =
        bits.parse().map_err(|_| "Malformed CIDR, mask bits must be an integer")?;
    let nonstandard = || format!("Nonstandard IP address: {first}");
    let first: std::net::IpAddr = first.parse().map_err(|_| nonstandard())?;
    if prefix_bits > if first.is_ipv4() { 32 } else { 128 } {
        return Err("Malformed CIDR, mask bits must be an integer".into());
    }
    Ok(Network { first, prefix_bits })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problem(policy: Value, scope: Scope) -> String {
        compile(&policy.to_string(), scope).unwrap_err()
    }

    /// As LocalStack recorded them from AWS (test_sns_filter_policy.snapshot.json).
    #[test]
    fn texts_recorded_from_aws() {
        for (rule, text) in [
            (json!([["value"]]), "Match value must be String, number, true, false, or null"),
            (json!([{"wrong-operator": true}]), "Unrecognized match type wrong-operator"),
            (json!([{"suffix": "a", "prefix": "b"}]), "Only one key allowed in match expression"),
            (json!([{"suffix": 100}]), "suffix match pattern must be a string"),
            (json!([{"suffix": null}]), "suffix match pattern must be a string"),
            (json!([{"suffix": []}]), "suffix match pattern must be a string"),
            (json!([{"numeric": []}]), "Invalid member in numeric match: ]"),
            (json!([{"numeric": ["operator"]}]), "Unrecognized numeric range operator: operator"),
            (json!([{"numeric": [1, "<="]}]), "Invalid member in numeric match: 1"),
            (json!([{"numeric": ["=", "000"]}]), "Value of equals must be numeric"),
            (json!([{"numeric": [">="]}]), "Value of >= must be numeric"),
            (json!([{"numeric": ["<", 100, ">", 10]}]), "Too many elements in numeric expression"),
            (json!([{"numeric": [">=", 1, ">", 2]}]), "Bad numeric range operator: >"),
            (json!([{"numeric": [">", 3, "<", 1]}]), "Bottom must be less than top"),
            (json!([{"numeric": [">", 20, "<="]}]), "Value of <= must be numeric"),
            (json!([{"numeric": [">", 20, 30]}]), "Bad value in numeric range: 30"),
            (json!([{"numeric": [">", 20, "test"]}]), "Bad numeric range operator: test"),
            (json!([{"numeric": [">", "20", "<", "30"]}]), "Value of > must be numeric"),
            (json!([{"numeric": [">", 20, "<", "30"]}]), "Value of < must be numeric"),
            (
                json!([{"numeric": [">", 20, "<", 30, "<", 50]}]),
                "Too many terms in numeric range expression",
            ),
            (json!([{"exists": null}]), "exists match pattern must be either true or false."),
            (json!([{"exists": "no"}]), "exists match pattern must be either true or false."),
            (
                json!([{"anything-but": {"suffix": "x"}}]),
                "Unsupported anything-but pattern: suffix",
            ),
            (json!([]), "Empty arrays are not allowed"),
            (json!("value"), "\"key\" must be an object or an array"),
        ] {
            let found = problem(json!({ "key": rule }), Scope::MessageAttributes);
            assert_eq!(found, format!("FilterPolicy: {text}"));
        }
    }

    #[test]
    fn bounds() {
        let complex = "FilterPolicy: Filter policy is too complex";
        let many = |count: usize| (0..count).map(|at| format!("value{at}")).collect::<Vec<_>>();
        let flat = Scope::MessageAttributes;
        assert_eq!(problem(json!({ "key": many(151) }), flat), complex);
        assert!(compile(&json!({ "key": many(150) }).to_string(), flat).is_ok());
        assert_eq!(problem(json!({ "a": many(100), "b": many(51) }), flat), complex);
        let six = json!({ "a": [1], "b": [1], "c": [1], "d": [1], "e": [1], "f": [1] });
        let text = "FilterPolicy: Filter policy can not have more than 5 keys";
        assert_eq!(problem(six, flat), text);
        let nested = json!({
            "key_a": { "key_b": { "key_c": many(4) } },
            "key_d": { "key_e": many(3) },
            "key_f": many(3),
        });
        assert_eq!(problem(nested.clone(), Scope::MessageBody), complex, "216 combinations");
        let text = "Filter policy scope MessageAttributes does not support nested filter policy";
        assert_eq!(problem(nested, flat), text);
        let alternatives = json!({
            "source": many(4),
            "$or": [
                { "metricName": many(6) },
                { "metricType": many(4), "$or": [{ "id": many(4) }, { "space": many(4) }] },
            ],
        });
        assert_eq!(problem(alternatives, flat), complex, "24 + 64 + 64 combinations");
    }

    #[test]
    fn alternatives_multiply() {
        let policy = json!({
            "$or": [{ "a": [1] }, { "b": [2] }],
            "c": { "d": ["x"], "$or": [{ "e": [3] }, { "f": [4] }] },
        });
        let Matcher::Body(filter) = compile(&policy.to_string(), Scope::MessageBody).unwrap()
        else {
            panic!()
        };
        let paths: Vec<Vec<_>> = filter
            .alternatives
            .iter()
            .map(|tests| tests.iter().map(|test| test.path.as_str()).collect())
            .collect();
        assert_eq!(paths.len(), 4);
        assert!(paths.contains(&vec!["a", "c.e", "c.d"]), "{paths:?}");
    }
}
