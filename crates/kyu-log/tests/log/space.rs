//! A full disk or log refuses growth, keeps working for what frees space, and recovers.

use std::sync::Arc;

use kyu_log::{AppendError, Class, FileLog, Log, Options, SimDisk, SimFaults};

use crate::support::{SEGMENT_BYTES, append, body, dir, open, options};

const SEGMENT: u64 = SEGMENT_BYTES as u64;

fn fill(log: &mut FileLog) -> u64 {
    for number in 0.. {
        match log.append(Class::Grow, &body(number, 1000)) {
            Ok(_) => {}
            Err(AppendError::Full) => return number,
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!()
}

fn recycle_all(log: &FileLog) {
    for segment in log.segments().iter().filter(|s| s.closed) {
        assert!(log.recycle(segment.number));
    }
}

/// Fills, frees through the reserve, recycles, fills again.
fn check(disk: &SimDisk, options: Options) {
    let (mut log, _) = FileLog::open_stepped(Arc::new(disk.clone()), &dir(), options).expect("new");
    for round in 0..5 {
        let taken = fill(&mut log);
        assert!(taken > 50, "round {round}: {taken}");
        assert!(log.space().expect("known").full);
        // The reserve holds at least this much.
        for number in 0..20 {
            log.append(Class::Shrink, &body(number, 1000)).expect("the reserve is for this");
        }
        log.flush().expect("written");
        assert_eq!(log.append(Class::Grow, b"more"), Err(AppendError::Full));
        recycle_all(&log);
        log.flush().expect("written");
        assert!(!log.space().expect("known").full, "round {round}");
        append(&mut log, round, 1000);
    }
    // The reserve has an end, too, and it is an error and not a crash.
    while log.append(Class::Shrink, &body(1, 1000)).is_ok() {}
    assert_eq!(log.append(Class::Shrink, &body(1, 1000)), Err(AppendError::Full));
    log.flush().expect("written");
}

#[test]
fn at_its_own_limit() {
    let disk = SimDisk::new(1);
    let limit = Some(8 * SEGMENT);
    check(&disk, Options { max_log_bytes: limit, reserve_bytes: SEGMENT, ..options() });
}

#[test]
fn at_the_limit_of_the_disk() {
    let disk = SimDisk::new(1);
    disk.set_faults(SimFaults { capacity_bytes: Some(9 * SEGMENT), ..SimFaults::default() });
    check(&disk, Options { reserve_bytes: SEGMENT, ..options() });
}

#[test]
fn another_user_of_the_disk_goes_away() {
    let disk = SimDisk::new(1);
    let capacity = |segments| SimFaults {
        capacity_bytes: Some(segments * SEGMENT + 9000),
        ..SimFaults::default()
    };
    disk.set_faults(capacity(5));
    let (mut log, _) = open(&disk).expect("new");
    fill(&mut log);
    disk.set_faults(capacity(20));
    append(&mut log, 1, 1000);
    log.close().expect("written");
}

#[test]
fn a_full_log_reopens() {
    let disk = SimDisk::new(1);
    disk.set_faults(SimFaults { capacity_bytes: Some(5 * SEGMENT), ..SimFaults::default() });
    let (mut log, _) = open(&disk).expect("new");
    while log.append(Class::Shrink, &body(1, 500)).is_ok() {}
    log.flush().expect("written");
    drop(log);
    for _ in 0..30 {
        disk.crash();
        disk.set_faults(SimFaults { capacity_bytes: Some(5 * SEGMENT), ..SimFaults::default() });
        match open(&disk) {
            Ok((log, _)) => drop(log),
            // With not one block left even the opening mark has no place; nothing is lost.
            Err(kyu_log::OpenError::NoSpace(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    disk.crash();
    disk.set_faults(SimFaults::default());
    let (mut log, _) = open(&disk).expect("space came back");
    append(&mut log, 1, 1000);
    log.flush().expect("written");
}
