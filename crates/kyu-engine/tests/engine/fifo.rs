//! Order, locking and deduplication of FIFO queues.

use kyu_engine::*;

use crate::world::*;

fn lanes(w: &mut World, q: QueueId, messages: &[(&str, &str)]) {
    for (lane, body) in messages {
        w.send_message(in_lane(q, lane, body));
    }
}

#[test]
fn a_lane_is_locked_while_one_of_its_messages_is_in_flight() {
    let mut w = World::new();
    let q = w.queue("q.fifo", fifo());
    lanes(&mut w, q, &[("a", "a1"), ("a", "a2"), ("b", "b1"), ("a", "a3")]);
    let first = w.receive(q, 2);
    assert_eq!(w.body(&first[0]), "a1");
    assert_eq!(w.body(&first[1]), "a2", "one receive takes several of a lane, in order");
    assert_eq!(w.receive_bodies(q, 10), ["b1"], "lane a is locked");
    w.restart();
    assert_eq!(w.ack(&first[0]), Settled::Done);
    assert_eq!(w.receive(q, 10), [], "a partial delete keeps it locked");
    assert_eq!(w.extend(&first[1], 0), Extended::Done);
    assert_eq!(w.receive_bodies(q, 10), ["a2", "a3"], "back in its place");
}

/// Recorded from SQS: given back, lapsed, or received for no time, a group's turn comes after the
/// groups that were there before.
#[test]
fn a_lane_that_comes_back_goes_behind_the_others() {
    let mut w = World::new();
    let q = w.queue("q.fifo", fifo());
    lanes(&mut w, q, &[("a", "a1"), ("b", "b1"), ("a", "a2"), ("c", "c1"), ("a", "a3")]);
    let first = w.receive(q, 2);
    assert_eq!(w.extend(&first[0], 0), Extended::Done);
    assert_eq!(w.extend(&first[1], 0), Extended::Done);
    w.take_snapshot();
    w.restart();
    w.advance(1);
    let all = w.receive(q, 10);
    let bodies: Vec<_> = all.iter().map(|delivery| w.body(delivery)).collect();
    assert_eq!(bodies, ["b1", "c1", "a1", "a2", "a3"]);
    w.advance(30_000);
    lanes(&mut w, q, &[("d", "d1")]);
    assert_eq!(w.receive_bodies(q, 3), ["a1", "a2", "a3"], "no newcomer overtakes them");
    assert_eq!(w.receive_bodies(q, 10), ["b1", "c1", "d1"]);
}

#[test]
fn an_expired_receipt_is_not_accepted() {
    let mut w = World::new();
    let q = w.queue("q.fifo", fifo());
    lanes(&mut w, q, &[("a", "a1")]);
    let first = w.receive(q, 1).remove(0);
    w.advance(30_000);
    assert_eq!(w.ack(&first), Settled::Lapsed);
    let second = w.receive(q, 1).remove(0);
    assert_eq!(w.ack(&first), Settled::Stale);
    assert_eq!(w.ack(&second), Settled::Done);
}

#[test]
fn a_delayed_message_does_not_lock_its_lane() {
    let mut w = World::new();
    let q = w.queue("q.fifo", fifo());
    w.send_message(NewMessage { delay_ms: Some(1_000), ..in_lane(q, "a", "late") });
    lanes(&mut w, q, &[("a", "now")]);
    assert_eq!(w.receive_bodies(q, 10), ["now"]);
}

#[test]
fn a_lane_is_required() {
    let mut w = World::new();
    let q = w.queue("q.fifo", fifo());
    let reply = w.run(Command::Enqueue(Enqueue { messages: vec![message(q, "x")] }));
    assert_eq!(reply, Reply::Enqueued(vec![Err(EnqueueRefusal::LaneRequired(q))]));
}

#[test]
fn deduplication_lasts_five_minutes_also_over_a_delete_and_a_restart() {
    let mut w = World::new();
    let q = w.queue("q.fifo", fifo());
    let again = |body| NewMessage { dedup_id: Some("d".into()), ..in_lane(q, "a", body) };
    let first = w.send_message(again("one"));
    let delivery = w.receive(q, 1).remove(0);
    w.ack(&delivery);
    w.restart();
    w.advance(299_999);
    let second = w.send_message(again("two"));
    assert_eq!((second.message_id, second.seq), (first.message_id, first.seq));
    assert!(second.duplicate);
    assert_eq!(w.counts(q), (0, 0, 0));
    w.take_snapshot();
    w.restart();
    assert!(w.send_message(again("two")).duplicate);
    w.advance(1);
    assert!(!w.send_message(again("three")).duplicate);
    w.run(Command::PurgeQueue(PurgeQueue { queue: q, cooldown_ms: 0 }));
    assert!(!w.send_message(again("four")).duplicate, "a purge forgets");
    w.advance(400_000);
    w.restart();
}

