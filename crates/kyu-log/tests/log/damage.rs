//! Bits that change on the platter: wrong bytes are never delivered, and what was durable does not go
//! missing in silence.

use kyu_log::{Log, Lsn, OpenError, ReplayError, SimDisk};

use crate::support::{append, body, dir, open, replay, segment_file};

fn flushed_log(disk: &SimDisk, batches: u64) -> Vec<Vec<u8>> {
    let (mut log, _) = open(disk).expect("new");
    let mut expected = Vec::new();
    for number in 0..batches {
        append(&mut log, number, 300);
        append(&mut log, number + 100, 40);
        expected.extend([body(number, 300), body(number + 100, 40)]);
        log.flush().expect("written");
    }
    log.close().expect("written");
    expected
}

/// After an orderly close nothing is a torn tail: every flip is refused or does not matter.
#[test]
fn a_flipped_bit_anywhere_in_a_closed_log_is_refused_or_harmless() {
    let disk = SimDisk::new(11);
    let expected = flushed_log(&disk, 3);
    let file = segment_file(&dir(), 1);
    let original = disk.contents(&file).expect("exists");
    let mut refused = 0;
    // Everything written, and some of the empty rest.
    for at in 0..(4096 * 8) as u64 {
        assert!(disk.flip_bit(&file, at, (at % 8) as u8));
        match open(&disk) {
            Err(OpenError::Damaged(damage)) => {
                assert_eq!(damage.file, file);
                assert!(damage.to_string().contains("kyu log repair"));
                refused += 1;
            }
            Err(OpenError::Incompatible { .. }) => {
                assert!(at < 40, "only the header says so");
                refused += 1;
            }
            Err(error) => panic!("flip at {at}: {error}"),
            Ok((log, _)) => {
                let found = replay(&log, Lsn::ZERO).expect("whole");
                let bodies: Vec<_> = found.into_iter().map(|(_, body)| body).collect();
                assert_eq!(bodies, expected, "flip at {at}");
            }
        }
        disk.crash();
        disk.put(&file, original.clone());
    }
    assert!(refused > 3 * 400, "{refused}");
}

/// Without an orderly close the last batch may have been in flight: only it may be dropped.
#[test]
fn a_flipped_bit_after_a_crash_drops_at_most_the_last_batch() {
    let disk = SimDisk::new(12);
    let (mut log, _) = open(&disk).expect("new");
    let mut expected = Vec::new();
    for number in 0..4 {
        append(&mut log, number, 700);
        expected.push(body(number, 700));
        log.flush().expect("written");
    }
    drop(log);
    disk.crash();
    let file = segment_file(&dir(), 1);
    let original = disk.contents(&file).expect("exists");
    for at in 4096..(4096 * 7) as u64 {
        disk.flip_bit(&file, at, 3);
        if let Ok((log, _)) = open(&disk) {
            let found = replay(&log, Lsn::ZERO).expect("whole");
            let bodies: Vec<_> = found.into_iter().map(|(_, body)| body).collect();
            assert!(
                bodies == expected || bodies == expected[..3],
                "flip at {at}: {}",
                bodies.len()
            );
        }
        disk.crash();
        disk.put(&file, original.clone());
    }
}

#[test]
fn damage_in_an_old_segment_is_refused_by_replay_and_scan_but_not_by_a_replay_behind_it() {
    let disk = SimDisk::new(13);
    let (mut log, _) = open(&disk).expect("new");
    let mut ends = Vec::new();
    for number in 0..100 {
        ends.push(append(&mut log, number, 1500).end);
        if number % 5 == 0 {
            log.flush().expect("written");
        }
    }
    log.close().expect("written");
    assert!(disk.flip_bit(&segment_file(&dir(), 2), 9000, 0));
    let (log, _) = open(&disk).expect("a snapshot may cover it");
    assert!(matches!(replay(&log, Lsn::ZERO), Err(ReplayError::Damaged(_))));
    let scanned = log.scan_segment::<()>(2, &mut |_, _| Ok(()));
    assert!(matches!(scanned, Err(ReplayError::Damaged(_))));
    assert_eq!(replay(&log, ends[70]).expect("not affected").len(), 29);
}

#[test]
fn a_segment_cut_short_is_refused() {
    let disk = SimDisk::new(14);
    flushed_log(&disk, 6);
    let file = segment_file(&dir(), 1);
    let whole = disk.contents(&file).expect("exists");
    for len in [0, 100, 4096, 5000, 4096 * 3] {
        disk.put(&file, whole[..len].to_vec());
        let opened = open(&disk);
        // With every batch behind the cut gone there is no proof of loss in the log itself; the
        // snapshot's address, or this file's size, is.
        assert!(opened.is_err(), "cut to {len}");
    }
}
