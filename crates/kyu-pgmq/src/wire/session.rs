//! One session: messages in their order, and what a failed one means for those behind it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use kyu_budget::{Budget, Level};
use kyu_door::accept::Stopping;
use kyu_pgsql::error::{Notice, PgError};
use kyu_pgsql::held::Held;
use kyu_pgsql::host::Host;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::apart::Cancel;
use super::backend::{Severity, Status};
use super::connection::{Connection, Frame, Gone, Interrupted, until};
use super::frontend::{Frontend, Target};
use super::login::Client;
use super::portal::{Portal, Prepared};
use super::server::{Notification, Port, Queues};
use super::settings::{self, Settings};
use super::transaction::{BlockState, TransactionBlock};

/// The reason why a message was not worked off.
#[derive(Debug)]
pub(super) enum Stop {
    /// The statement failed; the session goes on.
    Failed(PgError),
    /// The session ends, and the client is told why.
    Fatal(PgError),
    /// Nobody is there.
    Closed,
}

impl From<PgError> for Stop {
    fn from(error: PgError) -> Self {
        Self::Failed(error)
    }
}

impl From<Gone> for Stop {
    fn from(gone: Gone) -> Self {
        match gone {
            Gone::Unreadable(message) => Self::Fatal(PgError::new("08P01", message)),
            Gone::NoMemory => {
                let detail =
                    "Large messages of other clients take all memory that there is for them.";
                let error = PgError::new("53200", "out of memory");
                Self::Fatal(PgError { detail: Some(detail.to_owned()), ..error })
            }
            Gone::Closed | Gone::Stalled => Self::Closed,
        }
    }
}

/// The part of a session that SQL sees.
pub(super) struct Context {
    pub(super) settings: Settings,
    pub(super) user: String,
    pub(super) database: String,
    pub(super) process: u32,
    pub(super) in_block: bool,
    /// The channels and payloads of NOTIFY since the transaction began.
    pub(super) said: Vec<(String, String)>,
    /// The time at which the session began.
    pub(super) began: i64,
    /// Warnings of functions; sent with the answer.
    warnings: Vec<Notice>,
    /// The number for `lastval()`.
    last_given: Option<i64>,
    /// The memory of its settings and of what NOTIFY has said.
    kept: Held,
}

/// Warnings of one statement; more of them say nothing more.
const MAX_WARNINGS: usize = 100;
/// Longest name of a channel, as in Postgres (`NAMEDATALEN` - 1).
const MAX_CHANNEL_BYTES: usize = 63;
/// Longest payload of NOTIFY, as in Postgres.
const MAX_PAYLOAD_BYTES: usize = 7_999;
/// Notifications that wait for their transaction: 54000 beyond it.
const MAX_SAID: usize = 10_000;

pub(super) fn channel_name(channel: &str) -> Result<&str, PgError> {
    match channel.len() {
        0 => Err(PgError::new("22023", "channel name cannot be empty")),
        1..=MAX_CHANNEL_BYTES => Ok(channel),
        _ => Err(PgError::new("22023", "channel name too long")),
    }
}

/// The memory of one notification that waits for its transaction.
fn said_bytes((channel, payload): &(String, String)) -> usize {
    size_of::<(String, String)>() + channel.len() + payload.len()
}

impl Context {
    /// NOTIFY. Others hear it when the transaction commits; the same thing twice is said once.
    pub(super) fn say(&mut self, channel: &str, payload: &str) -> Result<(), PgError> {
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(PgError::new("22023", "payload string too long"));
        }
        let said = (channel_name(channel)?.to_owned(), payload.to_owned());
        if self.said.len() >= MAX_SAID {
            let message = format!("more than {MAX_SAID} notifications in a transaction");
            return Err(PgError::new("54000", message));
        }
        if !self.said.contains(&said) {
            self.kept.grow(said_bytes(&said))?;
            self.said.push(said);
        }
        Ok(())
    }

    /// SET.
    pub(super) fn set_setting(
        &mut self,
        name: &str,
        value: &str,
        local: bool,
    ) -> Result<(), PgError> {
        self.kept.grow(settings::entry_bytes(name, value))?;
        let set = self.settings.set(name, value, local);
        self.settle();
        set
    }

    /// Makes the memory right after something has gone: at the end of a transaction, or back at a
    /// savepoint.
    pub(super) fn settle(&mut self) {
        if self.kept.bytes() == 0 {
            return;
        }
        let said: usize = self.said.iter().map(said_bytes).sum();
        let owed = self.settings.bytes() + said;
        self.kept.back_to(owed);
        // The first SET of a transaction keeps what was before. If there is no memory for that, the
        // next SET is refused.
        let _short = self.kept.grow(owed.saturating_sub(self.kept.bytes()));
    }
}

