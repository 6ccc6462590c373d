//! Measures the cost of an outage: workers call a dependency that can serve 100 calls a second and
//! is down for a minute. How many calls it gets, how many it serves for nobody, and how long it
//! takes until the queue is short again, with and without backoff, retry budget and breaker.
//!
//! ```text
//! cargo run -p kyu-sim --example outage
//! ```
//!
//! Simulated time, seeded, the same table every time. The dependency serves calls in order of
//! arrival, also those whose caller has given up (after a second): that is how a dependency that
//! came back is kept down by retries.

use std::collections::VecDeque;

use kyu_broker::{
    Acquire, Answer, Backoff, Breaker, Command, Content, Context, CreateQueue, Delivery, Enqueue,
    Guard, GuardKey, Lease, NewMessage, Outcome, Query, QueueConfig, QueueId, QueueName,
    QueueStats, Receipt, Refusal, Reply, RetryBudget, RetryPolicy, Settle,
};
use kyu_engine::Engine;

const STEP_MS: u64 = 10;
/// Calls without a caller that wait at the dependency at most; further ones are dropped.
const MOST_STALE: u64 = 500;
/// Messages a second.
const ARRIVALS: u64 = 70;
/// Calls that the dependency can serve in a second.
const CAPACITY: u64 = 100;
const LEAST_LATENCY_MS: u64 = 50;
const TIMEOUT_MS: u64 = 1_000;
const OUTAGE_MS: std::ops::Range<u64> = 60_000..120_000;
const END_MS: u64 = 900_000;
/// The last minute, in which calls served in time are counted.
const LAST_MS: u64 = 60_000;

/// The engine and its clock.
struct Server {
    engine: Engine,
    now_ms: u64,
    commands: u64,
    queue: QueueId,
}

impl Server {
    fn new(config: QueueConfig) -> Result<Self, Refusal> {
        let queue = QueueId(0);
        let mut server = Self { engine: Engine::new(1 << 26), now_ms: 1, commands: 0, queue };
        let name = QueueName { namespace: "sim".into(), name: "calls".into() };
        let create = CreateQueue { name, config: Box::new(config), name_reuse_wait_ms: 0 };
        if let Reply::QueueCreated(info) = server.run(&Command::CreateQueue(create))? {
            server.queue = info.id;
        }
        Ok(server)
    }

    fn run(&mut self, command: &Command) -> Result<Reply, Refusal> {
        self.commands += 1;
        let ctx =
            Context { now_ms: self.now_ms, wall_ms: self.now_ms, seed: self.commands, epoch: 1 };
        let decision = self.engine.decide(command, &ctx)?;
        if !decision.effects.is_empty() {
            self.engine.apply(&decision.effects, self.commands << 12);
        }
        Ok(decision.reply)
    }

