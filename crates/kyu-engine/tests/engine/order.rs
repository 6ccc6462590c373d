//! Strict order, and acquires that keep the order within each lane (`pgmq.read_grouped` and its
//! kin), on standard queues.

use kyu_engine::*;

use crate::world::*;

fn strict() -> QueueConfig {
    QueueConfig { fairness: Fairness::StrictOrder, ..QueueConfig::default() }
}

/// Messages "1", "2", ... in the given lanes; "" is no lane.
fn filled(w: &mut World, config: QueueConfig, lanes: &str) -> QueueId {
    let queue = w.queue("q", config);
    for (n, lane) in lanes.chars().enumerate() {
        let body = (n + 1).to_string();
        let message = match lane {
            '-' => message(queue, &body),
            lane => in_lane(queue, &lane.to_string(), &body),
        };
        w.send_message(message);
    }
    queue
}

fn take(w: &mut World, queue: QueueId, order: Order, max_messages: u32) -> Vec<Delivery> {
    let Command::Acquire(acquire) = acquire(queue, max_messages, Lease::QueueDefault) else {
        panic!()
    };
    match w.run(Command::Acquire(Acquire { order, ..acquire })) {
        Reply::Acquired(deliveries) => deliveries,
        other => panic!("{other:?}"),
    }
}

fn bodies(w: &World, deliveries: &[Delivery]) -> String {
    deliveries.iter().map(|d| w.body(d)).collect::<Vec<_>>().join(" ")
}

fn take_bodies(w: &mut World, queue: QueueId, order: Order, max_messages: u32) -> String {
    let deliveries = take(w, queue, order, max_messages);
    bodies(w, &deliveries)
}

#[test]
fn strict_order_knows_no_noisy_lanes() {
    for (config, expected) in [(strict(), "31 32"), (QueueConfig::default(), "62 31")] {
        let mut w = World::new();
        let queue = filled(&mut w, config, &format!("{}b", "a".repeat(61)));
        w.receive(queue, 30);
        assert_eq!(w.receive_bodies(queue, 2).join(" "), expected);
    }
}

#[test]
fn strict_order_is_priority_then_arrival_whatever_the_lane() {
    let mut w = World::new();
    let queue = w.queue("q", strict());
    for (body, lane, priority) in [("1", "a", 0), ("2", "b", 255), ("3", "a", 7), ("4", "c", 7)] {
        w.send_message(NewMessage { priority, ..in_lane(queue, lane, body) });
    }
    w.restart();
    assert_eq!(w.receive_bodies(queue, 9), ["2", "3", "4", "1"]);
}

#[test]
fn in_strict_order_a_message_keeps_its_place_however_often_it_was_received() {
    for (config, expected) in [(strict(), "1 2"), (QueueConfig::default(), "2 1")] {
        let mut w = World::new();
        let queue = filled(&mut w, config, "--");
        for _ in 0..4 {
            take(&mut w, queue, Order::OfQueue, 1);
            w.advance(30_000);
        }
        assert_eq!(take_bodies(&mut w, queue, Order::OfQueue, 2), expected);
    }
}

#[test]
fn lane_by_lane_empties_the_oldest_lane_first() {
    let mut w = World::new();
    let queue = filled(&mut w, strict(), "a-ba-b");
    assert_eq!(take_bodies(&mut w, queue, Order::LaneByLane, 3), "1 4 2");
    // Lanes with a leased message give nothing behind it: only b has nothing in flight.
    assert_eq!(take_bodies(&mut w, queue, Order::LaneByLane, 9), "3 6");
}

#[test]
fn round_robin_takes_the_lanes_in_layers() {
    let mut w = World::new();
    let queue = filled(&mut w, strict(), "aaabbc-");
    assert_eq!(take_bodies(&mut w, queue, Order::RoundRobin, 5), "1 4 6 7 2");
    w.advance(30_000);
    assert_eq!(take_bodies(&mut w, queue, Order::RoundRobin, 9), "1 4 6 7 2 5 3");
}

#[test]
fn lane_heads_takes_at_most_one_of_each_lane() {
    let mut w = World::new();
    let queue = filled(&mut w, strict(), "aab-b-");
    let heads = take(&mut w, queue, Order::LaneHeads, 9);
    assert_eq!(bodies(&w, &heads), "1 3 4");
    assert_eq!(take_bodies(&mut w, queue, Order::LaneHeads, 9), "");
    w.restart();
    w.ack(&heads[1]);
    assert_eq!(take_bodies(&mut w, queue, Order::LaneHeads, 9), "5");
}

