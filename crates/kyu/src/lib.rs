//! The whole server as a library: what the `kyu` binary starts, and what other programs embed;
//! and the handle for typed jobs ([`Kyu`], [`Job`], [`Worker`]), which needs no server at all.
//!
//! ```no_run
//! # async fn run() -> Result<(), kyu::StartError> {
//! let server = kyu::Server::start(kyu::ServerOptions::new("./kyu-data")).await?;
//! println!("SQS at {}", server.http_url().unwrap_or_default());
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod listen;
mod metrics_text;
mod open_port;
mod pgmq;
mod port;
mod queue_series;
mod server;

pub use kyu_sdk::*;
pub use listen::StartError;
pub use pgmq::PgmqOptions;
pub use server::{Server, ServerOptions};
