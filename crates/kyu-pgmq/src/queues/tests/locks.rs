//! Waiting for other transactions, as Postgres waits.

use tokio::task::JoinHandle;

use super::*;

/// A call in a task of its own; the client comes back with the answer.
type Waiting = JoinHandle<(Client, Result<Vec<Row>, PgError>)>;

impl Rig {
    /// Starts a call, and returns when it waits.
    async fn waits(&self, mut c: Client, overload: OverloadId, arguments: Vec<Value>) -> Waiting {
        let locks = &self.pgmq.shared.locks;
        let before = locks.waiting();
        let waiting = tokio::spawn(async move {
            let result = c.try_call(overload, arguments).await;
            (c, result)
        });
        while locks.waiting() == before {
            assert!(!waiting.is_finished(), "it does not wait");
            tokio::task::yield_now().await;
        }
        waiting
    }

    /// A queue with messages "1", "2", ...
    async fn with_messages(count: usize) -> (Rig, Client, Client) {
        let rig = Rig::new();
        let mut a = rig.session();
        a.create("q").await;
        for n in 1..=count {
            a.send("q", &n.to_string()).await;
        }
        let b = rig.session();
        (rig, a, b)
    }
}

fn one(n: i64) -> Vec<Value> {
    vec![text("q"), Value::Int(n)]
}

fn several(all: &[i64]) -> Vec<Value> {
    vec![text("q"), ids(all)]
}

async fn ended(waiting: Waiting) -> (Client, Vec<Row>) {
    let (client, result) = waiting.await.unwrap();
    (client, result.unwrap())
}

const GONE: [[Value; 1]; 1] = [[Value::Bool(false)]];
const DONE: [[Value; 1]; 1] = [[Value::Bool(true)]];

#[tokio::test]
async fn whoever_wants_a_claimed_message_waits_for_the_end_and_looks_again() {
    for commits in [true, false] {
        let (rig, mut a, b) = Rig::with_messages(1).await;
        a.0.begin().await.unwrap();
        assert!(a.delete("q", 1).await);
        let deletes = rig.waits(b, f::DELETE_ID, one(1)).await;
        let shows = vec![text("q"), Value::Int(1), Value::Int(60)];
        let shows = rig.waits(rig.session(), f::SET_VT_ID_SECONDS, shows).await;
        match commits {
            true => a.0.commit().await.unwrap(),
            false => a.0.rollback().await,
        }
        let (_, deleted) = ended(deletes).await;
        let (_, shown) = ended(shows).await;
        let expected: &[[Value; 1]] = if commits { &GONE } else { &DONE };
        assert_eq!(deleted, expected, "by the other, if it committed");
        assert_eq!(shown.len(), 0, "deleted by the one or the other");
        assert_eq!(a.table("q").await, []);
    }
}

#[tokio::test]
async fn what_the_other_changed_is_changed_again() {
    let (rig, mut a, b) = Rig::with_messages(1).await;
    a.0.begin().await.unwrap();
    assert_eq!(a.read_ids("q", 3_600, 1).await, [1]);
    let archives = rig.waits(b, f::ARCHIVE_ID, one(1)).await;
    a.0.commit().await.unwrap();
    assert_eq!(ended(archives).await.1, DONE);
    assert_eq!(a.archived("q").await, [(1, 1)], "with the read of the other");
}

#[tokio::test]
async fn a_statement_that_waits_has_done_nothing_yet_and_does_all_afterwards() {
    let (rig, mut a, b) = Rig::with_messages(3).await;
    a.0.begin().await.unwrap();
    assert!(a.delete("q", 2).await);
    let waiting = rig.waits(b, f::DELETE_IDS, several(&[1, 2, 3])).await;
    let mut c = rig.session();
    assert_eq!(c.table("q").await, [(1, 0), (2, 0), (3, 0)]);
    assert_eq!(c.read_ids("q", 0, 9).await, [3], "it has locked the first, not what is behind");
    // The statement is cancelled, or its connection dies.
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    assert_eq!(c.read_ids("q", 0, 9).await, [1, 3], "nothing is left of it");
    let waiting = rig.waits(rig.session(), f::DELETE_IDS, several(&[1, 2, 3])).await;
    a.0.rollback().await;
    assert_eq!(ended(waiting).await.1, [[Value::Int(1)], [Value::Int(2)], [Value::Int(3)]]);
}

