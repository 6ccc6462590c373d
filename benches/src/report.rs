//! Results: gathered as rows, printed as an aligned table or as one JSON document.

use serde::Serialize;

use crate::limits::Limit;
use crate::load::{Outcome, Pace};
use crate::machine::Machine;
use crate::process::Usage;

/// Everything a run found out.
#[derive(Serialize)]
pub(crate) struct Report {
    /// Where.
    pub machine: Machine,
    /// Raw limits.
    pub limits: Vec<Limit>,
    /// Loads.
    pub rows: Vec<Row>,
    /// Single figures: restart time, disk use.
    pub facts: Vec<Fact>,
    /// Findings that make the whole run worthless.
    pub wrongs: Vec<String>,
}

/// One load on one system.
#[derive(Serialize)]
pub(crate) struct Row {
    /// Who was loaded.
    pub system: String,
    /// With what.
    pub workload: String,
    /// Over how many connections.
    pub connections: usize,
    /// `closed`, or the rate of an open loop.
    pub pace: String,
    /// Length of the measured window.
    pub seconds: f64,
    /// Messages completed a second.
    pub messages_per_second: f64,
    /// Answers a second.
    pub requests_per_second: f64,
    /// By operation, the main one first.
    pub latencies: Vec<LatencyRow>,
    /// What the server spent.
    pub server: Option<Cost>,
    /// What the load generator spent.
    pub client: Cost,
    /// What makes this row worthless, if anything does.
    pub wrong: Option<String>,
}

/// Latency of one operation, in nanoseconds.
#[derive(Serialize)]
pub(crate) struct LatencyRow {
    operation: &'static str,
    count: u64,
    p50_nanos: u64,
    p99_nanos: u64,
    p999_nanos: u64,
    max_nanos: u64,
}

/// What a process spent, per million messages.
#[derive(Serialize)]
pub(crate) struct Cost {
    user_seconds_per_million: f64,
    system_seconds_per_million: f64,
    written_bytes_per_million: f64,
    resident_bytes: u64,
    peak_resident_bytes: u64,
}

/// One figure.
#[derive(Serialize)]
pub(crate) struct Fact {
    /// Whose.
    pub system: String,
    /// Of what.
    pub name: String,
    /// How much.
    pub value: f64,
    /// In what.
    pub unit: &'static str,
}

impl Row {
    /// Makes the row of a finished run.
    pub(crate) fn new(
        system: &str,
        workload: &str,
        connections: usize,
        pace: Pace,
        outcome: &Outcome,
    ) -> Self {
        let seconds = outcome.elapsed.as_secs_f64();
        let wrong = match (&outcome.first_refusal, outcome.unsent) {
            (Some(answer), _) => Some(format!("{} refused, first: {answer}", outcome.refused)),
            (None, 0) if outcome.requests == 0 => Some("no answer at all".into()),
            (None, 0) => None,
            (None, unsent) => Some(format!("overloaded: {unsent} requests never sent")),
        };
        let latencies = outcome.latencies.iter().filter(|series| series.histogram.count() > 0);
        Self {
            system: system.into(),
            workload: workload.into(),
            connections,
            pace: match pace {
                Pace::Closed => "closed".into(),
                Pace::Open { requests_per_second } => format!("{requests_per_second:.0}/s"),
            },
            seconds,
            messages_per_second: outcome.messages as f64 / seconds,
            requests_per_second: outcome.requests as f64 / seconds,
            latencies: latencies
                .map(|series| LatencyRow {
                    operation: series.operation,
                    count: series.histogram.count(),
                    p50_nanos: series.histogram.quantile(0.5),
                    p99_nanos: series.histogram.quantile(0.99),
                    p999_nanos: series.histogram.quantile(0.999),
                    max_nanos: series.histogram.max(),
                })
                .collect(),
            server: outcome.server.map(|usage| Cost::new(&usage, outcome.messages)),
            client: Cost::new(&outcome.client, outcome.messages),
            wrong,
        }
    }
}

impl Cost {
    fn new(usage: &Usage, messages: u64) -> Self {
        let per_million = 1e6 / messages.max(1) as f64;
        Self {
            user_seconds_per_million: usage.user.as_secs_f64() * per_million,
            system_seconds_per_million: usage.system.as_secs_f64() * per_million,
            written_bytes_per_million: usage.written_bytes as f64 * per_million,
            resident_bytes: usage.resident_bytes,
            peak_resident_bytes: usage.peak_resident_bytes,
        }
    }
}

impl Report {
    /// An empty report.
    pub(crate) fn new(machine: Machine) -> Self {
        Self {
            machine,
            limits: Vec::new(),
            rows: Vec::new(),
            facts: Vec::new(),
            wrongs: Vec::new(),
        }
    }

    /// Adds a row and says on standard error that it is done.
    pub(crate) fn add(&mut self, row: Row) {
        eprintln!("  {} {}: {:.0} messages/s", row.system, row.workload, row.messages_per_second);
        self.rows.push(row);
    }

    /// Adds a figure.
    pub(crate) fn fact(
        &mut self,
        system: &str,
        name: impl Into<String>,
        value: f64,
        unit: &'static str,
    ) {
        let name = name.into();
        eprintln!("  {system} {name}: {value:.3} {unit}");
        self.facts.push(Fact { system: system.into(), name, value, unit });
    }

    /// Notes a finding that must not go unseen.
    pub(crate) fn wrong(&mut self, finding: String) {
        eprintln!("  WRONG {finding}");
        self.wrongs.push(finding);
    }

    /// Whether every row is worth something.
    pub(crate) fn is_sound(&self) -> bool {
        self.wrongs.is_empty() && self.rows.iter().all(|row| row.wrong.is_none())
    }

