//! Redis Streams as a durable queue: appendfsync always, XADD, XREADGROUP, XACK + XDEL.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use memchr::memmem;

use super::resp::{encode, replies_bytes, split_line};
use crate::Error;
use crate::load::{self, Answer, Next, Pace, Plan, Recorder, Traffic};
use crate::options::Options;
use crate::report::{Report, Row};
use crate::server::{HeldAddress, ScratchDir, Server};

const STREAM: &[u8] = b"bench";
const GROUP: &[u8] = b"workers";
/// Messages in one batch, as SQS allows.
const BATCH: usize = 10;
/// Messages that the drain finds.
const DRAIN_MESSAGES: u64 = 300_000;
/// A drain gives up after this.
const DRAIN_LIMIT: Duration = Duration::from_secs(600);

/// Starts Redis, loads it, stops it.
pub(crate) fn run(
    options: &Options,
    directory: &ScratchDir,
    report: &mut Report,
) -> Result<(), Error> {
    let data = directory.path().join("redis");
    std::fs::create_dir_all(&data)?;
    let held = HeldAddress::new()?;
    let address = held.address;
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port"]).arg(address.port().to_string());
    command.args(["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--dir"]);
    command.arg(&data);
    let log = directory.path().join("redis.log");
    let server = Server::start(command, &held, "Ready to accept connections", &log)?;
    let plan = |connections: usize| Plan {
        target: address,
        connections,
        pace: Pace::Closed,
        warm_up: Duration::from_secs(1),
        window: options.window(),
        server_pid: Some(server.pid()),
    };
    let all = usize::from(options.connections);
    for (name, batch, connections) in
        [("XADD", 1, 1), ("XADD", 1, all), ("XADD x10 pipelined", BATCH, all)]
    {
        let plan = plan(connections);
        let outcome = load::run(&plan, &mut Adds::new(batch, options.size, u64::MAX))?;
        report.add(Row::new("redis", name, plan.connections, plan.pace, &outcome));
        call(address, &[b"DEL", STREAM])?;
    }
    let until_done = Plan { warm_up: Duration::ZERO, window: DRAIN_LIMIT, ..plan(all) };
    let messages = options.messages.unwrap_or(DRAIN_MESSAGES);
    load::run(&until_done, &mut Adds::new(BATCH, options.size, messages))?;
    call(address, &[b"XGROUP", b"CREATE", STREAM, GROUP, b"0"])?;
    let outcome = load::run(&until_done, &mut Drain::new(all))?;
    report.add(Row::new(
        "redis",
        "XREADGROUP(10)+XACK+XDEL",
        until_done.connections,
        until_done.pace,
        &outcome,
    ));
    server.stop()
}

/// One command outside the measured window.
fn call(address: SocketAddr, parts: &[&[u8]]) -> Result<(), Error> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address)?;
    let mut request = Vec::new();
    encode(&mut request, parts);
    stream.write_all(&request)?;
    let mut reply = [0; 256];
    let read_bytes = stream.read(&mut reply)?;
    let reply = reply.get(..read_bytes).unwrap_or_default();
    match reply.first() {
        Some(b'+' | b':') => Ok(()),
        _ => Err(format!("redis: {}", reply.escape_ascii()).into()),
    }
}

/// XADD, one or a pipelined batch a request.
struct Adds {
    request: Vec<u8>,
    batch: usize,
    left_messages: u64,
}

impl Adds {
    fn new(batch: usize, size_bytes: usize, messages: u64) -> Self {
        let body = vec![b'x'; size_bytes];
        let mut request = Vec::new();
        (0..batch).for_each(|_| encode(&mut request, &[b"XADD", STREAM, b"*", b"body", &body]));
        Self { request, batch, left_messages: messages }
    }
}

impl Traffic for Adds {
    fn operations(&self) -> &'static [&'static str] {
        &["send"]
    }

    fn next(&mut self, _connection: usize, _now: u64, request: &mut Vec<u8>) -> Next {
        if self.left_messages == 0 {
            return Next::Finish;
        }
        self.left_messages = self.left_messages.saturating_sub(self.batch as u64);
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
        let Some(bytes) = replies_bytes(received, self.batch)? else { return Ok(None) };
        let refused = memmem::find(received, b"-ERR").is_some();
        Ok(Some(Answer { bytes, operation: 0, messages: self.batch as u64, refused }))
    }
}

