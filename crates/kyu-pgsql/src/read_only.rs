//! What a transaction that is READ ONLY refuses.

use super::functions::Function;
use crate::error::PgError;

/// The command that pgmq's function would run first, if that writes.
fn command(function: &str) -> Option<&'static str> {
    Some(match function {
        "send" | "send_batch" | "send_topic" | "send_batch_topic" | "archive" | "bind_topic" => {
            "INSERT"
        }
        "pop" | "delete" | "delete_archived" | "unbind_topic" => "DELETE",
        "purge_queue" | "purge_archive" => "TRUNCATE TABLE",
        "create" | "create_non_partitioned" | "create_partitioned" | "create_unlogged" => {
            "CREATE TABLE"
        }
        "drop_queue" => "DROP TABLE",
        "create_fifo_index" | "create_fifo_indexes_all" => "CREATE INDEX",
        "enable_notify_insert" | "disable_notify_insert" => "DROP TRIGGER",
        "set_vt"
        | "update_notify_insert"
        | "set_dead_letter"
        | "set_retention"
        | "outbox_take_over"
        | "outbox_advance" => "UPDATE",
        read if read.starts_with("read") => "UPDATE",
        _ => return None,
    })
}

/// 25006 for a function that changes something.
pub(super) fn refuse(function: &Function) -> Result<(), PgError> {
    match command(function.name) {
        None => Ok(()),
        Some(command) => {
            let message = format!("cannot execute {command} in a read-only transaction");
            Err(PgError::new("25006", message))
        }
    }
}
