//! pgmq's functions over a real broker in a directory of its own.

mod locks;
mod transactions;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use kyu_broker::{Broker, Options, QueueName};
use kyu_budget::Budget;
use kyu_pgsql::error::PgError;
use kyu_pgsql::host::{Host, OverloadId, Relation, ScanBounds};
use kyu_pgsql::types::Element;
use kyu_pgsql::value::{Row, Value};

use super::functions::overload as f;
use super::{Pgmq, QueueSession};
use crate::wire::Queues;

pub(super) const NONE: [i64; 0] = [];
pub(super) const ACCOUNT: &str = "000000000000";

pub(crate) struct Rig {
    pub(crate) pgmq: Pgmq,
    pub(super) broker: Broker,
    dir: PathBuf,
}

impl Drop for Rig {
    /// Closes the broker before its directory goes: a log that cannot be written ends the process.
    fn drop(&mut self) {
        close(self.broker.clone());
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn close(broker: Broker) {
    let closing = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async move { broker.shutdown().await });
    });
    let _ = closing.join();
}

fn open(dir: &std::path::Path) -> Broker {
    let mut small = Options::new(dir);
    small.log.segment_bytes = 32 << 20;
    small.log.reserve_bytes = 8 << 20;
    Broker::open(small).unwrap()
}

impl Rig {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("kyu-pgmq-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let dir = std::env::temp_dir().join(name);
        let broker = open(&dir);
        Self { pgmq: Pgmq::new(broker.clone(), ACCOUNT), broker, dir }
    }

    pub(super) fn session(&self) -> Client {
        Client(self.pgmq.open(7, &Budget::process(1 << 30)).0)
    }

    /// The server ends and starts again.
    pub(super) fn restart(&mut self) {
        close(self.broker.clone());
        self.broker = open(&self.dir);
        self.pgmq = Pgmq::new(self.broker.clone(), ACCOUNT);
    }

    /// A queue as SQS makes it.
    pub(super) async fn sqs_queue(
        &self,
        name: &str,
        kind: kyu_broker::QueueKind,
    ) -> kyu_broker::QueueId {
        let name = QueueName { namespace: ACCOUNT.into(), name: name.into() };
        let config = kyu_broker::QueueConfig { kind, ..Default::default() };
        let create =
            kyu_broker::CreateQueue { name, config: Box::new(config), name_reuse_wait_ms: 0 };
        self.broker.ask(create).await.unwrap().id
    }
}

#[derive(Debug)]
pub(super) struct Client(pub(super) QueueSession);

pub(super) fn text(text: &str) -> Value {
    Value::Text(text.into())
}

pub(super) fn json(text: &str) -> Value {
    Value::Json(text.into())
}

pub(super) fn ids(ids: &[i64]) -> Value {
    Value::Array(Element::Int8, ids.iter().map(|id| Value::Int(*id)).collect())
}

pub(super) fn jsons(texts: &[&str]) -> Value {
    Value::Array(Element::Jsonb, texts.iter().map(|text| json(text)).collect())
}

impl Client {
    pub(super) async fn try_call(
        &mut self,
        overload: OverloadId,
        arguments: Vec<Value>,
    ) -> Result<Vec<Row>, PgError> {
        self.0.call(overload, arguments).await
    }

    pub(super) async fn call(&mut self, overload: OverloadId, arguments: Vec<Value>) -> Vec<Row> {
        self.try_call(overload, arguments).await.unwrap()
    }

    pub(super) async fn fails(&mut self, overload: OverloadId, arguments: Vec<Value>) -> String {
        self.try_call(overload, arguments).await.unwrap_err().to_string()
    }

    pub(super) async fn create(&mut self, queue: &str) {
        self.call(f::CREATE, vec![text(queue)]).await;
    }

    pub(super) async fn send(&mut self, queue: &str, message: &str) -> i64 {
        id(&self.call(f::SEND, vec![text(queue), json(message)]).await[0])
    }

    pub(super) async fn send_in(&mut self, queue: &str, message: &str, delay_s: i64) -> i64 {
        let arguments = vec![text(queue), json(message), Value::Int(delay_s)];
        id(&self.call(f::SEND_DELAY, arguments).await[0])
    }