    fn advance(&mut self, now_ms: u64) -> Result<(), Refusal> {
        self.now_ms = now_ms.max(1);
        while self.engine.next_due_ms().is_some_and(|due_ms| due_ms <= self.now_ms) {
            self.run(&Command::Tick)?;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), Refusal> {
        let message = NewMessage {
            queues: vec![self.queue],
            content: Content::of("call").encode(),
            delay_ms: None,
            expires_at_ms: None,
            priority: 0,
            lane: None,
            dedup_id: None,
            unique: None,
        };
        self.run(&Command::Enqueue(Enqueue { messages: vec![message] })).map(|_| ())
    }

    fn receive(&mut self, max: usize) -> Result<Vec<Delivery>, Refusal> {
        let acquire = Acquire { lease: Lease::For(60_000), ..Acquire::new(self.queue, max as u32) };
        match self.run(&Command::Acquire(acquire)) {
            Ok(Reply::Acquired(deliveries)) => Ok(deliveries),
            Ok(_) | Err(Refusal::TooManyInFlight) => Ok(Vec::new()),
            Err(refusal) => Err(refusal),
        }
    }

    fn settle(&mut self, receipt: Receipt, outcome: Outcome) -> Result<(), Refusal> {
        let settle = Settle { queue: self.queue, items: vec![(receipt, outcome)] };
        self.run(&Command::Settle(settle)).map(|_| ())
    }

    fn stats(&self) -> QueueStats {
        match self.engine.query(&Query::Stats(self.queue)) {
            Ok(Answer::Stats(stats)) => stats,
            _ => QueueStats::default(),
        }
    }
}

/// A call of a worker, as the dependency sees it.
struct Call {
    receipt: Receipt,
    began_ms: u64,
}

#[derive(Default)]
struct Told {
    calls: u64,
    calls_in_outage: u64,
    served_for_nobody: u64,
    longest: u64,
    recovered_ms: Option<u64>,
    in_time_at_last: u64,
}

fn run(workers: usize, config: QueueConfig) -> Result<Told, Refusal> {
    let mut server = Server::new(config)?;
    let mut told = Told::default();
    // Calls in order of arrival: first those whose callers have given up, then the others.
    let (mut stale, mut waiting): (u64, VecDeque<Call>) = (0, VecDeque::new());
    let mut credit = 0;
    for now_ms in (0..END_MS).step_by(STEP_MS as usize) {
        server.advance(now_ms)?;
        for _ in (now_ms * ARRIVALS / 1_000)..((now_ms + STEP_MS) * ARRIVALS / 1_000) {
            server.send()?;
        }
        while let Some(call) = waiting.pop_front_if(|call| now_ms >= call.began_ms + TIMEOUT_MS) {
            stale = (stale + 1).min(MOST_STALE);
            let error = "timeout".into();
            let failed = Outcome::Failed { error, delay_ms: None, retry: true };
            server.settle(call.receipt, failed)?;
        }
        let down = OUTAGE_MS.contains(&now_ms);
        credit = if down { 0 } else { (credit + CAPACITY * STEP_MS).min(1_000) };
        while credit >= 1_000 {
            if stale > 0 {
                stale -= 1;
                told.served_for_nobody += 1;
            } else if let Some(call) =
                waiting.pop_front_if(|call| now_ms >= call.began_ms + LEAST_LATENCY_MS)
            {
                server.settle(call.receipt, Outcome::Ack)?;
                told.in_time_at_last += u64::from(now_ms >= END_MS - LAST_MS);
            } else {
                break;
            }
            credit -= 1_000;
        }
        if waiting.len() < workers {
            for delivery in server.receive(workers - waiting.len())? {
                told.calls += 1;
                told.calls_in_outage += u64::from(down);
                waiting.push_back(Call { receipt: delivery.receipt, began_ms: now_ms });
            }
        }
        let stats = server.stats();
        let length = stats.ready + stats.delayed + stats.in_flight;
        told.longest = told.longest.max(length);
        if now_ms >= OUTAGE_MS.end && length <= ARRIVALS && told.recovered_ms.is_none() {
            told.recovered_ms = Some(now_ms - OUTAGE_MS.end);
        }
    }
    Ok(told)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let backoff = Backoff::Exponential { first_ms: 1_000, factor_percent: 200, max_ms: 30_000 };
    let backoff =
        || RetryPolicy { backoff: backoff.clone(), jitter_percent: 50, max_attempts: None };
    let breaker = Breaker { open_ms: 10_000, ..Breaker::default() };
    let guard = |budget: bool, breaks: bool| Guard {
        key: GuardKey::Queue,
        budget: budget.then(RetryBudget::default),
        breaker: breaks.then_some(breaker),
    };
    let at_once =
        Guard { breaker: Some(Breaker { slow_start_percent: 0, ..breaker }), ..guard(false, true) };
    let plain = QueueConfig::default;
    let policies: [(&str, QueueConfig); 7] = [
        ("again at once", plain()),
        ("backoff", QueueConfig { retry: Some(backoff()), ..plain() }),
        ("budget", QueueConfig { guard: Some(guard(true, false)), ..plain() }),
        ("breaker, closes at once", QueueConfig { guard: Some(at_once), ..plain() }),
        ("breaker", QueueConfig { guard: Some(guard(false, true)), ..plain() }),
        ("budget and breaker", QueueConfig { guard: Some(guard(true, true)), ..plain() }),
        (
            "backoff, budget, breaker",
            QueueConfig { retry: Some(backoff()), guard: Some(guard(true, true)), ..plain() },
        ),
    ];
    println!(
        "workers  limit  retries                      calls  in outage  for nobody  longest  recovery  served/s"
    );
    for (workers, limit) in [(80, 120_000), (400, 120_000), (400, 80)] {
        for (name, config) in &policies {
            let config = QueueConfig { max_in_flight: limit, ..config.clone() };
            let told = run(workers, config).map_err(|refusal| format!("{refusal:?}"))?;
            let recovery =
                told.recovered_ms.map_or("never".into(), |ms| format!("{} s", ms / 1_000));
            let limit = if limit > 1_000 { "-".into() } else { limit.to_string() };
            println!(
                "{workers:>7}  {limit:>5}  {name:<24} {:>9}  {:>9}  {:>10}  {:>7}  {recovery:>8}  {:>8}",
                told.calls,
                told.calls_in_outage,
                told.served_for_nobody,
                told.longest,
                told.in_time_at_last * 1_000 / LAST_MS
            );
        }
    }
    Ok(())
}
