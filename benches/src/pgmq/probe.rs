//! Single questions to a queue that is deep: its metrics, and its one ready message.

use std::net::TcpStream;

use super::consume::Consumes;
use super::protocol::{self, first_columns, is_whole};
use super::send::{Sends, Shape};
use super::session;
use crate::Error;
use crate::load::{Answer, Next, Recorder, Traffic};

/// `metrics`, again and again.
pub(super) struct Metrics {
    request: Vec<u8>,
    /// What it must say.
    length: i64,
}

impl Metrics {
    pub(super) fn new(queue: &str, length: i64) -> Self {
        let mut request = Vec::new();
        protocol::execute(&mut request, "metrics", &[queue.as_bytes()]);
        Self { request, length }
    }
}

impl Traffic for Metrics {
    fn operations(&self) -> &'static [&'static str] {
        &["metrics"]
    }

    fn next(&mut self, _connection: usize, _now: u64, request: &mut Vec<u8>) -> Next {
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
        let refused = first_columns(received).next() != Some(&self.length.to_be_bytes()[..]);
        Ok(Some(Answer { bytes: received.len(), operation: 0, messages: 1, refused }))
    }

    fn greet(&mut self, stream: &mut TcpStream) -> Result<(), Error> {
        session::greet(stream)
    }
}

/// Sends one message, reads it, deletes it, on one connection. Its operations are the consumer's.
pub(super) struct Single {
    send: Sends,
    consume: Consumes,
    turn: Turn,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Send,
    Read,
    Delete,
}

impl Single {
    pub(super) fn new(queue: &str, size_bytes: usize) -> Self {
        Self {
            send: Sends::new(queue, Shape::Single, size_bytes),
            consume: Consumes::new(queue, 1, 1),
            turn: Turn::Send,
        }
    }
}

impl Traffic for Single {
    fn operations(&self) -> &'static [&'static str] {
        &["read", "delete", "send"]
    }

    fn next(&mut self, connection: usize, now: u64, request: &mut Vec<u8>) -> Next {
        if self.turn == Turn::Send {
            request.clear();
            return self.send.next(connection, now, request);
        }
        self.consume.next(connection, now, request)
    }

    fn parse(
        &mut self,
        connection: usize,
        received: &[u8],
        recorder: &mut Recorder,
    ) -> Result<Option<Answer>, Error> {
        let answer = match self.turn {
            Turn::Send => self.send.parse(connection, received, recorder)?,
            Turn::Read | Turn::Delete => self.consume.parse(connection, received, recorder)?,
        };
        let Some(answer) = answer else { return Ok(None) };
        let (turn, answer) = match self.turn {
            // A message counts once, when it has been deleted.
            Turn::Send => (Turn::Read, Answer { operation: 2, messages: 0, ..answer }),
            Turn::Read => (Turn::Delete, answer),
            Turn::Delete => (Turn::Send, answer),
        };
        self.turn = turn;
        Ok(Some(answer))
    }

    fn greet(&mut self, stream: &mut TcpStream) -> Result<(), Error> {
        session::greet(stream)
    }
}
