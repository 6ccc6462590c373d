//! The long workloads: what disk, memory and restart time do under a steady flow, a deep backlog
//! and a wall of delayed messages.

use serde_json::json;

use super::call::{create_queue, delete_queue, message_count};
use super::consumer::{Consumer, WhenEmpty};
use super::probe::Probe;
use super::producer::Shape;
use super::workloads::Bench;
use crate::Error;
use crate::kyu::{Ending, Kyu};
use crate::load::{self, Pace};
use crate::options::{Options, Workload};
use crate::process::Usage;
use crate::report::{Report, Row};

/// Messages of a steady flow or a backlog, unless told otherwise.
const LONG_MESSAGES: u64 = 20_000_000;
/// Delayed messages ahead of one ready.
const DELAYED_MESSAGES: u64 = 300_000;
/// The longest delay SQS has: none of them becomes ready during the run.
const DELAY_SECONDS: u32 = 900;

/// Each probe before the backlog is counted may end between a send and its delete.
const PROBES_BEFORE_COUNT: u64 = 3;

/// Runs one long workload on a queue of its own, restarting the server where that is measured.
pub(crate) fn run_long(
    kyu: &mut Kyu,
    workload: Workload,
    options: &Options,
    report: &mut Report,
) -> Result<(), Error> {
    let name = format!("bench-long-{}", std::process::id());
    let url = create_queue(kyu.target.address, &name, json!({"VisibilityTimeout": "3600"}))?;
    let messages = options.messages.unwrap_or(LONG_MESSAGES);
    match workload {
        Workload::Steady => steady(kyu, options, &url, messages, report)?,
        Workload::Backlog => backlog(kyu, options, &url, messages, report)?,
        Workload::Delayed => delayed(kyu, options, &url, report)?,
        other => return Err(format!("{other:?} is not a long workload").into()),
    }
    delete_queue(kyu.target.address, &url)
}

fn steady(
    kyu: &mut Kyu,
    options: &Options,
    url: &str,
    messages: u64,
    report: &mut Report,
) -> Result<(), Error> {
    Bench { target: &kyu.target, options, url }.steady(report, messages)?;
    report_state(kyu, "steady flow", report);
    restart_both_ways(kyu, "steady flow", report)
}

fn backlog(
    kyu: &mut Kyu,
    options: &Options,
    url: &str,
    messages: u64,
    report: &mut Report,
) -> Result<(), Error> {
    let bench = Bench { target: &kyu.target, options, url };
    probe(&bench, "one message, empty queue", report)?;
    let sent = fill(&bench, Shape::Batch, "fill a backlog, batches", messages, report)?;
    probe(&bench, "one message, deep backlog", report)?;
    report_state(kyu, "backlog", report);
    restart_both_ways(kyu, "backlog", report)?;
    report_state(kyu, "backlog after restart", report);
    let bench = Bench { target: &kyu.target, options, url };
    probe(&bench, "one message, backlog after restart", report)?;
    let held = message_count(kyu.target.address, url)?;
    if !(sent..=sent + PROBES_BEFORE_COUNT).contains(&held) {
        report.wrong(format!("backlog: {sent} messages acknowledged, {held} held after restarts"));
    }
    // The head of the backlog left memory long ago: this reads it from the disk.
    let plan = bench.plan(bench.all(), Pace::Closed);
    let mut consumer =
        Consumer::new(kyu.target.address, url, WhenEmpty::Finish, usize::from(options.connections));
    bench.row(report, "drain a cold backlog", &plan, &mut consumer).map(drop)
}

fn delayed(kyu: &mut Kyu, options: &Options, url: &str, report: &mut Report) -> Result<(), Error> {
    let bench = Bench { target: &kyu.target, options, url };
    probe(&bench, "one message, empty queue", report)?;
    let shape = Shape::DelayedBatch { seconds: DELAY_SECONDS };
    fill(&bench, shape, "fill with delayed, batches", DELAYED_MESSAGES, report)?;
    probe(&bench, "one message, 300k delayed ahead", report)?;
    report_state(kyu, "300k delayed", report);
    Ok(())
}

/// Sends `messages` and tells how many it sent, which is a whole number of batches.
fn fill(
    bench: &Bench<'_>,
    shape: Shape,
    name: &str,
    messages: u64,
    report: &mut Report,
) -> Result<u64, Error> {
    let mut producer = bench.producer(shape).limited(messages);
    let plan = bench.until_done(bench.all());
    bench.row(report, name, &plan, &mut producer)?;
    Ok(producer.sent_messages)
}

/// One connection sends, receives and deletes one message at a time.
fn probe(bench: &Bench<'_>, name: &str, report: &mut Report) -> Result<(), Error> {
    let server = bench.target.address;
    let consumer = Consumer::new(server, bench.url, WhenEmpty::Wait { seconds: 0 }, 1)
        .one_by_one(server, bench.url);
    let mut probe = Probe::new(bench.producer(Shape::Single), consumer);
    let plan = bench.plan(1, Pace::Closed);
    let mut outcome = load::run(&plan, &mut probe)?;
    // In a backlog the message received is an old one, stamped by an earlier run's clock.
    outcome.latencies.retain(|series| series.operation != "end to end");
    report.add(Row::new(&bench.target.system, name, plan.connections, plan.pace, &outcome));
    Ok(())
}

fn report_state(kyu: &Kyu, state: &str, report: &mut Report) {
    let system = &kyu.target.system;
    if let Some(usage) = kyu.target.pid.and_then(Usage::of_server) {
        report.fact(system, format!("{state}: RSS"), usage.resident_bytes as f64, "bytes");
        report.fact(
            system,
            format!("{state}: peak RSS"),
            usage.peak_resident_bytes as f64,
            "bytes",
        );
    }
    if let Some(bytes) = kyu.disk_usage_bytes() {
        report.fact(system, format!("{state}: data on disk"), bytes as f64, "bytes");
    }
}

fn restart_both_ways(kyu: &mut Kyu, state: &str, report: &mut Report) -> Result<(), Error> {
    for (ending, name) in [(Ending::Kill, "SIGKILL"), (Ending::Term, "SIGTERM")] {
        if let Some(ready_after) = kyu.restart(ending)? {
            let name = format!("{state}: ready again after {name}");
            report.fact(&kyu.target.system, name, ready_after.as_secs_f64(), "s");
        }
    }
    Ok(())
}
