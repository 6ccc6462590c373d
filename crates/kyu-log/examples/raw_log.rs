//! How fast the log is, beside what the disk does without it.
//!
//! `cargo run --release -p kyu-log --example raw_log -- [DIR] [SECONDS]`

use std::error::Error;
use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kyu_log::{Class, FileLog, History, Log, Lsn, Options, RealDisk};

const RECORD_BYTES: usize = 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().map_or_else(|| std::env::temp_dir().join("kyu-raw-log"), PathBuf::from);
    let seconds: f64 = args.next().map_or(Ok(3.0), |arg| arg.parse())?;
    let limit = Duration::from_secs_f64(seconds);
    std::fs::create_dir_all(&dir)?;
    for size in [4 << 10, 64 << 10, 1 << 20] {
        raw(&dir, "O_DIRECT|O_DSYNC, pre-written", size, true, true, limit / 3)?;
        raw(&dir, "write + fdatasync, pre-written", size, false, true, limit / 3)?;
        raw(&dir, "write + fdatasync, growing", size, false, false, limit / 3)?;
    }
    for direct_io in [true, false] {
        single(&dir, direct_io, limit)?;
        stream(&dir, direct_io, limit)?;
    }
    appender_alone(&dir)?;
    Ok(())
}

/// Durable writes of one size to one file, without the log.
fn raw(
    dir: &Path,
    name: &str,
    size: usize,
    direct: bool,
    prewritten: bool,
    limit: Duration,
) -> Result<(), Box<dyn Error>> {
    let path = dir.join("raw");
    let file_bytes = 256u64 << 20;
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
    if prewritten {
        let zeros = vec![0; 1 << 20];
        for step in 0..file_bytes >> 20 {
            file.write_all_at(&zeros, step << 20)?;
        }
        file.sync_all()?;
    }
    let flags = rustix::fs::OFlags::DIRECT | rustix::fs::OFlags::DSYNC;
    let file = match direct {
        true => OpenOptions::new().write(true).custom_flags(flags.bits() as i32).open(&path)?,
        false => file,
    };
    let memory = vec![7u8; size + 4096];
    let base = memory.as_ptr().addr().next_multiple_of(4096) - memory.as_ptr().addr();
    let block = &memory[base..base + size];
    let mut times = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < limit {
        let start = Instant::now();
        file.write_all_at(block, (times.len() * size) as u64 % file_bytes)?;
        if !direct {
            file.sync_data()?;
        }
        times.push(start.elapsed());
    }
    std::fs::remove_file(&path)?;
    report(&format!("raw {name} {} KiB", size >> 10), &mut times, size);
    Ok(())
}

fn report(name: &str, times: &mut [Duration], bytes_each: usize) {
    times.sort_unstable();
    let total: Duration = times.iter().sum();
    let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1e3;
    let per_second = times.len() as f64 / total.as_secs_f64();
    println!(
        "{name:48} p50 {:7.3} ms  p99 {:7.3} ms  {per_second:9.0}/s  {:7.1} MB/s",
        at(50),
        at(99),
        per_second * bytes_each as f64 / 1e6
    );
}

fn open(dir: &Path, direct_io: bool) -> Result<(FileLog, PathBuf), Box<dyn Error>> {
    let dir = dir.join("log");
    let _ = std::fs::remove_dir_all(&dir);
    let options = Options { direct_io, ..Options::default() };
    let (mut log, _) = FileLog::open(Arc::new(RealDisk), &dir, options)?;
    // The first segments are being prepared: do not measure that.
    log.append(Class::Grow, b"ready")?;
    log.flush()?;
    Ok((log, dir))
}

/// One record at a time, each waited for.
fn single(dir: &Path, direct_io: bool, limit: Duration) -> Result<(), Box<dyn Error>> {
    let (mut log, dir) = open(dir, direct_io)?;
    let body = vec![7; RECORD_BYTES];
    let mut times = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < limit {
        let start = Instant::now();
        log.append(Class::Grow, &body)?;
        log.flush()?;
        times.push(start.elapsed());
    }
    report(&format!("log append->durable 1 KiB, direct {direct_io}"), &mut times, RECORD_BYTES);
    log.close()?;
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

/// As fast as it goes, recycling what is closed, as a queue in steady flow does.
fn stream(dir: &Path, direct_io: bool, limit: Duration) -> Result<(), Box<dyn Error>> {
    let (mut log, dir) = open(dir, direct_io)?;
    let body = vec![7; RECORD_BYTES];
    let begin = Instant::now();
    let mut records = 0u64;
    let mut recycled = Lsn::ZERO;
    while begin.elapsed() < limit {
        for _ in 0..1000 {
            log.append(Class::Grow, &body)?;
        }
        records += 1000;
        if log.durable().0 > recycled.0 + u64::from(log.segment_bytes()) {
            recycled = log.durable();
            for segment in log.segments().iter().filter(|segment| segment.closed) {
                log.recycle(segment.number);
            }
        }
    }
    log.flush()?;
    let seconds = begin.elapsed().as_secs_f64();
    let metrics = log.metrics();
    println!(
        "log stream of 1 KiB records, direct {direct_io:5}           {:9.0} records/s  {:7.1} MB/s  \
         {:5.0} syncs/s  {:.2}x written  {} pre-written  {} recycled",
        records as f64 / seconds,
        records as f64 * RECORD_BYTES as f64 / seconds / 1e6,
        metrics.syncs as f64 / seconds,
        metrics.written_bytes as f64 / (records * RECORD_BYTES as u64) as f64,
        metrics.prewritten_segments,
        metrics.recycled_segments
    );
    log.close()?;
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

/// What the appending thread pays, and then the checksums, in memory, without the disk.
fn appender_alone(dir: &Path) -> Result<(), Box<dyn Error>> {
    let disk = kyu_log::SimDisk::new(1);
    let options = Options { spare_segments: 1, reserve_bytes: 0, ..Options::default() };
    let (mut log, _) = FileLog::open_stepped(Arc::new(disk), dir, options)?;
    let body = vec![7; RECORD_BYTES];
    let count = 40_000;
    for round in 0..3 {
        let begin = Instant::now();
        for _ in 0..count {
            log.append(Class::Grow, &body)?;
        }
        let appended = begin.elapsed();
        log.flush()?;
        for segment in log.segments().iter().filter(|segment| segment.closed) {
            log.recycle(segment.number);
        }
        println!(
            "appender alone, round {round}: {:.0} ns/record, {:.1} MB/s",
            appended.as_secs_f64() * 1e9 / f64::from(count),
            f64::from(count) * RECORD_BYTES as f64 / appended.as_secs_f64() / 1e6
        );
    }
    Ok(())
}
