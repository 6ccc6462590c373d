//! The performance truth of Kyu: loads a server over its real protocol and reports throughput,
//! latency and cost beside the raw limits of the same machine in the same run.
//!
//! Nothing here is asserted: these are figures to read (`benches/README.md`), not tests.

#![forbid(unsafe_code)]

mod histogram;
mod http;
mod in_process;
mod kyu;
mod limits;
mod load;
mod machine;
mod options;
mod peers;
mod pgmq;
mod process;
mod report;
mod server;
mod sqs;

use std::process::{Command, ExitCode};

use clap::Parser;

use crate::kyu::Kyu;
use crate::limits::echo;
use crate::load::{Pace, Plan};
use crate::machine::Machine;
use crate::options::{ChildRole, Options, Output, Workload};
use crate::report::{Report, Row};
use crate::server::{ScratchDir, Server};

/// What stops a run, as a sentence for the person who started it.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let options = Options::parse();
    let result = match &options.child {
        Some(ChildRole::EchoHyper { address, workers }) => {
            echo::serve_hyper(*address, *workers).map(|()| true)
        }
        Some(ChildRole::EchoRaw { address }) => echo::serve_raw(*address).map(|()| true),
        None => run(&options),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("kyu-bench: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs the plan and prints the report; false when a row is wrong.
fn run(options: &Options) -> Result<bool, Error> {
    let mut report = Report::new(Machine::look(&options.data_dir));
    let directory = ScratchDir::new(&options.data_dir, "data")?;
    let mut kyu = None;
    for workload in options.plan() {
        eprintln!("{workload:?}");
        match workload {
            Workload::Limits => report.limits = limits::measure(directory.path())?,
            Workload::Echo => run_echoes(options, &directory, &mut report)?,
            Workload::EngineLog => {
                in_process::engine_log(options, directory.path(), &mut report)?;
            }
            Workload::BrokerSend => {
                in_process::broker_send(options, directory.path(), &mut report)?;
            }
            Workload::Redis => peers::redis::run(options, &directory, &mut report)?,
            Workload::Pgmq | Workload::PgmqPostgres => {
                pgmq::run(workload, options, &directory, &mut report)?;
            }
            _ => {
                let kyu = match &mut kyu {
                    Some(kyu) => kyu,
                    none => none.insert(Kyu::find(options, directory.path())?),
                };
                match workload {
                    Workload::Steady | Workload::Backlog | Workload::Delayed => {
                        sqs::run_long(kyu, workload, options, &mut report)?;
                    }
                    _ => sqs::run(&kyu.target, workload, options, &mut report)?,
                }
            }
        }
    }
    if let Some(kyu) = kyu {
        kyu.stop()?;
    }
    match options.output {
        Output::Table => print!("{}", report.to_table()),
        Output::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    Ok(report.is_sound())
}

/// Loads servers that do nothing with the same requests.
fn run_echoes(options: &Options, directory: &ScratchDir, report: &mut Report) -> Result<(), Error> {
    let all = usize::from(options.connections);
    let kinds = [("raw epoll", "echo-raw", None), ("bare hyper", "echo-hyper", Some("2"))];
    for (system, role, workers) in kinds {
        let held = server::HeldAddress::new()?;
        let address = held.address;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(role).arg(address.to_string()).args(workers);
        let log = directory.path().join("echo.log");
        let server = Server::start(command, &held, echo::READY, &log)?;
        for connections in [1, all] {
            let plan = Plan {
                target: address,
                connections,
                pace: Pace::Closed,
                warm_up: std::time::Duration::from_millis(500),
                window: options.window(),
                server_pid: Some(server.pid()),
            };
            let url = format!("http://{address}/000000000000/echo");
            let mut traffic = sqs::Producer::new(address, &url, sqs::Shape::Single, options.size);
            let outcome = load::run(&plan, &mut traffic)?;
            report.add(Row::new(system, "SendMessage", plan.connections, plan.pace, &outcome));
        }
        server.kill()?;
    }
    Ok(())
}
