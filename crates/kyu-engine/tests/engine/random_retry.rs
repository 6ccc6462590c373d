//! Random commands on queues that use retry policies, guards, deadlines, history and fencing:
//! conservation, order in FIFO lanes, replay after each restart, and nothing is held for ever.

use std::collections::{BTreeMap, BTreeSet};

use kyu_engine::*;
use proptest::prelude::*;

use crate::world::*;

#[derive(Clone, Debug)]
enum Step {
    Send { queue: usize, lane: u8, expires_in_ms: Option<u64> },
    Receive { queue: usize, max: u32, lease_ms: u64, session: Option<u8> },
    Settle { pick: prop::sample::Index, outcome: u8 },
    Extend { pick: prop::sample::Index, ms: u64 },
    Group { queue: usize, picks: Vec<prop::sample::Index> },
    EndSession(u8),
    Configure { queue: usize, plain: bool },
    Purge { queue: usize },
    Move,
    Time(u64),
    Restart,
    Snapshot,
}

fn step() -> impl Strategy<Value = Step> {
    use prop::sample::Index;
    prop_oneof![
        10 => (0..3usize, 0..3u8, prop::option::weighted(0.2, 1..9_000u64))
            .prop_map(|(queue, lane, expires_in_ms)| Step::Send { queue, lane, expires_in_ms }),
        10 => (0..4usize, 1..6u32, 0..6_000u64, prop::option::weighted(0.2, 0..3u8))
            .prop_map(|(queue, max, lease_ms, session)| Step::Receive { queue, max, lease_ms, session }),
        12 => (any::<Index>(), 0..7u8).prop_map(|(pick, outcome)| Step::Settle { pick, outcome }),
        2 => (any::<Index>(), prop_oneof![Just(0), 1..9_000u64])
            .prop_map(|(pick, ms)| Step::Extend { pick, ms }),
        3 => (0..3usize, prop::collection::vec(any::<Index>(), 1..4))
            .prop_map(|(queue, picks)| Step::Group { queue, picks }),
        1 => (0..3u8).prop_map(Step::EndSession),
        1 => (0..3usize, any::<bool>()).prop_map(|(queue, plain)| Step::Configure { queue, plain }),
        1 => (0..4usize).prop_map(|queue| Step::Purge { queue }),
        1 => Just(Step::Move),
        5 => (0..6_000u64).prop_map(Step::Time),
        2 => Just(Step::Restart),
        1 => Just(Step::Snapshot),
    ]
}

const FIFO: usize = 1;
const DEAD: usize = 3;

/// `by_attribute`: guards are for the values of an attribute.
fn config(queue: usize, by_attribute: bool) -> QueueConfig {
    let config = config_by_lane(queue);
    let Some(guard) = config.guard.filter(|_| by_attribute) else { return config };
    QueueConfig {
        guard: Some(Guard { key: GuardKey::Attribute, ..guard }),
        guard_attribute: Some("dependency".into()),
        ..config
    }
}

fn config_by_lane(queue: usize) -> QueueConfig {
    let retry = |delays, max_attempts| {
        Some(RetryPolicy {
            backoff: Backoff::List { delays_ms: delays },
            jitter_percent: 50,
            max_attempts,
        })
    };
    let budget = RetryBudget { earn_percent: 50, floor_per_second: 1, max_tokens: 4 };
    let breaker = Breaker {
        window_ms: 20_000,
        min_attempts: 4,
        failure_percent: 60,
        open_ms: 3_000,
        probes: 2,
        slow_start_percent: 100,
    };
    let guard = |key| Some(Guard { key, budget: Some(budget), breaker: Some(breaker) });
    let dead_letter = Some(DeadLetter { target: queue_name("dead"), max_receives: 4 });
    match queue {
        0 => QueueConfig {
            retry: retry(vec![0, 500, 2_000], Some(3)),
            guard: guard(GuardKey::Lane),
            retention_ms: 25_000,
            expired_to: ExpiredTo::DeadLetterQueue,
            dead_letter,
            ..QueueConfig::default()
        },
        FIFO => QueueConfig {
            retry: retry(vec![1_000], None),
            guard: guard(GuardKey::Queue),
            dead_letter,
            ..fifo()
        },
        2 => QueueConfig {
            keep_history: true,
            retention_ms: 30_000,
            expired_to: ExpiredTo::Queue(queue_name("dead")),
            fencing: Fencing { accept_late_acks: true, refuse_stale_extends: true },
            ..QueueConfig::default()
        },
        _ => QueueConfig::default(),
    }
}

