//! Limits of lanes and queues: in flight, rates, weights, and pauses.

use kyu_engine::*;

use crate::world::*;

fn limited(lanes: LaneLimits) -> QueueConfig {
    QueueConfig { lanes, ..QueueConfig::default() }
}

fn rate(permits: u32, interval_ms: u64, burst: u32) -> Option<RateLimit> {
    Some(RateLimit { permits, interval_ms, burst })
}

/// `count` messages "LANE1", "LANE2", ... in each of the lanes, the lanes taking turns.
fn fill(w: &mut World, queue: QueueId, lanes: &[&str], count: usize) {
    for n in 1..=count {
        for lane in lanes {
            let body = format!("{lane}{n}");
            let message =
                if lane.is_empty() { message(queue, &body) } else { in_lane(queue, lane, &body) };
            w.send_message(message);
        }
    }
}

fn pause(w: &mut World, queue: QueueId, lane: Option<&str>, paused: bool) -> bool {
    let lane = lane.map(str::to_owned);
    match w.run(Command::SetPaused(SetPaused { queue, lane, paused, until_ms: None })) {
        Reply::PausedSet { changed } => changed,
        other => panic!("{other:?}"),
    }
}

fn woken(w: &mut World) -> Vec<QueueId> {
    let mut woken = Vec::new();
    w.engine.take_woken(&mut woken);
    woken
}

#[test]
fn a_lane_has_no_more_in_flight_than_it_may() {
    let mut w = World::new();
    let lanes = LaneLimits { max_in_flight: Some(2), ..LaneLimits::default() };
    let queue = w.queue("q", limited(lanes));
    fill(&mut w, queue, &["a", "b", ""], 3);
    let first = w.receive(queue, 100);
    let bodies: Vec<_> = first.iter().map(|d| w.body(d)).collect();
    assert_eq!(bodies, ["a1", "b1", "1", "a2", "b2", "2", "3"], "no lane, no limit");
    w.take_snapshot();
    w.restart();
    assert!(w.receive(queue, 100).is_empty());
    woken(&mut w);
    w.ack(&first[1]);
    assert_eq!(woken(&mut w), [queue], "who waits is told");
    assert_eq!(w.receive_bodies(queue, 100), ["b3"]);
    w.advance(30_000);
    assert_eq!(w.receive_bodies(queue, 100), ["a1", "1", "a2", "b2", "2", "b3", "3"]);
}

#[test]
fn an_acknowledgement_in_one_lane_wakes_a_full_queue_for_another() {
    for config in [fifo(), QueueConfig::default()] {
        let mut w = World::new();
        let queue = w.queue("q", QueueConfig { max_in_flight: 1, ..config });
        fill(&mut w, queue, &["a", "b"], 1);
        let first = w.receive(queue, 1);
        woken(&mut w);
        w.ack(&first[0]);
        assert_eq!(woken(&mut w), [queue]);
    }
}

#[test]
fn a_fifo_lane_with_a_limit_gives_no_more_in_one_receive() {
    let mut w = World::new();
    let lanes = LaneLimits { max_in_flight: Some(1), ..LaneLimits::default() };
    let queue = w.queue("q", QueueConfig { lanes, ..fifo() });
    fill(&mut w, queue, &["a", "b"], 2);
    assert_eq!(w.receive_bodies(queue, 10), ["a1", "b1"]);
}

#[test]
fn a_queue_gives_its_burst_and_then_at_its_rate() {
    let mut w = World::new();
    let queue = w.queue("q", QueueConfig { rate: rate(2, 1_000, 3), ..QueueConfig::default() });
    fill(&mut w, queue, &[""], 9);
    assert_eq!(w.receive_bodies(queue, 9), ["1", "2", "3"]);
    for restart in [false, true] {
        assert!(w.receive(queue, 9).is_empty(), "not refused: a receive may wait for the token");
        w.advance(499);
        assert!(w.receive(queue, 9).is_empty());
        woken(&mut w);
        if restart {
            w.take_snapshot();
        }
        w.restart();
        w.advance(1);
        assert_eq!(woken(&mut w), [queue], "time wakes who waits");
        assert_eq!(w.receive(queue, 9).len(), 1);
    }
    w.advance(60_000);
    assert_eq!(w.receive(queue, 9).len(), 3, "no more than the burst is saved up");
}

