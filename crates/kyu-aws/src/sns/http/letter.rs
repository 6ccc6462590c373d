//! The letters that are posted, made of the messages of a subscription's queue.

use std::sync::Arc;

use hyper::header::{
    ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use kyu_broker::{BindingInfo, Content, Frame, Property};
use serde::{Deserialize, Serialize};

use super::Office;
use super::endpoint::{Endpoint, Letter};
use crate::sns::confirmation::{self, ORIGIN};
use crate::sns::delivery_policy::{DEFAULT_CONTENT_TYPE, DeliveryPolicy};
use crate::sns::letters::{Addressee, Confirmation, Notification, Question};
use crate::sns::signing::{Hash, Signature};
use crate::sns::{address, subscription_attributes};

const MESSAGE_TYPE: HeaderName = HeaderName::from_static("x-amz-sns-message-type");
const MESSAGE_ID: HeaderName = HeaderName::from_static("x-amz-sns-message-id");
const TOPIC_ARN: HeaderName = HeaderName::from_static("x-amz-sns-topic-arn");
const SUBSCRIPTION_ARN: HeaderName = HeaderName::from_static("x-amz-sns-subscription-arn");
const RAW_DELIVERY: HeaderName = HeaderName::from_static("x-amz-sns-rawdelivery");
const AGENT: HeaderValue = HeaderValue::from_static("Amazon Simple Notification Service Agent");
const ENCODINGS: HeaderValue = HeaderValue::from_static("gzip,deflate");

/// A question to an endpoint, as it stands in the queue: the subscription may be gone when it is
/// asked.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Control {
    pub(crate) kind: Confirmation,
    pub(crate) endpoint: String,
    pub(crate) topic_arn: String,
    pub(crate) subscription_arn: String,
    pub(crate) token: String,
    /// The origin by which the endpoint reaches this server; once its host.
    pub(crate) host: String,
}

/// A letter and the endpoint that it is posted to.
pub(super) struct Addressed {
    pub(super) endpoint: Endpoint,
    pub(super) letter: Letter,
}

/// The letter of a question.
pub(super) async fn of_control(
    office: &Office,
    message: &Frame,
    control: &Control,
    hash: Hash,
) -> Option<Addressed> {
    let endpoint = Endpoint::parse(&control.endpoint)?;
    let origin = confirmation::origin(Some(&control.host), &office.options);
    let to = Addressee {
        origin: &origin,
        topic_arn: &control.topic_arn,
        subscription_arn: &control.subscription_arn,
    };
    let question = Question { kind: control.kind, message, token: &control.token };
    let signature = signature(office, message, question.text_to_sign(to), hash).await;
    let mut headers = headers(control.kind.name(), message, to, DEFAULT_CONTENT_TYPE)?;
    if control.kind == Confirmation::SubscriptionConfirmation {
        // There is no subscription yet, and AWS names none.
        headers.remove(SUBSCRIPTION_ARN);
    }
    let body = question.written(to, signature.as_ref()).into();
    Some(Addressed { endpoint, letter: Letter { headers, body } })
}

/// The letter of a notification.
pub(super) async fn of_notification(
    office: &Office,
    binding: &Arc<BindingInfo>,
    policy: &DeliveryPolicy,
    message: &Frame,
    content: &Content,
    hash: Hash,
) -> Option<Addressed> {
    let endpoint = Endpoint::parse(&binding.config.address)?;
    let topic_arn = address::topic_arn(&binding.exchange, &office.options);
    let subscription_arn = format!("{topic_arn}:{}", binding.id);
    let origin = binding.config.attributes.get(ORIGIN).map(String::as_str);
    let origin = &confirmation::origin(origin, &office.options);
    let to = Addressee { origin, topic_arn: &topic_arn, subscription_arn: &subscription_arn };
    let own_text = match binding.config.protocol.as_str() {
        "https" => content.property(Property::HttpsBody),
        _ => content.property(Property::HttpBody),
    };
    let stored = String::from_utf8_lossy(&content.body);
    let text = own_text.unwrap_or(&stored);
    let mut headers = headers("Notification", message, to, &policy.content_type)?;
    let body = if subscription_attributes::is_raw(&binding.config) {
        headers.insert(RAW_DELIVERY, HeaderValue::from_static("true"));
        text.as_bytes().to_vec()
    } else {
        let notification = Notification { message, content, text };
        let signature =
            signature(office, message, notification.text_to_sign(&topic_arn), hash).await;
        notification.wrapped(to, signature.as_ref())
    };
    Some(Addressed { endpoint, letter: Letter { headers, body: body.into() } })
}

/// Without a key the letter goes out unsigned: the endpoint can refuse it, and the log says why.
async fn signature(
    office: &Office,
    message: &Frame,
    text: String,
    hash: Hash,
) -> Option<Signature> {
    let signed = office.sns.signer.sign(text, hash).await;
    signed.inspect_err(|error| tracing::warn!(%error, id = %message.message_id, "not signed")).ok()
}

fn headers(
    kind: &'static str,
    message: &Frame,
    to: Addressee<'_>,
    content_type: &str,
) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(MESSAGE_TYPE, HeaderValue::from_static(kind));
    headers.insert(MESSAGE_ID, message.message_id.to_string().parse().ok()?);
    headers.insert(TOPIC_ARN, to.topic_arn.parse().ok()?);
    headers.insert(SUBSCRIPTION_ARN, to.subscription_arn.parse().ok()?);
    headers.insert(CONTENT_TYPE, content_type.parse().ok()?);
    headers.insert(USER_AGENT, AGENT);
    headers.insert(ACCEPT_ENCODING, ENCODINGS);
    Some(headers)
}
