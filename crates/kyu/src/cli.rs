//! The command line, as data: `--help` is its documentation.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use kyu_door::origin::Origin;

/// A durable work queue that speaks the protocols your clients already speak.
#[derive(Debug, Parser)]
#[command(name = "kyu", version, after_help = crate::exit::CODES, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// What to report on standard error: error, warn, info, debug, trace, or a filter.
    #[arg(long, global = true, env = "KYU_LOG", value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server (the default).
    Server(ServerArgs),
    /// Run a server for development: a temporary directory and a free port, both printed.
    Dev(DevArgs),
    /// Relay what was sent inside transactions of your own Postgres (transactional outbox): exactly
    /// once, in order.
    Outbox(OutboxArgs),
    #[command(flatten)]
    Verb(kyu_cli::Verb),
    /// Look after the log of a stopped server.
    #[command(subcommand)]
    Log(LogCommand),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct OutboxArgs {
    /// The Postgres with the outbox, such as
    /// postgresql://user:password@host/database?sslmode=verify-full&sslrootcert=ca.pem.
    #[arg(long, env = "KYU_OUTBOX_SOURCE", value_name = "URL", hide_env_values = true)]
    pub(crate) source: Option<String>,
    /// The pgmq door of the server.
    #[arg(
        long,
        env = "KYU_OUTBOX_TARGET",
        value_name = "URL",
        hide_env_values = true,
        default_value = "postgresql://kyu@127.0.0.1:5432/kyu"
    )]
    pub(crate) target: String,
    /// The schema that the outbox is in: another than pgmq where the extension pgmq is installed.
    #[arg(long, value_name = "SCHEMA", default_value = "pgmq")]
    pub(crate) schema: String,
    /// Names the source: of several relays with one name the newest works, the others end. A name
    /// belongs to the first outbox that was relayed under it.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) name: String,
    /// Most rows of one step, to 1000.
    #[arg(long, value_name = "ROWS", default_value_t = 200)]
    pub(crate) batch_rows: u32,
    /// How often to look when no row is there, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 100)]
    pub(crate) poll_ms: u64,
    /// Let rows of queues that do not exist wait, instead of creating the queue.
    #[arg(long)]
    pub(crate) no_create_queues: bool,
    /// How long rows stay in the outbox after they were relayed, in seconds. Polling only.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, conflicts_with = "replication")]
    pub(crate) keep_s: u64,
    /// Read the log of the source (logical replication, pgoutput) instead of polling: messages go
    /// the moment they commit. Needs wal_level = logical and a role with REPLICATION. A relay that
    /// is stopped for good must be started once without it, which drops the slot: a slot holds log
    /// back until the disk is full.
    #[arg(long)]
    pub(crate) replication: bool,
    /// Replication slot; made if it is not there [default: kyu_outbox_ and the --name].
    #[arg(long, value_name = "SLOT", requires = "replication")]
    pub(crate) slot: Option<String>,
    /// Publication of pgmq.outbox; made if it is not there.
    #[arg(
        long,
        value_name = "PUBLICATION",
        default_value = "kyu_outbox",
        requires = "replication"
    )]
    pub(crate) publication: String,
    /// Make the slot again, after it was lost or the database was restored: what waits is relayed
    /// from the table.
    #[arg(long, requires = "replication")]
    pub(crate) new_slot: bool,
    /// Serve /metrics (lag in rows, seconds and bytes) here.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) metrics: Option<String>,
    /// Print the SQL that makes the outbox in your database, and do nothing else:
    /// `kyu outbox --print-sql | psql mydatabase`.
    #[arg(long)]
    pub(crate) print_sql: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Read every record and every message, and say what is damaged and what a start would find.
    /// Changes nothing.
    Verify(LogArgs),
    /// RepairStep the log so that the server starts again: files that were cut, headers, missing segments;
    /// what cannot be replayed is cut off. Says what would be lost, asks, and keeps the damaged bytes
    /// beside the log.
    Repair(RepairArgs),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ServerArgs {
    /// Directory of the log and its snapshots.
    #[arg(long, env = "KYU_DATA", value_name = "DIR", default_value = "./kyu-data")]
    pub(crate) data: PathBuf,
    /// Address of the HTTP port (SQS, SNS, the admin API under /v1, /metrics, /livez, /readyz), or
    /// `off`. Beyond loopback only with credentials.
    #[arg(long, env = "KYU_HTTP", value_name = "HOST:PORT", default_value = "127.0.0.1:9324")]
    pub(crate) http: String,
    /// Address of the pgmq door (psql and pgmq clients), or `off`. Beyond loopback only with a user.
    #[arg(long, env = "KYU_PGMQ", value_name = "HOST:PORT", default_value = "127.0.0.1:5432")]
    pub(crate) pgmq: String,
    #[command(flatten)]
    pub(crate) planned: PlannedDoors,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// Doors whose flags are fixed but which are not built yet: scripts may turn them off today.
#[derive(Clone, Debug, Args)]
pub(crate) struct PlannedDoors {
    #[arg(long, hide = true, value_name = "HOST:PORT")]
    resp: Option<String>,
    #[arg(long, hide = true, value_name = "HOST:PORT")]
    amqp: Option<String>,
    #[arg(long, hide = true, value_name = "HOST:PORT")]
    temporal: Option<String>,
}

impl PlannedDoors {
    /// The flags of doors that were asked for and are absent.
    pub(crate) fn absent(&self) -> impl Iterator<Item = &'static str> {
        let all = [("--resp", &self.resp), ("--amqp", &self.amqp), ("--temporal", &self.temporal)];
        let asked = all.map(|(flag, address)| {
            address.as_ref().is_some_and(|address| address != "off").then_some(flag)
        });
        asked.into_iter().flatten()
    }
}

