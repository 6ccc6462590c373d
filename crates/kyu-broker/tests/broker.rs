//! The whole broker, threads and all, on a real directory.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use kyu_broker::{
    Acquire, Answer, Bind, BindingConfig, Broker, Command, Condition, Content, Counter,
    CreateExchange, CreateQueue, DeleteQueue, Enqueue, Error, ExchangeConfig, Facts, Filter, Group,
    Lease, Literal, Matcher, NewMessage, OpenError, Options, Order, Outcome, Publication, Publish,
    Query, QueueId, QueueName, Refusal, Reply, Settle, Test,
};

/// A directory that is removed with the test.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("kyu-broker-test-{}-{n}", std::process::id())))
    }

    fn open(&self) -> Result<Broker, OpenError> {
        let mut options = Options::new(&self.0);
        options.log.segment_bytes = 4 << 20;
        options.log.reserve_bytes = 4 << 20;
        options.log.spare_segments = 1;
        options.log.hot_bytes = 1 << 20;
        Broker::open(options)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _not_there = std::fs::remove_dir_all(&self.0);
    }
}

fn name() -> QueueName {
    QueueName { namespace: "test".into(), name: "q".into() }
}

async fn create(broker: &Broker) -> QueueId {
    let command = CreateQueue { name: name(), config: Box::default(), name_reuse_wait_ms: 0 };
    match broker.submit(Command::CreateQueue(command)).await {
        Ok(Reply::QueueCreated(info)) => info.id,
        other => panic!("{other:?}"),
    }
}

fn enqueue(queue: QueueId, body: Vec<u8>) -> Command {
    let message = NewMessage {
        queues: vec![queue],
        content: Content::of(body).encode(),
        delay_ms: None,
        expires_at_ms: None,
        priority: 0,
        lane: None,
        dedup_id: None,
        unique: None,
    };
    Command::Enqueue(Enqueue { messages: vec![message] })
}

fn acquire(queue: QueueId) -> Acquire {
    Acquire {
        queue,
        max_messages: 10,
        max_bytes: 1 << 20,
        lease: Lease::QueueDefault,
        order: Order::OfQueue,
        attempt_id: None,
        consumer: None,
        with_history: false,
    }
}

