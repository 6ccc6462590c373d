//! Hostile input: the right words, bounded memory, closed where Postgres closes.

use std::time::Duration;

use super::super::Limits;
use super::client::{message, parse, sync};
use super::*;

#[tokio::test]
async fn impossible_lengths_and_unknown_messages_end_the_session() {
    let rig = Rig::open().await;
    for length in [-1_i32, 0, 3, i32::MAX, i32::MIN] {
        let mut client = rig.client().await;
        let mut bytes = vec![b'Q'];
        bytes.extend(length.to_be_bytes());
        client.send(&bytes).await;
        assert_eq!(client.until_closed().await, ["FATAL 08P01 invalid message length"], "{length}");
    }
    let mut client = rig.client().await;
    client.send(&[0xee]).await;
    assert_eq!(client.until_closed().await, ["FATAL 08P01 invalid frontend message type 238"]);
}

#[tokio::test]
async fn malformed_messages_are_errors_and_the_session_goes_on() {
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    let said = client.exchange(&[message(b'Q', b"SELECT '\xff'\0")]).await;
    assert_eq!(said, ["ERROR 22021 invalid byte sequence for encoding \"UTF8\": 0xff", "ready I"]);
    let said = client.exchange(&[message(b'B', b"no zero"), parse("", "SHOW jit"), sync()]).await;
    assert_eq!(said, ["ERROR 08P01 invalid string in message", "ready I"]);
    let said = client.exchange(&[message(b'F', b"\0\0\0\x01")]).await;
    assert!(said[0].starts_with("ERROR 0A000"), "{said:?}");
    // CopyData and its like outside a copy are passed over.
    assert_eq!(
        client.exchange(&[message(b'd', b"x"), message(b'c', b""), sync()]).await,
        ["ready I"]
    );
}

#[tokio::test]
async fn a_message_that_stops_half_way_ends_the_session() {
    let limits = Limits { message_timeout: Duration::from_millis(50), ..Limits::default() };
    let rig = Rig::with(DoorOptions { limits, ..DoorOptions::default() }).await;
    let mut client = rig.client().await;
    client.send(b"Q\0\0\0\x20SELECT").await;
    assert_eq!(client.until_closed().await, [""; 0]);
}

#[tokio::test]
async fn large_messages_share_a_budget() {
    let limits = Limits {
        max_message_bytes: 1 << 20,
        large_message_budget_bytes: 1 << 20,
        ..Limits::default()
    };
    let rig = Rig::with(DoorOptions { limits, ..DoorOptions::default() }).await;
    // Two claim a megabyte and send little; the third must wait, and is served when one goes.
    let mut greedy = rig.client().await;
    let mut head = vec![b'Q'];
    head.extend((1_u32 << 20).to_be_bytes());
    greedy.send(&head).await;
    let mut patient = rig.client().await;
    let text = format!("SHOW jit -- {}", "x".repeat(200_000));
    patient.send(&message(b'Q', format!("{text}\0").as_bytes())).await;
    drop(greedy);
    assert_eq!(patient.until_ready().await.last().unwrap(), "ready I");
    let mut beyond = rig.client().await;
    let mut head = vec![b'Q'];
    head.extend((2_u32 << 20).to_be_bytes());
    beyond.send(&head).await;
    assert_eq!(beyond.until_closed().await, ["FATAL 08P01 invalid message length"]);
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_left() {
    let limits = Limits { write_stall_timeout: Duration::from_millis(100), ..Limits::default() };
    let rig = Rig::with(DoorOptions { limits, ..DoorOptions::default() }).await;
    let mut client = rig.client().await;
    let show = message(b'Q', b"SHOW ALL\0");
    // Until neither side's socket takes more: then the server gives up.
    let all = show.repeat(20_000);
    let _broken = tokio::io::AsyncWriteExt::write_all(&mut client.stream, &all).await;
    while !rig.log.lock().unwrap().contains(&"dropped".to_owned()) {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_statement_may_take_so_long_and_a_session_be_idle_so_long() {
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    client.query("SET statement_timeout = 20").await;
    let said = client.query("SELECT * FROM pgmq.read_with_poll('q', 30, 1)").await;
    let expected = "ERROR 57014 canceling statement due to statement timeout";
    assert_eq!(said, [expected, "ready I"]);
    client.query("SET idle_in_transaction_session_timeout = 20").await;
    client.query("BEGIN").await;
    let expected = "FATAL 25P03 terminating connection due to idle-in-transaction timeout";
    assert_eq!(client.until_closed().await, [expected]);
    let mut client = rig.client().await;
    client.query("SET idle_session_timeout = 20").await;
    let expected = "FATAL 57P05 terminating connection due to idle-session timeout";
    assert_eq!(client.until_closed().await, [expected]);
}

#[tokio::test]
async fn prepared_statements_have_a_bound() {
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    let many: Vec<u8> = (0..=super::super::limits::MAX_STATEMENTS)
        .flat_map(|n| parse(&format!("s{n}"), ""))
        .collect();
    let said = client.exchange(&[many, sync()]).await;
    assert!(said[said.len() - 2].starts_with("ERROR 54000"), "{:?}", said.last());
}
