//! Repairs a stopped log until a start accepts it.
//!
//! A repair runs the start's own checks, repairs the first fault that they report, and runs them again.
//! So it repairs what a start finds and nothing else, and when it ends, the start succeeds. The same
//! steps on a [`DryRun`](crate::DryRun) tell what will be lost before anything is changed.
//!
//! Each record builds on those before it, so the log is cut at the first record that cannot be
//! replayed: everything behind it is dropped, in this segment and all later ones. What is dropped
//! or overwritten is kept aside in `.damaged` files. The log continues behind the cut under an
//! epoch that no dropped batch can have.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Lsn;
use crate::disk::{Disk, DiskFile};
use crate::error::{OpenError, ReplayError};
use crate::file::batch::{Batch, Chain};
use crate::file::buffer::BufferPool;
use crate::file::format::{
    FLAG_END, FLAG_REPAIRED, FileHeader, HeaderError, META_MAGIC, SEGMENT_MAGIC,
};
use crate::file::headers::{
    FileFault, META_FILE, header_bytes, only_version_is_damaged, read_meta, segment_fault,
    segment_header,
};
use crate::file::recover::write_meta;
use crate::file::replay::{Files, reached};
use crate::file::scan::Scanner;
use crate::file::segments::{parse_segment_file_name, segment_file_name};
use crate::file::stopped::StoppedLog;
use crate::limits::{BLOCK_BYTES, FILL_STEP_BYTES, MAX_REPAIR_ROUNDS};
use crate::log::MissingSegment;
use crate::lsn::Geometry;
use crate::snapshot::{SnapshotError, SnapshotStore, parse_name};

/// The reason why a start refuses a log.
#[derive(Debug)]
pub enum Refusal {
    /// The directory does not open.
    Open(OpenError),
    /// No snapshot is left to begin with.
    Snapshots(SnapshotError),
    /// The records after the snapshot, which ends at `from`, cannot be replayed.
    Replay {
        /// The address where the replay began.
        from: Lsn,
        /// The reason why it stopped.
        error: ReplayError<String>,
    },
    /// Segments that hold what is live are not there, or are empty.
    Missing(Vec<MissingSegment>),
    /// Something that no repair of the log can put right.
    Other(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Open(error) => error.fmt(f),
            Refusal::Snapshots(error) => error.fmt(f),
            Refusal::Replay { error, .. } => error.fmt(f),
            Refusal::Missing(segments) => {
                f.write_str("segments that hold messages are missing or empty:")?;
                segments.iter().try_for_each(|segment| write!(f, " {}", segment.file.display()))
            }
            Refusal::Other(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Refusal {}

/// One step of a repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepairStep {
    /// META is restored from the headers of the segments. Nothing is lost.
    Meta(PathBuf),
    /// A segment's header is rewritten.
    Header {
        /// The file.
        file: PathBuf,
        /// True if no batch can be read in the segment: it was never written to, or all of it is lost.
        empty: bool,
    },
    /// A file gets its full length back. A part that was missing reads as zeros.
    Length {
        /// The file.
        file: PathBuf,
        /// Its length as found, in bytes.
        from_bytes: u64,
        /// Its length afterwards, in bytes.
        to_bytes: u64,
    },
    /// Everything from one address on is dropped.
    Cut(Cut),
    /// A segment that is gone, with the messages in it, is replaced by an empty one.
    Empty(PathBuf),
    /// A file that is in the way of a start is renamed.
    Aside(PathBuf),
}

/// A cut: the place where the log ends after a repair, and the records that it costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Everything from this address on is dropped.
    pub at: Lsn,
    /// The end of the last record that stays, be it in the log or in the snapshot.
    pub last_kept: Lsn,
    /// Records that are lost, as far as they can still be counted.
    pub lost_records: u64,
    /// Bytes of written segments behind the cut.
    pub dropped_bytes: u64,
    /// The segment that is cut.
    pub segment: u64,
    /// Segments that are dropped whole.
    pub dropped_segments: Vec<u64>,
}

impl fmt::Display for RepairStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RepairStep::Meta(file) => {
                write!(f, "restore {} from the segments; nothing is lost", file.display())
            }
            RepairStep::Header { file, empty } => {
                write!(f, "rewrite the header of {}; ", file.display())?;
                f.write_str(if *empty {
                    "nothing can be read in it: it was never written to, or all of it is lost"
                } else {
                    "nothing is lost"
                })
            }
            RepairStep::Length { file, from_bytes, to_bytes } => write!(
                f,
                "make {} {to_bytes} bytes long again (it has {from_bytes}); what was cut off it is \
                 lost, if it was ever written to",
                file.display()
            ),
            RepairStep::Cut(cut) if cut.last_kept == Lsn::ZERO => write!(
                f,
                "keep nothing: no record can be replayed; drop {} bytes, with at least {} records; \
                 the dropped bytes are kept in .damaged files",
                cut.dropped_bytes, cut.lost_records
            ),
            RepairStep::Cut(cut) => write!(
                f,
                "keep everything up to address {}; drop {} bytes from address {} on, in segment {} \
                 and {} later segments, with at least {} records; the dropped bytes are kept in \
                 .damaged files",
                cut.last_kept,
                cut.dropped_bytes,
                cut.at,
                cut.segment,
                cut.dropped_segments.len(),
                cut.lost_records
            ),
            RepairStep::Empty(file) => write!(
                f,
                "put an empty segment in the place of {}; the messages in it cannot be read any more",
                file.display()
            ),
            RepairStep::Aside(file) => write!(f, "set {} aside", file.display()),
        }
    }
}

