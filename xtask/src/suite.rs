//! `cargo xtask test`: the cheap checks first, so that a slip is told in seconds.

use std::hash::{BuildHasher, RandomState};

use crate::run::{self, Failure, Run};
use crate::{clients, conform, licences, tidy, walls};

/// Long enough for tens of thousands of commands with faults, short enough for every push.
const SIMULATION_SECONDS: u32 = 60;

/// Everything CI checks.
pub(crate) fn test() -> Result<(), Failure> {
    Run::cargo(["fmt", "--all", "--check"]).step("format")?;
    tidy::step()?;
    walls::step()?;
    let lint = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    Run::cargo(lint).step("clippy")?;
    for feature in ["embedded", "remote"] {
        let alone = ["clippy", "--package", "kyu-sdk", "--no-default-features", "--features"];
        let deny = ["--locked", "--", "-D", "warnings"];
        Run::cargo(alone).arg(feature).args(deny).step(&format!("the SDK with {feature} alone"))?;
    }
    licences::step()?;
    unit_tests()?;
    simulation(&[])?;
    clients::install()?;
    conform::kill9(&[])?;
    conform::sqs(&[])?;
    conform::sns(&[])?;
    conform::admin(&[])?;
    conform::pgmq(&[])?;
    conform::outbox(&[])?;
    conform::jobs(&[])?;
    println!("\nall checks passed");
    Ok(())
}

/// Unit tests by nextest where it is installed, else by cargo; documentation tests by cargo.
fn unit_tests() -> Result<(), Failure> {
    if Run::cargo(["nextest", "--version"]).succeeds() {
        Run::cargo(["nextest", "run", "--workspace", "--locked", "--no-fail-fast"])
            .step("unit tests")?;
        Run::cargo(["test", "--workspace", "--locked", "--doc", "--quiet"])
            .step("documentation tests")
    } else {
        Run::cargo(["test", "--workspace", "--locked", "--quiet"]).step("unit tests")
    }
}

/// One simulation with the given arguments, or a bounded one with a fresh seed.
pub(crate) fn simulation(arguments: &[String]) -> Result<(), Failure> {
    let run = Run::new(run::built("kyu-sim")?);
    if arguments.is_empty() {
        let seed = fresh_seed().to_string();
        let seconds = SIMULATION_SECONDS.to_string();
        run.args(["--seed", &seed, "--seconds", &seconds]).step("simulation")
    } else {
        run.args(arguments).step("simulation")
    }
}

/// Differs from run to run; the step's command line shows it.
fn fresh_seed() -> u64 {
    RandomState::new().hash_one("seed") >> 1
}
