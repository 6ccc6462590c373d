//! Sends messages: one at a time, in batches of ten, or into FIFO groups.

use std::net::SocketAddr;

use memchr::memmem;
use serde_json::json;

use super::request::{SLOT, Template, message_body};
use super::{OPERATIONS, SEND};
use crate::Error;
use crate::http::Response;
use crate::load::{Answer, Next, Recorder, Traffic};

/// What SQS allows in one batch.
pub(super) const BATCH: usize = 10;

/// How a producer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// SendMessage.
    Single,
    /// SendMessageBatch of [`BATCH`].
    Batch,
    /// SendMessage into message groups in turn, with a fresh deduplication id each.
    Fifo {
        /// How many groups.
        groups: u64,
    },
    /// SendMessageBatch with a delay on every message.
    DelayedBatch {
        /// The delay.
        seconds: u32,
    },
}

/// Traffic that sends for ever, or a set number of messages.
pub(crate) struct Producer {
    template: Template,
    shape: Shape,
    /// Messages handed to the sockets so far.
    pub sent_messages: u64,
    /// Stop here.
    limit_messages: u64,
}

impl Producer {
    /// A producer for the queue at `url`.
    pub(crate) fn new(server: SocketAddr, url: &str, shape: Shape, size_bytes: usize) -> Self {
        let message = message_body(size_bytes);
        let batch = |delay: Option<u32>| {
            let entries: Vec<_> = (0..BATCH)
                .map(|id| match delay {
                    None => json!({"Id": id.to_string(), "MessageBody": message}),
                    Some(seconds) => {
                        json!({"Id": id.to_string(), "MessageBody": message, "DelaySeconds": seconds})
                    }
                })
                .collect();
            json!({"QueueUrl": url, "Entries": entries})
        };
        let body = match shape {
            Shape::Single => json!({"QueueUrl": url, "MessageBody": message}),
            Shape::Batch => batch(None),
            Shape::DelayedBatch { seconds } => batch(Some(seconds)),
            // serde_json sorts names: the slots come as body, deduplication id, group.
            Shape::Fifo { .. } => json!({
                "QueueUrl": url, "MessageBody": message,
                "MessageDeduplicationId": SLOT, "MessageGroupId": SLOT,
            }),
        };
        let action = match shape {
            Shape::Single | Shape::Fifo { .. } => "SendMessage",
            Shape::Batch | Shape::DelayedBatch { .. } => "SendMessageBatch",
        };
        let template = Template::new(server, action, &body.to_string());
        Self { template, shape, sent_messages: 0, limit_messages: u64::MAX }
    }

    /// The same, ending after `messages`.
    pub(crate) fn limited(self, messages: u64) -> Self {
        Self { limit_messages: messages, ..self }
    }

    /// True when the set number was handed to the sockets.
    pub(crate) fn is_done(&self) -> bool {
        self.sent_messages >= self.limit_messages
    }

    fn messages_per_request(&self) -> u64 {
        match self.shape {
            Shape::Single | Shape::Fifo { .. } => 1,
            Shape::Batch | Shape::DelayedBatch { .. } => BATCH as u64,
        }
    }
}

impl Traffic for Producer {
    fn operations(&self) -> &'static [&'static str] {
        &OPERATIONS
    }

    fn next(&mut self, _connection: usize, now: u64, request: &mut Vec<u8>) -> Next {
        if self.is_done() {
            return Next::Finish;
        }
        self.template.write_to(request);
        match self.shape {
            Shape::Single => self.template.fill(request, 0, now),
            Shape::Batch | Shape::DelayedBatch { .. } => {
                (0..BATCH).for_each(|slot| self.template.fill(request, slot, now));
            }
            Shape::Fifo { groups } => {
                self.template.fill(request, 0, now);
                self.template.fill(request, 1, self.sent_messages);
                self.template.fill(request, 2, self.sent_messages % groups);
            }
        }
        self.sent_messages += self.messages_per_request();
        Next::Send
    }

    fn parse(
        &mut self,
        _connection: usize,
        received: &[u8],
        _recorder: &mut Recorder,
    ) -> Result<Option<Answer>, Error> {
        let Some(response) = Response::parse(received)? else { return Ok(None) };
        let accepted = match self.shape {
            Shape::Single | Shape::Fifo { .. } => 1,
            // Each accepted entry, and no refused one, carries the digest of what was stored.
            Shape::Batch | Shape::DelayedBatch { .. } => {
                memmem::find_iter(response.body(received), b"\"MD5OfMessageBody\"").count() as u64
            }
        };
        let refused = response.status != 200 || accepted != self.messages_per_request();
        Ok(Some(Answer {
            bytes: response.total_bytes(),
            operation: SEND,
            messages: accepted,
            refused,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn producer(shape: Shape) -> Producer {
        Producer::new("127.0.0.1:1".parse().unwrap(), "http://h/0/q", shape, 64)
    }

    fn body_of(request: &[u8]) -> serde_json::Value {
        let at = memmem::find(request, b"\r\n\r\n").unwrap() + 4;
        serde_json::from_slice(&request[at..]).unwrap()
    }

    #[test]
    fn a_fifo_send_has_its_own_deduplication_id_and_the_next_group() {
        let mut fifo = producer(Shape::Fifo { groups: 2 });
        let mut request = Vec::new();
        let mut ids = Vec::new();
        for _ in 0..3 {
            assert_eq!(fifo.next(0, 0xabc, &mut request), Next::Send);
            let body = body_of(&request);
            let text = |name: &str| body[name].as_str().unwrap().to_owned();
            assert!(text("MessageBody").starts_with("sent:0000000000000abc"));
            ids.push((text("MessageDeduplicationId"), text("MessageGroupId")));
        }
        let expect = |id: u64, group: u64| (format!("{id:016x}"), format!("{group:016x}"));
        assert_eq!(ids, [expect(0, 0), expect(1, 1), expect(2, 0)]);
    }

    #[test]
    fn a_batch_with_one_refused_entry_is_a_refusal() {
        let mut batch = producer(Shape::Batch);
        let mut recorder = Recorder::new(&OPERATIONS);
        let mut answer = |entries: usize| {
            let body = "{\"MD5OfMessageBody\":\"\"}".repeat(entries);
            let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            batch.parse(0, text.as_bytes(), &mut recorder).unwrap().unwrap().refused
        };
        assert!(!answer(10));
        assert!(answer(9));
    }

    #[test]
    fn a_limited_producer_finishes() {
        let mut limited = producer(Shape::Batch).limited(20);
        let mut request = Vec::new();
        let steps: Vec<_> = (0..3).map(|_| limited.next(0, 0, &mut request)).collect();
        assert_eq!(steps, [Next::Send, Next::Send, Next::Finish]);
    }
}
