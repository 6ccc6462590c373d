//! AddPermission: adds a statement to the queue's policy. The policy is stored and returned; it is
//! not enforced, as one server has one account (docs/gaps.md).

use serde::Deserialize;

use crate::address::is_plain;
use crate::call::Call;
use crate::error::Error;
use crate::limits::{MAX_PERMISSION_ACCOUNTS, MAX_PERMISSION_ACTIONS};
use crate::policy;
use crate::queue_attributes::QueueAttribute;
use crate::wire::{Empty, Text};

/// What an owner may let others do.
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
    accounts: Option<Vec<Text<'a>>>,
    #[serde(rename = "Actions", borrow)]
    actions: Option<Vec<Text<'a>>>,
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
    let accounts = listed(request.accounts.as_ref(), "AWSAccountId")?;
    check_accounts(&accounts)?;
    let actions = listed(request.actions.as_ref(), "ActionName")?;
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

fn listed<'a>(list: Option<&'a Vec<Text<'_>>>, parameter: &str) -> Result<Vec<&'a str>, Error> {
    match list {
        Some(list) if !list.is_empty() => Ok(list.iter().map(|text| &**text).collect()),
        _ => Err(Error::missing(parameter)),
    }
}

fn check_accounts(accounts: &[&str]) -> Result<(), Error> {
    if accounts.len() > MAX_PERMISSION_ACCOUNTS {
        let found = accounts.len();
        return Err(Error::OverLimit(format!(
            "{found} AWSAccountIds were found, maximum allowed is {MAX_PERMISSION_ACCOUNTS}."
        )));
    }
    let is_account = |text: &&&str| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    match accounts.iter().find(|account| !is_account(account)) {
        None => Ok(()),
        Some(wrong) => {
            let wrong = format!("[{wrong}]");
            Err(Error::invalid(wrong, "PrincipalId", "Unable to verify."))
        }
    }
}

fn check_actions(actions: &[&str]) -> Result<(), Error> {
    if actions.len() > MAX_PERMISSION_ACTIONS {
        let found = actions.len();
        return Err(Error::OverLimit(format!(
            "{found} Actions were found, maximum allowed is {MAX_PERMISSION_ACTIONS}."
        )));
    }
    match actions.iter().find(|action| !GRANTABLE.contains(action)) {
        None => Ok(()),
        Some(wrong) => Err(Error::invalid(
            format!("SQS:{wrong}"),
            "ActionName",
            "Only the queue owner is allowed to invoke this action.",
        )),
    }
}
