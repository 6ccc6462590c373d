//! Filter policies: JSON, checked as SNS checks it and compiled into the engine's matchers. Texts are
//! those recorded from AWS, with the place in the JSON where its parser stood.

mod json;
mod rules;

use kyu_broker::{Filter, Matcher, Test};

use json::{Node, Place};
use rules::{Part, Policy};

/// Properties at the top of a policy (SNS developer guide, "Filter policy constraints").
const MAX_KEYS: usize = 5;
/// Combinations of values: the work that a policy may make.
const MAX_COMBINATIONS: usize = 150;
/// Bytes of a policy.
const MAX_BYTES: usize = 262_144;

/// The part of a message that a filter policy looks at.
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
    let root = json::parse(text).map_err(|problem| about_policy(failed(&problem)))?;
    // How policies are taken away (SNS developer guide).
    if matches!(&root.value, json::Value::Object(members) if members.is_empty()) {
        return Ok(Matcher::Everything);
    }
    let policy = read(&root).map_err(about_policy)?;
    if policy.0.len() > MAX_KEYS {
        return Err(about_policy("Filter policy can not have more than 5 keys".into()));
    }
    if scope == Scope::MessageAttributes && is_nested(&policy) {
        return Err(
            "Filter policy scope MessageAttributes does not support nested filter policy".into()
        );
    }
    if combinations(&policy, 1, 1) > MAX_COMBINATIONS {
        return Err(about_policy("Filter policy is too complex".into()));
    }
    let filter = Filter { alternatives: expand(&policy, "", vec![Vec::new()]) };
    Ok(match scope {
        Scope::MessageAttributes => Matcher::Attributes(filter),
        Scope::MessageBody => Matcher::Body(filter),
    })
}

/// Checks that a text is JSON; the error is what SNS says after the attribute's name.
pub(super) fn check_json(text: &str) -> Result<(), String> {
    json::parse(text).map_or_else(|problem| Err(failed(&problem)), |_| Ok(()))
}

fn failed(problem: &str) -> String {
    format!("failed to parse JSON. {problem}")
}

/// A policy is quoted in complaints as SNS writes it: without spaces, on one line.
fn read(root: &Node) -> Result<Policy, String> {
    let compact = root.to_string();
    let root = json::parse(&compact).map_err(|problem| failed(&problem))?;
    rules::read(&root).map_err(|problem| match problem.column {
        None => problem.text,
        Some(column) => {
            format!("{}{}", problem.text, Place { source: &compact, line: 1, column })
        }
    })
}

fn is_nested(policy: &Policy) -> bool {
    policy.0.iter().any(|(_, part)| match part {
        Part::Conditions(_) => false,
        Part::Below(_) => true,
        Part::Alternatives(policies) => policies.iter().any(is_nested),
    })
}

/// The number of combinations of a policy, counted as AWS does: the numbers of values times their
/// depths, multiplied; those of alternatives added.
fn combinations(policy: &Policy, depth: usize, before: usize) -> usize {
    policy.0.iter().fold(before, |count, (_, part)| {
        let count = match part {
            Part::Conditions(conditions) => count.saturating_mul(conditions.len() * depth),
            Part::Below(below) => combinations(below, depth + 1, count),
            Part::Alternatives(policies) => {
                policies.iter().map(|one| combinations(one, depth, count)).sum()
            }
        };
        // Far beyond the limit there is nothing to count, and adding must not overflow.
        count.min(1 << 32)
    })
}