/// XREADGROUP of ten, then XACK and XDEL of what came.
struct Drain {
    lanes: Vec<Lane>,
}

#[derive(Default)]
struct Lane {
    ids: Vec<Vec<u8>>,
    finished: bool,
}

const RECEIVE: usize = 0;
const DELETE: usize = 1;

impl Drain {
    fn new(connections: usize) -> Self {
        Self { lanes: (0..connections).map(|_| Lane::default()).collect() }
    }
}

impl Traffic for Drain {
    fn operations(&self) -> &'static [&'static str] {
        &["receive", "delete"]
    }

    fn next(&mut self, connection: usize, _now: u64, request: &mut Vec<u8>) -> Next {
        let Some(lane) = self.lanes.get(connection) else { return Next::Finish };
        if lane.finished {
            return Next::Finish;
        }
        request.clear();
        if lane.ids.is_empty() {
            let consumer = connection.to_string();
            let parts: [&[u8]; 9] = [
                b"XREADGROUP",
                b"GROUP",
                GROUP,
                consumer.as_bytes(),
                b"COUNT",
                b"10",
                b"STREAMS",
                STREAM,
                b">",
            ];
            encode(request, &parts);
            return Next::Send;
        }
        let ids = || lane.ids.iter().map(Vec::as_slice);
        let ack: Vec<&[u8]> = [&b"XACK"[..], STREAM, GROUP].into_iter().chain(ids()).collect();
        let delete: Vec<&[u8]> = [&b"XDEL"[..], STREAM].into_iter().chain(ids()).collect();
        encode(request, &ack);
        encode(request, &delete);
        Next::Send
    }

    fn parse(
        &mut self,
        connection: usize,
        received: &[u8],
        _recorder: &mut Recorder,
    ) -> Result<Option<Answer>, Error> {
        let Some(lane) = self.lanes.get_mut(connection) else { return Ok(None) };
        let deleting = !lane.ids.is_empty();
        let replies = if deleting { 2 } else { 1 };
        let Some(bytes) = replies_bytes(received, replies)? else { return Ok(None) };
        let refused = received.starts_with(b"-");
        if deleting {
            let messages = lane.ids.len() as u64;
            lane.ids.clear();
            return Ok(Some(Answer { bytes, operation: DELETE, messages, refused }));
        }
        lane.ids.extend(entry_ids(received).map(<[u8]>::to_vec));
        lane.finished = lane.ids.is_empty();
        Ok(Some(Answer { bytes, operation: RECEIVE, messages: 0, refused }))
    }
}

/// The ids in a stream read's reply. Each entry is `*2`, its id, then `*2` with our one field.
fn entry_ids(reply: &[u8]) -> impl Iterator<Item = &[u8]> {
    const FIELDS: &[u8] = b"*2\r\n$4\r\nbody\r\n";
    memmem::find_iter(reply, FIELDS).filter_map(|at| {
        let before = reply.get(..at)?.strip_suffix(b"\r\n")?;
        let start = memchr::memrchr(b'\n', before)? + 1;
        split_line(reply.get(start..)?).map(|(id, _)| id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_front_of_each_entrys_fields() {
        let reply = b"*1\r\n*2\r\n$5\r\nbench\r\n*2\r\n\
            *2\r\n$3\r\n1-0\r\n*2\r\n$4\r\nbody\r\n$1\r\nx\r\n\
            *2\r\n$4\r\n12-0\r\n*2\r\n$4\r\nbody\r\n$1\r\nx\r\n";
        let ids: Vec<_> = entry_ids(reply).collect();
        assert_eq!(ids, [&b"1-0"[..], &b"12-0"[..]]);
        assert_eq!(replies_bytes(reply, 1).unwrap(), Some(reply.len()));
    }
}
