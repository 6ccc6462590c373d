//! A core, a disk, a clock, and short words for what tests do with them.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use kyu_broker::{
    Acquire, Answer, Command, Completion, Content, Core, CoreOptions, CreateQueue, DeleteQueue,
    Deliver, Delivery, Enqueue, Error, Frame, Lease, NewMessage, Order, Outcome, Policy, Query,
    QueueConfig, QueueId, QueueName, QueueStats, Receipt, ReceiveId, Reply, Response, Settle, Work,
};
use kyu_log::{Log, LogReader, OnFailure, SimDisk};

pub const SEGMENT_BYTES: u32 = 64 << 10;
const START_MS: u64 = 1_000_000;

pub struct Rig {
    pub core: Core<u64>,
    pub disk: SimDisk,
    pub now_ms: u64,
    options: CoreOptions,
    done: Arc<Mutex<Vec<Completion<u64>>>>,
    failures: Arc<AtomicU64>,
    last_ticket: u64,
}

impl Rig {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut CoreOptions)) -> Self {
        let failures = Arc::new(AtomicU64::new(0));
        let on_failure = {
            let failures = Arc::clone(&failures);
            OnFailure::Call(Arc::new(move |_| {
                failures.fetch_add(1, Ordering::Relaxed);
            }))
        };
        let mut options = CoreOptions {
            dir: "/data".into(),
            log: kyu_log::Options {
                segment_bytes: SEGMENT_BYTES,
                spare_segments: 1,
                reserve_bytes: u64::from(SEGMENT_BYTES),
                hot_bytes: 2 * u64::from(SEGMENT_BYTES),
                on_failure,
                ..kyu_log::Options::default()
            },
            policy: Policy {
                snapshot_after_log_bytes: 4 * u64::from(SEGMENT_BYTES),
                relocate_above_bytes: 4 * u64::from(SEGMENT_BYTES),
                ..Policy::default()
            },
            seed: 1,
        };
        change(&mut options);
        let disk = SimDisk::new(1);
        let done = Arc::default();
        let core = open(&disk, &options, &done);
        let mut rig =
            Self { core, disk, now_ms: START_MS, options, done, failures, last_ticket: 0 };
        rig.advance(0);
        rig
    }

    pub fn options(&self) -> &CoreOptions {
        &self.options
    }

    /// Power off and on again.
    pub fn crash(&mut self) {
        self.disk.crash();
        self.done.lock().unwrap().clear();
        let disk = self.disk.clone();
        // The old core is dropped only after the new one is there, as after a real crash nothing
        // of the old one runs.
        self.core = open(&disk, &self.options, &self.done);
        self.advance(0);
    }

    pub fn advance(&mut self, ms: u64) {
        self.now_ms += ms;
        // A tick does a bounded part; the engine's thread comes back for the rest.
        for _ in 0..100 {
            self.core.advance(self.now_ms);
        }
        self.core.hand_over();
    }

    pub fn flush(&mut self) {
        self.core.hand_over();
        self.core.log().flush().unwrap();
    }

    /// Upkeep until there is none, doing its slow work at once.
    pub fn work(&mut self) {
        for _ in 0..200 {
            match self.core.upkeep() {
                Some(Work::Snapshot { lsn, frozen }) => {
                    let store = self.core.snapshots().clone();
                    let bytes = store.write(lsn, |mut file| frozen.write(&mut file)).unwrap();
                    self.core.snapshot_done(lsn, Some(bytes));
                }
                Some(Work::ReadFrames(frames)) => {
                    let reader = self.core.log().reader();
                    let read = frames.into_iter().filter_map(|live| {
                        let bytes = reader.read(kyu_log::Lsn(live.at), live.bytes as usize).ok()?;
                        Frame::decode(bytes.clone()).ok()?;
                        Some((live, bytes))
                    });
                    let read = read.collect();
                    self.core.frames_read(read, true);
                }
                None if self.core.next_wake_ms().is_none_or(|at| at > self.now_ms) => break,
                None => {}
            }
            self.flush();
        }
    }

    /// Writes a snapshot now.
    pub fn snapshot(&mut self) {
        let (lsn, frozen) = self.core.finish().expect("news since the last snapshot");
        let store = self.core.snapshots().clone();
        store.write(lsn, |mut file| frozen.write(&mut file)).unwrap();
        self.crash();
    }

    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    fn ticket(&mut self) -> u64 {
        self.last_ticket += 1;
        self.last_ticket
    }

    pub fn submit(&mut self, command: Command) -> u64 {
        let ticket = self.ticket();
        self.core.submit(&command, ticket);
        self.core.hand_over();
        ticket
    }

    pub fn query(&mut self, query: Query) -> u64 {
        let ticket = self.ticket();
        self.core.query(&query, ticket);
        self.core.hand_over();
        ticket
    }

    pub fn receive(&mut self, queue: QueueId, wait_ms: u64) -> u64 {
        self.receive_as(queue, Lease::QueueDefault, wait_ms)
    }

    pub fn receive_as(&mut self, queue: QueueId, lease: Lease, wait_ms: u64) -> u64 {
        let order = Order::OfQueue;
        let acquire = Acquire { max_bytes: 1 << 20, lease, order, ..Acquire::new(queue, 1) };
        self.acquire(acquire, wait_ms)
    }

    pub fn acquire(&mut self, acquire: Acquire, wait_ms: u64) -> u64 {
        let ticket = self.ticket();
        self.core.receive(ReceiveId(ticket), acquire, wait_ms, ticket);
        self.core.hand_over();
        ticket
    }

    pub fn cancel(&mut self, queue: QueueId, ticket: u64) {
        self.core.cancel(queue, ReceiveId(ticket));
    }

    pub fn take_completion(&mut self, ticket: u64) -> Option<Completion<u64>> {
        let mut done = self.done.lock().unwrap();
        let at = done.iter().position(|completion| completion.ticket == ticket)?;
        Some(done.remove(at))
    }

    pub fn take(&mut self, ticket: u64) -> Option<Result<Response, Error>> {
        self.take_completion(ticket).map(|completion| completion.result)
    }

    pub fn reply(&mut self, ticket: u64) -> Reply {
        match self.take(ticket).expect("answered").expect("not refused") {
            Response::Reply(reply) => reply,
            Response::Answer(answer) => panic!("not a reply: {answer:?}"),
        }
    }

    pub fn created(&mut self, ticket: u64) -> QueueId {
        match self.reply(ticket) {
            Reply::QueueCreated(info) => info.id,
            other => panic!("not created: {other:?}"),
        }
    }

    pub fn deliveries(&mut self, ticket: u64) -> Vec<Delivery> {
        deliveries_of(&self.take(ticket).expect("answered"))
    }

    pub fn queue(&mut self, name: &str) -> QueueId {
        let ticket = self.submit(create(name));
        self.flush();
        self.created(ticket)
    }

    /// Sends one message and waits for the disk.
    pub fn send(&mut self, queue: QueueId, body: &[u8]) {
        let ticket = self.submit(enqueue(queue, body));
        self.flush();
        match self.reply(ticket) {
            Reply::Enqueued(results) => assert!(results.iter().all(Result::is_ok), "{results:?}"),
            other => panic!("not enqueued: {other:?}"),
        }
    }

    pub fn ack(&mut self, queue: QueueId, receipt: Receipt) {
        let items = vec![(receipt, Outcome::Ack)];
        let ticket = self.submit(Command::Settle(Settle { queue, items }));
        self.flush();
        assert!(matches!(self.reply(ticket), Reply::Settled(_)));
    }

    pub fn receive_and_ack(&mut self, queue: QueueId) {
        let ticket = self.receive(queue, 0);
        self.flush();
        let delivery = self.deliveries(ticket).remove(0);
        self.ack(queue, delivery.receipt);
    }

    pub fn stats(&mut self, queue: QueueId) -> QueueStats {
        match self.core.engine().query(&Query::Stats(queue)) {
            Ok(Answer::Stats(stats)) => stats,
            other => panic!("no stats: {other:?}"),
        }
    }

    /// The body that a delivery points to, as a receiver would read it.
    pub fn body(&mut self, delivery: &Delivery) -> Bytes {
        let reader = self.core.log().reader();
        let at = kyu_log::Lsn(delivery.frame_at);
        let bytes = reader.read(at, delivery.frame_bytes as usize).expect("readable");
        Frame::decode(bytes).expect("whole").content().expect("content").body
    }
}

