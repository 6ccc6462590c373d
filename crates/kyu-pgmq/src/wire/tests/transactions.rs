//! The state machine of transactions, as psql shows it in its prompt.

use super::client::{bind, execute, parse, sync};
use super::*;

#[tokio::test]
async fn begin_commit_and_their_warnings() {
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    assert_eq!(client.query("BEGIN").await, ["complete BEGIN", "ready T"]);
    let twice =
        ["WARNING 25001 there is already a transaction in progress", "complete BEGIN", "ready T"];
    assert_eq!(client.query("BEGIN").await, twice);
    assert_eq!(client.query("COMMIT").await, ["complete COMMIT", "ready I"]);
    let none = "WARNING 25P01 there is no transaction in progress";
    assert_eq!(client.query("COMMIT").await, [none, "complete COMMIT", "ready I"]);
    assert_eq!(client.query("ROLLBACK").await, [none, "complete ROLLBACK", "ready I"]);
    assert_eq!(rig.calls(), ["begin", "commit"]);
}

#[tokio::test]
async fn after_an_error_nothing_runs_until_the_block_ends() {
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    client.query("BEGIN").await;
    let failed = client.query("SHOW no_such_setting").await;
    assert!(failed[0].starts_with("ERROR 42704"), "{failed:?}");
    assert_eq!(failed[1], "ready E");
    // Given back at once, not when the client gets to it.
    assert_eq!(rig.calls(), ["begin", "rollback"]);
    let aborted = "ERROR 25P02 current transaction is aborted, commands ignored until end of transaction block";
    assert_eq!(client.query("SHOW jit").await, [aborted, "ready E"]);
    assert_eq!(client.query("BEGIN").await, [aborted, "ready E"]);
    let parsed = client.exchange(&[parse("", "SHOW jit"), sync()]).await;
    assert_eq!(parsed, [aborted, "ready E"]);
    assert_eq!(client.query("COMMIT").await, ["complete ROLLBACK", "ready I"]);
    assert_eq!(rig.calls(), [""; 0]);
}

#[tokio::test]
async fn a_savepoint_saves_a_failed_block() {
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    let outside = client.query("SAVEPOINT s").await;
    let expected = "ERROR 25P01 SAVEPOINT can only be used in transaction blocks";
    assert_eq!(outside, [expected, "ready I"]);
    client.query("BEGIN").await;
    assert_eq!(client.query("SAVEPOINT s").await, ["complete SAVEPOINT", "ready T"]);
    assert_eq!(client.query("SHOW nonsense").await[1], "ready E");
    assert_eq!(client.query("ROLLBACK TO s").await, ["complete ROLLBACK", "ready T"]);
    assert_eq!(client.query("RELEASE s").await, ["complete RELEASE", "ready T"]);
    let gone = "ERROR 3B001 savepoint \"s\" does not exist";
    assert_eq!(client.query("RELEASE s").await, [gone, "ready E"]);
    client.query("ROLLBACK").await;
    // The first time at once, so that nobody waits for what can only go back.
    let expected =
        ["begin", "savepoint s", "rollback to s", "rollback to s", "release s", "rollback"];
    assert_eq!(rig.calls(), expected);
}

#[tokio::test]
async fn the_statements_of_one_text_are_one_transaction() {
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    let said = client.query("SET my.a = '1'; SHOW my.a").await;
    assert_eq!(said, ["complete SET", "columns my.a:25", "row 1", "complete SHOW", "ready I"]);
    assert_eq!(rig.calls(), ["begin", "commit"]);
    let said = client.query("SET my.a = '2'; SHOW nonsense; SET my.a = '3'").await;
    assert_eq!(said.last().unwrap(), "ready I");
    assert_eq!(said.len(), 3, "{said:?}");
    assert_eq!(rig.calls(), ["begin", "rollback"]);
    assert_eq!(client.query("SHOW my.a").await[1], "row 1");
    // BEGIN turns it into a block, which stays open.
    let said = client.query("SET my.a = '4'; BEGIN; SET my.a = '5'").await;
    assert_eq!(said.last().unwrap(), "ready T");
    client.query("ROLLBACK").await;
    assert_eq!(client.query("SHOW my.a").await[1], "row 1");
}

