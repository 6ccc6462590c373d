//! The core on a simulated disk, stepped by hand: time, syncs and crashes happen when a test says.
#![allow(missing_docs, unreachable_pub, reason = "tests")]
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod rig;
mod schedules;
mod simulated;
mod stopped;
mod transactions;

use kyu_broker::{
    Acquire, Command, DeadLetter, Enqueue, EnqueueRefusal, Error, Extend, LaneLimits, Lease, Order,
    Outcome, Query, QueueConfig, RateLimit, Refusal, Reply, SessionId, SetPaused, Settle, Settled,
};
use kyu_log::{Log, SimFaults};
use rig::{Rig, SEGMENT_BYTES};

#[test]
fn nothing_is_answered_or_shown_before_it_is_durable() {
    let mut rig = Rig::new();
    let create = rig.submit(rig::create("q"));
    assert!(rig.take(create).is_none());
    assert!(rig.core.directory().is_empty());
    rig.flush();
    let queue = rig.created(create);
    assert_eq!(rig.core.directory().by_id(queue).map(|q| q.id), Some(queue));

    let send = rig.submit(rig::enqueue(queue, b"a"));
    let stats = rig.query(Query::Stats(queue));
    let refused = rig.submit(rig::enqueue_to_nothing());
    let receive = rig.receive(queue, 0);
    for ticket in [send, stats, refused, receive] {
        assert!(rig.take(ticket).is_none(), "answered before the sync");
    }
    rig.flush();
    assert_eq!(rig.deliveries(receive).len(), 1);
    for ticket in [send, stats, refused] {
        assert!(rig.take(ticket).is_some(), "not answered after the sync");
    }
}

#[test]
fn a_lease_of_a_durable_message_is_handed_out_without_a_sync() {
    let mut rig = Rig::new();
    let queue = rig.queue("q");
    rig.send(queue, b"a");
    let receive = rig.receive(queue, 0);
    assert_eq!(rig.deliveries(receive).len(), 1);
}

#[test]
fn long_polls_are_served_in_order_of_arrival() {
    let mut rig = Rig::new();
    let queue = rig.queue("q");
    let polls: Vec<_> = (0..3).map(|_| rig.receive(queue, 1_000)).collect();
    assert_eq!(rig.core.waiting(), 3);
    for poll in &polls {
        rig.send(queue, b"a");
        assert_eq!(rig.deliveries(*poll).len(), 1);
    }
    // A newcomer that can wait does not overtake; one that cannot finds nothing.
    let first = rig.receive(queue, 1_000);
    let second = rig.receive(queue, 1_000);
    let hasty = rig.receive(queue, 0);
    rig.flush();
    assert!(rig.deliveries(hasty).is_empty());
    rig.send(queue, b"b");
    assert_eq!(rig.deliveries(first).len(), 1);
    assert!(rig.take(second).is_none());
}

#[test]
fn a_long_poll_whose_order_allows_nothing_does_not_hold_up_others() {
    let mut rig = Rig::new();
    let queue = rig.queue("q");
    for body in [b"a", b"b"] {
        rig.send(queue, body);
    }
    let leased = rig.receive(queue, 0);
    assert_eq!(rig.deliveries(leased).len(), 1);
    // "b" stands behind the leased "a", so a grouped receive may not have it.
    let grouped = Acquire {
        queue,
        max_messages: 9,
        max_bytes: 1 << 20,
        lease: Lease::QueueDefault,
        order: Order::LaneByLane,
        attempt_id: None,
        consumer: None,
        with_history: false,
    };
    let grouped = rig.acquire(grouped, 60_000);
    rig.flush();
    assert!(rig.take(grouped).is_none());
    let any = rig.receive(queue, 60_000);
    assert_eq!(rig.deliveries(any).len(), 1);
    let waiting = rig.receive(queue, 60_000);
    rig.send(queue, b"c");
    assert_eq!(rig.deliveries(waiting).len(), 1);
    assert!(rig.take(grouped).is_none());
    rig.advance(30_000);
    assert_eq!(rig.deliveries(grouped).len(), 3, "all leases have lapsed");
}

