//! The arguments, as data: `--help` is their documentation.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use kyu_client::{ClientOptions, Credentials};
use kyu_settings::duration_ms;

use crate::failure::Failure;
use crate::instant::instant_ms;
use crate::output::Format;

/// The server, and the caller's credentials.
#[derive(Clone, Debug, Args)]
pub struct Connection {
    /// The server's HTTP port, or the https:// URL of a proxy in front of it.
    #[arg(
        long,
        global = true,
        env = "KYU_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:9324"
    )]
    pub(crate) url: String,
    /// Certificate authorities (PEM) to believe, and no others. [default: those of this machine]
    #[arg(long, global = true, env = "KYU_CA_CERT", value_name = "FILE")]
    pub(crate) ca_cert: Option<PathBuf>,
    /// The access key of a server that wants one.
    #[arg(long, global = true, env = "KYU_ACCESS_KEY_ID", value_name = "ID")]
    pub(crate) access_key_id: Option<String>,
    /// Its secret. Better in the environment: others can see arguments.
    #[arg(
        long,
        global = true,
        env = "KYU_SECRET_ACCESS_KEY",
        value_name = "SECRET",
        hide_env_values = true
    )]
    pub(crate) secret_access_key: Option<String>,
    /// The namespace; the server's own if left out.
    #[arg(long, global = true, env = "KYU_NAMESPACE", value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// The form of the output.
    #[arg(short, long, global = true, value_enum, default_value_t)]
    pub(crate) output: Format,
}