#[test]
fn a_head_that_is_no_more_makes_room_for_the_next_one() {
    let mut w = World::new();
    let queue = w.queue("q", strict());
    let expires_at_ms = Some(w.now_ms + 5);
    w.send_message(NewMessage { expires_at_ms, ..in_lane(queue, "a", "1") });
    w.send_message(in_lane(queue, "a", "2"));
    w.now_ms += 10; // expired, and no tick has removed it yet
    assert_eq!(take_bodies(&mut w, queue, Order::LaneHeads, 9), "2");
}

#[test]
fn a_delayed_message_stops_its_lane_as_a_leased_one_does() {
    for order in [Order::LaneByLane, Order::RoundRobin, Order::LaneHeads] {
        let mut w = World::new();
        let queue = w.queue("q", strict());
        w.send_message(NewMessage { delay_ms: Some(500), ..in_lane(queue, "a", "1") });
        w.send_message(in_lane(queue, "a", "2"));
        w.take_snapshot();
        w.restart();
        assert_eq!(take_bodies(&mut w, queue, order, 9), "");
        assert_eq!(take_bodies(&mut w, queue, Order::OfQueue, 1), "2", "other orders may pass it");
        w.advance(500);
        assert_eq!(take_bodies(&mut w, queue, order, 9), "1");
    }
}

#[test]
fn what_stands_before_a_leased_message_may_go() {
    let mut w = World::new();
    let queue = filled(&mut w, strict(), "aaa");
    let first = take(&mut w, queue, Order::LaneByLane, 2);
    w.settle(first[0].receipt, Outcome::Release { to_tail: false, delay_ms: 0, counted: true });
    assert_eq!(take_bodies(&mut w, queue, Order::LaneByLane, 9), "1");
}

#[test]
fn a_session_that_ends_opens_its_lanes_again() {
    let mut w = World::new();
    let queue = filled(&mut w, strict(), "aab");
    let session = SessionId(4);
    let Command::Acquire(held) = acquire(queue, 1, Lease::Session(session)) else { panic!() };
    w.run(Command::Acquire(held));
    assert_eq!(take_bodies(&mut w, queue, Order::LaneByLane, 9), "3");
    let mut woken = Vec::new();
    w.engine.take_woken(&mut woken);
    w.run(Command::EndSession(EndSession { session }));
    woken.clear();
    w.engine.take_woken(&mut woken);
    assert_eq!(woken, [queue], "who waits is told");
    assert_eq!(take_bodies(&mut w, queue, Order::LaneByLane, 9), "1 2");
}

#[test]
fn strict_order_is_refused_for_a_fifo_queue() {
    let mut w = World::new();
    let config = QueueConfig { fairness: Fairness::StrictOrder, ..fifo() };
    let create =
        CreateQueue { name: queue_name("q"), config: config.into(), name_reuse_wait_ms: 0 };
    let refused = w.try_run(Command::CreateQueue(create));
    assert!(matches!(refused, Err(Refusal::InvalidConfig(_))), "{refused:?}");
}

#[test]
fn settings_survive_a_restart() {
    let mut w = World::new();
    let rate = RateLimit { permits: 5, interval_ms: 1_000, burst: 2 };
    let config = QueueConfig {
        fairness: Fairness::Weighted,
        rate: Some(rate),
        lanes: LaneLimits {
            max_in_flight: Some(3),
            rate: Some(RateLimit { burst: 1, ..rate }),
            default_weight: 2,
            weights: [("gold".to_owned(), 10)].into(),
        },
        ..QueueConfig::default()
    };
    w.queue("q", config.clone());
    w.restart();
    assert_eq!(w.engine.queues().next().unwrap().config, config);
    w.take_snapshot();
    w.restart();
    assert_eq!(w.engine.queues().next().unwrap().config, config);
}

/// Reminders were handed out in the order in which they had been written, however late each was due:
/// one for next week, written first, came before one that was due an hour ago.
#[test]
fn what_is_due_comes_in_the_order_in_which_it_is_due_and_behind_what_waits() {
    for (config, expected) in [
        (QueueConfig::default(), ["waits", "due first", "due last"]),
        // pgmq reads by number.
        (
            QueueConfig { fairness: Fairness::StrictOrder, ..QueueConfig::default() },
            ["due last", "due first", "waits"],
        ),
    ] {
        let mut w = World::new();
        let q = w.queue("q", config);
        w.send_message(NewMessage { delay_ms: Some(9_000), ..message(q, "due last") });
        w.send_message(NewMessage { delay_ms: Some(5_000), ..message(q, "due first") });
        w.send(q, "waits");
        w.advance(9_000);
        w.take_snapshot();
        w.restart();
        assert_eq!(w.receive_bodies(q, 9), expected);
    }
}
