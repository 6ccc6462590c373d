//! Durable writes: a growing file with fdatasync, and a pre-written file with O_DIRECT and O_DSYNC.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::Instant;

use rustix::fs::OFlags;

use super::{Limit, MEASURE};
use crate::Error;
use crate::histogram::Histogram;

/// Alignment that O_DIRECT accepts on every common device.
const ALIGNMENT: usize = 4096;
/// Size of the pre-written file; writes go round in it.
const PREWRITTEN_BYTES: usize = 64 << 20;
/// The fdatasync file stops growing here, should a device be that fast.
const MAX_GROWN_BYTES: usize = 512 << 20;

pub(super) fn measure(directory: &Path) -> Result<Vec<Limit>, Error> {
    let grown = directory.join("limit-grown");
    let prewritten = directory.join("limit-prewritten");
    let mut limits = vec![growing_fdatasync(&grown)?];
    prewrite(&prewritten)?;
    for (name, size_bytes) in [("4 KiB", 4 << 10), ("64 KiB", 64 << 10), ("1 MiB", 1 << 20)] {
        limits.push(direct_write(&prewritten, name, size_bytes)?);
    }
    fs::remove_file(grown)?;
    fs::remove_file(prewritten)?;
    Ok(limits)
}

fn growing_fdatasync(path: &Path) -> Result<Limit, Error> {
    const SIZE_BYTES: usize = 4 << 10;
    let mut file = File::create(path)?;
    let block = vec![0x5a; SIZE_BYTES];
    let name = "append 4 KiB + fdatasync, growing file".to_owned();
    let mut left = MAX_GROWN_BYTES / SIZE_BYTES;
    repeat(name, SIZE_BYTES, || {
        left = left.saturating_sub(1);
        if left == 0 {
            return Ok(false);
        }
        file.write_all(&block)?;
        file.sync_data()?;
        Ok(true)
    })
}

fn prewrite(path: &Path) -> Result<(), Error> {
    let mut file = File::create(path)?;
    let block = vec![0; 1 << 20];
    for _ in 0..PREWRITTEN_BYTES / block.len() {
        file.write_all(&block)?;
    }
    file.sync_all()?;
    Ok(())
}

fn direct_write(path: &Path, name: &str, size_bytes: usize) -> Result<Limit, Error> {
    let flags = (OFlags::DIRECT | OFlags::DSYNC).bits() as i32;
    let file = File::options().write(true).custom_flags(flags).open(path)?;
    let buffer = vec![0x5a; size_bytes + ALIGNMENT];
    let start = buffer.as_ptr().align_offset(ALIGNMENT);
    let aligned = buffer.get(start..start + size_bytes).ok_or("no aligned buffer")?;
    let mut offset = 0;
    repeat(format!("O_DIRECT|O_DSYNC {name}, pre-written file"), size_bytes, || {
        file.write_all_at(aligned, offset as u64)?;
        offset = (offset + size_bytes) % PREWRITTEN_BYTES;
        Ok(true)
    })
}

/// Calls `operation` until the time is over or it answers false.
fn repeat(
    name: String,
    size_bytes: usize,
    mut operation: impl FnMut() -> Result<bool, Error>,
) -> Result<Limit, Error> {
    let mut histogram = Histogram::default();
    let began = Instant::now();
    let mut before = began;
    while before.duration_since(began) < MEASURE && operation()? {
        let after = Instant::now();
        histogram.record(after.duration_since(before).as_nanos() as u64);
        before = after;
    }
    let per_second = histogram.count() as f64 / before.duration_since(began).as_secs_f64();
    Ok(Limit {
        name,
        per_second,
        bytes_per_second: per_second * size_bytes as f64,
        p50_nanos: histogram.quantile(0.5),
        p99_nanos: histogram.quantile(0.99),
    })
}