async fn ready(broker: &Broker, queue: QueueId) -> u64 {
    match broker.query(Query::Stats(queue)).await {
        Ok(Answer::Stats(stats)) => stats.ready,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_message_goes_in_and_out_and_survives_a_restart() {
    let dir = Dir::new();
    let broker = dir.open().unwrap();
    let queue = create(&broker).await;
    assert_eq!(broker.directory().by_name(&name()).map(|q| q.id), Some(queue));
    broker.submit(enqueue(queue, b"one".to_vec())).await.unwrap();
    broker.submit(enqueue(queue, b"two".to_vec())).await.unwrap();
    let received = broker.receive(acquire(queue), 0).await.unwrap();
    let bodies: Vec<_> = received.iter().map(|r| r.message.content().unwrap().body).collect();
    assert_eq!(bodies, [&b"one"[..], b"two"]);
    let items = vec![(received[0].delivery.receipt, Outcome::Ack)];
    broker.submit(Command::Settle(Settle { queue, items })).await.unwrap();
    let epoch = broker.epoch();
    broker.shutdown().await;
    assert_eq!(broker.submit(enqueue(queue, vec![])).await, Err(Error::ShuttingDown));

    let broker = dir.open().unwrap();
    assert_eq!(broker.epoch(), epoch + 1);
    let items = vec![(received[1].delivery.receipt, Outcome::Ack)];
    broker.submit(Command::Settle(Settle { queue, items })).await.unwrap();
    assert_eq!(ready(&broker, queue).await, 0);
    broker.shutdown().await;
}

#[tokio::test]
async fn cold_bodies_come_back_from_disk() {
    let dir = Dir::new();
    let broker = dir.open().unwrap();
    let queue = create(&broker).await;
    for n in 0..200_u8 {
        broker.submit(enqueue(queue, vec![n; 20_000])).await.unwrap();
    }
    let mut expected = 0;
    while expected < 200 {
        for received in broker.receive(acquire(queue), 0).await.unwrap() {
            let body = received.message.content().unwrap().body;
            assert_eq!(body, vec![expected; 20_000]);
            expected += 1;
        }
    }
    let metrics = broker.metrics().await.unwrap();
    assert!(metrics.log.cold_reads > 0, "the log was larger than memory");
    broker.shutdown().await;
}

#[tokio::test]
async fn a_long_poll_gets_the_next_message() {
    let dir = Dir::new();
    let broker = dir.open().unwrap();
    let queue = create(&broker).await;
    let poll = tokio::spawn({
        let broker = broker.clone();
        async move { broker.receive(acquire(queue), 60_000).await }
    });
    while broker.metrics().await.unwrap().gauges.waiting_receives == 0 {
        tokio::task::yield_now().await;
    }
    broker.submit(enqueue(queue, b"a".to_vec())).await.unwrap();
    assert_eq!(poll.await.unwrap().unwrap().len(), 1);
    broker.shutdown().await;
}

#[tokio::test]
async fn a_dropped_long_poll_leaves_the_line() {
    let dir = Dir::new();
    let broker = dir.open().unwrap();
    let queue = create(&broker).await;
    let poll = tokio::spawn({
        let broker = broker.clone();
        async move { broker.receive(acquire(queue), 60_000).await }
    });
    while broker.metrics().await.unwrap().gauges.waiting_receives == 0 {
        tokio::task::yield_now().await;
    }
    poll.abort();
    assert!(poll.await.is_err());
    while broker.metrics().await.unwrap().gauges.waiting_receives > 0 {
        tokio::task::yield_now().await;
    }
    broker.submit(enqueue(queue, b"a".to_vec())).await.unwrap();
    assert_eq!(ready(&broker, queue).await, 1);
    broker.shutdown().await;
}

/// The receiver disappears at every possible moment of a race between its poll, the message and
/// its own end. Whatever wins, the message is received or there for the next, uncounted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_disappears_takes_nothing_with_it() {
    let dir = Dir::new();
    let broker = dir.open().unwrap();
    let queue = create(&broker).await;
    for round in 0..200 {
        let poll = tokio::spawn({
            let broker = broker.clone();
            async move { broker.receive(acquire(queue), 60_000).await }
        });
        let send = tokio::spawn({
            let broker = broker.clone();
            async move { broker.submit(enqueue(queue, b"a".to_vec())).await }
        });
        for _ in 0..round % 40 {
            tokio::task::yield_now().await;
        }
        poll.abort();
        send.await.unwrap().unwrap();
        let received = match poll.await {
            Ok(received) => received.unwrap(),
            Err(_) => broker.receive(acquire(queue), 60_000).await.unwrap(),
        };
        assert_eq!(received.len(), 1, "round {round}");
        assert_eq!(received[0].delivery.receive_count, 1, "round {round}");
        let items = vec![(received[0].delivery.receipt, Outcome::Ack)];
        broker.submit(Command::Settle(Settle { queue, items })).await.unwrap();
    }
    broker.shutdown().await;
}

#[tokio::test]
async fn ending_long_polls_answers_them_and_leaves_the_rest_working() {
    let dir = Dir::new();
    let broker = dir.open().unwrap();
    let queue = create(&broker).await;
    let poll = tokio::spawn({
        let broker = broker.clone();
        async move { broker.receive(acquire(queue), 60_000).await }
    });
    broker.end_long_polls();
    assert!(poll.await.unwrap().unwrap().is_empty());
    assert!(broker.receive(acquire(queue), 60_000).await.unwrap().is_empty());
    broker.submit(enqueue(queue, b"a".to_vec())).await.unwrap();
    broker.shutdown().await;
}

#[tokio::test]
async fn a_second_broker_on_the_same_directory_is_refused() {
    let dir = Dir::new();
    let broker = dir.open().unwrap();
    assert!(matches!(dir.open(), Err(OpenError::Log(kyu_log::OpenError::Locked(_)))));
    broker.shutdown().await;
    dir.open().unwrap().shutdown().await;
}

#[tokio::test]
async fn refusals_reach_the_caller() {
    let dir = Dir::new();
    let broker = dir.open().unwrap();
    let delete = Command::DeleteQueue(DeleteQueue { queue: QueueId(77) });
    assert_eq!(broker.submit(delete).await, Err(Error::Refused(Refusal::QueueNotFound)));
    broker.shutdown().await;
}

/// One byte of a cold body changes on disk: the message is reported and left out, never handed out
/// wrong, and its neighbours are not affected.
#[tokio::test]
async fn a_damaged_body_is_never_delivered() {
    let dir = Dir::new();
    let broker = dir.open().unwrap();
    let queue = create(&broker).await;
    for body in ["first", "damaged-on-disk", "third"] {
        broker.submit(enqueue(queue, body.into())).await.unwrap();
    }
    // Filling further segments closes the one with these messages.
    for _ in 0..10 {
        broker.submit(enqueue(queue, vec![b'x'; 1_000_000])).await.unwrap();
    }
    broker.shutdown().await;
    flip_in_a_segment(&dir.0, b"damaged-on-disk");

    let broker = dir.open().unwrap();
    let three = Acquire { max_messages: 3, ..acquire(queue) };
    let received = broker.receive(three, 0).await.unwrap();
    let bodies: Vec<_> = received.iter().map(|r| r.message.content().unwrap().body).collect();
    assert_eq!(bodies, [&b"first"[..], b"third"]);
    let metrics = broker.metrics().await.unwrap();
    assert_eq!(metrics.counters[kyu_broker::Counter::DamagedFrames as usize], 1);
    broker.shutdown().await;
}

fn flip_in_a_segment(dir: &std::path::Path, needle: &[u8]) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let mut bytes = std::fs::read(&path).unwrap();
            if let Some(at) = bytes.windows(needle.len()).position(|window| window == needle) {
                bytes[at] ^= 1;
                return std::fs::write(&path, bytes).unwrap();
            }
        }
    }
    panic!("no segment has it");
}

