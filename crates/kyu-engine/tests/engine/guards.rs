//! Retry budgets and breakers.

use kyu_engine::*;

use crate::world::*;

fn budget() -> RetryBudget {
    RetryBudget { earn_percent: 50, floor_per_second: 1, max_tokens: 3 }
}

fn breaker() -> Breaker {
    Breaker {
        window_ms: 10_000,
        min_attempts: 4,
        failure_percent: 50,
        open_ms: 5_000,
        probes: 2,
        slow_start_percent: 0,
    }
}

fn guarded(key: GuardKey, budget: Option<RetryBudget>, breaker: Option<Breaker>) -> QueueConfig {
    QueueConfig { guard: Some(Guard { key, budget, breaker }), ..QueueConfig::default() }
}

fn fail_all(w: &mut World, queue: QueueId, deliveries: &[Delivery]) {
    let failed = || Outcome::Failed { error: "down".into(), delay_ms: None, retry: true };
    let items = deliveries.iter().map(|d| (d.receipt, failed())).collect();
    w.run(Command::Settle(Settle { queue, items }));
}

fn send_all(w: &mut World, queue: QueueId, bodies: &[&str]) {
    bodies.iter().for_each(|body| {
        w.send(queue, body);
    });
}

fn hold(w: &World, queue: QueueId, seq: Seq) -> Option<Hold> {
    match w.engine.query(&Query::History(HistoryOf { queue, seq })).unwrap() {
        Answer::History(Some(history)) => history.hold,
        other => panic!("{other:?}"),
    }
}

fn reasons(w: &mut World, queue: QueueId, seq: Seq) -> Vec<Reason> {
    match w.engine.query_at(&Query::Explain(Explain { queue, seq }), w.now_ms).unwrap() {
        Answer::Explained(explanation) => explanation.reasons,
        other => panic!("{other:?}"),
    }
}

#[test]
fn explain_tells_what_backoff_budget_and_breaker_hold_back() {
    let mut w = World::new();
    let backoff = Backoff::Fixed { delay_ms: 500 };
    let retry = Some(RetryPolicy { backoff, jitter_percent: 0, max_attempts: None });
    let one = RetryBudget { max_tokens: 1, ..budget() };
    let config = guarded(GuardKey::Queue, Some(one), Some(breaker()));
    let q = w.queue("q", QueueConfig { retry, ..config });
    send_all(&mut w, q, &["1", "2", "3", "4", "5"]);
    let all = w.receive(q, 4);
    fail_all(&mut w, q, &all[..2]);
    let until_ms = w.now_ms + 500;
    assert_eq!(reasons(&mut w, q, 1), [Reason::Retry(Hold::Backoff { until_ms })]);
    w.advance(500);
    assert_eq!(reasons(&mut w, q, 1), []);
    let until_ms = w.now_ms + 1_000;
    assert_eq!(reasons(&mut w, q, 2), [Reason::Retry(Hold::Budget { ahead: 0, until_ms })]);
    fail_all(&mut w, q, &all[2..]);
    let until_ms = w.now_ms + 5_000;
    for seq in [1, 2, 5] {
        assert_eq!(reasons(&mut w, q, seq), [Reason::Retry(Hold::Breaker { until_ms })], "{seq}");
    }
}

#[test]
fn a_retry_without_a_token_is_held_and_time_brings_its_token() {
    let mut w = World::new();
    let q = w.queue("q", guarded(GuardKey::Queue, Some(budget()), None));
    send_all(&mut w, q, &["1", "2", "3", "4", "5"]);
    let all = w.receive(q, 5);
    fail_all(&mut w, q, &all);
    assert_eq!(w.counts(q), (3, 2, 0), "three tokens were saved");
    assert_eq!(w.stats(q).held, 2);
    let last = all[4].receipt.seq;
    let until_ms = w.now_ms + 2_000;
    assert_eq!(hold(&w, q, last), Some(Hold::Budget { ahead: 1, until_ms }));
    w.take_snapshot();
    w.restart();
    assert_eq!(w.receive_bodies(q, 9), ["1", "2", "3"]);
    w.advance(999);
    assert_eq!(w.receive(q, 9), []);
    w.advance(1);
    assert_eq!(w.receive_bodies(q, 9), ["4"]);
    w.advance(1_000);
    w.restart();
    assert_eq!(w.receive_bodies(q, 9), ["5"]);
    assert_eq!(w.stats(q).held, 0);
}

