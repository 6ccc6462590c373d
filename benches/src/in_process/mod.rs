//! Kyu without its doors, in this process: what the spine costs before any protocol.

mod broker_send;
mod engine_log;

pub(crate) use broker_send::run as broker_send;
pub(crate) use engine_log::run as engine_log;

use bytes::Bytes;
use kyu_broker::{Content, CreateQueue, NewMessage, QueueId, QueueName};

/// The queue that both workloads use.
fn bench_queue() -> CreateQueue {
    let name = QueueName { namespace: "bench".into(), name: "bench".into() };
    CreateQueue { name, config: Box::default(), name_reuse_wait_ms: 0 }
}

/// A message as a door makes it: the body is copied into the encoded content.
fn message(queue: QueueId, body: &Bytes) -> NewMessage {
    NewMessage {
        queues: vec![queue],
        content: Content::of(body.clone()).encode(),
        delay_ms: None,
        expires_at_ms: None,
        priority: 0,
        lane: None,
        dedup_id: None,
        unique: None,
    }
}
