//! The relay: connect, take over, move rows, connect again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_postgres::Client;

use crate::conninfo::Conninfo;
use crate::error::Error;
use crate::position::{Place, Position};
use crate::sink::{self, Failed, Sink};
use crate::source::{self, OutboxRow, Schema, Target};
use crate::wal::Replication;

/// The options of a relay.
#[derive(Clone, Debug)]
pub struct Options {
    /// The user's Postgres, such as `postgresql://user:password@host/database`.
    pub source: String,
    /// Kyu's pgmq door, such as `postgresql://kyu@127.0.0.1:5432/kyu`.
    pub target: String,
    /// The schema that the outbox is in.
    pub schema: Schema,
    /// Names the source in Kyu: two relays with one name are one relay, of which the newest works.
    /// It belongs to the first outbox that was relayed under it.
    pub name: String,
    /// Most rows of one step, from 1 to 1,000.
    pub batch_rows: u32,
    /// The time to wait when no row is there.
    pub poll: Duration,
    /// Makes queues that do not exist; otherwise their rows wait for somebody to do it.
    pub create_queues: bool,
    /// The time for which rows stay in the outbox after they were relayed; polling only.
    pub keep: Duration,
    /// Reads the log, instead of polling the table.
    pub replication: Option<Replication>,
}

/// The backlog of a relay; shared, and updated about once a second.
#[derive(Debug, Default)]
pub struct Lag {
    /// Rows that wait, those of open transactions excepted: counted up to 10,000, estimated beyond.
    pub rows: AtomicI64,
    /// Age of the first of them, in milliseconds.
    pub oldest_ms: AtomicU64,
    /// Log that the slot holds back at the source, in bytes; 0 when polling.
    pub wal_bytes: AtomicI64,
    /// Rows relayed since the start.
    pub relayed: AtomicU64,
    /// Rows that Kyu refused and that are parked.
    pub parked: AtomicU64,
}

/// See the module.
#[derive(Debug)]
pub struct Relay {
    pub(crate) options: Options,
    /// Name of this relay among those of its source.
    id: String,
    pub(crate) lag: Arc<Lag>,
    stop: watch::Sender<bool>,
    /// A new slot is still to be made: [`Replication::new_slot`].
    pub(crate) is_new_slot_due: AtomicBool,
}

/// Both ends, and where we stand.
pub(crate) struct Link {
    pub(crate) source: Client,
    pub(crate) target: Sink,
    pub(crate) position: Position,
    looked: Option<Instant>,
    _tasks: [Connection; 2],
}

/// The task that moves a connection's bytes.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The outcome of a try.
enum Made {
    Step,
    Queue,
}

/// The pauses between attempts to connect.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
];
/// The time for a connection with all that belongs to it.
pub(crate) const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);
/// The time between two looks at how far behind it is.
pub(crate) const LOOK_AT_LAG_EVERY: Duration = Duration::from_secs(1);
/// The pause between two tries of rows whose queue does not exist.
const NO_QUEUE_PAUSE: Duration = Duration::from_millis(500);

impl Relay {
    /// A relay that has not begun.
    pub fn new(options: Options) -> Self {
        use std::hash::{BuildHasher, RandomState};
        let id = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
        let new_slot = options.replication.as_ref().is_some_and(|replication| replication.new_slot);
        let (stop, _) = watch::channel(false);
        Self { options, id, lag: Arc::default(), stop, is_new_slot_due: AtomicBool::new(new_slot) }
    }

    /// The backlog of the relay.
    pub fn lag(&self) -> Arc<Lag> {
        Arc::clone(&self.lag)
    }

