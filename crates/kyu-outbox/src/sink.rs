//! Kyu: where rows go, and where the cursor is.

use std::future::poll_fn;
use std::task::Poll;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Statement, Transaction};

use crate::error::{Error, describe};
use crate::position::Position;
use crate::source::{OutboxRow, Target};

/// The reason why a batch is not in Kyu. Nothing of it is.
pub(crate) enum Failed {
    /// A queue does not exist.
    NoQueue(String),
    /// The row at this place is one that Kyu does not take.
    Row {
        at: usize,
        sqlstate: String,
        error: String,
    },
    Other(Error),
}

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Other(error.into())
    }
}

impl Failed {
    /// The error of a step that sent no row.
    pub(crate) fn without_rows(self) -> Error {
        match self {
            Self::Other(error) => error,
            _ => Error::Refused("no row was sent, and one failed".into()),
        }
    }
}

/// A connection to Kyu, with what is said over and over.
pub(crate) struct Sink {
    pub(crate) client: Client,
    to_queue: Statement,
    to_queue_at: Statement,
    to_topic: Statement,
}

impl Sink {
    pub(crate) async fn new(client: Client) -> Result<Self, Error> {
        let to_queue = "SELECT pgmq.send($1::text, $2::text::jsonb, $3::text::jsonb)";
        let to_queue_at = "SELECT pgmq.send($1::text, $2::text::jsonb, $3::text::jsonb, \
                           $4::text::timestamptz)";
        let to_topic = "SELECT pgmq.send_topic($1::text, $2::text::jsonb, $3::text::jsonb, $4)";
        Ok(Self {
            to_queue: client.prepare(to_queue).await?,
            to_queue_at: client.prepare(to_queue_at).await?,
            to_topic: client.prepare(to_topic).await?,
            client,
        })
    }
}

/// The position of a source; `None` if it was never relayed.
pub(crate) async fn position(client: &Client, source: &str) -> Result<Option<Position>, Error> {
    let row = client.query_one("SELECT pgmq.outbox_position($1)", &[&source]).await?;
    let text: Option<String> = row.try_get(0)?;
    text.map(|text| text.parse().map_err(Error::Refused)).transpose()
}

/// Makes this relay the one of its source; where it is to go on.
pub(crate) async fn take_over(
    client: &Client,
    source: &str,
    relay: &str,
) -> Result<Position, Error> {
    let row = client.query_one("SELECT pgmq.outbox_take_over($1, $2)", &[&source, &relay]).await?;
    let position: String = row.try_get(0)?;
    position.parse().map_err(Error::Refused)
}

/// Moves the cursor, and puts the rows into their queues, in one atomic step.
pub(crate) async fn relay(
    sink: &mut Sink,
    source: &str,
    before: &Position,
    after: &Position,
    rows: &[OutboxRow],
) -> Result<(), Failed> {
    if let Some(at) = rows.iter().position(|row| row.too_large) {
        let (sqlstate, error) = ("54000".to_owned(), "the message is far too large".to_owned());
        return Err(Failed::Row { at, sqlstate, error });
    }
    let Sink { client, to_queue, to_queue_at, to_topic } = sink;
    let statements = [&*to_queue, &*to_queue_at, &*to_topic];
    let transaction = client.transaction().await?;
    let (expected, position) = (before.to_string(), after.to_string());
    let advance = "SELECT pgmq.outbox_advance($1, $2, $3)";
    let moved = transaction.execute(advance, &[&source, &expected, &position]).await;
    moved.map_err(fenced)?;
    // All on their way before the first answer is read: one round trip. Each is sent when it is
    // polled first, so that they arrive in this order.
    let mut sends = Vec::with_capacity(rows.len());
    for row in rows {
        let mut send = Box::pin(send(&transaction, statements, row));
        let first = poll_fn(|context| Poll::Ready(send.as_mut().poll(context))).await;
        sends.push((send, first));
    }
    let mut failed = None;
    for (at, ((send, first), row)) in sends.into_iter().zip(rows).enumerate() {
        let sent = match first {
            Poll::Ready(sent) => sent,
            Poll::Pending => send.await,
        };
        // The others only echo the first that failed.
        if let (Err(error), None) = (sent, &failed) {
            failed = Some(refused(at, row, error));
        }
    }
    match failed {
        // Limits of the whole step are told at its end; alone, it is the row that is too much.
        None => transaction.commit().await.map_err(|error| match rows {
            [] => fenced(error),
            _ if is_fenced(&error) => fenced(error),
            _ => about_row(0, error),
        }),
        Some(failed) => {
            transaction.rollback().await?;
            Err(failed)
        }
    }
}

fn is_fenced(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::T_R_SERIALIZATION_FAILURE)
}

fn fenced(error: tokio_postgres::Error) -> Failed {
    match is_fenced(&error) {
        true => Failed::Other(Error::Fenced(describe(&error))),
        false => error.into(),
    }
}

async fn send(
    transaction: &Transaction<'_>,
    [to_queue, to_queue_at, to_topic]: [&Statement; 3],
    row: &OutboxRow,
) -> Result<(), tokio_postgres::Error> {
    let (message, headers) = (&row.message, &row.headers);
    match (&row.to, &row.visible_at) {
        (Target::Queue(queue), None) => {
            transaction.query(to_queue, &[queue, message, headers]).await
        }
        (Target::Queue(queue), Some((at, _))) => {
            transaction.query(to_queue_at, &[queue, message, headers, at]).await
        }
        (Target::Topic(key), visible_at) => {
            let delay_s = visible_at.as_ref().map_or(0, |(_, seconds)| *seconds);
            transaction.query(to_topic, &[key, message, headers, &delay_s]).await
        }
    }
    .map(drop)
}

/// The meaning of an error of a row's own statement; 25P02 is the echo of another row's error.
fn refused(at: usize, row: &OutboxRow, error: tokio_postgres::Error) -> Failed {
    if error.code() == Some(&SqlState::UNDEFINED_TABLE)
        && let Target::Queue(queue) = &row.to
    {
        return Failed::NoQueue(queue.clone());
    }
    about_row(at, error)
}

/// Classes 22, 23, 54, P0 and 0A, and names that are none, are about the row: time does not mend
/// it. Everything else is about the server or the relay.
fn about_row(at: usize, error: tokio_postgres::Error) -> Failed {
    let Some(code) = error.code().cloned() else { return error.into() };
    let classes = ["22", "23", "54", "P0", "0A", "42602", "42622"];
    if classes.iter().any(|class| code.code().starts_with(class)) {
        let (sqlstate, error) = (code.code().to_owned(), describe(&error));
        return Failed::Row { at, sqlstate, error };
    }
    error.into()
}

/// Makes the queue of the row at this place, if it does not exist. A name that is refused is the
/// row's fault.
pub(crate) async fn create_queue(client: &Client, queue: &str, at: usize) -> Result<(), Failed> {
    let made = client.execute("SELECT pgmq.create($1)", &[&queue]).await;
    made.map(drop).map_err(|error| about_row(at, error))
}
