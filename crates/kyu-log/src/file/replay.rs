//! Reads records back in order, from an open log or a stopped one.

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;

use crate::Lsn;
use crate::disk::DiskFile;
use crate::error::{Damage, ReplayError};
use crate::file::batch::Chain;
use crate::file::format::{FLAG_REPAIRED, RECORD_HEADER_BYTES};
use crate::file::scan::{Found, Scanner, ends_segment};
use crate::limits::BLOCK_BYTES;
use crate::log::{MissingSegment, Visit};
use crate::lsn::Geometry;

/// The segments of one log, for reading them in order.
pub(crate) trait Files {
    fn geometry(&self) -> Geometry;
    fn log_id(&self) -> u64;
    /// The end of the last durable record.
    fn durable(&self) -> Lsn;
    /// Numbers of the existing segments, in order.
    fn numbers(&self) -> Vec<u64>;
    /// Opens a segment for reading; `None` if it does not exist.
    fn open(&self, number: u64) -> io::Result<Option<Box<dyn DiskFile>>>;
    /// The path of a segment's file, which need not exist.
    fn path(&self, number: u64) -> PathBuf;
}

/// Visits the records from `from` on; see `History::replay`.
pub(crate) fn replay<E>(
    files: &impl Files,
    from: Lsn,
    visit: Visit<'_, E>,
) -> Result<Lsn, ReplayError<E>> {
    let durable = files.durable();
    if from > durable {
        let reason = format!("the log ends at {durable}, before it: records are missing");
        return Err(ReplayError::BadStart { from, reason });
    }
    let (start, last) = (files.geometry().segment(from), files.geometry().segment(durable));
    let mut before: Option<(u64, Chain)> = None;
    for number in files.numbers() {
        if !(start..=last).contains(&number) {
            continue;
        }
        let file = open(files, number)?;
        let known = before.map_or(Chain::unknown(files.log_id()), |(_, chain)| chain);
        let mut scanner = Scanner::new(file.as_ref(), files.geometry(), number, known);
        check_continues(files, &mut scanner, number, from, before)?;
        let ended = scan(files, &mut scanner, from, &mut |at, body| {
            let begin = at.0 - RECORD_HEADER_BYTES as u64;
            let end = at.0 + body.len() as u64;
            if end <= from.0 {
                return Ok(());
            }
            if begin < from.0 {
                let reason = "it is in the middle of a record".to_owned();
                return Err(ReplayError::BadStart { from, reason });
            }
            visit(at, body).map_err(ReplayError::Visitor)
        })?;
        let open = ended == Ended::No;
        if open && number != last {
            return Err(damaged(files, scanner.lsn(), "the batch here is not whole"));
        }
        if open && scanner.chain.record_end < durable {
            return Err(damaged(files, scanner.lsn(), "a batch that was whole at open is not now"));
        }
        if ended == Ended::GivenUp {
            // No batch continues the checksums of a mark that replaces lost records.
            scanner.chain.epoch = 0;
        }
        before = Some((number, scanner.chain));
    }
    let end = before.map_or(from, |(_, chain)| chain.record_end.max(from));
    if end < durable { Err(missing(files, last)) } else { Ok(end) }
}

/// Visits the records of one closed segment; see `FileLog::scan_segment`.
pub(crate) fn scan_segment<E>(
    files: &impl Files,
    number: u64,
    visit: Visit<'_, E>,
) -> Result<(), ReplayError<E>> {
    if number >= files.geometry().segment(files.durable()) {
        let from = files.geometry().at(number, 0);
        let reason = "the segment is not closed".to_owned();
        return Err(ReplayError::BadStart { from, reason });
    }
    let file = open(files, number)?;
    let unknown = Chain::unknown(files.log_id());
    let mut scanner = Scanner::new(file.as_ref(), files.geometry(), number, unknown);
    let everything = Lsn(u64::MAX);
    let ended = scan(files, &mut scanner, everything, &mut |at, body| {
        visit(at, body).map_err(ReplayError::Visitor)
    })?;
    if ended != Ended::No {
        return Ok(());
    }
    let reason = "the batch here is not whole, but the segment was closed";
    Err(damaged(files, scanner.lsn(), reason))
}

/// Returns true if a replay from `from` finds all segments; see `History::reaches`.
pub(crate) fn reaches(files: &impl Files, from: Lsn) -> bool {
    let durable = files.durable();
    let last = files.geometry().segment(durable);
    let start = files.geometry().segment(from);
    let numbers = files.numbers();
    let mut needed = numbers.into_iter().filter(|n| (start..=last).contains(n));
    let Some(first) = needed.next() else { return from == durable };
    let continuous =
        needed.try_fold(first, |before, n| (n == before + 1).then_some(n)) == Some(last);
    let begins = open::<()>(files, first).is_ok_and(|file| {
        Scanner::new(file.as_ref(), files.geometry(), first, Chain::unknown(files.log_id()))
            .first_header()
            .is_ok_and(|header| header.is_some_and(|header| header.prev_record_end <= from))
    });
    from <= durable && continuous && begins
}

fn open<E>(files: &impl Files, number: u64) -> Result<Box<dyn DiskFile>, ReplayError<E>> {
    files.open(number)?.ok_or_else(|| missing(files, number))
}