#[derive(Clone, Debug, Args)]
pub(crate) struct DevArgs {
    #[command(flatten)]
    pub(crate) settings: Settings,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Settings {
    /// Require requests signed with this key. Without credentials only loopback is served.
    #[arg(long, env = "KYU_ACCESS_KEY_ID", value_name = "ID", requires = "secret_access_key")]
    pub(crate) access_key_id: Option<String>,
    /// The secret of `--access-key-id`. Better in the environment: others can see arguments.
    #[arg(
        long,
        env = "KYU_SECRET_ACCESS_KEY",
        value_name = "SECRET",
        hide_env_values = true,
        requires = "access_key_id"
    )]
    pub(crate) secret_access_key: Option<String>,
    /// A name of this machine that clients without credentials may use in URLs, besides localhost,
    /// *.localhost and addresses; may be given several times. Others are refused, as the name of a
    /// web page can be made to point to this machine.
    #[arg(long, env = "KYU_ALLOWED_HOST", value_name = "NAME", value_delimiter = ',')]
    pub(crate) allowed_host: Vec<String>,
    /// User of the pgmq door, who needs `--pgmq-password`. [default: the pair of `--access-key-id`;
    /// without either, everybody on this machine and nobody else]
    #[arg(long, env = "KYU_PGMQ_USER", value_name = "NAME", requires = "pgmq_password")]
    pub(crate) pgmq_user: Option<String>,
    /// Password of `--pgmq-user`. Better in the environment: others can see arguments.
    #[arg(
        long,
        env = "KYU_PGMQ_PASSWORD",
        value_name = "SECRET",
        hide_env_values = true,
        requires = "pgmq_user"
    )]
    pub(crate) pgmq_password: Option<String>,
    /// Certificate with its chain (PEM): the HTTP port then speaks HTTPS only, and the pgmq door TLS
    /// with clients that ask for it.
    #[arg(long, env = "KYU_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Private key (PEM) of `--tls-cert`.
    #[arg(long, env = "KYU_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Where clients reach the HTTP port, such as https://queue.example.com: URLs in answers (of
    /// queues, to confirm and to end subscriptions, of certificates) begin so. [default: what a
    /// trusted proxy says, or else the Host of the request]
    #[arg(long, env = "KYU_PUBLIC_URL", value_name = "URL")]
    pub(crate) public_url: Option<Origin>,
    /// Address or network (10.0.0.0/8) of proxies whose Forwarded and X-Forwarded-Proto, -Host and
    /// -Port are believed; may be given several times; `none` for no proxy. [default: this machine
    /// while only it can reach the server, else none]
    #[arg(long, env = "KYU_TRUSTED_PROXY", value_name = "NETWORK", value_delimiter = ',')]
    pub(crate) trusted_proxy: Vec<String>,
    /// AWS region in ARNs, and of other doors' queues. Clients that sign for another region have
    /// queues and topics of their own there.
    #[arg(long, env = "KYU_REGION", default_value = "us-east-1")]
    pub(crate) region: String,
    /// One region for all clients, whatever they sign for.
    #[arg(long, env = "KYU_SINGLE_REGION")]
    pub(crate) single_region: bool,
    /// AWS account in ARNs and queue URLs.
    #[arg(long, env = "KYU_ACCOUNT", default_value = "000000000000")]
    pub(crate) account: String,
    /// Seconds between two purges of an SQS queue. AWS demands 60, because its purges take time;
    /// here they are done when they are answered.
    #[arg(long, env = "KYU_SQS_PURGE_WAIT_S", value_name = "SECONDS", default_value_t = 0)]
    pub(crate) sqs_purge_wait_s: u32,
    /// Seconds until the name of a deleted SQS queue may be used again. AWS demands 60, because
    /// its deletions take time.
    #[arg(long, env = "KYU_SQS_NAME_REUSE_WAIT_S", value_name = "SECONDS", default_value_t = 0)]
    pub(crate) sqs_name_reuse_wait_s: u32,
    /// Which HTTP endpoints may subscribe to SNS topics: `any`, with this machine and private
    /// networks, only those on the `public` internet (so that nobody can make this server call
    /// services of its own network), or none (`off`). Never its own ports, link-local addresses
    /// and metadata services. [default: any while only this machine can reach the server, else
    /// public]
    #[arg(long, env = "KYU_SNS_ENDPOINTS", value_name = "WHICH")]
    pub(crate) sns_endpoints: Option<SnsEndpoints>,
    /// Sign SNS messages in SQS queues for every standard topic, as AWS does: a signature takes 2.3 ms
    /// of a core, once for each message. With `false` only those of topics with the attribute
    /// SignatureVersion are signed; raw delivery needs no signature either way.
    #[arg(long, env = "KYU_SNS_SIGN_ALL", value_name = "BOOL", default_value_t = true,
        action = clap::ArgAction::Set)]
    pub(crate) sns_sign_all: bool,
    /// Most queues with series of their own in /metrics, the first in order of name; 0 for sums only.
    #[arg(long, env = "KYU_METRICS_QUEUES", value_name = "QUEUES", default_value_t = 1_000)]
    pub(crate) metrics_queues: usize,
    /// Largest size of the log on disk, such as 20GiB; beyond it new messages are refused.
    #[arg(long, env = "KYU_MAX_LOG_BYTES", value_name = "SIZE", value_parser = parse_bytes)]
    pub(crate) max_log_bytes: Option<u64>,
    /// Size of a log segment. Counts only for a new log. [default: 64MiB, for `kyu dev` 4MiB]
    #[arg(long, env = "KYU_SEGMENT_BYTES", value_name = "SIZE", value_parser = parse_bytes)]
    pub(crate) segment_bytes: Option<u64>,
    /// Memory for recent messages, so that a flowing queue never reads the disk.
    #[arg(long, env = "KYU_HOT_BYTES", value_name = "SIZE", value_parser = parse_bytes,
        default_value = "256MiB")]
    pub(crate) hot_bytes: u64,
}