#[test]
fn duplicates_within_one_batch_are_recognised() {
    let mut w = World::new();
    let q = w.queue("q.fifo", fifo());
    let m = NewMessage { dedup_id: Some("d".into()), ..in_lane(q, "a", "x") };
    let Reply::Enqueued(results) =
        w.run(Command::Enqueue(Enqueue { messages: vec![m.clone(), m] }))
    else {
        panic!()
    };
    let (first, second) = (results[0].unwrap(), results[1].unwrap());
    assert_eq!((first.duplicate, second.duplicate), (false, true));
    assert_eq!(first.message_id, second.message_id);
    assert_eq!(w.counts(q), (1, 0, 0));
}

#[test]
fn the_scope_of_deduplication_can_be_the_lane() {
    let mut w = World::new();
    let q = w.queue("q.fifo", QueueConfig { dedup_scope: DedupScope::Lane, ..fifo() });
    for lane in ["a", "b"] {
        let m = NewMessage { dedup_id: Some("d".into()), ..in_lane(q, lane, "x") };
        assert!(!w.send_message(m.clone()).duplicate);
        assert!(w.send_message(m).duplicate);
    }
}

fn receipts_of(deliveries: &[Delivery]) -> Vec<Receipt> {
    deliveries.iter().map(|delivery| delivery.receipt).collect()
}

fn receipts(reply: Reply) -> Vec<Receipt> {
    match reply {
        Reply::Acquired(deliveries) => receipts_of(&deliveries),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_attempt_can_be_repeated_until_one_of_its_messages_is_settled() {
    let mut w = World::new();
    let q = w.queue("q.fifo", fifo());
    lanes(&mut w, q, &[("a", "a1"), ("a", "a2")]);
    let attempt = Command::Acquire(Acquire {
        queue: q,
        max_messages: 10,
        max_bytes: u64::MAX,
        lease: Lease::QueueDefault,
        order: Order::OfQueue,
        attempt_id: Some("try".into()),
        consumer: None,
        with_history: false,
    });
    let Reply::Acquired(first) = w.run(attempt.clone()) else { panic!() };
    w.restart();
    w.advance(20_000);
    assert_eq!(receipts(w.run(attempt.clone())), receipts_of(&first), "same messages and receipts");
    w.advance(20_000);
    assert_eq!(w.counts(q), (0, 0, 2), "and the lease began anew");
    w.ack(&first[0]);
    assert_eq!(w.run(attempt), Reply::Acquired(vec![]), "the lane is still locked");
}

#[test]
fn an_attempt_is_not_repeated_after_a_change_of_visibility() {
    let mut w = World::new();
    let q = w.queue("q.fifo", fifo());
    lanes(&mut w, q, &[("a", "a1")]);
    let attempt = Command::Acquire(Acquire {
        queue: q,
        max_messages: 1,
        max_bytes: u64::MAX,
        lease: Lease::QueueDefault,
        order: Order::OfQueue,
        attempt_id: Some("try".into()),
        consumer: None,
        with_history: false,
    });
    let Reply::Acquired(first) = w.run(attempt.clone()) else { panic!() };
    w.advance(1_000);
    assert_eq!(receipts(w.run(attempt.clone())), receipts_of(&first));
    w.advance(1_000);
    assert_eq!(receipts(w.run(attempt.clone())), receipts_of(&first), "any number of times");
    w.extend(&first[0], 60_000);
    assert_eq!(w.run(attempt), Reply::Acquired(vec![]));
}

#[test]
fn only_later_messages_of_a_lane_are_blocked() {
    let mut w = World::new();
    let q = w.queue("q.fifo", fifo());
    lanes(&mut w, q, &[("a", "a1"), ("a", "a2"), ("a", "a3")]);
    let both = w.receive(q, 2);
    w.extend(&both[0], 0);
    assert_eq!(w.receive_bodies(q, 10), ["a1"], "a1 goes before a2, which is in flight; a3 waits");
    w.restart();
}