/// Repairs the log in `dir` until `start` accepts it, and returns the steps with the result of that
/// start. The error is the refusal that no step can repair. The caller holds the directory's lock
/// ([`crate::lock`]).
pub fn repair<S>(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    mut start: impl FnMut(&Arc<dyn Disk>) -> Result<S, Refusal>,
) -> Result<(Vec<RepairStep>, S), Refusal> {
    let mut steps = Vec::new();
    for _ in 0..MAX_REPAIR_ROUNDS {
        let refusal = match start(disk) {
            Ok(started) => return Ok((steps, started)),
            Err(refusal) => refusal,
        };
        let taken = repair_refusal(disk, dir, &refusal).map_err(Refusal::Open)?;
        if taken.is_empty() {
            return Err(refusal);
        }
        steps.extend(taken);
    }
    start(disk).map(|started| (steps, started))
}

/// Repairs what one start refused. Returns no steps if that cannot be repaired.
fn repair_refusal(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    refusal: &Refusal,
) -> Result<Vec<RepairStep>, OpenError> {
    let steps = match refusal {
        Refusal::Open(OpenError::Incompatible { .. }) => repair_files(disk.as_ref(), dir),
        Refusal::Open(OpenError::Damaged(damage)) => {
            let log = DamagedLog::read(disk.as_ref(), dir)?;
            let from = SnapshotStore::new(Arc::clone(disk), dir, log.meta.log_id)
                .newest_whole()
                .map_err(OpenError::io("reading the snapshots"))?;
            log.cut(from, damage.lsn)
        }
        Refusal::Replay { from, error } => {
            let log = DamagedLog::read(disk.as_ref(), dir)?;
            match (error, StoppedLog::read(Arc::clone(disk), dir)?) {
                (ReplayError::Damaged(damage), _) => log.cut(*from, damage.lsn),
                (ReplayError::Missing { segment, .. }, _) => {
                    log.cut(*from, log.geometry().at(*segment, BLOCK_BYTES))
                }
                (ReplayError::BadStart { .. }, Some(stopped)) if stopped.durable() < *from => {
                    log.cut(*from, stopped.next_batch_at())
                }
                _ => Ok(Vec::new()),
            }
        }
        Refusal::Missing(segments) => {
            let log = DamagedLog::read(disk.as_ref(), dir)?;
            segments.iter().map(|segment| log.put_empty(segment.number)).collect()
        }
        Refusal::Snapshots(SnapshotError::Damaged { .. }) => {
            let log_id = read_meta(disk.as_ref(), dir)?.log_id;
            set_aside_damaged(&SnapshotStore::new(Arc::clone(disk), dir, log_id))
        }
        Refusal::Open(_) | Refusal::Snapshots(SnapshotError::Io(_)) | Refusal::Other(_) => {
            Ok(Vec::new())
        }
    };
    steps.map_err(OpenError::io("repairing the log"))
}

/// Renames damaged snapshots if an older one is whole. Records after the older one that the log no
/// longer holds are lost.
fn set_aside_damaged(store: &SnapshotStore) -> io::Result<Vec<RepairStep>> {
    let all = store.verify()?;
    let Some(whole) = all.iter().position(|(_, damage)| damage.is_none()) else {
        return Ok(Vec::new());
    };
    let damaged: Vec<PathBuf> = all.iter().take(whole).map(|(lsn, _)| store.path(*lsn)).collect();
    store.set_aside(&damaged)?;
    Ok(damaged.into_iter().map(RepairStep::Aside).collect())
}

