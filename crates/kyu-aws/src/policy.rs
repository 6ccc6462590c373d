//! The queue policy that AddPermission and RemovePermission write.

use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::limits::MAX_POLICY_STATEMENTS;

/// Adds a statement that lets `accounts` call `actions`.
pub(crate) fn add_statement(
    policy: Option<&String>,
    queue_arn: &str,
    label: &str,
    accounts: &[&str],
    actions: &[&str],
) -> Result<String, Error> {
    let mut policy = read(policy, queue_arn)?;
    let statements = statements(&mut policy).ok_or_else(unreadable)?;
    if statements.iter().any(|statement| has_label(statement, label)) {
        return Err(Error::invalid(label, "Label", "Already exists."));
    }
    if statements.len() >= MAX_POLICY_STATEMENTS {
        return Err(Error::OverLimit(format!(
            "The policy has {MAX_POLICY_STATEMENTS} statements, which is the maximum."
        )));
    }
    let principals = accounts.iter().map(|account| format!("arn:aws:iam::{account}:root"));
    statements.push(json!({
        "Sid": label,
        "Effect": "Allow",
        "Principal": { "AWS": one_or_list(principals.collect()) },
        "Action": one_or_list(actions.iter().map(|action| format!("SQS:{action}")).collect()),
        "Resource": queue_arn,
    }));
    Ok(Value::Object(policy).to_string())
}

/// Takes the statement of that label away; `None` when none is left.
pub(crate) fn remove_statement(
    policy: Option<&String>,
    queue_arn: &str,
    label: &str,
) -> Result<Option<String>, Error> {
    let mut policy = read(policy, queue_arn)?;
    let statements = statements(&mut policy).ok_or_else(unreadable)?;
    let before = statements.len();
    statements.retain(|statement| !has_label(statement, label));
    if statements.len() == before {
        return Err(Error::invalid(label, "Label", "can't find label."));
    }
    Ok((!statements.is_empty()).then(|| Value::Object(policy).to_string()))
}

fn read(policy: Option<&String>, queue_arn: &str) -> Result<Map<String, Value>, Error> {
    let Some(text) = policy else {
        let mut empty = Map::new();
        empty.insert("Version".into(), "2008-10-17".into());
        empty.insert("Id".into(), format!("{queue_arn}/SQSDefaultPolicy").into());
        return Ok(empty);
    };
    serde_json::from_str(text).map_err(|_| unreadable())
}

/// The statements; a single one outside a list is put into one.
pub(crate) fn statements(policy: &mut Map<String, Value>) -> Option<&mut Vec<Value>> {
    let entry = policy.entry("Statement").or_insert_with(|| Value::Array(Vec::new()));
    if entry.is_object() {
        *entry = Value::Array(vec![entry.take()]);
    }
    entry.as_array_mut()
}

/// Tells whether a statement is the one of a label.
pub(crate) fn has_label(statement: &Value, label: &str) -> bool {
    statement.get("Sid").and_then(Value::as_str) == Some(label)
}

/// A single value stands for itself, several stand in a list.
pub(crate) fn one_or_list(mut values: Vec<String>) -> Value {
    match values.len() {
        1 => values.pop().into(),
        _ => values.into(),
    }
}

fn unreadable() -> Error {
    Error::InvalidAttributeValue(
        "Invalid value for the parameter Policy. Reason: The stored policy cannot be read.".into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:sqs:us-east-1:000000000000:q";

    #[test]
    fn as_recorded_from_aws() {
        let one = add_statement(None, ARN, "l1", &["111111111111"], &["ReceiveMessage"]).unwrap();
        let expected = json!({
            "Version": "2008-10-17",
            "Id": "arn:aws:sqs:us-east-1:000000000000:q/SQSDefaultPolicy",
            "Statement": [{
                "Sid": "l1",
                "Effect": "Allow",
                "Principal": { "AWS": "arn:aws:iam::111111111111:root" },
                "Action": "SQS:ReceiveMessage",
                "Resource": ARN,
            }],
        });
        assert_eq!(serde_json::from_str::<Value>(&one).unwrap(), expected);
        let repeated = add_statement(Some(&one), ARN, "l1", &["1"], &["*"]).unwrap_err();
        let text = "Value l1 for parameter Label is invalid. Reason: Already exists.";
        assert_eq!(repeated.to_string(), text);
        let two = add_statement(Some(&one), ARN, "l2", &["1", "2"], &["A", "B"]).unwrap();
        let back = remove_statement(Some(&two), ARN, "l2").unwrap().unwrap();
        assert_eq!(serde_json::from_str::<Value>(&back).unwrap(), expected);
        assert_eq!(remove_statement(Some(&back), ARN, "l1"), Ok(None));
        let unknown = remove_statement(Some(&back), ARN, "l2").unwrap_err();
        let text = "Value l2 for parameter Label is invalid. Reason: can't find label.";
        assert_eq!(unknown.to_string(), text);
    }
}
