//! Surveys a log directory as a start finds it: the log's identity, its end, and missing segments.
//!
//! A survey changes nothing. Opening, `verify` and `repair` all use this one, so they cannot disagree.
//!
//! The end of the log is found in the last segment that was ever written to. There, everything up to
//! the first batch that is not whole is the log. That batch may be the one that was being written when
//! the process died: nobody was told that it is durable, and it is dropped. If any batch was begun
//! behind it, though, then it had been durable once, and dropping it would lose acknowledged records:
//! the survey is an error.

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};

use crate::Lsn;
use crate::disk::{Disk, DiskFile};
use crate::error::{Damage, OpenError};
use crate::file::batch::Chain;
use crate::file::format::{BatchHeader, FLAG_CLOSE, FileHeader};
use crate::file::headers::{META_FILE, read_meta, segment_fault};
use crate::file::scan::{Found, Scanner, ends_segment};
use crate::file::segments::{parse_segment_file_name, segment_file_name};
use crate::limits::BLOCK_BYTES;
use crate::log::{Opened, TornTail};
use crate::lsn::Geometry;
use crate::snapshot;

/// The result of a survey that found no fault.
pub(crate) struct Survey {
    pub(crate) meta: FileHeader,
    /// Names of all files in the directory.
    pub(crate) names: Vec<String>,
    /// Segments, those prepared ahead included, in order.
    pub(crate) numbers: Vec<u64>,
    /// The last number of the unbroken run of segments that begins with `end.segment`.
    pub(crate) prepared_to: u64,
    pub(crate) end: End,
    /// The earliest address from which a replay can begin.
    pub(crate) first: Lsn,
}

/// The end of the written part of the log.
pub(crate) struct End {
    /// The state of the checksums; its epoch is that of the last incarnation.
    pub(crate) chain: Chain,
    /// The segment of the next batch.
    pub(crate) segment: u64,
    pub(crate) offset: u32,
    pub(crate) torn_tail: Option<TornTail>,
    pub(crate) closed_in_order: bool,
    pub(crate) last_batch: Option<LastBatch>,
}

/// The bytes of the last whole batch: a start makes them durable before it builds on them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastBatch {
    pub(crate) segment: u64,
    pub(crate) from: u32,
    pub(crate) to: u32,
}

impl Survey {
    /// The facts that `FileLog::open` returns for this log.
    pub(crate) fn opened(&self) -> Opened {
        let chain = &self.end.chain;
        Opened {
            first: self.first,
            last: chain.record_end,
            epoch: chain.epoch + 1,
            log_id: self.meta.log_id,
            segment_bytes: self.meta.segment_bytes,
            torn_tail: self.end.torn_tail,
            closed_in_order: self.end.closed_in_order,
        }
    }
}

/// Surveys the log in `dir`. Returns `None` if there is no log yet.
pub(crate) fn survey(disk: &dyn Disk, dir: &Path) -> Result<Option<Survey>, OpenError> {
    let names = disk.list(dir).map_err(OpenError::io(format!("listing {}", dir.display())))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|n| parse_segment_file_name(n)).collect();
    numbers.sort_unstable();
    if !names.iter().any(|name| name == META_FILE) {
        return no_meta(dir, &names, &numbers).map(|()| None);
    }
    let meta = read_meta(disk, dir)?;
    for number in &numbers {
        let path = dir.join(segment_file_name(*number));
        let fault = segment_fault(disk, dir, *number, &meta)
            .map_err(OpenError::io(format!("looking at {}", path.display())))?;
        if let Some(fault) = fault {
            return Err(OpenError::Incompatible { file: path, reason: fault.to_string() });
        }
    }
    let geometry = Geometry { segment_bytes: meta.segment_bytes };
    let directory = Directory { disk, dir, geometry, log_id: meta.log_id };
    let end = directory.find_end(&numbers)?;
    let prepared_to = directory.find_prepared(&numbers, end.segment)?;
    let first = directory.find_first(&numbers)?.unwrap_or(end.chain.record_end);
    Ok(Some(Survey { meta, names, numbers, prepared_to, end, first }))
}

