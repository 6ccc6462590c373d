//! Opening a log directory: who it belongs to, where it ends, and whether anything is missing.
//!
//! The end of the log is found in the last segment that was ever written to. There, everything up to
//! the first batch that is not whole is the log. That batch may be the one that was being written when
//! the process died: nobody was told that it is durable, and it is dropped. If any batch was begun
//! behind it, though, then it had been durable once, and dropping it would lose acknowledged records:
//! opening is refused.

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};

use crate::batch::Chain;
use crate::buffer::AlignedBuffer;
use crate::disk::{Disk, DiskFile};
use crate::error::{Damage, OpenError};
use crate::file_log::TornTail;
use crate::format::{FLAG_CLOSE, FileHeader, META_MAGIC, SEGMENT_MAGIC};
use crate::limits::{BLOCK_BYTES, MAX_SEGMENT_BYTES, MIN_SEGMENT_BYTES};
use crate::lsn::Geometry;
use crate::scan::{Found, Scanner, ends_segment};
use crate::segments::{parse_segment_file_name, segment_file_name};
use crate::{Lsn, Options};

const META_FILE: &str = "META";

/// What a directory holds.
pub(crate) struct Recovered {
    pub(crate) geometry: Geometry,
    pub(crate) log_id: u64,
    /// The state of the checksums at the end; its epoch is that of the last incarnation.
    pub(crate) chain: Chain,
    /// Where the next batch goes.
    pub(crate) segment: u64,
    pub(crate) offset: u32,
    /// Segments of the log, those prepared ahead included.
    pub(crate) numbers: Vec<u64>,
    pub(crate) spares: Vec<PathBuf>,
    /// Replay can begin here or later.
    pub(crate) first: Lsn,
    pub(crate) torn_tail: Option<TornTail>,
    pub(crate) closed_in_order: bool,
}

/// Where the written part of the log ends.
struct End {
    chain: Chain,
    segment: u64,
    offset: u32,
    torn_tail: Option<TornTail>,
    closed_in_order: bool,
}

/// Reads a directory, creating the identity of a new log.
pub(crate) fn recover(
    disk: &dyn Disk,
    dir: &Path,
    options: &Options,
) -> Result<Recovered, OpenError> {
    let names = disk.list(dir).map_err(OpenError::io(format!("listing {}", dir.display())))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|n| parse_segment_file_name(n)).collect();
    numbers.sort_unstable();
    let meta = read_or_create_meta(disk, dir, options, &names, &numbers)?;
    let geometry = Geometry { segment_bytes: meta.segment_bytes };
    for number in &numbers {
        check_segment_header(disk, dir, *number, &meta)?;
    }
    let directory =
        Directory { disk, dir, geometry, log_id: meta.log_id, direct: options.direct_io };
    let end = directory.find_end(&numbers)?;
    let first = directory.find_first(&numbers)?.unwrap_or(end.chain.record_end);
    let mut spares = existing_spares(disk, dir, &names, geometry)?;
    let prepared_to = contiguous_from(&numbers, end.segment);
    for orphan in numbers.iter().filter(|n| **n > prepared_to && **n >= end.segment) {
        // Prepared behind a gap, because a rename was lost: useful only as a file.
        let from = dir.join(segment_file_name(*orphan));
        let to = dir.join(format!("{orphan:020}.orphan.spare"));
        disk.rename(&from, &to).map_err(OpenError::io(format!("renaming {}", from.display())))?;
        spares.push(to);
    }
    disk.sync_dir(dir).map_err(OpenError::io(format!("syncing {}", dir.display())))?;
    numbers.retain(|n| *n <= prepared_to || *n < end.segment);
    Ok(Recovered {
        geometry,
        log_id: meta.log_id,
        chain: end.chain,
        segment: end.segment,
        offset: end.offset,
        numbers,
        spares,
        first,
        torn_tail: end.torn_tail,
        closed_in_order: end.closed_in_order,
    })
}

/// The last number of the run of numbers that begins at `start`; `start - 1` if it is not there.
pub(crate) fn contiguous_from(numbers: &[u64], start: u64) -> u64 {
    numbers
        .iter()
        .filter(|n| **n >= start)
        .fold(start.saturating_sub(1), |last, n| if *n == last + 1 { *n } else { last })
}