/// Repairs META, or the headers and lengths of segments. A file of a newer version is left alone.
fn repair_files(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<RepairStep>> {
    let names = disk.list(dir)?;
    let numbers: Vec<u64> = names.iter().filter_map(|n| parse_segment_file_name(n)).collect();
    let path = dir.join(META_FILE);
    let meta = match names.iter().any(|name| name == META_FILE) {
        false => Err(HeaderError::NotOurs),
        true => FileHeader::decode(META_MAGIC, &header_bytes(disk, &path)?),
    };
    match meta {
        Ok(meta) => repair_segments(disk, dir, &meta, &numbers),
        Err(HeaderError::Version(_))
            if !only_version_is_damaged(&header_bytes(disk, &path)?, META_MAGIC) =>
        {
            Ok(Vec::new())
        }
        Err(_) => match meta_of_segments(disk, dir, &numbers)? {
            Some(meta) => {
                write_meta(disk, dir, &meta)?;
                Ok(vec![RepairStep::Meta(path)])
            }
            // Nothing is there that a new log could not begin beside.
            None if numbers.is_empty() && !names.iter().any(|n| parse_name(n).is_some()) => {
                set_file_aside(disk, dir, META_FILE, &path)?;
                Ok(vec![RepairStep::Aside(path)])
            }
            None => Ok(Vec::new()),
        },
    }
}

/// The identity that the headers of all readable segments agree on.
fn meta_of_segments(
    disk: &dyn Disk,
    dir: &Path,
    numbers: &[u64],
) -> io::Result<Option<FileHeader>> {
    let mut agreed: Option<FileHeader> = None;
    for number in numbers {
        let bytes = header_bytes(disk, &dir.join(segment_file_name(*number)))?;
        let Ok(header) = FileHeader::decode(SEGMENT_MAGIC, &bytes) else { continue };
        let header = segment_header(&header, 0);
        if agreed.is_some_and(|agreed| agreed != header) {
            return Ok(None);
        }
        agreed = Some(header);
    }
    Ok(agreed)
}

fn repair_segments(
    disk: &dyn Disk,
    dir: &Path,
    meta: &FileHeader,
    numbers: &[u64],
) -> io::Result<Vec<RepairStep>> {
    let mut steps = Vec::new();
    for number in numbers {
        let name = segment_file_name(*number);
        let path = dir.join(&name);
        match segment_fault(disk, dir, *number, meta)? {
            None => {}
            Some(FileFault::Header(HeaderError::Version(_)))
                if !only_version_is_damaged(&header_bytes(disk, &path)?, SEGMENT_MAGIC) => {}
            Some(FileFault::Length { found, expected }) => {
                set_length(disk, dir, &name, &path, found, expected)?;
                steps.push(RepairStep::Length {
                    file: path,
                    from_bytes: found,
                    to_bytes: u64::from(expected),
                });
            }
            Some(_) => {
                let file = disk.open(&path, false)?;
                keep_copy(disk, dir, &format!("{name}.header"), file.as_ref(), 0, BLOCK_BYTES)?;
                file.write_at(&segment_header(meta, *number).encode(SEGMENT_MAGIC), 0)?;
                file.sync()?;
                let geometry = Geometry { segment_bytes: meta.segment_bytes };
                let unknown = Chain::unknown(meta.log_id);
                let headers = Scanner::new(file.as_ref(), geometry, *number, unknown).headers()?;
                steps.push(RepairStep::Header { file: path, empty: headers.is_empty() });
            }
        }
    }
    Ok(steps)
}

/// Extends a file with zeros, or cuts off what is beyond its length.
fn set_length(
    disk: &dyn Disk,
    dir: &Path,
    name: &str,
    path: &Path,
    found: u64,
    expected: u32,
) -> io::Result<()> {
    let file = disk.open(path, false)?;
    let expected = u64::from(expected);
    if found < expected {
        let zeros = vec![0; FILL_STEP_BYTES];
        let mut at = found;
        while at < expected {
            let step = (expected - at).min(zeros.len() as u64);
            file.write_at(zeros.get(..step as usize).unwrap_or_default(), at)?;
            at += step;
        }
        return file.sync();
    }
    let kept = read_all(file.as_ref(), 0, expected)?;
    let new = dir.join("repaired.new");
    let copy = disk.create(&new, false)?;
    copy.write_at(&kept, 0)?;
    copy.sync()?;
    set_file_aside(disk, dir, name, path)?;
    disk.rename(&new, path)?;
    disk.sync_dir(dir)
}

fn read_all(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; to.saturating_sub(from) as usize];
    file.read_exact_at(&mut bytes, from)?;
    Ok(bytes)
}

