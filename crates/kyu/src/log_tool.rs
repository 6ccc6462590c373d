//! `kyu log verify` and `kyu log repair`.

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use kyu_broker::OpenError;
use kyu_broker::stopped::{self, RepairPlan, Verdict};
use kyu_log::{Disk, RealDisk};

use crate::cli::{LogArgs, RepairArgs};
use crate::exit::Failure;

/// Prints one line a segment, then the verdict. Damage is a failure with its own exit code.
pub(crate) fn verify(args: &LogArgs) -> Result<(), Failure> {
    let verdict = stopped::verify(&disk(), existing(&args.data)?).map_err(failure)?;
    println!("segment records body_bytes epoch end");
    for segment in &verdict.segments {
        let end = segment.record_end;
        println!(
            "{} {} {} {} {end}",
            segment.number, segment.records, segment.body_bytes, segment.epoch
        );
    }
    for damage in verdict.segments.iter().filter_map(|segment| segment.damage.as_ref()) {
        eprintln!("{damage}");
    }
    for (lsn, reason) in &verdict.snapshots {
        if let Some(reason) = reason {
            eprintln!("the snapshot of address {lsn} is damaged: {reason}");
        }
    }
    judge(&verdict)
}

/// Says whether the server would start, and with what.
fn judge(verdict: &Verdict) -> Result<(), Failure> {
    let start = match &verdict.start {
        Ok(start) => start,
        Err(error) => {
            eprintln!("{error}");
            return Err(Failure::Damaged(
                "the server cannot start here; see `kyu log repair`".into(),
            ));
        }
    };
    if let Some(at) = start.torn_tail {
        eprintln!(
            "a write was cut short at address {at}; that is no damage, the next start drops it"
        );
    }
    if verdict.is_clean() {
        eprintln!("no damage; segments: {}", verdict.segments.len());
        return Ok(());
    }
    let from = start.from;
    if start.unreadable.is_empty() {
        return Err(Failure::Damaged(format!(
            "the server starts, replaying from address {from}, and every message can be read; what \
             is damaged is not needed any more"
        )));
    }
    for of in &start.unreadable {
        eprintln!("queue {}: {} messages cannot be read back", of.queue, of.messages);
    }
    Err(Failure::Damaged(format!(
        "the server starts, replaying from address {from}, but does not deliver the messages that \
         cannot be read back"
    )))
}

/// Says what would be done and lost, asks, and does it.
pub(crate) fn repair(args: &RepairArgs) -> Result<(), Failure> {
    let dir = existing(&args.log.data)?;
    let plan = stopped::plan_repair(&disk(), dir).map_err(failure)?;
    if plan.steps.is_empty() {
        eprintln!("nothing to repair: the server can start on this log");
        return Ok(());
    }
    eprintln!("{plan}");
    if !args.yes && !confirmed(&plan)? {
        return Err(Failure::Failed("nothing was changed".into()));
    }
    stopped::repair(&disk(), dir, &plan).map_err(failure)?;
    eprintln!("done; the server can start on this log");
    Ok(())
}

/// A typing error must not create a directory or report an empty log as sound.
fn existing(dir: &Path) -> Result<&Path, Failure> {
    if dir.is_dir() {
        Ok(dir)
    } else {
        Err(Failure::Usage(format!("--data {}: no such directory", dir.display())))
    }
}

fn disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

fn confirmed(plan: &RepairPlan) -> Result<bool, Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::Usage("not a terminal, so nobody can be asked: use --yes".into()));
    }
    eprint!("Do these {} steps? Type yes: ", plan.steps.len());
    let failed = |error| Failure::Failed(format!("asking: {error}"));
    std::io::stderr().flush().map_err(failed)?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).map_err(failed)?;
    Ok(answer.trim() == "yes")
}

fn failure(error: OpenError) -> Failure {
    let text = error.to_string();
    Failure::open(&error, text)
}
