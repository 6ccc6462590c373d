//! AddPermission and RemovePermission: statements of the topic's policy, which is stored and not
//! enforced.

use serde_json::{Value, json};

use super::error::Error;
use super::{address, input, topic_attributes, topics};
use crate::address::realm;
use crate::call::Call;
use crate::limits::{MAX_PERMISSION_ACCOUNTS, MAX_POLICY_STATEMENTS};
use crate::policy::{self, has_label, one_or_list};
use crate::wire::form::Node;

/// The actions that a policy may name (SNS developer guide, "SNS API permissions").
const ACTIONS: &[&str] = &[
    "AddPermission",
    "DeleteTopic",
    "GetDataProtectionPolicy",
    "GetTopicAttributes",
    "ListSubscriptionsByTopic",
    "ListTagsForResource",
    "Publish",
    "PutDataProtectionPolicy",
    "RemovePermission",
    "SetTopicAttributes",
    "Subscribe",
];

/// AddPermission: a statement that lets accounts call actions.
pub(super) async fn add(call: &Call<'_>, parameters: &Node<'_>) -> Result<(), Error> {
    let topic = topics::named(call, parameters)?;
    let label = input::required(parameters, "Label")?;
    let accounts = input::texts(parameters, "AWSAccountId", MAX_PERMISSION_ACCOUNTS)?;
    let actions = input::texts(parameters, "ActionName", ACTIONS.len())?;
    if accounts.is_empty() || actions.is_empty() {
        return Err(Error::missing(if accounts.is_empty() {
            "AWSAccountId"
        } else {
            "ActionName"
        }));
    }
    if !actions.iter().all(|action| ACTIONS.contains(&action.as_str())) {
        return Err(Error::invalid("Policy statement action out of service scope!"));
    }
    let arn = address::topic_arn(&topic, call.options);
    let owner = realm(&topic.namespace, call.options).0.to_owned();
    topics::reconfigure(call, topic, |config| {
        let mut policy = policy(config.attributes.get("Policy"), &arn, &owner)?;
        let statements = statements(&mut policy)?;
        if statements.iter().any(|statement| has_label(statement, label)) {
            return Err(Error::invalid("Statement already exists"));
        }
        if statements.len() >= MAX_POLICY_STATEMENTS {
            return Err(Error::invalid("Policy Reason: too many statements"));
        }
        let principals = accounts.iter().map(|account| format!("arn:aws:iam::{account}:root"));
        statements.push(json!({
            "Sid": label,
            "Effect": "Allow",
            "Principal": { "AWS": one_or_list(principals.collect()) },
            "Action": one_or_list(actions.iter().map(|action| format!("SNS:{action}")).collect()),
            "Resource": arn,
        }));
        config.attributes.insert("Policy".into(), policy.to_string());
        Ok(())
    })
    .await
}

/// RemovePermission: takes the statement of that label away.
pub(super) async fn remove(call: &Call<'_>, parameters: &Node<'_>) -> Result<(), Error> {
    let topic = topics::named(call, parameters)?;
    let label = input::required(parameters, "Label")?;
    let arn = address::topic_arn(&topic, call.options);
    let owner = realm(&topic.namespace, call.options).0.to_owned();
    topics::reconfigure(call, topic, |config| {
        let mut policy = policy(config.attributes.get("Policy"), &arn, &owner)?;
        statements(&mut policy)?.retain(|statement| !has_label(statement, label));
        config.attributes.insert("Policy".into(), policy.to_string());
        Ok(())
    })
    .await
}

fn policy(stored: Option<&String>, arn: &str, owner: &str) -> Result<Value, Error> {
    let default;
    let text = match stored {
        Some(text) => text,
        None => {
            default = topic_attributes::default_policy(arn, owner);
            &default
        }
    };
    serde_json::from_str(text).map_err(|_| Error::invalid("Policy Reason: cannot be read"))
}

fn statements(policy: &mut Value) -> Result<&mut Vec<Value>, Error> {
    let statements = policy.as_object_mut().and_then(policy::statements);
    statements.ok_or_else(|| Error::invalid("Policy Reason: cannot be read"))
}
