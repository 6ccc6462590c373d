//! Looking for damage, and cutting it off when someone decides so.
//!
//! Records are facts that build on each other, so a repair keeps what is before the first damage and
//! drops everything behind it, in this segment and all later ones. What is dropped is kept aside in
//! `.damaged` files. The log continues behind the cut under an epoch that no dropped batch can have.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Lsn;
use crate::batch::{Batch, Chain};
use crate::buffer::BufferPool;
use crate::disk::Disk;
use crate::error::{Damage, OpenError};
use crate::format::{
    FILE_HEADER_BYTES, FLAG_END, FLAG_REPAIRED, FileHeader, META_MAGIC, SEGMENT_MAGIC,
};
use crate::limits::BLOCK_BYTES;
use crate::lsn::Geometry;
use crate::scan::{Found, Scanner, ends_segment};
use crate::segments::{parse_segment_file_name, segment_file_name};
use crate::snapshot::SnapshotStore;

/// What `verify` found in one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentReport {
    /// The segment.
    pub number: u64,
    /// Whole records from its begin to its end or to the damage.
    pub records: u64,
    /// Bytes of their bodies.
    pub body_bytes: u64,
    /// The end of the last whole record before the end or the damage.
    pub record_end: Lsn,
    /// The epoch of the last whole batch.
    pub epoch: u64,
    /// What is wrong, if anything is.
    pub damage: Option<Damage>,
}

/// What `verify` found in a log directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Segments that were ever written to, oldest first.
    pub segments: Vec<SegmentReport>,
    /// A batch that was in flight when the last process died: not damage, the next open drops it.
    pub torn_tail: Option<Lsn>,
}

impl Report {
    /// The first damage at or after `from`: what replay from there would stop at.
    pub fn first_damage(&self, from: Lsn) -> Option<&Damage> {
        let damages = self.segments.iter().filter_map(|segment| segment.damage.as_ref());
        damages.into_iter().find(|damage| damage.lsn >= from)
    }
}

/// What `repair` would do. Nothing is changed before `apply`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairPlan {
    /// Everything from this address on is dropped.
    pub cut_at: Lsn,
    /// The end of the last record that stays.
    pub last_kept: Lsn,
    /// Whole records behind the cut that will be lost, as far as they can still be counted.
    pub lost_records: u64,
    /// Bytes of segments behind the cut.
    pub dropped_bytes: u64,
    /// The segment that is cut.
    pub cut_segment: u64,
    /// Segments that are dropped whole.
    pub dropped_segments: Vec<u64>,
    /// Only the header of the segment is damaged: it is written anew and nothing is dropped. Other
    /// damage may show afterwards.
    pub header_only: bool,
}

impl fmt::Display for RepairPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.header_only {
            return write!(
                f,
                "write the header of segment {} anew; drop nothing",
                self.cut_segment
            );
        }
        write!(
            f,
            "keep everything up to address {}; drop {} bytes from address {} on, in segment {} and {} \
             later segments, with at least {} whole records; the dropped bytes are kept in .damaged files",
            self.last_kept,
            self.dropped_bytes,
            self.cut_at,
            self.cut_segment,
            self.dropped_segments.len(),
            self.lost_records
        )
    }
}

/// Checks every segment of the log in `dir`, which must not be open. Changes nothing.
pub fn verify(disk: &dyn Disk, dir: &Path) -> Result<Report, OpenError> {
    let _lock = lock(disk, dir)?;
    Files::read(disk, dir)?.verify()
}

/// Checks the snapshots of a stopped log, newest first; the second part says what is wrong with one.
pub fn verify_snapshots(
    disk: &Arc<dyn Disk>,
    dir: &Path,
) -> Result<Vec<(Lsn, Option<String>)>, OpenError> {
    let _lock = lock(disk.as_ref(), dir)?;
    let log_id = Files::read(disk.as_ref(), dir)?.log_id;
    let store = SnapshotStore::new(Arc::clone(disk), dir, log_id);
    store.verify().map_err(OpenError::io("reading the snapshots"))
}

/// Says what it takes to make the log replayable from `from` (the newest snapshot's address, or zero).
/// `None` if nothing is wrong there.
pub fn plan_repair(
    disk: &dyn Disk,
    dir: &Path,
    from: Lsn,
) -> Result<Option<RepairPlan>, OpenError> {
    let _lock = lock(disk, dir)?;
    let files = Files::read(disk, dir)?;
    let report = files.verify()?;
    Ok(files.plan(&report, from))
}

/// Does what a plan says. It is refused if the log has changed since.
pub fn apply_repair(
    disk: &dyn Disk,
    dir: &Path,
    from: Lsn,
    plan: &RepairPlan,
) -> Result<(), OpenError> {
    let _lock = lock(disk, dir)?;
    let files = Files::read(disk, dir)?;
    let report = files.verify()?;
    if files.plan(&report, from).as_ref() != Some(plan) {
        let reason = "the log has changed since the plan was made".to_owned();
        return Err(OpenError::BadOptions(reason));
    }
    files.apply(&report, from, plan).map_err(OpenError::io("repairing the log"))
}

