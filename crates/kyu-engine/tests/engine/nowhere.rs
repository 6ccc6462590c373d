//! Dead messages that have nowhere to go, and what is known of those that went.
//!
//! The story: a rule with a typing error in the name of its queue, a rule that named its own queue,
//! a policy of three attempts without any rule: in each case a message that a worker gave up on was
//! deleted, with its history.

use kyu_engine::*;

use crate::world::*;

fn rule(target: &str, max_receives: u32) -> Option<DeadLetter> {
    Some(DeadLetter { target: queue_name(target), max_receives })
}

fn retry(max_attempts: u32) -> Option<RetryPolicy> {
    let backoff = Backoff::Fixed { delay_ms: 0 };
    Some(RetryPolicy { backoff, jitter_percent: 0, max_attempts: Some(max_attempts) })
}

fn failed(error: &str, retry: bool) -> Outcome {
    Outcome::Failed { error: error.into(), delay_ms: None, retry }
}

fn explain(w: &mut World, queue: QueueId, seq: Seq) -> Explanation {
    match w.engine.query_at(&Query::Explain(Explain { queue, seq }), w.now_ms).unwrap() {
        Answer::Explained(explanation) => *explanation,
        other => panic!("{other:?}"),
    }
}

fn redrive(w: &mut World, source: QueueId) -> MoveTask {
    let (destination, max_per_second) = (None, None);
    w.run(Command::StartMoveTask(StartMoveTask { source, destination, max_per_second }));
    w.advance(0);
    let Answer::MoveTasks(tasks) = w.engine.query(&Query::MoveTasks(source)).unwrap() else {
        panic!()
    };
    tasks[0].clone()
}

fn bodies(w: &World, queue: QueueId) -> Vec<String> {
    let browse = Query::Browse(Browse { queue, from: 0, max_messages: 100, only_ready: false });
    match w.engine.query(&browse).unwrap() {
        Answer::Browsed { messages, .. } => messages.iter().map(|m| w.body(m)).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_rejected_is_kept_whatever_the_rule_says() {
    for dead_letter in [None, rule("misspelt", 5), rule("q", 5)] {
        let mut w = World::new();
        let q = w.queue("q", QueueConfig { dead_letter, ..QueueConfig::default() });
        for (outcome, body) in [(Outcome::Dead, "a"), (failed("bad input", false), "b")] {
            w.send(q, body);
            let delivery = w.receive(q, 1).remove(0);
            assert_eq!(w.settle(delivery.receipt, outcome), Settled::Done);
        }
        w.take_snapshot();
        w.restart();
        let stats = w.stats(q);
        assert_eq!((stats.dead, stats.ready, stats.in_flight), (2, 0, 0));
        assert_eq!(bodies(&w, q), ["a", "b"], "they can be looked at");
        w.advance(86_400_000);
        assert_eq!(w.receive(q, 10), [], "and are not tried again");
        let explained = explain(&mut w, q, 2);
        assert!(matches!(explained.reasons[..], [Reason::Dead { .. }]), "{explained:?}");
        let attempts = explained.message.unwrap().last.past_attempts;
        assert_eq!(attempts[0].error.as_deref(), Some("bad input"));
    }
}

#[test]
fn the_last_attempt_without_a_rule_leaves_a_dead_letter_that_can_be_brought_back() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig { retry: retry(2), ..QueueConfig::default() });
    w.send(q, "charge the card");
    for n in 0..2 {
        let delivery = w.receive(q, 1).remove(0);
        w.settle(delivery.receipt, failed(&format!("declined {n}"), true));
    }
    assert_eq!((w.counts(q), w.stats(q).dead), ((0, 0, 0), 1));
    w.restart();
    w.send(q, "ordinary work");
    let task = redrive(&mut w, q);
    assert_eq!((task.status, task.moved, task.to_move), (MoveStatus::Completed, 1, 1));
    w.take_snapshot();
    w.restart();
    let again = w.receive(q, 1).remove(0);
    assert_eq!((w.body(&again).as_str(), again.receive_count), ("charge the card", 1));
    assert_eq!(w.ack(&again), Settled::Done);
}

