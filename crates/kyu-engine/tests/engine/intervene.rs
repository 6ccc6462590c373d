//! Interventions of people on messages that nobody works on. The story: a customer's export is
//! queued for tonight and is wanted now; another was a mistake; a third must wait for the repair.
//! There was a purge, which takes all, and nothing that takes one.

use kyu_engine::*;

use crate::world::*;

fn intervene(w: &mut World, queue: QueueId, seqs: &[Seq], action: Intervention) -> Vec<Intervened> {
    let messages = seqs.iter().map(|seq| Chosen { seq: *seq, deliveries: None }).collect();
    match w.run(Command::Intervene(Intervene { queue, messages, action })) {
        Reply::Intervened(results) => results,
        other => panic!("{other:?}"),
    }
}

fn explained(w: &mut World, queue: QueueId, seq: Seq) -> Explanation {
    match w.engine.query_at(&Query::Explain(Explain { queue, seq }), w.now_ms).unwrap() {
        Answer::Explained(explanation) => *explanation,
        other => panic!("{other:?}"),
    }
}

fn totals(w: &World, queue: QueueId) -> QueueTotals {
    match w.engine.query(&Query::Totals(queue)).unwrap() {
        Answer::Totals(totals) => totals,
        other => panic!("{other:?}"),
    }
}

const CANCEL: Intervention = Intervention::Cancel { in_flight: false };

#[test]
fn a_cancelled_message_is_gone_and_says_so() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    for body in ["a", "b", "c"] {
        w.send(q, body);
    }
    let worked_on = w.receive(q, 1).remove(0);
    let done = intervene(&mut w, q, &[1, 2, 2, 9], CANCEL);
    assert_eq!(
        done,
        [Intervened::InFlight, Intervened::Done, Intervened::Missing, Intervened::Missing]
    );
    w.restart();
    assert_eq!((w.counts(q), totals(&w, q).cancelled), ((1, 0, 1), 1));
    let Some(Gone::Ended(end)) = explained(&mut w, q, 2).gone else { panic!() };
    assert_eq!((end.kind, end.at_ms), (EndKind::Cancelled, w.now_ms));
    // Work under way can be cancelled too, if that is said; its worker hears it.
    let also = Intervention::Cancel { in_flight: true };
    assert_eq!(intervene(&mut w, q, &[1], also), [Intervened::Done]);
    assert_eq!(w.extend(&worked_on, 1_000), Extended::Gone);
    assert_eq!(w.ack(&worked_on), Settled::Gone);
    w.take_snapshot();
    w.restart();
    assert_eq!((w.counts(q), totals(&w, q).cancelled), ((1, 0, 0), 2));
}

#[test]
fn what_waits_can_run_now_or_later() {
    let mut w = World::new();
    let backoff = Backoff::Fixed { delay_ms: 60_000 };
    let retry = Some(RetryPolicy { backoff, jitter_percent: 0, max_attempts: None });
    let q = w.queue("q", QueueConfig { retry, ..QueueConfig::default() });
    w.send_message(NewMessage { delay_ms: Some(3_600_000), ..message(q, "tonight") });
    w.send(q, "failed");
    w.send(q, "ready");
    let failed = w.receive(q, 1).remove(0);
    let outcome = Outcome::Failed { error: "503".into(), delay_ms: None, retry: true };
    assert_eq!(w.settle(failed.receipt, outcome), Settled::Done);
    assert_eq!(w.counts(q), (1, 2, 0));
    let later = Intervention::Postpone(w.now_ms + 5_000);
    assert_eq!(intervene(&mut w, q, &[3], later), [Intervened::Done]);
    assert_eq!(w.counts(q), (0, 3, 0));
    assert_eq!(intervene(&mut w, q, &[1, 2], Intervention::RunNow), [Intervened::Done; 2]);
    w.restart();
    assert_eq!(w.receive_bodies(q, 9), ["tonight", "failed"]);
    w.advance(5_000);
    assert_eq!(w.receive_bodies(q, 9), ["ready"]);
}

#[test]
fn a_new_priority_is_the_place_in_the_line() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    for body in ["a", "b", "c"] {
        w.send(q, body);
    }
    assert_eq!(intervene(&mut w, q, &[3, 3], Intervention::Prioritise(9))[0], Intervened::Done);
    w.take_snapshot();
    w.restart();
    assert_eq!(w.receive_bodies(q, 1), ["c"]);
    assert_eq!(intervene(&mut w, q, &[1], Intervention::Prioritise(0)), [Intervened::Done]);
    assert_eq!(w.receive_bodies(q, 9), ["a", "b"]);
}

#[test]
fn chosen_dead_letters_go_back_and_the_others_stay() {
    let mut w = World::new();
    let dead = w.queue("dead", QueueConfig::default());
    let rule = DeadLetter { target: queue_name("dead"), max_receives: 5 };
    let q = w.queue("q", QueueConfig { dead_letter: Some(rule), ..QueueConfig::default() });
    let kept = w.queue("kept", QueueConfig::default());
    for (queue, body) in [(q, "a"), (q, "b"), (kept, "k")] {
        w.send(queue, body);
        let delivery = w.receive(queue, 1).remove(0);
        assert_eq!(w.settle(delivery.receipt, Outcome::Dead), Settled::Done);
    }
    w.send(dead, "by hand");
    let back = intervene(&mut w, dead, &[2, 3], Intervention::MoveBack);
    assert_eq!(back, [Intervened::Done, Intervened::NoSource]);
    assert_eq!(w.receive_bodies(q, 9), ["b"]);
    assert_eq!(w.counts(dead), (2, 0, 0));
    // One that had nowhere to go begins anew where it is.
    let not_yet = Intervention::Postpone(w.now_ms + 1);
    assert_eq!(intervene(&mut w, kept, &[1], not_yet), [Intervened::NotApplicable]);
    assert_eq!(intervene(&mut w, kept, &[1], Intervention::MoveBack), [Intervened::Done]);
    w.restart();
    assert_eq!(w.receive_bodies(kept, 9), ["k"]);
    // Elsewhere, too; but not to the queue that it is in.
    assert_eq!(
        intervene(&mut w, dead, &[1], Intervention::MoveTo(dead)),
        [Intervened::NotApplicable]
    );
    assert_eq!(intervene(&mut w, dead, &[1], Intervention::MoveTo(q)), [Intervened::Done]);
    assert_eq!(w.receive_bodies(q, 9), ["a"]);
    let nowhere = Intervention::MoveTo(QueueId(99));
    let messages = vec![Chosen { seq: 3, deliveries: None }];
    let refused =
        w.try_run(Command::Intervene(Intervene { queue: dead, messages, action: nowhere }));
    assert_eq!(refused, Err(Refusal::QueueNotFound));
}

/// Between the look and the act somebody may have received it: then it is not what was looked at.
#[test]
fn what_was_delivered_since_it_was_chosen_is_left_alone() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    w.send(q, "a");
    let delivery = w.receive(q, 1).remove(0);
    let back = Outcome::Release { to_tail: false, delay_ms: 0, counted: true };
    assert_eq!(w.settle(delivery.receipt, back), Settled::Done);
    let choose = |deliveries| {
        let messages = vec![Chosen { seq: 1, deliveries: Some(deliveries) }];
        Command::Intervene(Intervene { queue: q, messages, action: CANCEL })
    };
    assert_eq!(w.run(choose(0)), Reply::Intervened(vec![Intervened::Delivered]));
    assert_eq!(w.run(choose(1)), Reply::Intervened(vec![Intervened::Done]));
}
