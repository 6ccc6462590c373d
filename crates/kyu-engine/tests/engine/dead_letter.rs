//! Dead-letter queues and move tasks.

use kyu_engine::*;

use crate::world::*;

struct Pair {
    w: World,
    main: QueueId,
    dead: QueueId,
}

fn pair(kind: QueueKind) -> Pair {
    let mut w = World::new();
    let dead = w.queue("dead", QueueConfig { kind, ..sqs() });
    let rule = DeadLetter { target: queue_name("dead"), max_receives: 2 };
    let config = QueueConfig { kind, dead_letter: Some(rule), ..sqs() };
    let main = w.queue("main", config);
    Pair { w, main, dead }
}

impl Pair {
    /// Sends a message and lets it fail until the next receive would move it.
    fn fail(&mut self, body: &str) {
        self.w.send_message(in_lane(self.main, "lane", body));
        for _ in 0..2 {
            assert_eq!(self.w.receive(self.main, 1).len(), 1);
            self.w.advance(30_000);
        }
    }
}

#[test]
fn the_receive_after_the_last_allowed_one_moves_the_message() {
    let mut p = pair(QueueKind::Standard);
    p.fail("bad");
    assert_eq!(p.w.counts(p.main), (1, 0, 0), "not yet");
    assert_eq!(p.w.receive(p.main, 1), []);
    p.w.restart();
    assert_eq!((p.w.counts(p.main), p.w.counts(p.dead)), ((0, 0, 0), (1, 0, 0)));
    let dead = p.w.receive(p.dead, 1).remove(0);
    assert_eq!(p.w.body(&dead), "bad");
    assert_eq!(dead.dead_letter_source.as_deref(), Some(&queue_name("main")));
    assert_eq!((dead.receive_count, dead.total_receive_count), (1, 3));
    let age = p.w.now_ms - p.w.stats(p.dead).oldest_enqueued_at_ms.unwrap();
    assert_eq!(age, 60_000, "a standard queue of SQS keeps the age");
}

#[test]
fn a_fifo_dead_letter_starts_a_new_age_and_keeps_its_lane() {
    let mut p = pair(QueueKind::Fifo);
    p.fail("bad");
    p.w.send_message(in_lane(p.main, "lane", "next"));
    assert_eq!(p.w.receive_bodies(p.main, 1), ["next"], "the lane moves on in the same receive");
    assert_eq!(p.w.stats(p.dead).oldest_enqueued_at_ms, Some(p.w.now_ms));
    p.w.restart();
    let dead = p.w.receive(p.dead, 1).remove(0);
    assert_eq!(p.w.frame(&dead).lane.as_deref(), Some("lane"));
    assert_eq!(p.w.stats(p.dead).lanes_in_flight, 1);
}

#[test]
fn without_its_target_a_message_stays() {
    let mut p = pair(QueueKind::Standard);
    p.w.run(Command::DeleteQueue(DeleteQueue { queue: p.dead }));
    p.fail("bad");
    assert_eq!(p.w.receive(p.main, 1)[0].receive_count, 3);
}

#[test]
fn a_rejected_message_is_dead_at_once() {
    let mut p = pair(QueueKind::Standard);
    p.w.send(p.main, "x");
    let delivery = p.w.receive(p.main, 1).remove(0);
    assert_eq!(p.w.settle(delivery.receipt, Outcome::Dead), Settled::Done);
    assert_eq!((p.w.counts(p.main), p.w.counts(p.dead)), ((0, 0, 0), (1, 0, 0)));
    let delivery = p.w.receive(p.dead, 1).remove(0);
    assert_eq!(p.w.settle(delivery.receipt, Outcome::Dead), Settled::Done, "no target: kept");
    assert_eq!((p.w.counts(p.dead), p.w.stats(p.dead).dead), ((0, 0, 0), 1));
    p.w.restart();
}

