//! Deliveries of a message.

use kyu_model::{Context, Delivery, QueueId, Receipt, Seq};

use crate::queue::message::Message;

/// The message as it is: its last delivery, if there was one.
pub(crate) fn last_delivery(queue: QueueId, seq: Seq, message: &Message) -> Delivery {
    let history = &message.history;
    let (delivery, epoch) = (history.deliveries, history.epoch);
    Delivery {
        receipt: Receipt { queue, seq, delivery, epoch },
        frame_at: message.frame.at,
        frame_bytes: message.frame.bytes,
        receive_count: history.receives,
        total_receive_count: message.total_receives(),
        first_received_at_ms: history.first_received_at_ms,
        dead_letter_source: message.source_queue().cloned(),
        via: message.via,
        dead_reason: message.dead_reason,
        past_attempts: Vec::new(),
        enqueued_at_ms: message.enqueued_at_ms,
        last_received_at_ms: history.last_received_at_ms,
        phase: message.phase,
    }
}

/// The next delivery of the message.
pub(crate) fn next_delivery(
    queue: QueueId,
    seq: Seq,
    message: &Message,
    ctx: &Context,
) -> Delivery {
    let first = message.history.first_received_at_ms;
    let last = last_delivery(queue, seq, message);
    let delivery = last.receipt.delivery + 1;
    Delivery {
        receipt: Receipt { delivery, epoch: ctx.epoch, ..last.receipt },
        receive_count: last.receive_count + 1,
        total_receive_count: last.total_receive_count + 1,
        first_received_at_ms: if first == 0 { ctx.now_ms } else { first },
        last_received_at_ms: ctx.now_ms,
        ..last
    }
}
