//! DeleteMessage: removes a message for good. Deleting it again succeeds.

use kyu_broker::{Command, Outcome, QueueInfo, QueueKind, Reply, Settle, Settled};
use serde::Deserialize;

use crate::call::Call;
use crate::error::Error;
use crate::receipt;
use crate::wire::{Empty, Text};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteMessageRequest<'a> {
    #[serde(borrow)]
    queue_url: Option<Text<'a>>,
    #[serde(borrow)]
    receipt_handle: Option<Text<'a>>,
}

pub(super) async fn run(
    call: &Call<'_>,
    request: DeleteMessageRequest<'_>,
) -> Result<Empty, Error> {
    let queue = call.queue(request.queue_url.as_deref())?;
    let handle = request.receipt_handle.ok_or_else(|| Error::missing("ReceiptHandle"))?;
    let items = vec![(receipt::parse(&handle)?, Outcome::Ack)];
    let settle = Command::Settle(Settle { queue: queue.id, items });
    let Reply::Settled(results) = call.broker.submit(settle).await? else {
        return Err(Error::Internal);
    };
    let settled = results.into_iter().next().ok_or(Error::Internal)?;
    answer(settled, &handle, &queue)?;
    Ok(Empty {})
}

/// What AWS answers. A handle that a later delivery has overtaken deletes nothing; where order is
/// promised that is an error, elsewhere AWS keeps silent.
pub(super) fn answer(settled: Settled, handle: &str, queue: &QueueInfo) -> Result<(), Error> {
    match (settled, queue.config.kind) {
        (Settled::Done | Settled::Gone, _) | (Settled::Stale, QueueKind::Standard) => Ok(()),
        (Settled::Stale, QueueKind::Fifo) | (Settled::Lapsed, _) => Err(receipt::expired(handle)),
        (Settled::Foreign, _) => Err(receipt::foreign(handle)),
    }
}
