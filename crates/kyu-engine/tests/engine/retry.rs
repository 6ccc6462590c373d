//! Retry policies, the history of attempts, reasons of dead letters, and messages whose time is over.

use kyu_engine::*;

use crate::world::*;

fn fixed(delay_ms: u64, max_attempts: Option<u32>) -> Option<RetryPolicy> {
    Some(RetryPolicy { backoff: Backoff::Fixed { delay_ms }, jitter_percent: 0, max_attempts })
}

fn letters(max_receives: u32) -> Option<DeadLetter> {
    Some(DeadLetter { target: queue_name("dead"), max_receives })
}

fn failed(error: &str) -> Outcome {
    Outcome::Failed { error: error.into(), delay_ms: None, retry: true }
}

fn history(w: &World, queue: QueueId, seq: Seq) -> MessageHistory {
    match w.engine.query(&Query::History(HistoryOf { queue, seq })).unwrap() {
        Answer::History(Some(history)) => *history,
        other => panic!("{other:?}"),
    }
}

fn totals(w: &World, queue: QueueId) -> QueueTotals {
    match w.engine.query(&Query::Totals(queue)).unwrap() {
        Answer::Totals(totals) => totals,
        other => panic!("{other:?}"),
    }
}

fn only(w: &mut World, queue: QueueId) -> Delivery {
    let mut deliveries = w.receive(queue, 10);
    assert_eq!(deliveries.len(), 1, "{deliveries:?}");
    deliveries.remove(0)
}

#[test]
fn every_way_to_fail_waits_for_the_next_delay_of_the_policy() {
    let mut w = World::new();
    let backoff = Backoff::List { delays_ms: vec![1_000, 2_000, 4_000] };
    let retry = Some(RetryPolicy { backoff, jitter_percent: 0, max_attempts: None });
    let q = w.queue("q", QueueConfig { retry, ..QueueConfig::default() });
    w.send(q, "m");

    let first = only(&mut w, q);
    assert_eq!(w.settle(first.receipt, failed("no")), Settled::Done);
    assert_eq!(w.counts(q), (0, 1, 0));
    w.advance(999);
    w.restart();
    assert_eq!(w.receive(q, 1), []);
    w.advance(1);

    let second = only(&mut w, q);
    let release = Outcome::Release { to_tail: false, delay_ms: 0, counted: true };
    w.settle(second.receipt, release);
    w.advance(2_000);

    let third = only(&mut w, q);
    assert_eq!(w.extend(&third, 0), Extended::Done, "the SQS way to give back");
    w.advance(3_999);
    assert_eq!(w.receive(q, 1), []);
    w.advance(1);

    only(&mut w, q);
    w.advance(30_000); // the lease lapses
    assert_eq!(w.receive(q, 1), [], "the last delay repeats");
    w.advance(4_000);
    assert_eq!(only(&mut w, q).receive_count, 5);
}

#[test]
fn a_delay_that_the_consumer_names_goes_before_the_policy() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig { retry: fixed(60_000, None), ..QueueConfig::default() });
    w.send(q, "m");
    let delivery = only(&mut w, q);
    let outcome = Outcome::Failed { error: "busy".into(), delay_ms: Some(500), retry: true };
    w.settle(delivery.receipt, outcome);
    w.advance(500);
    let delivery = only(&mut w, q);
    let at_once = Outcome::Failed { error: "busy".into(), delay_ms: Some(0), retry: true };
    w.settle(delivery.receipt, at_once);
    let delivery = only(&mut w, q);
    let uncounted = Outcome::Release { to_tail: false, delay_ms: 0, counted: false };
    w.settle(delivery.receipt, uncounted);
    assert_eq!(only(&mut w, q).receive_count, 3, "what is given back uncounted does not wait");
}

#[test]
fn jitter_is_the_same_in_every_replay_and_differs_between_messages() {
    let mut w = World::new();
    let backoff = Backoff::Fixed { delay_ms: 10_000 };
    let retry = Some(RetryPolicy { backoff, jitter_percent: 100, max_attempts: None });
    let q = w.queue("q", QueueConfig { retry, ..QueueConfig::default() });
    for n in 0..50 {
        w.send(q, &n.to_string());
    }
    let items = w.receive(q, 50).iter().map(|d| (d.receipt, failed("x"))).collect();
    w.run(Command::Settle(Settle { queue: q, items }));
    w.restart(); // compares states, and with them the times
    w.advance(5_000);
    let early = w.receive(q, 50).len();
    assert!((10..40).contains(&early), "{early} of 50 came in the first half");
}