fn missing<E>(files: &impl Files, segment: u64) -> ReplayError<E> {
    ReplayError::Missing { segment, file: files.path(segment) }
}

fn damaged<E>(files: &impl Files, at: Lsn, reason: &str) -> ReplayError<E> {
    let segment = files.geometry().segment(at);
    ReplayError::Damaged(Damage {
        file: files.path(segment),
        offset: u64::from(files.geometry().offset(at)),
        lsn: at,
        reason: reason.to_owned(),
    })
}

/// Checks that no segment is missing before segment `number`, of which `before` was read last.
fn check_continues<E>(
    files: &impl Files,
    scanner: &mut Scanner<'_>,
    number: u64,
    from: Lsn,
    before: Option<(u64, Chain)>,
) -> Result<(), ReplayError<E>> {
    let (reached, next) = match before {
        // What is wrong between neighbours, the scanner tells.
        Some((last, chain)) if last + 1 == number && chain.epoch != 0 => return Ok(()),
        Some((last, chain)) => (chain.record_end.max(from), last + 1),
        None => (from, files.geometry().segment(from).max(1)),
    };
    match scanner.first_header()? {
        Some(first) if first.prev_record_end > reached => {
            Err(missing(files, next.min(number.saturating_sub(1))))
        }
        _ => Ok(()),
    }
}

/// The way in which the scan of a segment ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// Without an END batch: the segment is still open, or damaged.
    No,
    /// At the segment's END batch.
    Yes,
    /// At the END batch of a repair.
    GivenUp,
}

/// Scans to the END batch or to the first thing that is not a whole batch.
///
/// The mark of a repair may say that records before it are gone; only a scan that needs nothing
/// before `from` may pass over those.
fn scan<E>(
    files: &impl Files,
    scanner: &mut Scanner<'_>,
    from: Lsn,
    visit: Visit<'_, ReplayError<E>>,
) -> Result<Ended, ReplayError<E>> {
    loop {
        let before = scanner.chain;
        match scanner.next(visit)?? {
            Found::Batch(header)
                if before.epoch != 0 && header.prev_record_end > before.record_end.max(from) =>
            {
                (scanner.chain, scanner.offset) = (before, files.geometry().offset(header.lsn));
                return Err(damaged(files, header.lsn, "a repair gave up the records before it"));
            }
            Found::Batch(header) if header.flags & FLAG_REPAIRED != 0 => return Ok(Ended::GivenUp),
            Found::Batch(header) if ends_segment(&header) => return Ok(Ended::Yes),
            Found::Batch(_) => {}
            Found::Mismatch(reason) => return Err(damaged(files, scanner.lsn(), reason)),
            Found::Nothing | Found::Torn => return Ok(Ended::No),
        }
    }
}

/// Replays from `from` towards `offset` of `segment`, and returns where it stops, there or earlier, and
/// the chain that a batch at that place continues.
pub(crate) fn reached(
    files: &impl Files,
    from: Lsn,
    segment: u64,
    offset: u32,
) -> io::Result<(Chain, u64, u32)> {
    let start = files.geometry().segment(from);
    let mut before: Option<(u64, Chain)> = None;
    for number in files.numbers().into_iter().filter(|n| (start..=segment).contains(n)) {
        let Some(file) = files.open(number)? else { continue };
        let known = before.map_or(Chain::unknown(files.log_id()), |(_, chain)| chain);
        let mut scanner = Scanner::new(file.as_ref(), files.geometry(), number, known);
        match check_continues::<Infallible>(files, &mut scanner, number, from, before) {
            Err(ReplayError::Missing { segment, .. }) => return Ok((known, segment, BLOCK_BYTES)),
            Err(ReplayError::Io(error)) => return Err(error),
            _ => {}
        }
        if number == segment && offset == BLOCK_BYTES {
            return Ok((known, segment, offset));
        }
        let scanned = scan::<Infallible>(files, &mut scanner, from, &mut |_, _| Ok(()));
        match scanned {
            Ok(Ended::Yes) if number < segment => {}
            Ok(Ended::GivenUp) if number < segment => scanner.chain.epoch = 0,
            Err(ReplayError::Io(error)) => return Err(error),
            _ => return Ok((scanner.chain, number, scanner.offset)),
        }
        before = Some((number, scanner.chain));
    }
    let chain = before.map_or(Chain::unknown(files.log_id()), |(_, chain)| chain);
    Ok((chain, segment, offset))
}

/// The missing ones of `segments`; see `History::missing`.
pub(crate) fn missing_of(files: &impl Files, segments: &[u64]) -> io::Result<Vec<MissingSegment>> {
    let mut missing = Vec::new();
    for number in segments {
        if never_written(files, *number)? {
            missing.push(MissingSegment { number: *number, file: files.path(*number) });
        }
    }
    Ok(missing)
}

fn never_written(files: &impl Files, number: u64) -> io::Result<bool> {
    let Some(file) = files.open(number)? else { return Ok(true) };
    let unknown = Chain::unknown(files.log_id());
    let mut scanner = Scanner::new(file.as_ref(), files.geometry(), number, unknown);
    Ok(scanner.first_header()?.is_none() && scanner.later_batch()?.is_none())
}
