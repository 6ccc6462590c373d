//! A slow external API: ten calls a second at most, and now and then it is down. Run it, kill it
//! with -9 wherever you like, run it again:
//!
//! ```sh
//! cargo run --example slow_api
//! ```
//!
//! The limits belong to the queue, so they hold for all workers on all machines together, and over
//! restarts. While the API is down, the breaker opens: jobs wait in the queue instead of running
//! into the same wall, attempts are not used up, and a few probes find out when it is back. The
//! retry budget keeps what is left from coming back all at once.

mod place;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use kyu::{
    Breaker, Context, EnqueueOptions, Job, JobError, Kyu, Limits, RateLimit, Retry, RetryBudget,
    Summary, Worker,
};
use serde::{Deserialize, Serialize};

const LOOKUPS: u32 = 60;

#[derive(Serialize, Deserialize)]
struct Lookup {
    address: u32,
}

impl Job for Lookup {
    const QUEUE: &'static str = "geocode";
    const RETRY: Retry =
        Retry { max_attempts: 20, first: Duration::from_millis(200), ..Retry::DEFAULT };
    const LIMITS: Limits = Limits {
        rate: Some(RateLimit { permits: 10, interval_ms: 1_000, burst: 5 }),
        max_in_flight: Some(5),
        breaker: Some(Breaker {
            window_ms: 2_000,
            min_attempts: 5,
            failure_percent: 50,
            open_ms: 1_000,
            probes: 2,
            slow_start_percent: 100,
        }),
        budget: Some(RetryBudget { earn_percent: 20, floor_per_second: 5, max_tokens: 20 }),
        ..Limits::NONE
    };
}

/// Somebody else's service. It is down from its second to its fifth second.
struct Api {
    started: Instant,
    calls: AtomicU32,
    refused: AtomicU32,
}

impl Api {
    async fn locate(&self, address: u32) -> Result<(f64, f64), JobError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let up_s = self.started.elapsed().as_secs_f64();
        if (2.0..5.0).contains(&up_s) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(JobError::failed("503 Service Unavailable"));
        }
        tokio::time::sleep(Duration::from_millis(80)).await;
        Ok((f64::from(address) / 10.0, 13.4))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let place = place::open("slow-api").await?;
    for address in 0..LOOKUPS {
        let once = EnqueueOptions {
            dedup_id: Some(format!("lookup/{address}")),
            ..EnqueueOptions::default()
        };
        place.kyu.enqueue_with(&Lookup { address }, &once).await?;
    }
    let api = Arc::new(Api {
        started: Instant::now(),
        calls: AtomicU32::new(0),
        refused: AtomicU32::new(0),
    });
    let summary = work(&place.kyu, &api).await?;
    println!(
        "{summary:?}; {:.1} s; {} calls, {} of them while the API was down",
        api.started.elapsed().as_secs_f64(),
        api.calls.load(Ordering::Relaxed),
        api.refused.load(Ordering::Relaxed),
    );
    place.kyu.close().await;
    Ok(())
}

async fn work(kyu: &Kyu, api: &Arc<Api>) -> Result<Summary, kyu::Error> {
    let worker = Worker::new(kyu).lease(Duration::from_secs(2)).handle({
        let api = Arc::clone(api);
        move |job: Lookup, context: Context| {
            let api = Arc::clone(&api);
            async move {
                // The answer is kept: a second attempt after a crash does not ask again.
                let key = format!("geocode/{}", job.address);
                let place: (f64, f64) =
                    context.once(&key, async || api.locate(job.address).await).await?;
                println!("{} is at {place:?} (attempt {})", job.address, context.attempt());
                Ok::<(), JobError>(())
            }
        }
    });
    let drained = async {
        while !matches!(kyu.counts::<Lookup>().await, Ok((0, 0, 0))) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    worker.run_until(drained).await
}
