//! pgmq's SQL functions over the Postgres protocol: the same traffic against Kyu, and against the
//! real pgmq on a real Postgres with `synchronous_commit` on and otherwise default settings.
//!
//! ```text
//!  protocol   messages encoded, answers measured
//!  session    what is spoken in blocking mode: start-up, prepared statements, single queries
//!  send, consume, probe
//!             what the load's connections say
//!  postgres   a private cluster with pgmq on it
//!  workloads  one row after the other
//! ```

mod consume;
mod postgres;
mod probe;
mod protocol;
mod send;
mod session;
mod workloads;

use std::net::SocketAddr;
use std::process::Command;

use crate::Error;
use crate::options::{Options, Workload};
use crate::report::Report;
use crate::server::{HeldAddress, ScratchDir, Server};

const KYU: &str = "kyu pgmq";

/// The server to load.
struct Target {
    system: String,
    address: SocketAddr,
    pid: u32,
}

/// Starts the system that `workload` names, loads it, stops it.
pub(crate) fn run(
    workload: Workload,
    options: &Options,
    directory: &ScratchDir,
    report: &mut Report,
) -> Result<(), Error> {
    match workload {
        Workload::PgmqPostgres => {
            let server = postgres::start(options, directory)?;
            let target = Target {
                system: postgres::name(server.address)?,
                address: server.address,
                pid: server.pid(),
            };
            workloads::run(&target, options, report)?;
            compare(&target.system, report);
            server.stop()
        }
        _ => {
            let server = start_kyu(options, directory)?;
            let (system, address) = (KYU.to_owned(), server.address);
            workloads::run(&Target { system, address, pid: server.pid() }, options, report)?;
            server.stop()
        }
    }
}

/// A Kyu of its own, with no door but this one.
fn start_kyu(options: &Options, directory: &ScratchDir) -> Result<Server, Error> {
    let binary = options.server_bin.as_ref().ok_or("pgmq needs --server-bin")?;
    let held = HeldAddress::new()?;
    let mut command = Command::new(binary);
    command.arg("server").arg("--data").arg(directory.path().join("kyu-pgmq"));
    command.args(["--http", "off", "--pgmq"]).arg(held.address.to_string());
    Server::start(command, &held, "kyu ready", &options.data_dir.join("kyu-bench-server.log"))
}

/// How many times faster Kyu was in each row that both systems have.
fn compare(other: &str, report: &mut Report) {
    let mut found = Vec::new();
    for row in report.rows.iter().filter(|row| row.system == other) {
        let same = |kyu: &&crate::report::Row| {
            kyu.system == KYU && kyu.workload == row.workload && kyu.connections == row.connections
        };
        if let Some(kyu) = report.rows.iter().find(same) {
            let name = format!("{}, {} connections", row.workload, row.connections);
            found.push((name, kyu.messages_per_second / row.messages_per_second));
        }
    }
    for (name, ratio) in found {
        report.fact("kyu : real pgmq", name, ratio, "x");
    }
}
