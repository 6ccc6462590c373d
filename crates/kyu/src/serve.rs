//! `kyu server` and `kyu dev`: start, say so, wait for a signal, end in good order.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use kyu::{PgmqOptions, Server, ServerOptions};
use kyu_aws::{EndpointRule, SnsOptions, SqsOptions};
use kyu_door::access::Credential;
use kyu_door::origin::{Network, Origins};
use kyu_pgmq::wire::Tls;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::banner::{self, Callers};
use crate::cli::{DevArgs, ServerArgs, Settings, SnsEndpoints};
use crate::exit::Failure;

const SERVER_SEGMENT_BYTES: u64 = 64 << 20;
/// Segments are filled before they are used: a server for a moment should not write 256 MiB.
const DEV_SEGMENT_BYTES: u64 = 4 << 20;

/// Runs until SIGTERM or SIGINT.
pub(crate) fn server(args: ServerArgs) -> Result<(), Failure> {
    for flag in args.planned.absent() {
        eprintln!("kyu: WARNING: {flag}: this door is not built yet; nothing listens there");
    }
    let open = |address: String| Some(address).filter(|address| address != "off");
    let doors = Doors { http: open(args.http), pgmq: open(args.pgmq) };
    run(&args.data, doors, args.settings, SERVER_SEGMENT_BYTES)
}

/// Like a server, on a free port and with a directory that is removed at the end.
pub(crate) fn dev(args: DevArgs) -> Result<(), Failure> {
    let dir = TemporaryDir::create()?;
    let free = || Some("127.0.0.1:0".to_owned());
    run(&dir.0, Doors { http: free(), pgmq: free() }, args.settings, DEV_SEGMENT_BYTES)
}

/// Addresses of the doors that are to be open.
struct Doors {
    http: Option<String>,
    pgmq: Option<String>,
}

fn run(data: &Path, doors: Doors, settings: Settings, segment_bytes: u64) -> Result<(), Failure> {
    if let Err(error) = kyu_door::descriptors::raise() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("starting the runtime: {error}")))?;
    runtime.block_on(async {
        // Before anything starts, so that no signal is lost on the way.
        let mut signals = Signals::new()?;
        let region = settings.region.clone();
        let signed = settings.access_key_id.is_some();
        let options = options(data, doors, settings, segment_bytes)?;
        let pgmq = options.pgmq.as_ref().and_then(|pgmq| pgmq.door.user.clone());
        let started = Server::start(options);
        let server = tokio::select! {
            server = started => server?,
            () = signals.next() => return Ok(()),
        };
        let pgmq_user = pgmq.as_ref().map(|(user, _)| user.as_str());
        banner::print(&server, data, &Callers { region: &region, signed, pgmq_user });
        announce(&server, data);
        signals.next().await;
        eprintln!("kyu: ending; a second signal ends at once");
        tokio::select! {
            () = server.shutdown() => Ok(()),
            () = signals.next() => Err(Failure::Failed("ended before all was done".into())),
        }
    })
}

