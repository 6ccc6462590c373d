//! The reason why a message is not delivered now.

use kyu_engine::*;
use proptest::prelude::*;

use crate::world::*;

fn explain(w: &mut World, queue: QueueId, seq: Seq) -> Explanation {
    let answer = w.engine.query_at(&Query::Explain(Explain { queue, seq }), w.now_ms).unwrap();
    let Answer::Explained(explanation) = answer else { panic!("{answer:?}") };
    *explanation
}

fn rate(permits: u32, interval_ms: u64, burst: u32) -> Option<RateLimit> {
    Some(RateLimit { permits, interval_ms, burst })
}

fn pause(w: &mut World, queue: QueueId, lane: Option<&str>, paused: bool) {
    let lane = lane.map(str::to_owned);
    w.run(Command::SetPaused(SetPaused { queue, lane, paused, until_ms: None }));
}

#[test]
fn whose_turn_it_is_and_who_stands_behind() {
    let mut w = World::new();
    let queue = w.queue("q", QueueConfig::default());
    for body in ["1", "2", "3"] {
        w.send(queue, body);
    }
    assert_eq!(explain(&mut w, queue, 1).verdict, Verdict::DeliverableNow);
    assert_eq!(explain(&mut w, queue, 3).verdict, Verdict::Behind { ahead: 2, exact: true });
    assert_eq!(explain(&mut w, queue, 4).verdict, Verdict::NeverSent);
    let taken = w.receive(queue, 1);
    w.ack(&taken[0]);
    assert_eq!(explain(&mut w, queue, 1).verdict, Verdict::Gone);
    assert_eq!(explain(&mut w, queue, 2).verdict, Verdict::DeliverableNow);
}

#[test]
fn delays_and_leases_say_when_they_end() {
    let mut w = World::new();
    let queue = w.queue("q", QueueConfig::default());
    w.send_message(NewMessage { delay_ms: Some(400), ..message(queue, "1") });
    let until_ms = w.now_ms + 400;
    let told = explain(&mut w, queue, 1);
    assert_eq!(told.verdict, Verdict::HeldBack);
    assert_eq!(told.reasons, [Reason::Delayed { until_ms }]);
    assert_eq!((told.next_event_ms, told.possible_from_ms), (Some(until_ms), Some(until_ms)));
    w.advance(400);
    w.receive(queue, 1);
    let told = explain(&mut w, queue, 1);
    assert_eq!(told.reasons, [Reason::Leased { delivery: 1, until_ms: w.now_ms + 30_000 }]);
    let events: Vec<_> = told.message.unwrap().timeline;
    assert_eq!(events.len(), 3, "{events:?}");
    assert_eq!(events[0], Event { at_ms: w.now_ms - 400, what: Happened::Enqueued });
    w.send(queue, "2");
    w.run(acquire(queue, 1, Lease::Session(SessionId(8))));
    let told = explain(&mut w, queue, 2);
    assert_eq!(told.reasons, [Reason::HeldBySession { session: SessionId(8), delivery: 1 }]);
    assert_eq!((told.next_event_ms, told.possible_from_ms), (None, None));
}

#[test]
fn all_limits_that_apply_are_told_with_their_numbers() {
    let mut w = World::new();
    let config = QueueConfig {
        max_in_flight: 2,
        rate: rate(1, 10_000, 2),
        lanes: LaneLimits {
            max_in_flight: Some(2),
            rate: rate(1, 500, 2),
            ..LaneLimits::default()
        },
        ..QueueConfig::default()
    };
    let queue = w.queue("q", config);
    for body in ["1", "2", "3"] {
        w.send_message(in_lane(queue, "tenant-7", body));
    }
    w.receive(queue, 2);
    pause(&mut w, queue, Some("tenant-7"), true);
    pause(&mut w, queue, None, true);
    let told = explain(&mut w, queue, 3);
    assert_eq!(
        told.reasons,
        [
            Reason::QueuePaused { until_ms: None },
            Reason::QueueInFlight { in_flight: 2, max_in_flight: 2 },
            Reason::QueueRate { next_token_ms: w.now_ms + 10_000 },
            Reason::LanePaused { until_ms: None },
            Reason::LaneInFlight { in_flight: 2, max_in_flight: 2 },
            Reason::LaneRate { next_token_ms: w.now_ms + 500 },
        ]
    );
    assert_eq!(told.next_event_ms, Some(w.now_ms + 500));
    assert_eq!(told.possible_from_ms, None, "a pause ends by nobody but who ends it");
    assert_eq!(told.message.unwrap().lane.as_deref(), Some("tenant-7"));
}