#[test]
fn each_lane_has_a_bucket_of_its_own_that_outlives_its_messages() {
    let mut w = World::new();
    let lanes = LaneLimits { rate: rate(1, 1_000, 2), ..LaneLimits::default() };
    let queue = w.queue("q", limited(lanes));
    fill(&mut w, queue, &["a", "b", ""], 3);
    assert_eq!(w.receive_bodies(queue, 9), ["a1", "b1", "1", "a2", "b2", "2", "3"]);
    assert!(w.receive(queue, 9).is_empty());
    // The lane vanishes and comes back.
    w.run(Command::PurgeQueue(PurgeQueue { queue, cooldown_ms: 0 }));
    w.take_snapshot();
    w.restart();
    fill(&mut w, queue, &["a", "c"], 3);
    assert_eq!(w.receive_bodies(queue, 9), ["c1", "c2"]);
    woken(&mut w);
    w.advance(1_000);
    assert_eq!(woken(&mut w), [queue]);
    assert_eq!(w.receive_bodies(queue, 9), ["a1", "c3"]);
    w.advance(1_000);
    assert_eq!(w.receive_bodies(queue, 9), ["a2"]);
}

#[test]
fn a_waiting_receive_is_woken_when_another_took_only_a_part_of_the_new_tokens() {
    let mut w = World::new();
    let lanes = LaneLimits { rate: rate(1, 1_000, 1), ..LaneLimits::default() };
    let queue = w.queue("q", limited(lanes));
    fill(&mut w, queue, &["a", "b"], 2);
    assert_eq!(w.receive(queue, 9).len(), 2);
    w.now_ms += 1_000; // no tick yet
    woken(&mut w);
    assert_eq!(w.receive(queue, 1).len(), 1);
    assert_eq!(woken(&mut w), [queue], "the other lane has a token, too");
    assert_eq!(w.receive(queue, 9).len(), 1);
}

#[test]
fn a_group_that_is_refused_gives_its_tokens_back() {
    let mut w = World::new();
    let lanes = LaneLimits { rate: rate(1, 1_000, 1), ..LaneLimits::default() };
    let config = QueueConfig { rate: rate(1, 1_000, 5), ..limited(lanes) };
    let queue = w.queue("q", config);
    fill(&mut w, queue, &["a"], 2);
    let gone = Receipt { queue, seq: 1, delivery: 7, epoch: 0 };
    let group = vec![
        acquire(queue, 9, Lease::QueueDefault),
        Command::Settle(Settle { queue, items: vec![(gone, Outcome::Ack)] }),
    ];
    assert!(w.try_run(Command::Atomic(group)).is_err());
    assert_eq!(w.receive_bodies(queue, 9), ["a1"]);
    w.restart();
    assert!(w.receive(queue, 9).is_empty());
}

#[test]
fn new_settings_hold_at_once_and_empty_no_bucket_further() {
    let mut w = World::new();
    let slow = QueueConfig { rate: rate(1, 1_000_000, 1), ..QueueConfig::default() };
    let queue = w.queue("q", slow);
    fill(&mut w, queue, &["a"], 4);
    assert_eq!(w.receive(queue, 9).len(), 1);
    let configure = |w: &mut World, config: QueueConfig, version: u64| {
        let config = config.into();
        w.run(Command::ConfigureQueue(ConfigureQueue { queue, config, expected_version: version }));
        w.restart();
    };
    configure(&mut w, QueueConfig { rate: rate(1, 1_000, 1), ..QueueConfig::default() }, 1);
    assert!(w.receive(queue, 9).is_empty());
    w.advance(1_000);
    assert_eq!(w.receive(queue, 9).len(), 1);
    let one = LaneLimits { max_in_flight: Some(1), ..LaneLimits::default() };
    configure(&mut w, limited(one), 2);
    assert!(w.receive(queue, 9).is_empty(), "two are in flight already");
    configure(&mut w, QueueConfig::default(), 3);
    assert_eq!(w.receive(queue, 9).len(), 2);
}

#[test]
fn a_paused_queue_gives_nothing_until_it_is_resumed() {
    for config in [QueueConfig::default(), fifo()] {
        let mut w = World::new();
        let queue = w.queue("q", config);
        assert!(pause(&mut w, queue, None, true));
        assert!(!pause(&mut w, queue, None, true), "twice is once");
        fill(&mut w, queue, &["a"], 2);
        assert!(w.receive(queue, 9).is_empty());
        w.restart();
        w.take_snapshot();
        w.restart();
        assert!(w.stats(queue).paused);
        assert!(w.receive(queue, 9).is_empty());
        woken(&mut w);
        assert!(pause(&mut w, queue, None, false));
        assert_eq!(woken(&mut w), [queue], "who waits is told");
        assert!(!pause(&mut w, queue, None, false));
        assert_eq!(w.receive(queue, 9).len(), 2);
    }
}

#[test]
fn what_is_in_flight_when_a_queue_is_paused_can_be_finished() {
    let mut w = World::new();
    let queue = w.queue("q", QueueConfig::default());
    fill(&mut w, queue, &[""], 2);
    let taken = w.receive(queue, 2);
    pause(&mut w, queue, None, true);
    assert_eq!(w.extend(&taken[0], 60_000), Extended::Done);
    assert_eq!(w.ack(&taken[0]), Settled::Done);
    w.advance(30_000);
    assert_eq!(w.counts(queue), (1, 0, 0), "the other lease has lapsed");
}

