//! `verify` finds damage, `repair` cuts exactly there.

use kyu_log::{Lsn, SimDisk, apply_repair, plan_repair, verify};

use crate::support::{append, body, dir, open, replay, segment_file};

/// Damage in each segment in turn: the plan counts what goes, and what is before it stays.
#[test]
fn a_damaged_log_is_cut_at_the_damage_and_works_again() {
    for segment in 1..=4 {
        for offset in [10, 4096 + 10, 9000, 16_500] {
            let disk = SimDisk::new(segment);
            let (mut log, opened) = open(&disk).expect("new");
            let mut places = Vec::new();
            for number in 0..100 {
                places.push(append(&mut log, number, 1300).body_at);
                log.flush().expect("written");
            }
            let opened_end = log.end();
            log.close().expect("written");
            let before = verify(&disk, &dir()).expect("readable");
            assert_eq!(before.first_damage(Lsn::ZERO), None);
            assert_eq!(plan_repair(&disk, &dir(), Lsn::ZERO).expect("readable"), None);
            assert_eq!(before.segments.iter().map(|s| s.records).sum::<u64>(), 100);

            assert!(disk.flip_bit(&segment_file(&dir(), segment), offset, 2));
            let plan = plan_repair(&disk, &dir(), Lsn::ZERO).expect("readable").expect("damaged");
            assert_eq!(plan.cut_segment, segment);
            apply_repair(&disk, &dir(), Lsn::ZERO, &plan).expect("repaired");

            let context = format!("segment {segment} offset {offset}: {plan}");
            let after = verify(&disk, &dir()).expect("readable");
            assert_eq!(after.first_damage(Lsn::ZERO), None, "{context}");
            let (mut log, again) = open(&disk).unwrap_or_else(|e| panic!("{context}: {e}"));
            assert!(again.epoch > opened.epoch);
            let last_kept = if plan.header_only { opened_end } else { plan.last_kept };
            assert_eq!(again.last, last_kept, "{context}");
            assert_eq!(plan.header_only, offset == 10);
            let kept = replay(&log, Lsn::ZERO).unwrap_or_else(|e| panic!("{context}: {e}"));
            let expected = places.iter().filter(|at| **at < last_kept).count();
            assert_eq!(kept.len(), expected, "{context}");
            append(&mut log, 7, 20_000);
            append(&mut log, 8, 20_000);
            log.close().expect("written");
            let (log, _) = open(&disk).expect("reopens");
            let kept = replay(&log, Lsn::ZERO).expect("whole");
            assert_eq!(kept.len(), expected + 2, "{context}");
            assert_eq!(kept[expected].1, body(7, 20_000));
            assert!(disk.files().iter().any(|f| f.to_string_lossy().ends_with(".damaged")));
        }
    }
}

#[test]
fn damage_that_a_snapshot_covers_needs_no_repair() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk).expect("new");
    let ends: Vec<Lsn> = (0..100).map(|n| append(&mut log, n, 1300).end).collect();
    log.close().expect("written");
    assert!(disk.flip_bit(&segment_file(&dir(), 1), 9000, 2));
    assert!(plan_repair(&disk, &dir(), Lsn::ZERO).expect("readable").is_some());
    assert_eq!(plan_repair(&disk, &dir(), ends[60]).expect("readable"), None);
}