#[test]
fn a_fifo_message_says_behind_whom_it_waits() {
    let mut w = World::new();
    let queue = w.queue("q", fifo());
    for body in ["1", "2"] {
        w.send_message(in_lane(queue, "g", body));
    }
    assert_eq!(explain(&mut w, queue, 2).verdict, Verdict::Behind { ahead: 1, exact: true });
    w.receive(queue, 1);
    let until_ms = Some(w.now_ms + 30_000);
    assert_eq!(explain(&mut w, queue, 2).reasons, [Reason::BehindInFlight { seq: 1, until_ms }]);
}

#[test]
fn what_the_next_receive_would_not_return_is_told_before_it_goes() {
    let mut w = World::new();
    w.queue("dead", QueueConfig::default());
    let dead_letter = Some(DeadLetter { target: queue_name("dead"), max_receives: 1 });
    let queue = w.queue("q", QueueConfig { dead_letter, ..QueueConfig::default() });
    w.send(queue, "1");
    let since_ms = w.now_ms + 50_000;
    w.send_message(NewMessage { expires_at_ms: Some(since_ms), ..message(queue, "2") });
    w.receive(queue, 1);
    w.advance(30_000);
    let often = Reason::ReceivedTooOften { receives: 1, max_receives: 1 };
    assert_eq!(explain(&mut w, queue, 1).reasons, [often]);
    assert_eq!(explain(&mut w, queue, 2).verdict, Verdict::DeliverableNow);
    w.now_ms += 20_000; // no tick yet
    assert_eq!(explain(&mut w, queue, 2).reasons, [Reason::Expired { since_ms }]);
    assert!(w.receive(queue, 1).is_empty());
    assert_eq!(explain(&mut w, queue, 1).verdict, Verdict::Gone);
}

/// Found by the property below: a message that stands before the one in flight, and behind an
/// urgent one that is stopped by it, was said to be behind others when nobody could be served.
#[test]
fn an_urgent_message_that_is_stopped_stops_those_behind_it() {
    let mut w = World::new();
    let queue = w.queue("q", fifo());
    for priority in [0, 2, 1] {
        w.send_message(NewMessage { priority, ..in_lane(queue, "g", "body") });
    }
    w.receive(queue, 1);
    let until_ms = Some(w.now_ms + 30_000);
    assert_eq!(explain(&mut w, queue, 1).reasons, [Reason::BehindInFlight { seq: 2, until_ms }]);
}