impl kyu_pgsql::Session for Context {
    fn setting(&self, name: &str) -> Option<String> {
        self.settings.get(name).map(ToOwned::to_owned)
    }

    fn set(&mut self, name: &str, value: &str, local: bool) -> Result<(), PgError> {
        self.set_setting(name, value, local)
    }

    fn settings(&self) -> Vec<(String, String)> {
        self.settings.all()
    }

    fn user(&self) -> &str {
        &self.user
    }

    fn database(&self) -> &str {
        &self.database
    }

    fn notify(&mut self, channel: &str, payload: &str) -> Result<(), PgError> {
        self.say(channel, payload)
    }

    fn backend_pid(&self) -> i32 {
        i32::try_from(self.process).unwrap_or(0)
    }

    fn in_transaction(&self) -> bool {
        self.in_block
    }

    fn is_read_only(&self) -> bool {
        self.settings.is_read_only()
    }

    fn zone(&self) -> kyu_pgsql::Zone {
        self.settings.style().zone
    }

    fn began(&self) -> i64 {
        self.began
    }

    fn warn(&mut self, code: &'static str, message: String) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(Notice { severity: "WARNING", code, message });
        }
    }

    fn gave(&mut self, number: i64) {
        self.last_given = Some(number);
    }

    fn last_given(&self) -> Option<i64> {
        self.last_given
    }
}

/// A session and all that it owns. Dropping it rolls back.
pub(super) struct Session<'a, Q: Queues> {
    pub(super) connection: Connection,
    pub(super) host: Q::Host,
    pub(super) context: Context,
    pub(super) transaction: TransactionBlock,
    /// Prepared statements by name; the unnamed one under the empty name.
    pub(super) statements: HashMap<String, Arc<Prepared>>,
    /// Portals and cursors, which share their names.
    pub(super) portals: HashMap<String, Portal>,
    pub(super) port: &'a Port<Q>,
    notifications: mpsc::Receiver<Notification>,
    pub(super) cancel: Arc<Cancel>,
    /// The memory that it may hold: results, cursors, prepared statements.
    pub(super) budget: Budget,
    /// The time by which the block that is running must have ended.
    pub(super) block_deadline: Option<Instant>,
    secret: u32,
    stopping: Stopping,
    /// True after an error, until Sync.
    skipping: bool,
    /// True while messages of the extended protocol wait for their Sync.
    grouped: bool,
}

impl<'a, Q: Queues> Session<'a, Q> {
    pub(super) fn new(
        client: Client,
        port: &'a Port<Q>,
        process: u32,
        secret: u32,
        cancel: Arc<Cancel>,
        stopping: Stopping,
    ) -> Self {
        let session_bytes = port.limits.session_memory_bytes;
        let budget = port.memory.sessions.within(Level::Connection, session_bytes);
        let (host, notifications) = port.queues.open(process, &budget);
        let mut connection = client.connection;
        connection.belongs_to(&budget);
        let context = Context {
            settings: client.settings,
            user: client.startup.user,
            database: client.startup.database,
            process,
            in_block: false,
            said: Vec::new(),
            began: host.now(),
            warnings: Vec::new(),
            last_given: None,
            kept: Held::new(&budget),
        };
        Self {
            connection,
            host,
            context,
            transaction: TransactionBlock::default(),
            statements: HashMap::new(),
            portals: HashMap::new(),
            port,
            notifications,
            cancel,
            budget,
            block_deadline: None,
            secret,
            stopping,
            skipping: false,
            grouped: false,
        }
    }

