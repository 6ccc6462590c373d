//! ChangeMessageVisibility: a lease runs from now for another time, at most 12 hours from its
//! receive; 0 gives the message back at once.

use kyu_broker::{Extend, Extended, QueueInfo, QueueKind};
use serde::Deserialize;

use crate::call::Call;
use crate::error::Error;
use crate::limits::MAX_VISIBILITY_TIMEOUT_S;
use crate::receipt;
use crate::wire::{Empty, Text};

const PARAMETER: &str = "VisibilityTimeout";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ChangeMessageVisibilityRequest<'a> {
    #[serde(borrow)]
    queue_url: Option<Text<'a>>,
    #[serde(borrow)]
    receipt_handle: Option<Text<'a>>,
    visibility_timeout: Option<i64>,
}

pub(super) async fn run(
    call: &Call<'_>,
    request: ChangeMessageVisibilityRequest<'_>,
) -> Result<Empty, Error> {
    let queue = call.queue(request.queue_url.as_deref())?;
    let handle = request.receipt_handle.ok_or_else(|| Error::missing("ReceiptHandle"))?;
    let timeout_s = request.visibility_timeout.ok_or_else(|| Error::missing(PARAMETER))?;
    let timeout_ms = check_timeout(timeout_s)?;
    let items = vec![(receipt::parse(&handle)?, timeout_ms)];
    let results = call.broker.ask(Extend { queue: queue.id, items }).await?;
    let extended = results.into_iter().next().ok_or(Error::Internal)?;
    answer(extended, &handle, timeout_s, &queue)?;
    Ok(Empty {})
}

/// The timeout in milliseconds.
pub(super) fn check_timeout(timeout_s: i64) -> Result<u64, Error> {
    match u64::try_from(timeout_s) {
        Ok(seconds) if timeout_s <= MAX_VISIBILITY_TIMEOUT_S => Ok(seconds * 1000),
        _ => Err(Error::invalid(
            timeout_s,
            PARAMETER,
            "VisibilityTimeout must be an integer between 0 and 43200.",
        )),
    }
}

/// The answer of AWS. Recorded: after the timeout has passed, changing it succeeds on a standard
/// queue, and hides the message again. (Not in flight is here one that a crash gave back.)
pub(super) fn answer(
    extended: Extended,
    handle: &str,
    timeout_s: i64,
    queue: &QueueInfo,
) -> Result<(), Error> {
    match (extended, queue.config.kind) {
        (Extended::Done, _) | (Extended::NotInFlight, QueueKind::Standard) => Ok(()),
        (Extended::NotInFlight, QueueKind::Fifo) => Err(receipt::expired(handle)),
        (Extended::Gone, _) => Err(Error::invalid(
            handle,
            "ReceiptHandle",
            "Message does not exist or is not available for visibility timeout change.",
        )),
        (Extended::Foreign, _) => Err(receipt::foreign(handle)),
        (Extended::TooLong, _) => Err(Error::invalid(
            timeout_s,
            PARAMETER,
            "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]",
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_door::*;

    #[tokio::test]
    async fn zero_gives_the_message_back_and_more_extends() {
        let door = Door::open();
        let url = door.queue("q", json!({})).await;
        door.send(&url, "m").await;
        let handle = door.receive(&url).await[0]["ReceiptHandle"].clone();
        let change = |handle: &serde_json::Value, seconds: i64| json!({ "QueueUrl": url, "ReceiptHandle": handle, "VisibilityTimeout": seconds });
        door.ok("ChangeMessageVisibility", change(&handle, 600)).await;
        assert!(door.receive(&url).await.is_empty());
        door.ok("ChangeMessageVisibility", change(&handle, 0)).await;
        let again = door.receive(&url).await;
        assert_eq!(again[0]["Attributes"]["ApproximateReceiveCount"], "2");
        // Recorded from AWS: too late is no error on a standard queue.
        door.ok("ChangeMessageVisibility", change(&handle, 600)).await;
        let handle = &again[0]["ReceiptHandle"];
        door.ok("DeleteMessage", json!({ "QueueUrl": url, "ReceiptHandle": handle })).await;
        let failure = door.fails("ChangeMessageVisibility", change(handle, 1)).await;
        let text = format!(
            "Value {} for parameter ReceiptHandle is invalid. Reason: Message does not exist or \
             is not available for visibility timeout change.",
            handle.as_str().unwrap()
        );
        assert_eq!(failure, invalid_parameter(&text));
        for seconds in [-1, 43_201] {
            let (_, code, _) = door.fails("ChangeMessageVisibility", change(handle, seconds)).await;
            assert_eq!(code, "InvalidParameterValue");
        }
        let request = json!({ "QueueUrl": url, "ReceiptHandle": handle });
        let (_, _, text) = door.fails("ChangeMessageVisibility", request).await;
        assert_eq!(text, "The request must contain the parameter VisibilityTimeout.");
    }
}
