//! The engine without a log: messages enqueued, leased and acknowledged in batches. Prints the
//! CPU cost of each command. `cargo run --release -p kyu-engine --example engine_alone`
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_types)]

use std::time::Instant;

use kyu_engine::*;

const BATCH: usize = 10;
const ROUNDS: usize = 200_000;

fn main() {
    let mut engine = Engine::new(64 << 20);
    let mut end = 0u64;
    let mut run = |command: Command| -> Reply {
        let now_ms = 1_000 + end / 1_000_000;
        let ctx = Context { now_ms, wall_ms: now_ms, seed: end, epoch: 1 };
        let decision = engine.decide(&command, &ctx).unwrap();
        engine.apply(&decision.effects, end);
        end += decision.effects.bytes().len() as u64 + 24;
        decision.reply
    };
    let name = QueueName { namespace: "0".into(), name: "q".into() };
    let create = CreateQueue { name, config: Box::default(), name_reuse_wait_ms: 0 };
    let Reply::QueueCreated(info) = run(Command::CreateQueue(create)) else { panic!() };
    let content = Content::of(vec![b'x'; 1_000]).encode();
    let message = NewMessage {
        queues: vec![info.id],
        content,
        delay_ms: None,
        expires_at_ms: None,
        priority: 0,
        lane: None,
        dedup_id: None,
        unique: None,
    };
    let mut spent = [0.0f64; 3];
    for _ in 0..ROUNDS {
        let start = Instant::now();
        run(Command::Enqueue(Enqueue { messages: vec![message.clone(); BATCH] }));
        spent[0] += start.elapsed().as_secs_f64();
        let start = Instant::now();
        let reply = run(Command::Acquire(Acquire {
            queue: info.id,
            max_messages: BATCH as u32,
            max_bytes: u64::MAX,
            lease: Lease::QueueDefault,
            order: Order::OfQueue,
            attempt_id: None,
            consumer: None,
            with_history: false,
        }));
        spent[1] += start.elapsed().as_secs_f64();
        let Reply::Acquired(deliveries) = reply else { panic!() };
        let items = deliveries.iter().map(|d| (d.receipt, Outcome::Ack)).collect();
        let start = Instant::now();
        run(Command::Settle(Settle { queue: info.id, items }));
        spent[2] += start.elapsed().as_secs_f64();
    }
    let messages = (ROUNDS * BATCH) as f64;
    for (what, seconds) in ["enqueue", "acquire", "settle"].iter().zip(spent) {
        println!("{what:8} {:6.0} ns a message", seconds / messages * 1e9);
    }
    println!("{:.0} messages/s through all three", messages / spent.iter().sum::<f64>());
}
