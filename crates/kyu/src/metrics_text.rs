//! The measures of the server, in the text format of Prometheus (version 0.0.4).

use std::fmt::Write;
use std::sync::atomic::Ordering::Relaxed;

use kyu_aws::DeliveryCounts;
use kyu_broker::{Counter, MetricsSnapshot};
use kyu_door::accept::ConnectionCounts;
use kyu_door::budget::Budget;
use kyu_door::http::{Counts, PortMemory};
use kyu_pgmq::wire::{Counts as PgmqCounts, DoorMemory};

/// Renders everything.
pub(crate) fn render(
    broker: &MetricsSnapshot,
    http: &Counts,
    memory: &PortMemory,
    pgmq: &PgmqCounts,
    pgmq_memory: &DoorMemory,
    sns: &DeliveryCounts,
    queues_without_series: u64,
) -> String {
    let mut text = String::with_capacity(8 << 10);
    for (counter, value) in Counter::ALL.iter().zip(&broker.counters) {
        sample(&mut text, "counter", counter.name(), counter.help(), *value);
    }
    for (name, help, value) in broker.gauges.samples() {
        sample(&mut text, "gauge", name, help, value);
    }
    let log = &broker.log;
    let counters = [
        ("kyu_log_written_bytes_total", "Bytes written to segments.", log.written_bytes),
        ("kyu_log_batches_total", "Batches written.", log.batches),
        ("kyu_log_syncs_total", "Durable writes.", log.syncs),
        ("kyu_log_cold_reads_total", "Reads of segment files.", log.cold_reads),
        ("kyu_log_prewritten_segments_total", "Segments filled.", log.prewritten_segments),
        ("kyu_http_requests_total", "Requests answered.", http.requests.load(Relaxed)),
        (
            "kyu_http_rejected_requests_total",
            "Requests that never arrived whole.",
            http.requests_rejected.load(Relaxed),
        ),
        ("kyu_pgmq_statements_total", "Statements run.", pgmq.statements.load(Relaxed)),
        (
            "kyu_pgmq_failed_statements_total",
            "Statements that ended with an error.",
            pgmq.statements_failed.load(Relaxed),
        ),
    ];
    let deliveries = [
        ("kyu_sns_http_taken_total", "SNS messages that HTTP endpoints took.", &sns.taken),
        ("kyu_sns_http_retried_total", "Failed tries that are repeated.", &sns.retried),
        ("kyu_sns_http_dead_lettered_total", "SNS messages dead-lettered.", &sns.dead_lettered),
        ("kyu_sns_http_dropped_total", "SNS messages that no endpoint took.", &sns.dropped),
    ];
    let deliveries = deliveries.map(|(name, help, value)| (name, help, value.load(Relaxed)));
    for (name, help, value) in counters.into_iter().chain(deliveries) {
        sample(&mut text, "counter", name, help, value);
    }
    connections(&mut text, "kyu_http_connections", &http.connections);
    budget(&mut text, "kyu_http_bodies", "bodies that arrive", memory.bodies());
    budget(&mut text, "kyu_http_answers", "answers not read yet", memory.answers());
    connections(&mut text, "kyu_pgmq_connections", &pgmq.connections);
    budget(&mut text, "kyu_pgmq_sessions", "SQL sessions", pgmq_memory.sessions());
    let messages = "SQL messages that arrive, within that of the sessions";
    budget(&mut text, "kyu_pgmq_messages", messages, pgmq_memory.messages());
    let name = "kyu_queues_without_series";
    let help = "Queues of which nothing is told here but in the sums.";
    sample(&mut text, "gauge", name, help, queues_without_series);
    text
}

fn connections(text: &mut String, name: &str, counts: &ConnectionCounts) {
    let [accepted, open, refused] =
        [&counts.accepted, &counts.open, &counts.refused].map(|count| count.load(Relaxed));
    sample(text, "counter", &format!("{name}_total"), "Connections accepted.", accepted);
    let help = "Connections refused at the limit.";
    sample(text, "counter", &format!("{name}_refused_total"), help, refused);
    sample(text, "gauge", name, "Connections open now.", open);
}

fn budget(text: &mut String, name: &str, what: &str, budget: &Budget) {
    let used = budget.used_bytes() as u64;
    sample(text, "gauge", &format!("{name}_bytes"), &format!("Memory of {what}."), used);
    let help = format!("Requests refused for want of memory for {what}.");
    sample(text, "counter", &format!("{name}_refused_total"), &help, budget.refusals());
}

fn sample(text: &mut String, kind: &str, name: &str, help: &str, value: u64) {
    // Writing to a string does not fail.
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
}

#[cfg(test)]
mod tests {
    use kyu_broker::Gauges;

    use super::*;

    #[test]
    fn every_sample_has_help_a_type_and_a_name_by_the_rules() {
        let snapshot = MetricsSnapshot {
            counters: vec![7; Counter::ALL.len()],
            gauges: Gauges::default(),
            log: Default::default(),
        };
        let (pgmq, sns) = (PgmqCounts::default(), DeliveryCounts::default());
        let process = Budget::process(0);
        let memory = PortMemory::new(&process, &kyu_door::limits::Limits::default());
        let held = DoorMemory::new(&process, &kyu_pgmq::wire::Limits::default());
        let text = render(&snapshot, &Counts::default(), &memory, &pgmq, &held, &sns, 0);
        let mut names = Vec::new();
        let lines: Vec<_> = text.lines().collect();
        for chunk in lines.chunks(3) {
            let name = chunk[2].split(' ').next().unwrap();
            assert!(chunk[0].starts_with(&format!("# HELP {name} ")), "{}", chunk[0]);
            let counter = chunk[1] == format!("# TYPE {name} counter");
            assert!(counter || chunk[1] == format!("# TYPE {name} gauge"), "{}", chunk[1]);
            assert_eq!(counter, name.ends_with("_total"), "{name}");
            names.push(name);
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "a name twice");
        assert!(text.contains("\nkyu_enqueued_messages_total 7\n"));
    }
}