/// Renames a file, so that it is no longer in the way but can be looked at.
fn set_file_aside(disk: &dyn Disk, dir: &Path, name: &str, path: &Path) -> io::Result<()> {
    disk.rename(path, &free_name(disk, dir, name)?)?;
    disk.sync_dir(dir)
}

/// Copies bytes that will be overwritten into a `.damaged` file.
fn keep_copy(
    disk: &dyn Disk,
    dir: &Path,
    name: &str,
    file: &dyn DiskFile,
    from: u32,
    to: u32,
) -> io::Result<()> {
    let to = u64::from(to).min(file.len()?);
    let bytes = read_all(file, u64::from(from), to)?;
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(());
    }
    let unfinished = dir.join("damaged.new");
    let copy = disk.create(&unfinished, false)?;
    copy.write_at(&bytes, 0)?;
    copy.sync()?;
    disk.rename(&unfinished, &free_name(disk, dir, name)?)?;
    disk.sync_dir(dir)
}

/// The unused name `NAME.damaged`, or with a number if an earlier repair has left such a file.
fn free_name(disk: &dyn Disk, dir: &Path, name: &str) -> io::Result<PathBuf> {
    let names = disk.list(dir)?;
    let taken = |candidate: &String| names.iter().any(|name| name == candidate);
    let mut candidate = format!("{name}.damaged");
    let mut count = 2u64;
    while taken(&candidate) {
        candidate = format!("{name}.{count}.damaged");
        count += 1;
    }
    Ok(dir.join(candidate))
}

/// A stopped log whose META can be read; its segments may have any fault.
struct DamagedLog<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    meta: FileHeader,
    numbers: Vec<u64>,
}

impl Files for DamagedLog<'_> {
    fn geometry(&self) -> Geometry {
        Geometry { segment_bytes: self.meta.segment_bytes }
    }

    fn log_id(&self) -> u64 {
        self.meta.log_id
    }

    fn durable(&self) -> Lsn {
        Lsn(u64::MAX)
    }

    fn numbers(&self) -> Vec<u64> {
        self.numbers.clone()
    }

    fn open(&self, number: u64) -> io::Result<Option<Box<dyn DiskFile>>> {
        if !self.numbers.contains(&number) {
            return Ok(None);
        }
        self.disk.open(&self.path(number), false).map(Some)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(segment_file_name(number))
    }
}

