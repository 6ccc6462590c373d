//! Typed jobs on Kyu. The same handle works on an engine in this process ([`Kyu::open`], no
//! network) and on a server ([`Kyu::connect`]).
//!
//! ```no_run
//! use kyu_sdk::{Context, Job, JobError, Kyu, Worker};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Welcome { address: String }
//!
//! impl Job for Welcome {
//!     const QUEUE: &'static str = "welcome-mails";
//! }
//!
//! # async fn run() -> Result<(), kyu_sdk::Error> {
//! let kyu = Kyu::open("./jobs").await?;
//! kyu.enqueue(&Welcome { address: "ann@example.com".into() }).await?;
//! Worker::new(&kyu)
//!     .handle(async |job: Welcome, _: Context| -> Result<(), JobError> {
//!         println!("Welcome, {}!", job.address);
//!         Ok(())
//!     })
//!     .run_until(async { _ = tokio::signal::ctrl_c().await })
//!     .await?;
//! kyu.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! **What is promised.** A job that was accepted is on disk and is given to a worker at least once.
//! While it runs, its lease is extended; when its worker dies, another gets it. What a handler
//! enqueues or remembers through its [`Context`] becomes true in the same step as its
//! acknowledgement, or not at all. What it does to the world outside can be recorded with
//! [`Context::once`]: see there for what that can and cannot prevent.
//!
//! **Features**, both on unless turned off: `embedded` is an engine in the process, `remote` a server.
//! With `remote` alone a program links neither engine nor log nor time zones.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

#[cfg(not(any(feature = "embedded", feature = "remote")))]
compile_error!("kyu-sdk needs one of its features: `embedded` or `remote`");

mod backend;
mod context;
mod error;
mod job;
mod kyu;
mod once;
mod run;
mod schedule;
mod worker;

pub use context::Context;
pub use error::{Error, JobError};
pub use job::{EnqueueOptions, Enqueued, Job, Limits, Retry};
pub use kyu::Kyu;
#[cfg(feature = "remote")]
pub use kyu_client::{ClientOptions as ConnectOptions, Credentials};
/// Settings that the engine keeps.
pub use kyu_model::{Breaker, CatchUp, OverlapPolicy, RateLimit, RetryBudget};
pub use once::{Claim, Claimed};
pub use schedule::Schedule;
pub use worker::{Layer, Next, Summary, Worker};