#[test]
fn first_successes_earn_tokens_for_those_that_are_held() {
    let mut w = World::new();
    let q = w.queue("q", guarded(GuardKey::Queue, Some(budget()), None));
    send_all(&mut w, q, &["1", "2", "3", "4", "5", "6", "7"]);
    let all = w.receive(q, 7);
    fail_all(&mut w, q, &all[..5]);
    assert_eq!(w.stats(q).held, 2);
    w.ack(&all[5]);
    assert_eq!(w.stats(q).held, 2, "half a token");
    w.ack(&all[6]);
    assert_eq!(w.stats(q).held, 1);
    let retried = w.receive(q, 9);
    assert_eq!(retried.len(), 4);
    w.ack(&retried[0]);
    w.ack(&retried[1]);
    assert_eq!(w.stats(q).held, 1, "retries earn nothing");
    w.restart();
}

#[test]
fn a_message_whose_backoff_is_over_needs_a_token_too_and_keeps_its_fifo_lane_blocked() {
    let mut w = World::new();
    let backoff = Backoff::Fixed { delay_ms: 100 };
    let retry = Some(RetryPolicy { backoff, jitter_percent: 0, max_attempts: None });
    let one = RetryBudget { max_tokens: 1, ..budget() };
    let base = guarded(GuardKey::Queue, Some(one), None);
    let q = w.queue("q.fifo", QueueConfig { kind: QueueKind::Fifo, retry, ..base });
    for (lane, body) in [("a", "a1"), ("b", "b1"), ("b", "b2")] {
        w.send_message(in_lane(q, lane, body));
    }
    let both = w.receive(q, 2);
    fail_all(&mut w, q, &both);
    w.advance(100);
    assert_eq!(w.stats(q).held, 1);
    assert_eq!(w.receive_bodies(q, 9), ["a1"], "b2 must not pass b1");
    w.restart();
    w.advance(1_000);
    assert_eq!(w.receive_bodies(q, 9), ["b1", "b2"]);
}

#[test]
fn without_a_budget_any_more_what_was_held_goes_on() {
    let mut w = World::new();
    let q = w.queue("q", guarded(GuardKey::Queue, Some(budget()), None));
    send_all(&mut w, q, &["1", "2", "3", "4", "5"]);
    let all = w.receive(q, 5);
    fail_all(&mut w, q, &all);
    let configure =
        ConfigureQueue { queue: q, config: Box::new(QueueConfig::default()), expected_version: 1 };
    w.run(Command::ConfigureQueue(configure));
    w.restart();
    w.advance(0);
    assert_eq!(w.receive(q, 9).len(), 5);
}

#[test]
fn the_breaker_opens_lets_probes_through_and_closes() {
    let mut w = World::new();
    let q = w.queue("q", guarded(GuardKey::Queue, None, Some(breaker())));
    let bodies: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    bodies.iter().for_each(|body| {
        w.send(q, body);
    });
    let first = w.receive(q, 4);
    fail_all(&mut w, q, &first);
    assert_eq!(w.receive(q, 9), [], "open");
    let until_ms = w.now_ms + 5_000;
    assert_eq!(hold(&w, q, first[0].receipt.seq), Some(Hold::Breaker { until_ms }));
    w.take_snapshot();
    w.restart();
    w.advance(4_999);
    assert_eq!(w.receive(q, 9), []);
    w.advance(1);
    let probes = w.receive(q, 9);
    assert_eq!(probes.len(), 2);
    w.restart();
    assert_eq!(w.receive(q, 9), [], "all probes are under way");
    w.ack(&probes[0]);
    fail_all(&mut w, q, &probes[1..]);
    w.advance(4_999);
    assert_eq!(w.receive(q, 9), [], "open again");
    w.advance(1);
    for probe in w.receive(q, 9) {
        w.ack(&probe);
    }
    w.restart();
    assert_eq!(w.receive(q, 9).len(), 9, "closed");
    let Answer::Totals(totals) = w.engine.query(&Query::Totals(q)).unwrap() else { panic!() };
    assert_eq!(totals.breaker_opened, 2);
}

