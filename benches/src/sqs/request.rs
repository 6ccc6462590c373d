//! SQS requests as prebuilt bytes: AWS JSON 1.0 with the headers boto3 sends.

use std::net::SocketAddr;

use memchr::memmem;

/// Stands in a template for 16 hexadecimal digits that change from request to request.
pub(super) const SLOT: &str = "################";
/// Stands for the position of a SQS message's filler; see [`message_body`].
const FILLER: char = 'x';

/// A request whose variable parts are fixed-width slots, so that changing them moves no bytes.
pub(super) struct Template {
    bytes: Vec<u8>,
    slots: Vec<usize>,
}

impl Template {
    /// Builds the request for `action` with `body`, every [`SLOT`] in it being a slot.
    pub(super) fn new(host: SocketAddr, action: &str, body: &str) -> Self {
        let mut bytes = head(host, action).into_bytes();
        finish(&mut bytes, body.as_bytes());
        let slots = memmem::find_iter(&bytes, SLOT.as_bytes()).collect();
        Self { bytes, slots }
    }

    /// Makes `request` this request; cheap when it already is.
    pub(super) fn write_to(&self, request: &mut Vec<u8>) {
        if request.len() != self.bytes.len() {
            request.clear();
            request.extend_from_slice(&self.bytes);
        }
    }

    /// Writes `value` as 16 hexadecimal digits into slot `index` of `request`.
    pub(super) fn fill(&self, request: &mut [u8], index: usize, value: u64) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let Some(at) = self.slots.get(index) else { return };
        let Some(slot) = request.get_mut(*at..*at + SLOT.len()) else { return };
        for (position, byte) in slot.iter_mut().enumerate() {
            *byte = DIGITS[(value >> (60 - 4 * position)) as usize & 15];
        }
    }
}

/// The head of a request for `action`, complete but for content-length.
pub(super) fn head(host: SocketAddr, action: &str) -> String {
    // The signature has the right form and no meaning: a server without credentials ignores it,
    // but it has to read as many bytes as a real client sends.
    format!(
        "POST / HTTP/1.1\r\n\
         Host: {host}\r\n\
         Accept-Encoding: identity\r\n\
         X-Amz-Target: AmazonSQS.{action}\r\n\
         Content-Type: application/x-amz-json-1.0\r\n\
         User-Agent: Boto3/1.40.0 md/Botocore#1.40.0 ua/2.1 os/linux#6.1 md/arch#x86_64 \
         lang/python#3.13.0 md/pyimpl#CPython m/Z,b cfg/retry-mode#legacy Botocore/1.40.0\r\n\
         X-Amz-Date: 20260101T000000Z\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sqs/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date;x-amz-target, \
         Signature=0000000000000000000000000000000000000000000000000000000000000000\r\n\
         amz-sdk-invocation-id: 00000000-0000-4000-8000-000000000000\r\n\
         amz-sdk-request: attempt=1\r\n"
    )
}

/// Ends a head with the length of `body`, and appends the body.
pub(super) fn finish(request: &mut Vec<u8>, body: &[u8]) {
    request.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    request.extend_from_slice(body);
}

/// A message of `size_bytes` that begins with the marker `sent:` and a slot for the time of
/// sending; shorter sizes than that header (21) are raised to it.
pub(super) fn message_body(size_bytes: usize) -> String {
    let mut body = format!("{SENT_MARKER}{SLOT}");
    body.extend(std::iter::repeat_n(FILLER, size_bytes.saturating_sub(body.len())));
    body
}

/// Announces the time of sending inside a message.
pub(super) const SENT_MARKER: &str = "sent:";

/// The sending times of the messages in a ReceiveMessage answer.
pub(super) fn sent_times(answer: &[u8]) -> impl Iterator<Item = u64> {
    memmem::find_iter(answer, SENT_MARKER.as_bytes()).filter_map(|at| {
        let start = at + SENT_MARKER.len();
        let digits = std::str::from_utf8(answer.get(start..start + SLOT.len())?).ok()?;
        u64::from_str_radix(digits, 16).ok()
    })
}

/// The receipt handles in a ReceiveMessage answer, as they stand between the quotes of the JSON.
pub(super) fn receipt_handles(answer: &[u8]) -> impl Iterator<Item = &[u8]> {
    const NAME: &[u8] = b"\"ReceiptHandle\":";
    memmem::find_iter(answer, NAME).filter_map(|at| {
        let value = answer.get(at + NAME.len()..)?.trim_ascii_start().strip_prefix(b"\"")?;
        value.get(..memchr::memchr(b'"', value)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> SocketAddr {
        "127.0.0.1:9324".parse().unwrap()
    }

    #[test]
    fn slots_change_in_place_and_the_length_is_that_of_the_body() {
        let template =
            Template::new(host(), "SendMessage", &format!("{{\"a\":\"{SLOT}\",\"b\":\"{SLOT}\"}}"));
        let mut request = Vec::new();
        template.write_to(&mut request);
        template.fill(&mut request, 1, 0x0123_4567_89ab_cdef);
        template.fill(&mut request, 0, 7);
        template.write_to(&mut request);
        let text = String::from_utf8(request).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, r#"{"a":"0000000000000007","b":"0123456789abcdef"}"#);
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())));
    }

    #[test]
    fn a_message_has_the_size_asked_for_and_tells_when_it_was_sent() {
        let body = message_body(1024);
        assert_eq!(body.len(), 1024);
        let answer = body.replace(SLOT, "00000000000000ff");
        assert_eq!(sent_times(answer.as_bytes()).collect::<Vec<_>>(), [255]);
    }

    #[test]
    fn receipt_handles_are_found_with_and_without_spaces() {
        let answer =
            br#"{"Messages":[{"ReceiptHandle":"a+/=","Body":"x"},{"ReceiptHandle": "b"}]}"#;
        let found: Vec<_> = receipt_handles(answer).collect();
        assert_eq!(found, [&b"a+/="[..], &b"b"[..]]);
    }
}