/// Fencing numbers never fall, not even in a second life.
#[test]
fn receipts_of_the_life_before_decide_nothing_about_one_that_was_brought_back() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    w.send(q, "m");
    let old = w.receive(q, 1).remove(0);
    w.settle(old.receipt, Outcome::Dead);
    redrive(&mut w, q);
    assert_eq!(w.extend(&old, 1_000), Extended::NotInFlight);
    let new = w.receive(q, 1).remove(0);
    assert!(new.receipt.delivery > old.receipt.delivery);
    assert_eq!(w.ack(&old), Settled::Stale);
    assert_eq!(w.ack(&new), Settled::Done);
}

#[test]
fn kept_dead_letters_go_where_they_belong_as_soon_as_that_is_there() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig { dead_letter: rule("later", 5), ..QueueConfig::default() });
    for body in ["a", "b"] {
        w.send(q, body);
        let delivery = w.receive(q, 1).remove(0);
        w.settle(delivery.receipt, Outcome::Dead);
    }
    w.advance(60_000);
    assert_eq!(w.engine.next_due_ms(), None, "nothing to do meanwhile");
    let later = w.queue("later", QueueConfig::default());
    w.restart();
    w.advance(0);
    assert_eq!((w.counts(later), w.stats(q).dead), ((2, 0, 0), 0));
    let letter = w.receive(later, 1).remove(0);
    assert_eq!(letter.dead_reason, Some(DeadReason::Rejected));
    assert_eq!(letter.dead_letter_source.as_deref(), Some(&queue_name("q")));
    w.restart();

    let other = QueueConfig { dead_letter: rule("later", 5), ..QueueConfig::default() };
    let p = w.queue("p", QueueConfig::default());
    w.send(p, "c");
    let delivery = w.receive(p, 1).remove(0);
    w.settle(delivery.receipt, Outcome::Dead);
    let configure = ConfigureQueue { queue: p, config: other.into(), expected_version: 1 };
    w.run(Command::ConfigureQueue(configure));
    w.advance(0);
    assert_eq!((w.counts(later).0, w.stats(p).dead), (2, 0), "a rule that comes later, too");
}

/// Messages whose time is over were deleted where `expired_to` named a queue that did not exist.
#[test]
fn what_is_late_is_kept_where_the_queue_for_it_is_missing() {
    let mut w = World::new();
    let config = QueueConfig {
        expired_to: ExpiredTo::Queue(queue_name("late")),
        retention_ms: 10_000,
        ..QueueConfig::default()
    };
    let q = w.queue("q", config);
    w.send_message(NewMessage { expires_at_ms: Some(w.now_ms + 5), ..message(q, "a") });
    w.advance(5);
    assert_eq!((w.counts(q), w.stats(q).dead), ((0, 0, 0), 1));
    let late = w.queue("late", QueueConfig::default());
    w.advance(0);
    assert_eq!(w.receive(late, 1)[0].dead_reason, Some(DeadReason::Deadline));
    w.send(q, "b");
    w.run(Command::DeleteQueue(DeleteQueue { queue: late }));
    w.advance(10_000);
    assert_eq!(w.stats(q).dead, 1);
    w.advance(10_000);
    assert_eq!(w.stats(q).dead, 0, "kept for one more retention");
    w.restart();
}

#[test]
fn a_dead_letter_holds_up_nothing() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig { max_in_flight: 1, ..fifo() });
    for body in ["bad", "next"] {
        w.send_message(in_lane(q, "lane", body));
    }
    let delivery = w.receive(q, 1).remove(0);
    w.settle(delivery.receipt, Outcome::Dead);
    assert_eq!(w.receive_bodies(q, 1), ["next"]);
    w.restart();
}