#[tokio::test]
async fn those_who_wait_for_one_message_come_in_their_order() {
    let (rig, mut a, b) = Rig::with_messages(1).await;
    let mut c = rig.session();
    a.0.begin().await.unwrap();
    assert!(a.delete("q", 1).await);
    let mut b = Client(b.0);
    b.0.begin().await.unwrap();
    c.0.begin().await.unwrap();
    let second = rig.waits(b, f::DELETE_ID, one(1)).await;
    let third = rig.waits(c, f::ARCHIVE_ID, one(1)).await;
    a.0.rollback().await;
    let (mut b, deleted) = ended(second).await;
    assert_eq!(deleted, DONE);
    assert!(!third.is_finished(), "it waits for the second now");
    b.0.commit().await.unwrap();
    assert_eq!(ended(third).await.1, GONE);
}

#[tokio::test]
async fn a_session_that_dies_and_a_savepoint_that_goes_back_let_others_go_on() {
    let (rig, mut a, b) = Rig::with_messages(2).await;
    a.0.begin().await.unwrap();
    assert!(a.delete("q", 1).await);
    a.0.savepoint("s").await.unwrap();
    assert!(a.delete("q", 2).await);
    let second = rig.waits(b, f::DELETE_ID, one(2)).await;
    a.0.rollback_to("s").await.unwrap();
    let (b, deleted) = ended(second).await;
    assert_eq!(deleted, DONE);
    let first = rig.waits(b, f::DELETE_ID, one(1)).await;
    drop(a);
    assert_eq!(ended(first).await.1, DONE);
}

#[tokio::test]
async fn what_a_cancelled_statement_had_locked_is_the_transaction_s_to_lock_again() {
    let (rig, mut a, mut b) = Rig::with_messages(2).await;
    a.0.begin().await.unwrap();
    assert!(a.delete("q", 2).await);
    b.0.begin().await.unwrap();
    b.0.savepoint("s").await.unwrap();
    tokio::select! {
        biased;
        _ = b.try_call(f::DELETE_IDS, several(&[1, 2])) => panic!("the second is not free"),
        () = async { while rig.pgmq.shared.locks.waiting() == 0 { tokio::task::yield_now().await } } => {}
    }
    b.0.rollback_to("s").await.unwrap();
    // It once waited for itself here.
    assert!(b.delete("q", 1).await);
    b.0.commit().await.unwrap();
    a.0.rollback().await;
    assert_eq!(a.table("q").await, [(2, 0)]);
}

#[tokio::test]
async fn two_that_wait_for_each_other_are_told_apart() {
    let (rig, mut a, mut b) = Rig::with_messages(2).await;
    a.0.begin().await.unwrap();
    b.0.begin().await.unwrap();
    b.0.patience.deadlock_timeout_ms = 1;
    assert!(a.delete("q", 1).await);
    assert!(b.delete("q", 2).await);
    let waits = rig.waits(a, f::DELETE_ID, one(2)).await;
    let error = b.try_call(f::DELETE_ID, one(1)).await.unwrap_err();
    assert_eq!((error.code, error.message.as_str()), ("40P01", "deadlock detected"));
    let detail = error.detail.unwrap();
    assert!(detail.starts_with("Process 7 waits for ShareLock on transaction "), "{detail}");
    assert_eq!(detail.lines().count(), 2, "{detail}");
    b.0.rollback().await;
    let (mut a, deleted) = ended(waits).await;
    assert_eq!(deleted, DONE);
    a.0.commit().await.unwrap();
    assert_eq!(b.table("q").await, []);
}

