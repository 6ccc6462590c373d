//! Reading records back in order.

use crate::Lsn;
use crate::batch::Chain;
use crate::disk::DiskFile;
use crate::error::{Damage, ReplayError};
use crate::format::RECORD_HEADER_BYTES;
use crate::scan::{Found, Scanner, Visit, ends_segment};
use crate::shared::Shared;

/// See `FileLog::replay`.
pub(crate) fn replay<E>(
    shared: &Shared,
    from: Lsn,
    visit: Visit<'_, E>,
) -> Result<Lsn, ReplayError<E>> {
    let durable = shared.durable();
    if from > durable {
        let reason = format!("the log ends at {durable}, before it: records are missing");
        return Err(ReplayError::BadStart { from, reason });
    }
    let (start, last) = (shared.geometry.segment(from), shared.geometry.segment(durable));
    let mut chain: Option<Chain> = None;
    for number in shared.segments.numbers() {
        if !(start..=last).contains(&number) {
            continue;
        }
        let file = open(shared, number)?;
        let known = chain.unwrap_or(unknown_chain(shared));
        let mut scanner = Scanner::new(file.as_ref(), shared.geometry, number, known);
        check_continues(shared, &mut scanner, number, from, chain)?;
        let ended = scan(shared, &mut scanner, &mut |at, body| {
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
        if !ended && number != last {
            return Err(damaged(shared, scanner.lsn(), "the batch here is not whole"));
        }
        if !ended && scanner.chain.record_end < durable {
            return Err(damaged(
                shared,
                scanner.lsn(),
                "a batch that was whole at open is not now",
            ));
        }
        chain = Some(scanner.chain);
    }
    let end = chain.map_or(from, |chain| chain.record_end.max(from));
    if end < durable { Err(missing(shared, last)) } else { Ok(end) }
}

/// See `FileLog::scan_segment`.
pub(crate) fn scan_segment<E>(
    shared: &Shared,
    number: u64,
    visit: Visit<'_, E>,
) -> Result<(), ReplayError<E>> {
    if number >= shared.geometry.segment(shared.durable()) {
        let from = shared.geometry.at(number, 0);
        let reason = "the segment is not closed".to_owned();
        return Err(ReplayError::BadStart { from, reason });
    }
    // Held for the whole scan, so that the file is not reused under it.
    let Some(held) = shared.segments.hold(number) else {
        return Err(missing(shared, number));
    };
    let file = shared.segments.open_for_read(&held)?;
    let mut scanner = Scanner::new(file.as_ref(), shared.geometry, number, unknown_chain(shared));
    let ended =
        scan(shared, &mut scanner, &mut |at, body| visit(at, body).map_err(ReplayError::Visitor))?;
    if ended {
        Ok(())
    } else {
        Err(damaged(
            shared,
            scanner.lsn(),
            "the batch here is not whole, but the segment was closed",
        ))
    }
}

/// See `FileLog::reaches`.
pub(crate) fn reaches(shared: &Shared, from: Lsn) -> bool {
    let durable = shared.durable();
    let last = shared.geometry.segment(durable);
    let start = shared.geometry.segment(from);
    let numbers = shared.segments.numbers();
    let mut needed = numbers.into_iter().filter(|n| (start..=last).contains(n));
    let Some(first) = needed.next() else { return from == durable };
    let continuous =
        needed.try_fold(first, |before, n| (n == before + 1).then_some(n)) == Some(last);
    let begins = open::<()>(shared, first).is_ok_and(|file| {
        Scanner::new(file.as_ref(), shared.geometry, first, unknown_chain(shared))
            .first_header()
            .is_ok_and(|header| header.is_some_and(|header| header.prev_record_end <= from))
    });
    from <= durable && continuous && begins
}

fn unknown_chain(shared: &Shared) -> Chain {
    Chain { log_id: shared.log_id, epoch: 0, crc: 0, record_end: Lsn::ZERO }
}

fn open<E>(shared: &Shared, number: u64) -> Result<Box<dyn DiskFile>, ReplayError<E>> {
    match shared.segments.hold(number) {
        Some(segment) => Ok(shared.segments.open_for_read(&segment)?),
        None => Err(missing(shared, number)),
    }
}

fn missing<E>(shared: &Shared, segment: u64) -> ReplayError<E> {
    ReplayError::Missing { segment, file: shared.segments.path(segment) }
}

fn damaged<E>(shared: &Shared, at: Lsn, reason: &str) -> ReplayError<E> {
    let segment = shared.geometry.segment(at);
    ReplayError::Damaged(Damage {
        file: shared.segments.path(segment),
        offset: u64::from(shared.geometry.offset(at)),
        lsn: at,
        reason: reason.to_owned(),
    })
}

/// Checks that nothing is missing between `from`, or the segment before, and the segment's first batch.
fn check_continues<E>(
    shared: &Shared,
    scanner: &mut Scanner<'_>,
    number: u64,
    from: Lsn,
    before: Option<Chain>,
) -> Result<(), ReplayError<E>> {
    let Some(first) = scanner.first_header()? else { return Ok(()) };
    let reached = before.map_or(from, |chain| chain.record_end);
    if first.prev_record_end > reached {
        // The segment of `from`, or the one after the last we read, held what is missing.
        let lost = (shared.geometry.segment(reached) + u64::from(before.is_some())).max(1);
        return Err(missing(shared, lost.min(number.saturating_sub(1))));
    }
    Ok(())
}

/// Scans to the END batch or to the first thing that is not a whole batch. True if END was found.
fn scan<E>(
    shared: &Shared,
    scanner: &mut Scanner<'_>,
    visit: Visit<'_, ReplayError<E>>,
) -> Result<bool, ReplayError<E>> {
    loop {
        match scanner.next(visit)?? {
            Found::Batch(header) if ends_segment(&header) => return Ok(true),
            Found::Batch(_) => {}
            Found::Mismatch(reason) => return Err(damaged(shared, scanner.lsn(), reason)),
            Found::Nothing | Found::Torn => return Ok(false),
        }
    }
}
