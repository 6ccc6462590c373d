//! `cargo xtask sim`: runs of the simulation, one seed after the other.

use std::hash::{BuildHasher, RandomState};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use kyu_sim::{Coverage, Event, Options, Report, SyncMode, run};

/// Seeded simulation of the server with faults and an auditor.
#[derive(Parser)]
struct Arguments {
    /// The seed. Alone it means one run; with --seconds or --runs the first of many.
    #[arg(long)]
    seed: Option<u64>,
    /// Take new seeds for this long.
    #[arg(long)]
    seconds: Option<u64>,
    /// Take this many seeds.
    #[arg(long)]
    runs: Option<u64>,
    /// Print everything that was asked and answered.
    #[arg(long)]
    trace: bool,
    /// The control: a log that does not sync. It must be caught.
    #[arg(long)]
    broken_sync: bool,
}

/// The length of a run without arguments, in seconds.
const DEFAULT_SECONDS: u64 = 60;
/// So many failures tell enough.
const MAX_FAILURES: usize = 5;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let first = arguments.seed.unwrap_or_else(|| RandomState::new().hash_one("seed") >> 1);
    let one = arguments.seed.is_some() && arguments.seconds.is_none() && arguments.runs.is_none();
    let most_runs = if one { 1 } else { arguments.runs.unwrap_or(u64::MAX) };
    let seconds = match (one, arguments.seconds, arguments.runs) {
        (false, None, None) => DEFAULT_SECONDS,
        (_, seconds, _) => seconds.unwrap_or(u64::MAX),
    };
    let sync = if arguments.broken_sync { SyncMode::Broken } else { SyncMode::Always };
    let options = Options { sync, keep_trace: arguments.trace, ..Options::default() };
    let started = Instant::now();
    let mut coverage = Coverage::default();
    let (mut runs, mut failures) = (0, 0);
    while runs < most_runs
        && started.elapsed() < Duration::from_secs(seconds)
        && failures < MAX_FAILURES
    {
        let report = run(first.wrapping_add(runs), &options);
        runs += 1;
        coverage.merge(&report.coverage);
        failures += usize::from(report.violation.is_some());
        tell(&report);
    }
    summary(&coverage, runs, started.elapsed());
    let short = one || arguments.runs.is_some() || seconds < DEFAULT_SECONDS;
    let missing = if short { Vec::new() } else { coverage.missing() };
    for event in &missing {
        eprintln!("never happened: {}", event.name());
    }
    if failures == 0 && missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell(report: &Report) {
    for line in report.trace.lines.iter().flatten() {
        println!("{line}");
    }
    if let Some(violation) = &report.violation {
        eprintln!("seed {}: {violation}", report.seed);
        eprintln!("  repeat it: cargo xtask sim --seed {} --trace", report.seed);
    }
}

fn summary(coverage: &Coverage, runs: u64, elapsed: Duration) {
    let requests = coverage.count(Event::Request);
    eprint!("{coverage}");
    eprintln!(
        "{runs} runs, {requests} requests in {:.1} s: {:.0} requests/s",
        elapsed.as_secs_f64(),
        requests as f64 / elapsed.as_secs_f64().max(1e-9)
    );
}
