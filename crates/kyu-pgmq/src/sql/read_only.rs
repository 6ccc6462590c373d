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

#[cfg(test)]
mod tests {
    use super::*;

    /// A new function must be given its place.
    #[test]
    fn every_function_reads_or_writes() {
        let only_read = [
            "acquire_queue_lock",
            "convert_archive_partitioned",
            "detach_archive",
            "format_table_name",
            "list_notify_insert_throttles",
            "list_queues",
            "list_topic_bindings",
            "metrics",
            "metrics_all",
            "test_routing",
            "validate_queue_name",
            "validate_routing_key",
            "validate_topic_pattern",
            "q_info",
            "peek",
            "outbox_position",
        ];
        for function in crate::queues::functions::ALL.own() {
            let reads = only_read.contains(&function.name);
            assert_eq!(refuse(function).is_ok(), reads, "{}", function.name);
        }
    }
}