#[tokio::test]
async fn a_lock_timeout_ends_the_wait_for_a_message() {
    let (_rig, mut a, mut b) = Rig::with_messages(1).await;
    a.0.begin().await.unwrap();
    assert!(a.delete("q", 1).await);
    b.0.patience.lock_timeout_ms = 1;
    let error = b.fails(f::DELETE_ID, one(1)).await;
    assert_eq!(error, "55P03: canceling statement due to lock timeout");
    a.0.commit().await.unwrap();
    assert!(!b.delete("q", 1).await);
}

#[tokio::test]
async fn a_purge_and_a_drop_wait_for_those_who_use_the_queue() {
    let (rig, mut a, b) = Rig::with_messages(2).await;
    a.0.begin().await.unwrap();
    assert!(a.archive("q", 1).await);
    let purges = rig.waits(b, f::PURGE_QUEUE, vec![text("q")]).await;
    // Who comes now comes after the purge.
    let sends = rig.waits(rig.session(), f::SEND, vec![text("q"), json("3")]).await;
    a.0.commit().await.unwrap();
    let (b, purged) = ended(purges).await;
    assert_eq!(purged, [[Value::Int(1)]]);
    assert_eq!(ended(sends).await.1, [[Value::Int(3)]]);
    assert_eq!(a.archived("q").await, [(1, 0)], "what was archived has not been lost");
    a.0.begin().await.unwrap();
    a.send("q", "4").await;
    let drops = rig.waits(b, f::DROP_QUEUE, vec![text("q")]).await;
    let reads = vec![text("q"), Value::Int(0), Value::Int(1), json("{}")];
    let reads = rig.waits(rig.session(), f::READ, reads).await;
    a.0.commit().await.unwrap();
    assert_eq!(ended(drops).await.1, DONE);
    let (_, read) = reads.await.unwrap();
    assert_eq!(read.unwrap_err().code, "42P01");
    assert!(!rig.pgmq.shared.locks.may_wait());
}

#[tokio::test]
async fn a_queue_that_is_purged_or_dropped_in_a_transaction_waits_for_its_end() {
    let (rig, mut a, b) = Rig::with_messages(1).await;
    a.0.begin().await.unwrap();
    a.call(f::PURGE_QUEUE, vec![text("q")]).await;
    let sends = rig.waits(b, f::SEND, vec![text("q"), json("2")]).await;
    a.0.commit().await.unwrap();
    let (b, _) = ended(sends).await;
    assert_eq!(a.table("q").await, [(2, 0)]);
    a.0.begin().await.unwrap();
    a.call(f::DROP_QUEUE, vec![text("q")]).await;
    let reads = rig.waits(b, f::POP, one(1)).await;
    a.0.rollback().await;
    assert_eq!(ended(reads).await.1.len(), 1);
}

#[tokio::test]
async fn two_that_create_one_queue_or_change_its_settings_take_turns() {
    let rig = Rig::new();
    let (mut a, mut b) = (rig.session(), rig.session());
    a.0.begin().await.unwrap();
    b.0.begin().await.unwrap();
    a.create("q").await;
    let creates = rig.waits(b, f::CREATE, vec![text("q")]).await;
    a.send("q", "1").await;
    a.0.commit().await.unwrap();
    let (mut b, _) = ended(creates).await;
    assert!(!b.0.take_notices().is_empty(), "it is there already");
    b.send("q", "2").await;
    b.0.commit().await.unwrap();
    assert_eq!(a.table("q").await, [(1, 0), (2, 0)]);
    a.0.begin().await.unwrap();
    b.0.begin().await.unwrap();
    b.send("q", "3").await;
    a.call(f::BIND_TOPIC, vec![text("a.*"), text("q")]).await;
    let binds = rig.waits(b, f::BIND_TOPIC, vec![text("b.*"), text("q")]).await;
    a.0.commit().await.unwrap();
    let (mut b, _) = ended(binds).await;
    b.0.commit().await.unwrap();
    assert_eq!(a.call(f::LIST_TOPIC_BINDINGS, vec![]).await.len(), 2);
}
