//! ConfirmSubscription, and the questions to an endpoint that lead to it.

use std::sync::Arc;

use kyu_broker::{
    BindingId, BindingInfo, BindingOf, ConfigureBinding, Content, CreateQueue, QueueConfig,
    QueueInfo, QueueKind, Refusal,
};

use super::confirmation::{self, AUTHENTICATED, GUARDED, ORIGIN};
use super::error::{Code, Error};
use super::http::{self, Control};
use super::letters::Confirmation;
use super::output::Output;
use super::{address, input, store};
use crate::call::Call;
use crate::limits::MAX_RECONFIGURE_TRIES;
use crate::queue_attributes::defaults;
use crate::wire::form::Node;

/// The time for which an endpoint's messages are kept: far longer than the retries of any policy
/// take.
const RETENTION_MS: u64 = 14 * 24 * 3_600_000;

/// ConfirmSubscription: the subscription that waits for this token receives from now on. Confirming
/// again changes nothing. The topic must be that of the subscription: a token proves no more.
pub(super) async fn confirm(
    call: &Call<'_>,
    parameters: &Node<'_>,
    out: &mut Output,
) -> Result<(), Error> {
    let topic = parameters.text("TopicArn").unwrap_or_default();
    let topic = address::topic_of(topic, "TopicArn", call);
    let topic = topic.map_err(|_| Error::invalid("Topic"))?;
    let token = input::required(parameters, "Token")?;
    if !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Error::new(Code::InvalidParameter, "Invalid token"));
    }
    let guarded = parameters.text("AuthenticateOnUnsubscribe");
    let guarded = guarded.is_some_and(|text| text.eq_ignore_ascii_case("true"));
    for _ in 0..MAX_RECONFIGURE_TRIES {
        let info = match confirmation::subscription_of(token) {
            Some(id) => binding(call, id).await?,
            None => None,
        };
        let info = info.filter(|info| {
            info.exchange == topic
                && confirmation::is_token_of(token, info)
                && !confirmation::has_lapsed(info, call.broker.now_ms())
        });
        let info = info.ok_or_else(|| Error::invalid("Token"))?;
        if info.config.active || activate(call, &info, guarded).await? {
            let arn = address::subscription_arn(&info.exchange, info.id, call.options);
            out.element("SubscriptionArn", &arn);
            return Ok(());
        }
    }
    Err(Error::new(Code::Throttled, "Rate exceeded"))
}

/// Lets a subscription receive; `false` if somebody else changed it at the same time.
async fn activate(call: &Call<'_>, info: &BindingInfo, guarded: bool) -> Result<bool, Error> {
    let mut config = info.config.clone();
    config.active = true;
    if call.signed && !call.is_stranger {
        config.attributes.insert(AUTHENTICATED.into(), "true".into());
        if guarded {
            config.attributes.insert(GUARDED.into(), "true".into());
        }
    }
    let expected_version = info.version;
    let command = ConfigureBinding { binding: info.id, config, expected_version };
    match call.broker.ask(command).await {
        Ok(()) => Ok(true),
        Err(kyu_broker::Error::Refused(Refusal::VersionConflict)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A subscription, if it is there.
pub(super) async fn binding(
    call: &Call<'_>,
    id: BindingId,
) -> Result<Option<Arc<BindingInfo>>, Error> {
    match call.broker.look_up(BindingOf(id)).await {
        Ok(info) => Ok(Some(info)),
        Err(kyu_broker::Error::Refused(Refusal::BindingNotFound)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Asks an endpoint to confirm, as durably as everything else: the question waits in its queue.
pub(super) async fn ask(
    call: &Call<'_>,
    info: &BindingInfo,
    kind: Confirmation,
) -> Result<(), Error> {
    let queue = queue(call, info).await?;
    let token = confirmation::token(info.id, &info.config).ok_or_else(Error::internal)?;
    let origin = info.config.attributes.get(ORIGIN);
    let control = Control {
        kind,
        endpoint: info.config.address.clone(),
        topic_arn: address::topic_arn(&info.exchange, call.options),
        subscription_arn: address::subscription_arn(&info.exchange, info.id, call.options),
        token,
        host: origin.cloned().unwrap_or_else(|| call.origin.to_string()),
    };
    let body = serde_json::to_vec(&control).map_err(|_| Error::internal())?;
    store::enqueue(call, &queue, &Content::of(body)).await?;
    call.sns.posts.tell(queue.name.clone());
    Ok(())
}

/// The queue of a subscription; made with its first question.
async fn queue(call: &Call<'_>, info: &BindingInfo) -> Result<Arc<QueueInfo>, Error> {
    let name = info.config.target.clone();
    if let Some(queue) = call.broker.directory().by_name(&name) {
        return Ok(queue);
    }
    let defaults = defaults::of(QueueKind::Standard);
    let mut config = Box::new(QueueConfig { retention_ms: RETENTION_MS, ..defaults });
    config.attributes.insert(http::BINDING.into(), info.id.to_string());
    let create = CreateQueue { name, config, name_reuse_wait_ms: 0 };
    match call.broker.ask(create).await {
        Ok(queue) => Ok(queue),
        Err(kyu_broker::Error::Refused(Refusal::QueueExists(queue))) => Ok(queue),
        Err(error) => Err(error.into()),
    }
}
