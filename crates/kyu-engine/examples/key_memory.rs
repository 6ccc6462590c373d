//! Measures the RAM that a remembered key takes, by the growth of the resident set over a million
//! keys of 24 bytes: `cargo run --release -p kyu-engine --example key_memory dedup` (or `unique`,
//! `ledger`).
#![allow(clippy::unwrap_used, clippy::panic)]

use bytes::Bytes;
use kyu_engine::*;

const KEYS: u64 = 1_000_000;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("dedup") => measure(|message, key| NewMessage { dedup_id: Some(key), ..message }),
        Some("unique") => measure(|message, key| {
            let (scope, policy) = (UniqueScope::For(86_400_000), UniquePolicy::Keep);
            NewMessage { unique: Some(Box::new(Unique { key, scope, policy })), ..message }
        }),
        _ => measure_claims(),
    }
}

fn measure_claims() {
    let mut engine = Engine::new(1 << 26);
    let before = resident_bytes();
    for number in 0..KEYS {
        let claim = LedgerClaim {
            key: LedgerKey { namespace: "000000000000".into(), key: format!("{number:024}") },
            fingerprint: Bytes::from_static(&[7; 32]),
            lease_ms: 60_000,
            holder: "worker".into(),
        };
        run(&mut engine, &Command::Ledger(LedgerCommand::Claim(claim)), number);
    }
    println!("{} bytes a claim", (resident_bytes() - before) / KEYS);
}

/// Sends and acknowledges a million messages; what stays are their keys.
fn measure(with_key: impl Fn(NewMessage, String) -> NewMessage) {
    let mut engine = Engine::new(1 << 26);
    let config = QueueConfig { dedup_window_ms: 30 * 86_400_000, ..QueueConfig::default() };
    let name = QueueName { namespace: "n".into(), name: "q".into() };
    let create = CreateQueue { name, config: config.into(), name_reuse_wait_ms: 0 };
    run(&mut engine, &Command::CreateQueue(create), 1);
    let queue = engine.queues().next().unwrap().id;
    let plain = NewMessage {
        queues: vec![queue],
        content: Content::of("x").encode(),
        delay_ms: None,
        expires_at_ms: None,
        priority: 0,
        lane: None,
        dedup_id: None,
        unique: None,
    };
    let before = resident_bytes();
    for batch in 0..KEYS / 100 {
        let messages =
            (0..100).map(|i| with_key(plain.clone(), format!("{:024}", batch * 100 + i)));
        let messages = messages.collect();
        run(&mut engine, &Command::Enqueue(Enqueue { messages }), 2 * batch);
        let acquire = Acquire::new(queue, 100);
        let reply = run(&mut engine, &Command::Acquire(acquire), 2 * batch + 1);
        let Reply::Acquired(deliveries) = reply else { panic!() };
        let items = deliveries.iter().map(|delivery| (delivery.receipt, Outcome::Ack)).collect();
        run(&mut engine, &Command::Settle(Settle { queue, items }), 2 * batch + 1);
    }
    println!("{} bytes a key", (resident_bytes() - before) / KEYS);
}

fn run(engine: &mut Engine, command: &Command, step: u64) -> Reply {
    let now_ms = 1_000_000 + step / 1_000;
    let ctx = Context { now_ms, wall_ms: now_ms, seed: step, epoch: 1 };
    let decision = engine.decide(command, &ctx).unwrap();
    engine.apply(&decision.effects, (1 << 20) + step * 4_096);
    decision.reply
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}
