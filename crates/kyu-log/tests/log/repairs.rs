//! A start, `verify` and `repair` agree: about every damage that a disk can do to a log.
//!
//! `kyu log verify` once had a reader of its own. It said that all was well where the start refused (a
//! segment cut before its first batch, or one that had not been written to yet), and `kyu log repair`
//! had nothing to repair there. Now both ask what a start asks.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use kyu_log::{
    Disk, DryRun, FileLog, History, Log, Lsn, Opened, Refusal, RepairStep, SimDisk, SimFaults,
    SnapshotStore, StoppedLog, repair, verify_segments,
};

use crate::support::{SEGMENT_BYTES, append, body, dir, open, options, segment_file};

/// What a user of the log has after a start: the state of the snapshot (here: how many records it
/// covers), and the records after it.
#[derive(Debug, PartialEq)]
struct Started {
    from: Lsn,
    records: u64,
    epoch: u64,
}

/// The state after `log`: `Ok` if a start succeeds.
fn load(disk: &Arc<dyn Disk>, log: &impl History, opened: Opened) -> Result<Started, Refusal> {
    let store = SnapshotStore::new(Arc::clone(disk), &dir(), opened.log_id);
    let snapshot = store.load(|from| log.reaches(from)).map_err(Refusal::Snapshots)?;
    let (mut records, mut from) = (0u64, Lsn::ZERO);
    if let Some(mut snapshot) = snapshot {
        let mut covered = [0; 8];
        snapshot.read_exact(&mut covered).expect("it was found whole");
        (records, from) = (u64::from_le_bytes(covered), snapshot.lsn);
    }
    let replayed = log.replay(from, &mut |_, bytes| {
        if bytes != body(records, 1300) {
            return Err(format!("record {records} is another"));
        }
        records += 1;
        Ok(())
    });
    replayed.map_err(|error| Refusal::Replay { from, error })?;
    Ok(Started { from, records, epoch: opened.epoch })
}

/// What a start of the stopped log would find.
fn verify(disk: &Arc<dyn Disk>) -> Result<Started, Refusal> {
    let log = StoppedLog::read(Arc::clone(disk), &dir()).map_err(Refusal::Open)?;
    let Some(log) = log else { return Ok(Started { from: Lsn::ZERO, records: 0, epoch: 1 }) };
    load(disk, &log, log.opened())
}

/// A start.
fn start(disk: &SimDisk) -> Result<(FileLog, Started), Refusal> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (log, opened) =
        FileLog::open_stepped(Arc::clone(&shared), &dir(), options()).map_err(Refusal::Open)?;
    let started = load(&shared, &log, opened)?;
    Ok((log, started))
}

fn copy(disk: &SimDisk) -> SimDisk {
    let copy = SimDisk::new(9);
    for file in disk.files() {
        copy.put(&file, disk.contents(&file).expect("exists"));
    }
    copy
}

/// A log of some segments. With `snapshot`, the first records are covered by one.
fn log(disk: &SimDisk, records: u64, snapshot: Option<u64>, close: bool) {
    let (mut log, opened) = open(disk).expect("new");
    for number in 0..records {
        let end = append(&mut log, number, 1300).end;
        if number % 3 == 0 {
            log.flush().expect("written");
        }
        if Some(number + 1) == snapshot {
            log.flush().expect("written");
            SnapshotStore::new(Arc::new(disk.clone()), &dir(), opened.log_id)
                .write(end, |file: &mut dyn Write| file.write_all(&(number + 1).to_le_bytes()))
                .expect("written");
        }
    }
    log.flush().expect("written");
    if close {
        log.close().expect("written");
    }
    disk.kill_process();
}

