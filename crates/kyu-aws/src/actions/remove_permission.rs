//! RemovePermission: takes the statement of a label out of the queue's policy.

use serde::Deserialize;

use crate::call::Call;
use crate::error::Error;
use crate::policy;
use crate::queue_attributes::QueueAttribute;
use crate::wire::{Empty, Text};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RemovePermissionRequest<'a> {
    #[serde(borrow)]
    queue_url: Option<Text<'a>>,
    #[serde(borrow)]
    label: Option<Text<'a>>,
}

pub(super) async fn run(
    call: &Call<'_>,
    request: RemovePermissionRequest<'_>,
) -> Result<Empty, Error> {
    let queue = call.queue(request.queue_url.as_deref())?;
    let label = request.label.ok_or_else(|| Error::missing("Label"))?;
    let name = QueueAttribute::Policy.name();
    call.reconfigure(queue, |queue, config| {
        let arn = call.arn_of(&queue.name);
        match policy::remove_statement(config.attributes.get(name), &arn, &label)? {
            Some(policy) => config.attributes.insert(name.to_owned(), policy),
            None => config.attributes.remove(name),
        };
        Ok(())
    })
    .await?;
    Ok(Empty {})
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_door::*;

    #[tokio::test]
    async fn a_label_is_needed() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        let (_, code, _) = door.fails("RemovePermission", json!({ "QueueUrl": url })).await;
        assert_eq!(code, "MissingParameter");
    }
}
