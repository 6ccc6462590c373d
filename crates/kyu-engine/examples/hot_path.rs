//! Measures the cost of a plain message in the state machine: enqueued, leased and acknowledged in
//! tens (`flow`), or only enqueued (`send`). Time on a shared machine says little, so count
//! instructions, which do not depend on what else runs:
//! ```text
//! cargo build --release -p kyu-engine --example hot_path
//! valgrind --tool=callgrind target/release/examples/hot_path flow 40000
//! ```
#![allow(clippy::unwrap_used, clippy::panic)]

use kyu_engine::*;

const BATCH: u32 = 10;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let flows = arguments.next().as_deref() != Some("send");
    let messages: u64 = arguments.next().map_or(100_000, |n| n.parse().unwrap());
    let mut engine = Engine::new(1 << 26);
    let name = QueueName { namespace: "n".into(), name: "q".into() };
    let create = CreateQueue { name, config: Box::default(), name_reuse_wait_ms: 0 };
    run(&mut engine, &Command::CreateQueue(create), 1);
    let queue = engine.queues().next().unwrap().id;
    let content = Content::of(vec![b'x'; 1_000]).encode();
    for step in 0..messages / u64::from(BATCH) {
        let messages = (0..BATCH).map(|_| NewMessage::new(queue, content.clone())).collect();
        run(&mut engine, &Command::Enqueue(Enqueue { messages }), 3 * step);
        if !flows {
            continue;
        }
        let acquire = Command::Acquire(Acquire::new(queue, BATCH));
        let Reply::Acquired(taken) = run(&mut engine, &acquire, 3 * step + 1) else { panic!() };
        let items = taken.iter().map(|delivery| (delivery.receipt, Outcome::Ack)).collect();
        run(&mut engine, &Command::Settle(Settle { queue, items }), 3 * step + 2);
    }
}

fn run(engine: &mut Engine, command: &Command, step: u64) -> Reply {
    let now_ms = 1_000_000 + step / 1_000;
    let ctx = Context { now_ms, wall_ms: now_ms, seed: step, epoch: 1 };
    let decision = engine.decide(command, &ctx).unwrap();
    engine.apply(&decision.effects, (1 << 20) + step * 16_384);
    decision.reply
}