/// Checks one damaged disk, of a log that held `all` records.
fn check(disk: &SimDisk, all: u64, what: &str) {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let verified = verify(&shared);
    let before = disk.files().into_iter().map(|f| (disk.contents(&f), f)).collect::<Vec<_>>();
    match (&verified, start(&copy(disk))) {
        (Ok(verified), Ok((_, started))) => assert_eq!(*verified, started, "{what}"),
        (Err(verified), Err(refused)) => {
            assert_eq!(verified.to_string(), refused.to_string(), "{what}");
        }
        (Ok(_), Err(refused)) => panic!("{what}: verify is content, the start says: {refused}"),
        (Err(verified), Ok(_)) => panic!("{what}: the start is content, verify says: {verified}"),
    }
    let dry: Arc<dyn Disk> = Arc::new(DryRun::new(Arc::clone(&shared)));
    let (plan, planned) =
        repair(&dry, &dir(), verify).unwrap_or_else(|error| panic!("{what}: no plan: {error}"));
    let after = disk.files().into_iter().map(|f| (disk.contents(&f), f)).collect::<Vec<_>>();
    assert!(before == after, "{what}: a plan changes nothing");
    assert_eq!(plan.is_empty(), verified.is_ok(), "{what}: {plan:?}");
    let (steps, repaired) = repair(&shared, &dir(), verify).expect("as planned");
    assert_eq!((&steps, &repaired), (&plan, &planned), "{what}");

    let (mut log, started) =
        start(disk).unwrap_or_else(|error| panic!("{what}: {error} after {plan:?}"));
    assert_eq!(started, planned, "{what}");
    let cuts = plan.iter().filter_map(|step| match step {
        RepairStep::Cut(cut) => Some(cut),
        _ => None,
    });
    let told: u64 = cuts.map(|cut| cut.lost_records).sum();
    let lost = all - started.records;
    assert!(told <= lost, "{what}: {told} of {lost}");
    let told_of = |step: &RepairStep| {
        matches!(
            step,
            RepairStep::Cut(_) | RepairStep::Length { .. } | RepairStep::Header { empty: true, .. }
        )
    };
    if verified.is_err() && !plan.iter().any(told_of) {
        assert_eq!(lost, 0, "{what}: {lost} records are lost, and nothing says so: {plan:?}");
    }
    // And it goes on: what is appended now is there after the next start.
    let mut next = started.records;
    for _ in 0..40 {
        append(&mut log, next, 1300);
        next += 1;
    }
    log.close().expect("written");
    let (_, again) = start(disk).unwrap_or_else(|error| panic!("{what}: later: {error}"));
    assert_eq!(again.records, next, "{what}");
    assert!(again.epoch > started.epoch, "{what}");
}

fn whole(records: u64, snapshot: Option<u64>, close: bool) -> SimDisk {
    let disk = SimDisk::new(1);
    log(&disk, records, snapshot, close);
    check(&copy(&disk), records, "undamaged");
    disk
}

/// Segments, META and the snapshot.
fn files(disk: &SimDisk) -> Vec<PathBuf> {
    let named =
        |file: &PathBuf| !file.ends_with("LOCK") && file.extension() != Some("spare".as_ref());
    disk.files().into_iter().filter(named).collect()
}

/// The logs that are damaged: without a snapshot, with one in the middle of a segment (by which the
/// log still reaches back to its begin), and without an orderly end.
const LOGS: [(u64, Option<u64>, bool); 4] =
    [(70, None, true), (70, Some(50), true), (70, Some(50), false), (70, Some(70), true)];

#[test]
fn every_missing_file() {
    for (records, snapshot, close) in LOGS {
        let disk = whole(records, snapshot, close);
        for file in files(&disk) {
            let damaged = copy(&disk);
            assert!(damaged.vanish(&file));
            check(&damaged, records, &format!("{} is gone, snapshot {snapshot:?}", file.display()));
        }
    }
}

#[test]
fn every_cut_of_every_file() {
    for (records, snapshot, close) in LOGS {
        let disk = whole(records, snapshot, close);
        for file in files(&disk) {
            let bytes = disk.contents(&file).expect("exists");
            let lengths = (0..bytes.len()).filter(|len| len % 1021 == 0 || len % 4096 < 2);
            for len in lengths.chain([39, 40, 4097, 4143, bytes.len() + 1, bytes.len() + 5000]) {
                if len == bytes.len() {
                    continue;
                }
                let mut cut = bytes.clone();
                cut.resize(len, 7);
                let damaged = copy(&disk);
                damaged.put(&file, cut);
                let what = format!("{} is cut to {len}, snapshot {snapshot:?}", file.display());
                check(&damaged, records, &what);
            }
        }
    }
}

/// As if the segment had been prepared and never written to; and all zeros.
#[test]
fn every_unwritten_segment() {
    for (records, snapshot, close) in LOGS {
        let disk = whole(records, snapshot, close);
        for file in files(&disk).iter().filter(|file| file.extension().is_some()) {
            for header_bytes in [0, 4096] {
                let mut bytes = disk.contents(file).expect("exists");
                bytes[header_bytes..].fill(0);
                let damaged = copy(&disk);
                damaged.put(file, bytes);
                let what = format!("{} is empty, snapshot {snapshot:?}", file.display());
                check(&damaged, records, &what);
            }
        }
    }
}

#[test]
fn flipped_bits_of_every_file() {
    for (records, snapshot, close) in LOGS {
        let disk = whole(records, snapshot, close);
        for file in files(&disk) {
            let bytes = disk.contents(&file).expect("exists");
            // All of the headers, some of the rest.
            let places = (0..bytes.len()).filter(|at| at % 4001 == 0 || at % 16384 < 48);
            for at in places {
                let damaged = copy(&disk);
                assert!(damaged.flip_bit(&file, at as u64, (at % 8) as u8));
                let what = format!("{} is flipped at {at}, snapshot {snapshot:?}", file.display());
                check(&damaged, records, &what);
            }
        }
    }
}

