//! A running server: a broker and its doors.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kyu_admin::{Admin, AdminOptions};
use kyu_aws::{Deliveries, EndpointRule, SnsOptions, Sqs, SqsOptions};
use kyu_broker::{Broker, OpenError, Options};
use kyu_door::access::{Access, Credential};
use kyu_door::budget::Budget;
use kyu_door::descriptors;
use kyu_door::http::{Counts, PortMemory, serve};
use kyu_door::limits::Limits;
use kyu_door::origin::{Network, Origins};

use kyu_pgmq::wire::{DoorMemory, Tls};

use crate::listen::{Guards, Reserved, StartError, reserve};
use crate::open_port::OpenPort;
use crate::pgmq::{self, PgmqOptions};
use crate::port::Port;

const HTTP_FLAG: &str = "--http";
/// Less than the doors' own bounds together, so that it bounds their sum, and more than that of any
/// one of them, so that none can keep all of it from the others.
const MEMORY_BYTES: usize = 1 << 30;
const KEY_SETTING: &str = "KYU_ACCESS_KEY_ID and KYU_SECRET_ACCESS_KEY";

/// The options of a server.
#[derive(Debug)]
pub struct ServerOptions {
    /// The broker: data directory, log, bounds.
    pub broker: Options,
    /// Address of the HTTP port; `None` for no such port.
    pub http: Option<String>,
    /// TLS on the HTTP port; `None` for plain HTTP.
    pub http_tls: Option<Tls>,
    /// The pgmq door; `None` for no such port.
    pub pgmq: Option<PgmqOptions>,
    /// The credentials of those who may call from anywhere; empty for everybody on this machine and
    /// nobody else.
    pub credentials: Vec<Credential>,
    /// Without credentials: names by which clients may call this machine, besides `localhost`,
    /// `*.localhost` and addresses. Others could be those of web pages (DNS rebinding).
    pub allowed_hosts: Vec<String>,
    /// Rules of the SQS door. Which proxies are trusted, which endpoints may subscribe and what the
    /// server's own addresses are is filled in from what follows, and from the ports.
    pub sqs: SqsOptions,
    /// Proxies whose forwarded headers are believed; `None` for those on this machine if only it can
    /// reach the HTTP port, and nobody else.
    pub trusted_proxies: Option<Vec<Network>>,
    /// The rule for HTTP endpoints that may subscribe to topics; `None` for all if only this
    /// machine can reach the server, and else public ones.
    pub sns_endpoints: Option<EndpointRule>,
    /// Bounds of the HTTP port.
    pub limits: Limits,
    /// Memory that clients of all doors can make the server hold, beside messages in queues and what
    /// a connection needs at least.
    pub memory_bytes: usize,
    /// Most queues with series of their own in `/metrics`, the first in order of name: each has
    /// eleven, and a collector pays for every one.
    pub metrics_queues: usize,
}

impl ServerOptions {
    /// The defaults of the `kyu` command, with data in `dir` and only the HTTP port open.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            broker: Options::new(dir),
            http: Some("127.0.0.1:9324".into()),
            http_tls: None,
            pgmq: None,
            credentials: Vec::new(),
            allowed_hosts: Vec::new(),
            sqs: SqsOptions::default(),
            trusted_proxies: None,
            sns_endpoints: None,
            limits: Limits::default(),
            memory_bytes: MEMORY_BYTES,
            metrics_queues: 1_000,
        }
    }
}

/// A server that accepts. Dropping it ends the ports at once; [`Server::shutdown`] ends it in
/// good order.
#[derive(Debug)]
pub struct Server {
    broker: Broker,
    http: Option<OpenPort>,
    pgmq: Option<OpenPort>,
    ready: Arc<AtomicBool>,
    /// The HTTP port speaks TLS.
    secure: bool,
    /// The deliveries to the HTTP endpoints that are subscribed to topics.
    deliveries: Option<Deliveries>,
}

impl Server {
    /// Opens the data directory and the ports. When it returns, every door accepts.
    pub async fn start(mut options: ServerOptions) -> Result<Self, StartError> {
        share_descriptors(&mut options)?;
        // The ports first: finding one taken is quick, replaying a log may not be.
        let reserved = reserve_http(&options).await?;
        let pgmq = match options.pgmq {
            Some(options) => Some((options.reserve().await?, options)),
            None => None,
        };
        let ports = Ports {
            http: reserved.as_ref().and_then(Reserved::address),
            pgmq: pgmq.as_ref().and_then(|(reserved, _)| reserved.address()),
        };
        let sqs = ports.fill_in(options.sqs, options.trusted_proxies, options.sns_endpoints);
        let broker = open(options.broker).await.map_err(StartError::Open)?;
        let ready = Arc::new(AtomicBool::new(true));
        let process = Budget::process(options.memory_bytes);
        let pgmq_counts = Arc::new(kyu_pgmq::wire::Counts::default());
        let (pgmq, pgmq_memory) = match pgmq {
            Some((reserved, pgmq)) => {
                let account = sqs.account.clone();
                let counts = Arc::clone(&pgmq_counts);
                let memory = DoorMemory::new(&process, &pgmq.door.limits);
                let held = memory.clone();
                (Some(pgmq::open(reserved, pgmq, broker.clone(), account, held, counts)?), memory)
            }
            None => (None, DoorMemory::new(&process, &kyu_pgmq::wire::Limits::default())),
        };
        let (http, deliveries) = (None, None);
        let mut server = Self {
            broker: broker.clone(),
            http,
            pgmq,
            ready: Arc::clone(&ready),
            secure: false,
            deliveries,
        };
        if let Some(reserved) = reserved {
            let counts = Arc::new(Counts::default());
            let namespace = sqs.account.clone();
            // Each has signing keys of its own in store.
            let access = || Access::with_hosts(options.credentials.clone(), &options.allowed_hosts);
            let admin = Admin::new(broker.clone(), access(), AdminOptions { namespace });
            let sqs = Sqs::new(broker.clone(), access(), sqs);
            let access = access();
            server.deliveries = Some(sqs.start_deliveries());
            let http_counts = Arc::clone(&counts);
            let tls = options.http_tls.as_ref().map(Tls::acceptor);
            server.secure = tls.is_some();
            let memory = PortMemory::new(&process, &options.limits);
            let port = Port {
                broker,
                admin,
                sqs,
                access,
                metrics_queues: options.metrics_queues,
                counts: http_counts,
                memory: memory.clone(),
                pgmq_counts,
                pgmq_memory,
                ready,
            };
            let (port, limits) = (Arc::new(port), options.limits);
            let asked = options.http.unwrap_or_default();
            let opened = OpenPort::open(reserved, HTTP_FLAG, &asked, |listener, stopped| {
                serve(listener, port, limits, memory, tls, counts, stopped.wait())
            })?;
            server.http = Some(opened);
        }
        Ok(server)
    }

