//! The relay: connect, take over, move rows, connect again.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};

use crate::error::Error;
use crate::position::Position;
use crate::sink::{self, Failed, Sink};
use crate::source::{self, OutboxRow};

/// How a relay works.
#[derive(Clone, Debug)]
pub struct Options {
    /// The user's Postgres, such as `postgresql://user:password@host/database`.
    pub source: String,
    /// Kyu's pgmq door, such as `postgresql://kyu@127.0.0.1:5432/kyu`.
    pub target: String,
    /// Names the source in Kyu: two relays with one name are one relay, of which the newest works.
    pub name: String,
    /// Most rows of one step, from 1 to 1,000.
    pub batch_rows: u32,
    /// How long to wait when no row is there.
    pub poll: Duration,
    /// Makes queues that do not exist; otherwise their rows wait for somebody to do it.
    pub create_queues: bool,
    /// How long rows stay in the outbox after they were relayed.
    pub keep: Duration,
}

/// How far a relay is behind; shared, and updated about once a second.
#[derive(Debug, Default)]
pub struct Lag {
    /// Rows that wait, those of open transactions excepted.
    pub rows: AtomicI64,
    /// Age of the oldest of them, in milliseconds.
    pub oldest_ms: AtomicU64,
    /// Rows relayed since the start.
    pub relayed: AtomicU64,
    /// Rows that Kyu refused and that are parked.
    pub parked: AtomicU64,
}

/// See the module.
#[derive(Debug)]
pub struct Relay {
    options: Options,
    /// Name of this relay among those of its source.
    id: String,
    lag: Arc<Lag>,
}

/// Both ends, and where we stand.
struct Link {
    source: Client,
    target: Sink,
    position: Position,
    _tasks: [Connection; 2],
}

/// The task that moves a connection's bytes.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Between attempts to connect.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
];
const LOOK_AT_LAG_EVERY: Duration = Duration::from_secs(1);

impl Relay {
    /// A relay that has not begun.
    pub fn new(options: Options) -> Self {
        use std::hash::{BuildHasher, RandomState};
        let id = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
        Self { options, id, lag: Arc::default() }
    }

    /// How far it is behind.
    pub fn lag(&self) -> Arc<Lag> {
        Arc::clone(&self.lag)
    }

