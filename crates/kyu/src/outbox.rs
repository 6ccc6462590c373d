//! `kyu outbox`: relays the outbox of a user's own Postgres.

use std::fmt::Write;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use kyu_door::budget::Budget;
use kyu_door::http::{
    Counts, Handler, Head, PortMemory, Rejection, Request, Response, StatusCode, serve, text,
};
use kyu_door::limits::Limits;
use kyu_outbox::{Lag, Options, Relay, Replication, Schema};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::OutboxArgs;
use crate::exit::Failure;

/// The memory that clients of `/metrics` can make it hold: their requests.
const MEMORY_BYTES: usize = 16 << 20;

/// The time for the step that a relay is in when it is told to stop.
const GRACE: Duration = Duration::from_secs(5);

/// Relays until it is told to stop, or another relay takes over.
pub(crate) fn run(args: OutboxArgs) -> Result<(), Failure> {
    let schema = Schema::new(&args.schema).map_err(Failure::Usage)?;
    if args.print_sql {
        print!("{}", schema.install_sql());
        return Ok(());
    }
    let Some(source) = args.source else {
        return Err(Failure::Usage("--source says which Postgres the outbox is in".into()));
    };
    let slot = args.slot.unwrap_or_else(|| slot_of(&args.name));
    let (publication, new_slot) = (args.publication, args.new_slot);
    let relay = Relay::new(Options {
        source,
        target: args.target,
        schema,
        name: args.name,
        batch_rows: args.batch_rows,
        poll: Duration::from_millis(args.poll_ms.max(1)),
        create_queues: !args.no_create_queues,
        keep: Duration::from_secs(args.keep_s),
        replication: args.replication.then_some(Replication { slot, publication, new_slot }),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Failed(format!("starting: {error}")))?;
    runtime.block_on(relay_until_told(&relay, args.metrics.as_deref()))
}

/// Slots have names of a-z, 0-9 and _.
fn slot_of(name: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    format!("kyu_outbox_{}", name.chars().map(fits).collect::<String>())
}

async fn relay_until_told(relay: &Relay, metrics: Option<&str>) -> Result<(), Failure> {
    if let Some(address) = metrics {
        let listener = TcpListener::bind(address).await;
        let listener =
            listener.map_err(|error| Failure::InUse(format!("--metrics {address}: {error}")))?;
        let bound = listener.local_addr();
        let bound = bound.map_err(|error| Failure::Failed(format!("--metrics: {error}")))?;
        announce(bound);
        let port = Arc::new(Port(relay.lag()));
        let counts = Arc::new(Counts::default());
        let limits = Limits::default();
        let memory = PortMemory::new(&Budget::process(MEMORY_BYTES), &limits);
        tokio::spawn(serve(listener, port, limits, memory, None, counts, std::future::pending()));
    }
    let failed = |error| Failure::Failed(format!("listening for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut running = std::pin::pin!(relay.run());
    let ended = tokio::select! {
        ended = &mut running => Some(ended),
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        // A step that is cut off has happened or not; the next relay finds out which.
        None => {
            relay.stop();
            tokio::time::timeout(GRACE, running).await.unwrap_or(Ok(()))
        }
    };
    ended.map_err(|error| Failure::Failed(error.to_string()))
}

/// One line on standard output, for scripts that asked for port 0.
fn announce(metrics: SocketAddr) {
    use std::io::Write;
    // Nobody reads it: that is no reason not to relay.
    let mut out = std::io::stdout().lock();
    let _unread = writeln!(out, "kyu ready metrics={metrics}").and_then(|()| out.flush());
}

/// `/metrics` of a relay.
struct Port(Arc<Lag>);

impl Handler for Port {
    fn handle(&self, request: Request) -> impl Future<Output = Response> + Send {
        let answer = match request.head.uri.path() {
            "/metrics" => text(StatusCode::OK, render(&self.0)),
            "/livez" => text(StatusCode::OK, "ok\n"),
            _ => text(StatusCode::NOT_FOUND, "see /metrics\n"),
        };
        std::future::ready(answer)
    }

    fn reject(&self, _head: &Head, _reason: Rejection) -> Response {
        text(StatusCode::BAD_REQUEST, "not understood\n")
    }
}

/// The backlog in the text format of Prometheus.
fn render(lag: &Lag) -> String {
    let samples = [
        (
            "kyu_outbox_lag_rows",
            "gauge",
            "Rows that wait; above 10000 as many as the planner thinks that the table has.",
            lag.rows.load(Relaxed) as f64,
        ),
        (
            "kyu_outbox_lag_seconds",
            "gauge",
            "Age of the first row that waits.",
            lag.oldest_ms.load(Relaxed) as f64 / 1_000.0,
        ),
        (
            "kyu_outbox_lag_bytes",
            "gauge",
            "Log that the slot holds back at the source; 0 when polling.",
            lag.wal_bytes.load(Relaxed) as f64,
        ),
        (
            "kyu_outbox_relayed_rows_total",
            "counter",
            "Rows relayed.",
            lag.relayed.load(Relaxed) as f64,
        ),
        (
            "kyu_outbox_parked_rows_total",
            "counter",
            "Rows that were refused, and parked.",
            lag.parked.load(Relaxed) as f64,
        ),
    ];
    let mut page = String::new();
    for (name, kind, help, value) in samples {
        // Writing into a string cannot fail.
        let _written = write!(page, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_is_named_after_the_source() {
        assert_eq!(slot_of("default"), "kyu_outbox_default");
        assert_eq!(slot_of("Shop-1 é"), "kyu_outbox_shop_1__");
    }
}
