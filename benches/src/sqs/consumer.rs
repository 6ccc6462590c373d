//! Receives ten messages at a time and deletes them.

use std::net::SocketAddr;

use memchr::memmem;
use serde_json::json;

use super::request::{self, Template, receipt_handles, sent_times};
use super::{DELETE, END_TO_END, OPERATIONS, RECEIVE};
use crate::Error;
use crate::http::Response;
use crate::load::{Answer, Next, Recorder, Traffic};

/// What to do when the queue has nothing to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WhenEmpty {
    /// The queue is drained: this connection is finished.
    Finish,
    /// Wait for messages with long polling of this many seconds.
    Wait {
        /// WaitTimeSeconds.
        seconds: u32,
    },
}

/// Traffic that alternates ReceiveMessage(10) and DeleteMessageBatch on each connection.
pub(super) struct Consumer {
    receive: Template,
    delete_head: String,
    delete_prefix: String,
    when_empty: WhenEmpty,
    lanes: Vec<Lane>,
    body: Vec<u8>,
    /// Messages deleted so far, in the window or not.
    pub deleted_messages: u64,
}

/// What one connection is at.
#[derive(Default)]
struct Lane {
    /// Handles to delete, each already a batch entry; empty when the next request is a receive.
    entries: Vec<u8>,
    handles: u64,
    deleting: bool,
    finished: bool,
}

impl Consumer {
    /// A consumer of the queue at `url` on `connections` connections.
    pub(super) fn new(
        server: SocketAddr,
        url: &str,
        when_empty: WhenEmpty,
        connections: usize,
    ) -> Self {
        let wait_seconds = match when_empty {
            WhenEmpty::Finish => 0,
            WhenEmpty::Wait { seconds } => seconds,
        };
        Self {
            receive: receive_template(server, url, 10, wait_seconds),
            delete_head: request::head(server, "DeleteMessageBatch"),
            delete_prefix: format!("{{\"QueueUrl\": \"{url}\", \"Entries\": ["),
            when_empty,
            lanes: (0..connections).map(|_| Lane::default()).collect(),
            body: Vec::new(),
            deleted_messages: 0,
        }
    }

    /// The same, receiving at most one message at a time and never waiting.
    pub(crate) fn one_by_one(self, server: SocketAddr, url: &str) -> Self {
        Self { receive: receive_template(server, url, 1, 0), ..self }
    }

    /// Whether the next request of `connection` deletes what it received.
    pub(crate) fn is_deleting(&self, connection: usize) -> bool {
        self.lanes.get(connection).is_some_and(|lane| lane.deleting)
    }

    fn take_received(&mut self, connection: usize, body: &[u8], recorder: &mut Recorder) -> bool {
        let Some(lane) = self.lanes.get_mut(connection) else { return false };
        lane.entries.clear();
        lane.handles = 0;
        for handle in receipt_handles(body) {
            let separator = if lane.handles == 0 { "" } else { "," };
            let opening = format!("{separator}{{\"Id\":\"{}\",\"ReceiptHandle\":\"", lane.handles);
            lane.entries.extend_from_slice(opening.as_bytes());
            lane.entries.extend_from_slice(handle);
            lane.entries.extend_from_slice(b"\"}");
            lane.handles += 1;
        }
        // A drain reads what an earlier run sent, stamped by that run's clock.
        if self.when_empty != WhenEmpty::Finish {
            sent_times(body).for_each(|sent| recorder.record(END_TO_END, sent));
        }
        lane.deleting = lane.handles > 0;
        lane.finished = lane.handles == 0 && self.when_empty == WhenEmpty::Finish;
        true
    }
}

fn receive_template(server: SocketAddr, url: &str, most: u32, wait_seconds: u32) -> Template {
    let body =
        json!({"QueueUrl": url, "MaxNumberOfMessages": most, "WaitTimeSeconds": wait_seconds});
    Template::new(server, "ReceiveMessage", &body.to_string())
}

impl Traffic for Consumer {
    fn operations(&self) -> &'static [&'static str] {
        &OPERATIONS
    }

    fn next(&mut self, connection: usize, _now: u64, request: &mut Vec<u8>) -> Next {
        let Some(lane) = self.lanes.get_mut(connection) else { return Next::Finish };
        if lane.finished {
            return Next::Finish;
        }
        request.clear();
        if !lane.deleting {
            self.receive.write_to(request);
            return Next::Send;
        }
        self.body.clear();
        self.body.extend_from_slice(self.delete_prefix.as_bytes());
        self.body.extend_from_slice(&lane.entries);
        self.body.extend_from_slice(b"]}");
        request.extend_from_slice(self.delete_head.as_bytes());
        request::finish(request, &self.body);
        Next::Send
    }

    fn parse(
        &mut self,
        connection: usize,
        received: &[u8],
        recorder: &mut Recorder,
    ) -> Result<Option<Answer>, Error> {
        let Some(response) = Response::parse(received)? else { return Ok(None) };
        let body = response.body(received);
        let bytes = response.total_bytes();
        if !self.is_deleting(connection) {
            let refused = response.status != 200 || !self.take_received(connection, body, recorder);
            return Ok(Some(Answer { bytes, operation: RECEIVE, messages: 0, refused }));
        }
        // Only a refused entry carries an error code.
        let refused = response.status != 200 || memmem::find(body, b"\"Code\"").is_some();
        let mut messages = 0;
        if let Some(lane) = self.lanes.get_mut(connection) {
            lane.deleting = false;
            messages = lane.handles;
        }
        self.deleted_messages += if refused { 0 } else { messages };
        Ok(Some(Answer { bytes, operation: DELETE, messages, refused }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> Vec<u8> {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[test]
    fn what_is_received_is_deleted_and_an_empty_queue_ends_a_drain() {
        let server = "127.0.0.1:1".parse().unwrap();
        let mut consumer = Consumer::new(server, "http://h/0/q", WhenEmpty::Finish, 1);
        let mut recorder = Recorder::new(&OPERATIONS);
        let mut request = Vec::new();

        assert_eq!(consumer.next(0, 0, &mut request), Next::Send);
        assert!(memmem::find(&request, b"AmazonSQS.ReceiveMessage").is_some());
        let two = answer(r#"{"Messages":[{"ReceiptHandle":"r1"},{"ReceiptHandle":"r2"}]}"#);
        consumer.parse(0, &two, &mut recorder).unwrap().unwrap();

        assert_eq!(consumer.next(0, 0, &mut request), Next::Send);
        let text = String::from_utf8(request.clone()).unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(
            body,
            json!({"QueueUrl": "http://h/0/q", "Entries": [
                {"Id": "0", "ReceiptHandle": "r1"}, {"Id": "1", "ReceiptHandle": "r2"},
            ]})
        );
        let deleted = answer(r#"{"Successful":[{"Id":"0"},{"Id":"1"}],"Failed":[]}"#);
        let deleted = consumer.parse(0, &deleted, &mut recorder).unwrap().unwrap();
        assert_eq!((deleted.messages, deleted.refused), (2, false));

        consumer.next(0, 0, &mut request);
        consumer.parse(0, &answer("{}"), &mut recorder).unwrap().unwrap();
        assert_eq!(consumer.next(0, 0, &mut request), Next::Finish);
    }
}