#[test]
fn a_long_poll_is_served_the_moment_a_token_is_there() {
    let rate = Some(RateLimit { permits: 1, interval_ms: 700, burst: 1 });
    let lanes = LaneLimits { rate, ..LaneLimits::default() };
    let by_lane = QueueConfig { lanes, ..QueueConfig::default() };
    for config in [QueueConfig { rate, ..QueueConfig::default() }, by_lane] {
        let mut rig = Rig::new();
        let create = rig.submit(rig::create_with("q", config));
        rig.flush();
        let queue = rig.created(create);
        for _ in 0..2 {
            let mut new = rig::message(queue, b"a", None);
            new.lane = Some("lane".to_owned());
            rig.submit(Command::Enqueue(Enqueue { messages: vec![new] }));
        }
        let first = rig.receive(queue, 0);
        rig.flush();
        assert_eq!(rig.deliveries(first).len(), 1);
        let poll = rig.receive(queue, 20_000);
        rig.flush();
        assert!(rig.take(poll).is_none());
        assert_eq!(rig.core.engine().next_due_ms(), Some(rig.now_ms + 700));
        rig.advance(699);
        rig.flush();
        assert!(rig.take(poll).is_none());
        rig.advance(1);
        rig.flush();
        assert_eq!(rig.deliveries(poll).len(), 1);
    }
}

#[test]
fn a_long_poll_on_a_paused_queue_is_served_when_it_is_resumed() {
    let mut rig = Rig::new();
    let queue = rig.queue("q");
    rig.send(queue, b"a");
    rig.submit(Command::SetPaused(SetPaused { queue, lane: None, paused: true, until_ms: None }));
    let poll = rig.receive(queue, 20_000);
    rig.flush();
    assert!(rig.take(poll).is_none());
    rig.submit(Command::SetPaused(SetPaused { queue, lane: None, paused: false, until_ms: None }));
    assert_eq!(rig.deliveries(poll).len(), 1);
}

#[test]
fn a_long_poll_ends_empty_at_its_deadline_and_not_before() {
    let mut rig = Rig::new();
    let queue = rig.queue("q");
    let poll = rig.receive(queue, 1_000);
    rig.advance(999);
    rig.work();
    assert!(rig.take(poll).is_none());
    assert_eq!(rig.core.next_wake_ms(), Some(rig.now_ms + 1));
    rig.advance(1);
    assert!(rig.deliveries(poll).is_empty());
    assert_eq!(rig.core.waiting(), 0);
}

#[test]
fn a_long_poll_is_woken_by_a_lapsed_lease_and_by_a_passed_delay() {
    let mut rig = Rig::new();
    let queue = rig.queue("q");
    rig.send(queue, b"a");
    let taken = rig.receive(queue, 0);
    assert_eq!(rig.deliveries(taken).len(), 1);
    let poll = rig.receive(queue, 60_000);
    rig.advance(29_999);
    assert!(rig.take(poll).is_none());
    rig.advance(1);
    rig.flush();
    assert_eq!(rig.deliveries(poll)[0].receive_count, 2);

    rig.submit(rig::enqueue_delayed(queue, b"b", 5_000));
    let poll = rig.receive(queue, 60_000);
    rig.advance(4_999);
    assert!(rig.take(poll).is_none());
    rig.advance(1);
    rig.flush();
    assert_eq!(rig.deliveries(poll)[0].receive_count, 1);
}

#[test]
fn a_cancelled_long_poll_takes_no_message_from_the_next() {
    let mut rig = Rig::new();
    let queue = rig.queue("q");
    let gone = rig.receive(queue, 1_000);
    let next = rig.receive(queue, 1_000);
    rig.cancel(queue, gone);
    rig.send(queue, b"a");
    assert!(rig.take(gone).is_none());
    assert_eq!(rig.deliveries(next).len(), 1);
}

#[test]
fn an_abandoned_delivery_goes_to_the_next_in_line_and_is_not_counted() {
    let mut rig = Rig::new();
    let queue = rig.queue("q");
    rig.send(queue, b"a");
    let gone = rig.receive(queue, 0);
    let receipts = rig.deliveries(gone).iter().map(|d| d.receipt).collect();
    let next = rig.receive(queue, 1_000);
    assert!(rig.take(next).is_none());
    rig.core.abandon(queue, receipts);
    rig.flush();
    assert_eq!(rig.deliveries(next)[0].receive_count, 1);
}

