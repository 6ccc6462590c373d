//! The accept loop of every port: connections are counted and bounded, and end in good order.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// The pause when the system has no more file descriptors: time to close some.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Between two warnings that connections cannot be accepted.
const WARN_EVERY: Duration = Duration::from_secs(5);

/// Connections beyond the limit that are told so at the same time; others are closed unheard. Of a
/// small port an eighth, so that refusing takes no more descriptors than are kept for it.
const MAX_REFUSALS: usize = 64;

/// Bounds of a port's connections.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Open connections; those beyond are refused.
    pub max_connections: usize,
    /// The time that open connections have to finish at shutdown.
    pub shutdown_grace: Duration,
}

/// The counters of a port's connections, for metrics.
#[derive(Debug, Default)]
pub struct ConnectionCounts {
    /// Accepted, with refused ones.
    pub accepted: AtomicU64,
    /// Open now.
    pub open: AtomicU64,
    /// Refused because [`Bounds::max_connections`] were open.
    pub refused: AtomicU64,
}

/// Tells connections that the port is about to end.
#[derive(Clone, Debug)]
pub struct Stopping(watch::Receiver<bool>);

impl Stopping {
    /// Completes when the port is about to end.
    pub async fn wait(&mut self) {
        // An error means that the port is gone, which is a reason to stop as well.
        drop(self.0.wait_for(|stopped| *stopped).await);
    }
}

/// The protocol that is spoken on the connections of a port.
pub trait Dialogue: Send + Sync + 'static {
    /// Bounds of the port.
    fn bounds(&self) -> Bounds;

    /// Returns the counts that connections are counted in.
    fn counts(&self) -> &ConnectionCounts;

    /// Serves a connection to its end. Once `stopping` completes, it should finish what it does.
    fn converse(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        stopping: Stopping,
    ) -> impl Future<Output = ()> + Send;

    /// Tells a client that the port is full, in a time that has a bound.
    fn refuse(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        stopping: Stopping,
    ) -> impl Future<Output = ()> + Send;
}

/// Serves `listener` until `shutdown` completes, then lets connections finish for
/// [`Bounds::shutdown_grace`]. Returns when none is left, or then.
pub async fn accept<D: Dialogue>(
    listener: TcpListener,
    dialogue: Arc<D>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let bounds = dialogue.bounds();
    let slots = Arc::new(Semaphore::new(bounds.max_connections));
    let refusals = MAX_REFUSALS.min(bounds.max_connections / 8).max(1);
    let refusals = Arc::new(Semaphore::new(refusals));
    let (stop, stopped) = watch::channel(false);
    let stopping = Stopping(stopped);
    let mut shutdown = pin!(shutdown);
    let mut warned: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        let (stream, peer) = match accepted {
            Ok(connection) => connection,
            // The client was gone before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            // No descriptor or no memory, of this process or of the system: it passes.
            Err(error) => {
                if warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
                    warned = Some(Instant::now());
                    tracing::warn!(%error, "cannot accept connections at the moment");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        dialogue.counts().accepted.fetch_add(1, Relaxed);
        // Answers are written whole; waiting to fill a segment would only add latency.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "the connection is gone already");
            continue;
        }
        let (dialogue, stopping) = (Arc::clone(&dialogue), stopping.clone());
        if let Ok(slot) = Arc::clone(&slots).try_acquire_owned() {
            tokio::spawn(async move {
                dialogue.counts().open.fetch_add(1, Relaxed);
                Arc::clone(&dialogue).converse(stream, peer, stopping).await;
                dialogue.counts().open.fetch_sub(1, Relaxed);
                drop(slot);
            });
            continue;
        }
        dialogue.counts().refused.fetch_add(1, Relaxed);
        if let Ok(slot) = Arc::clone(&refusals).try_acquire_owned() {
            tokio::spawn(async move {
                dialogue.refuse(stream, peer, stopping).await;
                drop(slot);
            });
        }
    }
    drop(listener);
    stop.send_replace(true);
    let all = u32::try_from(bounds.max_connections).unwrap_or(u32::MAX);
    let left = tokio::time::timeout(bounds.shutdown_grace, slots.acquire_many(all)).await;
    if left.is_err() {
        tracing::warn!("connections are still open after the grace of a shutdown");
    }
}