#[test]
fn the_last_attempt_dead_letters_at_once_with_reason_and_history() {
    let mut w = World::new();
    let dead = w.queue("dead", QueueConfig::default());
    let config = QueueConfig {
        retry: fixed(1_000, Some(3)),
        dead_letter: letters(10),
        ..QueueConfig::default()
    };
    let q = w.queue("q", config);
    w.send(q, "m");
    let take = |w: &mut World, who: &str| {
        let acquire = Acquire { consumer: Some(who.into()), ..Acquire::new(q, 1) };
        let Reply::Acquired(mut got) = w.run(Command::Acquire(acquire)) else { panic!() };
        got.remove(0)
    };
    let first = take(&mut w, "worker-1");
    assert_eq!(history(&w, q, first.receipt.seq).consumer.as_deref(), Some("worker-1"));
    w.advance(200);
    w.settle(first.receipt, failed("connection refused"));
    w.advance(1_000);
    take(&mut w, "worker-2");
    w.take_snapshot();
    w.restart();
    w.advance(30_000);
    w.advance(1_000);
    let third = take(&mut w, "worker-1");
    assert_eq!(w.counts(dead), (0, 0, 0));
    w.settle(third.receipt, failed("still refused"));
    assert_eq!((w.counts(q), w.counts(dead)), ((0, 0, 0), (1, 0, 0)));
    assert_eq!(totals(&w, q).dead_by_receives, 1);
    w.restart();

    let acquire = Acquire { with_history: true, ..Acquire::new(dead, 1) };
    let Reply::Acquired(got) = w.run(Command::Acquire(acquire)) else { panic!() };
    assert_eq!(got[0].dead_reason, Some(DeadReason::MaxReceives));
    let past = &got[0].past_attempts;
    let told = past.iter().map(|a| (a.end, a.consumer.as_deref(), a.error.as_deref()));
    let told = told.collect::<Vec<_>>();
    assert_eq!(
        told,
        [
            (AttemptEnd::Failed, Some("worker-1"), Some("connection refused")),
            (AttemptEnd::TimedOut, Some("worker-2"), None),
            (AttemptEnd::Failed, Some("worker-1"), Some("still refused")),
        ]
    );
    assert_eq!(past[0].ended_at_ms - past[0].started_at_ms, 200);
    assert_eq!(past[1].ended_at_ms - past[1].started_at_ms, 30_000);
}

#[test]
fn history_survives_a_redrive_and_the_reason_goes() {
    let mut w = World::new();
    let dead = w.queue("dead", QueueConfig::default());
    let config =
        QueueConfig { keep_history: true, dead_letter: letters(5), ..QueueConfig::default() };
    let q = w.queue("q", config);
    w.send(q, "m");
    let delivery = only(&mut w, q);
    let fatal = Outcome::Failed { error: "bad input".into(), delay_ms: None, retry: false };
    w.settle(delivery.receipt, fatal);
    let Answer::Peeked(peeked) =
        w.engine.query(&Query::Peek(Peek { queue: dead, max_messages: 1 })).unwrap()
    else {
        panic!()
    };
    assert_eq!(peeked[0].dead_reason, Some(DeadReason::Rejected));
    assert_eq!(peeked[0].past_attempts[0].end, AttemptEnd::Rejected);
    let start = StartMoveTask { source: dead, destination: None, max_per_second: None };
    w.run(Command::StartMoveTask(start));
    w.advance(1);
    w.take_snapshot();
    w.restart();
    let again = only(&mut w, q);
    assert_eq!((again.receive_count, again.dead_reason), (1, None));
    let history = history(&w, q, again.receipt.seq);
    assert_eq!(history.past_attempts[0].error.as_deref(), Some("bad input"));
}

#[test]
fn sessions_and_given_back_messages_stand_in_the_history() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig { keep_history: true, ..QueueConfig::default() });
    let seq = w.send(q, "m").seq;
    w.run(acquire(q, 1, Lease::Session(SessionId(7))));
    w.advance(5);
    w.run(Command::EndSession(EndSession { session: SessionId(7) }));
    let delivery = only(&mut w, q);
    let back = Outcome::Release { to_tail: false, delay_ms: 0, counted: false };
    w.settle(delivery.receipt, back);
    w.restart();
    let ends: Vec<_> = history(&w, q, seq).past_attempts.iter().map(|a| a.end).collect();
    assert_eq!(ends, [AttemptEnd::Disconnected, AttemptEnd::GivenBack]);
}

