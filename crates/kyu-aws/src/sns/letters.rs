//! The JSON that SNS sends: the envelope around a notification, and what it asks an endpoint to
//! confirm. Each with the text that its signature covers (SNS developer guide, "Verifying the
//! signatures of Amazon SNS messages").

use std::fmt::Write;

use kyu_broker::{AttributeValue, Content, Frame, Property};
use kyu_door::calendar::rfc3339;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::signing::Signature;

/// The addressee of a message, and the beginning of this server's URLs for that one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addressee<'a> {
    pub(super) origin: &'a str,
    pub(super) topic_arn: &'a str,
    pub(super) subscription_arn: &'a str,
}

/// A notification.
#[derive(Clone, Copy, Debug)]
pub(super) struct Notification<'a> {
    pub(super) message: &'a Frame,
    pub(super) content: &'a Content,
    /// The text for this subscriber's protocol.
    pub(super) text: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope<'a> {
    r#type: &'static str,
    message_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence_number: Option<String>,
    topic_arn: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    message: &'a str,
    timestamp: String,
    #[serde(flatten)]
    signed: Option<Signed<'a>>,
    #[serde(rename = "UnsubscribeURL")]
    unsubscribe_url: String,
    #[serde(skip_serializing_if = "Map::is_empty")]
    message_attributes: Map<String, Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Signed<'a> {
    signature_version: &'static str,
    signature: &'a str,
    #[serde(rename = "SigningCertURL")]
    signing_cert_url: String,
}

impl<'a> Signed<'a> {
    fn new(signature: &'a Signature, origin: &str) -> Self {
        Self {
            signature_version: signature.version,
            signature: &signature.signature,
            signing_cert_url: format!("{origin}{}", signature.certificate_path),
        }
    }
}

impl Notification<'_> {
    /// The text that is signed: the same for all subscribers of a protocol.
    pub(super) fn text_to_sign(&self, topic_arn: &str) -> String {
        let id = self.message.message_id.to_string();
        let time = rfc3339(self.message.sent_at_ms);
        let mut fields = vec![("Message", self.text), ("MessageId", &id)];
        fields.extend(self.content.property(Property::Subject).map(|text| ("Subject", text)));
        fields.extend([("Timestamp", &*time), ("TopicArn", topic_arn), ("Type", "Notification")]);
        text_of(&fields)
    }

    /// The envelope.
    pub(super) fn wrapped(&self, to: Addressee<'_>, signature: Option<&Signature>) -> Vec<u8> {
        let sequence = self.content.property(Property::Sequence);
        let envelope = Envelope {
            r#type: "Notification",
            message_id: self.message.message_id.to_string(),
            sequence_number: sequence.and_then(|text| text.parse().ok()).map(sequence_number),
            topic_arn: to.topic_arn,
            subject: self.content.property(Property::Subject),
            message: self.text,
            timestamp: rfc3339(self.message.sent_at_ms),
            signed: signature.map(|signature| Signed::new(signature, to.origin)),
            unsubscribe_url: format!(
                "{}/?Action=Unsubscribe&SubscriptionArn={}",
                to.origin, to.subscription_arn
            ),
            message_attributes: attributes(self.content),
        };
        // Strings and maps of strings can always be written.
        serde_json::to_vec(&envelope).unwrap_or_default()
    }
}

fn attributes(content: &Content) -> Map<String, Value> {
    let attributes = content.attributes.iter().map(|attribute| {
        let value = match &attribute.value {
            AttributeValue::Text(text) => text.clone(),
            AttributeValue::Binary(bytes) => {
                base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes)
            }
        };
        (attribute.name.clone(), json!({ "Type": attribute.data_type, "Value": value }))
    });
    attributes.collect()
}

/// The act that an endpoint is asked to confirm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, Serialize)]
pub(super) enum Confirmation {
    /// That it wants to be subscribed.
    SubscriptionConfirmation,
    /// That it was right to end the subscription.
    UnsubscribeConfirmation,
}

impl Confirmation {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::SubscriptionConfirmation => "SubscriptionConfirmation",
            Self::UnsubscribeConfirmation => "UnsubscribeConfirmation",
        }
    }

    fn message(self, to: Addressee<'_>) -> String {
        match self {
            Self::SubscriptionConfirmation => format!(
                "You have chosen to subscribe to the topic {}.\nTo confirm the subscription, visit \
                 the SubscribeURL included in this message.",
                to.topic_arn
            ),
            Self::UnsubscribeConfirmation => format!(
                "You have chosen to deactivate subscription {}.\nTo cancel this operation and \
                 restore the subscription, visit the SubscribeURL included in this message.",
                to.subscription_arn
            ),
        }
    }
}

/// A question to an endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) kind: Confirmation,
    pub(super) message: &'a Frame,
    pub(super) token: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Asked<'a> {
    r#type: &'static str,
    message_id: String,
    token: &'a str,
    topic_arn: &'a str,
    message: String,
    #[serde(rename = "SubscribeURL")]
    subscribe_url: String,
    timestamp: String,
    #[serde(flatten)]
    signed: Option<Signed<'a>>,
}

impl Question<'_> {
    fn subscribe_url(&self, to: Addressee<'_>) -> String {
        let Addressee { origin, topic_arn, .. } = to;
        let token = self.token;
        format!("{origin}/?Action=ConfirmSubscription&TopicArn={topic_arn}&Token={token}")
    }

    /// The text that is signed.
    pub(super) fn text_to_sign(&self, to: Addressee<'_>) -> String {
        text_of(&[
            ("Message", &self.kind.message(to)),
            ("MessageId", &self.message.message_id.to_string()),
            ("SubscribeURL", &self.subscribe_url(to)),
            ("Timestamp", &rfc3339(self.message.sent_at_ms)),
            ("Token", self.token),
            ("TopicArn", to.topic_arn),
            ("Type", self.kind.name()),
        ])
    }

    /// The question as JSON.
    pub(super) fn written(&self, to: Addressee<'_>, signature: Option<&Signature>) -> Vec<u8> {
        let asked = Asked {
            r#type: self.kind.name(),
            message_id: self.message.message_id.to_string(),
            token: self.token,
            topic_arn: to.topic_arn,
            message: self.kind.message(to),
            subscribe_url: self.subscribe_url(to),
            timestamp: rfc3339(self.message.sent_at_ms),
            signed: signature.map(|signature| Signed::new(signature, to.origin)),
        };
        serde_json::to_vec(&asked).unwrap_or_default()
    }
}

/// Name and value, each on a line of its own, in the order of the names.
fn text_of(fields: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name}\n{value}");
    }
    text
}

/// 20 digits that rise with the place in the topic's order.
pub(super) fn sequence_number(sequence: u64) -> String {
    10_000_000_000_000_000_000u64.saturating_add(sequence).to_string()
}