#[test]
fn deleting_a_queue_ends_its_long_polls() {
    let mut rig = Rig::new();
    let queue = rig.queue("q");
    let poll = rig.receive(queue, 1_000);
    rig.submit(rig::delete(queue));
    rig.flush();
    let result = rig.take(poll).expect("answered");
    assert_eq!(result.unwrap_err(), Error::Refused(Refusal::QueueNotFound));
    assert!(rig.core.directory().by_id(queue).is_none());
}

#[test]
fn more_long_polls_than_the_bound_are_refused() {
    let mut rig = Rig::with(|options| options.policy.max_waiting_receives = 2);
    let queue = rig.queue("q");
    let (_a, _b) = (rig.receive(queue, 1_000), rig.receive(queue, 1_000));
    let refused = rig.receive(queue, 1_000);
    rig.flush();
    assert_eq!(rig.take(refused).expect("answered").unwrap_err(), Error::Overloaded);
}

#[test]
fn a_restart_finds_what_was_there_with_and_without_a_snapshot() {
    let mut rig = Rig::new();
    let queue = rig.queue("q");
    for round in 0..50_u8 {
        rig.send(queue, &[round]);
    }
    let first = rig.receive(queue, 0);
    let receipt = rig.deliveries(first)[0].receipt;
    rig.flush();
    let digest = rig.core.engine().digest();

    rig.crash();
    assert_eq!(rig.core.engine().digest(), digest, "by replay alone");
    rig.snapshot();
    rig.send(queue, b"after the snapshot");
    let digest = rig.core.engine().digest();
    rig.crash();
    assert_eq!(rig.core.engine().digest(), digest, "by snapshot and replay");
    assert!(rig.core.log_bytes_since_snapshot() < u64::from(SEGMENT_BYTES));

    let settle =
        rig.submit(Command::Settle(Settle { queue, items: vec![(receipt, Outcome::Ack)] }));
    rig.flush();
    assert_eq!(rig.reply(settle), Reply::Settled(vec![Settled::Done]), "a receipt from before");
    assert_eq!(rig.stats(queue).ready, 50);
}

#[test]
fn a_damaged_snapshot_is_passed_over_for_the_one_before() {
    let mut rig = Rig::new();
    let queue = rig.queue("q");
    let body = vec![7; 4_000];
    // Enough for several snapshots, with the log recycled in between.
    for _ in 0..500 {
        rig.send(queue, &body);
        rig.receive_and_ack(queue);
        rig.work();
    }
    rig.send(queue, b"kept");
    let digest = rig.core.engine().digest();
    let snapshots = rig.core.snapshots().list().unwrap();
    let newest = format!("/data/snapshot-{:020}", snapshots[0].0);
    assert!(snapshots.len() > 1, "the one before is kept");
    assert!(rig.disk.flip_bit(std::path::Path::new(&newest), 60, 1));
    rig.crash();
    assert_eq!(rig.core.engine().digest(), digest);
    assert_eq!(rig.core.snapshots().list().unwrap()[0], snapshots[1]);
    assert_eq!(rig.stats(queue).ready, 1);
}

#[test]
fn a_crash_before_the_sync_loses_only_what_was_not_answered() {
    let mut rig = Rig::new();
    let queue = rig.queue("q");
    rig.send(queue, b"kept");
    let lost = rig.submit(rig::enqueue(queue, b"lost"));
    assert!(rig.take(lost).is_none());
    rig.crash();
    assert_eq!(rig.stats(queue).ready, 1);
}

#[test]
fn sessions_of_an_earlier_run_end_at_the_start() {
    let mut rig = Rig::new();
    let queue = rig.queue("q");
    rig.send(queue, b"a");
    let held = rig.receive_as(queue, Lease::Session(SessionId(7)), 0);
    assert_eq!(rig.deliveries(held).len(), 1);
    rig.flush();
    rig.crash();
    rig.flush();
    assert_eq!(rig.stats(queue).ready, 1);
}