impl<'a> DamagedLog<'a> {
    fn read(disk: &'a dyn Disk, dir: &'a Path) -> Result<DamagedLog<'a>, OpenError> {
        let meta = read_meta(disk, dir)?;
        let names = disk.list(dir).map_err(OpenError::io("listing the log"))?;
        let mut numbers: Vec<u64> =
            names.iter().filter_map(|name| parse_segment_file_name(name)).collect();
        numbers.sort_unstable();
        Ok(DamagedLog { disk, dir, meta, numbers })
    }

    /// Ends the log at `damage`, for a replay that begins at `from`. Nothing before `from` is needed,
    /// and no address before it is given out again.
    fn cut(&self, from: Lsn, damage: Lsn) -> io::Result<Vec<RepairStep>> {
        let geometry = self.geometry();
        let (mut segment, mut offset) =
            (geometry.segment(damage).max(1), geometry.offset(damage).max(BLOCK_BYTES));
        if offset > geometry.segment_bytes - BLOCK_BYTES {
            (segment, offset) = (segment + 1, BLOCK_BYTES);
        }
        if segment < geometry.segment(from) {
            (segment, offset) = (geometry.segment(from), BLOCK_BYTES);
        }
        let mut chain;
        (chain, segment, offset) = reached(self, from, segment, offset)?;
        chain.record_end = chain.record_end.max(from);
        let dropped = self.written_from(from, segment, offset)?;
        chain.epoch = chain.epoch.max(dropped.epoch) + dropped.unseen_epochs + 1;
        let dropped_segments: Vec<u64> =
            self.numbers.iter().copied().filter(|number| *number > segment).collect();
        // From the last: a crash in between leaves a log without a gap, to be planned again.
        for number in dropped_segments.iter().rev() {
            let path = self.path(*number);
            set_file_aside(self.disk, self.dir, &segment_file_name(*number), &path)?;
        }
        let file = self.existing_or_new(segment)?;
        let name = format!("{}.from-{offset}", segment_file_name(segment));
        keep_copy(self.disk, self.dir, &name, file.as_ref(), offset, geometry.segment_bytes)?;
        self.write_mark(file.as_ref(), segment, offset, chain)?;
        Ok(vec![RepairStep::Cut(Cut {
            at: geometry.at(segment, offset),
            last_kept: chain.record_end,
            lost_records: dropped.records,
            dropped_bytes: dropped.bytes,
            segment,
            dropped_segments,
        })])
    }

    /// Creates an empty segment in the place of a missing one. A replay that needs the missing records
    /// still stops there.
    fn put_empty(&self, number: u64) -> io::Result<RepairStep> {
        let file = self.existing_or_new(number)?;
        let record_end = self.geometry().at(number, BLOCK_BYTES);
        let chain = Chain { epoch: 1, record_end, ..Chain::unknown(self.meta.log_id) };
        self.write_mark(file.as_ref(), number, BLOCK_BYTES, chain)?;
        Ok(RepairStep::Empty(self.path(number)))
    }

    /// The batches behind a cut, counted by their headers.
    fn written_from(&self, from: Lsn, segment: u64, offset: u32) -> io::Result<Dropped> {
        let geometry = self.geometry();
        let segment_bytes = u64::from(geometry.segment_bytes);
        let (mut records, mut bytes, mut epoch) = (0, 0, 0);
        let last = self.numbers.last().copied().unwrap_or(segment).max(segment);
        let mut oldest_seen = segment;
        // Epochs rise with addresses: below the cut, the first that is found is the last there was.
        for number in self.numbers.iter().rev().copied() {
            if number < segment && epoch > 0 {
                break;
            }
            oldest_seen = number.min(segment);
            let Some(file) = self.open(number)? else { continue };
            let unknown = Chain::unknown(self.meta.log_id);
            let mut scanner = Scanner::new(file.as_ref(), geometry, number, unknown);
            let written = scanner.headers()?;
            let dropped_from = match number.cmp(&segment) {
                std::cmp::Ordering::Less => segment_bytes,
                std::cmp::Ordering::Equal => u64::from(offset),
                std::cmp::Ordering::Greater => 0,
            };
            for header in &written {
                epoch = epoch.max(header.epoch);
                let dropped = u64::from(geometry.offset(header.lsn)) >= dropped_from;
                if dropped && header.lsn >= from {
                    records += u64::from(header.record_count);
                }
            }
            if !written.is_empty() || number == segment {
                bytes += segment_bytes - dropped_from;
            }
        }
        // Every incarnation writes at least one block, so what cannot be read any more holds at most
        // so many that were not seen.
        let unseen_epochs = (last - oldest_seen + 1) * (segment_bytes / u64::from(BLOCK_BYTES));
        Ok(Dropped { records, bytes, epoch, unseen_epochs })
    }

    /// The file of a segment, made if it does not exist.
    fn existing_or_new(&self, number: u64) -> io::Result<Box<dyn DiskFile>> {
        if let Some(file) = self.open(number)? {
            return Ok(file);
        }
        let new = self.dir.join("repaired.new");
        let file = self.disk.create(&new, false)?;
        file.fill_zeros(u64::from(self.meta.segment_bytes))?;
        file.write_at(&segment_header(&self.meta, number).encode(SEGMENT_MAGIC), 0)?;
        file.sync()?;
        self.disk.rename(&new, &self.path(number))?;
        self.disk.sync_dir(self.dir)?;
        self.disk.open(&self.path(number), false)
    }

    /// Ends a segment at `offset` and empties what is behind it.
    fn write_mark(
        &self,
        file: &dyn DiskFile,
        segment: u64,
        offset: u32,
        chain: Chain,
    ) -> io::Result<()> {
        let memory = BufferPool::default();
        let geometry = self.geometry();
        let mut end = Batch::new(geometry, segment, offset, &memory, BLOCK_BYTES as usize);
        end.flags = FLAG_END | FLAG_REPAIRED;
        let mut rest = end.finish(chain).padded.as_slice().to_vec();
        rest.resize((geometry.segment_bytes - offset) as usize, 0);
        file.write_at(&rest, u64::from(offset))?;
        file.sync()
    }
}

/// The written part of a log behind a cut.
struct Dropped {
    records: u64,
    bytes: u64,
    /// The highest epoch that was found, behind the cut or before it.
    epoch: u64,
    /// Incarnations that may have written what cannot be read any more, at most.
    unseen_epochs: u64,
}
