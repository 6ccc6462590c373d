//! `cargo xtask VERB`: the one way to run anything. CI calls only this.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod clients;
mod conform;
mod fuzz;
mod licences;
mod run;
mod suite;
mod tidy;
mod walls;

use run::{Failure, Run};

const USAGE: &str = "\
cargo xtask VERB

  test                     everything CI checks; installs what the tests need
  tidy                     the rules of the tree: sizes, names, reasons, numbering
  walls                    what crates must not be built from
  licences                 licences and sources of all dependencies
  conform sqs [ARGS]       real clients against the SQS door; ARGS go to pytest, and then only pytest runs
  conform sns [ARGS]       the same for SNS
  conform pgmq [ARGS]      the same for pgmq; --record records the answers of real pgmq anew
  conform admin [ARGS]     the admin API, held to its OpenAPI document
  conform outbox [ARGS]    the transactional outbox beside a real Postgres, under kill -9
  conform jobs [ARGS]      the Rust examples under kill -9
  kill9 [ARGS]             kill -9 of the real server under load; see tests/conformance/kill9.py --help
  sim --seed N [ARGS]      one seeded simulation; without a seed, a fresh one
  fuzz TARGET SECONDS      one fuzz target for so long
  bench [ARGS]             throughput and latency beside the machine's raw limits
  ci                       the same as test
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (verb, rest) = match arguments.split_first() {
        Some((verb, rest)) => (verb.as_str(), rest),
        None => ("help", arguments.as_slice()),
    };
    match dispatch(verb, rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nxtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(verb: &str, rest: &[String]) -> Result<(), Failure> {
    match verb {
        "test" | "ci" => suite::test(),
        "walls" => walls::step(),
        "tidy" => tidy::step(),
        "licences" => licences::step(),
        "conform" => match rest.split_first() {
            Some((door, rest)) if door == "sqs" => conform::sqs(rest),
            Some((door, rest)) if door == "sns" => conform::sns(rest),
            Some((door, rest)) if door == "admin" => conform::admin(rest),
            Some((door, rest)) if door == "pgmq" => conform::pgmq(rest),
            Some((door, rest)) if door == "outbox" => conform::outbox(rest),
            Some((door, rest)) if door == "jobs" => conform::jobs(rest),
            _ => Err(Failure::usage("conform needs a door: sqs, sns, admin, pgmq, outbox, jobs")),
        },
        "kill9" => conform::kill9(rest),
        "sim" => suite::simulation(rest),
        "fuzz" => fuzz::run(rest),
        "bench" => bench(rest),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        unknown => Err(Failure::usage(&format!("no verb {unknown}\n\n{USAGE}"))),
    }
}

/// Server and generator are built alike; the generator starts the server unless told of another.
fn bench(rest: &[String]) -> Result<(), Failure> {
    let build = ["build", "--release", "--locked", "--package", "kyu", "--package", "kyu-bench"];
    Run::cargo(build).step("build for bench")?;
    let release = target().join("release");
    let bench = Run::new(release.join("kyu-bench"));
    let chosen = rest.iter().any(|arg| arg.starts_with("--url") || arg.starts_with("--server-bin"));
    let bench = if chosen { bench } else { bench.arg("--server-bin").arg(release.join("kyu")) };
    bench.args(rest).step("bench")
}

/// The root of the repository.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Where cargo builds.
fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(named) => root().join(named),
        None => root().join("target"),
    }
}
