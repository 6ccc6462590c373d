//! GetQueueAttributes: settings and counts of a queue. The counts that AWS calls approximate are
//! exact here.

use kyu_broker::{Answer, Query, QueueStats};
use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::error::Error;
use crate::queue_attributes::{QueueAttribute, Reading, read};
use crate::wire::{Pairs, Response, Text};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetQueueAttributesRequest<'a> {
    #[serde(borrow)]
    queue_url: Option<Text<'a>>,
    #[serde(borrow)]
    attribute_names: Option<Vec<Text<'a>>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetQueueAttributesResult {
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    attributes: Pairs<&'static str, String>,
}

impl Response for GetQueueAttributesResult {}

pub(super) async fn run(
    call: &Call<'_>,
    request: GetQueueAttributesRequest<'_>,
) -> Result<GetQueueAttributesResult, Error> {
    let queue = call.queue(request.queue_url.as_deref())?;
    let wanted = wanted(request.attribute_names.unwrap_or_default())?;
    let stats = if wanted.iter().any(|attribute| attribute.is_count()) {
        match call.broker.query(Query::Stats(queue.id)).await? {
            Answer::Stats(stats) => stats,
            _ => return Err(Error::Internal),
        }
    } else {
        QueueStats::default()
    };
    let from = Reading { queue: &queue, stats, options: call.options };
    let attributes = wanted
        .into_iter()
        .filter_map(|attribute| read(attribute, &from).map(|value| (attribute.name(), value)));
    Ok(GetQueueAttributesResult { attributes: Pairs(attributes.collect()) })
}

/// Each attribute once; `All` for all.
fn wanted(names: Vec<Text<'_>>) -> Result<Vec<QueueAttribute>, Error> {
    let mut wanted = Vec::new();
    for name in names {
        if &*name == "All" {
            return Ok(QueueAttribute::ALL.to_vec());
        }
        let attribute = QueueAttribute::named(&name)?;
        if !wanted.contains(&attribute) {
            wanted.push(attribute);
        }
    }
    Ok(wanted)
}