    /// Greets, then works until the client leaves, or must.
    pub(super) async fn run(mut self) {
        for (name, value) in self.context.settings.reported() {
            self.connection.out.parameter_status(name, &value);
        }
        self.connection.out.key_data(self.context.process, self.secret);
        self.connection.out.ready(Status::Idle);
        let ended = match self.connection.flush().await {
            Ok(()) => self.work().await,
            Err(gone) => Err(gone.into()),
        };
        // What is open is taken back before the client hears that the session has ended.
        if self.transaction.on_host {
            self.host.rollback().await;
        }
        match ended {
            Err(Stop::Fatal(error) | Stop::Failed(error)) => {
                self.connection.out.error(Severity::Fatal, &error);
                self.connection.close().await;
            }
            Ok(()) => self.connection.close().await,
            Err(Stop::Closed) => {}
        }
    }

    /// Message after message, until Terminate.
    async fn work(&mut self) -> Result<(), Stop> {
        loop {
            let Some(frame) = self.next().await? else { continue };
            if frame.kind == b'X' {
                return Ok(());
            }
            match self.handle(&frame).await {
                Ok(()) => {}
                Err(Stop::Failed(error)) => self.fail(frame.kind, error).await?,
                Err(stop) => return Err(stop),
            }
        }
    }

    /// The next message, or `None` after something else that happened while there was none.
    async fn next(&mut self) -> Result<Option<Frame>, Stop> {
        if let Some(frame) = self.connection.frame().await? {
            return Ok(Some(frame));
        }
        // Notifications come between transactions only, and never inside a group of messages.
        let idle = self.transaction.state == BlockState::Idle && !self.grouped;
        let limit = self.idle_limit();
        let (reason, at) = limit.unzip();
        let said = tokio::select! {
            biased;
            filled = self.connection.fill() => return Ok(filled.map(|()| None)?),
            said = self.notifications.recv(), if idle => said,
            () = until(at) => return Err(reason.map_or(Stop::Closed, Stop::Fatal)),
            () = self.stopping.wait() => {
                let message = "terminating connection due to administrator command";
                return Err(Stop::Fatal(PgError::new("57P01", message)));
            }
        };
        let overrun = PgError::new("53400", "too many notifications wait for this session");
        self.tell(&said.ok_or(Stop::Fatal(overrun))?);
        self.tell_waiting();
        self.connection.flush().await?;
        Ok(None)
    }

    /// The time at which waiting for the client's next message ends the session, and the words for
    /// it.
    fn idle_limit(&self) -> Option<(PgError, Instant)> {
        let (name, code, message) = match self.transaction.state {
            BlockState::Idle => (
                "idle_session_timeout",
                "57P05",
                "terminating connection due to idle-session timeout",
            ),
            _ => (
                "idle_in_transaction_session_timeout",
                "25P03",
                "terminating connection due to idle-in-transaction timeout",
            ),
        };
        let ms = self.context.settings.milliseconds(name);
        let after = Duration::from_millis(ms);
        (ms > 0).then(|| (PgError::new(code, message), Instant::now() + after))
    }

    async fn handle(&mut self, frame: &Frame) -> Result<(), Stop> {
        if self.skipping && frame.kind != b'S' {
            return Ok(());
        }
        let body: &Bytes = &frame.body;
        self.cancel.forget();
        self.block_deadline = None;
        match Frontend::parse(frame.kind, body)? {
            Frontend::Query(text) => {
                self.grouped = false;
                self.query(text).await?;
                self.ready().await
            }
            Frontend::Sync => self.sync().await,
            Frontend::Flush => {
                self.grouped = true;
                Ok(self.connection.flush().await?)
            }
            Frontend::FunctionCall => {
                let message = "function calls by object id are not supported; use SELECT";
                Err(PgError::new("0A000", message).into())
            }
            Frontend::Password(_) => {
                Err(Stop::Fatal(PgError::new("08P01", "unexpected password message")))
            }
            Frontend::Copy | Frontend::Terminate => Ok(()),
            extended => {
                self.grouped = true;
                self.extended(extended).await?;
                Ok(self.connection.flush_if_full().await?)
            }
        }
    }