/// The second tier of main -> slow -> dead never delivered: it counted the receives of the first.
#[test]
fn each_queue_counts_its_own_receives() {
    let mut w = World::new();
    let dead = w.queue("dead", QueueConfig::default());
    let slow =
        w.queue("slow", QueueConfig { dead_letter: rule("dead", 3), ..QueueConfig::default() });
    let main =
        w.queue("main", QueueConfig { dead_letter: rule("slow", 3), ..QueueConfig::default() });
    w.send(main, "job");
    for (tier, before) in [(main, 0), (slow, 3)] {
        for n in 1..=3 {
            let delivery = w.receive(tier, 1).remove(0);
            assert_eq!((delivery.receive_count, delivery.total_receive_count), (n, before + n));
            w.advance(30_000);
        }
        assert_eq!(w.receive(tier, 1), []);
        w.take_snapshot();
        w.restart();
    }
    assert_eq!(w.receive(dead, 1)[0].total_receive_count, 7);
    let task = redrive(&mut w, dead);
    assert_eq!(task.moved, 0, "it is under lease");
    w.advance(30_000);
    assert_eq!(redrive(&mut w, dead).moved, 1);
    let home = w.receive(slow, 1).remove(0);
    assert_eq!((home.receive_count, home.total_receive_count), (1, 1), "a new life");
}

#[test]
fn two_queues_that_name_each_other_deliver() {
    let mut w = World::new();
    let b = w.queue("b", QueueConfig { dead_letter: rule("a", 1), ..QueueConfig::default() });
    let a = w.queue("a", QueueConfig { dead_letter: rule("b", 1), ..QueueConfig::default() });
    w.send(a, "ping-pong");
    for queue in [a, b, a, b] {
        let delivery = w.receive(queue, 1).remove(0);
        assert_eq!(delivery.receive_count, 1);
        w.settle(delivery.receipt, Outcome::Dead);
    }
    w.restart();
}

/// One letter without a source at the head of a dead-letter queue stopped the redrive of all behind
/// it, each time.
#[test]
fn a_redrive_skips_what_has_no_home_and_counts_it() {
    let mut w = World::new();
    let dead = w.queue("dead", QueueConfig::default());
    let with_rule = || QueueConfig { dead_letter: rule("dead", 1), ..QueueConfig::default() };
    let (old, main) = (w.queue("old", with_rule()), w.queue("main", with_rule()));
    w.send(dead, "sent here by hand");
    for (queue, body) in [(old, "orphan"), (main, "a"), (main, "b")] {
        w.send(queue, body);
        let delivery = w.receive(queue, 1).remove(0);
        w.settle(delivery.receipt, Outcome::Dead);
    }
    w.run(Command::DeleteQueue(DeleteQueue { queue: old }));
    let task = redrive(&mut w, dead);
    assert_eq!((task.status, task.moved, task.skipped), (MoveStatus::Completed, 2, 2));
    assert_eq!(task.reason, Some(MoveFailure::SourceGone));
    assert_eq!(bodies(&w, main), ["a", "b"]);
    assert_eq!(bodies(&w, dead), ["sent here by hand", "orphan"]);
    w.take_snapshot();
    w.restart();
    let task = redrive(&mut w, dead);
    assert_eq!((task.status, task.moved, task.skipped), (MoveStatus::Failed, 0, 2));
}

#[test]
fn a_redrive_of_thousands_looks_at_each_message_once() {
    let mut w = World::new();
    let dead = w.queue("dead", QueueConfig::default());
    let main = QueueConfig { dead_letter: rule("dead", 1), ..QueueConfig::default() };
    let main = w.queue("main", main);
    for _ in 0..6 {
        w.run(Command::Enqueue(Enqueue { messages: vec![message(dead, "orphan"); 1_000] }));
    }
    w.send(main, "home");
    let delivery = w.receive(main, 1).remove(0);
    w.settle(delivery.receipt, Outcome::Dead);
    let task = redrive(&mut w, dead);
    assert_eq!((task.status, task.moved, task.skipped), (MoveStatus::Completed, 1, 6_000));
    w.restart();
}

