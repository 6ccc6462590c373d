//! The measures of each queue, in the text format of Prometheus.

use std::fmt::Write;
use std::sync::Arc;

use kyu_broker::{QueueInfo, QueueMetrics};

/// A metric of queues.
struct Family {
    name: &'static str,
    help: &'static str,
    /// `now_ms` is Unix time.
    value: fn(&QueueMetrics, now_ms: u64) -> f64,
}

/// Rise and fall.
const GAUGES: [Family; 7] = [
    Family {
        name: "kyu_queue_ready_messages",
        help: "Messages that a receive may return, also those behind a locked lane.",
        value: |queue, _| queue.stats.ready as f64,
    },
    Family {
        name: "kyu_queue_delayed_messages",
        help: "Messages whose delay has not passed, or that are held.",
        value: |queue, _| queue.stats.delayed as f64,
    },
    Family {
        name: "kyu_queue_held_messages",
        help: "Of the delayed messages, those that wait for a token of the retry budget.",
        value: |queue, _| queue.stats.held as f64,
    },
    Family {
        name: "kyu_queue_dead_messages",
        help: "Dead letters kept in the queue, because there was nowhere to move them.",
        value: |queue, _| queue.stats.dead as f64,
    },
    Family {
        name: "kyu_queue_in_flight_messages",
        help: "Messages under lease.",
        value: |queue, _| queue.stats.in_flight as f64,
    },
    Family {
        name: "kyu_queue_bytes",
        help: "Bytes of the messages in the log.",
        value: |queue, _| queue.stats.bytes as f64,
    },
    Family {
        name: "kyu_queue_oldest_message_age_seconds",
        help: "Time since the oldest message was sent; 0 if there is none.",
        value: |queue, now_ms| {
            let sent_at_ms = queue.stats.oldest_enqueued_at_ms;
            sent_at_ms.map_or(0.0, |at_ms| now_ms.saturating_sub(at_ms) as f64 / 1_000.0)
        },
    },
];

/// The counters, which only rise, from the creation of the queue.
const COUNTERS: [Family; 5] = [
    Family {
        name: "kyu_queue_sent_messages_total",
        help: "Messages sent.",
        value: |queue, _| queue.totals.sent as f64,
    },
    Family {
        name: "kyu_queue_deliveries_total",
        help: "Deliveries.",
        value: |queue, _| queue.totals.received as f64,
    },
    Family {
        name: "kyu_queue_acknowledged_messages_total",
        help: "Messages acknowledged.",
        value: |queue, _| queue.totals.acked as f64,
    },
    Family {
        name: "kyu_queue_expired_messages_total",
        help: "Messages whose time was over.",
        value: |queue, _| queue.totals.expired as f64,
    },
    Family {
        name: "kyu_queue_dead_lettered_messages_total",
        help: "Messages that went to a dead-letter queue.",
        value: |queue, _| {
            let totals = &queue.totals;
            let dead = [
                totals.dead_by_receives,
                totals.dead_by_rejection,
                totals.dead_by_deadline,
                totals.dead_by_retention,
            ];
            dead.iter().sum::<u64>() as f64
        },
    },
];

/// Appends the series of these queues.
pub(crate) fn render(text: &mut String, queues: &[(Arc<QueueInfo>, QueueMetrics)], now_ms: u64) {
    if queues.is_empty() {
        return;
    }
    let labels = queues.iter().map(|(info, _)| {
        let (namespace, queue) = (escaped(&info.name.namespace), escaped(&info.name.name));
        format!("{{namespace=\"{namespace}\",queue=\"{queue}\"}}")
    });
    let labels: Vec<String> = labels.collect();
    for (kind, families) in [("gauge", &GAUGES[..]), ("counter", &COUNTERS[..])] {
        for Family { name, help, value } in families {
            // Writing to a string does not fail.
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
            for (labels, (_, measured)) in labels.iter().zip(queues) {
                let _ = writeln!(text, "{name}{labels} {}", value(measured, now_ms));
            }
        }
    }
}

/// The name as the format wants label values.
fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use kyu_broker::{QueueConfig, QueueId, QueueName, QueueStats, QueueTotals};

    use super::*;

    fn measured(name: &str, stats: QueueStats) -> (Arc<QueueInfo>, QueueMetrics) {
        let info = QueueInfo {
            id: QueueId(1),
            name: QueueName { namespace: "n".into(), name: name.into() },
            config: QueueConfig::default(),
            version: 1,
            created_at_ms: 0,
            modified_at_ms: 0,
        };
        let totals = QueueTotals { dead_by_receives: 2, dead_by_deadline: 1, ..Default::default() };
        (Arc::new(info), QueueMetrics { stats, totals })
    }

    #[test]
    fn each_metric_has_help_a_type_and_a_series_for_each_queue() {
        let oldest =
            QueueStats { oldest_enqueued_at_ms: Some(1_000), ready: 3, ..Default::default() };
        let queues = [measured("a", oldest), measured("b", QueueStats::default())];
        let mut text = String::new();
        render(&mut text, &queues, 2_500);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), (GAUGES.len() + COUNTERS.len()) * 4);
        for family in lines.chunks(4) {
            let name = family[2].split('{').next().unwrap();
            assert!(family[0].starts_with(&format!("# HELP {name} ")), "{family:?}");
            let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
            assert_eq!(family[1], format!("# TYPE {name} {kind}"));
            assert!(family[3].starts_with(&format!("{name}{{namespace=\"n\",queue=\"b\"}} ")));
        }
        assert!(text.contains("\nkyu_queue_ready_messages{namespace=\"n\",queue=\"a\"} 3\n"));
        let age = "kyu_queue_oldest_message_age_seconds{namespace=\"n\",queue=";
        assert!(text.contains(&format!("{age}\"a\"}} 1.5\n{age}\"b\"}} 0\n")), "{text}");
        assert!(
            text.contains("kyu_queue_dead_lettered_messages_total{namespace=\"n\",queue=\"a\"} 3")
        );
    }

    #[test]
    fn names_are_escaped() {
        assert_eq!(escaped("a\"b\\c\nd"), r#"a\"b\\c\nd"#);
        let mut text = String::new();
        render(&mut text, &[], 0);
        assert_eq!(text, "");
    }
}