#[test]
fn a_breaker_for_each_lane_stops_only_the_lane_that_fails() {
    let mut w = World::new();
    let q = w.queue("q", guarded(GuardKey::Lane, None, Some(breaker())));
    for n in 0..6 {
        w.send_message(in_lane(q, "mail", &format!("mail {n}")));
        w.send_message(in_lane(q, "sms", &format!("sms {n}")));
    }
    w.send(q, "none");
    let all = w.receive(q, 8);
    let mail: Vec<Delivery> =
        all.iter().filter(|d| w.body(d).starts_with("mail")).cloned().collect();
    fail_all(&mut w, q, &mail);
    let woken = |w: &mut World| {
        let mut woken = Vec::new();
        w.engine.take_woken(&mut woken);
        woken
    };
    assert_eq!(w.receive_bodies(q, 20), ["sms 4", "sms 5", "none"]);
    w.take_snapshot();
    w.restart();
    woken(&mut w);
    w.advance(5_000);
    assert!(woken(&mut w).contains(&q), "those who wait are told");
    assert_eq!(w.receive_bodies(q, 20), ["mail 0", "mail 1"], "two probes");
    w.restart();
    w.send_message(in_lane(q, "mail", "mail 9"));
    assert_eq!(w.receive(q, 20), []);
}

#[test]
fn a_lane_that_empties_and_comes_back_is_still_shut() {
    let mut w = World::new();
    let config = QueueConfig {
        retry: Some(RetryPolicy {
            backoff: Backoff::Fixed { delay_ms: 0 },
            jitter_percent: 0,
            max_attempts: Some(1),
        }),
        ..guarded(GuardKey::Lane, None, Some(breaker()))
    };
    let q = w.queue("q", config);
    for n in 0..4 {
        w.send_message(in_lane(q, "mail", &n.to_string()));
    }
    let all = w.receive(q, 4);
    fail_all(&mut w, q, &all);
    assert_eq!(w.counts(q), (0, 0, 0), "one attempt each");
    w.send_message(in_lane(q, "mail", "new"));
    assert_eq!(w.receive(q, 1), []);
    w.take_snapshot();
    w.restart();
    assert_eq!(w.receive(q, 1), []);
    w.run(Command::PurgeQueue(PurgeQueue { queue: q, cooldown_ms: 0 }));
    w.send_message(in_lane(q, "mail", "newer"));
    assert_eq!(w.receive(q, 1), [], "a purge heals no dependency");
    w.advance(5_000);
    assert_eq!(w.receive_bodies(q, 1), ["newer"]);
    w.restart();
}

#[test]
fn probes_that_lapse_or_vanish_do_not_shut_the_queue_for_ever() {
    let mut w = World::new();
    let q = w.queue("q", guarded(GuardKey::Queue, None, Some(breaker())));
    send_all(&mut w, q, &["1", "2", "3", "4"]);
    let all = w.receive(q, 4);
    fail_all(&mut w, q, &all);
    w.advance(5_000);
    assert_eq!(w.receive(q, 4).len(), 2);
    w.run(Command::PurgeQueue(PurgeQueue { queue: q, cooldown_ms: 0 }));
    send_all(&mut w, q, &["5"]);
    assert_eq!(w.receive(q, 1), []);
    w.advance(5_000);
    assert_eq!(w.receive(q, 1).len(), 1);
    w.restart();
}