#[derive(Clone, Debug)]
enum Step {
    Send {
        queue: usize,
        lane: u8,
        delay_ms: u64,
        priority: u8,
        expires_ms: Option<u64>,
    },
    Receive {
        queue: usize,
        max: u32,
        order: u8,
        session: bool,
    },
    Settle {
        pick: usize,
        outcome: u8,
    },
    Pause {
        queue: usize,
        lane: Option<u8>,
        paused: bool,
    },
    Configure {
        queue: usize,
        config: usize,
    },
    Time(u64),
    /// Time passes, and no tick has come yet.
    Later(u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let index = || any::<prop::sample::Index>().prop_map(|pick| pick.index(1_000));
    prop_oneof![
        9 => (0..4usize, 0..4u8, prop_oneof![3 => Just(0), 1 => 1..3_000u64], 0..3u8, prop::option::weighted(0.1, 1..4_000u64))
            .prop_map(|(queue, lane, delay_ms, priority, expires_ms)| Step::Send { queue, lane, delay_ms, priority, expires_ms }),
        6 => (0..4usize, 1..4u32, 0..8u8, any::<bool>()).prop_map(|(queue, max, order, session)| Step::Receive { queue, max, order, session }),
        5 => (index(), 0..7u8).prop_map(|(pick, outcome)| Step::Settle { pick, outcome }),
        2 => (0..4usize, prop::option::of(0..4u8), any::<bool>()).prop_map(|(queue, lane, paused)| Step::Pause { queue, lane, paused }),
        2 => (0..4usize, 0..9usize).prop_map(|(queue, config)| Step::Configure { queue, config }),
        4 => (0..4_000u64).prop_map(Step::Time),
        2 => (0..900u64).prop_map(Step::Later),
        1 => Just(Step::Restart),
    ]
}

/// Opens soon, and gives few tokens.
fn guard(key: GuardKey) -> Guard {
    Guard {
        key,
        budget: Some(RetryBudget { earn_percent: 20, floor_per_second: 1, max_tokens: 1 }),
        breaker: Some(Breaker {
            window_ms: 5_000,
            min_attempts: 2,
            failure_percent: 50,
            open_ms: 1_500,
            probes: 1,
            slow_start_percent: 100,
        }),
    }
}

/// Settings that a standard queue of the test may get.
fn settings(number: usize) -> QueueConfig {
    let dead_letter = Some(DeadLetter { target: queue_name("q0"), max_receives: 2 });
    let lanes = LaneLimits {
        max_in_flight: Some(2),
        rate: rate(2, 1_500, 2),
        weights: [("1".to_owned(), 3)].into(),
        ..LaneLimits::default()
    };
    let base = QueueConfig { visibility_timeout_ms: 2_000, ..QueueConfig::default() };
    match number {
        0 => base,
        1 => QueueConfig { lanes, ..base },
        2 => QueueConfig { lanes, fairness: Fairness::Weighted, rate: rate(3, 1_000, 3), ..base },
        3 => QueueConfig { fairness: Fairness::StrictOrder, max_in_flight: 3, ..base },
        4 => QueueConfig { dead_letter, rate: rate(1, 700, 1), ..base },
        5 => {
            let backoff = Backoff::Fixed { delay_ms: 800 };
            let retry = Some(RetryPolicy { backoff, jitter_percent: 0, max_attempts: Some(3) });
            QueueConfig { retry, guard: Some(guard(GuardKey::Queue)), ..base }
        }
        6 => QueueConfig { guard: Some(guard(GuardKey::Lane)), lanes, ..base },
        7 => QueueConfig {
            guard: Some(guard(GuardKey::Attribute)),
            guard_attribute: Some("dependency".into()),
            lanes,
            ..base
        },
        _ => QueueConfig { dead_letter, fairness: Fairness::Weighted, retention_ms: 6_000, ..base },
    }
}

struct Play {
    w: World,
    queues: Vec<QueueId>,
    taken: Vec<Delivery>,
}

impl Play {
    fn new() -> Self {
        let mut w = World::new();
        let config = |n: usize| match n {
            1 => settings(7),
            3 => QueueConfig { kind: QueueKind::Fifo, ..settings(7) },
            n => settings(n),
        };
        let queues = (0..4).map(|n| w.queue(&format!("q{n}"), config(n))).collect();
        Self { w, queues, taken: Vec::new() }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Send { queue, lane, delay_ms, priority, expires_ms } => {
                let lane = (lane > 0 || queue == 3).then(|| lane.to_string());
                let queue = self.queues[queue];
                let expires_at_ms = expires_ms.map(|ms| self.w.now_ms + ms);
                let delay_ms = Some(delay_ms);
                let content = depends_on(["", "a", "b"][self.w.now_ms as usize % 3]);
                let new = NewMessage { content, ..message(queue, "body") };
                self.w.send_message(NewMessage { lane, delay_ms, priority, expires_at_ms, ..new });
            }
            Step::Receive { queue, max, order, session } => {
                let order = match order {
                    0 => Order::LaneByLane,
                    1 => Order::RoundRobin,
                    2 => Order::LaneHeads,
                    _ => Order::OfQueue,
                };
                let lease =
                    if session { Lease::Session(SessionId(1)) } else { Lease::QueueDefault };
                let Command::Acquire(acquire) = acquire(self.queues[queue], max, lease) else {
                    panic!()
                };
                let reply = self.w.try_run(Command::Acquire(Acquire { order, ..acquire }));
                if let Ok(Reply::Acquired(taken)) = reply {
                    self.taken.extend(taken);
                }
            }
            Step::Settle { pick, outcome } => {
                if self.taken.is_empty() {
                    return;
                }
                let delivery = self.taken.swap_remove(pick % self.taken.len());
                let release =
                    |to_tail, delay_ms, counted| Outcome::Release { to_tail, delay_ms, counted };
                let outcome = match outcome {
                    0..=1 => Outcome::Ack,
                    2 => release(false, 0, true),
                    3 => release(true, 400, false),
                    4 => Outcome::Dead,
                    _ => Outcome::Failed { error: "no".into(), delay_ms: None, retry: true },
                };
                self.w.settle(delivery.receipt, outcome);
            }
            Step::Pause { queue, lane, paused } => {
                let lane = lane.map(|lane| lane.to_string());
                pause(&mut self.w, self.queues[queue], lane.as_deref(), paused);
            }
            Step::Configure { queue, config } => {
                let fifo = queue == 3;
                let queue = self.queues[queue];
                let version = self.w.engine.queues().find(|info| info.id == queue).unwrap().version;
                let mut config = settings(config);
                if fifo {
                    config.kind = QueueKind::Fifo;
                    config.fairness = Fairness::QuietFirst;
                }
                let (config, expected_version) = (config.into(), version);
                let configure = ConfigureQueue { queue, config, expected_version };
                self.w.run(Command::ConfigureQueue(configure));
            }
            Step::Time(ms) => self.w.advance(ms),
            Step::Later(ms) => self.w.now_ms += ms,
            Step::Restart => self.w.restart(),
        }
    }

