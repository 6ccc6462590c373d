//! Welcome e-mails, each sent once. Run it, kill it with -9 wherever you like, run it again:
//!
//! ```sh
//! cargo run --example welcome_email
//! ```
//!
//! The handler does two things that cannot be one: it talks to the mail server, and it records that
//! it did. `context.once` claims the key in the ledger, runs the effect, and puts the mail server's
//! receipt on disk before anything else happens. From then on no crash, retry or second worker
//! sends that mail again: they find the receipt.
//!
//! **The honest limit.** A crash *between* the mail server's "accepted" and the record on disk
//! leaves nobody who knows. Try it:
//!
//! ```sh
//! cargo run --example welcome_email -- crash-between     # dies after sending, before recording
//! cargo run --example welcome_email                      # sends that one mail again
//! cargo run --example welcome_email -- crash-after       # dies after recording
//! cargo run --example welcome_email                      # does not
//! ```
//!
//! The first case is open in every system whose effects lie outside it. It is closed by the other
//! side: pass the key on as idempotency key (here `Message-ID`), and let the receiver drop the second.

mod place;

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kyu::{Context, EnqueueOptions, Job, JobError, Kyu, Retry, Worker};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

#[derive(Serialize, Deserialize)]
struct Welcome {
    address: String,
}

impl Job for Welcome {
    const QUEUE: &'static str = "welcome-mails";
    const RETRY: Retry = Retry { first: Duration::from_millis(200), ..Retry::DEFAULT };
}

/// A mail server: it accepts what it is given, and knows nothing of jobs.
struct MailServer(PathBuf);

impl MailServer {
    /// Returns the server's receipt.
    fn send(&self, to: &str, message_id: &str) -> std::io::Result<String> {
        let mut sent = OpenOptions::new().create(true).append(true).open(&self.0)?;
        sent.write_all(format!("{to}\t{message_id}\n").as_bytes())?;
        sent.sync_all()?;
        Ok(format!("250 accepted {message_id}"))
    }

    fn sent(&self) -> usize {
        File::open(&self.0).map_or(0, |file| BufReader::new(file).lines().count())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let place = place::open("welcome-email").await?;
    let crash = place.arguments.first().cloned().unwrap_or_default();
    for user in 1..=10 {
        // The id makes it harmless to enqueue again what an earlier run did not live to finish.
        let address = format!("user{user}@example.com");
        let options = EnqueueOptions {
            dedup_id: Some(format!("welcome/{address}")),
            ..EnqueueOptions::default()
        };
        place.kyu.enqueue_with(&Welcome { address }, &options).await?;
    }
    let mail_server = Arc::new(MailServer(place.dir.join("sent.tsv")));
    let summary = send_all(&place.kyu, &mail_server, crash).await?;
    println!("{summary:?}; {} mails in {}", mail_server.sent(), file(&mail_server.0));
    place.kyu.close().await;
    Ok(())
}

/// Works until no mail is left.
async fn send_all(
    kyu: &Kyu,
    mail_server: &Arc<MailServer>,
    crash: String,
) -> Result<kyu::Summary, kyu::Error> {
    let idle = Arc::new(Notify::new());
    // One at a time, so that a crash is about one mail.
    let worker = Worker::new(kyu).concurrency(1).lease(Duration::from_secs(2)).handle({
        let mail_server = Arc::clone(mail_server);
        move |job: Welcome, context: Context| {
            let (mail_server, crash) = (Arc::clone(&mail_server), crash.clone());
            async move {
                let key = format!("welcome/{}", job.address);
                let receipt: String = context
                    .once(&key, async || -> std::io::Result<String> {
                        let receipt = mail_server.send(&job.address, &key)?;
                        if crash == "crash-between" {
                            std::process::abort();
                        }
                        Ok(receipt)
                    })
                    .await?;
                if crash == "crash-after" {
                    std::process::abort();
                }
                println!("{} (attempt {}): {receipt}", job.address, context.attempt());
                Ok::<(), JobError>(())
            }
        }
    });
    let drained = async {
        while !matches!(kyu.counts::<Welcome>().await, Ok((0, 0, 0))) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        idle.notify_one();
    };
    let (summary, ()) = tokio::join!(worker.run_until(idle.notified()), drained);
    summary
}

fn file(path: &Path) -> String {
    path.display().to_string()
}