#[test]
fn a_guard_that_nothing_happens_to_is_forgotten() {
    let mut w = World::new();
    let q = w.queue("q", guarded(GuardKey::Lane, Some(budget()), Some(breaker())));
    w.send_message(in_lane(q, "a", "x"));
    let delivery = w.receive(q, 1).remove(0);
    w.ack(&delivery);
    assert!(w.engine.next_due_ms().is_some());
    w.advance(120_000);
    w.restart();
    w.advance(0);
    assert_eq!(w.engine.next_due_ms(), None);
}

#[test]
fn guards_inside_an_atomic_group_are_taken_back_with_it() {
    let mut w = World::new();
    let q = w.queue("q", guarded(GuardKey::Queue, Some(budget()), Some(breaker())));
    send_all(&mut w, q, &["1", "2", "3", "4", "5"]);
    let all = w.receive(q, 5);
    let failed = || Outcome::Failed { error: "down".into(), delay_ms: None, retry: true };
    let items: Vec<_> = all.iter().map(|d| (d.receipt, failed())).collect();
    let settle = |items| Command::Settle(Settle { queue: q, items });
    let bad = vec![settle(items.clone()), settle(vec![items[0].clone(), items[0].clone()])];
    assert!(w.try_run(Command::Atomic(bad)).is_err());
    assert_eq!(w.counts(q), (0, 0, 5), "nothing has happened");
    w.run(Command::Atomic(vec![settle(items)]));
    assert_eq!(w.receive(q, 5), [], "open");
    w.restart();
}

#[test]
fn after_the_probes_twice_as_many_may_run_with_each_good_round_until_nobody_is_held_up() {
    let mut w = World::new();
    let slow = Breaker { slow_start_percent: 100, ..breaker() };
    let q = w.queue("q", guarded(GuardKey::Queue, None, Some(slow)));
    for n in 0..60 {
        w.send(q, &n.to_string());
    }
    let first = w.receive(q, 4);
    fail_all(&mut w, q, &first);
    w.advance(5_000);
    let mut rounds = Vec::new();
    for _ in 0..5 {
        let all = w.receive(q, 10);
        rounds.push(all.len());
        if all.len() < 10 {
            assert_eq!(w.receive(q, 10), [], "{rounds:?}");
        }
        w.take_snapshot();
        w.restart();
        w.advance(10);
        for delivery in &all {
            w.ack(delivery);
        }
        w.advance(1); // what begins with the answers may have begun before them
    }
    assert_eq!(rounds, [2, 2, 4, 8, 10], "two probes, then two, four, eight, sixteen");
    w.advance(10_000);
    let last = w.receive(q, 1);
    w.ack(&last[0]);
    assert_eq!(w.receive(q, 10).len() + w.receive(q, 10).len(), 20, "closed");
}

#[test]
fn explain_tells_how_many_a_closing_breaker_lets_run() {
    let mut w = World::new();
    let slow = Breaker { slow_start_percent: 100, ..breaker() };
    let q = w.queue("q", guarded(GuardKey::Lane, None, Some(slow)));
    for n in 0..10 {
        w.send_message(in_lane(q, "slow", &n.to_string()));
    }
    w.send_message(in_lane(q, "other", "x"));
    let first = w.receive(q, 4);
    fail_all(&mut w, q, &first);
    assert_eq!(w.receive_bodies(q, 9), ["x"]);
    w.advance(5_000);
    for probe in w.receive(q, 9) {
        w.ack(&probe);
    }
    assert_eq!(w.receive(q, 9).len(), 2);
    let last = reasons(&mut w, q, 10);
    assert_eq!(last, [Reason::Retry(Hold::SlowStart { in_flight: 2, allowed: 2 })]);
}

fn keyed(kind: QueueKind) -> QueueConfig {
    let slow = Breaker { slow_start_percent: 100, ..breaker() };
    QueueConfig {
        kind,
        guard_attribute: Some("dependency".into()),
        ..guarded(GuardKey::Attribute, None, Some(slow))
    }
}