    pub(super) async fn read(&mut self, queue: &str, vt_s: i64, qty: i64) -> Vec<Row> {
        let arguments = vec![text(queue), Value::Int(vt_s), Value::Int(qty), json("{}")];
        self.call(f::READ, arguments).await
    }

    /// The ids that a read gives.
    pub(super) async fn read_ids(&mut self, queue: &str, vt_s: i64, qty: i64) -> Vec<i64> {
        self.read(queue, vt_s, qty).await.iter().map(id).collect()
    }

    pub(super) async fn delete(&mut self, queue: &str, id: i64) -> bool {
        let rows = self.call(f::DELETE_ID, vec![text(queue), Value::Int(id)]).await;
        rows == [[Value::Bool(true)]]
    }

    pub(super) async fn archive(&mut self, queue: &str, id: i64) -> bool {
        let rows = self.call(f::ARCHIVE_ID, vec![text(queue), Value::Int(id)]).await;
        rows == [[Value::Bool(true)]]
    }

    pub(super) async fn pop(&mut self, queue: &str) -> Vec<i64> {
        self.call(f::POP, vec![text(queue), Value::Int(1)]).await.iter().map(id).collect()
    }

    pub(super) async fn scan(&mut self, relation: Relation) -> Vec<Row> {
        self.0.scan(&relation, &ScanBounds::default()).await.unwrap()
    }

    /// `select msg_id, read_ct from pgmq.q_<queue>`.
    pub(super) async fn table(&mut self, queue: &str) -> Vec<(i64, i64)> {
        let rows = self.scan(Relation::Queue(queue.into())).await;
        rows.iter().map(|row| (int(row, 0), int(row, 1))).collect()
    }

    pub(super) async fn archived(&mut self, queue: &str) -> Vec<(i64, i64)> {
        let rows = self.scan(Relation::Archive(queue.into())).await;
        rows.iter().map(|row| (int(row, 0), int(row, 1))).collect()
    }

    /// Length, total and visible length.
    pub(super) async fn metrics(&mut self, queue: &str) -> (i64, i64, i64) {
        let row = self.call(f::METRICS, vec![text(queue)]).await.remove(0);
        (int(&row, 1), int(&row, 4), int(&row, 6))
    }

    pub(super) async fn queues(&mut self) -> Vec<String> {
        let rows = self.call(f::LIST_QUEUES, vec![]).await;
        rows.iter().map(|row| name(row, 0)).collect()
    }
}

pub(super) fn int(row: &Row, at: usize) -> i64 {
    match &row[at] {
        Value::Int(int) => *int,
        other => panic!("{other:?}"),
    }
}

fn name(row: &Row, at: usize) -> String {
    match &row[at] {
        Value::Text(text) => text.clone(),
        other => panic!("{other:?}"),
    }
}

pub(super) fn id(row: &Row) -> i64 {
    int(row, 0)
}

