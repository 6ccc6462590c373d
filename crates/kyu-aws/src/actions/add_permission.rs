//! AddPermission: adds a statement to the queue's policy. The policy is stored and returned; it is
//! not enforced, as one server has one account (docs/gaps.md).

use serde::Deserialize;

use crate::address::is_plain;
use crate::call::Call;
use crate::error::Error;
use crate::limits::{MAX_PERMISSION_ACCOUNTS, MAX_PERMISSION_ACTIONS};
use crate::policy;
use crate::queue_attributes::QueueAttribute;
use crate::wire::{Empty, List, Text};

/// The actions that an owner may let others do.
const GRANTABLE: &[&str] = &[
    "*",
    "ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch",
    "DeleteMessage",
    "DeleteMessageBatch",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListDeadLetterSourceQueues",
    "PurgeQueue",
    "ReceiveMessage",
    "SendMessage",
    "SendMessageBatch",
];

#[derive(Deserialize)]
pub(super) struct AddPermissionRequest<'a> {
    #[serde(rename = "QueueUrl", borrow)]
    queue_url: Option<Text<'a>>,
    #[serde(rename = "Label", borrow)]
    label: Option<Text<'a>>,
    #[serde(rename = "AWSAccountIds", borrow)]
    accounts: Option<List<Text<'a>, MAX_PERMISSION_ACCOUNTS>>,
    #[serde(rename = "Actions", borrow)]
    actions: Option<List<Text<'a>, MAX_PERMISSION_ACTIONS>>,
}

pub(super) async fn run(
    call: &Call<'_>,
    request: AddPermissionRequest<'_>,
) -> Result<Empty, Error> {
    let queue = call.queue(request.queue_url.as_deref())?;
    let label = request.label.ok_or_else(|| Error::missing("Label"))?;
    if !is_plain(&label) {
        let reason = "Can only include alphanumeric characters, hyphens, or underscores. \
                      1 to 80 in length";
        return Err(Error::invalid(&*label, "Label", reason));
    }
    let accounts = listed(request.accounts.as_ref(), "AWSAccountIds")?;
    check_accounts(&accounts)?;
    let actions = listed(request.actions.as_ref(), "Actions")?;
    if actions.is_empty() {
        return Err(Error::missing("Actions"));
    }
    check_actions(&actions)?;
    let name = QueueAttribute::Policy.name();
    call.reconfigure(queue, |queue, config| {
        let arn = call.arn_of(&queue.name);
        let old = config.attributes.get(name);
        let new = policy::add_statement(old, &arn, &label, &accounts, &actions)?;
        config.attributes.insert(name.to_owned(), new);
        Ok(())
    })
    .await?;
    Ok(Empty {})
}

/// The texts of a list that must be there and not be too long.
fn listed<'l, const MAX: usize>(
    list: Option<&'l List<Text<'_>, MAX>>,
    parameter: &str,
) -> Result<Vec<&'l str>, Error> {
    let list = list.ok_or_else(|| Error::missing(parameter))?;
    if list.sent > MAX {
        let found = list.sent;
        return Err(Error::OverLimit(format!(
            "{found} {parameter} were found, maximum allowed is {MAX}."
        )));
    }
    Ok(list.kept.iter().map(|text| &**text).collect())
}

fn check_accounts(accounts: &[&str]) -> Result<(), Error> {
    let is_account = |text: &&&str| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    let wrong = match accounts.iter().find(|account| !is_account(account)) {
        Some(wrong) => wrong,
        None if accounts.is_empty() => "",
        None => return Ok(()),
    };
    Err(Error::invalid(format!("[{wrong}]"), "PrincipalId", "Unable to verify."))
}

fn check_actions(actions: &[&str]) -> Result<(), Error> {
    match actions.iter().find(|action| !GRANTABLE.contains(action)) {
        None => Ok(()),
        Some(wrong) => Err(Error::invalid(
            format!("SQS:{wrong}"),
            "ActionName",
            "Only the queue owner is allowed to invoke this action.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_door::*;

    #[tokio::test]
    async fn a_permission_is_a_statement_of_the_policy() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        let request = json!({
            "QueueUrl": url,
            "Label": "crossaccountpermission",
            "AWSAccountIds": ["111111111111", "668614515564"],
            "Actions": ["ReceiveMessage"],
        });
        door.ok("AddPermission", request.clone()).await;
        let policy = door.attribute(&url, "Policy").await;
        let policy: serde_json::Value = serde_json::from_str(policy.as_str().unwrap()).unwrap();
        assert_eq!(policy["Version"], "2008-10-17");
        assert_eq!(policy["Id"], "arn:aws:sqs:us-east-1:000000000000:q/SQSDefaultPolicy");
        let statement = &policy["Statement"][0];
        assert_eq!(statement["Action"], "SQS:ReceiveMessage");
        assert_eq!(statement["Principal"]["AWS"][1], "arn:aws:iam::668614515564:root");
        let text = "Value crossaccountpermission for parameter Label is invalid. \
                    Reason: Already exists.";
        assert_eq!(door.fails("AddPermission", request).await, invalid_parameter(text));
        let remove = json!({ "QueueUrl": url, "Label": "crossaccountpermission" });
        door.ok("RemovePermission", remove.clone()).await;
        assert_eq!(door.attribute(&url, "Policy").await, json!(null));
        let text = "Value crossaccountpermission for parameter Label is invalid. \
                    Reason: can't find label.";
        assert_eq!(door.fails("RemovePermission", remove).await, invalid_parameter(text));
    }

    #[tokio::test]
    async fn limits_of_a_permission() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        let add = |label: &str, accounts: serde_json::Value, actions: serde_json::Value| json!({ "QueueUrl": url, "Label": label, "AWSAccountIds": accounts, "Actions": actions });
        let account = json!(["111111111111"]);
        let send = json!(["SendMessage"]);
        for (request, code) in [
            (add("a b", account.clone(), send.clone()), "InvalidParameterValue"),
            (add("l", json!(["me"]), send.clone()), "InvalidParameterValue"),
            (add("l", json!([]), send.clone()), "InvalidParameterValue"),
            (add("l", account.clone(), json!([])), "MissingParameter"),
            (add("l", account.clone(), json!(["CreateQueue"])), "InvalidParameterValue"),
            (add("l", account.clone(), json!(vec!["SendMessage"; 8])), "OverLimit"),
            (add("l", json!(vec!["111111111111"; 51]), send), "OverLimit"),
        ] {
            assert_eq!(door.fails("AddPermission", request).await.1, code);
        }
    }
}
