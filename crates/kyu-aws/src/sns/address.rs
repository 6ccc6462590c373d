//! ARNs of topics and subscriptions.

use kyu_broker::{BindingId, QueueName};

use super::error::Error;
use crate::address::{named, realm};
use crate::call::Call;
use crate::door::SqsOptions;

/// `arn:aws:sns:REGION:ACCOUNT:NAME`
pub(crate) fn topic_arn(topic: &QueueName, options: &SqsOptions) -> String {
    let (account, region) = realm(&topic.namespace, options);
    format!("arn:aws:sns:{region}:{account}:{}", topic.name)
}

/// `TOPIC-ARN:UUID`
pub(crate) fn subscription_arn(
    topic: &QueueName,
    binding: BindingId,
    options: &SqsOptions,
) -> String {
    format!("{}:{binding}", topic_arn(topic, options))
}

/// The topic of an ARN in the region of the call: AWS knows no others there (recorded). `parameter`
/// is where the ARN stands.
pub(super) fn topic_of(arn: &str, parameter: &str, call: &Call<'_>) -> Result<QueueName, Error> {
    let parts: Vec<&str> = arn.split(':').collect();
    let topic = match parts.as_slice() {
        ["arn", _, "sns", region, account, name] if *region == call.region => {
            named(account, region, name, call.options)
        }
        parts if parts.len() < 6 => return Err(too_few(parameter, parts.len())),
        _ => None,
    };
    topic.ok_or_else(|| Error::invalid(parameter))
}

/// The topic of an ARN, in whatever region.
pub(super) fn topic_anywhere(arn: &str, options: &SqsOptions) -> Option<QueueName> {
    let parts: Vec<&str> = arn.split(':').collect();
    match parts.as_slice() {
        ["arn", _, "sns", region, account, name] => named(account, region, name, options),
        _ => None,
    }
}

/// The topic and the binding of a subscription's ARN. An ARN without a subscription is the
/// caller's mistake, one of a subscription that cannot exist is `None`.
pub(super) fn subscription_of(
    arn: &str,
    call: &Call<'_>,
) -> Result<Option<(QueueName, BindingId)>, Error> {
    let count = arn.split(':').count();
    if count < 6 {
        return Err(too_few("SubscriptionArn", count));
    }
    let Some((topic, id)) = arn.rsplit_once(':').filter(|_| count == 7) else {
        return Err(Error::invalid("SubscriptionId"));
    };
    let topic = topic_of(topic, "SubscriptionArn", call)?;
    Ok(BindingId::from_uuid(id).map(|id| (topic, id)))
}

fn too_few(parameter: &str, count: usize) -> Error {
    Error::invalid(format!("{parameter} Reason: An ARN must have at least 6 elements, not {count}"))
}