#[test]
fn what_is_gone_has_a_reason() {
    let mut w = World::new();
    let dead = w.queue("dead", QueueConfig::default());
    let config = QueueConfig {
        dead_letter: rule("dead", 5),
        retention_ms: 10_000,
        ..QueueConfig::default()
    };
    let q = w.queue("q", config);
    for body in ["acked", "rejected", "expired"] {
        w.send(q, body);
    }
    let deliveries = w.receive(q, 2);
    w.ack(&deliveries[0]);
    let rejected_at_ms = w.now_ms;
    w.settle(deliveries[1].receipt, failed("KeyError: 'email'", false));
    w.advance(10_000);
    w.take_snapshot();
    w.restart();
    assert_eq!(explain(&mut w, q, 1).gone, Some(Gone::Acknowledged));
    let Some(Gone::Ended(end)) = explain(&mut w, q, 2).gone else { panic!() };
    assert_eq!((end.at_ms, end.kind), (rejected_at_ms, EndKind::Moved));
    assert_eq!(end.to, Some((queue_name("dead").into(), 1)));
    assert_eq!(end.error.as_deref(), Some("KeyError: 'email'"));
    let Some(Gone::Ended(end)) = explain(&mut w, q, 3).gone else { panic!() };
    assert_eq!((end.at_ms, end.kind), (w.now_ms, EndKind::Expired));
    assert_eq!(explain(&mut w, q, 4).gone, None, "never sent");
    w.send(q, "purged");
    w.run(Command::PurgeQueue(PurgeQueue { queue: q, cooldown_ms: 0 }));
    w.restart();
    assert_eq!(explain(&mut w, q, 4).gone, Some(Gone::Purged { at_ms: w.now_ms }));
    assert_eq!(w.stats(dead).ready, 1);
}

/// An end is remembered only if it happened: a group that is refused takes its ends back.
#[test]
fn a_refused_group_ends_nothing() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    w.send(q, "m");
    let delivery = w.receive(q, 1).remove(0);
    let items = vec![(delivery.receipt, Outcome::Dead)];
    let group = Command::Atomic(vec![
        Command::Settle(Settle { queue: q, items }),
        Command::PurgeQueue(PurgeQueue { queue: QueueId(999), cooldown_ms: 0 }),
    ]);
    w.try_run(group).unwrap_err();
    assert_eq!((w.counts(q), w.stats(q).dead), ((0, 0, 1), 0));
    w.restart();
}

/// A dead letter that is rejected once more, in a queue without a rule of its own, still belongs
/// where it came from.
#[test]
fn what_is_kept_in_a_dead_letter_queue_goes_home_from_there() {
    let mut w = World::new();
    let dead = w.queue("dead", QueueConfig::default());
    let main = QueueConfig { dead_letter: rule("dead", 1), ..QueueConfig::default() };
    let main = w.queue("main", main);
    w.send(main, "m");
    for queue in [main, dead] {
        let delivery = w.receive(queue, 1).remove(0);
        w.settle(delivery.receipt, Outcome::Dead);
    }
    assert_eq!(w.stats(dead).dead, 1);
    w.restart();
    assert_eq!(redrive(&mut w, dead).moved, 1);
    assert_eq!(w.receive_bodies(main, 1), ["m"]);
}

/// A dead letter that is kept holds no unique key, as none does in a dead-letter queue: a schedule
/// that may not overlap would wait for it for ever.
#[test]
fn a_kept_dead_letter_holds_no_unique_key() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    let unique = || {
        let (scope, policy) = (UniqueScope::UntilDone, UniquePolicy::Keep);
        Some(Box::new(Unique { key: "nightly".into(), scope, policy }))
    };
    w.send_message(NewMessage { unique: unique(), ..message(q, "first") });
    let delivery = w.receive(q, 1).remove(0);
    w.settle(delivery.receipt, Outcome::Dead);
    w.restart();
    assert!(!w.send_message(NewMessage { unique: unique(), ..message(q, "second") }).duplicate);
    w.restart();
}