#[test]
fn a_move_task_brings_messages_home_at_its_rate() {
    let mut p = pair(QueueKind::Standard);
    for body in ["a", "b", "c"] {
        p.fail(body);
        p.w.receive(p.main, 1);
    }
    assert_eq!(p.w.counts(p.dead), (3, 0, 0));
    let start = Command::StartMoveTask(StartMoveTask {
        source: p.dead,
        destination: None,
        max_per_second: Some(1),
    });
    let Reply::MoveTaskStarted { task } = p.w.run(start.clone()) else { panic!() };
    assert_eq!(p.w.try_run(start), Err(Refusal::MoveTaskRunning));
    p.w.advance(999);
    assert_eq!(p.w.counts(p.main), (0, 0, 0));
    p.w.advance(1);
    assert_eq!(p.w.counts(p.main), (1, 0, 0));
    p.w.restart();
    p.w.advance(1_000);
    assert_eq!(p.w.counts(p.main), (2, 0, 0));
    let cancel = Command::CancelMoveTask(CancelMoveTask { task });
    let Reply::MoveTaskCancelled(cancelled) = p.w.run(cancel.clone()) else { panic!() };
    assert_eq!((cancelled.moved, cancelled.to_move), (2, 3));
    assert_eq!(p.w.try_run(cancel), Err(Refusal::MoveTaskNotFound));
    let home = p.w.receive(p.main, 1).remove(0);
    assert_eq!(home.receive_count, 1, "a new life");
    assert_eq!(home.dead_letter_source, None);
}

#[test]
fn an_unlimited_move_task_empties_the_queue_and_completes() {
    let mut p = pair(QueueKind::Standard);
    for _ in 0..2_500 {
        p.w.send(p.dead, "x");
    }
    let other = p.w.queue("other", QueueConfig::default());
    p.w.run(Command::StartMoveTask(StartMoveTask {
        source: p.dead,
        destination: Some(other),
        max_per_second: None,
    }));
    p.w.advance(0);
    assert_eq!(p.w.counts(other), (2_500, 0, 0));
    let Answer::MoveTasks(tasks) = p.w.engine.query(&Query::MoveTasks(p.dead)).unwrap() else {
        panic!()
    };
    assert_eq!((tasks[0].status, tasks[0].moved), (MoveStatus::Completed, 2_500));
}

#[test]
fn a_task_whose_messages_came_from_nowhere_fails() {
    let mut p = pair(QueueKind::Standard);
    p.w.send(p.dead, "sent here directly");
    p.w.run(Command::StartMoveTask(StartMoveTask {
        source: p.dead,
        destination: None,
        max_per_second: None,
    }));
    p.w.advance(0);
    let Answer::MoveTasks(tasks) = p.w.engine.query(&Query::MoveTasks(p.dead)).unwrap() else {
        panic!()
    };
    assert_eq!(tasks[0].status, MoveStatus::Failed);
    assert_eq!(p.w.counts(p.dead), (1, 0, 0));
}

/// Found by the simulation: a dead letter was handed out before the record that moved it was
/// durable. A crash took the move back, its sequence number went to another message, and the old
/// receipt acknowledged that one.
#[test]
fn a_moved_message_is_handed_out_only_when_its_move_is_durable() {
    let mut p = pair(QueueKind::Standard);
    p.w.send(p.main, "moves");
    let delivery = p.w.receive(p.main, 1).remove(0);
    p.w.settle(delivery.receipt, Outcome::Dead);
    let moved_at = p.w.log.last().unwrap().0;
    let ctx = Context { now_ms: p.w.now_ms, wall_ms: p.w.now_ms, seed: 1, epoch: p.w.epoch };
    let receive = acquire(p.dead, 1, Lease::QueueDefault);
    let decision = p.w.engine.decide(&receive, &ctx).unwrap();
    assert!(matches!(decision.wait, Wait::Until(end) if end > moved_at), "{:?}", decision.wait);
}
