//! CreateQueue: makes a queue, or finds one of that name with the same attributes.

use kyu_broker::{
    Command, CreateQueue, QueueConfig, QueueInfo, QueueKind, QueueName, Refusal, Reply,
};
use serde::{Deserialize, Serialize};

use super::tags::{self, SentTags};
use crate::address;
use crate::call::Call;
use crate::error::Error;
use crate::queue_attributes::{self, QueueAttribute, Requested, Target};
use crate::wire::{Response, Text};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateQueueRequest<'a> {
    #[serde(borrow)]
    queue_name: Option<Text<'a>>,
    #[serde(borrow)]
    attributes: Option<Requested<'a>>,
    #[serde(rename = "tags", alias = "Tags", borrow)]
    tags: Option<SentTags<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateQueueResult {
    queue_url: String,
}

impl Response for CreateQueueResult {}

pub(super) async fn run(
    call: &Call<'_>,
    request: CreateQueueRequest<'_>,
) -> Result<CreateQueueResult, Error> {
    let name = request.queue_name.ok_or_else(|| Error::missing("QueueName"))?;
    let requested = request.attributes.unwrap_or_default();
    let fifo = requested.iter().any(|(name, value)| {
        &**name == QueueAttribute::FifoQueue.name() && value.eq_ignore_ascii_case("true")
    });
    address::check_name(&name, fifo)?;
    let queue = QueueName { namespace: call.options.account.clone(), name: name.to_string() };
    let target = Target { call, queue: &queue, creating: true };
    let kind = if fifo { QueueKind::Fifo } else { QueueKind::Standard };
    let mut config = QueueConfig { kind, ..QueueConfig::default() };
    queue_attributes::apply(&target, &requested, &mut config)?;
    tags::add(&mut config, request.tags)?;

    let name_reuse_wait_ms = call.options.name_reuse_wait_ms;
    let create = CreateQueue { name: queue.clone(), config, name_reuse_wait_ms };
    let created = match call.broker.submit(Command::CreateQueue(create)).await {
        Ok(Reply::QueueCreated(created)) => created,
        Ok(_) => return Err(Error::Internal),
        Err(kyu_broker::Error::Refused(Refusal::QueueExists(existing))) => {
            check_same(&target, &requested, &existing)?;
            existing
        }
        Err(kyu_broker::Error::Refused(Refusal::QueueDeletedRecently { .. })) => {
            return Err(Error::QueueDeletedRecently { wait_s: name_reuse_wait_ms / 1000 });
        }
        Err(error) => return Err(error.into()),
    };
    Ok(CreateQueueResult { queue_url: call.url_of(&created.name) })
}

/// Creating a queue again is fine unless it asks for other attributes than the queue has.
fn check_same(
    target: &Target<'_>,
    requested: &Requested<'_>,
    existing: &QueueInfo,
) -> Result<(), Error> {
    match queue_attributes::differing(target, requested, &existing.config)? {
        None => Ok(()),
        Some(attribute) => Err(Error::QueueNameExists { attribute }),
    }
}
