//! Bounds and what happens at them.

use kyu_engine::*;

use crate::world::*;

#[test]
fn a_full_queue_refuses_or_drops_its_oldest() {
    let mut w = World::new();
    let bounded = QueueConfig { max_messages: Some(2), ..QueueConfig::default() };
    let q = w.queue("refuses", bounded.clone());
    let three = || (0..3).map(|i| message(q, &i.to_string())).collect();
    let Reply::Enqueued(results) = w.run(Command::Enqueue(Enqueue { messages: three() })) else {
        panic!()
    };
    assert_eq!(results[2], Err(EnqueueRefusal::QueueFull(q)));

    let q = w.queue("drops", QueueConfig { overflow: Overflow::DropHead, ..bounded });
    let four = (0..4).map(|i| message(q, &i.to_string())).collect();
    w.run(Command::Enqueue(Enqueue { messages: four }));
    assert_eq!(w.counts(q).0, 2, "the bound holds");
    w.send(q, "4");
    assert_eq!(w.counts(q).0, 2);
    assert_eq!(w.receive_bodies(q, 10).last().unwrap(), "4");
    w.restart();
}

#[test]
fn as_many_in_flight_as_allowed() {
    let mut w = World::new();
    let config = QueueConfig { max_in_flight: 1, ..QueueConfig::default() };
    let (standard, ordered) = (
        w.queue("q", config.clone()),
        w.queue("f", QueueConfig { kind: QueueKind::Fifo, ..config }),
    );
    for _ in 0..2 {
        w.send(standard, "x");
    }
    w.send_message(in_lane(ordered, "a", "x"));
    w.send_message(in_lane(ordered, "b", "x"));
    assert_eq!(w.receive(standard, 10).len(), 1);
    assert_eq!(w.receive(ordered, 10).len(), 1);
    let refused = w.try_run(acquire(standard, 1, Lease::QueueDefault));
    assert_eq!(refused, Err(Refusal::TooManyInFlight));
    assert_eq!(w.receive(ordered, 1), [], "a FIFO queue answers nothing instead");
}

#[test]
fn oversize_requests_are_refused_whole_or_one_by_one() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    let refused = |w: &mut World, m: NewMessage| match w
        .run(Command::Enqueue(Enqueue { messages: vec![m] }))
    {
        Reply::Enqueued(results) => results[0].unwrap_err(),
        other => panic!("{other:?}"),
    };
    let content = vec![0; limits::MAX_CONTENT_BYTES + 1].into();
    assert_eq!(refused(&mut w, NewMessage { content, ..message(q, "") }), EnqueueRefusal::TooLarge);
    let long = Some("k".repeat(limits::MAX_KEY_BYTES + 1));
    let m = NewMessage { lane: long, ..message(q, "") };
    assert_eq!(refused(&mut w, m), EnqueueRefusal::Malformed);
    let m = NewMessage { queues: vec![], ..message(q, "") };
    assert_eq!(refused(&mut w, m), EnqueueRefusal::Malformed);
    let many = Enqueue { messages: vec![message(q, ""); limits::MAX_BATCH + 1] };
    assert!(matches!(w.try_run(Command::Enqueue(many)), Err(Refusal::LimitExceeded(_))));
    assert!(matches!(
        w.try_run(acquire(q, 0, Lease::QueueDefault)),
        Err(Refusal::LimitExceeded(_))
    ));
}

#[test]
fn replies_are_bounded_in_bytes() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    for _ in 0..3 {
        w.send(q, &"x".repeat(1_000));
    }
    let small = |max_bytes| {
        Command::Acquire(Acquire {
            queue: q,
            max_messages: 10,
            max_bytes,
            lease: Lease::For(1_000),
            order: Order::OfQueue,
            attempt_id: None,
            consumer: None,
            with_history: false,
        })
    };
    let Reply::Acquired(one) = w.run(small(10)) else { panic!() };
    assert_eq!(one.len(), 1, "the first message always fits");
    let Reply::Acquired(two) = w.run(small(2_200)) else { panic!() };
    assert_eq!(two.len(), 2);
}

/// Once, a message too large for a queue that drops its head emptied the queue and was refused.
#[test]
fn a_message_that_finds_no_room_drops_nothing() {
    let mut w = World::new();
    let config = QueueConfig {
        max_bytes: Some(300),
        overflow: Overflow::DropHead,
        ..QueueConfig::default()
    };
    let q = w.queue("q", config);
    w.send(q, "one");
    w.send(q, "two");
    let large = message(q, &"x".repeat(400));
    let refused = w.run(Command::Enqueue(Enqueue { messages: vec![large, message(q, "three")] }));
    let Reply::Enqueued(results) = refused else { panic!() };
    assert_eq!(results[0], Err(EnqueueRefusal::QueueFull(q)));
    assert!(results[1].is_ok());
    assert_eq!(w.receive_bodies(q, 10), ["one", "two", "three"]);
    w.restart();
}