impl Connection {
    pub(crate) fn options(&self) -> Result<ClientOptions, Failure> {
        let credentials = match (&self.access_key_id, &self.secret_access_key) {
            (Some(id), Some(secret)) => {
                Some(Credentials { access_key_id: id.clone(), secret_access_key: secret.clone() })
            }
            (None, None) => None,
            _ => {
                let text = "--access-key-id and --secret-access-key come together";
                return Err(Failure::Usage(text.into()));
            }
        };
        Ok(ClientOptions {
            url: self.url.clone(),
            credentials,
            authorities: self.ca_cert.clone(),
            namespace: self.namespace.clone(),
        })
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Queues: list, create, change, delete.
    #[command(subcommand)]
    Queue(QueueVerb),
    /// Send a message, or one for each line of standard input.
    Send(SendArgs),
    /// Lease messages and print them.
    Receive(ReceiveArgs),
    /// Look at the first messages of a queue. Changes nothing.
    Peek {
        /// The queue.
        queue: String,
        /// Most messages.
        #[arg(long, default_value_t = 10)]
        max: u32,
        /// In order of arrival and in any state, and not only what a receive would return.
        #[arg(long)]
        all: bool,
    },
    /// Acknowledge deliveries: the messages are done.
    Ack {
        /// The queue.
        queue: String,
        /// Receipts, as `receive` prints them.
        #[arg(required = true)]
        receipts: Vec<String>,
    },
    /// Give deliveries back.
    Release(ReleaseArgs),
    /// Reject deliveries for good: to the dead-letter queue.
    Reject {
        /// The queue.
        queue: String,
        /// Receipts.
        #[arg(required = true)]
        receipts: Vec<String>,
    },
    /// Move the end of leases.
    Extend {
        /// The queue.
        queue: String,
        /// Receipts.
        #[arg(required = true)]
        receipts: Vec<String>,
        /// For so long from now, such as 30s.
        #[arg(long, alias = "lease-ms", value_name = "TIME", value_parser = duration_ms)]
        lease: u64,
    },
    /// Move dead letters back to where they came from, or elsewhere.
    Redrive(RedriveArgs),
    /// One message that nobody works on: look, cancel, run now, postpone, prioritise, move.
    #[command(subcommand)]
    Message(MessageVerb),
    /// Choose messages by what they have in common; with an action, do it to them.
    Select(SelectArgs),
    /// Why a message is not delivered now, and when it could be.
    Explain {
        /// The queue.
        queue: String,
        /// The message's place in it, as `peek` and `send` print it.
        seq: u64,
    },
    /// What has happened to a message so far.
    History {
        /// The queue.
        queue: String,
        /// The message's place in it, as `peek` and `send` print it.
        seq: u64,
    },
    /// Give out nothing until it is resumed, or for a time: a queue, or a lane of it.
    Pause(PauseArgs),
    /// End a pause.
    Resume(ResumeArgs),
    /// Exchanges (SNS: topics): list, create, bind, delete.
    #[command(subcommand)]
    Exchange(ExchangeVerb),
    /// Publish a message to an exchange.
    Publish {
        /// The exchange.
        exchange: String,
        #[command(flatten)]
        /// What to publish.
        message: MessageArgs,
    },
    /// The ledger of effects that happen once.
    #[command(subcommand)]
    Ledger(LedgerVerb),
    /// Schedules: messages that time sends.
    #[command(subcommand)]
    Schedule(ScheduleVerb),
    /// What the server is, counts and measures.
    Status,
    /// Any operation of the API: METHOD PATH [JSON]. See /v1/openapi.json.
    Api {
        /// Such as GET.
        method: String,
        /// Such as /v1/queues.
        path: String,
        /// The body; `-` for standard input.
        body: Option<String>,
    },
}

/// Verbs on queues.
#[derive(Debug, Subcommand)]
pub enum QueueVerb {
    /// Queues in order of name.
    List {
        /// Only names that begin so.
        #[arg(long)]
        prefix: Option<String>,
    },
    /// Create a queue.
    Create {
        /// Its name.
        name: String,
        /// Settings, such as `kind=fifo`, `dead_letter.queue=dead`, `retry={...}`.
        #[arg(value_name = "NAME=VALUE")]
        settings: Vec<String>,
        /// A queue of that name is fine, whatever its settings.
        #[arg(long)]
        if_not_exists: bool,
    },
    /// A queue with its settings and counts.
    Get {
        /// Its name.
        name: String,
    },
    /// Change settings; `NAME=null` brings the default back.
    Set {
        /// The queue's name.
        name: String,
        /// Settings.
        #[arg(value_name = "NAME=VALUE", required = true)]
        settings: Vec<String>,
    },
    /// Delete a queue and its messages.
    Delete {
        /// Its name.
        name: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Drop all messages of a queue.
    Purge {
        /// Its name.
        name: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Counts, now and since the queue was created.
    Stats {
        /// Its name.
        name: String,
    },
    /// Lanes that have messages, and what limits them.
    Lanes {
        /// Its name.
        name: String,
    },
    /// Retry budgets and breakers, and what they hold back.
    Guards {
        /// Its name.
        name: String,
    },
}

/// The content of a message.
#[derive(Debug, Args)]
pub struct MessageArgs {
    /// The body; standard input to its end if left out or `-`.
    pub(crate) body: Option<String>,
    /// A value beside the body.
    #[arg(long = "attribute", value_name = "NAME=TEXT")]
    pub(crate) attributes: Vec<String>,
    /// Lane: message group, tenant, partition key.
    #[arg(long)]
    pub(crate) lane: Option<String>,
    /// Sent again under the same id, it is not enqueued again.
    #[arg(long)]
    pub(crate) dedup_id: Option<String>,
}

/// See [`Verb::Send`].
#[derive(Debug, Args)]
pub struct SendArgs {
    /// The queue.
    pub(crate) queue: String,
    #[command(flatten)]
    pub(crate) message: MessageArgs,
    /// One message for each line of standard input.
    #[arg(long, conflicts_with = "body")]
    pub(crate) lines: bool,
    /// Not received before this has passed, such as 5m, 1h30m, or a number of milliseconds.
    #[arg(long, alias = "delay-ms", value_name = "TIME", value_parser = duration_ms)]
    pub(crate) delay: Option<u64>,
    /// Not received before this instant, such as 2026-12-24T18:00+01:00 or
    /// 2026-12-24T18:00[Europe/Berlin].
    #[arg(long, value_name = "INSTANT", value_parser = instant_ms, conflicts_with = "delay")]
    pub(crate) at: Option<u64>,
    /// Expires at this instant, or so long from now (+1h).
    #[arg(long, alias = "expires-at-ms", value_name = "INSTANT", value_parser = instant_ms)]
    pub(crate) expires_at: Option<u64>,
    /// 0 to 255, which is received first.
    #[arg(long)]
    pub(crate) priority: Option<u8>,
    /// Not enqueued while a message with this key is in the queue.
    #[arg(long, value_name = "KEY")]
    pub(crate) unique: Option<String>,
}

/// See [`Verb::Receive`].
#[derive(Debug, Args)]
pub struct ReceiveArgs {
    /// The queue.
    pub(crate) queue: String,
    /// Most messages.
    #[arg(long, default_value_t = 1)]
    pub(crate) max: u32,
    /// How long to wait for the first, to 60s.
    #[arg(long, alias = "wait-ms", value_name = "TIME", value_parser = duration_ms)]
    pub(crate) wait: Option<u64>,
    /// How long the messages are leased, to 12h; the queue's visibility timeout if left out.
    #[arg(long, alias = "lease-ms", value_name = "TIME", value_parser = duration_ms)]
    pub(crate) lease: Option<u64>,
    /// Acknowledge them when they are printed.
    #[arg(long)]
    pub(crate) ack: bool,
}

/// See [`Verb::Release`].
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// The queue.
    pub(crate) queue: String,
    /// Receipts.
    #[arg(required = true)]
    pub(crate) receipts: Vec<String>,
    /// Not received again before this has passed, such as 5m.
    #[arg(long, alias = "delay-ms", value_name = "TIME", value_parser = duration_ms)]
    pub(crate) delay: Option<u64>,
    /// The attempt does not count.
    #[arg(long)]
    pub(crate) uncounted: bool,
    /// The attempt failed, for this reason.
    #[arg(long, value_name = "TEXT", conflicts_with = "uncounted")]
    pub(crate) error: Option<String>,
}

/// See [`Verb::Redrive`].
#[derive(Debug, Args)]
pub struct RedriveArgs {
    /// The dead-letter queue.
    pub(crate) queue: String,
    /// Where to; the queue that each message came from if left out.
    #[arg(long, value_name = "QUEUE")]
    pub(crate) to: Option<String>,
    /// Most messages a second.
    #[arg(long)]
    pub(crate) max_per_second: Option<u32>,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Move only so many.
    #[arg(long, conflicts_with = "max_per_second")]
    pub(crate) max: Option<u64>,
    /// Return at once, and let the server go on.
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Show the last moves of the queue instead.
    #[arg(long, conflicts_with_all = ["to", "max_per_second", "cancel", "no_wait"])]
    pub(crate) list: bool,
    /// Stop a move instead.
    #[arg(long, value_name = "ID", conflicts_with_all = ["to", "max_per_second"])]
    pub(crate) cancel: Option<u64>,
}

/// Verbs on one message, named by its place in the queue, as `peek` and `send` print it.
#[derive(Debug, Subcommand)]
pub enum MessageVerb {
    /// The message as it is. Changes nothing.
    Get {
        /// The queue.
        queue: String,
        /// Its place.
        seq: u64,
    },
    /// Remove it: the job is cancelled.
    Cancel {
        /// The queue.
        queue: String,
        /// Its place.
        seq: u64,
        /// Also if somebody works on it.
        #[arg(long)]
        in_flight: bool,
    },
    /// Make it ready at once, whatever it waits for.
    Run {
        /// The queue.
        queue: String,
        /// Its place.
        seq: u64,
    },
    /// Postpone it, or give it another priority.
    Set {
        /// The queue.
        queue: String,
        /// Its place.
        seq: u64,
        /// Not received before this has passed, such as 5m.
        #[arg(long, value_name = "TIME", value_parser = duration_ms)]
        delay: Option<u64>,
        /// Not received before this instant, such as 2026-12-24T18:00+01:00.
        #[arg(long, value_name = "INSTANT", value_parser = instant_ms, conflicts_with = "delay")]
        at: Option<u64>,
        /// 0 to 255, which is received first.
        #[arg(long)]
        priority: Option<u8>,
    },
    /// Move it to another queue, or a dead letter back to where it came from.
    Move {
        /// The queue.
        queue: String,
        /// Its place.
        seq: u64,
        /// Where to.
        #[arg(long, value_name = "QUEUE")]
        to: Option<String>,
    },
}

/// The properties that chosen messages have in common.
#[derive(Debug, Default, Args)]
pub(crate) struct FilterArgs {
    /// In this state: ready, delayed, leased, held, backoff, parked, dead, archived. May be repeated.
    #[arg(long = "state", value_name = "STATE")]
    pub(crate) states: Vec<String>,
    /// Dead for this reason: max_receives, rejected, deadline, retention. May be repeated.
    #[arg(long = "reason", value_name = "REASON")]
    pub(crate) reasons: Vec<String>,
    /// Sent longer ago than this, such as 2h.
    #[arg(long, value_name = "TIME", value_parser = duration_ms)]
    pub(crate) older_than: Option<u64>,
    /// Sent within this time.
    #[arg(long, value_name = "TIME", value_parser = duration_ms)]
    pub(crate) younger_than: Option<u64>,
    /// In this lane.
    #[arg(long)]
    pub(crate) lane: Option<String>,
    /// With this attribute. May be repeated: all of them.
    #[arg(long = "attribute", value_name = "NAME=TEXT")]
    pub(crate) attributes: Vec<String>,
    /// With this text in the body.
    #[arg(long)]
    pub(crate) text: Option<String>,
    /// With this text in the error of the last attempt.
    #[arg(long, value_name = "TEXT")]
    pub(crate) error: Option<String>,
}

/// See [`Verb::Select`].
#[derive(Debug, Args)]
pub struct SelectArgs {
    /// The queue.
    pub(crate) queue: String,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Choose only so many.
    #[arg(long)]
    pub(crate) max: Option<u64>,
    /// Remove them.
    #[arg(long, group = "action")]
    pub(crate) cancel: bool,
    /// Make them ready at once.
    #[arg(long, group = "action")]
    pub(crate) run: bool,
    /// They are not received before this instant, such as +5m.
    #[arg(long, value_name = "INSTANT", value_parser = instant_ms, group = "action")]
    pub(crate) postpone: Option<u64>,
    /// Give them this priority.
    #[arg(long, group = "action")]
    pub(crate) priority: Option<u8>,
    /// Move them to this queue.
    #[arg(long, value_name = "QUEUE", group = "action")]
    pub(crate) move_to: Option<String>,
    /// Do not ask before messages are removed.
    #[arg(long)]
    pub(crate) yes: bool,
}

/// See [`Verb::Pause`].
#[derive(Debug, Args)]
pub struct PauseArgs {
    /// The queue.
    pub(crate) queue: String,
    /// Only this lane of it.
    #[arg(long)]
    pub(crate) lane: Option<String>,
    /// The pause ends by itself after this time, such as 1h.
    #[arg(long = "for", value_name = "TIME", value_parser = duration_ms)]
    pub(crate) span: Option<u64>,
    /// The pause ends by itself at this instant.
    #[arg(long, value_name = "INSTANT", value_parser = instant_ms, conflicts_with = "span")]
    pub(crate) until: Option<u64>,
}

/// See [`Verb::Resume`].
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The queue.
    pub(crate) queue: String,
    /// Only this lane of it.
    #[arg(long)]
    pub(crate) lane: Option<String>,
}

/// Verbs on exchanges.
#[derive(Debug, Subcommand)]
pub enum ExchangeVerb {
    /// Exchanges in order of name.
    List,
    /// Create an exchange.
    Create {
        /// Its name.
        name: String,
        /// Settings, such as `kind=fifo`.
        #[arg(value_name = "NAME=VALUE")]
        settings: Vec<String>,
        /// An exchange of that name is fine, whatever its settings.
        #[arg(long)]
        if_not_exists: bool,
    },
    /// An exchange.
    Get {
        /// Its name.
        name: String,
    },
    /// Delete an exchange and its bindings.
    Delete {
        /// Its name.
        name: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Bind a queue to an exchange.
    Bind {
        /// The exchange.
        exchange: String,
        /// The queue.
        queue: String,
    },
    /// The bindings of an exchange.
    Bindings {
        /// The exchange.
        exchange: String,
    },
    /// Remove a binding.
    Unbind {
        /// The binding's id.
        id: String,
    },
}

/// Verbs on schedules.
#[derive(Debug, Subcommand)]
pub enum ScheduleVerb {
    /// Schedules in order of name.
    List,
    /// A schedule with its settings, its next run and its last.
    Get {
        /// Its name.
        name: String,
    },
    /// Create a schedule, or change what is given of the one of that name.
    Put {
        /// Its name.
        name: String,
        #[command(flatten)]
        settings: ScheduleArgs,
        /// Replace the one of that name: what is not given gets its default.
        #[arg(long)]
        replace: bool,
    },
    /// Change what is given of a schedule that is there.
    Set {
        /// Its name.
        name: String,
        #[command(flatten)]
        settings: ScheduleArgs,
    },
    /// Run again, now, what was due in a time that is past.
    Backfill {
        /// Its name.
        name: String,
        /// From this instant on, such as 2026-12-24T18:00Z, or so long ago: -2d.
        #[arg(long, value_name = "INSTANT", value_parser = instant_ms, allow_hyphen_values = true)]
        from: u64,
        /// Before this instant; now if left out.
        #[arg(long, value_name = "INSTANT", value_parser = instant_ms, allow_hyphen_values = true)]
        until: Option<u64>,
        /// What happens while the message of an earlier run is still in the queue: allow, skip,
        /// replace; the schedule's own policy if left out.
        #[arg(long)]
        overlap: Option<String>,
    },
    /// The runs that settings would bring, without a schedule.
    Preview {
        #[command(flatten)]
        settings: ScheduleArgs,
        /// So many runs.
        #[arg(long, default_value_t = 10)]
        max: u32,
    },
    /// The next runs of a schedule.
    Next {
        /// Its name.
        name: String,
        /// So many runs.
        #[arg(long, default_value_t = 10)]
        max: u32,
    },
    /// Let it not run.
    Pause {
        /// Its name.
        name: String,
    },
    /// Let it run again, from now on.
    Resume {
        /// Its name.
        name: String,
    },
    /// One run now, beside those that are due.
    Run {
        /// Its name.
        name: String,
    },
    /// Delete a schedule. What it has sent stays.
    Delete {
        /// Its name.
        name: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

/// The settings of a schedule.
#[derive(Debug, Args)]
pub struct ScheduleArgs {
    /// A cron expression of five fields, or six with seconds first.
    #[arg(long, value_name = "EXPRESSION")]
    pub(crate) cron: Option<String>,
    /// The time zone of the expression, such as Europe/Berlin; UTC if none was ever given.
    #[arg(long, value_name = "ZONE", conflicts_with = "every")]
    pub(crate) time_zone: Option<String>,
    /// An interval instead, such as 15m.
    #[arg(
        long,
        alias = "every-ms",
        value_name = "TIME",
        value_parser = duration_ms,
        conflicts_with = "cron"
    )]
    pub(crate) every: Option<u64>,
    /// The queue that its messages go into.
    #[arg(long)]
    pub(crate) queue: Option<String>,
    /// The exchange that its messages are published to.
    #[arg(long, conflicts_with = "queue")]
    pub(crate) exchange: Option<String>,
    /// The body of its messages.
    #[arg(long)]
    pub(crate) body: Option<String>,
    /// More settings, such as `jitter_ms=60000`, `overlap=skip`, `message.lane=l`.
    #[arg(value_name = "NAME=VALUE")]
    pub(crate) more: Vec<String>,
}

/// Verbs on the ledger.
#[derive(Debug, Subcommand)]
pub enum LedgerVerb {
    /// Entries in order of key.
    List {
        /// Only keys that begin so.
        #[arg(long)]
        prefix: Option<String>,
    },
    /// An entry with its value.
    Get {
        /// Its key.
        key: String,
    },
    /// Forget an entry: its work may be done again.
    Release {
        /// Its key.
        key: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}