    /// The report as text.
    pub(crate) fn to_table(&self) -> String {
        let Machine { cores, processor, kernel, memory_bytes, file_system } = &self.machine;
        let memory = bytes(*memory_bytes as f64);
        let mut text =
            format!("{cores} cores, {processor}, {memory} memory, {kernel}, {file_system}\n");
        if !self.limits.is_empty() {
            text += &align(&self.limit_cells());
        }
        if !self.rows.is_empty() {
            text += &align(&self.row_cells());
        }
        for row in &self.rows {
            if let Some(wrong) = &row.wrong {
                text += &format!("WRONG  {} {}: {wrong}\n", row.system, row.workload);
            }
        }
        if !self.facts.is_empty() {
            text += &align(&self.fact_cells());
        }
        self.wrongs.iter().for_each(|finding| text += &format!("WRONG  {finding}\n"));
        text
    }

    fn limit_cells(&self) -> Vec<Vec<String>> {
        let mut cells = vec![words(&["limit", "ops/s", "bytes/s", "p50", "p99"])];
        cells.extend(self.limits.iter().map(|limit| {
            vec![
                limit.name.clone(),
                count(limit.per_second),
                bytes(limit.bytes_per_second),
                time(limit.p50_nanos),
                time(limit.p99_nanos),
            ]
        }));
        cells
    }

    fn row_cells(&self) -> Vec<Vec<String>> {
        let mut cells = vec![words(&[
            "system",
            "workload",
            "conns",
            "pace",
            "msg/s",
            "req/s",
            "latency of",
            "p50",
            "p99",
            "p99.9",
            "max",
            "srv usr",
            "srv sys",
            "cli cpu",
            "written",
            "rss",
            "peak",
        ])];
        for row in &self.rows {
            let mut line = vec![
                row.system.clone(),
                row.workload.clone(),
                row.connections.to_string(),
                row.pace.clone(),
                count(row.messages_per_second),
                count(row.requests_per_second),
            ];
            let mut latencies = row.latencies.iter().map(LatencyRow::cells);
            line.extend(latencies.next().unwrap_or_else(|| words(&["-"; 5])));
            line.extend(match &row.server {
                Some(cost) => [
                    format!("{:.1} s", cost.user_seconds_per_million),
                    format!("{:.1} s", cost.system_seconds_per_million),
                ],
                None => ["-".into(), "-".into()],
            });
            let client = &row.client;
            let client = client.user_seconds_per_million + client.system_seconds_per_million;
            line.push(format!("{client:.1} s"));
            line.extend(match &row.server {
                Some(cost) => [
                    bytes(cost.written_bytes_per_million),
                    bytes(cost.resident_bytes as f64),
                    bytes(cost.peak_resident_bytes as f64),
                ],
                None => ["-".into(), "-".into(), "-".into()],
            });
            cells.push(line);
            for latency in latencies {
                let mut line = vec![String::new(); 6];
                line.extend(latency);
                cells.push(line);
            }
        }
        cells
    }

    fn fact_cells(&self) -> Vec<Vec<String>> {
        let mut cells = vec![words(&["system", "figure", "value"])];
        cells.extend(self.facts.iter().map(|fact| {
            let value = match fact.unit {
                "bytes" => bytes(fact.value),
                unit => format!("{:.3} {unit}", fact.value),
            };
            vec![fact.system.clone(), fact.name.clone(), value]
        }));
        cells
    }
}

impl LatencyRow {
    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.operation.to_owned()];
        let values = [self.p50_nanos, self.p99_nanos, self.p999_nanos, self.max_nanos];
        cells.extend(values.map(time));
        cells
    }
}

fn words(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Aligns columns: text to the left, numbers to the right.
fn align(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let is_number = |column: usize| {
        let body = lines.iter().skip(1).filter_map(|line| line.get(column));
        body.filter(|cell| !cell.is_empty())
            .all(|cell| cell.starts_with(|first: char| first.is_ascii_digit() || first == '-'))
    };
    let numeric: Vec<bool> = (0..columns).map(is_number).collect();
    let mut text = String::from("\n");
    for line in lines {
        let cells: Vec<String> = line
            .iter()
            .zip(widths.iter().zip(&numeric))
            .map(|(cell, (width, numeric))| match numeric {
                true => format!("{cell:>width$}"),
                false => format!("{cell:<width$}"),
            })
            .collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text
}

fn count(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn time(nanos: u64) -> String {
    let nanos = nanos as f64;
    match nanos {
        _ if nanos < 1e3 => format!("{nanos:.0} ns"),
        _ if nanos < 1e6 => format!("{:.1} us", nanos / 1e3),
        _ if nanos < 1e9 => format!("{:.2} ms", nanos / 1e6),
        _ => format!("{:.2} s", nanos / 1e9),
    }
}

fn bytes(value: f64) -> String {
    let units = ["B", "KB", "MB", "GB", "TB"];
    let mut value = value;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", units.get(unit).unwrap_or(&""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(count(1_234_567.4), "1,234,567");
        assert_eq!(
            (time(999), time(1_500), time(2_000_000)),
            ("999 ns".into(), "1.5 us".into(), "2.00 ms".into())
        );
        assert_eq!(bytes(1_500_000.0), "1.5 MB");
    }

    #[test]
    fn columns_line_up_with_numbers_to_the_right() {
        let lines = [words(&["name", "n"]), words(&["a", "5"]), words(&["bcdef", "1,000"])];
        assert_eq!(align(&lines), "\nname       n\na          5\nbcdef  1,000\n");
    }
}
