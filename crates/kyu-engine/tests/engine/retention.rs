//! Retention takes what nobody comes to fetch, and nothing else.
//!
//! The story: the default was four days, on every door, counted from the send. A reminder in five
//! days, a retry after a backoff of a week, a job under heartbeat for five days: each was removed
//! before anybody could have received it, or from under its worker; and a dead letter that had been
//! tried for three days was there for one day to be looked at.

use kyu_engine::*;

use crate::world::*;

fn short(retention_from: RetentionFrom) -> QueueConfig {
    QueueConfig { retention_ms: 10_000, retention_from, ..QueueConfig::default() }
}

const BOTH: [RetentionFrom; 2] = [RetentionFrom::Sent, RetentionFrom::Receivable];

fn explain(w: &mut World, queue: QueueId, seq: Seq) -> Explanation {
    match w.engine.query_at(&Query::Explain(Explain { queue, seq }), w.now_ms).unwrap() {
        Answer::Explained(explanation) => *explanation,
        other => panic!("{other:?}"),
    }
}

fn fixed(delay_ms: u64) -> Option<RetryPolicy> {
    let backoff = Backoff::Fixed { delay_ms };
    Some(RetryPolicy { backoff, jitter_percent: 0, max_attempts: None })
}

#[test]
fn without_being_asked_a_queue_keeps_its_messages() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    w.send(q, "a");
    let explained = explain(&mut w, q, 1);
    assert_eq!(explained.message.unwrap().retained_until_ms, None);
    w.advance(10 * 365 * 86_400_000);
    assert_eq!(w.receive_bodies(q, 1), ["a"]);
}

#[test]
fn a_delay_longer_than_the_retention_is_waited_for_and_then_the_retention_begins() {
    for from in BOTH {
        let mut w = World::new();
        let q = w.queue("q", short(from));
        w.send_message(NewMessage { delay_ms: Some(50_000), ..message(q, "later") });
        let explained = explain(&mut w, q, 1);
        assert_eq!(explained.possible_from_ms, Some(w.now_ms + 50_000));
        assert_eq!(explained.message.unwrap().retained_until_ms, Some(w.now_ms + 60_000));
        w.advance(49_999);
        w.take_snapshot();
        w.restart();
        w.advance(1);
        w.advance(9_999);
        assert_eq!(w.counts(q), (1, 0, 0), "{from:?}: it can be received for the whole retention");
        w.restart();
        w.advance(1);
        assert_eq!(w.counts(q), (0, 0, 0), "{from:?}: and then no more");
    }
}

#[test]
fn a_backoff_longer_than_the_retention_is_waited_for() {
    for from in BOTH {
        let mut w = World::new();
        let q = w.queue("q", QueueConfig { retry: fixed(50_000), ..short(from) });
        w.send(q, "retried");
        let first = w.receive(q, 1).remove(0);
        let failed = Outcome::Failed { error: "503".into(), delay_ms: None, retry: true };
        w.settle(first.receipt, failed);
        w.advance(50_000);
        w.restart();
        assert_eq!(w.receive_bodies(q, 1), ["retried"], "{from:?}");
    }
}

#[test]
fn a_message_under_lease_is_never_taken_from_its_worker() {
    for from in BOTH {
        let mut w = World::new();
        let q = w.queue("q", short(from));
        w.send(q, "import of many hours");
        let delivery = w.receive(q, 1).remove(0);
        for _ in 0..10 {
            w.advance(20_000);
            assert_eq!(w.extend(&delivery, 30_000), Extended::Done, "{from:?}");
        }
        w.take_snapshot();
        w.restart();
        assert_eq!(w.ack(&delivery), Settled::Done, "{from:?}");
    }
}

