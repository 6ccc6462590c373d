//! Random commands against an auditor: conservation, order, fencing, and replay after each step.

use std::collections::{BTreeMap, BTreeSet};

use kyu_engine::*;
use proptest::prelude::*;

use crate::ledger::{claim, claimed, complete};
use crate::limit_audit::{self, LimitAudit};
use crate::timer_audit;
use crate::world::*;

#[derive(Clone, Debug)]
enum Step {
    Send { queue: usize, lane: u8, delay_ms: u64, dedup: Option<u8>, priority: u8 },
    SendUnique { key: u8, delay_ms: u64, replace: bool },
    FanOut { lane: u8 },
    Receive { queue: usize, max: u32, lease_ms: u64 },
    Settle { pick: usize, outcome: u8 },
    Extend { pick: usize, ms: u64 },
    Group { queue: usize, pick: usize },
    Purge { queue: usize },
    Pause { lane: Option<u8>, paused: bool },
    Claim { key: u8 },
    Complete { key: u8, with_group: bool },
    Move,
    Intervene { queue: usize, seqs: Vec<u64>, action: u8 },
    Time(u64),
    Restart,
    Snapshot,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (prop_oneof![2 => 0..3usize, 1 => Just(4)], 0..3u8, prop_oneof![3 => Just(0), 1 => 1..5_000u64], prop::option::of(0..4u8), 0..2u8)
            .prop_map(|(queue, lane, delay_ms, dedup, priority)| Step::Send { queue, lane, delay_ms, dedup, priority }),
        4 => (0..3u8, prop_oneof![3 => Just(0), 1 => 1..5_000u64], any::<bool>())
            .prop_map(|(key, delay_ms, replace)| Step::SendUnique { key, delay_ms, replace }),
        2 => (0..3u8).prop_map(|lane| Step::FanOut { lane }),
        10 => (0..5usize, 1..5u32, 0..6_000u64).prop_map(|(queue, max, lease_ms)| Step::Receive { queue, max, lease_ms }),
        8 => (any::<prop::sample::Index>(), 0..5u8).prop_map(|(pick, outcome)| Step::Settle { pick: pick.index(1_000), outcome }),
        2 => (any::<prop::sample::Index>(), 0..9_000u64).prop_map(|(pick, ms)| Step::Extend { pick: pick.index(1_000), ms }),
        2 => (prop_oneof![2 => 0..3usize, 1 => Just(4)], any::<prop::sample::Index>()).prop_map(|(queue, pick)| Step::Group { queue, pick: pick.index(1_000) }),
        1 => (0..5usize).prop_map(|queue| Step::Purge { queue }),
        1 => (prop::option::of(0..3u8), any::<bool>()).prop_map(|(lane, paused)| Step::Pause { lane, paused }),
        3 => (0..3u8).prop_map(|key| Step::Claim { key }),
        3 => (0..3u8, any::<bool>()).prop_map(|(key, with_group)| Step::Complete { key, with_group }),
        1 => Just(Step::Move),
        3 => (0..5usize, prop::collection::vec(1..60u64, 1..4), 0..6u8)
            .prop_map(|(queue, seqs, action)| Step::Intervene { queue, seqs, action }),
        4 => (0..8_000u64).prop_map(Step::Time),
        1 => Just(Step::Restart),
        1 => Just(Step::Snapshot),
    ]
}

/// An observer that checks commands against their replies.
struct Auditor {
    w: World,
    queues: Vec<QueueId>,
    receipts: Vec<Delivery>,
    /// Leases of the FIFO queue that run, by sequence number: lane and end.
    held: BTreeMap<Seq, (Option<String>, UnixMs)>,
    /// The fifth queue.
    limited: LimitAudit,
    /// Messages of the FIFO queue whose place is not that of their sequence number.
    out_of_order: BTreeSet<Seq>,
    bodies: BTreeMap<MessageId, String>,
    next_body: u32,
    /// The last claim of each key that was granted, its end, and whether it was completed.
    claims: BTreeMap<u8, Granted>,
    holders: u32,
    /// Unique keys of messages sent to the first queue.
    unique: BTreeMap<MessageId, u8>,
}

