//! Publishing to exchanges.

use kyu_broker::{BodyFacts, EnqueueRefusal, Facts, Publication, Publish, QueueName, facts};

use crate::api::{
    InNamespace, NewPublication, PublishBatch, PublishResult, PublishResults, Published,
};
use crate::call::{Call, check_items};
use crate::content::Payload;
use crate::limits::MAX_MESSAGE_BYTES;
use crate::operation::{Done, Json};
use crate::problem::{Code, Problem};

pub(super) async fn one(
    call: &Call<'_>,
    query: InNamespace,
    Json(message): Json<NewPublication>,
) -> Result<Done<Published>, Problem> {
    let exchange = call.name(query.namespace, call.parameter(0));
    let results = publish(call, exchange, vec![prepare(message, call)?]).await?;
    let result = results.into_iter().next().ok_or_else(Problem::internal)?;
    Ok(show(&result?).into())
}

pub(super) async fn batch(
    call: &Call<'_>,
    query: InNamespace,
    Json(batch): Json<PublishBatch>,
) -> Result<Done<PublishResults>, Problem> {
    let exchange = call.name(query.namespace, call.parameter(0));
    check_items(batch.messages.len(), "messages")?;
    let prepared = batch.messages.into_iter().map(|one| prepare(one, call));
    // The engine takes or refuses most of what can be wrong for all of them at once; so do we.
    let prepared = prepared.collect::<Result<Vec<_>, _>>()?;
    let results = publish(call, exchange, prepared).await?.into_iter().map(|one| match one {
        Ok(published) => PublishResult::Published(show(&published)),
        Err(refusal) => PublishResult::Refused { error: Problem::from(refusal).item() },
    });
    Ok(PublishResults { results: results.collect() }.into())
}

/// Checks one message and makes what the broker gets. Its body is not looked at yet.
pub(super) fn prepare(message: NewPublication, call: &Call<'_>) -> Result<Publication, Problem> {
    let NewPublication { body, body_base64, attributes, lane, dedup_id } = message;
    let payload = Payload::read(body, body_base64, attributes, call)?;
    let size_bytes = u32::try_from(payload.size_bytes).unwrap_or(u32::MAX);
    if size_bytes > MAX_MESSAGE_BYTES {
        let detail = format!("A message may have {MAX_MESSAGE_BYTES} bytes.");
        return Err(Problem::new(Code::MessageTooLarge, detail));
    }
    let attributes = facts::of_attributes(&payload.content.attributes);
    Ok(Publication {
        content_dedup_id: Some(payload.dedup_id()),
        content: payload.content.encode(),
        size_bytes,
        facts: Facts { attributes, body: BodyFacts::Unread },
        bare_allowed: true,
        lane,
        dedup_id,
    })
}

async fn publish(
    call: &Call<'_>,
    exchange: QueueName,
    messages: Vec<Publication>,
) -> Result<Vec<Result<kyu_broker::Published, EnqueueRefusal>>, Problem> {
    Ok(call.broker.ask_publish(Publish { exchange, messages }).await?)
}

pub(super) fn show(published: &kyu_broker::Published) -> Published {
    Published {
        message_id: published.message_id.to_string(),
        sequence: published.sequence,
        queues: published.queues,
        undeliverable: published.undeliverable,
        duplicate: published.duplicate,
    }
}
