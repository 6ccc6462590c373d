//! The short SQS workloads, one row each.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;

use super::call::{create_queue, delete_queue, message_count};
use super::consumer::{Consumer, WhenEmpty};
use super::flow::Flow;
use super::producer::{Producer, Shape};
use crate::Error;
use crate::load::{self, Outcome, Pace, Plan, Traffic};
use crate::options::{Options, Workload};
use crate::report::{Report, Row};

/// Load before the measured window.
const WARM_UP: Duration = Duration::from_secs(1);
/// Depth at which the producers of a steady flow pause.
const STEADY_DEPTH: u64 = 100_000;
/// A workload that ends by count gives up after this.
const COUNT_LIMIT: Duration = Duration::from_secs(3600);
/// Messages that a drain finds, unless told otherwise.
const DRAIN_MESSAGES: u64 = 300_000;
/// Groups of the FIFO workload.
const FIFO_GROUPS: u64 = 1000;
/// Depth at which the producers of a mixed flow pause.
const MIXED_DEPTH: u64 = 20_000;
/// An SQS answer may wait this long for messages.
const LONG_POLL_SECONDS: u32 = 1;

/// The server to load.
pub(crate) struct Target {
    /// Its name in the report.
    pub system: String,
    /// Its SQS endpoint.
    pub address: SocketAddr,
    /// Its process, when known.
    pub pid: Option<u32>,
}

/// Runs one workload on a queue of its own and adds its rows.
pub(crate) fn run(
    target: &Target,
    workload: Workload,
    options: &Options,
    report: &mut Report,
) -> Result<(), Error> {
    let shape = match workload {
        Workload::SendBatch => Shape::Batch,
        Workload::Fifo => Shape::Fifo { groups: FIFO_GROUPS },
        _ => Shape::Single,
    };
    let (suffix, attributes) = match shape {
        Shape::Fifo { .. } => (".fifo", json!({"FifoQueue": "true"})),
        _ => ("", json!({})),
    };
    let name = format!("bench-{}{suffix}", std::process::id());
    let url = create_queue(target.address, &name, attributes)?;
    let bench = Bench { target, options, url: &url };
    match workload {
        Workload::SendOne => bench.send(report, "SendMessage", shape, 1, Pace::Closed)?,
        Workload::Send => bench.send(report, "SendMessage", shape, bench.all(), Pace::Closed)?,
        Workload::SendBatch => {
            bench.send(report, "SendMessageBatch(10)", shape, bench.all(), Pace::Closed)?;
        }
        Workload::Fifo => {
            bench.send(
                report,
                "SendMessage FIFO, 1000 groups",
                shape,
                bench.all(),
                Pace::Closed,
            )?;
        }
        Workload::SendOpen => bench.send_open(report)?,
        Workload::Drain => bench.drain(report)?,
        Workload::Mixed => bench.mixed(report)?,
        other => return Err(format!("{other:?} is not an SQS workload").into()),
    }
    delete_queue(target.address, &url)
}

/// One queue, the server that has it, and how to load it.
pub(super) struct Bench<'a> {
    pub(super) target: &'a Target,
    pub(super) options: &'a Options,
    pub(super) url: &'a str,
}

