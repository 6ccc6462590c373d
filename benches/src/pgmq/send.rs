//! Sends messages: one at a time or in batches, prepared or as text.

use std::net::TcpStream;

use super::protocol::{self, JSONB, first_columns, is_whole};
use super::session;
use crate::Error;
use crate::load::{Answer, Next, Recorder, Traffic};

/// How messages are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `send`, prepared.
    Single,
    /// `send`, as a text of the simple protocol.
    Text,
    /// `send_batch` of so many, prepared.
    Batch(usize),
    /// `send_batch` of so many, to be shown after so many seconds.
    Later(usize, i32),
}

/// Traffic that sends for ever, or a set number of messages.
pub(super) struct Sends {
    request: Vec<u8>,
    per_request: u64,
    left_requests: u64,
    /// Messages that the server has acknowledged.
    pub(super) sent_messages: u64,
}

impl Sends {
    pub(super) fn new(queue: &str, shape: Shape, size_bytes: usize) -> Self {
        let mut request = Vec::new();
        let text = body(size_bytes);
        let message = protocol::jsonb(&text);
        let messages = |count| protocol::array(JSONB, vec![message.as_slice(); count].into_iter());
        let per_request = match shape {
            Shape::Single => {
                protocol::execute(&mut request, "send", &[queue.as_bytes(), &message]);
                1
            }
            Shape::Text => {
                protocol::query(&mut request, &format!("SELECT pgmq.send('{queue}', '{text}')"));
                1
            }
            Shape::Batch(count) => {
                let parameters = [queue.as_bytes(), &messages(count)];
                protocol::execute(&mut request, "send_batch", &parameters);
                count
            }
            Shape::Later(count, seconds) => {
                let parameters = [queue.as_bytes(), &messages(count), &seconds.to_be_bytes()];
                protocol::execute(&mut request, "send_later", &parameters);
                count
            }
        };
        let per_request = per_request as u64;
        Self { request, per_request, left_requests: u64::MAX, sent_messages: 0 }
    }

    /// The same, ending after `messages`, rounded up to whole requests.
    pub(super) fn limited(self, messages: u64) -> Self {
        Self { left_requests: messages.div_ceil(self.per_request), ..self }
    }
}

/// A job as a web shop would send it, padded to `size_bytes`. Its keys are not in the order in which
/// `jsonb` keeps them, and there are no spaces, as most languages write JSON.
fn body(size_bytes: usize) -> String {
    let head = r#"{"to":"user@example.com","subject":"Welcome!","attempt":1,"tags":["new","eu"],"ok":true,"text":""#;
    let padding = size_bytes.saturating_sub(head.len() + 2);
    format!("{head}{}\"}}", "x".repeat(padding))
}

impl Traffic for Sends {
    fn operations(&self) -> &'static [&'static str] {
        &["send"]
    }

    fn next(&mut self, _connection: usize, _now: u64, request: &mut Vec<u8>) -> Next {
        if self.left_requests == 0 {
            return Next::Finish;
        }
        self.left_requests -= 1;
        if request.is_empty() {
            request.extend_from_slice(&self.request);
        }
        Next::Send
    }

    fn parse(
        &mut self,
        _connection: usize,
        received: &[u8],
        _recorder: &mut Recorder,
    ) -> Result<Option<Answer>, Error> {
        if !is_whole(received) {
            return Ok(None);
        }
        let messages = first_columns(received).count() as u64;
        self.sent_messages += messages;
        let refused = messages != self.per_request;
        Ok(Some(Answer { bytes: received.len(), operation: 0, messages, refused }))
    }

    fn greet(&mut self, stream: &mut TcpStream) -> Result<(), Error> {
        session::greet(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_json_of_the_size_asked_for() {
        let body = body(1024);
        assert_eq!(body.len(), 1024);
        assert!(serde_json::from_str::<serde_json::Value>(&body).unwrap().is_object());
    }

    #[test]
    fn a_batch_with_fewer_numbers_than_messages_is_refused() {
        let mut sends = Sends::new("q", Shape::Batch(2), 10);
        let mut recorder = Recorder::new(&["send"]);
        let row = b"D\0\0\0\x12\0\x01\0\0\0\x08\0\0\0\0\0\0\0\x01";
        let ready = b"Z\0\0\0\x05I";
        let mut refused = |answer: &[u8]| {
            sends.parse(0, answer, &mut recorder).unwrap().map(|answer| answer.refused)
        };
        assert_eq!(refused(row), None);
        assert_eq!(refused(&[&row[..], ready].concat()), Some(true));
        assert_eq!(refused(&[&row[..], row, ready].concat()), Some(false));
    }
}