#[test]
fn errors_and_names_are_cut_at_a_character() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig { keep_history: true, ..QueueConfig::default() });
    let seq = w.send(q, "m").seq;
    let acquire = Acquire { consumer: Some("ä".repeat(100)), ..Acquire::new(q, 1) };
    let Reply::Acquired(got) = w.run(Command::Acquire(acquire)) else { panic!() };
    w.settle(got[0].receipt, failed(&format!("x{}", "ä".repeat(5_000))));
    w.restart();
    let past = history(&w, q, seq).past_attempts.remove(0);
    assert_eq!(past.consumer.unwrap().len(), limits::MAX_CONSUMER_BYTES);
    assert_eq!(past.error.unwrap().len(), limits::MAX_ERROR_BYTES - 1);
}

#[test]
fn without_a_dead_letter_rule_the_last_attempt_leaves_a_dead_letter_and_counts() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig { retry: fixed(10, Some(1)), ..QueueConfig::default() });
    w.send(q, "m");
    let delivery = only(&mut w, q);
    w.settle(delivery.receipt, failed("no"));
    assert_eq!((w.counts(q), w.stats(q).dead, totals(&w, q).kept_dead), ((0, 0, 0), 1, 1));
}

#[test]
fn while_the_dead_letter_queue_is_missing_a_message_is_tried_again() {
    let mut w = World::new();
    let config = QueueConfig {
        retry: fixed(10, Some(1)),
        dead_letter: letters(3),
        ..QueueConfig::default()
    };
    let q = w.queue("q", config);
    w.send(q, "m");
    for _ in 0..5 {
        let delivery = only(&mut w, q);
        w.settle(delivery.receipt, failed("no"));
        w.advance(10);
    }
    let dead = w.queue("dead", QueueConfig::default());
    assert_eq!(w.receive(q, 1), [], "the rule's own count holds at the receive");
    assert_eq!(w.counts(dead), (1, 0, 0));
}

#[test]
fn a_fifo_message_that_waits_for_its_next_attempt_blocks_its_lane() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig { retry: fixed(5_000, None), ..fifo() });
    for (lane, body) in [("a", "a1"), ("a", "a2"), ("b", "b1")] {
        w.send_message(in_lane(q, lane, body));
    }
    let first = w.receive(q, 1).remove(0);
    w.settle(first.receipt, failed("no"));
    w.take_snapshot();
    w.restart();
    assert_eq!(w.receive_bodies(q, 10), ["b1"]);
    w.advance(5_000);
    assert_eq!(w.receive_bodies(q, 10), ["a1", "a2"], "and comes back in its place");
}

#[test]
fn a_grouped_receive_stops_before_a_message_that_waits_for_its_next_attempt() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig { retry: fixed(5_000, None), ..QueueConfig::default() });
    for body in ["1", "2"] {
        w.send_message(in_lane(q, "a", body));
    }
    let first = w.receive(q, 1).remove(0);
    w.settle(first.receipt, failed("no"));
    let grouped = |w: &mut World| {
        let acquire = Acquire { order: Order::LaneHeads, ..Acquire::new(q, 10) };
        let Reply::Acquired(got) = w.run(Command::Acquire(acquire)) else { panic!() };
        got.iter().map(|d| w.body(d)).collect::<Vec<_>>()
    };
    assert_eq!(grouped(&mut w), Vec::<String>::new());
    w.restart();
    w.advance(5_000);
    assert_eq!(grouped(&mut w), ["1"]);
}

#[test]
fn a_late_acknowledgement_of_a_message_in_backoff_is_accepted() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig { retry: fixed(5_000, None), ..QueueConfig::default() });
    w.send(q, "m");
    let delivery = only(&mut w, q);
    w.advance(30_000);
    assert_eq!(w.counts(q), (0, 1, 0));
    assert_eq!(w.ack(&delivery), Settled::Done);
    assert_eq!(w.counts(q), (0, 0, 0));
    w.restart();
}

#[test]
fn the_place_of_often_received_messages_is_a_setting() {
    let order = |back_after_receives| {
        let mut w = World::new();
        let q = w.queue("q", QueueConfig { back_after_receives, ..QueueConfig::default() });
        for body in ["1", "2"] {
            w.send(q, body);
        }
        for _ in 0..3 {
            w.receive(q, 1);
            w.advance(30_000);
        }
        w.receive_bodies(q, 2)
    };
    assert_eq!(order(Some(3)), ["2", "1"], "as SQS does");
    assert_eq!(order(Some(4)), ["1", "2"]);
    assert_eq!(order(None), ["1", "2"]);
}

