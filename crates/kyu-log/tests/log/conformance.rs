//! What a log in files does beside what every log promises, when nothing goes wrong.

use std::path::Path;
use std::sync::Arc;

use kyu_log::{Class, FileLog, Log, Lsn, OpenError, Options, ReplayError, SimDisk};

use crate::places::{Place, on_files};
use crate::support::{self, SEGMENT_BYTES, append, bodies, body, replay};

#[test]
fn a_second_opener_is_told_who_is_there() {
    on_files(|place| {
        let (log, _) = place.open().expect("new");
        assert!(matches!(place.open(), Err(OpenError::Locked(_))));
        drop(log);
        place.open().expect("free again");
    });
}

#[test]
fn a_batch_append_is_the_same_as_single_ones() {
    on_files(|place| {
        let (mut log, _) = place.open().expect("new");
        let expected: Vec<Vec<u8>> = (0..200).map(|n| body(n, 500)).collect();
        let mut places = Vec::new();
        log.append_all(Class::Grow, expected.iter().map(Vec::as_slice), |a| places.push(a.body_at))
            .expect("there is space");
        log.flush().expect("written");
        let records = replay(&log, Lsn::ZERO).expect("whole");
        assert_eq!(records, places.into_iter().zip(expected).collect::<Vec<_>>());
    });
}

#[test]
fn a_body_can_contain_its_own_address() {
    on_files(|place| {
        let (mut log, _) = place.open().expect("new");
        for _ in 0..100 {
            let mut bytes = vec![0; 1000];
            let mut own = Lsn::ZERO;
            let slot = &mut bytes;
            let appended = log
                .append_with(Class::Grow, 1000, |at| {
                    own = at;
                    slot[..8].copy_from_slice(&at.0.to_le_bytes());
                    slot
                })
                .expect("there is space");
            assert_eq!(appended.body_at, own);
        }
        log.flush().expect("written");
        for (at, body) in replay(&log, Lsn::ZERO).expect("whole") {
            assert_eq!(body[..8], at.0.to_le_bytes());
        }
    });
}

#[test]
fn closed_segments_are_scanned_one_by_one() {
    on_files(|place| {
        let (mut log, _) = place.open().expect("new");
        let places: Vec<Lsn> = (0..300).map(|n| append(&mut log, n, 1000).body_at).collect();
        log.flush().expect("written");
        let closed: Vec<u64> =
            log.segments().iter().filter(|s| s.closed).map(|s| s.number).collect();
        let mut scanned = Vec::new();
        for number in &closed {
            log.scan_segment(*number, &mut |at, _| {
                scanned.push(at);
                Ok::<(), ()>(())
            })
            .expect("whole");
        }
        assert_eq!(scanned, places[..scanned.len()]);
        assert!(log.recycle(closed[1]));
        assert!(log.scan_segment::<()>(closed[1], &mut |_, _| Ok(())).is_err());
    });
}

#[test]
fn files_of_others_are_refused_with_their_name() {
    let disk = SimDisk::new(1);
    let (one, two) = (Path::new("/one"), Path::new("/two"));
    for dir in [one, two] {
        let (mut log, _) =
            FileLog::open_stepped(Arc::new(disk.clone()), dir, support::options()).expect("new");
        for number in 0..50 {
            append(&mut log, number, 1000);
        }
        log.close().expect("written");
    }
    let reopen =
        |dir: &Path| match FileLog::open_stepped(Arc::new(disk.clone()), dir, support::options()) {
            Ok(_) => panic!("it must not open"),
            Err(error) => error.to_string(),
        };
    let file = support::segment_file(one, 2);
    let own = disk.contents(&file).expect("exists");
    disk.put(&file, disk.contents(&support::segment_file(two, 2)).expect("exists"));
    assert!(reopen(one).contains("belongs to another log"));
    disk.put(&file, disk.contents(&support::segment_file(one, 1)).expect("exists"));
    assert!(reopen(one).contains("is segment 1 under a wrong name"));
    let mut newer = own.clone();
    newer[8] = 2;
    disk.put(&file, newer);
    assert!(reopen(one).contains("version 2"));
    disk.put(&file, own);
    disk.vanish(&one.join("META"));
    assert!(reopen(one).contains("missing"));
}

#[test]
fn a_missing_segment_is_named() {
    let disk = SimDisk::new(1);
    let (mut log, _) = support::open(&disk).expect("new");
    for number in 0..100 {
        append(&mut log, number, 1000);
    }
    log.close().expect("written");
    disk.vanish(&support::segment_file(&support::dir(), 2));
    let (log, _) = support::open(&disk).expect("a snapshot may cover it");
    assert!(matches!(replay(&log, Lsn::ZERO), Err(ReplayError::Missing { segment: 2, .. })));
}

/// The largest record and a reserve of whole segments: waiting for a segment must end.
#[test]
fn the_largest_records_fit_beside_the_reserve() {
    on_files(|place| {
        let reserve_bytes = 3 * u64::from(SEGMENT_BYTES);
        let options = Options { reserve_bytes, ..support::options() };
        let (mut log, _) = place.open_as(options).expect("new");
        let len = SEGMENT_BYTES as usize - 2 * 4096 - 48 - 20;
        for number in 0..20 {
            append(&mut log, number, len);
            append(&mut log, number, 9);
        }
        log.flush().expect("written");
        assert_eq!(bodies(&log).len(), 40);
    });
}
