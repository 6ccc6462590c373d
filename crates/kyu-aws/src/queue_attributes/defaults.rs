//! What a queue has that SQS makes and that asks for nothing.

use kyu_broker::{Fencing, QueueConfig, QueueKind, RetentionFrom};

/// The retention of the SQS API reference (CreateQueue): four days.
const RETENTION_MS: u64 = 345_600_000;

/// The settings of a new queue.
pub(crate) fn of(kind: QueueKind) -> QueueConfig {
    QueueConfig {
        kind,
        retention_ms: RETENTION_MS,
        retention_from: RetentionFrom::Sent,
        fencing: match kind {
            // Recorded: any receipt of a message deletes it, and moves its visibility.
            QueueKind::Standard => Fencing { accept_late_acks: true, refuse_stale_extends: false },
            QueueKind::Fifo => Fencing::default(),
        },
        ..QueueConfig::default()
    }
}
