//! The auditor itself: it must not take what may happen for a fault. Each test tells a false alarm
//! that it once raised.

use kyu_broker::{
    Acquire, Command, Delivery, Enqueue, Enqueued, Frame, MessageId, NewMessage, Outcome, Phase,
    PurgeQueue, QueueId, QueueName, Receipt, Reply, Response, Settle, Settled,
};

use super::{Auditor, Wish, tables};
use crate::cast::{Presence, QueueBook, Role};
use crate::content::content;

const NOW_MS: u64 = 1_700_000_000_000;
const A: QueueId = QueueId(1);
const B: QueueId = QueueId(2);

/// An auditor that knows two standard queues.
fn auditor() -> Auditor {
    let mut auditor = Auditor::new(NOW_MS);
    for id in [A, B] {
        let book = QueueBook {
            name: QueueName { namespace: "sim".into(), name: format!("{id:?}") },
            role: Role::Plain,
            root: id,
            presence: Presence::There,
            retention_ms: 1_000_000,
            version: 0,
            version_asked: 0,
            sent: (0, 0),
            acked: (0, 0),
        };
        auditor.queues.insert(id, book);
    }
    auditor
}

/// A SELECT leases row 18, lazily. A DELETE that finds nothing visible is answered "none" at once, for
/// it wrote nothing; then the power fails, and row 18 was never received. The auditor had taken the
/// empty answer as proof that the lease before it was on disk.
#[test]
fn an_empty_acquire_proves_nothing_about_leases_before_it() {
    let take = Acquire { lease: kyu_broker::Lease::Take, ..Acquire::new(A, 2) };
    let empty = Reply::Acquired(Vec::new());
    assert!(!tables::is_durable(&Command::Acquire(take), &empty));
    let purge = Command::PurgeQueue(PurgeQueue { queue: A, cooldown_ms: 0 });
    assert!(tables::is_durable(&purge, &Reply::QueuePurged { messages: 0 }));
}

/// One message is sent to two queues, one of them is purged, and the process dies before either
/// answer. The message is found in the other queue, so it was sent to both; but the purge may have
/// taken it from the one, which the auditor then held to be lost.
#[test]
fn a_purge_between_a_cut_off_send_and_the_crash_keeps_the_copy_in_doubt() {
    let mut auditor = auditor();
    let message = NewMessage { queues: vec![A, B], ..NewMessage::new(A, content(7, 8)) };
    let send = Command::Enqueue(Enqueue { messages: vec![message] });
    auditor.submitted(1, Wish::Command(send));
    let purge = Command::PurgeQueue(PurgeQueue { queue: B, cooldown_ms: 0 });
    auditor.submitted(2, Wish::Command(purge));
    auditor.died();
    assert!(!auditor.surely_there(&(7, A)) && !auditor.surely_there(&(7, B)));
    auditor.found_somewhere(7);
    assert!(auditor.surely_there(&(7, A)), "a send reaches all its queues or none");
    assert!(!auditor.surely_there(&(7, B)), "the purge may have happened");
}

/// A receive takes a message, the message is rejected for good, and then the answer to a repetition of
/// that receive arrives: it shows the lease once more. The auditor forgot that the message was
/// rejected, and took it for a fault that a move task's message counts its receives anew.
#[test]
fn a_lease_that_is_shown_again_keeps_what_became_of_it() {
    let mut auditor = auditor();
    let message = NewMessage::new(A, content(7, 8));
    let frame = Frame {
        message_id: MessageId(7),
        sent_at_ms: NOW_MS,
        lane: None,
        dedup_id: None,
        content: message.content.clone(),
    };
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    let receipt = Receipt { queue: A, seq: 1, delivery: 1, epoch: 1 };
    let delivery = Delivery {
        receipt,
        frame_at: 0,
        frame_bytes: bytes.len() as u32,
        receive_count: 1,
        total_receive_count: 1,
        first_received_at_ms: NOW_MS,
        dead_letter_source: None,
        via: None,
        dead_reason: None,
        past_attempts: Vec::new(),
        enqueued_at_ms: NOW_MS,
        last_received_at_ms: NOW_MS,
        phase: Phase::Leased(NOW_MS + 30_000),
    };
    let mut says = |ticket, wish, reply, frames: &[&Vec<u8>]| {
        auditor.submitted(ticket, wish);
        let frames = frames.iter().map(|frame| frame.to_vec().into()).collect();
        auditor.answered(ticket, &Ok(Response::Reply(reply)), frames).unwrap();
    };
    let enqueued = Enqueued {
        message_id: MessageId(7),
        seq: 1,
        duplicate: false,
        duplicate_of: None,
        replaced: None,
    };
    let send = Command::Enqueue(Enqueue { messages: vec![message] });
    says(1, Wish::Command(send), Reply::Enqueued(vec![Ok(enqueued)]), &[]);
    let receive = || {
        let acquire = Acquire { attempt_id: Some("try".into()), ..Acquire::new(A, 1) };
        Wish::Receive { acquire, wait_ms: 0 }
    };
    says(2, receive(), Reply::Acquired(vec![delivery.clone()]), &[&bytes]);
    let reject = Command::Settle(Settle { queue: A, items: vec![(receipt, Outcome::Dead)] });
    says(3, Wish::Command(reject), Reply::Settled(vec![Settled::Done]), &[]);
    says(4, receive(), Reply::Acquired(vec![delivery]), &[&bytes]);
    assert!(auditor.leases[&(A, 1)].buried);
}