impl Bench<'_> {
    pub(super) fn all(&self) -> usize {
        usize::from(self.options.connections)
    }

    pub(super) fn plan(&self, connections: usize, pace: Pace) -> Plan {
        Plan {
            target: self.target.address,
            connections,
            pace,
            warm_up: WARM_UP,
            window: self.options.window(),
            server_pid: self.target.pid,
        }
    }

    pub(super) fn until_done(&self, connections: usize) -> Plan {
        let plan = self.plan(connections, Pace::Closed);
        Plan { warm_up: Duration::ZERO, window: COUNT_LIMIT, ..plan }
    }

    pub(super) fn producer(&self, shape: Shape) -> Producer {
        Producer::new(self.target.address, self.url, shape, self.options.size)
    }

    pub(super) fn row(
        &self,
        report: &mut Report,
        name: &str,
        plan: &Plan,
        traffic: &mut impl Traffic,
    ) -> Result<Outcome, Error> {
        let outcome = load::run(plan, traffic)?;
        report.add(Row::new(&self.target.system, name, plan.connections, plan.pace, &outcome));
        Ok(outcome)
    }

    fn send(
        &self,
        report: &mut Report,
        name: &str,
        shape: Shape,
        connections: usize,
        pace: Pace,
    ) -> Result<(), Error> {
        let plan = self.plan(connections, pace);
        self.row(report, name, &plan, &mut self.producer(shape)).map(drop)
    }

    fn send_open(&self, report: &mut Report) -> Result<(), Error> {
        let name = "SendMessage";
        let is_closed_send = |row: &&Row| row.workload == name && row.connections == self.all();
        let reached = report.rows.iter().rev().find(is_closed_send);
        let reached = reached.map(|row| row.requests_per_second / 2.0);
        let rate =
            self.options.rate.or(reached).ok_or("send-open needs --rate, or send before it")?;
        let pace = Pace::Open { requests_per_second: rate };
        self.send(report, name, Shape::Single, self.all(), pace)
    }

    fn drain(&self, report: &mut Report) -> Result<(), Error> {
        let messages = self.options.messages.unwrap_or(DRAIN_MESSAGES);
        let mut producer = self.producer(Shape::Batch).limited(messages);
        let sent = load::run(&self.until_done(self.all()), &mut producer)?;
        if let Some(refusal) = sent.first_refusal {
            return Err(format!("filling the queue to drain: {refusal}").into());
        }
        let held = message_count(self.target.address, self.url)?;
        let mut consumer =
            Consumer::new(self.target.address, self.url, WhenEmpty::Finish, self.all());
        let plan = self.until_done(self.all());
        let outcome = load::run(&plan, &mut consumer)?;
        let mut row = Row::new(
            &self.target.system,
            "Receive(10)+DeleteBatch",
            plan.connections,
            plan.pace,
            &outcome,
        );
        let (sent, drained) = (producer.sent_messages, consumer.deleted_messages);
        let left = message_count(self.target.address, self.url)?;
        if row.wrong.is_none() && (held != sent || drained != sent || left != 0) {
            row.wrong = Some(format!("sent {sent}, held {held}, drained {drained}, left {left}"));
        }
        report.add(row);
        Ok(())
    }

    fn mixed(&self, report: &mut Report) -> Result<(), Error> {
        let mut flow = self.flow(self.producer(Shape::Single), MIXED_DEPTH);
        let plan = self.plan(self.flow_connections(), Pace::Closed);
        self.row(report, "mixed send/receive/delete", &plan, &mut flow).map(drop)
    }

    /// Sends `messages` in batches through the queue, half of the connections consuming.
    pub(super) fn steady(&self, report: &mut Report, messages: u64) -> Result<(), Error> {
        let producer = self.producer(Shape::Batch).limited(messages);
        let mut flow = self.flow(producer, STEADY_DEPTH);
        let plan = self.until_done(self.flow_connections());
        let outcome = load::run(&plan, &mut flow)?;
        let mut row = Row::new(
            &self.target.system,
            "steady flow, batches",
            plan.connections,
            plan.pace,
            &outcome,
        );
        let (sent, deleted) = (flow.producer.sent_messages, flow.consumer.deleted_messages);
        let left = message_count(self.target.address, self.url)?;
        if row.wrong.is_none() && (sent != deleted || left != 0) {
            row.wrong = Some(format!("sent {sent}, deleted {deleted}, left {left}"));
        }
        report.add(row);
        Ok(())
    }

    fn producers(&self) -> usize {
        (self.all() / 2).max(1)
    }

    fn flow_connections(&self) -> usize {
        self.all().max(2)
    }

    fn flow(&self, producer: Producer, max_depth: u64) -> Flow {
        let wait = WhenEmpty::Wait { seconds: LONG_POLL_SECONDS };
        let consumers = self.flow_connections() - self.producers();
        let consumer = Consumer::new(self.target.address, self.url, wait, consumers);
        Flow { producer, consumer, producers: self.producers(), max_depth }
    }
}