/// Two files at a time: one repair mends both.
#[test]
fn two_missing_files() {
    for (records, snapshot, close) in LOGS {
        let disk = whole(records, snapshot, close);
        let all: Vec<_> = files(&disk).into_iter().filter(|f| f.extension().is_some()).collect();
        for one in &all {
            for two in all.iter().filter(|two| *two > one) {
                let damaged = copy(&disk);
                assert!(damaged.vanish(one) && damaged.vanish(two));
                let what = format!("{} and {}", one.display(), two.display());
                check(&damaged, records, &format!("{what} are gone, snapshot {snapshot:?}"));
            }
        }
    }
}

/// A repair that the power cuts off is done again, and ends as it would have ended.
#[test]
fn power_loss_at_every_operation_of_a_repair() {
    let disk = whole(70, None, true);
    assert!(disk.flip_bit(&segment_file(&dir(), 2), 9000, 2));
    assert!(disk.vanish(&segment_file(&dir(), 4)));
    let dry: Arc<dyn Disk> = Arc::new(DryRun::new(Arc::new(copy(&disk))));
    let (_, planned) = repair(&dry, &dir(), verify).expect("two cuts");
    let mut cut_off = 0;
    for crash_at in 1.. {
        let damaged = copy(&disk);
        let faults = SimFaults { crash_at: Some(crash_at), ..SimFaults::default() };
        damaged.set_faults(faults);
        let shared: Arc<dyn Disk> = Arc::new(damaged.clone());
        let Err(Refusal::Open(_)) = repair(&shared, &dir(), verify) else { break };
        damaged.crash();
        cut_off += 1;
        let (_, started) = repair(&shared, &dir(), verify).expect("the power is back");
        assert_eq!(started.records, planned.records, "crash at {crash_at}");
        let (_, again) = start(&damaged).unwrap_or_else(|e| panic!("crash at {crash_at}: {e}"));
        assert_eq!(again.records, started.records);
    }
    assert!(cut_off > 10, "{cut_off}");
}

/// The last segment that was written to went missing with everything in it, and the start began a new
/// one in its place: acknowledged records were gone without a word. The segment that was prepared
/// after it proves that it existed.
#[test]
fn a_missing_last_segment_is_noticed() {
    let disk = whole(70, None, true);
    let last = verify_segments(&disk, &dir()).expect("readable").last().expect("some").number;
    disk.vanish(&segment_file(&dir(), last));
    let refused = start(&disk).err().expect("acknowledged records are gone").to_string();
    assert!(refused.contains("it is missing, though segment"), "{refused}");
    assert!(refused.contains(&format!("{last:020}.log")), "{refused}");
}

/// The segment scans show what is behind a snapshot, too, where a start does not look.
#[test]
fn damage_that_a_snapshot_covers_is_shown_and_needs_no_repair() {
    let disk = whole(70, Some(50), true);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    assert!(disk.flip_bit(&segment_file(&dir(), 1), 9000, 2));
    let scans = verify_segments(&disk, &dir()).expect("readable");
    let damaged: Vec<u64> =
        scans.iter().filter(|scan| scan.damage.is_some()).map(|scan| scan.number).collect();
    assert_eq!(damaged, [1]);
    let readable = scans.iter().map(|scan| scan.records).sum::<u64>();
    assert!((50..70).contains(&readable), "{readable}");
    assert_eq!(verify(&shared).expect("the snapshot covers it").records, 70);
}

/// Lost records are told, and kept aside as bytes.
#[test]
fn a_cut_says_what_is_lost_and_keeps_it_aside() {
    let disk = whole(70, None, true);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    assert!(disk.flip_bit(&segment_file(&dir(), 2), 4096 + 10, 2));
    let (steps, started) = repair(&shared, &dir(), verify).expect("a cut");
    let [RepairStep::Cut(cut)] = steps.as_slice() else { panic!("{steps:?}") };
    assert_eq!((cut.segment, cut.at), (2, Lsn(2 * u64::from(SEGMENT_BYTES) + 4096)));
    // Of the batch whose header is damaged nobody can say how much it held: here, three records.
    assert_eq!(started.records + 3 + cut.lost_records, 70);
    assert!(steps[0].to_string().contains(&format!("at least {} records", cut.lost_records)));
    let aside = disk.files().into_iter().filter(|f| f.to_string_lossy().ends_with(".damaged"));
    assert_eq!(aside.count(), 1 + cut.dropped_segments.len());
}