#[derive(Clone, Copy)]
struct Granted {
    token: u64,
    until_ms: UnixMs,
    done_until_ms: Option<UnixMs>,
}

impl Auditor {
    fn new() -> Self {
        let mut w = World::new();
        let dead = w.queue("dead", QueueConfig::default());
        let rule = DeadLetter { target: queue_name("dead"), max_receives: 3 };
        let plain =
            w.queue("plain", QueueConfig { retention_ms: 40_000, ..QueueConfig::default() });
        let lettered =
            w.queue("lettered", QueueConfig { dead_letter: Some(rule), ..QueueConfig::default() });
        let ordered = w.queue("ordered", QueueConfig { dedup_window_ms: 6_000, ..fifo() });
        let limited = w.queue("limited", limit_audit::config());
        timer_audit::begin(&mut w);
        Self {
            w,
            queues: vec![plain, lettered, ordered, dead, limited],
            receipts: Vec::new(),
            held: BTreeMap::new(),
            limited: LimitAudit::default(),
            out_of_order: BTreeSet::new(),
            bodies: BTreeMap::new(),
            next_body: 0,
            claims: BTreeMap::new(),
            holders: 0,
            unique: BTreeMap::new(),
        }
    }

    fn new_message(&mut self, queues: Vec<QueueId>, lane: u8) -> NewMessage {
        self.next_body += 1;
        let ordered = queues.contains(&self.queues[2]);
        let lane = (lane > 0 || ordered).then(|| format!("lane {lane}"));
        NewMessage { lane, queues, ..message(self.queues[0], &self.next_body.to_string()) }
    }

    fn sent(&mut self, enqueued: Enqueued) {
        let body = self.next_body.to_string();
        if !enqueued.duplicate {
            let twice = self.bodies.insert(enqueued.message_id, body);
            assert_eq!(twice, None, "a message id was used twice");
        } else {
            assert!(
                self.bodies.contains_key(&enqueued.message_id),
                "duplicate of an unknown message"
            );
        }
    }

