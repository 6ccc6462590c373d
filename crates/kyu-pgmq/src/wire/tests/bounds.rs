//! Hostile input: the right words, bounded memory, closed where Postgres closes.

use std::time::Duration;

use kyu_budget::{Budget, Level};

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

/// The story: 64 connections that announced a megabyte each, and sent five bytes, kept everybody's
/// larger messages waiting for half a minute.
#[tokio::test]
async fn large_messages_pay_for_what_has_arrived_and_not_for_what_is_announced() {
    let limits = Limits {
        max_message_bytes: 1 << 20,
        large_message_budget_bytes: 1 << 20,
        large_message_patience: Duration::from_secs(5),
        ..Limits::default()
    };
    let rig = Rig::with(DoorOptions { limits, ..DoorOptions::default() }).await;
    let mut head = vec![b'Q'];
    head.extend((1_u32 << 20).to_be_bytes());
    let mut greedy = Vec::new();
    for _ in 0..8 {
        let mut client = rig.client().await;
        client.send(&head).await;
        greedy.push(client);
    }
    let text = format!("SHOW jit -- {}\0", "x".repeat(200_000));
    let mut patient = rig.client().await;
    patient.send(&message(b'Q', text.as_bytes())).await;
    assert_eq!(patient.until_ready().await.last().unwrap(), "ready I");
    // One that has sent nearly all of it, and then nothing, is left: the other gets its memory.
    let mut silent = rig.client().await;
    silent.send(&head).await;
    silent.send(&vec![b' '; 1_000_000]).await;
    patient.send(&message(b'Q', text.as_bytes())).await;
    assert_eq!(patient.until_ready().await.last().unwrap(), "ready I");
    assert_eq!(silent.until_closed().await, [""; 0]);
    let mut beyond = rig.client().await;
    let mut head = vec![b'Q'];
    head.extend((2_u32 << 20).to_be_bytes());
    beyond.send(&head).await;
    assert_eq!(beyond.until_closed().await, ["FATAL 08P01 invalid message length"]);
}

/// The story: with the bounds that a server has, four connections that announced 64 MB each took
/// all memory for large messages, before a byte of them was there.
#[tokio::test]
async fn announced_messages_keep_no_memory_from_others() {
    let rig = Rig::open().await;
    let mut head = vec![b'Q'];
    head.extend((64_u32 << 20).to_be_bytes());
    let mut greedy = Vec::new();
    // The second half have sent something, of which each pays for the beginning.
    for begun_bytes in [0, 100_000] {
        for _ in 0..32 {
            let mut client = rig.client().await;
            client.send(&[head.clone(), vec![b' '; begun_bytes]].concat()).await;
            greedy.push(client);
        }
    }
    while rig.memory.messages().used_bytes() < 32 << 20 {
        tokio::task::yield_now().await;
    }
    let text = format!("SHOW jit -- {}\0", "x".repeat(16 << 20));
    let mut patient = rig.client().await;
    patient.send(&message(b'Q', text.as_bytes())).await;
    assert_eq!(patient.until_ready().await.last().unwrap(), "ready I");
    let messages = rig.memory.messages();
    assert_eq!((messages.used_bytes(), messages.refusals()), (32 << 20, 0));
    drop(greedy);
    while rig.memory.sessions().used_bytes() > 0 {
        tokio::task::yield_now().await;
    }
}