    async fn extended(&mut self, message: Frontend<'_>) -> Result<(), Stop> {
        match message {
            Frontend::Parse { name, text, types } => self.parse(name, text, types).await,
            Frontend::Bind(bind) => self.bind(bind),
            Frontend::Execute { portal, max_rows } => self.execute(portal, max_rows).await,
            Frontend::Describe(target) => self.describe(target).await,
            Frontend::Close(target) => {
                match target {
                    Target::Statement(name) => drop(self.statements.remove(name)),
                    Target::Portal(name) => drop(self.portals.remove(name)),
                }
                self.connection.out.close_complete();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The end of a group: what was open without BEGIN is committed.
    async fn sync(&mut self) -> Result<(), Stop> {
        self.skipping = false;
        self.grouped = false;
        if self.transaction.state == BlockState::Implicit
            && let Err(error) = self.end(true).await
        {
            self.connection.out.error(Severity::Error, &error);
        }
        if self.transaction.state == BlockState::Idle {
            self.portals.retain(|_, portal| portal.held);
        }
        self.ready().await
    }

    /// ErrorResponse; the transaction has failed, and the rest of a group is passed over.
    async fn fail(&mut self, kind: u8, error: PgError) -> Result<(), Stop> {
        self.port.counts.statements_failed.fetch_add(1, Relaxed);
        self.notices();
        self.connection.out.error(Severity::Error, &error);
        self.fail_transaction().await;
        match kind {
            b'P' | b'B' | b'E' | b'D' | b'C' | b'H' => {
                self.skipping = true;
                Ok(self.connection.flush_if_full().await?)
            }
            _ => self.ready().await,
        }
    }

    /// ReadyForQuery, and before it what the client should know by then.
    async fn ready(&mut self) -> Result<(), Stop> {
        for (name, value) in self.context.settings.news() {
            self.connection.out.parameter_status(name, &value);
        }
        if self.transaction.state == BlockState::Idle {
            self.tell_waiting();
        }
        self.connection.out.ready(self.transaction.status());
        Ok(self.connection.flush().await?)
    }

    fn tell_waiting(&mut self) {
        while let Ok(said) = self.notifications.try_recv() {
            self.tell(&said);
        }
    }

    fn tell(&mut self, said: &Notification) {
        self.connection.out.notification(said.process, &said.channel, &said.payload);
    }

    /// Sends what the host noticed.
    pub(super) fn notices(&mut self) {
        let mut notices = self.host.take_notices();
        notices.append(&mut self.context.warnings);
        for notice in notices {
            self.notice(&notice);
        }
    }

    /// Sends a notice, if `client_min_messages` lets it through.
    pub(super) fn notice(&mut self, notice: &Notice) {
        let rank = |severity: &str| match severity {
            "error" | "ERROR" => 3,
            "warning" | "WARNING" => 2,
            _ => 1,
        };
        let least = self.context.settings.get("client_min_messages").unwrap_or_default();
        if rank(notice.severity) >= rank(least) {
            self.connection.out.notice(notice);
        }
    }

    pub(super) fn warn(&mut self, code: &'static str, message: &str) {
        self.notice(&Notice { severity: "WARNING", code, message: message.to_owned() });
    }

    /// SHOW's answer: name as written by Postgres, and value.
    pub(super) fn show(&self, name: &str) -> Result<(String, String), PgError> {
        let value = self.context.settings.get(name).ok_or_else(|| settings::unknown(name))?;
        Ok((settings::proper_name(name), value.to_owned()))
    }
}

/// The words of 57014.
pub(super) const BY_USER: &str = "canceling statement due to user request";
pub(super) const BY_TIMEOUT: &str = "canceling statement due to statement timeout";

/// Runs what waits for the host, and lets it be interrupted. A macro would hide less and say more
/// often: the connection and the host are borrowed side by side.
pub(super) async fn interruptible<T>(
    connection: &mut Connection,
    cancel: &Cancel,
    deadline: Option<Instant>,
    work: impl Future<Output = Result<T, PgError>>,
) -> Result<T, Stop> {
    let message = match connection.during(work, &cancel.notify, deadline).await {
        Ok(done) => return done.map_err(Stop::Failed),
        Err(Interrupted::Cancelled) => BY_USER,
        Err(Interrupted::TimedOut) => BY_TIMEOUT,
        Err(Interrupted::HungUp) => return Err(Stop::Closed),
    };
    Err(PgError::new("57014", message).into())
}