    fn received(&mut self, delivery: Delivery) {
        let frame = self.w.frame(&delivery);
        assert_eq!(self.w.body(&delivery), self.bodies[&frame.message_id]);
        let held = self.receipts.iter().filter(|old| {
            old.receipt.queue == delivery.receipt.queue && old.receipt.seq == delivery.receipt.seq
        });
        for old in held {
            assert!(
                (old.receipt.epoch, old.receipt.delivery)
                    < (delivery.receipt.epoch, delivery.receipt.delivery),
                "a delivery number did not rise"
            );
        }
        self.receipts.push(delivery);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Send { queue, lane, delay_ms, dedup, priority } => {
                let queue = self.queues[queue];
                let new = self.new_message(vec![queue], lane);
                let dedup_id = dedup.map(|id| id.to_string());
                let new = NewMessage { delay_ms: Some(delay_ms), dedup_id, priority, ..new };
                let enqueued = self.w.send_message(new);
                if priority > 0 || delay_ms > 0 {
                    self.out_of_order.insert(enqueued.seq);
                }
                self.sent(enqueued);
            }
            Step::SendUnique { key, delay_ms, replace } => self.send_unique(key, delay_ms, replace),
            Step::FanOut { lane } => {
                let new = self.new_message(self.queues.clone(), lane);
                let enqueued = self.w.send_message(new);
                self.sent(enqueued);
            }
            Step::Receive { queue, max, lease_ms } => self.receive(queue, max, lease_ms),
            Step::Settle { pick, outcome } => self.settle(pick, outcome),
            Step::Extend { pick, ms } => {
                if let Some(delivery) = self.picked(pick)
                    && self.w.extend(&delivery, ms) == Extended::Done
                {
                    let until_ms = self.w.now_ms + ms;
                    if delivery.receipt.queue == self.queues[4] && ms > 0 {
                        self.limited.extended(delivery.receipt.seq, until_ms);
                        return self.check();
                    }
                    self.unheld(&delivery.receipt);
                    if delivery.receipt.queue == self.queues[2] && ms > 0 {
                        let lane = self.w.frame(&delivery).lane;
                        self.held.insert(delivery.receipt.seq, (lane, until_ms));
                    }
                }
            }
            Step::Group { queue, pick } => self.group(queue, pick),
            Step::Purge { queue } => {
                let queue = self.queues[queue];
                self.w.run(Command::PurgeQueue(PurgeQueue { queue, cooldown_ms: 0 }));
                if queue == self.queues[2] {
                    self.held.clear();
                } else if queue == self.queues[4] {
                    self.limited.purged();
                }
            }
            Step::Pause { lane, paused } => {
                self.pause(lane.map(|lane| format!("lane {lane}")), paused);
            }
            Step::Claim { key } => self.claim(key),
            Step::Complete { key, with_group } => self.complete(key, with_group),
            Step::Move => {
                let start = StartMoveTask {
                    source: self.queues[3],
                    destination: Some(self.queues[1]),
                    max_per_second: Some(2),
                };
                let _ = self.w.try_run(Command::StartMoveTask(start));
            }
            Step::Intervene { queue, seqs, action } => self.intervene(queue, seqs, action),
            Step::Time(ms) => self.w.advance(ms),
            Step::Restart => self.w.restart(),
            Step::Snapshot => self.w.take_snapshot(),
        }
        self.check();
    }

    /// Nothing that somebody works on is touched, and the rest does as it is told.
    fn intervene(&mut self, queue: usize, seqs: Vec<u64>, action: u8) {
        let id = self.queues[queue];
        let action = match action {
            0 => Intervention::Cancel { in_flight: false },
            1 => Intervention::RunNow,
            2 => Intervention::Postpone(self.w.now_ms + 3_000),
            3 => Intervention::Prioritise(1),
            // A FIFO queue and the limited one are audited by what is sent to them.
            4 => Intervention::MoveTo(self.queues[3]),
            _ => Intervention::MoveBack,
        };
        let messages = seqs.iter().map(|seq| Chosen { seq: *seq, deliveries: None }).collect();
        let before = self.w.stats(id).in_flight;
        let intervene = Intervene { queue: id, messages, action };
        let Reply::Intervened(results) = self.w.run(Command::Intervene(intervene)) else {
            panic!()
        };
        assert_eq!(results.len(), seqs.len());
        assert_eq!(self.w.stats(id).in_flight, before, "a message was taken from under its worker");
        self.out_of_order.extend(seqs);
    }

    fn send_unique(&mut self, key: u8, delay_ms: u64, replace: bool) {
        let policy = if replace { UniquePolicy::Replace } else { UniquePolicy::Keep };
        let new = self.new_message(vec![self.queues[0]], 0);
        let unique = Unique { key: key.to_string(), scope: UniqueScope::UntilDone, policy };
        let new = NewMessage { unique: Some(Box::new(unique)), delay_ms: Some(delay_ms), ..new };
        let there = self.ready_with_key(key);
        let enqueued = self.w.send_message(new);
        self.sent(enqueued);
        if enqueued.duplicate {
            assert_eq!(self.unique.get(&enqueued.message_id), Some(&key));
            assert!(!replace || enqueued.duplicate_of == Some(DuplicateOf::UniqueInFlight));
        } else {
            assert!(there.is_none() || there == enqueued.replaced, "its holder is still there");
            self.unique.insert(enqueued.message_id, key);
        }
    }

    /// The ready message of the first queue that came in with a key: never more than one.
    fn ready_with_key(&self, key: u8) -> Option<MessageId> {
        let peek = Query::Peek(Peek { queue: self.queues[0], max_messages: 1_000 });
        let Answer::Peeked(ready) = self.w.engine.query(&peek).unwrap() else { panic!() };
        let ids = ready.iter().map(|delivery| self.w.frame(delivery).message_id);
        let with_key: Vec<_> = ids.filter(|id| self.unique.get(id) == Some(&key)).collect();
        assert!(with_key.len() <= 1, "two messages with one key: {with_key:?}");
        with_key.first().copied()
    }

    /// A claim is never given to two live holders, and what is done stays done.
    fn claim(&mut self, key: u8) {
        self.holders += 1;
        let holder = self.holders.to_string();
        let claimed = claimed(&mut self.w, claim(&key.to_string(), "input", &holder));
        let now_ms = self.w.now_ms;
        let before = self.claims.get(&key).copied();
        match claimed {
            Claimed::Run { token, until_ms } => {
                if let Some(before) = before {
                    assert!(token > before.token, "a token did not rise");
                    let free_at_ms = before.done_until_ms.unwrap_or(before.until_ms);
                    assert!(free_at_ms <= now_ms, "done or held, and given away");
                }
                self.claims.insert(key, Granted { token, until_ms, done_until_ms: None });
            }
            Claimed::AlreadyDone { token, result, .. } => {
                let before = before.expect("done by somebody");
                assert_eq!((token, &*result), (before.token, token.to_string().as_bytes()));
                assert!(before.done_until_ms.is_some_and(|until_ms| until_ms > now_ms));
            }
            Claimed::HeldBySomebodyElse { .. } => {
                let before = before.expect("held by somebody");
                assert!(before.done_until_ms.is_none() && before.until_ms > now_ms);
            }
            Claimed::KeyReusedWithOtherInput => panic!("all have the same input"),
        }
    }

    fn complete(&mut self, key: u8, with_group: bool) {
        let Some(granted) = self.claims.get(&key).copied() else { return };
        let mut command = complete(&key.to_string(), granted.token, &granted.token.to_string());
        if with_group {
            let new = self.new_message(vec![self.queues[0]], 0);
            let enqueue = Command::Enqueue(Enqueue { messages: vec![new] });
            command = Command::Atomic(vec![enqueue, command]);
        }
        let Ok(reply) = self.w.try_run(command) else { return };
        if let Reply::Atomic(replies) = &reply {
            let Reply::Enqueued(results) = &replies[0] else { panic!() };
            self.sent(results[0].unwrap());
        }
        if granted.done_until_ms.is_none() {
            let done_until_ms = Some(self.w.now_ms + 60_000);
            self.claims.insert(key, Granted { done_until_ms, ..granted });
        }
    }

    fn picked(&self, pick: usize) -> Option<Delivery> {
        (!self.receipts.is_empty()).then(|| self.receipts[pick % self.receipts.len()].clone())
    }

    fn receive(&mut self, queue: usize, max: u32, lease_ms: u64) {
        let queue = self.queues[queue];
        let reply = self.w.run(acquire(queue, max, Lease::For(lease_ms)));
        let Reply::Acquired(deliveries) = reply else { panic!("{reply:?}") };
        self.leased(queue, deliveries, lease_ms);
    }

    /// No message of the FIFO queue passes one of its lane that is in flight, and the messages of
    /// one lane come in order.
    fn leased(&mut self, queue: QueueId, deliveries: Vec<Delivery>, lease_ms: u64) {
        if queue == self.queues[2] {
            let now_ms = self.w.now_ms;
            self.held.retain(|_, (_, until_ms)| *until_ms > now_ms);
            let held = self.held.clone();
            let mut last: BTreeMap<Option<String>, Seq> = BTreeMap::new();
            for delivery in &deliveries {
                let (lane, seq) = (self.w.frame(delivery).lane, delivery.receipt.seq);
                if !self.out_of_order.contains(&seq) {
                    let before = held.iter().find(|(at, (of, _))| {
                        **at < seq && *of == lane && !self.out_of_order.contains(at)
                    });
                    assert_eq!(before, None, "{lane:?} is locked");
                    let before = last.insert(lane.clone(), seq);
                    assert!(before.is_none_or(|before| before < seq), "{lane:?} out of order");
                }
                self.held.insert(seq, (lane, now_ms + lease_ms));
            }
        }
        for delivery in deliveries {
            if queue == self.queues[4] {
                let (lane, seq) = (self.w.frame(&delivery).lane, delivery.receipt.seq);
                self.limited.delivered(self.w.now_ms, lane, seq, lease_ms);
            }
            self.received(delivery);
        }
    }

    fn pause(&mut self, lane: Option<String>, paused: bool) {
        self.limited.paused(lane.as_deref(), paused);
        let queue = self.queues[4];
        self.w.run(Command::SetPaused(SetPaused { queue, lane, paused, until_ms: None }));
    }

    fn settle(&mut self, pick: usize, outcome: u8) {
        let Some(delivery) = self.picked(pick) else { return };
        let release = |to_tail, delay_ms, counted| Outcome::Release { to_tail, delay_ms, counted };
        let outcome = match outcome {
            0..=1 => Outcome::Ack,
            2 => release(false, 0, true),
            3 => release(true, 700, false),
            _ => Outcome::Dead,
        };
        let settled = self.w.settle(delivery.receipt, outcome.clone());
        let newest = self
            .receipts
            .iter()
            .filter(|d| {
                d.receipt.queue == delivery.receipt.queue && d.receipt.seq == delivery.receipt.seq
            })
            .map(|d| (d.receipt.epoch, d.receipt.delivery))
            .max();
        if settled == Settled::Done {
            let mine = (delivery.receipt.epoch, delivery.receipt.delivery);
            assert_eq!(newest, Some(mine), "a stale receipt decided");
            self.unheld(&delivery.receipt);
            if matches!(outcome, Outcome::Release { to_tail: true, .. }) {
                self.out_of_order.insert(delivery.receipt.seq);
            }
        }
    }

    fn group(&mut self, queue: usize, pick: usize) {
        let Some(delivery) = self.picked(pick) else { return };
        let new = self.new_message(vec![self.queues[queue]], 1);
        let settle =
            Settle { queue: delivery.receipt.queue, items: vec![(delivery.receipt, Outcome::Ack)] };
        let group = vec![
            Command::Enqueue(Enqueue { messages: vec![new] }),
            acquire(self.queues[queue], 2, Lease::For(1_000)),
            Command::Settle(settle),
        ];
        let Ok(Reply::Atomic(replies)) = self.w.try_run(Command::Atomic(group)) else { return };
        let [Reply::Enqueued(sent), Reply::Acquired(received), _] = &replies[..] else { panic!() };
        self.sent(sent[0].unwrap());
        self.unheld(&delivery.receipt);
        self.leased(self.queues[queue], received.clone(), 1_000);
    }

    fn unheld(&mut self, receipt: &Receipt) {
        if receipt.queue == self.queues[2] {
            self.held.remove(&receipt.seq);
        } else if receipt.queue == self.queues[4] {
            self.limited.ended(receipt.seq);
        }
    }

    /// Every message that came into a queue is there or went out once.
    fn check(&self) {
        for queue in &self.queues {
            let Answer::Totals(t) = self.w.engine.query(&Query::Totals(*queue)).unwrap() else {
                panic!()
            };
            let stats = self.w.stats(*queue);
            let there = stats.ready + stats.delayed + stats.in_flight + stats.dead;
            let gone =
                t.acked + t.expired + t.dropped + t.rejected + t.moved_out + t.purged + t.cancelled;
            assert_eq!(t.sent + t.moved_in, there + gone, "conservation in {queue:?}");
        }
        timer_audit::check(&self.w);
    }

    /// Lets everything become ready, receives it all, and ends with nothing live.
    fn drain(&mut self) {
        self.w.restart();
        timer_audit::end(&mut self.w);
        for lane in [None, Some(0), Some(1), Some(2)] {
            self.pause(lane.map(|lane| format!("lane {lane}")), false);
        }
        for _ in 0..200 {
            self.w.advance(6_000);
            for queue in self.queues.clone() {
                self.w.bring_back(queue);
                for delivery in self.w.receive(queue, 1_000) {
                    self.received(delivery.clone());
                    assert_eq!(self.w.ack(&delivery), Settled::Done);
                }
            }
            self.check();
        }
        for queue in self.queues.clone() {
            assert_eq!(self.w.counts(queue), (0, 0, 0), "messages are stuck in {queue:?}");
        }
        let last = self.w.log.last().map_or(0, |(at, _)| at / SEGMENT_BYTES);
        for segment in 0..=last {
            assert_eq!(self.w.engine.live_bytes(segment), 0, "segment {segment} is pinned");
        }
        self.w.restart();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn nothing_is_lost_doubled_or_stuck(steps in prop::collection::vec(step(), 1..120)) {
        let mut auditor = Auditor::new();
        for step in steps {
            auditor.step(step);
        }
        auditor.drain();
    }
}
