//! One message on its way in, for SendMessage and for each entry of SendMessageBatch: the rules, in
//! AWS' order, and what the broker gets.

use bytes::Bytes;
use kyu_broker::{AttributeValue, Content, NewMessage, Property, QueueInfo, QueueKind, Seq};
use kyu_door::access::Principal;
use memchr::memchr;

use crate::call::Call;
use crate::digest::{self, Md5Sum};
use crate::error::Error;
use crate::limits::{MAX_DELAY_S, MAX_ID_CHARS};
use crate::message_attributes::{self, SentAttributes};
use crate::wire::Text;

/// The sender of messages that name none: the user of a server without credentials.
pub(crate) const LOCAL_SENDER_ID: &str = "AIDAIT2UOQQY3AUEKVGXU";

/// A message as a client describes it.
pub(crate) struct SentMessage<'a> {
    pub(crate) body: Option<Text<'a>>,
    pub(crate) delay_seconds: Option<i64>,
    pub(crate) attributes: Option<SentAttributes<'a>>,
    pub(crate) system_attributes: Option<SentAttributes<'a>>,
    pub(crate) dedup_id: Option<Text<'a>>,
    pub(crate) group_id: Option<Text<'a>>,
}

/// A message that may be enqueued, and the sums for its answer.
pub(crate) struct Prepared {
    pub(crate) message: NewMessage,
    pub(crate) body_md5: Md5Sum,
    pub(crate) attributes_md5: Option<Md5Sum>,
    pub(crate) system_attributes_md5: Option<Md5Sum>,
}

impl SentMessage<'_> {
    /// Checks the message against the rules and the queue. Its body is made without a copy of the
    /// request's where possible.
    pub(crate) fn prepare(self, queue: &QueueInfo, call: &Call<'_>) -> Result<Prepared, Error> {
        let body = self.body.filter(|body| !body.is_empty());
        let body = body.ok_or_else(|| Error::missing("MessageBody"))?;
        let limit_bytes = queue.config.max_message_bytes;
        if body.len() > limit_bytes as usize {
            return Err(Error::message_too_long(limit_bytes));
        }
        if !is_xml_text(&body) {
            return Err(Error::InvalidMessageContents);
        }
        let attributes = message_attributes::check(self.attributes)?;
        if body.len() + message_attributes::size_bytes(&attributes) > limit_bytes as usize {
            return Err(Error::message_too_long(limit_bytes));
        }
        let trace_header = message_attributes::check_trace_header(self.system_attributes)?;
        check_id(self.dedup_id.as_deref(), "MessageDeduplicationId")?;
        check_id(self.group_id.as_deref(), "MessageGroupId")?;
        let delay_ms = check_delay(self.delay_seconds, queue)?;
        let dedup_id = dedup_id(self.dedup_id, self.group_id.is_some(), &body, queue)?;

        let body_md5 = digest::of_body(body.as_bytes());
        let attributes_md5 = digest::of_attributes(&attributes);
        let system_attributes_md5 = digest::of_attributes(&trace_header);
        let mut properties = Vec::new();
        if let Principal::User(user) = call.principal {
            properties.push((Property::SenderId, user.to_string()));
        }
        // What the sender gives with the message goes before what X-Ray put on the request.
        let trace = match trace_header.map(|attribute| attribute.value) {
            Some(AttributeValue::Text(given)) => Some(given),
            _ => call.trace_header.map(str::to_owned),
        };
        properties.extend(trace.map(|trace| (Property::TraceHeader, trace)));
        let body = bytes_of(&body, call.body);
        let message = NewMessage {
            queues: vec![queue.id],
            content: Content { body, attributes, properties }.encode(),
            delay_ms,
            expires_at_ms: None,
            priority: 0,
            lane: self.group_id.map(|id| id.0.into_owned()),
            dedup_id,
            unique: None,
        };
        Ok(Prepared { message, body_md5, attributes_md5, system_attributes_md5 })
    }

    /// Bytes that count against the limit of a batch.
    pub(crate) fn size_bytes(&self) -> usize {
        let body = self.body.as_deref().map_or(0, str::len);
        let attributes = self.attributes.iter().flat_map(|attributes| &attributes.kept);
        body + attributes.map(|(name, value)| name.len() + value.size_bytes()).sum::<usize>()
    }
}

/// 20 digits that rise with the position in the queue; `None` where order means nothing.
pub(crate) fn sequence_number(queue: &QueueInfo, seq: Seq) -> Option<String> {
    /// Makes 20 digits without leading zeros, as AWS' are, and none of those that topics count with.
    const FIRST: u64 = 18_000_000_000_000_000_000;
    (queue.config.kind == QueueKind::Fifo).then(|| FIRST.saturating_add(seq).to_string())
}

