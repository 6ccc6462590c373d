//! The Rust crate `pgmq` (on sqlx) and tokio-postgres, as they are, against $KYU_PGMQ_URL.

use futures_util::{FutureExt, StreamExt};
use pgmq::{Message, PGMQueueExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{PgPool, Row};

#[derive(Serialize, Debug, Deserialize, Eq, PartialEq)]
struct MyMessage {
    foo: String,
    num: u64,
}

#[tokio::main]
async fn main() {
    let url = std::env::var("KYU_PGMQ_URL").expect("set KYU_PGMQ_URL");
    basic(&url).await;
    batches(&url).await;
    transactions(&url).await;
    tokio_postgres(&url).await;
    println!("Rust clients: all passed");
}

/// The steps of the crate's example `basic`.
async fn basic(url: &str) {
    let queue = PGMQueueExt::new(url.to_owned(), 2).await.expect("connect");
    queue.init().await.expect("CREATE EXTENSION");
    let name = "my_basic_queue";
    queue.create(name).await.expect("create");
    let first: i64 = queue.send(name, &json!({ "foo": "bar" })).await.expect("send");
    let message = MyMessage { foo: "bar".into(), num: 1 };
    let second: i64 = queue.send(name, &message).await.expect("send");
    let read: Message<Value> = queue.read(name, 30).await.expect("read").expect("a message");
    assert_eq!((read.msg_id, &read.message), (first, &json!({ "foo": "bar" })));
    let read: Message<MyMessage> = queue.read(name, 30).await.expect("read").expect("a message");
    assert_eq!((read.msg_id, &read.message), (second, &message));
    assert!(queue.delete(name, first).await.expect("delete"));
    assert!(queue.delete(name, second).await.expect("delete"));
    let none: Option<Message<Value>> = queue.read(name, 30).await.expect("read");
    assert!(none.is_none());
    println!("basic: ok");
}

async fn batches(url: &str) {
    let queue = PGMQueueExt::new(url.to_owned(), 2).await.expect("connect");
    let name = "my_batches";
    queue.create(name).await.expect("create");
    let all = [json!(1), json!(2), json!(3)];
    let ids = queue.send_batch(name, &all).await.expect("send_batch");
    assert_eq!(ids.len(), 3);
    let read: Vec<Message<Value>> =
        queue.read_batch(name, 30, 2).await.expect("read_batch");
    assert_eq!(read.len(), 2);
    let popped: Message<Value> = queue.pop(name).await.expect("pop").expect("a message");
    assert_eq!(popped.message, json!(3));
    assert!(queue.archive(name, ids[0]).await.expect("archive"));
    assert_eq!(queue.purge_queue(name).await.expect("purge"), 1);
    queue.drop_queue(name).await.expect("drop");
    println!("batches: ok");
}

/// The steps of the crate's example `transactions`.
async fn transactions(url: &str) {
    let pool = PgPool::connect(url).await.expect("connect");
    let queue = PGMQueueExt::new(url.to_owned(), 2).await.expect("connect");
    let name = "example_tx_queue";
    queue.create(name).await.expect("create");
    let length = async || {
        let row = sqlx::query("SELECT queue_length FROM pgmq.metrics($1)").bind(name);
        row.fetch_one(&pool).await.expect("metrics").get::<i64, usize>(0)
    };
    let mut tx = pool.begin().await.expect("begin");
    let message = MyMessage { foo: "bar".into(), num: 42 };
    let sent = queue.send_with_cxn(name, &message, &mut *tx).await.expect("send");
    assert_eq!(length().await, 0);
    let none: Option<Message<MyMessage>> = queue.read(name, 10).await.expect("read");
    assert!(none.is_none());
    tx.commit().await.expect("commit");
    assert_eq!(length().await, 1);
    let read: Message<MyMessage> = queue.read(name, 10).await.expect("read").expect("a message");
    assert_eq!((read.msg_id, read.message), (sent, message));

    let mut tx = pool.begin().await.expect("begin");
    let never = MyMessage { foo: "never".into(), num: 0 };
    queue.send_with_cxn(name, &never, &mut *tx).await.expect("send");
    tx.rollback().await.expect("rollback");
    assert_eq!(length().await, 1);
    println!("transactions: ok");
}

async fn tokio_postgres(url: &str) {
    let (client, mut connection) =
        tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("connect");
    let (sender, mut said) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut messages = futures_util::stream::poll_fn(|context| connection.poll_message(context));
        while let Some(Ok(message)) = messages.next().await {
            if let tokio_postgres::AsyncMessage::Notification(notification) = message {
                let _gone = sender.send(notification.channel().to_owned());
            }
        }
    });
    let name = "tokio_queue";
    client.execute("SELECT pgmq.create($1)", &[&name]).await.expect("create");
    let statement = client.prepare("SELECT * FROM pgmq.send($1, $2)").await.expect("prepare");
    for n in 1..=3_i64 {
        let row = client.query_one(&statement, &[&name, &json!({ "n": n })]).await.expect("send");
        assert_eq!(row.get::<_, i64>(0), n);
    }
    let rows = client
        .query("SELECT msg_id, read_ct, message FROM pgmq.read($1, $2, $3)", &[&name, &30, &2])
        .await
        .expect("read");
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1].get::<_, Value>("message"), json!({ "n": 2 }));
    let deleted = client
        .query("SELECT pgmq.delete($1, $2::bigint[])", &[&name, &vec![1_i64, 99]])
        .await
        .expect("delete");
    assert_eq!(deleted.len(), 1);
    // A composite value: the driver asks the catalogue for its columns.
    let whole = client.query("SELECT pgmq.read($1, 0, 1)", &[&name]).await;
    assert!(whole.is_ok(), "{whole:?}");
    let missing = client.query("SELECT pgmq.send('no_such', '{}')", &[]).await.unwrap_err();
    assert_eq!(missing.code(), Some(&tokio_postgres::error::SqlState::UNDEFINED_TABLE));

    client.execute("SELECT pgmq.enable_notify_insert($1, 0)", &[&name]).await.expect("notify");
    client.batch_execute("LISTEN \"pgmq.q_tokio_queue.INSERT\"").await.expect("listen");
    client.execute("SELECT pgmq.send($1, '{}')", &[&name]).await.expect("send");
    assert_eq!(said.recv().await.as_deref(), Some("pgmq.q_tokio_queue.INSERT"));

    // A long poll, cancelled.
    client.execute("SELECT pgmq.purge_queue($1)", &[&name]).await.expect("purge");
    let cancel = client.cancel_token();
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&name];
    let text = "SELECT * FROM pgmq.read_with_poll($1, 30, 1, 600, 100)";
    let poll = client.query(text, &parameters);
    let mut poll = std::pin::pin!(poll);
    while poll.as_mut().now_or_never().is_none() {
        cancel.cancel_query(tokio_postgres::NoTls).await.expect("cancel");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    println!("tokio-postgres: ok");
}