/// See [`Settings::sns_endpoints`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum SnsEndpoints {
    Any,
    Public,
    Off,
}

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Directory of the log.
    #[arg(long, env = "KYU_DATA", value_name = "DIR", default_value = "./kyu-data")]
    pub(crate) data: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct RepairArgs {
    #[command(flatten)]
    pub(crate) log: LogArgs,
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Reads a size: a number of bytes, or one with KiB, MiB, GiB or TiB.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let shift = match unit.trim() {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return Err("use bytes, or a unit of KiB, MiB, GiB or TiB".into()),
    };
    let number: u64 = digits.parse().map_err(|_| "not a number".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "too large".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        let command = kyu_cli::with_connection(Cli::command());
        let about = command.find_subcommand("peek").unwrap().get_about().unwrap().to_string();
        assert!(about.starts_with("Look at the first messages"), "{about}");
        command.debug_assert();
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_bytes("4096"), Ok(4096));
        assert_eq!(parse_bytes("64MiB"), Ok(64 << 20));
        assert_eq!(parse_bytes("2 GiB"), Ok(2 << 30));
        for bad in ["", "MiB", "1.5GiB", "7 parsecs", "99999999999999TiB"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn plain_kyu_is_the_server_with_defaults() {
        let plain = Cli::parse_from(["kyu"]);
        assert!(plain.command.is_none());
        assert_eq!(plain.server.http, "127.0.0.1:9324");
        let Some(Command::Server(args)) =
            Cli::parse_from(["kyu", "server", "--data", "/d", "--http", "off"]).command
        else {
            panic!("not the server")
        };
        assert_eq!((args.data, args.http.as_str()), (PathBuf::from("/d"), "off"));
    }

    #[test]
    fn doors_to_come_can_be_off_and_are_named_when_asked_for() {
        let absent = |args: &[&str]| {
            let all = ["kyu", "server"].iter().chain(args);
            let Some(Command::Server(args)) = Cli::parse_from(all).command else { panic!() };
            args.planned.absent().collect::<Vec<_>>()
        };
        assert_eq!(absent(&[]), [""; 0]);
        assert_eq!(absent(&["--pgmq", "off", "--amqp", "off"]), [""; 0]);
        assert_eq!(absent(&["--amqp", "127.0.0.1:5672", "--resp", "off"]), ["--amqp"]);
    }
}