/// Statements pay from the budget that all doors have together.
#[tokio::test]
async fn what_other_doors_hold_is_not_there_for_statements() {
    let rig = Rig::within(&Budget::process(4 << 20), DoorOptions::default()).await;
    let large = "SELECT length(string_agg(repeat('x', 1000), '')) FROM generate_series(1, 600)";
    let mut client = rig.client().await;
    assert_eq!(client.query(large).await.last().unwrap(), "ready I");
    let mut other_door = rig.process.within(Level::Door, 4 << 20).share();
    other_door.grow((4 << 20) - (64 << 10)).unwrap();
    assert_eq!(client.query(large).await[0], "ERROR 53200 out of memory");
    drop(other_door);
    assert_eq!(client.query(large).await.last().unwrap(), "ready I");
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

/// The story: a result that nobody read kept its memory from others for a minute.
#[tokio::test]
async fn a_result_that_nobody_reads_is_given_up_when_others_need_its_memory() {
    let limits = Limits { memory_bytes: 64 << 20, ..Limits::default() };
    let rig = Rig::with(DoorOptions { limits, ..DoorOptions::default() }).await;
    let large = "SELECT repeat('x', 1000000) FROM generate_series(1, 40)";
    let mut lazy = rig.client().await;
    lazy.send(&message(b'Q', format!("{large}\0").as_bytes())).await;
    while rig.memory.sessions().used_bytes() < 39_000_000 {
        tokio::task::yield_now().await;
    }
    let asked = std::time::Instant::now();
    let mut other = rig.client().await;
    while other.query(large).await[0] == "ERROR 53200 out of memory" {}
    assert!(asked.elapsed() < Limits::default().write_stall_timeout);
    drop(lazy);
}

/// The story: `pop` of more than the statement might hold had removed the messages when it was
/// refused for the memory of their rows, and nobody had got them.
#[tokio::test(flavor = "multi_thread")]
async fn a_pop_that_is_refused_for_its_memory_has_taken_nothing() {
    let broker = crate::queues::tests::Rig::new();
    let limits = Limits { statement_memory_bytes: 4 << 20, ..Limits::default() };
    let options = DoorOptions { limits, ..DoorOptions::default() };
    let rig = Rig::over(broker.pgmq.clone(), &Budget::process(1 << 30), options).await;
    let mut client = rig.client().await;
    client.query("SELECT pgmq.create('q')").await;
    let send = "SELECT pgmq.send('q', to_jsonb(repeat('x', 700000))) FROM generate_series(1, 8)";
    assert_eq!(client.query(send).await.last().unwrap(), "ready I");
    let length = "SELECT queue_length, queue_visible_length FROM pgmq.metrics('q')";
    for pop in ["SELECT * FROM pgmq.pop('q', 8)", "SELECT pgmq.pop('q', 8)"] {
        assert_eq!(client.query(pop).await[0], "ERROR 53200 out of memory", "{pop}");
        assert_eq!(client.query(length).await[1], "row 8|8", "{pop}");
    }
    for left in (0..8).rev() {
        assert_eq!(
            client.query("SELECT msg_id FROM pgmq.pop('q')").await[1],
            format!("row {}", 8 - left)
        );
        assert_eq!(client.query(length).await[1], format!("row {left}|{left}"));
    }
}

/// The story: each session could keep 12 MiB in a transaction that it left open, of which no budget
/// knew.
#[tokio::test(flavor = "multi_thread")]
async fn what_open_transactions_keep_is_paid_from_the_memory_of_all_sessions() {
    let broker = crate::queues::tests::Rig::new();
    let limits = Limits { memory_bytes: 8 << 20, ..Limits::default() };
    let options = DoorOptions { limits, ..DoorOptions::default() };
    let rig = Rig::over(broker.pgmq.clone(), &Budget::process(1 << 30), options).await;
    let (mut first, mut second) = (rig.client().await, rig.client().await);
    first.query("SELECT pgmq.create('q')").await;
    let send = "SELECT pgmq.send('q', to_jsonb(repeat('x', 900000)))";
    let mut sent = 0;
    let refused = loop {
        let query = if sent == 0 { format!("BEGIN; {send}") } else { send.to_owned() };
        let said = first.query(&query).await;
        match said.iter().find(|said| said.starts_with("ERROR")) {
            None => sent += 1,
            Some(error) => break error.clone(),
        }
        assert!(rig.memory.sessions().used_bytes() > 900_000 * sent);
    };
    assert_eq!(refused, "ERROR 53200 out of memory");
    assert!((1..9).contains(&sent), "{sent}");
    // A failed transaction has given it back, although its block is open.
    assert!(rig.memory.sessions().used_bytes() < 1 << 20);
    first.query("ROLLBACK").await;
    assert_eq!(second.query(send).await.last().unwrap(), "ready I");
    // A savepoint gives back what was kept since.
    first.query(&format!("BEGIN; SAVEPOINT s; {send}")).await;
    assert!(rig.memory.sessions().used_bytes() > 900_000);
    assert_eq!(first.query("ROLLBACK TO s").await.last().unwrap(), "ready T");
    assert!(rig.memory.sessions().used_bytes() < 1 << 20);
}

/// The story: every reading session loaded up to 256 MiB before anybody paid for it.
#[tokio::test(flavor = "multi_thread")]
async fn messages_are_paid_for_before_they_are_loaded() {
    let broker = crate::queues::tests::Rig::new();
    let limits = Limits { memory_bytes: 24 << 20, ..Limits::default() };
    let options = DoorOptions { limits, ..DoorOptions::default() };
    let rig = Rig::over(broker.pgmq.clone(), &Budget::process(1 << 30), options).await;
    let mut client = rig.client().await;
    client.query("SELECT pgmq.create('q')").await;
    for n in 1..=30 {
        let send = format!(
            "SELECT pgmq.send('q', jsonb_build_object('n', {n}, 'x', repeat('x', 900000)))"
        );
        assert_eq!(client.query(&send).await.last().unwrap(), "ready I");
    }
    // Refused before they are there: nothing was read.
    let visible = "SELECT queue_visible_length FROM pgmq.metrics('q')";
    for read in [
        "SELECT * FROM pgmq.read('q', 600, 30)",
        "SELECT msg_id FROM pgmq.q_q",
        "BEGIN; SELECT * FROM pgmq.read('q', 600, 30)",
    ] {
        let said = client.query(read).await;
        assert!(said.contains(&"ERROR 53200 out of memory".to_owned()), "{read}: {said:?}");
        client.query("ROLLBACK").await;
        assert_eq!(client.query(visible).await[1], "row 30", "{read}");
        assert!(rig.memory.sessions().used_bytes() < 1 << 20, "{read}");
    }
    // A look for one of them holds a page at a time, and what it has looked at no longer.
    let one = "SELECT read_ct, message->>'n' FROM pgmq.read('q', 600, 1, '{\"n\": 30}')";
    assert_eq!(client.query(one).await[1], "row 1|30");
    assert_eq!(client.query("SELECT count(*) FROM pgmq.read('q', 600, 4)").await[1], "row 4");
    assert_eq!(client.query(visible).await[1], "row 25");
}

/// The story: a thousand settings of 64 KB, copied into a thousand savepoints, were 64 GB, and what
/// NOTIFY said waited for its transaction unpaid.
#[tokio::test]
async fn settings_savepoints_and_notifications_are_paid_for() {
    let limits = Limits { session_memory_bytes: 4 << 20, ..Limits::default() };
    let rig = Rig::with(DoorOptions { limits, ..DoorOptions::default() }).await;
    let mut client = rig.client().await;
    let large = "x".repeat(60_000);
    // Says so and goes on until there is no room; how often that went well.
    async fn until_refused(client: &mut Client, statement: impl Fn(usize) -> String) -> usize {
        for n in 0..1_000 {
            let said = client.query(&statement(n)).await;
            if let Some(error) = said.iter().find(|said| said.starts_with("ERROR")) {
                assert_eq!(error, "ERROR 53200 out of memory");
                return n;
            }
        }
        panic!("never");
    }
    let set = |n: usize| format!("SET my.s{n} = '{large}'");
    let settings = until_refused(&mut client, set).await;
    assert!((20..80).contains(&settings), "{settings}");
    client.query("RESET ALL").await;
    client.query("SELECT set_config('my.a', '1', false)").await;
    assert!(rig.memory.sessions().used_bytes() < 1 << 20);

    client.query(&set(0)).await;
    client.query("BEGIN").await;
    let savepoints = until_refused(&mut client, |n| format!("SAVEPOINT s{n}")).await;
    assert!((20..80).contains(&savepoints), "{savepoints}");
    client.query("ROLLBACK").await;
    assert!(rig.memory.sessions().used_bytes() < 1 << 20);

    client.query("BEGIN").await;
    let payload = "y".repeat(7_000);
    let notified = until_refused(&mut client, |n| format!("NOTIFY c, '{n}{payload}'")).await;
    assert!((200..800).contains(&notified), "{notified}");
    client.query("ROLLBACK").await;
    assert!(rig.memory.sessions().used_bytes() < 1 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_listens_to_so_many_channels() {
    let broker = crate::queues::tests::Rig::new();
    let process = Budget::process(1 << 30);
    let rig = Rig::over(broker.pgmq.clone(), &process, DoorOptions::default()).await;
    let mut client = rig.client().await;
    let most = 10_000;
    let listen = |from: usize, to: usize| -> String {
        (from..to).map(|n| format!("LISTEN c{n};")).collect()
    };
    let said = client.query(&listen(0, most + 1)).await;
    let refused = "ERROR 54000 a session may not listen to more than 10000 channels";
    assert_eq!(said[said.len() - 2], refused);
    assert_eq!(client.query(&listen(0, most)).await.last().unwrap(), "ready I");
    assert_eq!(client.query("LISTEN other").await[0], refused);
    client.query("UNLISTEN c7").await;
    assert_eq!(client.query("LISTEN other").await[0], "complete LISTEN");
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

/// Takes minutes, and waits for nothing.
const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 100000) a \
                       JOIN generate_series(1, 100000) b ON a + b < 0";

/// Even where all doors share a single thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_long_statement_holds_up_no_other_session() {
    let rig = Rig::open().await;
    let mut busy = rig.client().await;
    let mut others = [rig.client().await, rig.client().await];
    // More of them than there are turns.
    let mut also = Vec::new();
    for _ in 0..8 {
        let mut client = rig.client().await;
        client.send(&message(b'Q', format!("{ENDLESS}\0").as_bytes())).await;
        also.push(client);
    }
    busy.send(&message(b'Q', format!("{ENDLESS}\0").as_bytes())).await;
    for _ in 0..20 {
        for other in &mut others {
            assert_eq!(other.query("SELECT pgmq.send('q', '{}')").await.last().unwrap(), "ready I");
            assert_eq!(other.query("SHOW jit").await.last().unwrap(), "ready I");
        }
    }
    // Statements that are not short take turns with it.
    let said = others[0].query("SELECT count(*) FROM generate_series(1, 10) g").await;
    assert_eq!(said.last().unwrap(), "ready I");
    // Nobody has an answer yet, and a client that goes away ends its statement.
    for client in also.into_iter().chain([busy]) {
        drop(client);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_timeout_and_a_cancel_reach_a_statement_that_waits_for_nothing() {
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    let (process, secret) = client.key;
    client.query("SET statement_timeout = 100").await;
    let said = client.query(ENDLESS).await;
    assert_eq!(said, ["ERROR 57014 canceling statement due to statement timeout", "ready I"]);
    // A text that is never read to its end.
    let long = format!("DO $$ BEGIN FOR i IN 1..1000000 LOOP PERFORM {ENDLESS}; END LOOP; END $$");
    let said = client.query(&long.replace("SELECT count", "count")).await;
    assert_eq!(said, ["ERROR 57014 canceling statement due to statement timeout", "ready I"]);
    client.query("SET statement_timeout = 0").await;
    client.send(&message(b'Q', format!("{ENDLESS}\0").as_bytes())).await;
    // It may come before the statement has begun: then it means nothing, and is asked again.
    let ended = client.until_ready();
    tokio::pin!(ended);
    let said = loop {
        let mut other = Client::connect(rig.address).await;
        other.packet(80_877_102, &[process.to_be_bytes(), secret.to_be_bytes()].concat()).await;
        tokio::select! {
            said = &mut ended => break said,
            closed = other.until_closed() => assert!(closed.is_empty()),
        }
    };
    assert_eq!(said, ["ERROR 57014 canceling statement due to user request", "ready I"]);
}

#[tokio::test]
async fn what_a_session_keeps_is_paid_from_its_memory_and_given_back() {
    let limits = Limits {
        statement_memory_bytes: 8 << 20,
        session_memory_bytes: 6 << 20,
        memory_bytes: 7 << 20,
        ..Limits::default()
    };
    let rig = Rig::with(DoorOptions { limits, ..DoorOptions::default() }).await;
    let mut client = rig.client().await;
    let mut other = rig.client().await;
    client.query("BEGIN").await;
    let cursor = |name: &str| {
        format!(
            "DECLARE {name} CURSOR WITH HOLD FOR SELECT repeat('x', 3400) || g FROM generate_series(1, 1000) g"
        )
    };
    assert_eq!(client.query(&cursor("a")).await, ["complete DECLARE CURSOR", "ready T"]);
    assert_eq!(client.query(&cursor("b")).await[0], "ERROR 53200 out of memory");
    client.query("ROLLBACK").await;
    assert_eq!(client.query(&cursor("b")).await, ["complete DECLARE CURSOR", "ready I"]);
    // The door has less than two sessions may have.
    let large = "SELECT length(string_agg(repeat('x', 1000), '')) FROM generate_series(1, 600)";
    assert_eq!(other.query(&cursor("a")).await, ["complete DECLARE CURSOR", "ready I"]);
    assert_eq!(other.query(large).await[0], "ERROR 53200 out of memory");
    client.query("CLOSE b").await;
    assert_eq!(other.query(large).await.last().unwrap(), "ready I");
    // Prepared statements.
    other.query("CLOSE ALL").await;
    let list = format!("SELECT 1 IN (0{})", ", 1".repeat(3_000));
    let mut kept = 0;
    let refused = loop {
        let said = other.exchange(&[parse(&format!("s{kept}"), &list), sync()]).await;
        match said[0].strip_prefix("ERROR ") {
            None => kept += 1,
            Some(error) => break error.to_owned(),
        }
    };
    assert!(kept > 0 && refused.starts_with("53200"), "{kept}: {refused}");
    other.query("DEALLOCATE ALL").await;
    let said = other.exchange(&[parse("again", &list), sync()]).await;
    assert_eq!(said, ["parsed", "ready I"]);
    // A session that has gone gives everything back.
    drop((client, other));
    let mut last = rig.client().await;
    let whole = "SELECT length(string_agg(repeat('x', 1000), '')) FROM generate_series(1, 600)";
    while last.query(whole).await[0].starts_with("ERROR") {
        tokio::task::yield_now().await;
    }
}