    /// The address on which the HTTP port listens.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(|http| http.address)
    }

    /// The HTTP port as a URL, to be given to clients as their endpoint.
    pub fn http_url(&self) -> Option<String> {
        let scheme = if self.secure { "https" } else { "http" };
        self.http_address().map(|address| format!("{scheme}://{address}"))
    }

    /// The address on which the pgmq door listens.
    pub fn pgmq_address(&self) -> Option<SocketAddr> {
        self.pgmq.as_ref().map(|pgmq| pgmq.address)
    }

    /// The broker behind the doors.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Ends in good order: no new connections, long polls answered, open requests finished within
    /// their grace, state saved.
    pub async fn shutdown(self) {
        self.ready.store(false, Ordering::Relaxed);
        if let Some(deliveries) = self.deliveries {
            deliveries.stop().await;
        }
        self.broker.end_long_polls();
        if let Some(pgmq) = self.pgmq {
            pgmq.shutdown().await;
        }
        if let Some(http) = self.http {
            http.shutdown().await;
        }
        self.broker.shutdown().await;
    }
}

/// The HTTP port, if there is to be one.
async fn reserve_http(options: &ServerOptions) -> Result<Option<Reserved>, StartError> {
    let Some(address) = &options.http else { return Ok(None) };
    let pairs: Vec<_> = options.credentials.iter().map(Credential::pair).collect();
    let guards = Guards { setting: KEY_SETTING, pairs: &pairs };
    reserve(HTTP_FLAG, address, guards).await.map(Some)
}

/// Cuts the limits of connections to what the process has descriptors for. Two doors share them two
/// to one, as their defaults do.
fn share_descriptors(options: &mut ServerOptions) -> Result<(), StartError> {
    let limit = descriptors::limit();
    if limit < descriptors::FEWEST {
        return Err(StartError::FewDescriptors { limit });
    }
    let all = descriptors::for_connections(limit);
    let pgmq_share = if options.http.is_some() { all / 3 } else { all };
    let http_share = if options.pgmq.is_some() { all - pgmq_share } else { all };
    let http = &mut options.limits.max_connections;
    *http = (*http).min(http_share);
    if let Some(pgmq) = &mut options.pgmq {
        let pgmq = &mut pgmq.door.limits.max_connections;
        *pgmq = (*pgmq).min(pgmq_share);
    }
    Ok(())
}

/// The ports on which the doors will listen.
struct Ports {
    http: Option<SocketAddr>,
    pgmq: Option<SocketAddr>,
}

impl Ports {
    /// The rules of the SQS door, with what follows from the ports where the operator has not said:
    /// who calls from elsewhere must not reach through this server what only its machine and its
    /// network can, and must not be believed to be a proxy.
    fn fill_in(
        &self,
        sqs: SqsOptions,
        trusted_proxies: Option<Vec<Network>>,
        endpoints: Option<EndpointRule>,
    ) -> SqsOptions {
        let own_addresses: Vec<_> = [self.http, self.pgmq].into_iter().flatten().collect();
        let is_local = |address: &SocketAddr| address.ip().to_canonical().is_loopback();
        let proxies = if self.http.as_ref().is_none_or(is_local) {
            Origins::trusting_loopback().trusted_proxies
        } else {
            Vec::new()
        };
        let by_ports = if own_addresses.iter().all(is_local) {
            EndpointRule::Any
        } else {
            EndpointRule::Public
        };
        SqsOptions {
            origins: Origins { trusted_proxies: trusted_proxies.unwrap_or(proxies), ..sqs.origins },
            sns: SnsOptions { endpoints: endpoints.unwrap_or(by_ports), own_addresses, ..sqs.sns },
            ..sqs
        }
    }
}

/// Opening reads and replays files, which must not block the runtime.
async fn open(options: Options) -> Result<Broker, OpenError> {
    match tokio::task::spawn_blocking(move || Broker::open(options)).await {
        Ok(opened) => opened,
        Err(error) => Err(OpenError::Failed(format!("opening the data directory: {error}"))),
    }
}