#[test]
fn a_paused_lane_gives_nothing_and_the_others_go_on() {
    let mut w = World::new();
    let queue = w.queue("q", QueueConfig::default());
    assert!(pause(&mut w, queue, Some("a"), true), "before it has any messages");
    fill(&mut w, queue, &["a", "b"], 2);
    assert_eq!(w.receive_bodies(queue, 9), ["b1", "b2"]);
    w.run(Command::PurgeQueue(PurgeQueue { queue, cooldown_ms: 0 }));
    w.take_snapshot();
    w.restart();
    fill(&mut w, queue, &["a", "b"], 1);
    assert_eq!(w.receive_bodies(queue, 9), ["b1"]);
    let paused = w.engine.query(&Query::PausedLanes(queue)).unwrap();
    assert_eq!(paused, Answer::PausedLanes(vec!["a".to_owned()]));
    woken(&mut w);
    assert!(pause(&mut w, queue, Some("a"), false));
    assert_eq!(woken(&mut w), [queue]);
    assert_eq!(w.receive_bodies(queue, 9), ["a1"]);
}

#[test]
fn grouped_orders_obey_limits_and_pauses() {
    for order in [Order::LaneByLane, Order::RoundRobin, Order::LaneHeads] {
        let mut w = World::new();
        let lanes = LaneLimits { max_in_flight: Some(2), ..LaneLimits::default() };
        let queue = w.queue("q", limited(lanes));
        fill(&mut w, queue, &["a", "b"], 3);
        pause(&mut w, queue, Some("a"), true);
        let Command::Acquire(acquire) = acquire(queue, 9, Lease::QueueDefault) else { panic!() };
        let reply = w.run(Command::Acquire(Acquire { order, ..acquire }));
        let Reply::Acquired(taken) = reply else { panic!() };
        let bodies: Vec<_> = taken.iter().map(|d| w.body(d)).collect();
        let most = if order == Order::LaneHeads { 1 } else { 2 };
        assert_eq!(bodies, ["b1", "b2"][..most].to_vec(), "{order:?}");
    }
}

#[test]
fn lanes_share_by_their_weights() {
    let mut w = World::new();
    let weights = [("gold".to_owned(), 3)].into();
    let lanes = LaneLimits { weights, ..LaneLimits::default() };
    let queue = w.queue("q", QueueConfig { fairness: Fairness::Weighted, ..limited(lanes) });
    fill(&mut w, queue, &["gold", "iron", "lead"], 60);
    let gold = |bodies: &[String]| bodies.iter().filter(|body| body.starts_with("gold")).count();
    // One at a time, acknowledged at once: nothing but history can tell whose turn it is.
    let mut bodies = Vec::new();
    for _ in 0..50 {
        let taken = w.receive(queue, 1);
        bodies.push(w.body(&taken[0]));
        w.ack(&taken[0]);
    }
    assert_eq!(gold(&bodies), 30);
    w.restart();
    assert_eq!(gold(&w.receive_bodies(queue, 25)), 15, "in one batch as well");
}

#[test]
fn a_lane_that_comes_back_does_not_make_up_for_its_absence() {
    let mut w = World::new();
    let queue =
        w.queue("q", QueueConfig { fairness: Fairness::Weighted, ..QueueConfig::default() });
    fill(&mut w, queue, &["busy"], 100);
    assert_eq!(w.receive(queue, 60).len(), 60);
    fill(&mut w, queue, &["new"], 20);
    let bodies = w.receive_bodies(queue, 20);
    assert_eq!(bodies.iter().filter(|body| body.starts_with("new")).count(), 10);
}

#[test]
fn priority_goes_before_weight() {
    let mut w = World::new();
    let queue =
        w.queue("q", QueueConfig { fairness: Fairness::Weighted, ..QueueConfig::default() });
    fill(&mut w, queue, &["a", "b"], 1);
    w.send_message(NewMessage { priority: 9, ..in_lane(queue, "a", "urgent") });
    w.send_message(NewMessage { priority: 200, ..in_lane(queue, "b", "first") });
    assert_eq!(w.receive_bodies(queue, 9), ["first", "urgent", "a1", "b1"]);
}