#[test]
fn steady_flow_needs_a_bounded_number_of_segments() {
    let mut rig = Rig::new();
    let queue = rig.queue("q");
    let body = vec![7; 4_000];
    for _ in 0..2_000 {
        rig.send(queue, &body);
        rig.receive_and_ack(queue);
        rig.work();
    }
    assert!(rig.core.log().end().0 > 100 * u64::from(SEGMENT_BYTES), "the log went round");
    let segments = rig.core.log().segments().len();
    assert!(segments < 20, "{segments} segments");
    let digest = rig.core.engine().digest();
    rig.crash();
    assert_eq!(rig.core.engine().digest(), digest);
}

#[test]
fn one_old_message_does_not_keep_its_segment() {
    let mut rig = Rig::new();
    let (slow, fast) = (rig.queue("slow"), rig.queue("fast"));
    rig.send(slow, b"an old message");
    let body = vec![7; 4_000];
    for _ in 0..2_000 {
        rig.send(fast, &body);
        rig.receive_and_ack(fast);
        rig.work();
    }
    let first = rig.core.log().segments()[0].number;
    assert!(first > 1, "the first segment is still there");
    rig.crash();
    let poll = rig.receive(slow, 0);
    let delivery = rig.deliveries(poll).remove(0);
    assert_eq!(&rig.body(&delivery)[..], b"an old message");
}

#[test]
fn a_segment_is_not_reused_while_a_receiver_has_an_address_in_it() {
    let mut rig = Rig::new();
    let queue = rig.queue("q");
    let body = vec![7; 4_000];
    rig.send(queue, b"slow reader");
    let poll = rig.receive(queue, 0);
    let slow = rig.take_completion(poll).expect("answered");
    let delivery = rig::deliveries_of(&slow.result).remove(0);
    rig.ack(queue, delivery.receipt);
    for _ in 0..500 {
        rig.send(queue, &body);
        rig.receive_and_ack(queue);
        rig.work();
    }
    assert_eq!(&rig.body(&delivery)[..], b"slow reader");
    drop(slow);
    for _ in 0..100 {
        rig.send(queue, &body);
        rig.receive_and_ack(queue);
        rig.work();
    }
    assert!(rig.core.log().segments()[0].number > delivery.frame_at / u64::from(SEGMENT_BYTES));
}

#[test]
fn a_full_log_refuses_sends_and_lets_receivers_work_until_there_is_room_again() {
    let mut rig = Rig::with(|options| {
        options.log.max_log_bytes = Some(24 * u64::from(SEGMENT_BYTES));
        options.log.reserve_bytes = 6 * u64::from(SEGMENT_BYTES);
    });
    let queue = rig.queue("q");
    let body = vec![7; 8_000];
    let mut accepted = 0;
    loop {
        let send = rig.submit(rig::enqueue(queue, &body));
        rig.flush();
        match rig.take(send).expect("answered") {
            Ok(_) => accepted += 1,
            Err(error) => {
                assert_eq!(error, Error::StorageFull);
                break;
            }
        }
        rig.work();
        assert!(accepted < 1_000, "never full");
    }
    assert_eq!(rig.stats(queue).ready, accepted, "what was accepted is there");
    for _ in 0..accepted {
        rig.receive_and_ack(queue);
        rig.work();
    }
    for _ in 0..20 {
        rig.advance(1_000);
        rig.work();
    }
    let send = rig.submit(rig::enqueue(queue, &body));
    rig.flush();
    assert!(rig.take(send).expect("answered").is_ok(), "room again");
}

#[test]
fn time_never_goes_back() {
    let mut rig = Rig::new();
    let queue = rig.queue("q");
    rig.send(queue, b"a");
    let taken = rig.receive(queue, 0);
    assert_eq!(rig.deliveries(taken).len(), 1);
    rig.advance(10_000);
    rig.core.advance(5);
    assert_eq!(rig.core.now_ms(), rig.now_ms);
    rig.flush();
    rig.crash();
    assert!(rig.core.now_ms() > 5, "a restart continues from the log's time");
}

#[test]
fn a_failed_sync_answers_nobody() {
    let mut rig = Rig::new();
    let queue = rig.queue("q");
    let send = rig.submit(rig::enqueue(queue, b"a"));
    let next = rig.disk.operations() + 1;
    rig.disk.set_faults(SimFaults { fail_at: Some(next), ..SimFaults::default() });
    rig.core.hand_over();
    assert!(rig.core.log().flush().is_err());
    assert!(rig.take(send).is_none());
    assert!(rig.failures() > 0, "the log's owner heard of it");
}