fn read_or_create_meta(
    disk: &dyn Disk,
    dir: &Path,
    options: &Options,
    names: &[String],
    numbers: &[u64],
) -> Result<FileHeader, OpenError> {
    let path = dir.join(META_FILE);
    if names.iter().any(|name| name == META_FILE) {
        return read_header(disk, &path, META_MAGIC);
    }
    if !numbers.is_empty() {
        let reason =
            "missing, though there are segments: without it they cannot be told from those of \
                      another log"
                .to_owned();
        return Err(OpenError::Incompatible { file: path, reason });
    }
    let bytes = options.segment_bytes;
    if !(MIN_SEGMENT_BYTES..=MAX_SEGMENT_BYTES).contains(&bytes)
        || !bytes.is_multiple_of(BLOCK_BYTES)
    {
        return Err(OpenError::BadOptions(format!(
            "segment_bytes {bytes} must be a multiple of {BLOCK_BYTES} from {MIN_SEGMENT_BYTES} to \
             {MAX_SEGMENT_BYTES}"
        )));
    }
    let meta = FileHeader { log_id: disk.unique(), number: 0, segment_bytes: bytes };
    write_meta(disk, dir, &meta).map_err(OpenError::io(format!("creating {}", path.display())))?;
    Ok(meta)
}

fn write_meta(disk: &dyn Disk, dir: &Path, meta: &FileHeader) -> io::Result<()> {
    let new = dir.join("META.new");
    let mut block = AlignedBuffer::with_capacity(BLOCK_BYTES as usize);
    block.extend(&meta.encode(META_MAGIC));
    block.pad_to_block();
    let file = disk.create(&new, false)?;
    file.write_at(block.as_slice(), 0)?;
    file.sync()?;
    disk.rename(&new, &dir.join(META_FILE))?;
    disk.sync_dir(dir)
}

fn read_header(disk: &dyn Disk, path: &Path, magic: [u8; 8]) -> Result<FileHeader, OpenError> {
    let mut block = [0; crate::format::FILE_HEADER_BYTES];
    let read = disk.open(path, false).and_then(|file| file.read_exact_at(&mut block, 0));
    match read {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
            return Err(OpenError::io(format!("reading {}", path.display()))(error));
        }
        _ => {}
    }
    FileHeader::decode(magic, &block).map_err(|error| OpenError::Incompatible {
        file: path.to_path_buf(),
        reason: error.to_string(),
    })
}

fn check_segment_header(
    disk: &dyn Disk,
    dir: &Path,
    number: u64,
    meta: &FileHeader,
) -> Result<(), OpenError> {
    let path = dir.join(segment_file_name(number));
    let header = read_header(disk, &path, SEGMENT_MAGIC)?;
    let reason = if header.log_id != meta.log_id {
        format!("belongs to another log (id {:016x}, not {:016x})", header.log_id, meta.log_id)
    } else if header.number != number {
        format!("is segment {} under a wrong name", header.number)
    } else if header.segment_bytes != meta.segment_bytes {
        format!("has segments of {} bytes, not {}", header.segment_bytes, meta.segment_bytes)
    } else {
        let len = disk
            .open(&path, false)
            .and_then(|file| file.len())
            .map_err(OpenError::io(format!("looking at {}", path.display())))?;
        if len == u64::from(meta.segment_bytes) {
            return Ok(());
        }
        format!("is {len} bytes long and not {}: it was cut or extended", meta.segment_bytes)
    };
    Err(OpenError::Incompatible { file: path, reason })
}

/// Files left without a number, if they have the full size; others are removed.
fn existing_spares(
    disk: &dyn Disk,
    dir: &Path,
    names: &[String],
    geometry: Geometry,
) -> Result<Vec<PathBuf>, OpenError> {
    let mut spares = Vec::new();
    for name in names.iter().filter(|name| name.ends_with(".spare")) {
        let path = dir.join(name);
        let doing = format!("looking at {}", path.display());
        let len = disk
            .open(&path, false)
            .and_then(|file| file.len())
            .map_err(OpenError::io(doing.clone()))?;
        if len == u64::from(geometry.segment_bytes) {
            spares.push(path);
        } else {
            disk.remove(&path).map_err(OpenError::io(doing))?;
        }
    }
    Ok(spares)
}

/// The segment files of one log, for reading.
struct Directory<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    geometry: Geometry,
    log_id: u64,
    direct: bool,
}

