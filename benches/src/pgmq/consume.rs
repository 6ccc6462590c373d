//! Reads messages and deletes them.

use std::net::TcpStream;

use super::protocol::{self, INT8, first_columns, is_whole};
use super::session;
use crate::Error;
use crate::load::{Answer, Next, Recorder, Traffic};

/// Longer than any run: what is read does not come again.
const VT_SECONDS: i32 = 3_600;

const READ: usize = 0;
const DELETE: usize = 1;

/// Traffic that alternates `read` and `delete` on each connection, until there is nothing to read.
pub(super) struct Consumes {
    queue: String,
    qty: i32,
    read: Vec<u8>,
    lanes: Vec<Lane>,
    /// Numbers that have been read, as bits.
    seen: Vec<u64>,
    /// Messages deleted so far, in the window or not.
    pub(super) deleted_messages: u64,
}

#[derive(Default)]
struct Lane {
    /// What has been read and is to be deleted next.
    ids: Vec<[u8; 8]>,
    finished: bool,
}

impl Consumes {
    pub(super) fn new(queue: &str, qty: i32, connections: usize) -> Self {
        let mut read = Vec::new();
        let parameters = [queue.as_bytes(), &VT_SECONDS.to_be_bytes(), &qty.to_be_bytes()];
        protocol::execute(&mut read, "read", &parameters);
        Self {
            queue: queue.to_owned(),
            qty,
            read,
            lanes: (0..connections).map(|_| Lane::default()).collect(),
            seen: Vec::new(),
            deleted_messages: 0,
        }
    }

    /// Notes a number; false if it had been read before.
    fn is_new(&mut self, id: [u8; 8]) -> bool {
        let id = u64::from_be_bytes(id) as usize;
        if self.seen.len() <= id / 64 {
            self.seen.resize(id / 64 + 1_024, 0);
        }
        let Some(bits) = self.seen.get_mut(id / 64) else { return false };
        let before = *bits;
        *bits |= 1 << (id % 64);
        before != *bits
    }
}

impl Traffic for Consumes {
    fn operations(&self) -> &'static [&'static str] {
        &["read", "delete"]
    }

    fn next(&mut self, connection: usize, _now: u64, request: &mut Vec<u8>) -> Next {
        let Some(lane) = self.lanes.get(connection).filter(|lane| !lane.finished) else {
            return Next::Finish;
        };
        request.clear();
        match lane.ids.as_slice() {
            [] => request.extend_from_slice(&self.read),
            [id] if self.qty == 1 => {
                protocol::execute(request, "delete", &[self.queue.as_bytes(), id]);
            }
            ids => {
                let ids = protocol::array(INT8, ids.iter().map(|id| &id[..]));
                protocol::execute(request, "delete_batch", &[self.queue.as_bytes(), &ids]);
            }
        }
        Next::Send
    }

    fn parse(
        &mut self,
        connection: usize,
        received: &[u8],
        _recorder: &mut Recorder,
    ) -> Result<Option<Answer>, Error> {
        if !is_whole(received) {
            return Ok(None);
        }
        let Some(lane) = self.lanes.get_mut(connection) else { return Ok(None) };
        let wanted = std::mem::take(&mut lane.ids);
        let bytes = received.len();
        if wanted.is_empty() {
            let ids: Vec<[u8; 8]> =
                first_columns(received).filter_map(|id| id.try_into().ok()).collect();
            lane.finished = ids.is_empty();
            lane.ids.clone_from(&ids);
            let all_new = ids.into_iter().all(|id| self.is_new(id));
            let refused = !all_new || protocol::error(received).is_err();
            return Ok(Some(Answer { bytes, operation: READ, messages: 0, refused }));
        }
        // One row of true, or the numbers of what was deleted.
        let messages = match self.qty {
            1 => first_columns(received).filter(|deleted| *deleted == b"\x01").count(),
            _ => first_columns(received).count(),
        };
        self.deleted_messages += messages as u64;
        let refused = messages != wanted.len();
        Ok(Some(Answer { bytes, operation: DELETE, messages: messages as u64, refused }))
    }

    fn greet(&mut self, stream: &mut TcpStream) -> Result<(), Error> {
        session::greet(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: &[u8]) -> Vec<u8> {
        let length = value.len() as u8;
        [&[b'D', 0, 0, 0, 10 + length, 0, 1, 0, 0, 0, length], value].concat()
    }

    #[test]
    fn what_is_read_twice_or_not_deleted_is_refused() {
        let mut consumes = Consumes::new("q", 1, 2);
        let mut recorder = Recorder::new(&["read", "delete"]);
        let mut refused = |connection: usize, value: &[u8]| {
            let answer = [row(value), b"Z\0\0\0\x05I".to_vec()].concat();
            consumes.parse(connection, &answer, &mut recorder).unwrap().unwrap().refused
        };
        assert!(!refused(0, &7_i64.to_be_bytes()));
        assert!(!refused(0, b"\x01"));
        assert!(!refused(0, &8_i64.to_be_bytes()));
        assert!(refused(0, b"\x00"));
        assert!(refused(1, &7_i64.to_be_bytes()));
        assert_eq!(consumes.deleted_messages, 1);
    }
}