struct Auditor {
    w: World,
    queues: Vec<QueueId>,
    receipts: Vec<Delivery>,
    /// Messages sent to the FIFO queue, in order.
    sent: Vec<(Seq, String)>,
    versions: BTreeMap<QueueId, u64>,
    by_attribute: bool,
}

impl Auditor {
    fn new(by_attribute: bool) -> Self {
        let mut w = World::new();
        let names = ["retrying", "ordered", "fenced", "dead"];
        let queues = names.iter().enumerate();
        let queues = queues.map(|(i, name)| w.queue(name, config(i, by_attribute)));
        let queues = queues.collect();
        let (receipts, sent, versions) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { w, queues, receipts, sent, versions, by_attribute }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Send { queue, lane, expires_in_ms } => self.send(queue, lane, expires_in_ms),
            Step::Receive { queue, max, lease_ms, session } => {
                let lease = session.map_or(Lease::For(lease_ms), |s| Lease::Session(session_id(s)));
                let command = self.acquire(queue, max, lease);
                let Reply::Acquired(got) = self.w.run(command) else { panic!() };
                self.received(queue, got);
            }
            Step::Settle { pick, outcome } => self.settle(pick, outcome),
            Step::Extend { pick, ms } => {
                if let Some(delivery) = self.picked(pick) {
                    self.w.extend(&delivery, ms);
                }
            }
            Step::Group { queue, picks } => self.group(queue, &picks),
            Step::EndSession(session) => {
                let session = session_id(session);
                self.w.run(Command::EndSession(EndSession { session }));
            }
            Step::Configure { queue, plain } => self.configure(queue, plain),
            Step::Purge { queue } => {
                let queue = self.queues[queue];
                self.w.run(Command::PurgeQueue(PurgeQueue { queue, cooldown_ms: 0 }));
            }
            Step::Move => {
                let (source, destination) = (self.queues[DEAD], Some(self.queues[2]));
                let start = StartMoveTask { source, destination, max_per_second: Some(3) };
                let _ = self.w.try_run(Command::StartMoveTask(start));
            }
            Step::Time(ms) => self.w.advance(ms),
            Step::Restart => self.w.restart(),
            Step::Snapshot => self.w.take_snapshot(),
        }
        self.check();
    }

    fn send(&mut self, queue: usize, lane: u8, expires_in_ms: Option<u64>) {
        let fifo = queue == FIFO;
        let lane = (lane > 0 || fifo).then(|| format!("lane {lane}"));
        let expires_at_ms = expires_in_ms.map(|ms| self.w.now_ms + ms);
        let new = message(self.queues[queue], "x");
        let content = depends_on(["", "a", "b"][self.w.now_ms as usize % 3]);
        let new = NewMessage { lane: lane.clone(), expires_at_ms, content, ..new };
        let seq = self.w.send_message(new).seq;
        if fifo {
            self.sent.push((seq, lane.unwrap()));
        }
    }

    fn acquire(&self, queue: usize, max_messages: u32, lease: Lease) -> Command {
        let consumer = Some(format!("consumer {max_messages}"));
        let acquire = Acquire::new(self.queues[queue], max_messages);
        Command::Acquire(Acquire { lease, consumer, with_history: true, ..acquire })
    }

    fn received(&mut self, queue: usize, deliveries: Vec<Delivery>) {
        let mut before = BTreeSet::new();
        for delivery in deliveries {
            assert!(delivery.past_attempts.len() <= limits::MAX_ATTEMPTS_KEPT);
            if queue == FIFO {
                self.check_lane(delivery.receipt.seq, &before);
                before.insert(delivery.receipt.seq);
            }
            self.receipts.push(delivery);
        }
    }

    /// Every earlier message of the lane is gone, or came before this one in the same answer.
    fn check_lane(&self, seq: Seq, before: &BTreeSet<Seq>) {
        // One that was brought back from the dead letters has a new number, behind all.
        let Some((_, lane)) = self.sent.iter().find(|(at, _)| *at == seq) else { return };
        let earlier = self.sent.iter().filter(|(at, of)| *at < seq && of == lane);
        for (at, _) in earlier {
            let query = Query::History(HistoryOf { queue: self.queues[FIFO], seq: *at });
            let Ok(Answer::History(there)) = self.w.engine.query(&query) else { panic!() };
            // One past its time is passed over, until the next tick takes it away.
            let late = self.w.engine.next_due_ms().is_some_and(|due_ms| due_ms <= self.w.now_ms);
            let gone = there.is_none() || late;
            assert!(gone || before.contains(at), "{lane}: {seq} came before {at}: {there:?}");
        }
    }

    fn picked(&self, pick: prop::sample::Index) -> Option<Delivery> {
        (!self.receipts.is_empty()).then(|| pick.get(&self.receipts).clone())
    }

    fn settle(&mut self, pick: prop::sample::Index, outcome: u8) {
        let Some(delivery) = self.picked(pick) else { return };
        let fifo = delivery.receipt.queue == self.queues[FIFO];
        let failed = |delay_ms, retry| Outcome::Failed { error: "e".repeat(300), delay_ms, retry };
        let outcome = match outcome {
            0..=1 => Outcome::Ack,
            2 => Outcome::Release { to_tail: !fifo, delay_ms: 0, counted: true },
            3 => Outcome::Release { to_tail: false, delay_ms: 0, counted: false },
            4 => failed(Some(700), true),
            5 => failed(None, true),
            _ => failed(None, false),
        };
        self.w.settle(delivery.receipt, outcome);
    }

    fn group(&mut self, queue: usize, picks: &[prop::sample::Index]) {
        let settles = picks.iter().filter_map(|pick| self.picked(*pick)).map(|delivery| {
            let failed = Outcome::Failed { error: "group".into(), delay_ms: None, retry: true };
            let outcome = if delivery.receipt.seq % 2 == 0 { Outcome::Ack } else { failed };
            let items = vec![(delivery.receipt, outcome)];
            Command::Settle(Settle { queue: delivery.receipt.queue, items })
        });
        let mut group: Vec<Command> = settles.collect();
        group.push(self.acquire(queue, 2, Lease::For(1_000)));
        let Ok(Reply::Atomic(replies)) = self.w.try_run(Command::Atomic(group)) else { return };
        let Some(Reply::Acquired(got)) = replies.last() else { panic!() };
        self.received(queue, got.clone());
    }

    /// With and without its guard.
    fn configure(&mut self, queue: usize, plain: bool) {
        let id = self.queues[queue];
        let version = self.versions.entry(id).or_insert(1);
        let mut config = config(queue, self.by_attribute);
        if plain {
            (config.guard, config.guard_attribute) = (None, None);
        }
        let config = Box::new(config);
        let expected_version = *version;
        *version += 1;
        let configure = ConfigureQueue { queue: id, config, expected_version };
        self.w.run(Command::ConfigureQueue(configure));
    }

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
            let dead = t.dead_by_receives + t.dead_by_rejection;
            let dead = dead + t.dead_by_deadline + t.dead_by_retention;
            assert!(dead <= t.moved_out && t.expired_by_deadline <= t.expired);
            assert!(stats.held <= stats.delayed && t.late_acks <= t.stale_acks);
        }
    }

    /// Whatever was held comes out in the end.
    fn drain(&mut self) {
        self.w.restart();
        for session in 0..3 {
            self.step(Step::EndSession(session));
        }
        for _ in 0..100 {
            self.w.advance(6_000);
            for (index, queue) in self.queues.clone().into_iter().enumerate() {
                self.w.bring_back(queue);
                let got = self.w.receive(queue, 1_000);
                self.received(index, got.clone());
                for delivery in got {
                    assert_eq!(self.w.ack(&delivery), Settled::Done);
                }
            }
            self.check();
        }
        for queue in &self.queues {
            assert_eq!(self.w.counts(*queue), (0, 0, 0), "messages are stuck in {queue:?}");
        }
        self.w.advance(400_000);
        self.w.restart();
        self.w.advance(0);
        // A watch may come too early once, as that for the retention of what is gone.
        let soon_ms = self.w.now_ms + 3_600_000;
        assert!(self.w.engine.next_due_ms().is_none_or(|due_ms| due_ms > soon_ms));
    }
}

fn session_id(session: u8) -> SessionId {
    SessionId(u64::from(session))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn retries_deadlines_and_guards_lose_double_and_hold_nothing(
        steps in prop::collection::vec(step(), 1..150),
        by_attribute in any::<bool>(),
    ) {
        let mut auditor = Auditor::new(by_attribute);
        for step in steps {
            auditor.step(step);
        }
        auditor.drain();
    }
}
