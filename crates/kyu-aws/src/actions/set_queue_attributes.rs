//! SetQueueAttributes: changes settings of a queue, all that are named or none.

use serde::Deserialize;

use crate::call::Call;
use crate::error::Error;
use crate::queue_attributes::{self, Requested, Target};
use crate::wire::{Empty, Text};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SetQueueAttributesRequest<'a> {
    #[serde(borrow)]
    queue_url: Option<Text<'a>>,
    #[serde(borrow)]
    attributes: Option<Requested<'a>>,
}

pub(super) async fn run(
    call: &Call<'_>,
    request: SetQueueAttributesRequest<'_>,
) -> Result<Empty, Error> {
    let queue = call.queue(request.queue_url.as_deref())?;
    let requested = request.attributes.ok_or_else(|| Error::missing("Attribute.Name"))?;
    call.reconfigure(queue, |queue, config| {
        let target = Target { call, queue: &queue.name, creating: false };
        queue_attributes::apply(&target, &requested, config)
    })
    .await?;
    Ok(Empty {})
}