fn lock(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn crate::disk::DiskLock>, OpenError> {
    let file = dir.join("LOCK");
    disk.lock(&file).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked(file.clone()),
        _ => OpenError::io(format!("locking {}", file.display()))(error),
    })
}

struct Files<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    geometry: Geometry,
    log_id: u64,
    numbers: Vec<u64>,
}

impl<'a> Files<'a> {
    fn read(disk: &'a dyn Disk, dir: &'a Path) -> Result<Files<'a>, OpenError> {
        let path = dir.join("META");
        let mut bytes = [0; FILE_HEADER_BYTES];
        disk.open(&path, false)
            .and_then(|file| file.read_exact_at(&mut bytes, 0))
            .map_err(OpenError::io(format!("reading {}", path.display())))?;
        let meta = FileHeader::decode(META_MAGIC, &bytes)
            .map_err(|error| OpenError::Incompatible { file: path, reason: error.to_string() })?;
        let names = disk.list(dir).map_err(OpenError::io("listing the log"))?;
        let mut numbers: Vec<u64> =
            names.iter().filter_map(|name| parse_segment_file_name(name)).collect();
        numbers.sort_unstable();
        let geometry = Geometry { segment_bytes: meta.segment_bytes };
        Ok(Files { disk, dir, geometry, log_id: meta.log_id, numbers })
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(segment_file_name(number))
    }

    fn unknown_chain(&self) -> Chain {
        Chain { log_id: self.log_id, epoch: 0, crc: 0, record_end: Lsn::ZERO }
    }

    fn damage(&self, lsn: Lsn, reason: String) -> Damage {
        let file = self.path(self.geometry.segment(lsn));
        Damage { file, offset: u64::from(self.geometry.offset(lsn)), lsn, reason }
    }

    fn verify(&self) -> Result<Report, OpenError> {
        let mut report = Report { segments: Vec::new(), torn_tail: None };
        let mut before: Option<(u64, Chain)> = None;
        let mut stops = Vec::new();
        for number in &self.numbers {
            let known = before.filter(|(last, _)| last + 1 == *number).map(|(_, chain)| chain);
            let scanned = self
                .verify_segment(*number, known, &mut stops)
                .map_err(OpenError::io(format!("reading {}", self.path(*number).display())))?;
            let Some((segment, chain)) = scanned else { continue };
            before = segment.damage.is_none().then_some((*number, chain));
            report.segments.push(segment);
        }
        self.blame_unfinished(&mut report, &stops);
        Ok(report)
    }

    /// Only the last segment may stop without its END batch; any other is damaged where it stops.
    fn blame_unfinished(&self, report: &mut Report, stops: &[(u64, Lsn, bool)]) {
        let last = report.segments.last().map(|segment| segment.number);
        for (number, at, torn) in stops {
            if Some(*number) == last {
                report.torn_tail = torn.then_some(*at);
            } else if let Some(segment) = report.segments.iter_mut().find(|s| s.number == *number) {
                let reason =
                    "the batch here is not whole, but a later segment was begun".to_owned();
                segment.damage.get_or_insert(self.damage(*at, reason));
            }
        }
    }

    /// `None` for a segment that was never written to.
    fn verify_segment(
        &self,
        number: u64,
        known: Option<Chain>,
        stops: &mut Vec<(u64, Lsn, bool)>,
    ) -> io::Result<Option<(SegmentReport, Chain)>> {
        let file = self.disk.open(&self.path(number), false)?;
        let chain = known.unwrap_or(self.unknown_chain());
        let mut scanner = Scanner::new(file.as_ref(), self.geometry, number, chain);
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
        let mut damage = self.header_damage(number)?;
        if let (Some(found), None) = (stop, &damage) {
            let later = scanner.later_batch()?;
            match (found, later) {
                (Found::Mismatch(reason), _) => {
                    damage = Some(self.damage(scanner.lsn(), reason.to_owned()));
                }
                (_, Some(later)) => {
                    let reason = format!("a batch was written behind it at address {later}");
                    damage = Some(self.damage(scanner.lsn(), reason));
                }
                (Found::Nothing, None) if scanner.offset == BLOCK_BYTES => return Ok(None),
                (found, None) => {
                    stops.push((number, scanner.lsn(), matches!(found, Found::Torn)));
                }
            }
        }
        let Chain { record_end, epoch, .. } = scanner.chain;
        let report = SegmentReport { number, records, body_bytes, record_end, epoch, damage };
        Ok(Some((report, scanner.chain)))
    }

    fn header_damage(&self, number: u64) -> io::Result<Option<Damage>> {
        let mut bytes = [0; FILE_HEADER_BYTES];
        self.disk.open(&self.path(number), false)?.read_exact_at(&mut bytes, 0)?;
        let expected =
            FileHeader { log_id: self.log_id, number, segment_bytes: self.geometry.segment_bytes };
        let reason = match FileHeader::decode(SEGMENT_MAGIC, &bytes) {
            Ok(header) if header == expected => return Ok(None),
            Ok(_) => "the segment's header is that of another segment or log".to_owned(),
            Err(error) => error.to_string(),
        };
        Ok(Some(self.damage(self.geometry.at(number, 0), reason)))
    }

    fn plan(&self, report: &Report, from: Lsn) -> Option<RepairPlan> {
        let damage = report.first_damage(from)?;
        let cut_segment = self.geometry.segment(damage.lsn);
        let cut_at = damage.lsn;
        let in_cut = report.segments.iter().find(|s| s.number == cut_segment)?;
        if self.geometry.offset(cut_at) == 0 {
            return Some(RepairPlan {
                cut_at,
                last_kept: in_cut.record_end,
                lost_records: 0,
                dropped_bytes: 0,
                cut_segment,
                dropped_segments: Vec::new(),
                header_only: true,
            });
        }
        let later = report.segments.iter().filter(|s| s.number > cut_segment);
        let rest = u64::from(self.geometry.segment_bytes - self.geometry.offset(cut_at));
        let segment_bytes = u64::from(self.geometry.segment_bytes);
        let dropped_segments: Vec<u64> =
            self.numbers.iter().copied().filter(|number| *number > cut_segment).collect();
        let written = later.clone().count() as u64;
        Some(RepairPlan {
            cut_at,
            last_kept: in_cut.record_end,
            lost_records: later.map(|segment| segment.records).sum(),
            dropped_bytes: rest + written * segment_bytes,
            cut_segment,
            dropped_segments,
            header_only: false,
        })
    }

    fn apply(&self, report: &Report, from: Lsn, plan: &RepairPlan) -> io::Result<()> {
        let cut = plan.cut_segment;
        let file = self.disk.open(&self.path(cut), false)?;
        let cut_offset = self.geometry.offset(plan.cut_at);
        self.keep_aside(file.as_ref(), cut, cut_offset)?;
        if plan.header_only {
            let segment_bytes = self.geometry.segment_bytes;
            let header = FileHeader { log_id: self.log_id, number: cut, segment_bytes };
            file.write_at(&header.encode(SEGMENT_MAGIC), 0)?;
            return file.sync();
        }
        let chain = self.chain_at_cut(report, from, cut)?;
        // From the last: a crash in between leaves a log without a gap, to be planned again.
        for number in plan.dropped_segments.iter().rev() {
            let aside = self.dir.join(format!("{number:020}.damaged"));
            self.disk.rename(&self.path(*number), &aside)?;
            self.disk.sync_dir(self.dir)?;
        }
        let memory = BufferPool::default();
        let mut end = Batch::new(self.geometry, cut, cut_offset, &memory, BLOCK_BYTES as usize);
        end.flags = FLAG_END | FLAG_REPAIRED;
        let mut rest = end.finish(chain).padded.as_slice().to_vec();
        rest.resize((self.geometry.segment_bytes - cut_offset) as usize, 0);
        file.write_at(&rest, u64::from(cut_offset))?;
        file.sync()?;
        self.disk.sync_dir(self.dir)
    }

    /// What the mark at the cut continues, under an epoch above all that are dropped.
    fn chain_at_cut(&self, report: &Report, from: Lsn, cut: u64) -> io::Result<Chain> {
        let mut before: Option<(u64, Chain)> = None;
        for number in self.numbers.iter().filter(|number| **number <= cut) {
            let known = before.filter(|(last, _)| last + 1 == *number).map(|(_, chain)| chain);
            let scanned = self.verify_segment(*number, known, &mut Vec::new())?;
            before = scanned.map(|(_, chain)| (*number, chain));
        }
        let mut chain = before.map_or(self.unknown_chain(), |(_, chain)| chain);
        if chain.epoch == 0 {
            // Nothing is left of what was before; a replay from the snapshot must find its place.
            chain.record_end = from;
        }
        // Every incarnation writes at least one block, so behind the damage of each dropped segment
        // there are at most so many more than were seen.
        let seen = report.segments.iter().map(|segment| segment.epoch).max().unwrap_or(0);
        let unseen = u64::from(self.geometry.segment_bytes / BLOCK_BYTES)
            * report.segments.iter().filter(|segment| segment.number >= cut).count() as u64;
        chain.epoch = seen + unseen + 1;
        Ok(chain)
    }

    /// Saves what will be overwritten, unless an interrupted repair has done so.
    fn keep_aside(
        &self,
        file: &dyn crate::disk::DiskFile,
        number: u64,
        offset: u32,
    ) -> io::Result<()> {
        let aside = self.dir.join(format!("{number:020}.from-{offset}.damaged"));
        if self.disk.list(self.dir)?.iter().any(|name| aside.ends_with(name)) {
            return Ok(());
        }
        let len = file.len()?.saturating_sub(u64::from(offset));
        let mut bytes = vec![0; len as usize];
        file.read_exact_at(&mut bytes, u64::from(offset))?;
        let unfinished = self.dir.join("damaged.new");
        let copy = self.disk.create(&unfinished, false)?;
        copy.write_at(&bytes, 0)?;
        copy.sync()?;
        self.disk.rename(&unfinished, &aside)?;
        self.disk.sync_dir(self.dir)
    }
}
