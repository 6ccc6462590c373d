//! Power loss at every moment: nothing that was reported durable is lost, nothing is invented.

use std::sync::Arc;

use kyu_log::{Class, FileLog, Log, Lsn, OpenError, Options, SimDisk, SimFaults, SyncMode};

use crate::support::{append, bodies, body, dir, open, options, replay};

/// What a run of the workload was told.
#[derive(Default)]
struct Told {
    /// Bodies in the order they were appended.
    appended: Vec<Vec<u8>>,
    /// How many of them were reported durable.
    durable: usize,
    epoch: u64,
}

/// Appends and flushes until the end or until the power goes; reopens sometimes, and recycles.
fn workload(disk: &SimDisk, options: &Options, told: &mut Told) {
    for incarnation in 0..3u64 {
        let opened = FileLog::open_stepped(Arc::new(disk.clone()), &dir(), options.clone());
        let Ok((mut log, opened)) = opened else { return };
        told.epoch = opened.epoch;
        // What was appended but not flushed by the incarnation before is gone.
        told.appended.truncate(bodies(&log).len());
        for round in 0..8u64 {
            for number in 0..(round % 4) * 3 {
                let id = incarnation * 1000 + round * 100 + number;
                let len = ((id * 7919) % 2500) as usize;
                if log.append(Class::Grow, &body(id, len)).is_err() {
                    return;
                }
                told.appended.push(body(id, len));
            }
            if log.flush().is_err() {
                return;
            }
            told.durable = told.appended.len();
        }
        if incarnation == 1 && log.close().is_err() {
            return;
        }
    }
}

/// What is there after the crash must be a prefix of what was appended, and no shorter than what was
/// reported durable.
fn check(disk: &SimDisk, told: &Told, context: &str) {
    let (mut log, opened) =
        open(disk).unwrap_or_else(|error| panic!("{context}: does not open: {error}"));
    assert!(opened.epoch > told.epoch || told.epoch == 0, "{context}: the epoch rises");
    let found = bodies(&log);
    assert!(found.len() >= told.durable, "{context}: {} of {}", found.len(), told.durable);
    assert_eq!(found, told.appended[..found.len()], "{context}");
    // And it goes on.
    let before = found.len();
    append(&mut log, 77, 3000);
    append(&mut log, 78, 3000);
    log.flush().expect("the disk works again");
    disk.crash();
    let (log, again) = open(disk).unwrap_or_else(|error| panic!("{context}: second: {error}"));
    assert!(again.epoch > opened.epoch);
    assert_eq!(bodies(&log)[before..], [body(77, 3000), body(78, 3000)], "{context}");
}

fn operations_of_workload() -> u64 {
    let disk = SimDisk::new(0);
    let mut told = Told::default();
    workload(&disk, &options(), &mut told);
    assert_eq!(told.durable, told.appended.len());
    disk.operations()
}

#[test]
fn power_loss_at_every_operation_loses_nothing_durable() {
    let operations = operations_of_workload();
    assert!(operations > 60, "the workload does something: {operations}");
    for direct_io in [true, false] {
        for seed in 0..4 {
            for crash_at in 1..=operations {
                let disk = SimDisk::new(seed * 100_003 + crash_at);
                let faults = SimFaults {
                    crash_at: Some(crash_at),
                    torn_sectors: seed % 2 == 0,
                    short_reads: seed % 3 == 0,
                    ..SimFaults::default()
                };
                disk.set_faults(faults);
                let mut told = Told::default();
                workload(&disk, &Options { direct_io, ..options() }, &mut told);
                disk.crash();
                check(&disk, &told, &format!("seed {seed} crash_at {crash_at} direct {direct_io}"));
            }
        }
    }
}

#[test]
fn a_failed_operation_ends_the_log_and_a_restart_replays_it() {
    for seed in 0..2 {
        for fail_at in 1..=operations_of_workload() {
            for power_too in [false, true] {
                let disk = SimDisk::new(seed * 7_001 + fail_at);
                disk.set_faults(SimFaults { fail_at: Some(fail_at), ..SimFaults::default() });
                let mut told = Told::default();
                workload(&disk, &options(), &mut told);
                if power_too {
                    disk.crash();
                } else {
                    disk.kill_process();
                    disk.set_faults(SimFaults::default());
                }
                check(&disk, &told, &format!("seed {seed} fail_at {fail_at} power {power_too}"));
            }
        }
    }
}