#[tokio::test]
async fn the_life_of_a_message() {
    let rig = Rig::new();
    let mut c = rig.session();
    c.create("q").await;
    let headers = json(r#"{"k": "v"}"#);
    c.call(f::SEND_HEADERS, vec![text("q"), json(r#"{"a": 1}"#), headers.clone()]).await;
    assert_eq!(c.send("q", "\"two\"").await, 2);
    let row = c.read("q", 30, 1).await.remove(0);
    assert_eq!((int(&row, 0), int(&row, 1)), (1, 1));
    assert_eq!(row[5..], [json(r#"{"a": 1}"#), headers]);
    let (Value::Timestamp(read_at), Value::Timestamp(vt)) = (&row[3], &row[4]) else { panic!() };
    assert_eq!(vt - read_at, 30_000_000);
    assert_eq!(c.metrics("q").await, (2, 2, 1));
    assert!(c.delete("q", 1).await);
    assert!(!c.delete("q", 1).await);
    assert_eq!(c.pop("q").await, [2]);
    assert_eq!(c.pop("q").await, NONE);
    assert_eq!(c.metrics("q").await, (0, 2, 0));
}

#[tokio::test]
async fn null_messages_and_batches() {
    let rig = Rig::new();
    let mut c = rig.session();
    c.create("q").await;
    c.call(f::SEND, vec![text("q"), Value::Null]).await;
    let mut batch = jsons(&["1", "null"]);
    if let Value::Array(_, items) = &mut batch {
        items.push(Value::Null);
    }
    let sent = c.call(f::SEND_BATCH, vec![text("q"), batch]).await;
    assert_eq!(sent.iter().map(id).collect::<Vec<_>>(), [2, 3, 4]);
    let rows = c.read("q", 30, 10).await;
    let messages: Vec<_> = rows.iter().map(|row| row[5].clone()).collect();
    assert_eq!(messages, [Value::Null, json("1"), json("null"), Value::Null]);
    let empty = "P0001: msgs cannot be NULL or empty";
    assert_eq!(c.fails(f::SEND_BATCH, vec![text("q"), jsons(&[])]).await, empty);
    assert_eq!(c.fails(f::SEND_BATCH, vec![text("q"), Value::Null]).await, empty);
    let uneven = vec![text("q"), jsons(&["1", "2"]), jsons(&["{}"])];
    assert_eq!(
        c.fails(f::SEND_BATCH_HEADERS, uneven).await,
        "P0001: headers array length (1) must match msgs array length (2)"
    );
    let many: Vec<&str> = vec!["7"; 2_500];
    let sent = c.call(f::SEND_BATCH, vec![text("q"), jsons(&many)]).await;
    assert_eq!((sent.len(), id(&sent[2_499])), (2_500, 2_504));
    assert_eq!(c.read_ids("q", 30, 5_000).await.len(), 2_500);
    let all: Vec<i64> = (1..3_000).collect();
    let deleted = c.call(f::DELETE_IDS, vec![text("q"), ids(&all)]).await;
    assert_eq!((deleted.len(), c.metrics("q").await), (2_504, (0, 2_504, 0)));
}

#[tokio::test]
async fn errors_are_those_of_pgmq() {
    let rig = Rig::new();
    let mut c = rig.session();
    c.create("q").await;
    for (overload, arguments, error) in [
        (f::SEND, vec![text("nO"), json("1")], "42P01: relation \"pgmq.q_no\" does not exist"),
        (
            f::CREATE,
            vec![text("a;b")],
            "P0001: queue name contains invalid characters: $, ;, --, or \\'",
        ),
        (
            f::CREATE,
            vec![text(&"x".repeat(48))],
            "P0001: queue name is too long, maximum length is 47 characters",
        ),
        (
            f::CREATE,
            vec![Value::Null],
            "22004: null values cannot be formatted as an SQL identifier",
        ),
        (
            f::READ,
            vec![text("q"), Value::Int(1), Value::Int(-1), json("{}")],
            "2201W: LIMIT must not be negative",
        ),
        (f::METRICS, vec![text("no")], "42P01: relation \"pgmq.q_no\" does not exist"),
        (
            f::SEND_DELAY,
            vec![text("q"), json("1"), Value::Null],
            "23502: null value in column \"vt\" of relation \"q_q\" violates not-null constraint",
        ),
        (
            f::ENABLE_NOTIFY_INSERT,
            vec![text("no"), Value::Int(0)],
            "P0001: Queue \"no\" does not exist. Create it first using pgmq.create()",
        ),
        (
            f::UPDATE_NOTIFY_INSERT,
            vec![text("q"), Value::Int(0)],
            "P0001: Queue \"q\" does not have notify_insert enabled. Enable it first using \
             pgmq.enable_notify_insert()",
        ),
    ] {
        assert_eq!(c.fails(overload, arguments).await, error);
    }
    assert_eq!(c.call(f::DROP_QUEUE, vec![text("no")]).await, [[Value::Bool(false)]]);
    assert_eq!(c.0.take_notices()[0].message, "pgmq queue `no` does not exist");
    c.create("q").await;
    assert_eq!(c.0.take_notices().len(), 4, "tables and indexes are there already");
}

#[tokio::test]
async fn visibility_times_of_any_sign() {
    let rig = Rig::new();
    let mut c = rig.session();
    c.create("q").await;
    c.send("q", "1").await;
    c.send_in("q", "2", 60).await;
    c.send_in("q", "3", -5).await;
    assert_eq!(c.read_ids("q", 0, 10).await, [1, 3]);
    assert_eq!(c.read_ids("q", -3, 10).await, [1, 3]);
    assert_eq!(c.read_ids("q", 30, 10).await, [1, 3]);
    assert_eq!(c.table("q").await, [(1, 3), (2, 0), (3, 3)]);
    // Whatever its state.
    for id in [1, 2] {
        let shown =
            c.call(f::SET_VT_ID_SECONDS, vec![text("q"), Value::Int(id), Value::Int(-1)]).await;
        assert_eq!(int(&shown[0], 0), id);
    }
    assert_eq!(c.read_ids("q", 3_000_000, 10).await, [1, 2], "34 days");
    let later = Value::Timestamp(c.0.now() + 3_600_000_000);
    let shown = c.call(f::SET_VT_IDS_AT, vec![text("q"), ids(&[1, 3, 9]), later.clone()]).await;
    assert_eq!(shown.iter().map(|row| row[4].clone()).collect::<Vec<_>>(), [later.clone(), later]);
    assert_eq!(c.metrics("q").await, (3, 3, 0));
}

#[tokio::test]
async fn a_read_waits_for_a_message_or_for_nothing() {
    let rig = Rig::new();
    let (mut c, mut sender) = (rig.session(), rig.session());
    c.create("q").await;
    let poll = |seconds, conditional: &str| {
        let numbers = [1, 5, seconds, 100].map(Value::Int);
        let mut arguments = vec![text("q")];
        arguments.extend(numbers);
        arguments.push(json(conditional));
        arguments
    };
    assert_eq!(c.call(f::READ_WITH_POLL, poll(0, "{}")).await.len(), 0);
    let (waited, _) =
        tokio::join!(c.call(f::READ_WITH_POLL, poll(60, "{}")), sender.send("q", "1"));
    assert_eq!(waited.len(), 1);
    let condition = r#"{"wanted": true}"#;
    sender.send("q", "2").await;
    let (waited, wanted) =
        tokio::join!(c.call(f::READ_WITH_POLL, poll(60, condition)), sender.send("q", condition));
    assert_eq!(id(&waited[0]), wanted);
}

#[tokio::test]
async fn a_conditional_read_takes_what_contains_the_condition() {
    let rig = Rig::new();
    let mut c = rig.session();
    c.create("q").await;
    for n in 0..2_500 {
        c.send("q", &format!(r#"{{"n": {n}, "even": {}}}"#, n % 2 == 0)).await;
    }
    let read = |condition: &str| vec![text("q"), Value::Int(30), Value::Int(2), json(condition)];
    let rows = c.call(f::READ, read(r#"{"even": false}"#)).await;
    assert_eq!(rows.iter().map(id).collect::<Vec<_>>(), [2, 4]);
    let rows = c.call(f::READ, read(r#"{"n": 2400}"#)).await;
    assert_eq!(rows.iter().map(id).collect::<Vec<_>>(), [2_401]);
    assert_eq!(c.call(f::READ, read(r#"{"n": -1}"#)).await.len(), 0);
}

#[tokio::test]
async fn groups_are_read_in_pgmqs_three_orders() {
    let rig = Rig::new();
    let mut c = rig.session();
    let orders = [
        (f::READ_GROUPED, vec![1, 2, 3, 5]),
        (f::READ_GROUPED_RR, vec![1, 2, 4, 3]),
        (f::READ_GROUPED_HEAD, vec![1, 2, 4]),
    ];
    for inside in [false, true] {
        for (n, (overload, expected)) in orders.iter().enumerate() {
            let queue = format!("q{n}{inside}");
            c.create(&queue).await;
            if inside {
                c.0.begin().await.unwrap();
            }
            for group in [Some("a"), Some("b"), Some("a"), None, Some("b")] {
                let headers =
                    group.map_or(Value::Null, |g| json(&format!(r#"{{"x-pgmq-group": "{g}"}}"#)));
                c.call(f::SEND_HEADERS, vec![text(&queue), json("1"), headers]).await;
            }
            let read = || vec![text(&queue), Value::Int(30), Value::Int(4)];
            let seen: Vec<i64> = c.call(*overload, read()).await.iter().map(id).collect();
            assert_eq!(&seen, expected, "{queue}");
            let again: Vec<i64> = c.call(*overload, read()).await.iter().map(id).collect();
            let rest: &[i64] = if *overload == f::READ_GROUPED { &[4] } else { &[] };
            assert_eq!(again, rest, "{queue}: a group whose head is hidden waits");
            c.0.rollback().await;
        }
    }
}

#[tokio::test]
async fn an_archive_keeps_everything_of_a_message() {
    let mut rig = Rig::new();
    let mut c = rig.session();
    c.create("q").await;
    for n in ["1", "2", "3"] {
        c.send("q", n).await;
    }
    c.read("q", 30, 1).await;
    let before = c.scan(Relation::Queue("q".into())).await.remove(0);
    assert!(c.archive("q", 1).await);
    assert!(!c.archive("q", 1).await);
    let done = c.call(f::ARCHIVE_IDS, vec![text("q"), ids(&[3, 1, 9])]).await;
    assert_eq!(done, [[Value::Int(3)]]);
    rig.restart();
    let mut c = rig.session();
    assert_eq!(c.table("q").await, [(2, 0)]);
    assert_eq!(c.archived("q").await, [(1, 1), (3, 0)]);
    let after = c.scan(Relation::Archive("q".into())).await.remove(0);
    assert_eq!(after.len(), 8);
    assert_eq!(after[..4], before[..4], "number, reads, and when");
    assert_eq!(after[6..], before[5..]);
    assert_eq!(c.queues().await, ["q"], "an archive is no queue");
    c.call(f::DROP_QUEUE, vec![text("q")]).await;
    c.create("q").await;
    assert_eq!(c.archived("q").await, []);
    assert_eq!(c.send("q", "1").await, 1);
}

#[tokio::test]
async fn archived_messages_are_deleted_once_and_with_the_transaction() {
    let mut rig = Rig::new();
    let (mut a, mut b) = (rig.session(), rig.session());
    a.create("q").await;
    for n in 1..=6 {
        a.send("q", "{}").await;
        assert!(n > 4 || a.archive("q", n).await);
    }
    let deleted = a.call(f::DELETE_ARCHIVED_IDS, vec![text("q"), ids(&[5, 2, 2, -1])]).await;
    assert_eq!(deleted, [[Value::Int(2)]], "message 5 is in the queue");
    assert_eq!(a.metrics("q").await.0, 2);

    a.0.begin().await.unwrap();
    assert!(a.archive("q", 5).await);
    let deleted = a.call(f::DELETE_ARCHIVED_IDS, vec![text("q"), ids(&[1, 2, 5])]).await;
    assert_eq!(deleted, [[Value::Int(1)], [Value::Int(5)]]);
    let again = a.call(f::DELETE_ARCHIVED_ID, vec![text("q"), Value::Int(1)]).await;
    assert_eq!(again, [[Value::Bool(false)]]);
    assert_eq!(a.archived("q").await, [(3, 0), (4, 0)]);
    assert_eq!(b.archived("q").await, [(1, 0), (3, 0), (4, 0)], "not committed");
    // Somebody else deletes one of them meanwhile.
    assert_eq!(
        b.call(f::DELETE_ARCHIVED_ID, vec![text("q"), Value::Int(1)]).await,
        [[Value::Bool(true)]]
    );
    a.0.commit().await.unwrap();
    assert_eq!(b.archived("q").await, [(3, 0), (4, 0)]);
    assert_eq!(b.table("q").await, [(6, 0)]);

    a.0.begin().await.unwrap();
    assert_eq!(a.call(f::PURGE_ARCHIVE, vec![text("q")]).await, [[Value::Int(2)]]);
    assert!(a.archive("q", 6).await);
    assert_eq!(a.archived("q").await, [(6, 0)]);
    a.0.commit().await.unwrap();
    drop((a, b));
    rig.restart();
    let mut c = rig.session();
    assert_eq!((c.archived("q").await, c.table("q").await), (vec![(6, 0)], vec![]));
    assert_eq!(c.call(f::PURGE_ARCHIVE, vec![text("q")]).await, [[Value::Int(1)]]);
    assert_eq!(c.archived("q").await, []);
    assert!(c.fails(f::PURGE_ARCHIVE, vec![text("none")]).await.contains("a_none"));
}

#[tokio::test]
async fn topics_lead_to_queues_and_go_with_them() {
    let mut rig = Rig::new();
    let mut c = rig.session();
    for queue in ["errors", "all", "none"] {
        c.create(queue).await;
    }
    for (pattern, queue) in [("logs.*", "errors"), ("#", "all"), ("logs.#", "all")] {
        c.call(f::BIND_TOPIC, vec![text(pattern), text(queue)]).await;
        c.call(f::BIND_TOPIC, vec![text(pattern), text(queue)]).await;
    }
    let send = |key: &str| vec![text(key), json("1")];
    assert_eq!(c.call(f::SEND_TOPIC, send("logs.error")).await, [[Value::Int(2)]]);
    assert_eq!(c.call(f::SEND_TOPIC, send("other")).await, [[Value::Int(1)]]);
    rig.restart();
    let mut c = rig.session();
    let sent = c.call(f::SEND_BATCH_TOPIC, vec![text("logs.x"), jsons(&["1", "2"])]).await;
    let expected = [("all", 3), ("all", 4), ("errors", 2), ("errors", 3)];
    assert_eq!(sent, expected.map(|(queue, id)| vec![text(queue), Value::Int(id)]));
    assert_eq!(c.call(f::LIST_TOPIC_BINDINGS, vec![]).await.len(), 3);
    assert_eq!(c.call(f::TEST_ROUTING, vec![text("logs.a.b")]).await.len(), 2);
    let unbind = || vec![text("#"), text("all")];
    assert_eq!(c.call(f::UNBIND_TOPIC, unbind()).await, [[Value::Bool(true)]]);
    assert_eq!(c.call(f::UNBIND_TOPIC, unbind()).await, [[Value::Bool(false)]]);
    c.call(f::DROP_QUEUE, vec![text("all")]).await;
    assert_eq!(c.call(f::LIST_TOPIC_BINDINGS, vec![]).await.len(), 1);
    assert_eq!(c.call(f::SEND_TOPIC, send("logs.error")).await, [[Value::Int(1)]]);
}

#[tokio::test]
async fn inserts_are_notified_after_the_commit_and_not_too_often() {
    let rig = Rig::new();
    let (listener, mut notifications) = rig.pgmq.open(8, &Budget::process(1 << 30));
    let (mut listener, mut c) = (Client(listener), rig.session());
    c.create("Q").await;
    listener.0.listen("pgmq.q_q.INSERT").unwrap();
    c.send("q", "1").await;
    assert!(notifications.try_recv().is_err(), "not enabled");
    c.call(f::ENABLE_NOTIFY_INSERT, vec![text("Q"), Value::Int(3_600_000)]).await;
    c.0.begin().await.unwrap();
    c.send("Q", "2").await;
    assert!(notifications.try_recv().is_err(), "not committed");
    c.0.commit().await.unwrap();
    let heard = notifications.try_recv().unwrap();
    assert_eq!((heard.process, &*heard.channel, &*heard.payload), (7, "pgmq.q_q.INSERT", ""));
    c.send("Q", "3").await;
    assert!(notifications.try_recv().is_err(), "throttled");
    c.call(f::UPDATE_NOTIFY_INSERT, vec![text("Q"), Value::Int(0)]).await;
    c.send("Q", "4").await;
    c.send("Q", "5").await;
    assert!(notifications.try_recv().is_ok() && notifications.try_recv().is_ok());
    assert_eq!(c.call(f::LIST_NOTIFY_INSERT_THROTTLES, vec![]).await.len(), 1);
    c.call(f::DISABLE_NOTIFY_INSERT, vec![text("Q")]).await;
    c.send("Q", "6").await;
    listener.0.unlisten(None).unwrap();
    assert!(notifications.try_recv().is_err());
}

#[tokio::test]
async fn what_pgmq_lacks() {
    let rig = Rig::new();
    let mut c = rig.session();
    for queue in ["q", "dead"] {
        c.create(queue).await;
    }
    // Fenced delete.
    c.send("q", "1").await;
    c.read("q", 0, 1).await;
    c.read("q", 0, 1).await;
    let fenced = |count| vec![text("q"), Value::Int(1), Value::Int(count)];
    assert_eq!(c.call(f::DELETE_FENCED, fenced(1)).await, [[Value::Bool(false)]]);
    assert_eq!(c.call(f::DELETE_FENCED, fenced(2)).await, [[Value::Bool(true)]]);
    // Priority, peek, deduplication.
    let send = |headers: &str| vec![text("q"), json("1"), json(headers)];
    for headers in [r#"{"x-pgmq-priority": 1}"#, r#"{"x-pgmq-priority": 9}"#] {
        c.call(f::SEND_HEADERS, send(headers)).await;
    }
    let twice = send(r#"{"x-pgmq-dedup-id": "d"}"#);
    let first = c.call(f::SEND_HEADERS, twice.clone()).await;
    assert_eq!(c.call(f::SEND_HEADERS, twice).await, first);
    let peeked = c.call(f::PEEK, vec![text("q"), Value::Int(9)]).await;
    assert_eq!(peeked.iter().map(|row| int(row, 1)).collect::<Vec<_>>(), [0, 0, 0]);
    assert_eq!(c.read_ids("q", 0, 9).await, [3, 2, 4]);
    // Dead letters.
    let rule = vec![text("q"), text("dead"), Value::Int(2)];
    c.call(f::SET_DEAD_LETTER, rule).await;
    let own = vec![text("q"), text("Q"), Value::Int(2)];
    let refused = c.fails(f::SET_DEAD_LETTER, own).await;
    assert!(refused.contains("a queue is not its own dead-letter queue"), "{refused}");
    assert_eq!(c.read_ids("q", 0, 9).await, [3, 2, 4]);
    assert_eq!(c.read_ids("q", 0, 9).await, NONE);
    assert_eq!(c.table("dead").await.len(), 3);
    c.call(f::SET_RETENTION, vec![text("q"), Value::Int(60)]).await;
    let name = QueueName { namespace: ACCOUNT.into(), name: "q".into() };
    assert_eq!(rig.broker.directory().by_name(&name).unwrap().config.retention_ms, 60_000);
}

#[tokio::test]
async fn all_settings_are_shown_and_set_as_json() {
    let rig = Rig::new();
    let mut c = rig.session();
    c.create("q").await;
    c.create("dead").await;
    let shown = c.call(f::QUEUE_SETTINGS, vec![text("q")]).await;
    let Value::Json(shown) = &shown[0][0] else { panic!("{shown:?}") };
    let shown: serde_json::Value = serde_json::from_str(shown).unwrap();
    let default = serde_json::to_value(kyu_settings::QueueSettings::default()).unwrap();
    let names =
        |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&shown), names(&default));

    let set = |settings: &str| vec![text("q"), json(settings)];
    c.call(f::ENABLE_NOTIFY_INSERT, vec![text("q"), Value::Int(250)]).await;
    let all = r#"{"max_messages": 2, "overflow": "refuse", "dead_letter": {"queue": "DEAD", "max_receives": 3}}"#;
    let now = c.call(f::SET_QUEUE_SETTINGS, set(all)).await;
    assert_eq!(c.call(f::QUEUE_SETTINGS, vec![text("q")]).await, now);
    let name = QueueName { namespace: ACCOUNT.into(), name: "q".into() };
    let config = rig.broker.directory().by_name(&name).unwrap().config.clone();
    assert_eq!(config.max_messages, Some(2));
    assert_eq!(config.dead_letter.unwrap().target.name, "dead");
    assert_eq!(config.attributes.len(), 1, "what the door keeps for itself stays");

    for (settings, error) in [
        (r#"{"delay": 1}"#, "unknown field"),
        (r#"{"delay_ms": "x"}"#, "invalid type"),
        (r#"{"kind": "fifo"}"#, "kind cannot change"),
        (r#"{"max_message_bytes": 0}"#, "it may be from 1"),
        (r#"{"expired_to": {"queue": "q"}}"#, "the queue itself"),
        (r#"{"dead_letter": {"queue": "nobody", "max_receives": 3}}"#, "does not exist"),
        ("3", "settings are a JSON object"),
    ] {
        let refused = c.fails(f::SET_QUEUE_SETTINGS, set(settings)).await;
        assert!(refused.contains(error), "{settings}: {refused}");
    }
    let refused = c.fails(f::SET_QUEUE_SETTINGS, vec![text("q"), Value::Null]).await;
    assert!(refused.contains("must not be null"), "{refused}");
    assert_eq!(c.call(f::QUEUE_SETTINGS, vec![text("q")]).await, now);
    c.call(f::SET_QUEUE_SETTINGS, set(r#"{"dead_letter": null}"#)).await;
    assert_eq!(rig.broker.directory().by_name(&name).unwrap().config.dead_letter, None);
}

#[tokio::test]
async fn many_create_and_drop_the_same_queue_at_once() {
    let rig = Rig::new();
    let mut sessions: Vec<Client> = (0..8).map(|_| rig.session()).collect();
    let mut jobs = tokio::task::JoinSet::new();
    for mut c in sessions.drain(..) {
        jobs.spawn(async move {
            for _ in 0..20 {
                c.create("q").await;
                c.call(f::DROP_QUEUE, vec![text("q")]).await;
            }
        });
    }
    jobs.join_all().await;
    assert_eq!(rig.session().queues().await, [] as [String; 0]);
    assert!(rig.broker.directory().is_empty(), "archives go with their queues");
}

#[tokio::test]
async fn lists_and_settings() {
    let rig = Rig::new();
    let mut c = rig.session();
    c.create("b").await;
    c.call(f::CREATE_UNLOGGED, vec![text("a")]).await;
    let partitioned = [text("10"), text("10"), Value::Int(4)];
    let mut arguments = vec![text("c")];
    arguments.extend(partitioned);
    c.call(f::CREATE_PARTITIONED, arguments).await;
    let kinds: Vec<_> = c
        .call(f::LIST_QUEUES, vec![])
        .await
        .iter()
        .map(|row| (name(row, 0), row[1] == Value::Bool(true), row[2] == Value::Bool(true)))
        .collect();
    let expected = [("b", false, false), ("a", false, true), ("c", true, false)];
    assert_eq!(kinds, expected.map(|(n, p, u)| (n.to_owned(), p, u)));
    assert_eq!(c.call(f::METRICS_ALL, vec![]).await.len(), 3);
    let info = c.call(f::Q_INFO, vec![text("a")]).await.remove(0);
    assert_eq!((info.len(), &info[9]), (11, &Value::Bool(true)));
    c.call(f::CREATE_FIFO_INDEXES_ALL, vec![]).await;
    assert_eq!(c.0.fifo_indexed(), ["b", "a", "c"]);
    c.send("b", "1").await;
    assert_eq!(c.call(f::PURGE_QUEUE, vec![text("b")]).await, [[Value::Int(1)]]);
    assert_eq!(c.metrics("b").await, (0, 1, 0));
    assert_eq!(c.0.relations().await.unwrap().len(), 9);
}

#[tokio::test]
async fn queues_of_sqs_are_queues_here() {
    use kyu_broker::{Content, Enqueue, NewMessage, QueueKind};
    let rig = Rig::new();
    let mut c = rig.session();
    let standard = rig.sqs_queue("From-SQS", QueueKind::Standard).await;
    let fifo = rig.sqs_queue("q.fifo", QueueKind::Fifo).await;
    let mut grouped = NewMessage::new(fifo, Content::of("1").encode());
    grouped.lane = Some("g".into());
    let plain = NewMessage::new(standard, Content::of("no json").encode());
    rig.broker.ask(Enqueue { messages: vec![plain, grouped] }).await.unwrap();
    assert_eq!(c.queues().await, ["From-SQS", "q.fifo"]);
    let row = c.read("from-sqs", 30, 1).await.remove(0);
    assert_eq!(row[5..], [json("\"no json\""), Value::Null]);
    assert!(c.archive("From-SQS", 1).await, "its archive is made when it is needed");
    assert_eq!(c.archived("From-SQS").await, [(1, 1)]);
    let row = c.read("q.fifo", 30, 1).await.remove(0);
    assert_eq!(row[5..], [json("1"), json(r#"{"x-pgmq-group": "g"}"#)]);
    assert_eq!(c.send("q.fifo", "2").await, 2, "into the default group");
    let row = c.read("q.fifo", 30, 1).await.remove(0);
    assert_eq!(row[5..], [json("2"), Value::Null]);
    assert!(c.delete("q.fifo", 1).await);
}
