//! Transactions: real ones.

use super::*;

#[tokio::test]
async fn own_writes_are_visible_inside_and_to_others_only_after_the_commit() {
    let mut rig = Rig::new();
    let (mut a, mut b) = (rig.session(), rig.session());
    a.create("q").await;
    a.send("q", "1").await;
    a.0.begin().await.unwrap();
    assert_eq!(a.send("q", "2").await, 2);
    assert_eq!(a.send("q", "3").await, 3);
    assert_eq!(a.metrics("q").await, (3, 3, 3));
    assert_eq!(b.metrics("q").await, (1, 3, 1), "numbers are taken at once");
    assert_eq!(a.read_ids("q", 30, 2).await, [1, 2]);
    assert!(a.delete("q", 2).await);
    assert!(!a.delete("q", 2).await);
    assert_eq!(a.table("q").await, [(1, 1), (3, 0)]);
    assert_eq!(b.table("q").await, [(1, 0)], "as it was");
    for (client, count) in [(&mut a, 2), (&mut b, 1)] {
        let counted = client.0.count(&Relation::Queue("q".into())).await.unwrap();
        assert_eq!(counted, Some(count), "without looking at them");
    }
    assert_eq!(b.read_ids("q", 30, 9).await, NONE, "claimed");
    assert_eq!(b.send("q", "4").await, 4);
    a.0.commit().await.unwrap();
    assert_eq!(b.table("q").await, [(1, 1), (3, 0), (4, 0)]);
    assert_eq!(b.read_ids("q", 30, 9).await, [3, 4]);
    rig.restart();
    let mut c = rig.session();
    assert_eq!(c.table("q").await, [(1, 1), (3, 1), (4, 1)]);
    assert_eq!(c.metrics("q").await, (3, 4, 0));
}

#[tokio::test]
async fn a_roll_back_leaves_nothing_but_used_numbers() {
    let rig = Rig::new();
    let (mut a, mut b) = (rig.session(), rig.session());
    a.create("q").await;
    for n in ["1", "2", "3", "4"] {
        a.send("q", n).await;
    }
    b.read("q", 3_600, 1).await;
    let before = b.scan(Relation::Queue("q".into())).await;
    a.0.begin().await.unwrap();
    assert_eq!(a.send("q", "5").await, 5);
    assert!(a.delete("q", 1).await, "in whatever state");
    assert_eq!(a.pop("q").await, [2]);
    assert_eq!(a.read_ids("q", 30, 1).await, [3]);
    assert!(a.archive("q", 4).await);
    a.call(f::SET_VT_ID_SECONDS, vec![text("q"), Value::Int(5), Value::Int(60)]).await;
    assert_eq!(a.table("q").await, [(3, 1), (5, 0)]);
    assert_eq!(a.archived("q").await, [(4, 0)]);
    a.create("new").await;
    assert_eq!(a.send("new", "1").await, 1);
    assert_eq!(a.pop("new").await, [1]);
    assert_eq!(a.queues().await, ["q", "new"]);
    assert_eq!(b.queues().await, ["q"]);
    a.0.rollback().await;
    assert_eq!(b.scan(Relation::Queue("q".into())).await, before);
    assert_eq!(b.archived("q").await, []);
    assert_eq!(a.queues().await, ["q"]);
    assert_eq!(b.send("q", "6").await, 6);
    assert_eq!(b.read_ids("q", 30, 9).await, [2, 3, 4, 6]);
}

#[tokio::test]
async fn a_session_that_dies_gives_its_claims_back() {
    let mut rig = Rig::new();
    let (mut a, mut b) = (rig.session(), rig.session());
    a.create("q").await;
    a.send("q", "1").await;
    a.0.begin().await.unwrap();
    assert_eq!(a.read_ids("q", 30, 1).await, [1]);
    drop(a);
    assert_eq!(b.table("q").await, [(1, 0)]);
    assert_eq!(b.read_ids("q", 0, 1).await, [1]);
    b.0.begin().await.unwrap();
    assert_eq!(b.read_ids("q", 30, 1).await, [1]);
    // So does a server that crashes or ends.
    std::mem::forget(b);
    rig.restart();
    let mut c = rig.session();
    assert_eq!(c.table("q").await, [(1, 1)]);
    assert_eq!(c.read_ids("q", 0, 1).await, [1]);
}

