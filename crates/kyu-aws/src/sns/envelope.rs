//! The JSON that SNS wraps around a message for subscribers without raw delivery. The message is
//! stored once and bare; it is wrapped when SQS hands it out, for the binding it came by.
//!
//! Nothing is signed: there is no `Signature`, as in the envelopes that AWS makes for FIFO topics.

use kyu_broker::{AttributeValue, BindingId, Content, Frame, Property};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::call::Call;

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
    #[serde(rename = "UnsubscribeURL")]
    unsubscribe_url: String,
    #[serde(skip_serializing_if = "Map::is_empty")]
    message_attributes: Map<String, Value>,
}

/// Wraps a message that came by a binding. One that no topic of SNS sent stays bare.
pub(crate) fn wrap(call: &Call<'_>, via: BindingId, message: &Frame, content: &mut Content) {
    let Some(topic_arn) = content.property(Property::Topic) else { return };
    let body = String::from_utf8_lossy(&content.body);
    let sequence = content.property(Property::Sequence).and_then(|text| text.parse().ok());
    let envelope = Envelope {
        r#type: "Notification",
        message_id: message.message_id.to_string(),
        sequence_number: sequence.map(sequence_number),
        topic_arn,
        subject: content.property(Property::Subject),
        message: &body,
        timestamp: timestamp(message.sent_at_ms),
        unsubscribe_url: format!(
            "http://{}/?Action=Unsubscribe&SubscriptionArn={topic_arn}:{via}",
            call.host
        ),
        message_attributes: attributes(content),
    };
    // Strings and maps of strings can always be written.
    let Ok(text) = serde_json::to_vec(&envelope) else { return };
    content.body = text.into();
    content.attributes.clear();
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

/// 20 digits that rise with the place in the topic's order.
pub(super) fn sequence_number(sequence: u64) -> String {
    10_000_000_000_000_000_000u64.saturating_add(sequence).to_string()
}

/// ISO 8601 with milliseconds, in UTC. Days to date: Howard Hinnant's `civil_from_days`.
fn timestamp(unix_ms: u64) -> String {
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    let ms = ms % 1_000;
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(timestamp(1_795_237_489_007), "2026-11-21T05:04:49.007Z");
    }
}
