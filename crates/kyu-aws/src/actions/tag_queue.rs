//! TagQueue: adds tags to a queue, replacing those with the same key.

use serde::Deserialize;

use super::tags::{self, SentTags};
use crate::call::Call;
use crate::error::Error;
use crate::wire::{Empty, Text};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TagQueueRequest<'a> {
    #[serde(borrow)]
    queue_url: Option<Text<'a>>,
    #[serde(borrow)]
    tags: Option<SentTags<'a>>,
}

pub(super) async fn run(call: &Call<'_>, request: TagQueueRequest<'_>) -> Result<Empty, Error> {
    let queue = call.queue(request.queue_url.as_deref())?;
    let sent = request.tags.filter(|tags| !tags.is_empty());
    let sent = sent.ok_or_else(|| Error::missing("Tags"))?;
    call.reconfigure(queue, |_, config| tags::add(config, Some(sent.clone()))).await?;
    Ok(Empty {})
}
