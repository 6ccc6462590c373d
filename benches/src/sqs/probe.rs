//! One message at a time through the queue: send, receive, delete.

use super::OPERATIONS;
use super::consumer::Consumer;
use super::producer::Producer;
use crate::Error;
use crate::load::{Answer, Next, Recorder, Traffic};

/// Measures each step on its own, so that the same queue can be compared empty and full.
pub(crate) struct Probe {
    producer: Producer,
    consumer: Consumer,
    sending: bool,
}

impl Probe {
    /// A probe for one connection; the consumer should receive one message at a time.
    pub(crate) fn new(producer: Producer, consumer: Consumer) -> Self {
        Self { producer, consumer, sending: true }
    }
}

impl Traffic for Probe {
    fn operations(&self) -> &'static [&'static str] {
        &OPERATIONS
    }

    fn next(&mut self, connection: usize, now: u64, request: &mut Vec<u8>) -> Next {
        if self.sending {
            request.clear();
            return self.producer.next(connection, now, request);
        }
        self.consumer.next(connection, now, request)
    }

    fn parse(
        &mut self,
        connection: usize,
        received: &[u8],
        recorder: &mut Recorder,
    ) -> Result<Option<Answer>, Error> {
        if self.sending {
            let answer = self.producer.parse(connection, received, recorder)?;
            self.sending = answer.is_none();
            return Ok(answer.map(|answer| Answer { messages: 0, ..answer }));
        }
        let answer = self.consumer.parse(connection, received, recorder)?;
        self.sending = answer.is_some() && !self.consumer.is_deleting(connection);
        Ok(answer)
    }
}
