//! The load generator: many connections, one thread, one epoll, two system calls a request.
//!
//! It shares the machine with the server it measures, so what it spends is taken from the result:
//! requests are prebuilt bytes, answers are measured where they arrived and never copied.

mod connection;
mod driver;
mod recorder;

use std::net::SocketAddr;
use std::time::Duration;

pub(crate) use driver::run;
pub(crate) use recorder::{Latency, Recorder};

use crate::Error;
use crate::process::Usage;

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// Each connection sends its next request when the answer to the last arrived.
    Closed,
    /// Requests are due at a fixed rate whatever the server does. Latency counts from the moment a
    /// request was due, so a server that stalls is charged for everyone who had to wait.
    Open {
        /// Requests due each second, over all connections.
        requests_per_second: f64,
    },
}

/// One measurement: whom to load, how, for how long.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The server's address.
    pub target: SocketAddr,
    /// Connections kept open; at most one request is under way on each.
    pub connections: usize,
    /// When requests are sent.
    pub pace: Pace,
    /// Load before the measured window opens.
    pub warm_up: Duration,
    /// Length of the measured window; ends earlier when the traffic says it is finished.
    pub window: Duration,
    /// The server's process, whose cost is reported.
    pub server_pid: Option<u32>,
}

/// What a connection does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Send the request that was put into the buffer.
    Send,
    /// Nothing now; ask again after other answers have arrived.
    Pause,
    /// Nothing any more.
    Finish,
}

/// An answer the traffic recognised at the start of the received bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// Its length on the wire.
    pub bytes: usize,
    /// Which of [`Traffic::operations`] it answers.
    pub operation: usize,
    /// Messages this answer completes, as the workload counts them.
    pub messages: u64,
    /// The server refused; the run goes on and the row says how often.
    pub refused: bool,
}

/// A workload: what is sent on each connection and what the answers mean.
pub(crate) trait Traffic {
    /// Names of the latency series this traffic records, the row's main one first.
    fn operations(&self) -> &'static [&'static str];

    /// Decides what `connection` does next; `request` still holds its previous request, so traffic
    /// that repeats itself changes nothing. `now` is the clock of [`Recorder::now`].
    fn next(&mut self, connection: usize, now: u64, request: &mut Vec<u8>) -> Next;

    /// Finds one whole answer at the start of `received`; `None` while bytes are missing.
    fn parse(
        &mut self,
        connection: usize,
        received: &[u8],
        recorder: &mut Recorder,
    ) -> Result<Option<Answer>, Error>;

    /// Speaks what must be spoken on a fresh blocking connection before the load, such as a log-in.
    fn greet(&mut self, _stream: &mut std::net::TcpStream) -> Result<(), Error> {
        Ok(())
    }
}

/// What a run measured.
#[derive(Clone)]
pub(crate) struct Outcome {
    /// Length of the measured window.
    pub elapsed: Duration,
    /// Answers that arrived in the window.
    pub requests: u64,
    /// Messages completed in the window.
    pub messages: u64,
    /// Answers that refused.
    pub refused: u64,
    /// The first refusal, as received.
    pub first_refusal: Option<String>,
    /// Requests of an open loop that were due in the window but could not even be sent.
    pub unsent: u64,
    /// Latencies by operation, in nanoseconds.
    pub latencies: Vec<Latency>,
    /// What this process spent in the window.
    pub client: Usage,
    /// What the server spent in the window.
    pub server: Option<Usage>,
}