    /// Checks the next receive of each queue against what is said of every message.
    fn check(&mut self) {
        for queue in self.queues.clone() {
            // Only decided, not applied: nothing is received.
            let next = acquire(queue, 1, Lease::QueueDefault);
            let ctx = Context {
                now_ms: self.w.now_ms,
                wall_ms: self.w.now_ms,
                seed: 0,
                epoch: self.w.epoch,
            };
            let next = match self.w.engine.decide(&next, &ctx).map(|decision| decision.reply) {
                Ok(Reply::Acquired(taken)) => taken.first().map(|taken| taken.receipt.seq),
                _ => None,
            };
            let last_seq = self.w.stats(queue).last_seq;
            for seq in 1..=last_seq {
                let told = explain(&mut self.w, queue, seq);
                assert_eq!(
                    told.verdict == Verdict::DeliverableNow,
                    next == Some(seq),
                    "the next receive returns {next:?}, and of {seq} is said: {told:#?}"
                );
                assert_eq!(told.verdict == Verdict::HeldBack, !told.reasons.is_empty());
                assert_ne!(told.verdict, Verdict::NeverSent);
                let gone = told.verdict == Verdict::Gone;
                assert_eq!(gone, told.message.is_none());
                if let Verdict::Behind { ahead, .. } = told.verdict {
                    assert!(ahead > 0 && next.is_some(), "behind nobody: {told:#?}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn deliverable_now_is_said_of_exactly_what_the_next_receive_returns(
        steps in prop::collection::vec(step(), 1..90)
    ) {
        let mut play = Play::new();
        for step in steps {
            play.step(step);
            play.check();
        }
    }
}