/// Tells whether XML 1.0 can carry every character, which is SQS' rule for text.
pub(crate) fn is_xml_text(text: &str) -> bool {
    let bytes = text.as_bytes();
    let control = |byte: &u8| *byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r');
    // One pass that the compiler can do many bytes at a time; the exact look is rare.
    if bytes.iter().fold(false, |found, byte| found | control(byte)) {
        return false;
    }
    // U+FFFE and U+FFFF are the only others in UTF-8, and begin with this byte.
    memchr(0xEF, bytes).is_none() || !text.contains(['\u{FFFE}', '\u{FFFF}'])
}

/// Group, deduplication and attempt ids: 1 to 128 visible ASCII characters.
pub(crate) fn check_id(id: Option<&str>, parameter: &str) -> Result<(), Error> {
    let Some(id) = id else { return Ok(()) };
    if (1..=MAX_ID_CHARS).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    let reason = format!(
        "{parameter} can only include alphanumeric and punctuation characters. 1 to 128 in length."
    );
    Err(Error::invalid(id, parameter, &reason))
}

fn check_delay(seconds: Option<i64>, queue: &QueueInfo) -> Result<Option<u64>, Error> {
    let Some(seconds) = seconds else { return Ok(None) };
    if queue.config.kind == QueueKind::Fifo {
        // Only the queue has a delay, and 0 does not take it away (recorded from AWS).
        if seconds != 0 {
            let reason = "The request include parameter that is not valid for this queue type.";
            return Err(Error::invalid(seconds, "DelaySeconds", reason));
        }
        return Ok(None);
    }
    match u64::try_from(seconds) {
        Ok(delay_s) if seconds <= MAX_DELAY_S => Ok(Some(delay_s * 1000)),
        _ => Err(Error::invalid(seconds, "DelaySeconds", "DelaySeconds must be >= 0 and <= 900.")),
    }
}

/// The deduplication id that counts, after the rules of the queue's kind.
fn dedup_id(
    given: Option<Text<'_>>,
    has_group: bool,
    body: &str,
    queue: &QueueInfo,
) -> Result<Option<String>, Error> {
    if queue.config.kind == QueueKind::Standard {
        return match given {
            None => Ok(None),
            Some(id) => Err(Error::invalid(
                &*id,
                "MessageDeduplicationId",
                "The request includes a parameter that is not valid for this queue type.",
            )),
        };
    }
    if !has_group {
        return Err(Error::missing("MessageGroupId"));
    }
    match given {
        Some(id) => Ok(Some(id.0.into_owned())),
        None if queue.config.content_based_deduplication => {
            Ok(Some(digest::dedup_id_of(body.as_bytes())))
        }
        None => Err(Error::no_deduplication_id()),
    }
}

/// The bytes of a text: a slice of the request if it stands there as it is, else a copy.
fn bytes_of(text: &str, request: &Bytes) -> Bytes {
    let offset = (text.as_ptr() as usize).wrapping_sub(request.as_ptr() as usize);
    match offset.checked_add(text.len()) {
        Some(end) if end <= request.len() => request.slice(offset..end),
        _ => Bytes::copy_from_slice(text.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xml_text() {
        for good in ["", "a\t\n\r z", "\u{7f}\u{85}é\u{FFFD}\u{10000}", "\u{E000}\u{FEFF}"] {
            assert!(is_xml_text(good), "{good:?}");
        }
        for bad in ["\0", "a\u{1}", "\u{1f}", "\u{b}", "x\u{FFFE}", "\u{FFFF}y"] {
            assert!(!is_xml_text(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_text_of_the_request_is_not_copied() {
        let request = Bytes::from_static(b"{\"MessageBody\":\"hello\"}");
        let text = std::str::from_utf8(&request[16..21]).unwrap();
        let bytes = bytes_of(text, &request);
        assert_eq!(&bytes[..], b"hello");
        assert_eq!(bytes.as_ptr(), text.as_ptr());
        assert_eq!(&bytes_of("other", &request)[..], b"other");
    }

    #[test]
    fn ids() {
        let long = "x".repeat(129);
        for (id, valid) in
            [("a", true), ("!~_-.", true), ("", false), ("a b", false), (&*long, false)]
        {
            assert_eq!(check_id(Some(id), "MessageGroupId").is_ok(), valid, "{id}");
        }
    }
}
