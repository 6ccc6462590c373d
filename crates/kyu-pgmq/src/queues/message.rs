//! Messages: `jsonb` and headers on this side, body and attributes on the broker's.
//!
//! - The body is the canonical text of the `jsonb`. SQL NULL is the empty body, which no other door
//!   sends. A body that is no JSON, from another door, is a JSON string here.
//! - Each header is an attribute: a string is a `String`, a number a `Number`, anything else its JSON
//!   text as `String.json`. Headers that are no object, an empty one, or one with the key `pgmq.headers`, stand as JSON text in one
//!   attribute `pgmq.headers`. A `Binary` attribute of another door is a string in base64.
//! - `x-pgmq-group` is also the lane (SQS MessageGroupId), `x-pgmq-priority` the priority (0 to 255,
//!   higher first), `x-pgmq-dedup-id` the deduplication id.

use std::sync::Arc;

use bytes::Bytes;
use kyu_pgsql::error::PgError;
use kyu_pgsql::json::{self, Json};
use kyu_pgsql::value::{Row, Value};

use kyu_broker::{
    Attribute, AttributeValue, Content, Delivery, NewMessage, Phase, QueueId, Received, Seq, UnixMs,
};

use super::time::to_pg;

const JSON_TYPE: &str = "String.json";
const WHOLE: &str = "pgmq.headers";
pub(super) const GROUP: &str = "x-pgmq-group";
const PRIORITY: &str = "x-pgmq-priority";
const DEDUP_ID: &str = "x-pgmq-dedup-id";
/// The group of messages without one (pgmq's own name for it).
pub(super) const DEFAULT_GROUP: &str = "_default_fifo_group";
/// The lane of the group whose name is empty, which is another group to pgmq: lanes have names.
const EMPTY_GROUP: &str = "_empty_fifo_group";

/// A message to send.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub(super) content: Bytes,
    pub(super) lane: Option<String>,
    pub(super) priority: u8,
    pub(super) dedup_id: Option<String>,
    pub(super) message: Option<Arc<str>>,
    pub(super) headers: Option<Arc<str>>,
}

impl Outgoing {
    /// Both texts are canonical `jsonb`; `None` is NULL.
    pub(super) fn new(
        message: Option<Arc<str>>,
        headers: Option<Arc<str>>,
    ) -> Result<Self, PgError> {
        let parsed = headers.as_deref().map(json::parse).transpose()?;
        let text_of = |name: &str| parsed.as_ref().and_then(|headers| text(headers.get(name)?));
        let priority = match text_of(PRIORITY) {
            None => 0,
            Some(text) => text.parse().map_err(|_| {
                PgError::new("22023", format!("the header {PRIORITY} takes 0 to 255, got: {text}"))
            })?,
        };
        let content = Content {
            body: Bytes::copy_from_slice(message.as_deref().unwrap_or_default().as_bytes()),
            attributes: parsed.as_ref().map(attributes).unwrap_or_default(),
            properties: Vec::new(),
        };
        Ok(Self {
            content: content.encode(),
            lane: text_of(GROUP).map(|lane| match lane.is_empty() {
                true => EMPTY_GROUP.to_owned(),
                false => lane,
            }),
            priority,
            dedup_id: text_of(DEDUP_ID),
            message,
            headers,
        })
    }

    pub(super) fn to(&self, queue: QueueId, is_fifo: bool) -> NewMessage {
        let mut message = NewMessage::new(queue, self.content.clone());
        message.lane = self.lane.clone();
        if is_fifo && message.lane.is_none() {
            message.lane = Some(DEFAULT_GROUP.to_owned());
        }
        message.priority = self.priority;
        message.dedup_id = self.dedup_id.clone();
        message
    }

    pub(super) fn bytes(&self) -> usize {
        let text = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len());
        self.content.len() + text(&self.message) + text(&self.headers) + 200
    }
}

