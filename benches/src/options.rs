//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use crate::Error;

/// Measures Kyu beside the raw limits of the machine and beside its peers.
#[derive(Parser, Debug)]
#[command(name = "kyu-bench", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    /// What to run, in this order; the short set when empty.
    #[arg(value_enum)]
    pub workloads: Vec<Workload>,
    /// Start this `kyu` binary on a free port and a directory of its own.
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    pub server_bin: Option<PathBuf>,
    /// Load a server that already runs, such as http://127.0.0.1:9324.
    #[arg(long)]
    pub url: Option<String>,
    /// The process whose cost is reported, with --url.
    #[arg(long, requires = "url")]
    pub server_pid: Option<u32>,
    /// Where servers and disk limits keep their files; must be on the disk you mean to measure.
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    pub data_dir: PathBuf,
    /// Connections of the loaded workloads.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=20_000))]
    pub connections: u16,
    /// Measured seconds of each workload, after one second of warm-up.
    #[arg(long, default_value_t = 5)]
    pub seconds: u64,
    /// Bytes of a message.
    #[arg(long, default_value_t = 1024)]
    pub size: usize,
    /// Requests a second of the open loop; half of what the closed loop reached when absent.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Messages of the workloads that end by count (drain, steady, backlog).
    #[arg(long)]
    pub messages: Option<u64>,
    /// Also the long workloads: steady, backlog, delayed.
    #[arg(long)]
    pub full: bool,
    /// Also peers that are installed on this machine.
    #[arg(long)]
    pub peers: bool,
    /// Where `initdb` and `postgres` are.
    #[arg(long, value_name = "DIR", default_value = "/usr/lib/postgresql/15/bin")]
    pub postgres_bin: PathBuf,
    /// The SQL that installs pgmq; out of the Python package `pgmq` when absent.
    #[arg(long, value_name = "FILE")]
    pub pgmq_sql: Option<PathBuf>,
    /// How results are printed.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// Parts of a run that need a process of their own.
    #[command(subcommand)]
    pub child: Option<ChildRole>,
}

/// What can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Workload {
    /// Raw limits of disk and memory.
    Limits,
    /// Servers that do nothing, under the same load.
    Echo,
    /// SendMessage on one connection.
    SendOne,
    /// SendMessage on all connections.
    Send,
    /// SendMessage at a fixed rate, latency from the moment each was due.
    SendOpen,
    /// SendMessageBatch of ten.
    SendBatch,
    /// ReceiveMessage(10) and DeleteMessageBatch until the queue is empty.
    Drain,
    /// Half the connections send, half receive and delete.
    Mixed,
    /// SendMessage to a FIFO queue in 1000 groups.
    Fifo,
    /// Many messages through a queue in steady flow; disk use and restart time.
    Steady,
    /// Many messages sent and none read; memory, receive latency, restart time.
    Backlog,
    /// 300,000 delayed messages ahead of one ready.
    Delayed,
    /// Engine and log alone, in process: enqueue, lease, acknowledge.
    EngineLog,
    /// The broker alone, in process: one message at a time from many tasks.
    BrokerSend,
    /// Redis Streams with appendfsync always.
    Redis,
    /// pgmq's functions over the Postgres protocol, on Kyu.
    Pgmq,
    /// The same on the real pgmq on a real Postgres; after `pgmq`, also how they compare.
    PgmqPostgres,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Aligned, for people.
    Table,
    /// One JSON document.
    Json,
}

/// Hidden subcommands.
#[derive(Subcommand, Debug)]
pub(crate) enum ChildRole {
    /// A hyper server that answers everything at once.
    #[command(hide = true)]
    EchoHyper {
        /// Where to listen.
        address: SocketAddr,
        /// Threads of the runtime.
        workers: usize,
    },
    /// An epoll loop that answers everything at once.
    #[command(hide = true)]
    EchoRaw {
        /// Where to listen.
        address: SocketAddr,
    },
}

impl Options {
    /// The workloads to run, in order.
    pub(crate) fn plan(&self) -> Vec<Workload> {
        use Workload::*;
        if !self.workloads.is_empty() {
            return self.workloads.clone();
        }
        let mut plan = vec![Limits, Echo, EngineLog, BrokerSend];
        if self.server_bin.is_some() || self.url.is_some() {
            plan.extend([SendOne, Send, SendOpen, SendBatch, Drain, Mixed, Fifo]);
            if self.full {
                plan.extend([Steady, Backlog, Delayed]);
            }
        }
        if self.peers {
            plan.push(Redis);
        }
        plan
    }

    /// The measured window.
    pub(crate) fn window(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// The address in `--url`.
    pub(crate) fn url_address(&self) -> Result<Option<SocketAddr>, Error> {
        let Some(url) = &self.url else { return Ok(None) };
        let host = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
        let address = host.parse().map_err(|_| {
            format!("--url {url}: expected http://IP:PORT (an address, without a path)")
        })?;
        Ok(Some(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn without_a_server_only_what_is_in_process_runs() {
        let options = Options::parse_from(["kyu-bench"]);
        assert_eq!(
            options.plan(),
            [Workload::Limits, Workload::Echo, Workload::EngineLog, Workload::BrokerSend]
        );
        let options = Options::parse_from(["kyu-bench", "--url", "http://127.0.0.1:9324/"]);
        assert_eq!(options.url_address().unwrap(), Some("127.0.0.1:9324".parse().unwrap()));
        assert!(options.plan().contains(&Workload::Fifo));
    }
}