/// Every publish to an exchange whose bindings filter bodies went through the engine twice: refused
/// for want of what is in the body, and then again.
#[tokio::test]
async fn a_publish_that_needs_its_body_read_is_refused_once_and_then_foreseen() {
    let dir = Dir::new();
    let broker = dir.open().unwrap();
    let queue = create(&broker).await;
    let exchange = QueueName { namespace: "test".into(), name: "x".into() };
    let create = CreateExchange { name: exchange.clone(), config: ExchangeConfig::default() };
    broker.submit(Command::CreateExchange(create)).await.unwrap();
    let condition = Condition::Is(Literal::Text("yes".into()));
    let test = Test { path: "wanted".into(), conditions: vec![condition] };
    let config = BindingConfig {
        protocol: "queue".into(),
        address: "q".into(),
        target: name(),
        matcher: Matcher::Body(Filter { alternatives: vec![vec![test]] }),
        bare: true,
        active: true,
        dead_letter: None,
        attributes: BTreeMap::new(),
    };
    let bind = Bind { exchange: exchange.clone(), config };
    broker.submit(Command::Bind(bind)).await.unwrap();
    let publish = |body: &'static str| Publish {
        exchange: exchange.clone(),
        messages: vec![Publication {
            content: Content::of(body).encode(),
            size_bytes: 10,
            facts: Facts::default(),
            bare_allowed: true,
            lane: None,
            dedup_id: None,
            content_dedup_id: None,
        }],
    };
    let refused = async || {
        let metrics = broker.metrics().await.unwrap();
        metrics.counters[Counter::Refusals as usize]
    };
    let before = refused().await;
    for body in [r#"{"wanted":"yes"}"#, r#"{"wanted":"no"}"#, "{}"] {
        let published = broker.ask_publish(publish(body)).await.unwrap();
        assert!(published[0].is_ok());
    }
    let mut group = Group::new();
    let at = group.push(publish(r#"{"wanted":"yes"}"#));
    let mut replies = broker.ask_publish(group).await.unwrap();
    assert!(replies.take(at).unwrap()[0].is_ok());
    assert_eq!(refused().await - before, 1);
    assert_eq!(ready(&broker, queue).await, 2);
    broker.shutdown().await;
}
