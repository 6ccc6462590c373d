//! The rows of one system, and the counts that must agree.

use std::time::Duration;

use super::consume::Consumes;
use super::probe::{Metrics, Single};
use super::send::{Sends, Shape};
use super::{Target, session};
use crate::Error;
use crate::load::{self, Outcome, Pace, Plan, Traffic};
use crate::options::Options;
use crate::report::{Report, Row};

/// As the comparison was asked for.
const CONNECTIONS: [usize; 3] = [1, 8, 32];
const BATCH: usize = 100;
const WARM_UP: Duration = Duration::from_millis(500);
/// Messages in a deep queue, and messages that wait for their time.
const DEEP_MESSAGES: u64 = 300_000;
/// What the delayed ones are delayed by: longer than any run.
const DELAY_SECONDS: i32 = 3_600;
/// Messages and connections that fill a queue.
const FILL_BATCH: usize = 500;
const FILL_CONNECTIONS: usize = 4;
/// A row that ends by count gives up after this.
const COUNT_LIMIT: Duration = Duration::from_secs(600);

/// All rows.
pub(super) fn run(target: &Target, options: &Options, report: &mut Report) -> Result<(), Error> {
    let bench = Bench { target, options };
    bench.sends(report)?;
    bench.consumes(report)?;
    bench.delayed(report)
}

struct Bench<'a> {
    target: &'a Target,
    options: &'a Options,
}

impl Bench<'_> {
    fn plan(&self, connections: usize) -> Plan {
        Plan {
            target: self.target.address,
            connections,
            pace: Pace::Closed,
            warm_up: WARM_UP,
            window: self.options.window(),
            server_pid: Some(self.target.pid),
        }
    }

    fn until_done(&self, connections: usize) -> Plan {
        Plan { warm_up: Duration::ZERO, window: COUNT_LIMIT, ..self.plan(connections) }
    }

    fn query(&self, sql: &str) -> Result<Vec<Vec<String>>, Error> {
        session::query(self.target.address, sql)
    }

    fn length(&self, queue: &str) -> Result<u64, Error> {
        let sql = format!("SELECT queue_length FROM pgmq.metrics('{queue}')");
        Ok(self.query(&sql)?.concat().concat().parse()?)
    }

    fn row(
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

    /// Demands that a queue holds what the traffic says it must.
    fn check(&self, report: &mut Report, queue: &str, expected: u64) -> Result<(), Error> {
        let held = self.length(queue)?;
        if held != expected {
            let system = &self.target.system;
            report.wrong(format!("{system}: {queue} holds {held} messages, not {expected}"));
        }
        Ok(())
    }

    /// Sends `messages` outside any row.
    fn fill(&self, queue: &str, shape: Shape, messages: u64) -> Result<(), Error> {
        if messages == 0 {
            return Ok(());
        }
        let mut sends = Sends::new(queue, shape, self.options.size).limited(messages);
        let outcome = load::run(&self.until_done(FILL_CONNECTIONS), &mut sends)?;
        outcome.first_refusal.map_or(Ok(()), |refusal| Err(format!("filling: {refusal}").into()))
    }

    fn sends(&self, report: &mut Report) -> Result<(), Error> {
        self.query("SELECT pgmq.create('sends')")?;
        let mut sent = 0;
        let rows = [("send", Shape::Single), ("send_batch(100)", Shape::Batch(BATCH))];
        for (name, shape) in rows {
            for connections in CONNECTIONS {
                let mut sends = Sends::new("sends", shape, self.options.size);
                self.row(report, name, &self.plan(connections), &mut sends)?;
                sent += sends.sent_messages;
            }
        }
        let mut sends = Sends::new("sends", Shape::Text, self.options.size);
        self.row(report, "send, simple protocol", &self.plan(32), &mut sends)?;
        self.check(report, "sends", sent + sends.sent_messages)?;
        self.query("SELECT pgmq.drop_queue('sends')").map(drop)
    }

    fn consumes(&self, report: &mut Report) -> Result<(), Error> {
        self.query("SELECT pgmq.create('deep')")?;
        self.fill("deep", Shape::Batch(FILL_BATCH), DEEP_MESSAGES)?;
        let held = self.length("deep")?;
        let mut metrics = Metrics::new("deep", held as i64);
        self.row(report, "metrics of 300,000", &self.plan(1), &mut metrics)?;
        for (name, qty) in [("read(1) + delete", 1), ("read(100) + delete", BATCH as i32)] {
            for connections in CONNECTIONS {
                self.top_up()?;
                self.consume(report, name, qty, &self.plan(connections))?;
            }
        }
        self.top_up()?;
        // What one row read and did not come to delete is in flight; the rest must all come.
        let visible = "SELECT queue_visible_length FROM pgmq.metrics('deep')";
        let visible: u64 = self.query(visible)?.concat().concat().parse()?;
        let drained = self.consume(report, "drain by 100", BATCH as i32, &self.until_done(8))?;
        if drained != visible {
            let system = &self.target.system;
            report.wrong(format!("{system}: {visible} were visible, {drained} came"));
        }
        self.query("SELECT pgmq.drop_queue('deep')").map(drop)
    }

    /// Makes the deep queue deep again.
    fn top_up(&self) -> Result<(), Error> {
        let missing = DEEP_MESSAGES.saturating_sub(self.length("deep")?);
        self.fill("deep", Shape::Batch(FILL_BATCH), missing)
    }

    /// A row of reads and deletes; how many messages were deleted.
    fn consume(
        &self,
        report: &mut Report,
        name: &str,
        qty: i32,
        plan: &Plan,
    ) -> Result<u64, Error> {
        let before = self.length("deep")?;
        let mut consumes = Consumes::new("deep", qty, plan.connections);
        self.row(report, name, plan, &mut consumes)?;
        self.check(report, "deep", before - consumes.deleted_messages)?;
        Ok(consumes.deleted_messages)
    }

    fn delayed(&self, report: &mut Report) -> Result<(), Error> {
        self.query("SELECT pgmq.create('delayed')")?;
        self.fill("delayed", Shape::Later(FILL_BATCH, DELAY_SECONDS), DEEP_MESSAGES)?;
        let name = "one ready behind 300,000 delayed";
        self.row(report, name, &self.plan(1), &mut Single::new("delayed", self.options.size))?;
        self.query("SELECT pgmq.drop_queue('delayed')").map(drop)
    }
}