/// `->>`.
fn text(value: &Json) -> Option<String> {
    match value {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn attributes(headers: &Json) -> Vec<Attribute> {
    let attribute = |name: &str, data_type: &str, value: String| Attribute {
        name: name.to_owned(),
        data_type: data_type.to_owned(),
        value: AttributeValue::Text(value),
    };
    match headers {
        Json::Object(entries) if !entries.is_empty() && headers.get(WHOLE).is_none() => {
            let each = entries.iter().map(|(name, value)| match value {
                Json::String(text) => attribute(name, "String", text.clone()),
                Json::Number(number) => attribute(name, "Number", number.clone()),
                other => attribute(name, JSON_TYPE, other.to_string()),
            });
            each.collect()
        }
        other => vec![attribute(WHOLE, JSON_TYPE, other.to_string())],
    }
}

/// A message as a row of its queue.
#[derive(Clone, Debug)]
pub(super) struct MessageRow {
    pub(super) seq: Seq,
    pub(super) read_ct: u32,
    pub(super) enqueued_at_ms: UnixMs,
    /// 0 for never.
    pub(super) last_read_at_ms: UnixMs,
    /// Microseconds since 2000.
    pub(super) vt_us: i64,
    pub(super) message: Option<Arc<str>>,
    pub(super) headers: Option<Arc<str>>,
    pub(super) lane: Option<String>,
    pub(super) archived_at_ms: UnixMs,
}

impl MessageRow {
    /// A message that is sent now.
    pub(super) fn sent(seq: Seq, out: &Outgoing, now_ms: UnixMs, vt_us: i64) -> Self {
        Self {
            seq,
            read_ct: 0,
            enqueued_at_ms: now_ms,
            last_read_at_ms: 0,
            vt_us,
            message: out.message.clone(),
            headers: out.headers.clone(),
            lane: out.lane.clone(),
            archived_at_ms: 0,
        }
    }

    /// A message whose body does not matter.
    pub(super) fn bare(delivery: &Delivery) -> Self {
        let shown_ms = delivery.enqueued_at_ms.max(delivery.last_received_at_ms);
        let (vt_ms, archived_at_ms) = match delivery.phase {
            // When it became visible is not kept.
            Phase::Ready | Phase::Held(_) | Phase::Parked | Phase::Dead(_) => (shown_ms, 0),
            Phase::Delayed(until_ms) | Phase::Leased(until_ms) | Phase::Backoff(until_ms) => {
                (until_ms, 0)
            }
            Phase::Archived(at_ms) => (shown_ms, at_ms),
        };
        Self {
            seq: delivery.receipt.seq,
            read_ct: delivery.receive_count,
            enqueued_at_ms: delivery.enqueued_at_ms,
            last_read_at_ms: delivery.last_received_at_ms,
            vt_us: to_pg(vt_ms),
            message: None,
            headers: None,
            lane: None,
            archived_at_ms,
        }
    }

    pub(super) fn of(received: Received) -> Self {
        let Received { delivery, message: frame } = received;
        let mut row = Self::bare(&delivery);
        if let Ok(mut content) = frame.content() {
            row.message = body(&content).map(Into::into);
            content.show_scheduled_at();
            row.headers = headers(&content, frame.lane.as_deref()).map(Into::into);
        }
        row.lane = frame.lane;
        row
    }

    pub(super) fn bytes(&self) -> usize {
        let text = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len());
        text(&self.message) + text(&self.headers) + 200
    }

    fn read_at(&self) -> Value {
        match self.last_read_at_ms {
            0 => Value::Null,
            at_ms => Value::Timestamp(to_pg(at_ms)),
        }
    }

    /// Columns of `message_record` and of `q_<name>`.
    pub(super) fn record(&self) -> Row {
        vec![
            Value::Int(seq_to_id(self.seq)),
            Value::Int(i64::from(self.read_ct)),
            Value::Timestamp(to_pg(self.enqueued_at_ms)),
            self.read_at(),
            Value::Timestamp(self.vt_us),
            json_value(&self.message),
            json_value(&self.headers),
        ]
    }

    /// Columns of `a_<name>`.
    pub(super) fn archived(&self) -> Row {
        let mut row = self.record();
        row.insert(4, Value::Timestamp(to_pg(self.archived_at_ms)));
        row
    }
}

pub(super) fn seq_to_id(seq: Seq) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

fn json_value(text: &Option<Arc<str>>) -> Value {
    text.as_ref().map_or(Value::Null, |text| Value::Json(Arc::clone(text)))
}

fn body(content: &Content) -> Option<String> {
    if content.body.is_empty() {
        return None;
    }
    let text = String::from_utf8_lossy(&content.body);
    Some(match json::canonical(&text) {
        Ok(text) => text,
        Err(_) => Json::String(text.replace('\0', "\u{fffd}")).to_string(),
    })
}

fn headers(content: &Content, lane: Option<&str>) -> Option<String> {
    if let [Attribute { name, data_type, value: AttributeValue::Text(text) }] = &*content.attributes
        && name == WHOLE
        && data_type == JSON_TYPE
        && let Ok(whole) = json::parse(text)
    {
        return Some(whole.to_string());
    }
    let mut entries: Vec<(String, Json)> = Vec::with_capacity(content.attributes.len() + 1);
    for attribute in &content.attributes {
        entries.push((attribute.name.clone(), header(attribute)));
    }
    let group =
        |lane: &&str| *lane != DEFAULT_GROUP && !content.attributes.iter().any(|a| a.name == GROUP);
    if let Some(lane) = lane.filter(group) {
        entries.push((GROUP.to_owned(), Json::String(lane.to_owned())));
    }
    (!entries.is_empty()).then(|| json::object(entries).to_string())
}

fn header(attribute: &Attribute) -> Json {
    let text = match &attribute.value {
        AttributeValue::Text(text) => text,
        AttributeValue::Binary(bytes) => return Json::String(base64(bytes)),
    };
    let is_number = attribute.data_type == "Number" || attribute.data_type.starts_with("Number.");
    match json::parse(text) {
        Ok(json) if attribute.data_type == JSON_TYPE => json,
        Ok(number @ Json::Number(_)) if is_number => number,
        _ => Json::String(text.clone()),
    }
}

/// RFC 4648 section 4.
fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let sign = SIGNS.get((bits >> (18 - 6 * place)) as usize & 63);
            let sign = sign.filter(|_| place <= chunk.len());
            out.push(sign.map_or('=', |sign| char::from(*sign)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(message: Option<&str>, sent: Option<&str>) -> (Option<String>, Option<String>) {
        let out = Outgoing::new(message.map(Into::into), sent.map(Into::into)).unwrap();
        let content = Content::decode(out.content).unwrap();
        (body(&content), headers(&content, out.lane.as_deref()))
    }

    #[test]
    fn what_is_sent_is_read() {
        for message in [None, Some("null"), Some("1.50"), Some(r#""text""#), Some(r#"{"a": [1]}"#)]
        {
            assert_eq!(round_trip(message, None), (message.map(Into::into), None));
        }
        for sent in [
            "{}",
            "null",
            "[1, 2]",
            r#"{"a": "x", "b": 1.50, "c": true, "d": null, "e": {"f": [1]}, "g": "1"}"#,
            r#"{"pgmq.headers": "x"}"#,
            r#"{"x-pgmq-group": "g", "x-pgmq-priority": 9}"#,
            r#"{"x-pgmq-group": 7}"#,
        ] {
            assert_eq!(round_trip(None, Some(sent)).1.as_deref(), Some(sent), "{sent}");
        }
    }

    #[test]
    fn headers_that_mean_something_to_the_broker() {
        let sent = r#"{"x-pgmq-group": "g", "x-pgmq-dedup-id": "d", "x-pgmq-priority": 9}"#;
        let out = Outgoing::new(None, Some(sent.into())).unwrap();
        assert_eq!((out.lane.as_deref(), out.priority), (Some("g"), 9));
        assert_eq!(out.dedup_id.as_deref(), Some("d"));
        let wrong = Outgoing::new(None, Some(r#"{"x-pgmq-priority": 256}"#.into())).unwrap_err();
        assert_eq!(wrong.code, "22023");
    }

    #[test]
    fn what_other_doors_sent() {
        let mut content = Content::of("plain text");
        content.attributes = vec![
            Attribute {
                name: "raw".into(),
                data_type: "Binary".into(),
                value: AttributeValue::Binary(Bytes::from_static(b"\x00\xffab")),
            },
            Attribute {
                name: "n".into(),
                data_type: "Number.int".into(),
                value: AttributeValue::Text("007".into()),
            },
        ];
        assert_eq!(body(&content).unwrap(), "\"plain text\"");
        let shown = headers(&content, Some("lane")).unwrap();
        assert_eq!(shown, r#"{"n": "007", "raw": "AP9hYg==", "x-pgmq-group": "lane"}"#);
        assert_eq!(body(&Content::of(r#"{"b":1,"a":2}"#)).unwrap(), r#"{"a": 2, "b": 1}"#);
    }
}
