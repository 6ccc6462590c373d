//! Dead letters on their way back, watched to the end.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use kyu_client::{Call, Client, Method};
use serde_json::Value;

use crate::args::RedriveArgs;
use crate::failure::Failure;
use crate::output::{Format, ONE, print};
use crate::requests::{self, queue_path};

/// Pause between two looks at a move that is running.
const PAUSE: Duration = Duration::from_millis(200);

/// Starts a move and waits for its end. Fails if it failed, was cancelled, or left messages behind;
/// what it has done is printed in any case.
pub(crate) async fn run(
    client: &Client,
    format: Format,
    args: &RedriveArgs,
) -> Result<(), Failure> {
    let mut progress = Progress { on_terminal: std::io::stderr().is_terminal(), shown: false };
    let mut task = client.call(requests::redrive(args).0).await?;
    let id = task.get("id").and_then(Value::as_u64).unwrap_or_default();
    let path = queue_path(&args.queue, &format!("/move-tasks/{id}"));
    while word(&task, "status") == "running" {
        progress.show(&task);
        tokio::time::sleep(PAUSE).await;
        task = client.call(Call::new(Method::GET, path.clone())).await?;
    }
    progress.end();
    print(&task, ONE, format)?;
    let skipped = count(&task, "skipped");
    let why = match word(&task, "failure") {
        "" => String::new(),
        failure => format!(": {failure}"),
    };
    match word(&task, "status") {
        "completed" if skipped == 0 => Ok(()),
        "completed" => Err(Failure::Conflict(format!("{skipped} were left where they are{why}"))),
        status => {
            let moved = count(&task, "moved");
            Err(Failure::Failed(format!("the move is {status} after {moved} messages{why}")))
        }
    }
}

fn word<'v>(task: &'v Value, field: &str) -> &'v str {
    task.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn count(task: &Value, field: &str) -> u64 {
    task.get(field).and_then(Value::as_u64).unwrap_or_default()
}

/// A line on a terminal that is written over. Elsewhere nothing is shown.
struct Progress {
    on_terminal: bool,
    shown: bool,
}

impl Progress {
    fn show(&mut self, task: &Value) {
        if self.on_terminal {
            self.shown = true;
            let line = format!("\rmoved {} of {}", count(task, "moved"), count(task, "to_move"));
            let _shown = std::io::stderr().write_all(line.as_bytes());
        }
    }

    fn end(&mut self) {
        if self.shown {
            eprintln!();
        }
    }
}
