//! What the tests share: small logs, recognisable bodies, reading everything back.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kyu_log::{
    Appended, Class, FileLog, History, Log, Lsn, OnFailure, OpenError, Opened, Options,
    ReplayError, SimDisk, SyncMode,
};

pub(crate) const SEGMENT_BYTES: u32 = 32 << 10;

pub(crate) fn dir() -> PathBuf {
    PathBuf::from("/log")
}

/// Small segments, so that a few records roll; a failing log does not abort the test.
pub(crate) fn options() -> Options {
    Options {
        segment_bytes: SEGMENT_BYTES,
        spare_segments: 1,
        max_log_bytes: None,
        reserve_bytes: 0,
        hot_bytes: 0,
        direct_io: true,
        sync: SyncMode::Always,
        on_failure: OnFailure::Call(Arc::new(|_| {})),
    }
}

pub(crate) fn open(disk: &SimDisk) -> Result<(FileLog, Opened), OpenError> {
    FileLog::open_stepped(Arc::new(disk.clone()), &dir(), options())
}

/// A body that says which record it is, `len` bytes long.
pub(crate) fn body(number: u64, len: usize) -> Vec<u8> {
    number.to_le_bytes().into_iter().cycle().take(len.max(8)).collect()
}

pub(crate) fn append(log: &mut impl Log, number: u64, len: usize) -> Appended {
    log.append(Class::Grow, &body(number, len)).expect("there is space")
}

/// All records from `from` on: address and body.
pub(crate) fn replay(
    log: &impl History,
    from: Lsn,
) -> Result<Vec<(Lsn, Vec<u8>)>, ReplayError<std::convert::Infallible>> {
    let mut records = Vec::new();
    log.replay(from, &mut |at, body| {
        records.push((at, body.to_vec()));
        Ok(())
    })?;
    Ok(records)
}

pub(crate) fn bodies(log: &impl History) -> Vec<Vec<u8>> {
    replay(log, Lsn::ZERO).expect("the log is whole").into_iter().map(|(_, body)| body).collect()
}

pub(crate) fn segment_file(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:020}.log"))
}