fn open(
    disk: &SimDisk,
    options: &CoreOptions,
    done: &Arc<Mutex<Vec<Completion<u64>>>>,
) -> Core<u64> {
    assert_eq!(options.dir, Path::new("/data"));
    let done = Arc::clone(done);
    let deliver: Deliver<u64> = Arc::new(move |completion| done.lock().unwrap().push(completion));
    Core::open_stepped(Arc::new(disk.clone()), options, deliver).expect("opens")
}

pub fn deliveries_of(result: &Result<Response, Error>) -> Vec<Delivery> {
    match result {
        Ok(Response::Reply(Reply::Acquired(deliveries))) => deliveries.clone(),
        other => panic!("not acquired: {other:?}"),
    }
}

pub fn name(name: &str) -> QueueName {
    QueueName { namespace: "test".into(), name: name.into() }
}

pub fn create(queue: &str) -> Command {
    create_with(queue, QueueConfig::default())
}

pub fn create_with(queue: &str, config: QueueConfig) -> Command {
    Command::CreateQueue(CreateQueue {
        name: name(queue),
        config: config.into(),
        name_reuse_wait_ms: 0,
    })
}

pub fn delete(queue: QueueId) -> Command {
    Command::DeleteQueue(DeleteQueue { queue })
}

pub fn message(queue: QueueId, body: &[u8], delay_ms: Option<u64>) -> NewMessage {
    NewMessage {
        queues: vec![queue],
        content: Content::of(Bytes::copy_from_slice(body)).encode(),
        delay_ms,
        expires_at_ms: None,
        priority: 0,
        lane: None,
        dedup_id: None,
        unique: None,
    }
}

pub fn enqueue(queue: QueueId, body: &[u8]) -> Command {
    Command::Enqueue(Enqueue { messages: vec![message(queue, body, None)] })
}

pub fn enqueue_delayed(queue: QueueId, body: &[u8], delay_ms: u64) -> Command {
    Command::Enqueue(Enqueue { messages: vec![message(queue, body, Some(delay_ms))] })
}

pub fn enqueue_many(queue: QueueId, bodies: &[&[u8]]) -> Command {
    let messages = bodies.iter().map(|body| message(queue, body, None)).collect();
    Command::Enqueue(Enqueue { messages })
}

/// A command that is refused.
pub fn enqueue_to_nothing() -> Command {
    delete(QueueId(999))
}