    /// Relays until it is fenced or something is wrong that time does not mend. Lost connections
    /// are made again.
    pub async fn run(&self) -> Result<(), Error> {
        let mut position = None;
        let mut failures = 0;
        loop {
            let began = tokio::time::Instant::now();
            let ended = match self.connect(position.as_ref()).await {
                Ok(mut link) => {
                    let ended = self.work(&mut link).await;
                    // What is known of the position is not trusted: Kyu says whether the last step
                    // happened.
                    position = Some(link.position.clone());
                    ended
                }
                Err(error) => Err(error),
            };
            match ended {
                Ok(()) => return Ok(()),
                Err(Error::Lost(error)) => {
                    if began.elapsed() > Duration::from_secs(10) {
                        failures = 0;
                    }
                    let pause = PAUSES.get(failures).or(PAUSES.last()).copied().unwrap_or_default();
                    failures += 1;
                    tracing::warn!(error = %Error::Lost(error), ?pause, "connecting again");
                    tokio::time::sleep(pause).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Connects both ends and takes the source over, unless another relay has it by now.
    async fn connect(&self, held: Option<&Position>) -> Result<Link, Error> {
        let (source, source_task) = connect(&self.options.source).await?;
        let (target, target_task) = connect(&self.options.target).await?;
        let target = Sink::new(target).await?;
        let name = &self.options.name;
        let position = match held {
            None => sink::take_over(&target.client, name, &self.id).await?,
            // Connected again: somebody may have come between, and then has the right.
            Some(_) => match sink::position(&target.client, name).await? {
                Some(found) if found.relay == self.id => found,
                found => {
                    let found = found.map(|found| found.to_string()).unwrap_or_default();
                    return Err(Error::Fenced(found));
                }
            },
        };
        tracing::info!(%position, source = name, "relaying");
        Ok(Link { source, target, position, _tasks: [source_task, target_task] })
    }

    async fn work(&self, link: &mut Link) -> Result<(), Error> {
        let mut batch_rows = self.options.batch_rows.clamp(1, 1_000);
        let mut looked = None;
        loop {
            if looked.is_none_or(|at: tokio::time::Instant| at.elapsed() >= LOOK_AT_LAG_EVERY) {
                looked = Some(tokio::time::Instant::now());
                self.look(link).await?;
            }
            let source = &link.source;
            let rows = source::rows_after(source, &link.position, batch_rows.into()).await?;
            let Some(last) = rows.last() else {
                tokio::time::sleep(self.options.poll).await;
                continue;
            };
            let after = link.position.moved_to(last.xid, last.id);
            match self.step(link, &after, &rows).await {
                Ok(()) => {
                    batch_rows = self.options.batch_rows.clamp(1, 1_000);
                    self.lag.relayed.fetch_add(rows.len() as u64, Ordering::Relaxed);
                }
                Err(Failed::NoQueue(queue)) if self.options.create_queues => {
                    sink::create_queue(&link.target.client, &queue).await?;
                }
                Err(Failed::NoQueue(queue)) => {
                    tracing::warn!(queue, "the queue does not exist: its rows wait");
                    tokio::time::sleep(PAUSES[1]).await;
                }
                // Those before it go as a batch of their own, then it stands alone.
                Err(Failed::Row { at, .. }) if at > 0 => batch_rows = at as u32,
                Err(Failed::Row { .. }) if rows.len() > 1 => batch_rows = 1,
                Err(Failed::Row { sqlstate, error, .. }) => {
                    self.park(link, &rows, &after, &sqlstate, &error).await?;
                }
                Err(Failed::Other(error)) => return Err(error),
            }
        }
    }

    async fn step(
        &self,
        link: &mut Link,
        after: &Position,
        rows: &[OutboxRow],
    ) -> Result<(), Failed> {
        let (name, before) = (&self.options.name, link.position.clone());
        sink::relay(&mut link.target, name, &before, after, rows).await?;
        link.position = after.clone();
        Ok(())
    }

    /// Puts a row aside that Kyu does not take, so that those behind it go on.
    async fn park(
        &self,
        link: &mut Link,
        rows: &[OutboxRow],
        after: &Position,
        sqlstate: &str,
        error: &str,
    ) -> Result<(), Error> {
        let Some(row) = rows.first() else { return Ok(()) };
        tracing::error!(xid = row.xid, id = row.id, error, "a row is refused, and parked");
        source::park(&link.source, row, sqlstate, error).await?;
        match self.step(link, after, &[]).await {
            Ok(()) => {
                self.lag.parked.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(Failed::Other(error)) => Err(error),
            Err(_) => Err(Error::Refused("no row was sent, and one failed".into())),
        }
    }

    /// Deletes what is done, and measures what is not.
    async fn look(&self, link: &Link) -> Result<(), Error> {
        let source = &link.source;
        source::delete_relayed(source, &link.position, self.options.keep.as_secs_f64()).await?;
        let (rows, oldest_s) = source::backlog(source, &link.position).await?;
        self.lag.rows.store(rows, Ordering::Relaxed);
        self.lag.oldest_ms.store((oldest_s.max(0.0) * 1_000.0) as u64, Ordering::Relaxed);
        Ok(())
    }
}

async fn connect(url: &str) -> Result<(Client, Connection), Error> {
    let config: tokio_postgres::Config =
        url.parse().map_err(|error| Error::Refused(format!("{error}")))?;
    let (client, connection) = config.connect(NoTls).await?;
    let task = tokio::spawn(async move {
        // Whoever uses the client hears of it.
        let _ended = connection.await;
    });
    Ok((client, Connection(task)))
}