#[test]
fn messages_past_their_time_go_to_the_dead_letter_queue_with_the_reason() {
    let mut w = World::new();
    let dead = w.queue("dead", QueueConfig { retention_ms: 90_000, ..QueueConfig::default() });
    let config = QueueConfig {
        retention_ms: 60_000,
        expired_to: ExpiredTo::DeadLetterQueue,
        keep_history: true,
        dead_letter: letters(5),
        ..QueueConfig::default()
    };
    let q = w.queue("q", config);
    let own = NewMessage { expires_at_ms: Some(w.now_ms + 5_000), ..message(q, "own deadline") };
    w.send_message(own);
    w.send(q, "retention");
    let held = w.receive(q, 1).remove(0);
    w.advance(5_000);
    assert_eq!(w.ack(&held), Settled::Gone, "its time was over under the lease");
    w.advance(55_000);
    w.take_snapshot();
    w.restart();
    assert_eq!((w.counts(q), w.counts(dead)), ((0, 0, 0), (2, 0, 0)));
    let Answer::Peeked(dead_letters) =
        w.engine.query(&Query::Peek(Peek { queue: dead, max_messages: 9 })).unwrap()
    else {
        panic!()
    };
    let reasons: Vec<_> = dead_letters.iter().map(|d| d.dead_reason).collect();
    assert_eq!(reasons, [Some(DeadReason::Deadline), Some(DeadReason::Retention)]);
    assert_eq!(dead_letters[0].past_attempts[0].end, AttemptEnd::Expired);
    let t = totals(&w, q);
    assert_eq!((t.dead_by_deadline, t.dead_by_retention, t.expired), (1, 1, 0));
    w.advance(34_999);
    assert_eq!(w.counts(dead), (2, 0, 0), "they have a new retention period");
    w.advance(1);
    assert_eq!(w.counts(dead), (1, 0, 0));
}

#[test]
fn expired_messages_go_to_a_queue_of_their_own_or_are_counted_by_reason() {
    let mut w = World::new();
    let late = w.queue("late", QueueConfig::default());
    let expired_to = ExpiredTo::Queue(queue_name("late"));
    let config = QueueConfig { retention_ms: 60_000, expired_to, ..QueueConfig::default() };
    let q = w.queue("q", config);
    let short =
        |w: &World| NewMessage { expires_at_ms: Some(w.now_ms + 10), ..message(q, "short") };
    w.send_message(short(&w));
    w.advance(10);
    assert_eq!(w.counts(late), (1, 0, 0));
    w.run(Command::DeleteQueue(DeleteQueue { queue: late }));
    w.send_message(short(&w));
    w.send(q, "long");
    w.advance(60_000);
    w.restart();
    let t = totals(&w, q);
    assert_eq!((t.expired, t.kept_dead, t.moved_out), (0, 2, 1), "kept while `late` is missing");
    w.advance(60_000);
    let t = totals(&w, q);
    assert_eq!((t.expired, t.expired_by_deadline, t.moved_out), (2, 0, 1), "but not for ever");

    let plain = w.queue("plain", QueueConfig { retention_ms: 60_000, ..QueueConfig::default() });
    w.send_message(NewMessage { queues: vec![plain], ..short(&w) });
    w.send(plain, "long");
    w.advance(60_000);
    let t = totals(&w, plain);
    assert_eq!((t.expired, t.expired_by_deadline, t.moved_out), (2, 1, 0));
}

#[test]
fn settings_out_of_bounds_are_refused() {
    let mut w = World::new();
    let retry = |backoff, jitter_percent, max_attempts| QueueConfig {
        retry: Some(RetryPolicy { backoff, jitter_percent, max_attempts }),
        ..QueueConfig::default()
    };
    let ok = Backoff::Fixed { delay_ms: 1 };
    let guard = |budget, breaker| QueueConfig {
        guard: Some(Guard { key: GuardKey::Queue, budget, breaker }),
        ..QueueConfig::default()
    };
    let breaker = Breaker::default();
    for bad in [
        retry(ok.clone(), 101, None),
        retry(ok, 0, Some(0)),
        retry(Backoff::List { delays_ms: vec![] }, 0, None),
        retry(Backoff::List { delays_ms: vec![1; 65] }, 0, None),
        retry(Backoff::Fixed { delay_ms: limits::MAX_RETRY_DELAY_MS + 1 }, 0, None),
        retry(Backoff::Exponential { first_ms: 1, factor_percent: 99, max_ms: 9 }, 0, None),
        guard(Some(RetryBudget { floor_per_second: 0, ..RetryBudget::default() }), None),
        guard(None, Some(Breaker { failure_percent: 0, ..breaker })),
        guard(None, Some(Breaker { probes: 0, ..breaker })),
        QueueConfig { back_after_receives: Some(0), ..QueueConfig::default() },
    ] {
        let shown = format!("{bad:?}");
        let create =
            CreateQueue { name: queue_name("q"), config: Box::new(bad), name_reuse_wait_ms: 0 };
        let refused = w.try_run(Command::CreateQueue(create));
        assert!(matches!(refused, Err(Refusal::InvalidConfig(_))), "{shown}: {refused:?}");
    }
}
