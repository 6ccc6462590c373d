//! Producers and consumers of one queue at the same time.

use super::OPERATIONS;
use super::consumer::Consumer;
use super::producer::Producer;
use crate::Error;
use crate::load::{Answer, Next, Recorder, Traffic};

/// Connections `0..producers` send, the others consume; producers stop while the queue is deeper
/// than `max_depth`, so that the flow is steady whoever is faster.
pub(super) struct Flow {
    /// The sending side.
    pub producer: Producer,
    /// The consuming side.
    pub consumer: Consumer,
    /// How many connections send.
    pub producers: usize,
    /// Messages in the queue at which producers pause.
    pub max_depth: u64,
}

impl Traffic for Flow {
    fn operations(&self) -> &'static [&'static str] {
        &OPERATIONS
    }

    fn next(&mut self, connection: usize, now: u64, request: &mut Vec<u8>) -> Next {
        if let Some(consumer) = connection.checked_sub(self.producers) {
            let all_done = self.producer.is_done()
                && self.consumer.deleted_messages >= self.producer.sent_messages;
            return if all_done {
                Next::Finish
            } else {
                self.consumer.next(consumer, now, request)
            };
        }
        let depth = self.producer.sent_messages.saturating_sub(self.consumer.deleted_messages);
        if depth >= self.max_depth {
            return Next::Pause;
        }
        self.producer.next(connection, now, request)
    }

    fn parse(
        &mut self,
        connection: usize,
        received: &[u8],
        recorder: &mut Recorder,
    ) -> Result<Option<Answer>, Error> {
        let Some(consumer) = connection.checked_sub(self.producers) else {
            let answer = self.producer.parse(connection, received, recorder)?;
            // A message counts once, when it has been deleted.
            return Ok(answer.map(|answer| Answer { messages: 0, ..answer }));
        };
        self.consumer.parse(consumer, received, recorder)
    }
}