#[tokio::test]
async fn a_commit_says_what_became_of_everything() {
    let mut rig = Rig::new();
    let (mut a, mut b) = (rig.session(), rig.session());
    a.create("q").await;
    a.create("old").await;
    for n in ["1", "2", "3", "4", "5"] {
        a.send("q", n).await;
    }
    a.0.begin().await.unwrap();
    assert_eq!(a.read_ids("q", 3_600, 1).await, [1]);
    assert_eq!(a.read_ids("q", 0, 1).await, [2], "visible again to this transaction");
    assert_eq!(a.read_ids("q", -5, 1).await, [2]);
    assert!(a.archive("q", 2).await);
    assert_eq!(a.pop("q").await, [3]);
    let later = vec![text("q"), Value::Int(4), Value::Int(3_600)];
    assert_eq!(a.call(f::SET_VT_ID_SECONDS, later).await.len(), 1);
    a.send("q", "6").await;
    assert!(a.archive("q", 6).await);
    a.send_in("q", "7", 3_600).await;
    assert_eq!(a.read_ids("q", 0, 1).await, [5]);
    a.create("new").await;
    a.send("new", "1").await;
    a.call(f::DROP_QUEUE, vec![text("old")]).await;
    a.call(f::BIND_TOPIC, vec![text("#"), text("q")]).await;
    assert_eq!(a.call(f::LIST_TOPIC_BINDINGS, vec![]).await.len(), 1);
    assert_eq!(b.call(f::LIST_TOPIC_BINDINGS, vec![]).await.len(), 0);
    let inside = (a.table("q").await, a.archived("q").await, a.metrics("q").await);
    a.0.commit().await.unwrap();
    assert_eq!((b.table("q").await, b.archived("q").await, b.metrics("q").await), inside);
    assert_eq!(inside.0, [(1, 1), (4, 0), (5, 1), (7, 0)]);
    assert_eq!(inside.1, [(2, 2), (6, 0)]);
    assert_eq!(inside.2, (4, 7, 1));
    assert_eq!(b.queues().await, ["q", "new"]);
    assert_eq!(b.call(f::LIST_TOPIC_BINDINGS, vec![]).await.len(), 1);
    rig.restart();
    let mut c = rig.session();
    assert_eq!((c.table("q").await, c.archived("q").await, c.metrics("q").await), inside);
    assert_eq!(c.read_ids("new", 30, 9).await, [1]);
}

#[tokio::test]
async fn savepoints() {
    let rig = Rig::new();
    let (mut a, mut b) = (rig.session(), rig.session());
    a.create("q").await;
    for n in ["1", "2", "3"] {
        a.send("q", n).await;
    }
    a.0.begin().await.unwrap();
    assert_eq!(a.read_ids("q", 30, 1).await, [1]);
    a.0.savepoint("s").await.unwrap();
    assert_eq!(a.read_ids("q", 30, 1).await, [2]);
    a.send("q", "4").await;
    assert!(a.delete("q", 1).await);
    a.0.savepoint("t").await.unwrap();
    a.create("new").await;
    a.0.rollback_to("t").await.unwrap();
    assert_eq!(a.table("q").await, [(2, 1), (3, 0), (4, 0)]);
    a.0.rollback_to("s").await.unwrap();
    assert_eq!(a.table("q").await, [(1, 1), (2, 0), (3, 0)]);
    assert_eq!(b.read_ids("q", 30, 1).await, [2], "given back at once");
    assert_eq!(a.0.rollback_to("t").await.unwrap_err().code, "3B001");
    a.0.release("s").await.unwrap();
    assert_eq!(a.0.release("s").await.unwrap_err().code, "3B001");
    a.0.commit().await.unwrap();
    assert_eq!(b.table("q").await, [(1, 1), (2, 1), (3, 0)]);
}

#[tokio::test]
async fn two_that_want_the_same_message_take_turns() {
    let rig = Rig::new();
    let (mut a, mut b) = (rig.session(), rig.session());
    a.create("q").await;
    a.send("q", "1").await;
    a.0.begin().await.unwrap();
    assert!(a.delete("q", 1).await);
    let (deleted, ()) = tokio::join!(b.delete("q", 1), async {
        tokio::task::yield_now().await;
        a.0.rollback().await;
    });
    assert!(deleted, "the other one rolled back");
}

#[tokio::test]
async fn a_purge_and_what_follows() {
    let rig = Rig::new();
    let mut a = rig.session();
    a.create("q").await;
    for n in ["1", "2"] {
        a.send("q", n).await;
    }
    a.0.begin().await.unwrap();
    assert!(a.archive("q", 1).await);
    a.send("q", "3").await;
    assert_eq!(a.call(f::PURGE_QUEUE, vec![text("q")]).await, [[Value::Int(2)]]);
    assert_eq!(a.metrics("q").await, (0, 3, 0));
    a.send("q", "4").await;
    assert_eq!(a.table("q").await, [(4, 0)]);
    a.0.commit().await.unwrap();
    assert_eq!((a.table("q").await, a.archived("q").await), (vec![(4, 0)], vec![(1, 0)]));
}

