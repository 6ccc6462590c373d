//! Nightly settlement by cron: each night's payments are settled once, in one step with what
//! follows from it. Run it, kill it with -9 wherever you like, run it again:
//!
//! ```sh
//! cargo run --example nightly_settlement                # "nights" of two seconds, five of them
//! cargo run --example nightly_settlement -- real        # 02:30 Berlin time, until Ctrl-C
//! ```
//!
//! The schedule is durable and belongs to the engine: each run is one message, across restarts and
//! clock jumps (02:30 exists twice in the autumn night and not at all in the spring night: it is
//! settled once in both). `CatchUp::All` makes up for nights during which nothing was running;
//! `OverlapPolicy::Allow` keeps nights apart even if one takes too long.
//!
//! The settlement's number is claimed in the ledger and completed *with* the acknowledgement: the
//! record, the transfers that follow and the end of the job are one record of the log.

mod place;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kyu::{CatchUp, Claimed, Context, Job, JobError, Kyu, Retry, Schedule, Summary, Worker};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

const NIGHTS: u32 = 5;
const SCHEDULE: &str = "nightly-settlement";

#[derive(Serialize, Deserialize)]
struct Settle {
    book: String,
}

impl Job for Settle {
    const QUEUE: &'static str = "settlement";
    const RETRY: Retry = Retry { first: Duration::from_millis(200), ..Retry::DEFAULT };
}

#[derive(Serialize, Deserialize)]
struct Transfer {
    to: String,
    cents: u64,
    settlement: String,
}

impl Job for Transfer {
    const QUEUE: &'static str = "transfers";
    const RETRY: Retry = Settle::RETRY;
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let place = place::open("nightly-settlement").await?;
    let real = place.arguments.first().is_some_and(|argument| argument == "real");
    let schedule = if real {
        Schedule::cron("30 2 * * *", "Europe/Berlin")
    } else {
        Schedule::cron("*/2 * * * * *", "Europe/Berlin") // six fields: every other second
    };
    let schedule = schedule.catch_up(CatchUp::All { max: 31 });
    let job = Settle { book: "customers".into() };
    place.kyu.schedule(SCHEDULE, &schedule, &job).await?;
    let summary = work(&place.kyu, place.dir.join("transfers.tsv"), real).await?;
    if !real {
        place.kyu.unschedule(SCHEDULE).await?;
    }
    println!("{summary:?}");
    place.kyu.close().await;
    Ok(())
}

async fn work(kyu: &Kyu, bank: std::path::PathBuf, real: bool) -> Result<Summary, kyu::Error> {
    let (nights, enough) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
    kyu.declare::<Transfer>().await?;
    let worker = Worker::new(kyu)
        .lease(Duration::from_secs(2))
        .handle({
            let (nights, enough) = (Arc::clone(&nights), Arc::clone(&enough));
            move |job: Settle, context: Context| {
                let (nights, enough) = (Arc::clone(&nights), Arc::clone(&enough));
                async move {
                    settle(&job, &context).await?;
                    if nights.fetch_add(1, Ordering::Relaxed) + 1 >= NIGHTS && !real {
                        enough.notify_one();
                    }
                    Ok(())
                }
            }
        })
        .handle(move |job: Transfer, context: Context| {
            let bank = bank.clone();
            async move {
                // The bank takes the key as its idempotency key; see the welcome e-mail.
                let key = format!("transfer/{}/{}", job.settlement, job.to);
                context.once(&key, async || transfer(&bank, &job)).await
            }
        });
    let stop = async {
        tokio::select! {
            () = async {
                enough.notified().await;
                while !matches!(kyu.counts::<Transfer>().await, Ok((0, 0, 0))) {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            } => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    worker.run_until(stop).await
}

/// One night. The job's id names the night: it is the same in every attempt.
async fn settle(job: &Settle, context: &Context) -> Result<(), JobError> {
    let settlement = context.id().to_owned();
    let Claimed::Run(claim) = context.claim::<u64>(&format!("settled/{settlement}")).await? else {
        return Ok(()); // an earlier attempt came to its end, and was not heard
    };
    let mut total = 0;
    for (customer, cents) in [("ann", 1_250), ("bob", 399), ("cleo", 87_000)] {
        let (to, settlement) = (format!("{}/{customer}", job.book), settlement.clone());
        context.enqueue(&Transfer { to, cents, settlement })?;
        total += cents;
    }
    println!("night {settlement}: {total} cents (attempt {})", context.attempt());
    claim.complete_with_ack(&total)?;
    Ok(())
}

fn transfer(bank: &std::path::Path, job: &Transfer) -> std::io::Result<()> {
    use std::io::Write;
    let mut ledger = std::fs::OpenOptions::new().create(true).append(true).open(bank)?;
    // One write, so that lines of transfers at the same time do not run into each other.
    let line = format!("{}\t{}\t{}\n", job.settlement, job.to, job.cents);
    ledger.write_all(line.as_bytes())?;
    ledger.sync_all()
}
