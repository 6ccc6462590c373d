//! Snapshots are whole or not there.

use std::io::Read;
use std::sync::Arc;

use kyu_log::{Lsn, SimDisk, SimFaults, SnapshotError, SnapshotStore};

use crate::support::dir;

fn store(disk: &SimDisk) -> SnapshotStore {
    SnapshotStore::new(Arc::new(disk.clone()), &dir(), 42)
}

fn state(seed: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (at.wrapping_mul(seed | 1) >> 3) as u8).collect()
}

fn write(store: &SnapshotStore, lsn: u64, len: usize) -> std::io::Result<u64> {
    store.write(Lsn(lsn), |out| {
        for piece in state(lsn, len).chunks(1000) {
            out.write_all(piece)?;
        }
        Ok(())
    })
}

fn load(store: &SnapshotStore, reaches: bool) -> Result<Option<(Lsn, Vec<u8>)>, SnapshotError> {
    let Some(mut snapshot) = store.load(|_| reaches)? else { return Ok(None) };
    let mut bytes = Vec::new();
    snapshot.read_to_end(&mut bytes)?;
    Ok(Some((snapshot.lsn, bytes)))
}

#[test]
fn the_newest_comes_back() {
    let disk = SimDisk::new(1);
    let store = store(&disk);
    assert!(load(&store, false).expect("none").is_none());
    for (lsn, len) in [(100, 0), (200, 10), (300, 256 << 10), (400, (256 << 10) * 2 + 5)] {
        write(&store, lsn, len).expect("written");
        assert_eq!(load(&store, false).expect("whole"), Some((Lsn(lsn), state(lsn, len))));
    }
    store.prune(2).expect("removed");
    assert_eq!(store.list().expect("listed"), [Lsn(400), Lsn(300)]);
}

#[test]
fn power_loss_while_writing_leaves_the_old_one() {
    for crash_at in 1..12 {
        for seed in 0..8 {
            let disk = SimDisk::new(seed);
            write(&store(&disk), 100, 5000).expect("written");
            let crash_at = Some(disk.operations() + crash_at);
            disk.set_faults(SimFaults { crash_at, torn_sectors: true, ..SimFaults::default() });
            let written = write(&store(&disk), 200, 400_000).is_ok();
            disk.crash();
            let (lsn, bytes) = load(&store(&disk), false).expect("whole").expect("one");
            assert!(lsn == Lsn(200) || !written);
            let len = if lsn == Lsn(200) { 400_000 } else { 5000 };
            assert_eq!(bytes, state(lsn.0, len));
            store(&disk).prune(1).expect("removed");
        }
    }
}

#[test]
fn a_damaged_newest_is_an_error_unless_the_log_reaches_back() {
    let disk = SimDisk::new(1);
    let store = store(&disk);
    write(&store, 100, 3000).expect("written");
    write(&store, 200, 3000).expect("written");
    let file = dir().join(format!("snapshot-{:020}", 200));
    let len = disk.contents(&file).expect("exists").len() as u64;
    for at in 0..len {
        disk.flip_bit(&file, at, 5);
        if !(12..16).contains(&at) || load(&store, true).is_err() {
            assert!(matches!(load(&store, false), Err(SnapshotError::Damaged { .. })), "at {at}");
        }
        let (lsn, bytes) = load(&store, true).expect("older").expect("one");
        assert_eq!((lsn, bytes), (Lsn(100), state(100, 3000)), "at {at}");
        disk.flip_bit(&file, at, 5);
    }
    assert_eq!(load(&store, false).expect("whole").expect("one").0, Lsn(200));
}

#[test]
fn one_of_another_log_is_not_taken() {
    let disk = SimDisk::new(1);
    write(&store(&disk), 100, 10).expect("written");
    let other = SnapshotStore::new(Arc::new(disk.clone()), &dir(), 43);
    assert!(matches!(load(&other, false), Err(SnapshotError::Damaged { .. })));
}