impl Directory<'_> {
    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(segment_file_name(number))
    }

    fn open(&self, number: u64) -> Result<Box<dyn DiskFile>, OpenError> {
        let path = self.path(number);
        self.disk
            .open(&path, self.direct)
            .map_err(OpenError::io(format!("opening {}", path.display())))
    }

    fn unknown_chain(&self) -> Chain {
        Chain { log_id: self.log_id, epoch: 0, crc: 0, record_end: Lsn::ZERO }
    }

    fn damaged(&self, at: Lsn, reason: String) -> OpenError {
        OpenError::Damaged(Damage {
            file: self.path(self.geometry.segment(at)),
            offset: u64::from(self.geometry.offset(at)),
            lsn: at,
            reason,
        })
    }

    fn io(&self, number: u64) -> impl FnOnce(io::Error) -> OpenError {
        OpenError::io(format!("reading {}", self.path(number).display()))
    }

    /// The header of a segment's first batch: was it ever written to, and what came before it?
    fn first_batch(&self, number: u64) -> Result<Option<crate::format::BatchHeader>, OpenError> {
        let file = self.open(number)?;
        Scanner::new(file.as_ref(), self.geometry, number, self.unknown_chain())
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
        let end = self.scan_to_end(number, self.unknown_chain())?;
        if end.segment == number && end.offset == BLOCK_BYTES {
            return self.end_in_first_batch(numbers, end);
        }
        self.check_unwritten(numbers, number + 1)?;
        Ok(end)
    }

    /// No segment was ever written to.
    fn end_of_new_log(&self, numbers: &[u64]) -> Result<End, OpenError> {
        match numbers.first() {
            Some(number) if *number != 1 => {
                let reason =
                    format!("no batch was found, and the segments before {number} are gone");
                return Err(self.damaged(self.geometry.at(*number, BLOCK_BYTES), reason));
            }
            _ => self.check_unwritten(numbers, 1)?,
        }
        Ok(End {
            chain: self.unknown_chain(),
            segment: 1,
            offset: BLOCK_BYTES,
            torn_tail: None,
            closed_in_order: false,
        })
    }

    /// The first batch of the last segment is torn: the log ends with the segment before.
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
        let end = self.scan_to_end(number - 1, self.unknown_chain())?;
        if end.segment != number {
            let at = self.geometry.at(end.segment, end.offset);
            return Err(self.damaged(at, "the next segment was begun after it".to_owned()));
        }
        Ok(End { torn_tail: torn.torn_tail, ..end })
    }

    /// Segment `number` has no first batch. If it has others, the first is damaged.
    fn check_unwritten(&self, numbers: &[u64], number: u64) -> Result<(), OpenError> {
        if !numbers.contains(&number) {
            return Ok(());
        }
        let file = self.open(number)?;
        let mut scanner = Scanner::new(file.as_ref(), self.geometry, number, self.unknown_chain());
        match scanner.later_batch().map_err(self.io(number))? {
            None => Ok(()),
            Some(later) => Err(self.damaged(
                scanner.lsn(),
                format!("no batch here, but one was written behind it at address {later}"),
            )),
        }
    }

    /// Scans a segment to where its whole batches end.
    fn scan_to_end(&self, number: u64, chain: Chain) -> Result<End, OpenError> {
        let file = self.open(number)?;
        let mut scanner = Scanner::new(file.as_ref(), self.geometry, number, chain);
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
                    _ => "the batch here is not whole",
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
                _ => {}
            }
        }
        make_durable(file.as_ref(), last_batch_offset, scanner.offset).map_err(self.io(number))?;
        let (segment, offset) =
            if ended { (number + 1, BLOCK_BYTES) } else { (number, scanner.offset) };
        Ok(End { chain: scanner.chain, segment, offset, torn_tail, closed_in_order })
    }
}

/// Makes the last batch durable before anything is built on it.
///
/// It was found valid, but the process before may have died between write and sync, or after a failed
/// sync; then it may exist only in a cache that believes it is clean. Writing the same bytes again
/// makes every cache write them.
fn make_durable(file: &dyn DiskFile, from: u32, to: u32) -> io::Result<()> {
    let mut bytes = vec![0; to.saturating_sub(from) as usize];
    file.read_exact_at(&mut bytes, u64::from(from))?;
    if !bytes.is_empty() {
        file.write_at(&bytes, u64::from(from))?;
    }
    file.sync()
}
