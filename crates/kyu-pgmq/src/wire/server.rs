//! The port: who may come in, and what all sessions share.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use kyu_budget::Budget;
use kyu_door::accept::{Bounds, ConnectionCounts, Dialogue, Stopping, accept};
use kyu_pgsql::error::PgError;
use kyu_pgsql::host::Host;
use kyu_pgsql::turns::Turns;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::apart::Cancel;
use super::limits::Limits;
use super::login::login;
use super::memory::DoorMemory;
use super::scram::Verifier;
use super::session::Session;

/// A NotificationResponse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Process id of the session that notified; 0 for none.
    pub process: u32,
    /// The channel.
    pub channel: String,
    /// The text that came with it.
    pub payload: String,
}

/// Gives each session its access to the queues.
pub trait Queues: Send + Sync + 'static {
    /// The host of one session.
    type Host: Host + 'static;

    /// Opens a session, which pays from `memory` for what it keeps between calls. Its notifications
    /// come through the channel; when it closes, or when the session cannot keep up, the session
    /// ends.
    fn open(&self, process: u32, memory: &Budget) -> (Self::Host, mpsc::Receiver<Notification>);

    /// `NOTIFY` outside of pgmq's own: told to every session that listens.
    fn notify(&self, notification: Notification);
}

/// The options of a door: who may have a session, and over what.
#[derive(Debug, Default)]
pub struct DoorOptions {
    /// Name and password; with one, everybody needs it. Without, only this machine is let in.
    pub user: Option<(String, String)>,
    /// TLS for clients that ask for it.
    pub tls: Option<Tls>,
    /// Bounds.
    pub limits: Limits,
}

/// A certificate and its key.
#[derive(Clone)]
pub struct Tls(Arc<rustls::ServerConfig>);

impl fmt::Debug for Tls {
    /// Leaves the key out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").finish()
    }
}

impl Tls {
    /// Reads PEM files: the certificate with its chain, and the key. The error names the file.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, String> {
        let failed = |path: &Path, error: &dyn fmt::Display| format!("{}: {error}", path.display());
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| failed(certificate, &error))?;
        let private = PrivateKeyDer::from_pem_file(key).map_err(|error| failed(key, &error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
            .and_then(|config| config)
            .map_err(|error| failed(certificate, &error))?;
        Ok(Self(Arc::new(config)))
    }

    /// The acceptor that makes TLS of connections, for a port of another protocol as well.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0))
    }
}

/// The counters of a port, for metrics.
#[derive(Debug, Default)]
pub struct Counts {
    /// The counters of its connections.
    pub connections: ConnectionCounts,
    /// Statements run.
    pub statements: AtomicU64,
    /// Statements that ended with an error.
    pub statements_failed: AtomicU64,
}

/// The state that all connections share.
pub(super) struct Port<Q> {
    pub(super) queues: Q,
    pub(super) limits: Limits,
    pub(super) memory: DoorMemory,
    pub(super) turns: Turns,
    pub(super) login: Option<Login>,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) cancels: Cancels,
    pub(super) counts: Arc<Counts>,
}

/// The user that may log in, and the proof of its password.
pub(super) struct Login {
    user: String,
    verifier: Verifier,
    /// Makes the salts of users that do not exist.
    secret: [u8; 32],
}

impl Login {
    pub(super) fn verifier(&self, user: &str) -> Verifier {
        match user == self.user {
            true => self.verifier.clone(),
            false => Verifier::mock(user, &self.secret),
        }
    }
}

/// Sessions by process id, with the secret that a CancelRequest must bring.
#[derive(Default)]
pub(super) struct Cancels {
    next: AtomicU32,
    sessions: Mutex<HashMap<u32, (u32, Arc<Cancel>)>>,
}

impl Cancels {
    /// A process id that no open session has.
    pub(super) fn enter(&self, secret: u32) -> (u32, Arc<Cancel>) {
        let cancel = Arc::new(Cancel::default());
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // Positive as an int4, as clients keep it in one.
            let process = self.next.fetch_add(1, Relaxed) % 0x7fff_fffe + 1;
            if let std::collections::hash_map::Entry::Vacant(entry) = sessions.entry(process) {
                entry.insert((secret, Arc::clone(&cancel)));
                return (process, cancel);
            }
        }
    }

    pub(super) fn leave(&self, process: u32) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&process);
    }

    /// Ends what that session runs now; without the secret nothing happens, and nobody is told.
    pub(super) fn cancel(&self, process: u32, secret: u32) {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, cancel)) = sessions.get(&process).filter(|(known, _)| *known == secret) {
            cancel.ask();
        }
    }
}

impl<Q> Port<Q> {
    /// Bytes that nobody can guess.
    pub(super) fn random<const N: usize>(&self) -> Result<[u8; N], PgError> {
        random().map_err(|()| PgError::new("XX000", "the system has no random bytes"))
    }
}

fn random<const N: usize>() -> Result<[u8; N], ()> {
    let mut bytes = [0; N];
    let source = rustls::crypto::ring::default_provider().secure_random;
    source.fill(&mut bytes).map_err(|_| ())?;
    Ok(bytes)
}

/// A door, ready to serve.
pub struct Door<Q>(Arc<Port<Q>>);

impl<Q> fmt::Debug for Door<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

impl<Q: Queues> Door<Q> {
    /// Prepares the password's verifier. Fails if the system has no random bytes.
    pub fn new(
        queues: Q,
        options: DoorOptions,
        memory: DoorMemory,
        counts: Arc<Counts>,
    ) -> Result<Self, String> {
        let no_random = |()| "the system has no random bytes".to_owned();
        let login = match options.user {
            None => None,
            Some((user, password)) => {
                let salt = random::<{ Verifier::salt_bytes() }>().map_err(no_random)?;
                let verifier = Verifier::new(&password, salt.to_vec());
                Some(Login { user, verifier, secret: random().map_err(no_random)? })
            }
        };
        Ok(Self(Arc::new(Port {
            queues,
            memory,
            turns: Turns::new(),
            limits: options.limits,
            login,
            tls: options.tls.map(|tls| TlsAcceptor::from(tls.0)),
            cancels: Cancels::default(),
            counts,
        })))
    }

    /// Serves `listener` until `shutdown` completes; then idle sessions are ended (57P01), and busy
    /// ones when their statement is done or the grace is over. Returns when none is left.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()> + Send) {
        accept(listener, self.0, shutdown).await;
    }
}

impl<Q: Queues> Dialogue for Port<Q> {
    fn bounds(&self) -> Bounds {
        let Limits { max_connections, shutdown_grace, .. } = self.limits;
        Bounds { max_connections, shutdown_grace }
    }

    fn counts(&self) -> &ConnectionCounts {
        &self.counts.connections
    }

    async fn converse(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, stopping: Stopping) {
        let port = &*self;
        let number = stream.local_addr().map_or(0, |address| address.port());
        let mut starting = stopping.clone();
        let client = tokio::select! {
            client = login(stream, peer, port, false) => client,
            () = starting.wait() => None,
        };
        let Some(mut client) = client else { return };
        client.settings.start_fixed("port", &number.to_string());
        let Ok(secret) = port.random::<4>() else { return };
        let secret = u32::from_be_bytes(secret);
        let (process, cancel) = port.cancels.enter(secret);
        let session = Session::new(client, port, process, secret, cancel, stopping);
        session.run().await;
        port.cancels.leave(process);
    }

    async fn refuse(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, mut stopping: Stopping) {
        tokio::select! {
            client = login(stream, peer, &self, true) => drop(client),
            () = stopping.wait() => {}
        }
    }
}