/// Adds the tests of a policy to each alternative; those of a `$or` make as many times more.
fn expand(policy: &Policy, path: &str, mut into: Vec<Vec<Test>>) -> Vec<Vec<Test>> {
    for (name, part) in &policy.0 {
        let below = || if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match part {
            Part::Conditions(conditions) => {
                let test = Test { path: below(), conditions: conditions.clone() };
                into.iter_mut().for_each(|tests| tests.push(test.clone()));
            }
            Part::Below(policy) => into = expand(policy, &below(), into),
            Part::Alternatives(policies) => {
                into = policies.iter().flat_map(|one| expand(one, path, into.clone())).collect();
            }
        }
    }
    into
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn problem(policy: Value, scope: Scope) -> String {
        compile(&policy.to_string(), scope).unwrap_err()
    }

    /// As LocalStack recorded them from AWS (test_sns_filter_policy.snapshot.json).
    #[test]
    fn texts_recorded_from_aws() {
        for (rule, text, column) in [
            (r#"[["value"]]"#, "Match value must be String, number, true, false, or null", 10),
            (r#"[{"wrong-operator":true}]"#, "Unrecognized match type wrong-operator", 31),
            (
                r#"[{"suffix":"value","prefix":"value2"}]"#,
                "Only one key allowed in match expression",
                37,
            ),
            (r#"[{"suffix":100}]"#, "suffix match pattern must be a string", 22),
            (r#"[{"suffix":null}]"#, "suffix match pattern must be a string", 23),
            (r#"{"suffix":"value"}"#, "\"suffix\" must be an object or an array", 19),
            (r#"[{"suffix":[]}]"#, "suffix match pattern must be a string", 20),
            (r#"[{"suffix":["test","test2"]}]"#, "suffix match pattern must be a string", 20),
            (
                r#"{"suffix":"value","prefix":"value"}"#,
                "\"suffix\" must be an object or an array",
                19,
            ),
            (
                r#"{"not-an-operator":"value"}"#,
                "\"not-an-operator\" must be an object or an array",
                28,
            ),
            (r#"[{"numeric":[]}]"#, "Invalid member in numeric match: ]", 22),
            (r#"[{"numeric":["operator"]}]"#, "Unrecognized numeric range operator: operator", 32),
            (r#"[{"numeric":[1,"<="]}]"#, "Invalid member in numeric match: 1", 22),
            (r#"[{"numeric":["=","000"]}]"#, "Value of equals must be numeric", 26),
            (r#"[{"numeric":[">="]}]"#, "Value of >= must be numeric", 26),
            (r#"[{"numeric":["<",100,">",10]}]"#, "Too many elements in numeric expression", 30),
            (r#"[{"numeric":[">=",1,">",2]}]"#, "Bad numeric range operator: >", 31),
            (r#"[{"numeric":[">",3,"<",1]}]"#, "Bottom must be less than top", 33),
            (r#"[{"numeric":[">",20,"<="]}]"#, "Value of <= must be numeric", 33),
            (r#"[{"numeric":[">",20,30]}]"#, "Bad value in numeric range: 30", 30),
            (r#"[{"numeric":[">",20,"test"]}]"#, "Bad numeric range operator: test", 34),
            (r#"[{"numeric":[">","20","<","30"]}]"#, "Value of > must be numeric", 26),
            (r#"[{"numeric":[">",20,"<","30"]}]"#, "Value of < must be numeric", 33),
            (
                r#"[{"numeric":[">",20,"<",30,"<",50]}]"#,
                "Too many terms in numeric range expression",
                36,
            ),
            (r#"[{"exists":null}]"#, "exists match pattern must be either true or false.", 23),
            (r#"[{"exists":"no"}]"#, "exists match pattern must be either true or false.", 20),
            (
                r#"[{"anything-but":{"wrong-operator":null}}]"#,
                "Unsupported anything-but pattern: wrong-operator",
                47,
            ),
            (
                r#"[{"anything-but":{"suffix":"test"}}]"#,
                "Unsupported anything-but pattern: suffix",
                36,
            ),
            (
                r#"[{"anything-but":{"exists":false}}]"#,
                "Unsupported anything-but pattern: exists",
                40,
            ),
            (r#"[{"anything-but":{"prefix":false}}]"#, "prefix match pattern must be a string", 40),
        ] {
            let policy = format!(r#"{{"key":{rule}}}"#);
            let recorded = format!(
                "FilterPolicy: {text}\n at [Source: (String)\"{policy}\"; line: 1, column: {column}]"
            );
            // Python writes spaces, and AWS answers without.
            let sent = policy.replace("\":", "\": ");
            assert_eq!(compile(&sent, Scope::MessageAttributes), Err(recorded));
        }
        let recorded = "FilterPolicy: failed to parse JSON. Unexpected character ('i' (code 105)): \
                        was expecting double-quote to start field name\n at [Source: REDACTED \
                        (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, \
                        column: 2]";
        assert_eq!(compile("{invalidjson}", Scope::MessageAttributes), Err(recorded.into()));
    }

    /// By the source of AWS' rule engine.
    #[test]
    fn other_texts() {
        for (rule, text) in [
            (json!([]), "Empty arrays are not allowed"),
            (json!({}), "Empty objects are not allowed"),
            (json!("value"), "\"key\" must be an object or an array"),
            (json!([{}]), "Match expression name not found"),
            (json!([{"numeric": 5}]), "Value of numeric must be an array."),
            (json!([{"numeric": ["=", 5], "prefix": "a"}]), "Too many elements in numeric"),
            (json!([{"numeric": ["<", 6e9]}]), "Value must be between -5.0E9 and 5.0E9, inclusive"),
            (json!([{"numeric": [">", 1, "<", 6e9]}]), "Value must be between -5.0E9 and 5.0E9"),
            (json!([{"anything-but": {}}]), "Anything-But expression name not found"),
            (json!([{"anything-but": {"prefix": ""}}]), "Null prefix not allowed"),
            (json!([{"anything-but": true}]), "Value of anything-but must be an array or single"),
            (json!([{"anything-but": [null]}]), "Inside anything but list, start|null|boolean"),
            (json!([{"anything-but": ["a", 1]}]), "Inside anything but list, either all values"),
            (json!([{"anything-but": []}]), "Inside anything but list, either all values"),
            (json!([{"cidr": 1}]), "prefix match pattern must be a string"),
            (json!([{"cidr": "10.0.0.0"}]), "Malformed CIDR, one '/' required"),
            (json!([{"cidr": "10.0.0.0/"}]), "Malformed CIDR, one '/' required"),
            (json!([{"cidr": "bad-/64filter"}]), "Malformed CIDR, mask bits must be an integer"),
            (json!([{"cidr": "10.0.0.0/-1"}]), "Malformed CIDR, mask bits must not be negative"),
            (json!([{"cidr": "bad-filter/64"}]), "Nonstandard IP address: bad-filter"),
            (json!([{"cidr": "10.0.0.0/33"}]), "IPv4 mask bits must be < 32"),
            (json!([{"cidr": "::/300"}]), "IPv6 mask bits must be < 128"),
        ] {
            let found = problem(json!({ "key": rule }), Scope::MessageAttributes);
            assert!(found.starts_with(&format!("FilterPolicy: {text}")), "{found}");
        }
        let huge = json!({ "key": [6e9, {"anything-but": [1, 2]}, {"numeric": ["=", -5e9]}] });
        compile(&huge.to_string(), Scope::MessageAttributes).unwrap();
        for scope in [Scope::MessageBody, Scope::MessageAttributes] {
            assert_eq!(compile(" { } ", scope), Ok(Matcher::Everything));
        }
        let found = compile("[]", Scope::MessageBody).unwrap_err();
        assert!(found.starts_with("FilterPolicy: Filter is not an object"), "{found}");
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