/// Checks that a directory without META holds nothing that belongs to a log.
fn no_meta(dir: &Path, names: &[String], numbers: &[u64]) -> Result<(), OpenError> {
    let what = if !numbers.is_empty() {
        "segments"
    } else if names.iter().any(|name| snapshot::parse_name(name).is_some()) {
        "snapshots"
    } else {
        return Ok(());
    };
    let reason = format!(
        "missing, though there are {what}: without it they cannot be told from those of another log"
    );
    Err(OpenError::Incompatible { file: dir.join(META_FILE), reason })
}

/// The last number of the run of numbers that begins at `start`; `start - 1` if it is not there.
pub(crate) fn contiguous_from(numbers: &[u64], start: u64) -> u64 {
    numbers
        .iter()
        .filter(|n| **n >= start)
        .fold(start.saturating_sub(1), |last, n| if *n == last + 1 { *n } else { last })
}

/// The segment files of one log, for reading.
struct Directory<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    geometry: Geometry,
    log_id: u64,
}

impl Directory<'_> {
    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(segment_file_name(number))
    }

    fn open(&self, number: u64) -> Result<Box<dyn DiskFile>, OpenError> {
        let path = self.path(number);
        self.disk.open(&path, false).map_err(OpenError::io(format!("opening {}", path.display())))
    }

    fn damaged(&self, at: Lsn, reason: String) -> OpenError {
        OpenError::Damaged(Damage {
            file: self.path(self.geometry.segment(at)),
            offset: u64::from(self.geometry.offset(at)),
            lsn: at,
            reason,
        })
    }

    fn missing(&self, at: Lsn, after: u64) -> OpenError {
        self.damaged(at, format!("it is missing, though segment {after} was prepared after it"))
    }

    fn io(&self, number: u64) -> impl FnOnce(io::Error) -> OpenError {
        OpenError::io(format!("reading {}", self.path(number).display()))
    }

    /// The header of a segment's first batch; `None` if the segment was never written to.
    fn first_batch(&self, number: u64) -> Result<Option<BatchHeader>, OpenError> {
        let file = self.open(number)?;
        Scanner::new(file.as_ref(), self.geometry, number, Chain::unknown(self.log_id))
            .first_header()
            .map_err(self.io(number))
    }

    /// The address before which nothing is stored any more.
    fn find_first(&self, numbers: &[u64]) -> Result<Option<Lsn>, OpenError> {
        match numbers.first() {
            Some(number) => Ok(self.first_batch(*number)?.map(|header| header.prev_record_end)),
            None => Ok(None),
        }
    }

    /// The last of the segments that were prepared ahead. They are made one after the other, and each
    /// is durable under its name before the next is begun: a gap among them is a lost file, and
    /// with it what it held.
    fn find_prepared(&self, numbers: &[u64], next: u64) -> Result<u64, OpenError> {
        let prepared_to = contiguous_from(numbers, next);
        match numbers.last() {
            Some(last) if *last > prepared_to => {
                Err(self.missing(self.geometry.at(prepared_to + 1, BLOCK_BYTES), *last))
            }
            _ => Ok(prepared_to),
        }
    }

    fn find_end(&self, numbers: &[u64]) -> Result<End, OpenError> {
        let mut last_written = None;
        for number in numbers.iter().rev() {
            if self.first_batch(*number)?.is_some() {
                last_written = Some(*number);
                break;
            }
        }
        let Some(number) = last_written else {
            return self.end_of_new_log(numbers);
        };
        let end = self.scan_to_end(number)?;
        if end.segment == number && end.offset == BLOCK_BYTES {
            return self.end_in_first_batch(numbers, end);
        }
        self.check_unwritten(numbers, number + 1)?;
        Ok(end)
    }

    /// The end of a log in which no segment was ever written to.
    fn end_of_new_log(&self, numbers: &[u64]) -> Result<End, OpenError> {
        match numbers.first() {
            Some(number) if *number != 1 => {
                let missing = self.geometry.at(number.saturating_sub(1), BLOCK_BYTES);
                return Err(self.missing(missing, *number));
            }
            _ => self.check_unwritten(numbers, 1)?,
        }
        Ok(End {
            chain: Chain::unknown(self.log_id),
            segment: 1,
            offset: BLOCK_BYTES,
            torn_tail: None,
            closed_in_order: false,
            last_batch: None,
        })
    }

    /// The end of a log whose last segment has a torn first batch: it lies in the segment before.
    fn end_in_first_batch(&self, numbers: &[u64], torn: End) -> Result<End, OpenError> {
        let number = torn.segment;
        if number == 1 {
            return Ok(torn);
        }
        if !numbers.contains(&(number - 1)) {
            let reason =
                format!("its first batch is not whole, and segment {} is gone", number - 1);
            return Err(self.damaged(self.geometry.at(number, BLOCK_BYTES), reason));
        }
        let end = self.scan_to_end(number - 1)?;
        if end.segment != number {
            let at = self.geometry.at(end.segment, end.offset);
            return Err(self.damaged(at, "the next segment was begun after it".to_owned()));
        }
        Ok(End { torn_tail: torn.torn_tail, ..end })
    }

    /// Checks that segment `number`, which has no first batch, has no other batch either: then the
    /// first one is damaged.
    fn check_unwritten(&self, numbers: &[u64], number: u64) -> Result<(), OpenError> {
        if !numbers.contains(&number) {
            return Ok(());
        }
        let file = self.open(number)?;
        let unknown = Chain::unknown(self.log_id);
        let mut scanner = Scanner::new(file.as_ref(), self.geometry, number, unknown);
        match scanner.later_batch().map_err(self.io(number))? {
            None => Ok(()),
            Some(later) => Err(self.damaged(
                scanner.lsn(),
                format!("no batch here, but one was written behind it at address {later}"),
            )),
        }
    }

    /// Scans a segment to where its whole batches end.
    fn scan_to_end(&self, number: u64) -> Result<End, OpenError> {
        let file = self.open(number)?;
        let unknown = Chain::unknown(self.log_id);
        let mut scanner = Scanner::new(file.as_ref(), self.geometry, number, unknown);
        let mut last_batch_offset = scanner.offset;
        let mut closed_in_order = false;
        let mut ended = false;
        let found = loop {
            let offset = scanner.offset;
            let mut ignore = |_, _: &[u8]| Ok::<(), Infallible>(());
            match scanner.next(&mut ignore).map_err(self.io(number))? {
                Ok(Found::Batch(header)) => {
                    last_batch_offset = offset;
                    closed_in_order = header.flags & FLAG_CLOSE != 0;
                    if ends_segment(&header) {
                        ended = true;
                        break None;
                    }
                }
                Ok(found) => break Some(found),
                Err(never) => match never {},
            }
        };
        let mut torn_tail = None;
        if let Some(found) = found {
            if let Some(later) = scanner.later_batch().map_err(self.io(number))? {
                let reason = match found {
                    Found::Mismatch(reason) => reason,
                    Found::Batch(_) | Found::Nothing | Found::Torn => "the batch here is not whole",
                };
                let reason =
                    format!("{reason}, but another was written behind it at address {later}");
                return Err(self.damaged(scanner.lsn(), reason));
            }
            match found {
                Found::Mismatch(reason) => {
                    return Err(self.damaged(scanner.lsn(), reason.to_owned()));
                }
                Found::Torn => torn_tail = Some(TornTail { at: scanner.lsn() }),
                Found::Batch(_) | Found::Nothing => {}
            }
        }
        let last_batch =
            Some(LastBatch { segment: number, from: last_batch_offset, to: scanner.offset });
        let (segment, offset) =
            if ended { (number + 1, BLOCK_BYTES) } else { (number, scanner.offset) };
        Ok(End { chain: scanner.chain, segment, offset, torn_tail, closed_in_order, last_batch })
    }
}