/// The one line on standard output, for scripts: each door with the address that it listens at,
/// which a script that asked for port 0 could not know otherwise.
fn announce(server: &Server, data: &Path) {
    use std::io::Write;
    let said = |door: Option<SocketAddr>| door.map_or_else(|| "off".into(), |at| at.to_string());
    let (http, pgmq) = (said(server.http_address()), said(server.pgmq_address()));
    let line = format!("kyu ready http={http} pgmq={pgmq} data={}", data.display());
    // Nobody reads it: that is no reason not to serve.
    let mut out = std::io::stdout().lock();
    let _unread = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn options(
    data: &Path,
    doors: Doors,
    settings: Settings,
    segment_bytes: u64,
) -> Result<ServerOptions, Failure> {
    let mut options = ServerOptions::new(data);
    options.http_tls = if doors.http.is_some() { tls(&settings)? } else { None };
    options.http = doors.http;
    options.pgmq = doors.pgmq.map(|address| pgmq(address, &settings)).transpose()?;
    let log = &mut options.broker.log;
    log.segment_bytes = u32::try_from(settings.segment_bytes.unwrap_or(segment_bytes))
        .map_err(|_| Failure::Usage("--segment-bytes is larger than 4 GiB".into()))?;
    log.hot_bytes = settings.hot_bytes;
    log.max_log_bytes = settings.max_log_bytes;
    if let Some(max_bytes) = settings.max_log_bytes {
        // A small log must be freed often.
        let policy = &mut options.broker.policy;
        policy.snapshot_after_log_bytes = policy.snapshot_after_log_bytes.min(max_bytes / 4);
        policy.relocate_above_bytes = policy.relocate_above_bytes.min(max_bytes / 4);
    }
    options.metrics_queues = settings.metrics_queues;
    options.allowed_hosts = settings.allowed_host;
    options.sqs = SqsOptions {
        account: settings.account,
        region: settings.region,
        single_region: settings.single_region,
        purge_cooldown_ms: u64::from(settings.sqs_purge_wait_s) * 1_000,
        name_reuse_wait_ms: u64::from(settings.sqs_name_reuse_wait_s) * 1_000,
        sns: SnsOptions {
            key_dir: Some(data.to_owned()),
            sign_all: settings.sns_sign_all,
            ..SnsOptions::default()
        },
        origins: Origins { public_url: settings.public_url, ..Origins::default() },
    };
    options.trusted_proxies = trusted_proxies(&settings.trusted_proxy)?;
    options.sns_endpoints = settings.sns_endpoints.map(|which| match which {
        SnsEndpoints::Any => EndpointRule::Any,
        SnsEndpoints::Public => EndpointRule::Public,
        SnsEndpoints::Off => EndpointRule::Off,
    });
    if let (Some(access_key_id), Some(secret_access_key)) =
        (settings.access_key_id, settings.secret_access_key)
    {
        options.credentials = vec![Credential { access_key_id, secret_access_key, user: None }];
    }
    Ok(options)
}

/// The networks of `--trusted-proxy`; `None` for the default.
fn trusted_proxies(given: &[String]) -> Result<Option<Vec<Network>>, Failure> {
    match given {
        [] => Ok(None),
        [none] if none == "none" => Ok(Some(Vec::new())),
        given => {
            let wrong = |problem| Failure::Usage(format!("--trusted-proxy: {problem}"));
            let networks = given.iter().map(|one| one.parse().map_err(wrong));
            networks.collect::<Result<_, _>>().map(Some)
        }
    }
}

/// The pgmq door: its own user, or the one of all doors.
fn pgmq(address: String, settings: &Settings) -> Result<PgmqOptions, Failure> {
    let mut options = PgmqOptions::new(address);
    let own = settings.pgmq_user.clone().zip(settings.pgmq_password.clone());
    let shared = || settings.access_key_id.clone().zip(settings.secret_access_key.clone());
    options.door.user = own.or_else(shared);
    options.door.tls = tls(settings)?;
    Ok(options)
}

/// Certificate and key of all doors, if they are given.
fn tls(settings: &Settings) -> Result<Option<Tls>, Failure> {
    match (&settings.tls_cert, &settings.tls_key) {
        (Some(certificate), Some(key)) => {
            Tls::load(certificate, key).map(Some).map_err(Failure::Usage)
        }
        _ => Ok(None),
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let failed = |error| Failure::Failed(format!("listening for signals: {error}"));
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// A fresh directory, removed when dropped.
struct TemporaryDir(PathBuf);

impl TemporaryDir {
    fn create() -> Result<Self, Failure> {
        let dir = std::env::temp_dir().join(format!("kyu-dev-{}", std::process::id()));
        // `create_dir` fails if it exists: nobody else's files are taken over.
        std::fs::create_dir(&dir)
            .map_err(|error| Failure::Failed(format!("creating {}: {error}", dir.display())))?;
        Ok(Self(dir))
    }
}

impl Drop for TemporaryDir {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("kyu: {} stays behind: {error}", self.0.display());
        }
    }
}