    /// Lets it end after the step that it is in.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    pub(crate) fn batch_rows(&self) -> usize {
        self.options.batch_rows.clamp(1, 1_000) as usize
    }

    /// Relays until it is stopped or fenced, or something is wrong that time does not mend. Lost
    /// connections are made again.
    pub async fn run(&self) -> Result<(), Error> {
        let mut stopping = self.stopping();
        let mut has_begun = false;
        let mut failures = 0;
        while !*stopping.borrow() {
            let began = Instant::now();
            let ended = match self.connect(has_begun).await {
                Ok(mut link) => {
                    has_begun = true;
                    self.work(&mut link).await
                }
                Err(error) => Err(error),
            };
            let error = match ended {
                Err(Error::Lost(error)) => error,
                Err(Error::Stopped) => return Ok(()),
                // One that takes over ends our connections and drops our slot: then that is the news.
                Err(Error::Refused(text)) if has_begun => {
                    self.ask_who_has_it().await?;
                    return Err(Error::Refused(text));
                }
                ended => return ended,
            };
            if began.elapsed() > Duration::from_secs(10) {
                failures = 0;
            }
            let pause = PAUSES.get(failures).or(PAUSES.last()).copied().unwrap_or_default();
            failures += 1;
            tracing::warn!(error, ?pause, "connecting again");
            let told = stopping.wait_for(|stop| *stop);
            let _stop = tokio::time::timeout(pause, told).await;
        }
        Ok(())
    }

    /// Connects both ends and takes the source over, unless another relay has it by now, or the
    /// cursor is that of another outbox: then nothing is changed at either end.
    async fn connect(&self, has_begun: bool) -> Result<Link, Error> {
        let (source, source_task) = connect(&self.options.source).await?;
        source::check(&source, &self.options.schema).await?;
        let identity = source::identity(&source, &self.options.schema).await?;
        let (target, target_task) = connect(&self.options.target).await?;
        let target = Sink::new(target).await?;
        let name = &self.options.name;
        if let Some(found) = sink::position(&target.client, name).await? {
            self.check_source(&source, &identity, &found).await?;
        }
        // What was known of the position is not trusted: Kyu says whether the last step happened.
        let position = if has_begun {
            self.held(&target).await?
        } else {
            sink::take_over(&target.client, name, &self.id).await?
        };
        // Another may have come between.
        self.check_source(&source, &identity, &position).await?;
        tracing::info!(%position, source = name, "relaying");
        let tasks = [source_task, target_task];
        let mut link = Link { source, target, position, looked: None, _tasks: tasks };
        if link.position.source.is_none() {
            let bound = link.position.bound_to(&identity);
            let moved = sink::relay(&mut link.target, name, &link.position, &bound, &[]).await;
            moved.map_err(Failed::without_rows)?;
            link.position = bound;
        }
        Ok(link)
    }

    /// An error unless a position can be one in this outbox. Rows that are older than the position
    /// are taken for relayed, and deleted: with that of another database they would be lost.
    async fn check_source(
        &self,
        source: &Client,
        identity: &str,
        position: &Position,
    ) -> Result<(), Error> {
        let name = &self.options.name;
        if let Some(bound) = position.source.as_ref().filter(|bound| *bound != identity) {
            return Err(Error::Refused(format!(
                "the cursor {name:?} in Kyu belongs to the outbox {bound}, and this is the outbox \
                 {identity}: give each source a --name of its own. Nothing was changed"
            )));
        }
        let Place::Polling { xid, .. } = position.place else { return Ok(()) };
        if source::has_reached(source, xid).await? {
            return Ok(());
        }
        Err(Error::Refused(format!(
            "the cursor {name:?} in Kyu is at transaction {xid}, which this source has not reached: \
             it is another database, or was restored to an older state. Relay it under another \
             --name; rows that are in Kyu already, and still in the outbox, come a second time then. \
             Nothing was changed"
        )))
    }

    /// The relay's position, unless another relay has come: then that one has the right.
    async fn held(&self, target: &Sink) -> Result<Position, Error> {
        match sink::position(&target.client, &self.options.name).await? {
            Some(found) if found.relay == self.id => Ok(found),
            found => {
                let found = found.map(|found| found.to_string()).unwrap_or_default();
                Err(Error::Fenced(found))
            }
        }
    }

    /// An error if it is known to be another relay.
    async fn ask_who_has_it(&self) -> Result<(), Error> {
        let Ok((target, _task)) = connect(&self.options.target).await else { return Ok(()) };
        match sink::position(&target, &self.options.name).await {
            Ok(Some(found)) if found.relay != self.id => Err(Error::Fenced(found.to_string())),
            _ => Ok(()),
        }
    }

    async fn work(&self, link: &mut Link) -> Result<(), Error> {
        match &self.options.replication {
            None => self.poll(link).await,
            Some(replication) => self.follow(link, replication).await,
        }
    }

    /// Puts rows into Kyu, in order, in one step or several. A row that Kyu refuses is parked.
    pub(crate) async fn deliver(&self, link: &mut Link, rows: &[OutboxRow]) -> Result<(), Error> {
        let mut rest = rows;
        let mut most = rows.len();
        while !rest.is_empty() {
            let (part, behind) = rest.split_at(most.min(rest.len()));
            match self.made(link, part).await {
                Ok(Made::Queue) => {}
                Ok(Made::Step) => {
                    self.lag.relayed.fetch_add(part.len() as u64, Ordering::Relaxed);
                    (rest, most) = (behind, behind.len());
                }
                Err(Failed::NoQueue(queue)) => {
                    tracing::warn!(queue, "the queue does not exist: its rows wait");
                    self.look_if_due(link).await?;
                    let mut stopping = self.stopping();
                    let told = stopping.wait_for(|stop| *stop);
                    if tokio::time::timeout(NO_QUEUE_PAUSE, told).await.is_ok() {
                        return Err(Error::Stopped);
                    }
                }
                // Those before it go as a step of their own, then it stands alone.
                Err(Failed::Row { at, .. }) if at > 0 => most = at,
                Err(Failed::Row { .. }) if part.len() > 1 => most = 1,
                Err(Failed::Row { sqlstate, error, .. }) => {
                    self.park(link, part, &sqlstate, &error).await?;
                    (rest, most) = (behind, behind.len());
                }
                Err(Failed::Other(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Puts rows into Kyu, or makes a queue that they need.
    async fn made(&self, link: &mut Link, part: &[OutboxRow]) -> Result<Made, Failed> {
        match self.step(link, part, part).await {
            Err(Failed::NoQueue(queue)) if self.options.create_queues => {
                let target = Target::Queue(queue.clone());
                let at = part.iter().position(|row| row.to == target).unwrap_or(0);
                sink::create_queue(&link.target.client, &queue, at).await?;
                Ok(Made::Queue)
            }
            done => done.map(|()| Made::Step),
        }
    }

    /// Moves the cursor behind the rows, sends some of them, and by logical replication deletes
    /// them: the next step's cursor does not name them any more.
    async fn step(
        &self,
        link: &mut Link,
        rows: &[OutboxRow],
        sent: &[OutboxRow],
    ) -> Result<(), Failed> {
        let after = link.position.after(rows);
        let name = &self.options.name;
        sink::relay(&mut link.target, name, &link.position, &after, sent).await?;
        link.position = after;
        if let Place::Wal(place) = &link.position.place {
            source::delete_keys(&link.source, &self.options.schema, &place.keys).await?;
        }
        Ok(())
    }

    /// Moves the cursor, and nothing with it.
    pub(crate) async fn move_to(&self, link: &mut Link, place: Place) -> Result<(), Error> {
        let after = link.position.moved_to(place);
        sink::relay(&mut link.target, &self.options.name, &link.position, &after, &[])
            .await
            .map_err(Failed::without_rows)?;
        link.position = after;
        Ok(())
    }

    /// Puts a row aside that Kyu does not take, so that those behind it go on.
    async fn park(
        &self,
        link: &mut Link,
        part: &[OutboxRow],
        sqlstate: &str,
        error: &str,
    ) -> Result<(), Error> {
        let Some(row) = part.first() else { return Ok(()) };
        tracing::error!(xid = row.xid, id = row.id, error, "a row is refused, and parked");
        source::park(&link.source, &self.options.schema, row, sqlstate, error).await?;
        self.step(link, part, &[]).await.map_err(Failed::without_rows)?;
        self.lag.parked.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// [`Relay::look`], about once a second.
    pub(crate) async fn look_if_due(&self, link: &mut Link) -> Result<(), Error> {
        if link.looked.is_some_and(|at| at.elapsed() < LOOK_AT_LAG_EVERY) {
            return Ok(());
        }
        self.look(link).await
    }

    /// Measures what is not done, and whether the source is still ours: a relay that has nothing to
    /// do would not notice.
    pub(crate) async fn look(&self, link: &mut Link) -> Result<(), Error> {
        link.looked = Some(Instant::now());
        self.held(&link.target).await?;
        let after = match link.position.place {
            Place::Polling { xid, id } => (xid, id),
            Place::Wal(_) => (0, 0),
        };
        let (rows, oldest_s) = source::backlog(&link.source, &self.options.schema, after).await?;
        self.lag.rows.store(rows, Ordering::Relaxed);
        self.lag.oldest_ms.store((oldest_s.max(0.0) * 1_000.0) as u64, Ordering::Relaxed);
        Ok(())
    }
}

async fn connect(url: &str) -> Result<(Client, Connection), Error> {
    let Conninfo { config, tls } = Conninfo::parse(url)?;
    // The driver's own timeout ends with the socket's connection.
    let connecting = tokio::time::timeout(LOGIN_TIMEOUT, config.connect(tls)).await;
    let (client, connection) =
        connecting.map_err(|_| Error::Lost("no answer to the login".into()))??;
    let task = tokio::spawn(async move {
        // Whoever uses the client hears of it.
        let _ended = connection.await;
    });
    Ok((client, Connection(task)))
}
