//! Prepared statements, portals, cursors, settings, notifications, COPY.

use super::client::{bind, describe, execute, message, parse, sync};
use super::*;
use crate::wire::{Notification, Queues};

#[tokio::test]
async fn prepared_statements_have_names_and_ends() {
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    let said = client.exchange(&[parse("s", "SHOW jit"), describe("Ss"), sync()]).await;
    assert_eq!(said, ["parsed", "parameters ", "columns jit:25", "ready I"]);
    let again = client.exchange(&[parse("s", "SHOW jit"), sync()]).await;
    assert_eq!(again[0], "ERROR 42P05 prepared statement \"s\" already exists");
    let run = [bind("", "s"), describe("P"), execute("", 0), sync()];
    let expected = ["bound", "columns jit:25", "row off", "complete SELECT 1", "ready I"];
    assert_eq!(client.exchange(&run).await[..3], expected[..3]);
    let closed = client.exchange(&[message(b'C', b"Ss\0"), bind("", "s"), sync()]).await;
    let expected = ["closed", "ERROR 26000 prepared statement \"s\" does not exist", "ready I"];
    assert_eq!(closed, expected);
    // What does not exist may be closed.
    assert_eq!(client.exchange(&[message(b'C', b"Snone\0"), sync()]).await, ["closed", "ready I"]);
    let empty = [parse("", ""), bind("", ""), describe("P"), execute("", 0), sync()];
    let expected = ["parsed", "bound", "no data", "empty", "ready I"];
    assert_eq!(client.exchange(&empty).await, expected);
    let two = client.exchange(&[parse("", "SHOW jit; SHOW jit"), sync()]).await;
    assert_eq!(two[0], "ERROR 42601 cannot insert multiple commands into a prepared statement");
    let none = client.exchange(&[execute("nowhere", 0), sync()]).await;
    assert_eq!(none[0], "ERROR 34000 portal \"nowhere\" does not exist");
}

#[tokio::test]
async fn bind_is_checked_against_the_statement() {
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    let one = message(b'B', b"\0s\0\0\0\0\x01\0\0\0\x011\0\0");
    let said = client.exchange(&[parse("s", "SHOW jit"), one, sync()]).await;
    let expected =
        "ERROR 08P01 bind message supplies 1 parameters, but prepared statement \"s\" requires 0";
    assert_eq!(said[1], expected);
    let formats = message(b'B', b"\0s\0\0\0\0\0\0\x02\0\0\0\x01");
    let said = client.exchange(&[formats, sync()]).await;
    assert_eq!(said[0], "ERROR 08P01 bind message has 2 result formats but query has 1 columns");
}

#[tokio::test]
async fn rows_come_in_parts_when_asked_for() {
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    client.query("BEGIN").await;
    let opened = [parse("", "SELECT i FROM generate_series(1, 5) AS i"), bind("p", "")];
    let first = client.exchange(&[opened.concat(), execute("p", 2), sync()]).await;
    assert_eq!(first, ["parsed", "bound", "row 1", "row 2", "suspended", "ready T"]);
    let second = client.exchange(&[execute("p", 2), execute("p", 9), sync()]).await;
    let expected = ["row 3", "row 4", "suspended", "row 5", "complete SELECT 1", "ready T"];
    assert_eq!(second, expected);
    client.query("COMMIT").await;
    let gone = client.exchange(&[execute("p", 2), sync()]).await;
    assert_eq!(gone[0], "ERROR 34000 portal \"p\" does not exist");
}

#[tokio::test]
async fn columns_may_differ_in_their_format() {
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    let text = "SELECT 5::int2 AS a, 'x'::text AS b";
    let mixed = message(b'B', b"\0\0\0\0\0\0\0\x02\0\x01\0\0");
    let said =
        client.exchange(&[parse("", text), mixed, describe("P"), execute("", 0), sync()]).await;
    let expected = ["columns a:21:binary b:25", "row \0\u{5}|x", "complete SELECT 1", "ready I"];
    assert_eq!(said[2..], expected);
}

#[tokio::test]
async fn a_single_call_needs_no_transaction_and_more_have_one() {
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    let said = client.query("SELECT pgmq.send('q', '{}'); SELECT pgmq.send('q', '{}')").await;
    assert_eq!(said.last().unwrap(), "ready I");
    assert_eq!(rig.calls(), ["begin", "send", "send", "commit"]);
    let failed = client.query("SELECT pgmq.send('q', '{}'); SELECT pgmq.drop_queue('x')").await;
    assert!(failed.contains(&"ERROR 42P01 relation \"pgmq.q_x\" does not exist".to_owned()));
    assert_eq!(rig.calls(), ["begin", "send", "drop_queue", "rollback"]);
    client.query("SELECT pgmq.send('q', '{}')").await;
    let calls = rig.calls();
    assert!(calls == ["send"] || calls == ["begin", "send", "commit"], "{calls:?}");
}

#[tokio::test]
async fn cursors() {
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    let declare = "DECLARE c CURSOR FOR SELECT i FROM generate_series(1, 3) AS i";
    let outside = client.query(declare).await;
    let expected = "ERROR 25P01 DECLARE CURSOR can only be used in transaction blocks";
    assert_eq!(outside[0], expected);
    client.query("BEGIN").await;
    assert_eq!(client.query(declare).await[0], "complete DECLARE CURSOR");
    let first = client.query("FETCH 2 FROM c").await;
    assert_eq!(first, ["columns i:23", "row 1", "row 2", "complete FETCH 2", "ready T"]);
    assert_eq!(client.query("MOVE 1 FROM c").await[0], "complete MOVE 1");
    assert_eq!(client.query("FETCH ALL FROM c").await[1], "complete FETCH 0");
    assert_eq!(client.query("CLOSE c").await[0], "complete CLOSE CURSOR");
    let gone = client.query("FETCH c").await;
    assert_eq!(gone, ["ERROR 34000 cursor \"c\" does not exist", "ready E"]);
}