#[test]
fn a_refused_entry_of_a_batch_is_its_own_result() {
    let mut rig = Rig::new();
    let create = rig.submit(rig::create_with(
        "q",
        QueueConfig {
            dead_letter: Some(DeadLetter { target: rig::name("dead"), max_receives: 1 }),
            max_messages: Some(1),
            ..QueueConfig::default()
        },
    ));
    rig.flush();
    let queue = rig.created(create);
    let send = rig.submit(rig::enqueue_many(queue, &[b"a", b"b"]));
    rig.flush();
    let Reply::Enqueued(results) = rig.reply(send) else { panic!("not enqueued") };
    assert!(results[0].is_ok());
    assert_eq!(results[1], Err(EnqueueRefusal::QueueFull(queue)));
}

/// Without this, a green fault test would prove nothing: with the sync broken on purpose, work is
/// acknowledged and then lost.
#[test]
fn a_broken_sync_acknowledges_what_a_crash_then_loses() {
    let mut rig = Rig::with(|options| options.log.sync = kyu_log::SyncMode::Broken);
    let queue = rig.queue("q");
    let send = rig.submit(rig::enqueue(queue, b"lost"));
    assert!(matches!(rig.take(send), Some(Ok(_))), "acknowledged before the flush");
    rig.crash();
    let receive = rig.receive(queue, 0);
    rig.flush();
    match rig.take(receive).expect("answered") {
        Ok(result) => assert!(rig::deliveries_of(&Ok(result)).is_empty()),
        Err(error) => assert_eq!(error, Error::Refused(Refusal::QueueNotFound)),
    }
}

/// Found by the simulation: a start on a log without room could not log the end of the sessions of
/// the process before, and never tried again; what they held stayed locked until the next start.
#[test]
fn sessions_of_an_earlier_run_end_as_soon_as_there_is_room() {
    let mut rig = Rig::new();
    let queue = rig.queue("q");
    let other = rig.queue("other");
    rig.send(other, b"x");
    let delivery = rig.receive(other, 0);
    rig.flush();
    let receipt = rig.deliveries(delivery).remove(0).receipt;
    let bodies = vec![&b"x"[..]; 250];
    for _ in 0..8 {
        rig.submit(rig::enqueue_many(queue, &bodies));
        rig.flush();
    }
    for _ in 0..2_000 {
        rig.receive_as(queue, Lease::Session(SessionId(7)), 0);
    }
    rig.flush();
    // The disk is full and extensions use the reserve up, but for less than the session's end takes.
    rig.disk.set_faults(SimFaults { capacity_bytes: Some(1), ..SimFaults::default() });
    while rig.core.log().space().unwrap().headroom_bytes > 12 << 10 {
        rig.submit(Command::Extend(Extend { queue: other, items: vec![(receipt, 1_000)] }));
        rig.flush();
    }
    rig.crash();
    assert_eq!(rig.stats(queue).in_flight, 2_000, "there was no room to end the session");
    rig.disk.set_faults(SimFaults::default());
    rig.advance(1_000);
    rig.work();
    assert_eq!(rig.stats(queue).in_flight, 0);
}

#[test]
fn a_dead_letter_is_not_delivered_before_its_move_is_durable() {
    let mut rig = Rig::new();
    let dead = rig.queue("dead");
    let rule = DeadLetter { target: rig::name("dead"), max_receives: 3 };
    let config = QueueConfig { dead_letter: Some(rule), ..QueueConfig::default() };
    let created = rig.submit(rig::create_with("q", config));
    rig.flush();
    let queue = rig.created(created);
    rig.send(queue, b"x");
    let received = rig.receive(queue, 0);
    rig.flush();
    let receipt = rig.deliveries(received).remove(0).receipt;
    rig.submit(Command::Settle(Settle { queue, items: vec![(receipt, Outcome::Dead)] }));
    let received = rig.receive(dead, 0);
    assert!(rig.take(received).is_none(), "its move is not on disk");
    rig.flush();
    assert_eq!(rig.deliveries(received).len(), 1);
}
