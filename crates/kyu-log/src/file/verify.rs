//! Reads every record of every segment of a stopped log.
//!
//! A start reads no more than what its snapshot does not cover; this reads all, so that damage to the
//! bodies of old messages is found, too.

use std::convert::Infallible;
use std::io;
use std::path::Path;

use crate::Lsn;
use crate::disk::Disk;
use crate::error::{Damage, OpenError};
use crate::file::batch::Chain;
use crate::file::format::FileHeader;
use crate::file::headers::{read_meta, segment_fault};
use crate::file::scan::{Found, Scanner, ends_segment};
use crate::file::segments::{parse_segment_file_name, segment_file_name};
use crate::limits::BLOCK_BYTES;
use crate::lsn::Geometry;

/// The state of one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentReport {
    /// The segment.
    pub number: u64,
    /// The number of whole records up to the end or the first damage.
    pub records: u64,
    /// Bytes of their bodies.
    pub body_bytes: u64,
    /// The end of the last whole record before the end or the damage.
    pub record_end: Lsn,
    /// The epoch of the last whole batch.
    pub epoch: u64,
    /// The first damage, if there is any.
    pub damage: Option<Damage>,
}

/// Scans every segment of the stopped log in `dir`, each by itself, oldest first. Segments that were
/// never written to are left out unless their file is damaged. The caller holds the directory's lock
/// ([`crate::lock`]).
///
/// This alone says nothing about a start: segments may have been recycled, and what a snapshot covers
/// is not replayed.
pub fn verify_segments(disk: &dyn Disk, dir: &Path) -> Result<Vec<SegmentReport>, OpenError> {
    let meta = read_meta(disk, dir)?;
    let names = disk.list(dir).map_err(OpenError::io("listing the log"))?;
    let mut numbers: Vec<u64> =
        names.iter().filter_map(|name| parse_segment_file_name(name)).collect();
    numbers.sort_unstable();
    let mut scans = Vec::new();
    for number in numbers {
        let doing = format!("reading {}", dir.join(segment_file_name(number)).display());
        scans.extend(scan(disk, dir, &meta, number).map_err(OpenError::io(doing))?);
    }
    // Only the last written segment may stop without its END batch.
    let last = scans.iter().rposition(|scan| scan.written);
    let last = last.map_or(0, |last| last + 1);
    for scan in scans.iter_mut().take(last.saturating_sub(1)) {
        if let (Some(at), None) = (scan.open_at, &scan.report.damage) {
            let reason = "the batch here is not whole, but a later segment was begun";
            let number = scan.report.number;
            scan.report.damage = Some(damage(dir, &meta, number, at, reason.to_owned()));
        }
    }
    Ok(scans.into_iter().map(|scan| scan.report).collect())
}

struct Scan {
    report: SegmentReport,
    /// True if there is at least one batch, or the remains of one.
    written: bool,
    /// The offset where the batches stop without an END batch.
    open_at: Option<u32>,
}

/// Scans one segment; `None` if it was never written to.
fn scan(disk: &dyn Disk, dir: &Path, meta: &FileHeader, number: u64) -> io::Result<Option<Scan>> {
    let geometry = Geometry { segment_bytes: meta.segment_bytes };
    let file = disk.open(&dir.join(segment_file_name(number)), false)?;
    let unknown = Chain::unknown(meta.log_id);
    let mut scanner = Scanner::new(file.as_ref(), geometry, number, unknown);
    let (mut records, mut body_bytes) = (0, 0);
    let stop = loop {
        let visited = scanner.next(&mut |_, body| {
            records += 1;
            body_bytes += body.len() as u64;
            Ok::<(), Infallible>(())
        })?;
        match visited {
            Ok(Found::Batch(header)) if ends_segment(&header) => break None,
            Ok(Found::Batch(_)) => {}
            Ok(found) => break Some(found),
            Err(never) => match never {},
        }
    };
    let mut found = segment_fault(disk, dir, number, meta)?.map(|fault| (0, fault.to_string()));
    let later = if stop.is_some() { scanner.later_batch()? } else { None };
    let offset = scanner.offset;
    let reason = match (&stop, later) {
        (Some(Found::Mismatch(reason)), _) => Some((*reason).to_owned()),
        (_, Some(later)) => Some(format!("a batch was written behind it at address {later}")),
        _ => None,
    };
    found = found.or(reason.map(|reason| (offset, reason)));
    let empty = matches!(stop, Some(Found::Nothing)) && later.is_none() && offset == BLOCK_BYTES;
    if empty && found.is_none() {
        return Ok(None);
    }
    let Chain { record_end, epoch, .. } = scanner.chain;
    let damage = found.map(|(at, reason)| damage(dir, meta, number, at, reason));
    let report = SegmentReport { number, records, body_bytes, record_end, epoch, damage };
    Ok(Some(Scan { report, written: !empty, open_at: stop.is_some().then_some(offset) }))
}

fn damage(dir: &Path, meta: &FileHeader, number: u64, offset: u32, reason: String) -> Damage {
    let geometry = Geometry { segment_bytes: meta.segment_bytes };
    let file = dir.join(segment_file_name(number));
    Damage { file, offset: u64::from(offset), lsn: geometry.at(number, offset), reason }
}