#[tokio::test]
async fn changed_settings_are_reported_before_the_next_ready() {
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    let said = client.query("SET TIME ZONE '+02:00'").await;
    assert_eq!(said, ["complete SET", "status TimeZone=+02:00", "ready I"]);
    let said = client.query("SET application_name = 'a'; SHOW application_name").await;
    let expected = [
        "complete SET",
        "columns application_name:25",
        "row a",
        "complete SHOW",
        "status application_name=a",
        "ready I",
    ];
    assert_eq!(said, expected);
    let said = client.query("RESET ALL").await;
    assert_eq!(said[1..3], ["status application_name=", "status TimeZone=UTC"]);
    let warned = client.query("SET LOCAL application_name = 'x'").await;
    let expected = "WARNING 25P01 SET LOCAL can only be used in transaction blocks";
    assert_eq!(warned, [expected, "complete SET", "ready I"]);
    client.query("SET client_min_messages = error").await;
    assert_eq!(client.query("COMMIT").await, ["complete COMMIT", "ready I"]);
}

#[tokio::test]
async fn notifications_reach_an_idle_session_and_wait_for_the_end_of_a_block() {
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    client.query("LISTEN \"pgmq.q_x.INSERT\"").await;
    assert_eq!(rig.calls(), ["listen pgmq.q_x.INSERT"]);
    let say = |payload: &str| {
        let (channel, payload) = ("c".to_owned(), payload.to_owned());
        rig.fake.notify(Notification { process: 1, channel, payload });
    };
    say("idle");
    assert_eq!(client.hear().await.unwrap(), "notification c idle");
    client.query("BEGIN").await;
    say("busy");
    assert_eq!(client.query("SHOW jit").await[2..], ["complete SHOW", "ready T"]);
    assert_eq!(client.query("COMMIT").await, ["complete COMMIT", "notification c busy", "ready I"]);
    let own = client.query("NOTIFY c, 'self'").await;
    assert_eq!(own, ["complete NOTIFY", "notification c self", "ready I"]);
    assert_eq!(client.query("DISCARD ALL").await.last().unwrap(), "ready I");
    assert!(rig.calls().contains(&"unlisten *".to_owned()));
}

#[tokio::test]
async fn what_a_block_notifies_is_heard_at_its_commit_once_and_only_what_stands() {
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    client.query("BEGIN").await;
    client.query("NOTIFY c, 'kept'").await;
    client.query("SAVEPOINT s").await;
    client.query("NOTIFY c, 'taken back'").await;
    client.query("ROLLBACK TO s").await;
    client.query("SELECT pg_notify('c', 'kept'), pg_notify('d', NULL)").await;
    let told = client.query("COMMIT").await;
    assert_eq!(told, ["complete COMMIT", "notification c kept", "notification d ", "ready I"]);
    client.query("BEGIN").await;
    client.query("NOTIFY c").await;
    assert_eq!(client.query("ROLLBACK").await, ["complete ROLLBACK", "ready I"]);
    assert!(client.query("SELECT pg_notify('', 'x')").await[0].starts_with("ERROR 22023"));
}

#[tokio::test]
async fn transactions_take_the_sessions_default_modes() {
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    client.query("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE").await;
    let shown = client.query("SHOW TRANSACTION ISOLATION LEVEL").await;
    assert_eq!(shown[1], "row serializable");
    client.query("BEGIN ISOLATION LEVEL READ COMMITTED").await;
    assert_eq!(client.query("SHOW transaction_isolation").await[1], "row read committed");
    client.query("COMMIT").await;
    assert_eq!(client.query("SHOW transaction_isolation").await[1], "row serializable");
    assert_eq!(client.query("SET SESSION AUTHORIZATION DEFAULT").await[0], "complete SET");
    client.query("SET search_path TO pgmq, public").await;
    assert_eq!(client.query("SELECT current_schema()").await[1], "row pgmq");
}

#[tokio::test]
async fn copy_gives_rows_as_lines() {
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    let copy = "COPY (SELECT i, NULL::text AS n FROM generate_series(1, 2) AS i) TO STDOUT";
    let said = client.query(copy).await;
    let expected =
        ["copy out", "data 1\t\\N", "data 2\t\\N", "copy done", "complete COPY 2", "ready I"];
    assert_eq!(said, expected);
    let said = client.query(&format!("{copy} WITH (FORMAT csv, HEADER)")).await;
    assert_eq!(said[1..4], ["data i,n", "data 1,", "data 2,"]);
}

#[tokio::test]
async fn prepare_and_execute_in_sql() {
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    let prepared = client.query("PREPARE p (int) AS SELECT $1 + 1 AS next").await;
    assert_eq!(prepared[0], "complete PREPARE");
    let said = client.query("EXECUTE p(41)").await;
    assert_eq!(said, ["columns next:23", "row 42", "complete SELECT 1", "ready I"]);
    assert!(client.query("EXECUTE p(1, 2)").await[0].starts_with("ERROR 42601"));
    assert_eq!(client.query("DEALLOCATE p").await[0], "complete DEALLOCATE");
    assert!(client.query("EXECUTE p(1)").await[0].starts_with("ERROR 26000"));
}