/// A crash during recovery, and another one during the recovery from that.
#[test]
fn crashes_while_opening_lose_nothing_either() {
    let operations = operations_of_workload();
    for first in (1..=operations).step_by(9) {
        for second in 1..12 {
            let disk = SimDisk::new(first * 1000 + second);
            let crash_at =
                |at| SimFaults { crash_at: Some(at), torn_sectors: true, ..SimFaults::default() };
            disk.set_faults(crash_at(first));
            let mut told = Told::default();
            workload(&disk, &options(), &mut told);
            disk.crash();
            for _ in 0..2 {
                disk.set_faults(crash_at(disk.operations() + second));
                let _ = open(&disk);
                disk.crash();
            }
            check(&disk, &told, &format!("first {first} second {second}"));
        }
    }
}

/// Cuts the last batch at every sector: each cut leaves a log that ends before it.
#[test]
fn every_cut_of_the_last_batch_is_dropped_whole() {
    let disk = SimDisk::new(3);
    let (mut log, _) = open(&disk).expect("new");
    append(&mut log, 1, 5000);
    log.flush().expect("written");
    let before = last_written(&disk);
    append(&mut log, 2, 3000);
    append(&mut log, 3, 6000);
    log.flush().expect("written");
    let after = last_written(&disk);
    drop(log);
    let file = crate::support::segment_file(&dir(), 1);
    let changed: Vec<usize> = (0..after.len()).filter(|&at| before[at] != after[at]).collect();
    let (from, to) = (changed[0], changed[changed.len() - 1] + 1);
    for cut in from..to {
        let mut bytes = before.clone();
        bytes[..cut].copy_from_slice(&after[..cut]);
        if bytes == after {
            continue;
        }
        disk.put(&file, bytes);
        let (log, _) = open(&disk).unwrap_or_else(|e| panic!("cut at {cut}: {e}"));
        assert_eq!(bodies(&log), [body(1, 5000)], "cut at {cut}");
    }
}

fn last_written(disk: &SimDisk) -> Vec<u8> {
    disk.contents(&crate::support::segment_file(&dir(), 1)).expect("exists")
}

/// The positive control: a log that does not sync loses durable records, and `check` notices.
#[test]
fn a_log_that_does_not_sync_is_caught() {
    let broken = Options { sync: SyncMode::Broken, direct_io: false, ..options() };
    let caught = (0..20).any(|seed| {
        let disk = SimDisk::new(seed);
        let mut told = Told::default();
        workload(&disk, &broken, &mut told);
        disk.crash();
        match open(&disk) {
            Ok((log, _)) => replay(&log, Lsn::ZERO).map_or(0, |found| found.len()) < told.durable,
            Err(OpenError::Damaged(_)) => true,
            Err(_) => false,
        }
    });
    assert!(caught);
}

/// Bytes of the file's former life lie behind the new ones, whole batches among them.
#[test]
fn stale_contents_of_a_recycled_segment_are_not_records() {
    let disk = SimDisk::new(5);
    let (mut log, _) = open(&disk).expect("new");
    let mut number = 0;
    let mut kept_from = Lsn::ZERO;
    for _ in 0..40 {
        for _ in 0..20 {
            append(&mut log, number, 1200);
            number += 1;
        }
        log.flush().expect("written");
        for segment in log.segments().iter().filter(|s| s.closed) {
            log.scan_segment(segment.number, &mut |at, body| {
                kept_from = Lsn(at.0 + body.len() as u64);
                Ok::<(), ()>(())
            })
            .expect("whole");
            assert!(log.recycle(segment.number));
        }
    }
    assert!(log.metrics().recycled_segments > 20);
    assert!(log.metrics().prewritten_segments < 8, "files are reused");
    disk.crash();
    let (log, _) = open(&disk).expect("opens");
    let found = replay(&log, kept_from).expect("whole");
    assert_eq!(found.last().map(|(_, b)| b.clone()), Some(body(number - 1, 1200)));
}