/// Sends a message that depends on something, in a lane of its tenant.
fn send_for(w: &mut World, queue: QueueId, tenant: &str, dependency: &str) -> Seq {
    let new = in_lane(queue, tenant, "");
    w.send_message(NewMessage { content: depends_on(dependency), ..new }).seq
}

fn seqs(deliveries: &[Delivery]) -> Vec<Seq> {
    deliveries.iter().map(|delivery| delivery.receipt.seq).collect()
}

fn ack_all(w: &mut World, deliveries: &[Delivery]) {
    for delivery in deliveries {
        w.ack(delivery);
    }
    w.advance(1);
}

#[test]
fn a_dependency_that_is_down_stops_its_own_messages_only_whatever_their_lanes_are() {
    let mut w = World::new();
    let q = w.queue("q", keyed(QueueKind::Standard));
    for n in 0..12 {
        let dependency = if n % 2 == 0 { "stripe" } else { "mail" };
        send_for(&mut w, q, if n % 3 == 0 { "a" } else { "b" }, dependency);
    }
    let first = w.receive(q, 8);
    let (stripe, mail): (Vec<_>, Vec<_>) =
        first.into_iter().partition(|delivery| delivery.receipt.seq % 2 == 1);
    fail_all(&mut w, q, &stripe);
    ack_all(&mut w, &mail);
    assert_eq!(seqs(&w.receive(q, 10)), [10, 12]);
    let until_ms = w.now_ms + 4_999;
    for seq in [1, 11] {
        assert_eq!(reasons(&mut w, q, seq), [Reason::Retry(Hold::Breaker { until_ms })]);
    }
    assert_eq!((w.stats(q).held, w.receive(q, 10).len()), (6, 0));
    let query = Query::Guards(ListGuards { queue: q, after: None, max: 10 });
    let Answer::Guards(guards) = w.engine.query(&query).unwrap() else { panic!() };
    let told: Vec<_> = guards
        .iter()
        .map(|g| (g.key.as_deref(), g.breaker.unwrap(), g.successes, g.held))
        .collect();
    let open = BreakerState::Open { until_ms };
    let expected = [(Some("mail"), BreakerState::Closed, 4, 0), (Some("stripe"), open, 0, 6)];
    assert_eq!(told, expected);
    w.take_snapshot();
    w.restart();
    w.advance(4_998);
    assert_eq!(w.receive(q, 10), []);
    w.advance(1);
    let probes = w.receive(q, 10);
    assert_eq!(seqs(&probes), [1, 3], "in their order, no more than probes");
    assert_eq!(w.stats(q).held, 4, "the others are not woken for nothing");
    w.restart();
    ack_all(&mut w, &probes);
    let more = w.receive(q, 10);
    assert_eq!(seqs(&more), [5, 7]);
    let closing = Hold::SlowStart { in_flight: 2, allowed: 2 };
    assert_eq!(reasons(&mut w, q, 11), [Reason::Retry(closing)]);
    ack_all(&mut w, &more);
    assert_eq!(seqs(&w.receive(q, 10)), [9, 11]);
}

#[test]
fn a_fifo_group_waits_behind_a_message_whose_dependency_is_down() {
    let mut w = World::new();
    let q = w.queue("q.fifo", keyed(QueueKind::Fifo));
    for n in 0..4 {
        send_for(&mut w, q, &format!("first {n}"), "stripe");
    }
    let down = w.receive(q, 4);
    fail_all(&mut w, q, &down);
    let [head, behind] = ["stripe", "mail"].map(|to| send_for(&mut w, q, "a", to));
    let other = send_for(&mut w, q, "b", "mail");
    assert_eq!(seqs(&w.receive(q, 10)), [other], "not what is behind");
    assert_eq!(w.receive(q, 10), []);
    let behind_head = Reason::BehindInFlight { seq: head, until_ms: None };
    assert_eq!(reasons(&mut w, q, behind), [behind_head]);
    w.restart();
    w.advance(5_000);
    for expected in [2, 2] {
        let some = w.receive(q, 10);
        assert_eq!(some.len(), expected);
        ack_all(&mut w, &some);
    }
    assert_eq!(seqs(&w.receive(q, 10)), [head, behind]);
}

