//! `kyu log verify` and `kyu log repair`.

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use kyu_log::{Disk, Lsn, OpenError, RealDisk, RepairPlan};

use crate::cli::{LogArgs, RepairArgs};
use crate::exit::Failure;

/// Prints one line a segment, then the verdict. Damage is a failure with its own exit code.
pub(crate) fn verify(args: &LogArgs) -> Result<(), Failure> {
    let dir = existing(&args.data)?;
    let snapshots = kyu_log::verify_snapshots(&disk(), dir).map_err(failure)?;
    let from = newest_whole(&snapshots);
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
    let snapshot_damages =
        snapshots.iter().filter_map(|(lsn, damage)| Some((lsn, damage.as_ref()?)));
    let mut damaged_snapshots = 0;
    for (lsn, reason) in snapshot_damages {
        eprintln!("the snapshot of address {lsn} is damaged: {reason}");
        damaged_snapshots += 1;
    }
    if damages.is_empty() && damaged_snapshots == 0 {
        eprintln!("no damage; segments: {}", report.segments.len());
        return Ok(());
    }
    for damage in &damages {
        eprintln!("{damage}");
    }
    if damages.is_empty() {
        return Err(Failure::Damaged(format!(
            "the next start passes over the damaged snapshots and replays from address {from}, if \
             the log still reaches back to it"
        )));
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
    let from = newest_whole(&kyu_log::verify_snapshots(&disk(), dir).map_err(failure)?);
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
fn newest_whole(snapshots: &[(Lsn, Option<String>)]) -> Lsn {
    snapshots.iter().find(|(_, damage)| damage.is_none()).map_or(Lsn::ZERO, |(lsn, _)| *lsn)
}

fn disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
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
