//! What the broker does in process, without a protocol: `cargo run --release -p kyu-broker
//! --example drive -- [DIR] [TASKS] [BATCH]`. Everything counted is durable.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a measuring tool")]

use std::time::{Duration, Instant};

use kyu_broker::{
    Acquire, Broker, Content, CreateQueue, Enqueue, Lease, NewMessage, Options, Order, Outcome,
    QueueId, QueueName, Settle,
};

const BODY_BYTES: usize = 1_000;
const RUN: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut args = std::env::args().skip(1);
    let dir = args.next().unwrap_or_else(|| "/tmp/kyu-drive".into());
    let tasks: usize = args.next().map_or(64, |n| n.parse().expect("TASKS"));
    let batch: usize = args.next().map_or(1, |n| n.parse().expect("BATCH"));
    let _not_there = std::fs::remove_dir_all(&dir);
    let opened = Instant::now();
    let broker = Broker::open(Options::new(&dir)).expect("opens");
    println!("open                    {:>10.1} ms", opened.elapsed().as_secs_f64() * 1e3);
    let name = QueueName { namespace: "n".into(), name: "q".into() };
    let create = CreateQueue { name, config: Box::default(), name_reuse_wait_ms: 0 };
    let queue = broker.ask(create).await.expect("no such queue is there");
    idle(&broker, queue.id).await;
    rate("enqueue", tasks, batch, &broker, queue.id, |broker, queue, batch| async move {
        broker.ask(enqueue(queue, batch)).await.unwrap();
        batch
    })
    .await;
    rate(
        "receive+ack",
        tasks,
        batch.max(10),
        &broker,
        queue.id,
        |broker, queue, batch| async move { receive_and_ack(&broker, queue, batch).await },
    )
    .await;
    rate(
        "enqueue+receive+ack",
        tasks,
        batch,
        &broker,
        queue.id,
        |broker, queue, batch| async move {
            broker.ask(enqueue(queue, batch)).await.unwrap();
            receive_and_ack(&broker, queue, batch).await
        },
    )
    .await;
    let closing = Instant::now();
    broker.shutdown().await;
    println!("shutdown                {:>10.1} ms", closing.elapsed().as_secs_f64() * 1e3);
    let opened = Instant::now();
    let broker = Broker::open(Options::new(&dir)).expect("opens");
    println!("open again              {:>10.1} ms", opened.elapsed().as_secs_f64() * 1e3);
    broker.shutdown().await;
    std::fs::remove_dir_all(&dir).expect("removable");
}

/// One after the other: the time from a command to its durable reply.
async fn idle(broker: &Broker, queue: QueueId) {
    let mut times = Vec::new();
    for _ in 0..2_000 {
        let begun = Instant::now();
        broker.ask(enqueue(queue, 1)).await.unwrap();
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let at = |share: usize| times[times.len() * share / 1_000].as_secs_f64() * 1e6;
    println!("one durable submit      p50 {:.0} us, p99 {:.0} us", at(500), at(990));
}

async fn rate<F, R>(
    what: &str,
    tasks: usize,
    batch: usize,
    broker: &Broker,
    queue: QueueId,
    step: F,
) where
    F: Fn(Broker, QueueId, usize) -> R + Copy + Send + 'static,
    R: Future<Output = usize> + Send,
{
    let (cpu_before, switches_before) = (cpu_s(), context_switches());
    let begun = Instant::now();
    let workers: Vec<_> = (0..tasks)
        .map(|_| {
            let broker = broker.clone();
            tokio::spawn(async move {
                let mut done = 0;
                while begun.elapsed() < RUN {
                    match step(broker.clone(), queue, batch).await {
                        0 => break,
                        n => done += n,
                    }
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for worker in workers {
        done += worker.await.unwrap();
    }
    let (elapsed_s, cpu) = (begun.elapsed().as_secs_f64(), cpu_s() - cpu_before);
    let switches = context_switches() - switches_before;
    println!(
        "{what:<23} {:>10.0} messages/s, {:.2} us CPU and {:.2} context switches each ({tasks} \
         tasks, batches of {batch})",
        done as f64 / elapsed_s,
        cpu * 1e6 / done as f64,
        switches as f64 / done as f64
    );
}

async fn receive_and_ack(broker: &Broker, queue: QueueId, most: usize) -> usize {
    let acquire = Acquire {
        queue,
        max_messages: most as u32,
        max_bytes: 10 << 20,
        lease: Lease::QueueDefault,
        order: Order::OfQueue,
        attempt_id: None,
        consumer: None,
        with_history: false,
    };
    let received = broker.receive(acquire, 0).await.unwrap();
    if received.is_empty() {
        return 0;
    }
    let items = received.iter().map(|r| (r.delivery.receipt, Outcome::Ack)).collect();
    broker.ask(Settle { queue, items }).await.unwrap();
    received.len()
}

fn enqueue(queue: QueueId, batch: usize) -> Enqueue {
    let message = || NewMessage {
        queues: vec![queue],
        content: Content::of(vec![b'x'; BODY_BYTES]).encode(),
        delay_ms: None,
        expires_at_ms: None,
        priority: 0,
        lane: None,
        dedup_id: None,
        unique: None,
    };
    Enqueue { messages: (0..batch).map(|_| message()).collect() }
}

/// CPU time of this process.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// Times that a thread of this process went to sleep. Unlike time, it hardly depends on what else
/// the machine does.
fn context_switches() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("procfs");
    let status = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("status")).ok();
    let count = |status: String| {
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    tasks.flatten().filter_map(status).filter_map(count).sum()
}