#[test]
fn a_receive_comes_past_any_number_of_messages_whose_dependency_is_down() {
    let mut w = World::new();
    let q = w.queue("q", keyed(QueueKind::Standard));
    for _ in 0..1_100 {
        send_for(&mut w, q, "a", "stripe");
    }
    let down = w.receive(q, 4);
    fail_all(&mut w, q, &down);
    let last = send_for(&mut w, q, "a", "mail");
    let tries = (1..9).find(|_| seqs(&w.receive(q, 10)) == [last]);
    assert_eq!(tries, Some(2));
    w.take_snapshot();
    w.restart();
    assert_eq!(w.receive(q, 10), []);
    assert_eq!(w.stats(q).held, 1_100);
}

#[test]
fn a_message_put_aside_before_its_first_attempt_needs_no_token_and_a_retry_needs_one() {
    let mut w = World::new();
    let one = RetryBudget { max_tokens: 1, ..budget() };
    let mut config = keyed(QueueKind::Standard);
    config.guard.as_mut().unwrap().budget = Some(one);
    let q = w.queue("q", config);
    for _ in 0..4 {
        send_for(&mut w, q, "a", "stripe");
    }
    let down = w.receive(q, 4);
    fail_all(&mut w, q, &down);
    let fresh = send_for(&mut w, q, "a", "stripe");
    assert_eq!(w.receive(q, 10), []);
    w.advance(5_000);
    assert_eq!(seqs(&w.receive(q, 10)), [1, fresh]);
}

#[test]
fn a_dead_letter_that_is_brought_back_depends_on_what_it_did() {
    let mut w = World::new();
    let dead = w.queue("dead", QueueConfig::default());
    let dead_letter = Some(DeadLetter { target: queue_name("dead"), max_receives: 9 });
    let q = w.queue("q", QueueConfig { dead_letter, ..keyed(QueueKind::Standard) });
    send_for(&mut w, q, "a", "stripe");
    let got = w.receive(q, 1);
    let rejected = Outcome::Failed { error: "bad".into(), delay_ms: None, retry: false };
    w.settle(got[0].receipt, rejected);
    for _ in 0..4 {
        send_for(&mut w, q, "a", "stripe");
    }
    let down = w.receive(q, 4);
    fail_all(&mut w, q, &down);
    w.take_snapshot();
    w.restart();
    let start = StartMoveTask { source: dead, destination: Some(q), max_per_second: None };
    w.run(Command::StartMoveTask(start));
    w.advance(0);
    assert_eq!(w.stats(q).ready, 5);
    assert_eq!(w.receive(q, 10), []);
}

#[test]
fn with_other_settings_what_was_put_aside_goes_on() {
    let mut w = World::new();
    let others = [
        QueueConfig::default(),
        guarded(GuardKey::Queue, Some(budget()), Some(breaker())),
        keyed(QueueKind::Standard),
    ];
    for (n, config) in others.into_iter().enumerate() {
        let q = w.queue(&format!("q{n}"), keyed(QueueKind::Standard));
        for _ in 0..6 {
            send_for(&mut w, q, "a", "stripe");
        }
        let down = w.receive(q, 4);
        fail_all(&mut w, q, &down);
        assert_eq!(w.receive(q, 10), []);
        let attribute = config.guard_attribute.as_ref().map(|_| "other".to_owned());
        let config = Box::new(QueueConfig { guard_attribute: attribute, ..config });
        let configure = ConfigureQueue { queue: q, config, expected_version: 1 };
        w.run(Command::ConfigureQueue(configure));
        w.restart();
        w.advance(10_000);
        let mut got = w.receive(q, 10).len();
        w.advance(10_000); // the budget of one of them has three tokens at a time
        got += w.receive(q, 10).len();
        assert_eq!(got, 6, "{n}");
    }
}