#[tokio::test]
async fn a_queue_can_be_dropped_and_made_anew() {
    let rig = Rig::new();
    let (mut a, mut b) = (rig.session(), rig.session());
    a.create("q").await;
    a.send("q", "old").await;
    a.0.begin().await.unwrap();
    a.call(f::DROP_QUEUE, vec![text("q")]).await;
    assert!(a.fails(f::SEND, vec![text("q"), json("1")]).await.starts_with("42P01"));
    a.create("q").await;
    assert_eq!(a.send("q", "1").await, 1);
    assert_eq!(b.queues().await, ["q"], "the old one");
    a.0.commit().await.unwrap();
    assert_eq!(b.read("q", 30, 1).await[0][5], json("1"));
}

#[tokio::test]
async fn what_others_change_meanwhile_makes_the_commit_fail_as_a_whole() {
    let rig = Rig::new();
    let (mut a, mut b) = (rig.session(), rig.session());
    a.create("other").await;
    let queue = rig.sqs_queue("q", kyu_broker::QueueKind::Standard).await;
    a.0.begin().await.unwrap();
    a.send("other", "1").await;
    a.send("q", "1").await;
    // SQS knows no transactions that it could wait for.
    rig.broker.ask(kyu_broker::DeleteQueue { queue }).await.unwrap();
    assert_eq!(a.0.commit().await.unwrap_err().code, "40001");
    assert_eq!(b.table("other").await, []);
    // A read that only looked does not stand in anybody's way.
    a.0.begin().await.unwrap();
    a.send("other", "2").await;
    a.0.commit().await.unwrap();
    assert_eq!(b.table("other").await, [(2, 0)]);
}

#[tokio::test]
async fn workers_that_start_together_all_create_their_queue() {
    let rig = Rig::new();
    let start = |mut c: Client| async move {
        c.0.begin().await.unwrap();
        c.create("q").await;
        c.create("q2").await;
        c.send("q", "1").await;
        c.0.commit().await.unwrap();
    };
    let workers: Vec<_> = (0..4).map(|_| tokio::spawn(start(rig.session()))).collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let mut c = rig.session();
    assert_eq!(c.queues().await, ["q", "q2"]);
    assert_eq!(c.table("q").await, [(1, 0), (2, 0), (3, 0), (4, 0)]);
    // SQS may be faster than a transaction, and does not wait for it.
    c.0.begin().await.unwrap();
    c.create("q3").await;
    rig.sqs_queue("q3", kyu_broker::QueueKind::Standard).await;
    c.0.commit().await.unwrap();
}

#[tokio::test]
async fn a_transaction_is_bounded() {
    let rig = Rig::new();
    let mut a = rig.session();
    a.create("q").await;
    a.0.begin().await.unwrap();
    let big = format!("\"{}\"", "x".repeat(1 << 20));
    let mut sent = 0;
    let error = loop {
        match a.try_call(f::SEND, vec![text("q"), json(&big)]).await {
            Ok(_) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((error.code, sent), ("54000", 5), "text and content both count");
    a.0.rollback().await;
    a.0.begin().await.unwrap();
    for _ in 0..4 {
        a.send("q", &big).await;
    }
    a.0.commit().await.unwrap();
    assert_eq!(a.read_ids("q", 30, 9).await.len(), 4);
}

/// A pop runs in a transaction of its own, and must not be bound by what one may send.
#[tokio::test]
async fn a_transaction_may_pop_more_than_it_could_send() {
    let rig = Rig::new();
    let (mut a, mut b) = (rig.session(), rig.session());
    a.create("q").await;
    for _ in 0..20 {
        a.send("q", &format!("\"{}\"", "x".repeat(900_000))).await;
    }
    let all: Vec<i64> = (1..=20).collect();
    let pop = || vec![text("q"), Value::Int(50)];
    for commits in [false, true] {
        a.0.begin().await.unwrap();
        let rows = a.call(f::POP, pop()).await;
        assert_eq!(rows.iter().map(id).collect::<Vec<_>>(), all);
        let is_whole = |row: &Row| {
            row.iter().any(|value| matches!(value, Value::Json(text) if text.len() == 900_002))
        };
        assert!(rows.iter().all(is_whole));
        assert_eq!(a.table("q").await, []);
        assert_eq!(b.read_ids("q", 30, 50).await, NONE, "claimed");
        match commits {
            false => a.0.rollback().await,
            true => a.0.commit().await.unwrap(),
        }
        assert_eq!(b.table("q").await.len(), if commits { 0 } else { 20 });
    }
}