#[tokio::test]
async fn a_pipeline_is_one_transaction_until_its_sync() {
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    let set = |value: &str| {
        [parse("", &format!("SET my.p = '{value}'")), bind("", ""), execute("", 0)].concat()
    };
    let said = client.exchange(&[set("1"), set("2"), sync()]).await;
    let once = ["parsed", "bound", "complete SET"];
    assert_eq!(said, [&once[..], &once[..], &["ready I"]].concat());
    assert_eq!(rig.calls(), ["begin", "commit"]);
    let said = client.exchange(&[set("3"), parse("", "SELEC"), set("4"), sync()]).await;
    assert!(said[3].starts_with("ERROR 42601"), "{said:?}");
    assert_eq!(said[4..], ["ready I"]);
    assert_eq!(rig.calls(), ["begin", "rollback"]);
    assert_eq!(client.query("SHOW my.p").await[1], "row 2");
}

#[tokio::test]
async fn a_client_that_goes_away_is_rolled_back() {
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    client.query("BEGIN").await;
    drop(client);
    while !rig.log.lock().unwrap().contains(&"dropped".to_owned()) {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert_eq!(rig.calls(), ["begin", "rollback", "dropped"]);
}

#[tokio::test]
async fn a_half_closed_connection_ends_its_long_poll() {
    use tokio::io::AsyncWriteExt;
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    client.query("BEGIN").await;
    let poll = b"SELECT * FROM pgmq.read_with_poll('q', 30, 1)\0";
    client.send(&client::message(b'Q', poll)).await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.until_closed().await, [""; 0]);
    assert_eq!(rig.calls(), ["begin", "read_with_poll", "rollback", "dropped"]);
}

#[tokio::test]
async fn a_notification_waits_for_its_commit_and_goes_with_its_savepoint() {
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    for (statement, answer) in [
        ("BEGIN", "complete BEGIN"),
        ("NOTIFY c, '1'", "complete NOTIFY"),
        ("NOTIFY c, '1'", "complete NOTIFY"),
        ("SAVEPOINT s", "complete SAVEPOINT"),
        ("NOTIFY c, '2'", "complete NOTIFY"),
        ("ROLLBACK TO s", "complete ROLLBACK"),
        ("NOTIFY c, '3'", "complete NOTIFY"),
    ] {
        assert_eq!(client.query(statement).await, [answer, "ready T"], "{statement}");
    }
    let told = ["complete COMMIT", "notification c 1", "notification c 3", "ready I"];
    assert_eq!(client.query("COMMIT").await, told);
    client.query("BEGIN; NOTIFY c, '4'").await;
    assert_eq!(client.query("ROLLBACK").await, ["complete ROLLBACK", "ready I"]);
    let told = ["complete NOTIFY", "notification c 5", "ready I"];
    assert_eq!(client.query("NOTIFY c, '5'").await, told);
}

#[tokio::test]
async fn a_read_only_transaction_changes_nothing() {
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    client.query("BEGIN READ ONLY").await;
    assert_eq!(client.query("SELECT pgmq.acquire_queue_lock('q')").await[2], "complete SELECT 1");
    let refused = "ERROR 25006 cannot execute INSERT in a read-only transaction";
    assert_eq!(client.query("SELECT pgmq.send('q', '1')").await, [refused, "ready E"]);
    client.query("ROLLBACK").await;
    client.query("SET default_transaction_read_only = on").await;
    let refused = "ERROR 25006 cannot execute UPDATE in a read-only transaction";
    let read = client.query("SELECT * FROM pgmq.read('q', 1, 1)").await;
    assert_eq!(read, [refused, "ready I"]);
}

#[tokio::test]
async fn a_savepoint_brings_settings_back() {
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    client.query("BEGIN; SET application_name = 'a'; SAVEPOINT s; SET LOCAL jit = on").await;
    client.query("SET application_name = 'b'").await;
    let back = client.query("ROLLBACK TO s").await;
    assert_eq!(back, ["complete ROLLBACK", "status application_name=a", "ready T"]);
    assert_eq!(client.query("SHOW jit").await[1], "row off");
    client.query("COMMIT").await;
    assert_eq!(client.query("SHOW application_name").await[1], "row a");
}