#[test]
fn limits_do_not_hold_back_move_tasks_peeks_and_the_drop_of_the_oldest() {
    let mut w = World::new();
    let to = w.queue("to", QueueConfig::default());
    let config = QueueConfig {
        max_messages: Some(2),
        overflow: Overflow::DropHead,
        ..QueueConfig::default()
    };
    let queue = w.queue("q", config);
    pause(&mut w, queue, Some("a"), true);
    pause(&mut w, queue, None, true);
    fill(&mut w, queue, &["a", "b"], 2);
    let peek = Query::Peek(Peek { queue, max_messages: 9 });
    let Answer::Peeked(there) = w.engine.query(&peek).unwrap() else { panic!() };
    assert_eq!(there.iter().map(|d| w.body(d)).collect::<Vec<_>>(), ["a2", "b2"]);
    let start = StartMoveTask { source: queue, destination: Some(to), max_per_second: None };
    w.run(Command::StartMoveTask(start));
    w.advance(1);
    assert_eq!(w.receive_bodies(to, 9), ["a2", "b2"]);
}

#[test]
fn lanes_can_be_listed_page_by_page() {
    let mut w = World::new();
    let lanes = LaneLimits {
        rate: rate(1, 500, 1),
        weights: [("b".to_owned(), 7)].into(),
        ..LaneLimits::default()
    };
    let queue = w.queue("q", limited(lanes));
    fill(&mut w, queue, &["a", "b", "c"], 2);
    w.receive(queue, 2);
    let list = |w: &World, after: Option<&str>, max| {
        let after = after.map(str::to_owned);
        match w.engine.query(&Query::Lanes(ListLanes { queue, after, max })).unwrap() {
            Answer::Lanes(lanes) => lanes,
            other => panic!("{other:?}"),
        }
    };
    let page = list(&w, Some("a"), 1);
    let b = LaneStats {
        key: "b".into(),
        messages: 2,
        in_flight: 1,
        paused: false,
        next_token_at_ms: Some(w.now_ms + 500),
        weight: 7,
    };
    assert_eq!(page, [b]);
    assert_eq!(list(&w, Some("b"), 9).len(), 1);
}

#[test]
fn settings_out_of_bounds_are_refused() {
    let lanes = LaneLimits::default;
    let bad = [
        QueueConfig { rate: rate(0, 1, 1), ..QueueConfig::default() },
        QueueConfig { rate: rate(1, 0, 1), ..QueueConfig::default() },
        QueueConfig { rate: rate(1, 1, 0), ..QueueConfig::default() },
        QueueConfig { rate: rate(1, 86_400_000, 1_000_000), ..QueueConfig::default() },
        limited(LaneLimits { max_in_flight: Some(0), ..lanes() }),
        limited(LaneLimits { default_weight: 0, ..lanes() }),
        limited(LaneLimits { weights: [("a".to_owned(), 1_001)].into(), ..lanes() }),
        limited(LaneLimits { weights: [(String::new(), 1)].into(), ..lanes() }),
    ];
    for config in bad {
        let mut w = World::new();
        let config = Box::new(config);
        let create = CreateQueue { name: queue_name("q"), config, name_reuse_wait_ms: 0 };
        let refused = w.try_run(Command::CreateQueue(create.clone()));
        assert!(matches!(refused, Err(Refusal::InvalidConfig(_))), "{create:?}");
    }
}

/// A consumer is down for an hour: the pause that spares it must not outlive the hour because the
/// person who set it went home.
#[test]
fn a_pause_with_an_end_ends_by_itself_over_restarts() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    let until_ms = w.now_ms + 60_000;
    let pause = |lane: Option<&str>, until_ms| {
        let lane = lane.map(str::to_owned);
        Command::SetPaused(SetPaused { queue: q, lane, paused: true, until_ms: Some(until_ms) })
    };
    assert_eq!(w.run(pause(None, until_ms)), Reply::PausedSet { changed: true });
    assert_eq!(w.run(pause(None, until_ms)), Reply::PausedSet { changed: false });
    w.run(pause(Some("a"), until_ms + 60_000));
    w.send(q, "plain");
    w.send_message(in_lane(q, "a", "of a"));
    w.take_snapshot();
    w.restart();
    w.advance(59_999);
    assert_eq!(w.stats(q).paused_until_ms, Some(until_ms));
    assert!(w.receive(q, 9).is_empty());
    w.advance(1);
    assert_eq!((w.stats(q).paused, w.stats(q).paused_until_ms), (false, None));
    w.restart();
    let plain = w.receive(q, 9);
    assert_eq!((plain.len(), w.ack(&plain[0])), (1, Settled::Done));
    // Paused anew without an end, the old one does not resume it.
    let lane = Some("a".to_owned());
    let for_ever = SetPaused { queue: q, lane, paused: true, until_ms: None };
    assert_eq!(w.run(Command::SetPaused(for_ever)), Reply::PausedSet { changed: true });
    w.advance(60_000);
    assert!(w.receive(q, 9).is_empty());
    w.run(pause(Some("a"), w.now_ms + 1));
    w.advance(1);
    assert_eq!(w.receive_bodies(q, 9), ["of a"]);
}
