//! Acknowledgements and extensions by deliveries that a later one has followed.

use kyu_engine::*;

use crate::world::*;

fn totals(w: &World, queue: QueueId) -> QueueTotals {
    match w.engine.query(&Query::Totals(queue)).unwrap() {
        Answer::Totals(totals) => totals,
        other => panic!("{other:?}"),
    }
}

/// Stale acknowledgements, accepted ones, double executions.
fn counted(w: &World, queue: QueueId) -> (u64, u64, u64) {
    let t = totals(w, queue);
    (t.stale_acks, t.late_acks, t.double_executions)
}

fn two_deliveries(w: &mut World, fencing: Fencing) -> (QueueId, Delivery, Delivery) {
    let q = w.queue("q", QueueConfig { fencing, ..QueueConfig::default() });
    w.send(q, "m");
    let first = w.receive(q, 1).remove(0);
    w.advance(30_000);
    let second = w.receive(q, 1).remove(0);
    (q, first, second)
}

#[test]
fn a_stale_acknowledgement_is_refused_and_counted() {
    let mut w = World::new();
    let (q, first, second) = two_deliveries(&mut w, Fencing::default());
    assert_eq!(w.ack(&first), Settled::Stale);
    assert_eq!(counted(&w, q), (1, 0, 0), "the second may still fail");
    w.take_snapshot();
    w.restart();
    assert_eq!(w.ack(&second), Settled::Done);
    assert_eq!(counted(&w, q), (1, 0, 1), "both did the work");
    assert_eq!(w.ack(&first), Settled::Gone);
    assert_eq!(counted(&w, q), (2, 0, 1), "a message counts once");
    w.restart();
}

#[test]
fn an_acknowledgement_that_comes_after_that_of_a_later_delivery_proves_a_double_execution() {
    let mut w = World::new();
    let (q, first, second) = two_deliveries(&mut w, Fencing::default());
    w.ack(&second);
    assert_eq!(w.ack(&second), Settled::Gone);
    assert_eq!(counted(&w, q), (0, 0, 0), "the same delivery again proves nothing");
    w.take_snapshot();
    w.restart();
    assert_eq!(w.ack(&first), Settled::Gone);
    assert_eq!(counted(&w, q), (1, 0, 1));
    w.restart();
}

#[test]
fn late_acknowledgements_are_accepted_where_the_queue_says_so() {
    let mut w = World::new();
    let fencing = Fencing { accept_late_acks: true, ..Fencing::default() };
    let (q, first, second) = two_deliveries(&mut w, fencing);
    assert_eq!(w.ack(&first), Settled::Done);
    assert_eq!((w.counts(q), counted(&w, q)), ((0, 0, 0), (1, 1, 0)));
    assert_eq!(totals(&w, q).acked, 1);
    w.restart();
    assert_eq!(w.ack(&second), Settled::Gone);
    assert_eq!(counted(&w, q), (1, 1, 1), "the later delivery did the work as well");
}

#[test]
fn a_group_with_a_stale_acknowledgement_is_refused_and_not_counted() {
    let mut w = World::new();
    let (q, first, second) = two_deliveries(&mut w, Fencing::default());
    let ack =
        |d: &Delivery| Command::Settle(Settle { queue: q, items: vec![(d.receipt, Outcome::Ack)] });
    let refused = w.try_run(Command::Atomic(vec![ack(&first)]));
    assert_eq!(refused, Err(Refusal::Atomic { at: 0, refusal: None }));
    assert_eq!(counted(&w, q), (0, 0, 0));
    w.run(Command::Atomic(vec![ack(&second)]));
    w.ack(&first);
    assert_eq!(counted(&w, q), (1, 0, 1));
    w.restart();
}

#[test]
fn whether_an_earlier_receipt_moves_a_lease_is_a_setting() {
    for (refuse_stale_extends, expected) in [(false, Extended::Done), (true, Extended::NotInFlight)]
    {
        let mut w = World::new();
        let fencing = Fencing { refuse_stale_extends, ..Fencing::default() };
        let (_, first, second) = two_deliveries(&mut w, fencing);
        assert_eq!(w.extend(&first, 60_000), expected);
        assert_eq!(w.extend(&second, 60_000), Extended::Done);
    }
}
