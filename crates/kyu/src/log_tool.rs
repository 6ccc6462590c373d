//! `kyu log verify` and `kyu log repair`.

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;

use kyu_log::{Lsn, OpenError, RealDisk, RepairPlan, SnapshotStore};

use crate::cli::{LogArgs, RepairArgs};
use crate::exit::Failure;

/// Prints one line a segment, then the verdict. Damage is a failure with its own exit code.
pub(crate) fn verify(args: &LogArgs) -> Result<(), Failure> {
    let dir = existing(&args.data)?;
    let from = newest_snapshot(dir)?;
    let report = kyu_log::verify(&RealDisk, dir).map_err(failure)?;
    println!("segment records body_bytes epoch end");
    for segment in &report.segments {
        let end = segment.record_end;
        println!(
            "{} {} {} {} {end}",
            segment.number, segment.records, segment.body_bytes, segment.epoch
        );
    }
    if let Some(at) = report.torn_tail {
        eprintln!(
            "a write was cut short at address {at}; that is no damage, the next start drops it"
        );
    }
    let damages: Vec<_> = report.segments.iter().filter_map(|s| s.damage.as_ref()).collect();
    if damages.is_empty() {
        eprintln!("no damage; segments: {}", report.segments.len());
        return Ok(());
    }
    for damage in &damages {
        eprintln!("{damage}");
    }
    Err(Failure::Damaged(match report.first_damage(from) {
        Some(_) => "the server cannot start on this log; see `kyu log repair`".into(),
        None => format!(
            "the damage lies before the newest snapshot (address {from}): the server starts, but \
             messages stored there are not delivered"
        ),
    }))
}

/// Says what would be dropped, asks, and drops it.
pub(crate) fn repair(args: &RepairArgs) -> Result<(), Failure> {
    let dir = existing(&args.log.data)?;
    let from = newest_snapshot(dir)?;
    let Some(plan) = kyu_log::plan_repair(&RealDisk, dir, from).map_err(failure)? else {
        eprintln!("nothing to repair: the server can start on this log");
        return Ok(());
    };
    eprintln!("{plan}");
    if !args.yes && !confirmed(&plan)? {
        return Err(Failure::Failed("nothing was changed".into()));
    }
    kyu_log::apply_repair(&RealDisk, dir, from, &plan).map_err(failure)?;
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

/// Where replay begins.
fn newest_snapshot(dir: &Path) -> Result<Lsn, Failure> {
    // The identity of the log counts only for reading a snapshot, not for listing them.
    let store = SnapshotStore::new(std::sync::Arc::new(RealDisk), dir, 0);
    let all =
        store.list().map_err(|error| Failure::Failed(format!("{}: {error}", dir.display())))?;
    Ok(all.first().copied().unwrap_or(Lsn::ZERO))
}

fn confirmed(plan: &RepairPlan) -> Result<bool, Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::Usage("not a terminal, so nobody can be asked: use --yes".into()));
    }
    eprint!("Drop {} bytes? Type yes: ", plan.dropped_bytes);
    let failed = |error| Failure::Failed(format!("asking: {error}"));
    std::io::stderr().flush().map_err(failed)?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).map_err(failed)?;
    Ok(answer.trim() == "yes")
}

fn failure(error: OpenError) -> Failure {
    let text = error.to_string();
    Failure::log(&error, text)
}
