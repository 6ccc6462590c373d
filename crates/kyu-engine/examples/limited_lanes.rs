//! 100,000 lanes that may give nothing, ten messages in each, and what a receive costs then. Prints
//! the CPU cost of each step. `cargo run --release -p kyu-engine --example limited_lanes`
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_types)]

use std::time::Instant;

use kyu_engine::*;

const LANES: usize = 100_000;
const MESSAGES: usize = 10;
const ROUNDS: usize = 20_000;

struct Run {
    engine: Engine,
    end: u64,
    now_ms: u64,
}

impl Run {
    fn run(&mut self, command: Command) -> Reply {
        let ctx = Context { now_ms: self.now_ms, wall_ms: self.now_ms, seed: self.end, epoch: 1 };
        let decision = self.engine.decide(&command, &ctx).unwrap();
        if !decision.effects.is_empty() {
            self.engine.apply(&decision.effects, self.end);
            self.end += decision.effects.bytes().len() as u64 + 24;
        }
        decision.reply
    }

    fn receive(&mut self, queue: QueueId, max: u32) -> Vec<Delivery> {
        match self.run(Command::Acquire(Acquire::new(queue, max))) {
            Reply::Acquired(deliveries) => deliveries,
            other => panic!("{other:?}"),
        }
    }
}

fn main() {
    let rate = RateLimit { permits: 1, interval_ms: 3_600_000, burst: 1 };
    let in_flight = LaneLimits { max_in_flight: Some(1), ..LaneLimits::default() };
    measure("at their limit in flight", in_flight);
    measure("out of tokens", LaneLimits { rate: Some(rate), ..LaneLimits::default() });
}

fn measure(what: &str, lanes: LaneLimits) {
    let mut run = Run { engine: Engine::new(64 << 20), end: 0, now_ms: 1_000 };
    let name = QueueName { namespace: "0".into(), name: "q".into() };
    let visibility_timeout_ms = 43_200_000;
    let config = QueueConfig {
        lanes,
        max_in_flight: 1 << 20,
        visibility_timeout_ms,
        ..QueueConfig::default()
    };
    let create = CreateQueue { name, config: config.into(), name_reuse_wait_ms: 0 };
    let Reply::QueueCreated(info) = run.run(Command::CreateQueue(create)) else { panic!() };
    let new = |lane: Option<usize>| NewMessage {
        lane: lane.map(|lane| format!("tenant-{lane}")),
        ..NewMessage::new(info.id, Content::of(vec![b'x'; 100]).encode())
    };
    let start = Instant::now();
    for _ in 0..MESSAGES {
        for first in (0..LANES).step_by(1_000) {
            let messages = (first..first + 1_000).map(|lane| new(Some(lane))).collect();
            run.run(Command::Enqueue(Enqueue { messages }));
        }
    }
    let per_message = start.elapsed().as_secs_f64() / (LANES * MESSAGES) as f64;
    println!("{LANES} lanes {what}:\n  enqueue            {:6.0} ns a message", per_message * 1e9);
    let start = Instant::now();
    let mut leased = 0;
    while leased < LANES {
        leased += run.receive(info.id, 1_000).len();
    }
    println!("  first of each lane {:6.0} ns", start.elapsed().as_secs_f64() / LANES as f64 * 1e9);
    let start = Instant::now();
    for _ in 0..ROUNDS {
        assert!(run.receive(info.id, 10).is_empty());
    }
    println!("  receive of nothing {:6.0} ns", start.elapsed().as_secs_f64() / ROUNDS as f64 * 1e9);
    let mut spent = 0.0;
    for _ in 0..ROUNDS {
        run.run(Command::Enqueue(Enqueue { messages: vec![new(None)] }));
        let start = Instant::now();
        let taken = run.receive(info.id, 10);
        spent += start.elapsed().as_secs_f64();
        assert_eq!(taken.len(), 1);
        let items = vec![(taken[0].receipt, Outcome::Ack)];
        run.run(Command::Settle(Settle { queue: info.id, items }));
    }
    println!("  receive of one     {:6.0} ns", spent / ROUNDS as f64 * 1e9);
    run.now_ms += 3_600_000;
    let start = Instant::now();
    run.run(Command::Tick);
    println!("  tick after an hour {:6.1} ms", start.elapsed().as_secs_f64() * 1e3);
}