#[test]
fn after_a_lease_the_retention_begins_anew_or_goes_on_as_in_sqs() {
    for (from, left) in [(RetentionFrom::Receivable, 1), (RetentionFrom::Sent, 0)] {
        let mut w = World::new();
        let q = w.queue("q", short(from));
        for _ in 0..2 {
            w.send(q, "slow");
        }
        let deliveries = w.receive(q, 2);
        w.advance(20_000);
        let back = Outcome::Release { to_tail: false, delay_ms: 0, counted: true };
        w.settle(deliveries[0].receipt, back);
        w.advance(0);
        assert_eq!(w.counts(q), (left, 0, 1), "{from:?}: given back");
        w.restart();
        w.advance(9_999);
        assert_eq!(w.counts(q), (left, 0, 1));
        w.advance(1);
        assert_eq!(w.counts(q), (left, 0, 0), "{from:?}: only the one whose lease has lapsed now");
    }
}

#[test]
fn a_dead_letter_has_the_whole_retention_of_its_queue_unless_sqs_says_otherwise() {
    for (from, left) in [(RetentionFrom::Receivable, 1), (RetentionFrom::Sent, 0)] {
        let mut w = World::new();
        let dead = w.queue("dead", short(RetentionFrom::Receivable));
        let rule = DeadLetter { target: queue_name("dead"), max_receives: 1 };
        let main =
            QueueConfig { retention_from: from, dead_letter: Some(rule), ..QueueConfig::default() };
        let main = w.queue("main", main);
        w.send(main, "bad");
        w.advance(9_000);
        let delivery = w.receive(main, 1).remove(0);
        w.settle(delivery.receipt, Outcome::Dead);
        w.advance(9_999);
        w.take_snapshot();
        w.restart();
        assert_eq!(w.counts(dead), (left, 0, 0), "{from:?}");
        w.advance(1);
        assert_eq!(w.counts(dead), (0, 0, 0));
    }
}

/// A message that was looked at once and may not be taken (here: thousands under lease) is passed
/// over, so that the queue is not due again and again; it is found again when its lease ends.
#[test]
fn old_messages_that_may_not_be_taken_do_not_keep_the_clock_busy() {
    let mut w = World::new();
    let q =
        w.queue("q", QueueConfig { visibility_timeout_ms: 60_000, ..short(RetentionFrom::Sent) });
    for _ in 0..3 {
        w.run(Command::Enqueue(Enqueue { messages: vec![message(q, "x"); 1_000] }));
    }
    let mut held = Vec::new();
    for _ in 0..3 {
        held.extend(w.receive(q, 1_000));
    }
    w.send(q, "not received");
    w.advance(10_000);
    assert_eq!(w.counts(q), (0, 0, 3_000));
    assert_eq!(w.engine.next_due_ms(), Some(w.now_ms + 50_000), "nothing before the leases end");
    let back = Outcome::Release { to_tail: false, delay_ms: 0, counted: true };
    w.settle(held[7].receipt, back);
    w.advance(0);
    assert_eq!(w.counts(q), (0, 0, 2_999));
    w.advance(50_000);
    assert_eq!(w.counts(q), (0, 0, 0));
    w.restart();
}

#[test]
fn explain_promises_nothing_that_expires_before_it_is_due() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    let expires_at_ms = w.now_ms + 2_000;
    w.send_message(NewMessage {
        delay_ms: Some(10_000),
        expires_at_ms: Some(expires_at_ms),
        ..message(q, "too late")
    });
    let explained = explain(&mut w, q, 1);
    assert_eq!(explained.possible_from_ms, None);
    let due_at_ms = w.now_ms + 10_000;
    assert!(explained.reasons.contains(&Reason::ExpiresBeforeDue { expires_at_ms, due_at_ms }));
}

/// A transaction that read a message and was rolled back left it as old as it was: it was gone before
/// anybody else could read it.
#[test]
fn a_transaction_that_is_rolled_back_gives_its_messages_back_to_be_read() {
    let mut w = World::new();
    let q = w.queue("q", short(RetentionFrom::Receivable));
    w.send(q, "read");
    let session = SessionId(7);
    w.run(acquire(q, 1, Lease::Claim(session)));
    w.advance(20_000);
    w.run(Command::GiveBack(GiveBack { session, queues: vec![q] }));
    w.advance(9_999);
    w.take_snapshot();
    w.restart();
    assert_eq!(w.counts(q), (1, 0, 0));
    w.advance(1);
    assert_eq!(w.counts(q), (0, 0, 0));
}
