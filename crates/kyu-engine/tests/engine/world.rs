//! An engine with a log in memory, a clock that tests step, and restarts that check the state.

use bytes::Bytes;
use kyu_engine::*;

pub(crate) const SEGMENT_BYTES: u64 = 4_096;

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) now_ms: UnixMs,
    /// The time by which the wall clock is ahead of `now_ms`, in milliseconds.
    pub(crate) wall_ahead_ms: i64,
    pub(crate) epoch: u32,
    seed: u64,
    /// Records with their addresses.
    pub(crate) log: Vec<(Address, Vec<u8>)>,
    end: Address,
    snapshot: Option<(usize, Vec<u8>)>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            engine: Engine::new(SEGMENT_BYTES),
            now_ms: 1_000_000,
            wall_ahead_ms: 0,
            epoch: 1,
            seed: 1,
            log: Vec::new(),
            end: SEGMENT_BYTES,
            snapshot: None,
        }
    }

    pub(crate) fn try_run(&mut self, command: Command) -> Result<Reply, Refusal> {
        self.seed += 1;
        let ctx = Context {
            now_ms: self.now_ms,
            wall_ms: self.now_ms.saturating_add_signed(self.wall_ahead_ms),
            seed: self.seed,
            epoch: self.epoch,
        };
        let before = cfg!(debug_assertions).then(|| self.engine.digest());
        if before.is_some() {
            // Every command of every test is first tried in a group that is refused in the end: it
            // must leave nothing behind, neither in the state nor in what follows from it, which
            // the rest of the test sees.
            let nowhere = Command::DeleteQueue(DeleteQueue { queue: QueueId(u32::MAX) });
            let group = Command::Atomic(vec![command.clone(), nowhere]);
            assert!(self.engine.decide(&group, &ctx).is_err());
            assert_eq!(before, Some(self.engine.digest()), "a trial left something: {command:?}");
        }
        let decision = self.engine.decide(&command, &ctx);
        assert_eq!(before, Some(self.engine.digest()), "deciding changed the state: {command:?}");
        let mut decision = decision?;
        if !decision.effects.is_empty() {
            let at = self.end;
            self.end += decision.effects.bytes().len() as u64 + 24;
            self.log.push((at, decision.effects.bytes().to_vec()));
            self.engine.apply(&decision.effects, at);
            decision.reply.place(at);
        }
        Ok(decision.reply)
    }

    pub(crate) fn run(&mut self, command: Command) -> Reply {
        let shown = format!("{command:?}");
        self.try_run(command).unwrap_or_else(|refusal| panic!("{shown} was refused: {refusal:?}"))
    }

    /// Lets time pass and does what it brings.
    pub(crate) fn advance(&mut self, ms: u64) {
        self.now_ms += ms;
        while self.engine.next_due_beside(self.wall_ahead_ms).is_some_and(|due| due <= self.now_ms)
        {
            self.run(Command::Tick);
        }
    }

    /// Ends the process and starts it again from the log: the state must be the same.
    pub(crate) fn restart(&mut self) {
        let digest = self.engine.digest();
        let (from, mut engine) = match &self.snapshot {
            None => (0, Engine::new(SEGMENT_BYTES)),
            Some((from, bytes)) => {
                (*from, Engine::load(&mut bytes.as_slice(), SEGMENT_BYTES).unwrap())
            }
        };
        for (at, record) in &self.log[from..] {
            engine.replay(*at, record).unwrap();
        }
        assert_eq!(engine.digest(), digest, "replay gives another state");
        for segment in 0..=self.end / SEGMENT_BYTES {
            assert_eq!(
                engine.live_bytes(segment),
                self.engine.live_bytes(segment),
                "live bytes of segment {segment}"
            );
        }
        self.engine = engine;
        self.epoch += 1;
    }

    /// Ends the process as a crash does that loses the last record.
    pub(crate) fn crash_losing_last(&mut self) {
        self.log.pop();
        let mut engine = Engine::new(SEGMENT_BYTES);
        for (at, record) in &self.log {
            engine.replay(*at, record).unwrap();
        }
        self.engine = engine;
        self.epoch += 1;
    }

    /// Later restarts begin from here.
    pub(crate) fn take_snapshot(&mut self) {
        let mut bytes = Vec::new();
        self.engine.freeze().write(&mut bytes).unwrap();
        self.snapshot = Some((self.log.len(), bytes));
    }

    pub(crate) fn frame(&self, delivery: &Delivery) -> Frame {
        let (at, record) = self
            .log
            .iter()
            .rfind(|(at, _)| *at <= delivery.frame_at)
            .expect("the frame is in the log");
        let start = (delivery.frame_at - at) as usize;
        let bytes = &record[start..start + delivery.frame_bytes as usize];
        Frame::decode(Bytes::copy_from_slice(bytes)).unwrap()
    }

    pub(crate) fn body(&self, delivery: &Delivery) -> String {
        let content = self.frame(delivery).content().unwrap();
        String::from_utf8(content.body.to_vec()).unwrap()
    }

    // What tests say often.

    pub(crate) fn queue(&mut self, name: &str, config: QueueConfig) -> QueueId {
        let create =
            CreateQueue { name: queue_name(name), config: config.into(), name_reuse_wait_ms: 0 };
        match self.run(Command::CreateQueue(create)) {
            Reply::QueueCreated(info) => info.id,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn send(&mut self, queue: QueueId, body: &str) -> Enqueued {
        self.send_message(message(queue, body))
    }

    pub(crate) fn send_message(&mut self, message: NewMessage) -> Enqueued {
        match self.run(Command::Enqueue(Enqueue { messages: vec![message] })) {
            Reply::Enqueued(results) => results[0].unwrap(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn receive(&mut self, queue: QueueId, max: u32) -> Vec<Delivery> {
        match self.run(acquire(queue, max, Lease::QueueDefault)) {
            Reply::Acquired(deliveries) => deliveries,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn receive_bodies(&mut self, queue: QueueId, max: u32) -> Vec<String> {
        let deliveries = self.receive(queue, max);
        deliveries.iter().map(|delivery| self.body(delivery)).collect()
    }

    pub(crate) fn settle(&mut self, receipt: Receipt, outcome: Outcome) -> Settled {
        let settle = Settle { queue: receipt.queue, items: vec![(receipt, outcome)] };
        match self.run(Command::Settle(settle)) {
            Reply::Settled(results) => results[0],
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn ack(&mut self, delivery: &Delivery) -> Settled {
        self.settle(delivery.receipt, Outcome::Ack)
    }

    pub(crate) fn extend(&mut self, delivery: &Delivery, ms: u64) -> Extended {
        let queue = delivery.receipt.queue;
        match self.run(Command::Extend(Extend { queue, items: vec![(delivery.receipt, ms)] })) {
            Reply::Extended(results) => results[0],
            other => panic!("{other:?}"),
        }
    }

    /// Brings back what is dead and had nowhere to go.
    pub(crate) fn bring_back(&mut self, source: QueueId) {
        if self.stats(source).dead > 0 {
            let (destination, max_per_second) = (None, None);
            let start = StartMoveTask { source, destination, max_per_second };
            // Another may be running.
            let _ = self.try_run(Command::StartMoveTask(start));
            self.advance(0);
        }
    }

    pub(crate) fn stats(&self, queue: QueueId) -> QueueStats {
        match self.engine.query(&Query::Stats(queue)).unwrap() {
            Answer::Stats(stats) => stats,
            other => panic!("{other:?}"),
        }
    }

    /// Ready, delayed, in flight.
    pub(crate) fn counts(&self, queue: QueueId) -> (u64, u64, u64) {
        let stats = self.stats(queue);
        (stats.ready, stats.delayed, stats.in_flight)
    }
}

pub(crate) fn queue_name(name: &str) -> QueueName {
    QueueName { namespace: "000000000000".into(), name: name.into() }
}

pub(crate) fn message(queue: QueueId, body: &str) -> NewMessage {
    NewMessage {
        queues: vec![queue],
        content: Content::of(body.to_owned()).encode(),
        delay_ms: None,
        expires_at_ms: None,
        priority: 0,
        lane: None,
        dedup_id: None,
        unique: None,
    }
}

/// Content with an attribute `dependency`, unless that is empty.
pub(crate) fn depends_on(dependency: &str) -> Bytes {
    let attribute = Attribute {
        name: "dependency".into(),
        data_type: "String".into(),
        value: AttributeValue::Text(dependency.into()),
    };
    let attributes = if dependency.is_empty() { vec![] } else { vec![attribute] };
    Content { attributes, ..Content::of(dependency.to_owned()) }.encode()
}

pub(crate) fn in_lane(queue: QueueId, lane: &str, body: &str) -> NewMessage {
    NewMessage { lane: Some(lane.into()), ..message(queue, body) }
}

pub(crate) fn acquire(queue: QueueId, max_messages: u32, lease: Lease) -> Command {
    Command::Acquire(Acquire { lease, ..Acquire::new(queue, max_messages) })
}

/// With the rules of SQS: four days, counted from the send, and receipts that move any lease.
pub(crate) fn sqs() -> QueueConfig {
    QueueConfig {
        retention_ms: 345_600_000,
        retention_from: RetentionFrom::Sent,
        fencing: Fencing::NONE,
        ..QueueConfig::default()
    }
}

pub(crate) fn fifo() -> QueueConfig {
    QueueConfig { kind: QueueKind::Fifo, ..QueueConfig::default() }
}
