//! Errors: pgmq's and Postgres' words and codes for what the broker refuses.

use kyu_broker::{EnqueueRefusal, Error, Refusal};
use kyu_pgsql::error::PgError;

/// `RAISE EXCEPTION` of PL/pgSQL.
pub(super) fn raise(message: impl Into<String>) -> PgError {
    PgError::new("P0001", message)
}

/// The queue's table is not there.
pub(super) fn no_table(prefix: &str, queue: &str) -> PgError {
    let table = queue.to_lowercase();
    PgError::new("42P01", format!("relation \"pgmq.{prefix}_{table}\" does not exist"))
}

/// `format(%I, NULL)`: the queue's name is NULL.
pub(super) fn null_name() -> PgError {
    PgError::new("22004", "null values cannot be formatted as an SQL identifier")
}

/// A visibility time that is NULL.
pub(super) fn null_vt(queue: &str) -> PgError {
    let table = queue.to_lowercase();
    let message = format!(
        "null value in column \"vt\" of relation \"q_{table}\" violates not-null constraint"
    );
    PgError::new("23502", message)
}

pub(super) fn null_throttle() -> PgError {
    let message = "null value in column \"throttle_interval_ms\" of relation \
                   \"notify_insert_throttle\" violates not-null constraint";
    PgError::new("23502", message)
}

pub(super) fn negative_limit() -> PgError {
    PgError::new("2201W", "LIMIT must not be negative")
}

pub(super) fn too_much(message: &str, hint: &str) -> PgError {
    PgError::new("54000", message).hint(hint)
}

/// Somebody else's change came between.
pub(super) fn conflict(what: &str) -> PgError {
    PgError::new("40001", format!("could not serialize access due to concurrent update: {what}"))
        .hint("Run the transaction again.")
}

/// The error for what the broker says to an operation on `queue`.
pub(super) fn broker(error: Error, queue: &str) -> PgError {
    match error {
        Error::Refused(refusal) => refused(refusal, queue),
        Error::StorageFull => PgError::new("53100", "the log has no room for more messages")
            .hint("Read and delete messages, or add disk space."),
        Error::Overloaded => PgError::new("53000", "too many requests are waiting"),
        Error::ShuttingDown => {
            PgError::new("57P01", "terminating connection due to administrator command")
        }
        Error::Internal => PgError::new("XX000", "the request was lost inside the broker"),
    }
}

pub(super) fn refused(refusal: Refusal, queue: &str) -> PgError {
    match refusal {
        Refusal::QueueNotFound => no_table("q", queue),
        Refusal::TooManyInFlight => {
            PgError::new("53400", format!("too many messages of queue \"{queue}\" are in flight"))
        }
        Refusal::LimitExceeded(what) => {
            PgError::new("54000", format!("too many {what}")).hint("Use smaller batches.")
        }
        Refusal::InvalidConfig(what) => PgError::new("22023", what),
        Refusal::VersionConflict | Refusal::QueueExists(_) => {
            conflict(&format!("queue \"{queue}\""))
        }
        Refusal::LaneRequired => refused_message(EnqueueRefusal::LaneRequired, queue),
        Refusal::Atomic { refusal: Some(inner), .. } => refused(*inner, queue),
        Refusal::Atomic { refusal: None, .. } => PgError::new("54000", "a message was refused"),
        // Refusals of what this door never asks for.
        other @ (Refusal::QueueDeletedRecently { .. }
        | Refusal::PurgeInProgress
        | Refusal::MoveTaskRunning
        | Refusal::MoveTaskNotFound
        | Refusal::ExchangeNotFound
        | Refusal::ExchangeExists(_)
        | Refusal::BindingNotFound
        | Refusal::BindingExists(_)
        | Refusal::PublicationTooLarge { .. }
        | Refusal::DedupIdRequired
        | Refusal::DedupIdNotAllowed
        | Refusal::BodyFactsRequired
        | Refusal::NotInAtomic
        | Refusal::Ledger(_)
        | Refusal::Schedule(_)) => PgError::new("XX000", format!("refused: {other:?}")),
    }
}

/// The error for one message that was not accepted.
pub(super) fn not_enqueued(refusal: EnqueueRefusal, queue: &str) -> PgError {
    match refusal {
        EnqueueRefusal::QueueNotFound(_) => no_table("q", queue),
        EnqueueRefusal::QueueFull(_) => {
            PgError::new("53400", format!("queue \"{queue}\" is at its limit"))
        }
        EnqueueRefusal::TooLarge => {
            PgError::new("54000", "the message is larger than 2 MiB, headers included")
        }
        EnqueueRefusal::LaneRequired(_) => {
            PgError::new("22023", format!("queue \"{queue}\" needs the header x-pgmq-group"))
        }
        EnqueueRefusal::Malformed => PgError::new(
            "22023",
            "the headers x-pgmq-group and x-pgmq-dedup-id take 1 to 512 bytes",
        ),
    }
}

fn refused_message(
    make: impl FnOnce(kyu_broker::QueueId) -> EnqueueRefusal,
    queue: &str,
) -> PgError {
    not_enqueued(make(kyu_broker::QueueId(0)), queue)
}
