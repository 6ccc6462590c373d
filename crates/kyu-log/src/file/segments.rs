//! The segment files of a log: the list of them, preparing new ones ahead of the writer, recycling.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, DiskFile, is_no_space};
use crate::file::buffer::AlignedBuffer;
use crate::file::format::{FileHeader, SEGMENT_MAGIC};
use crate::file::shared::Counters;
use crate::lsn::Geometry;

/// A segment that exists on disk. Its file is not reused while anybody holds one.
///
/// It holds no file descriptor: a log may have thousands of segments, and opening one for a block read
/// costs microseconds.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
}

/// All segment files of a log.
pub(crate) struct Segments {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    geometry: Geometry,
    log_id: u64,
    direct: bool,
    max_log_bytes: Option<u64>,
    keep_free_bytes: u64,
    counters: Arc<Counters>,
    // Held for map operations only, never across I/O.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    by_number: BTreeMap<u64, Arc<Segment>>,
    /// Recycled segments, which readers may still hold.
    retired: Vec<Arc<Segment>>,
    /// Full-size files without a number, left by an earlier run or a failed step.
    spares: Vec<PathBuf>,
}

/// The origin of a prepared segment's file.
enum Source {
    Spare(PathBuf),
    Retired(Segment),
    New,
}

/// The result of preparing a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prepared {
    Yes,
    NoSpace,
}

pub(crate) fn segment_file_name(number: u64) -> String {
    format!("{number:020}.log")
}

/// The number of a segment file's name.
pub(crate) fn parse_segment_file_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    let plain = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

impl Segments {
    #[allow(clippy::too_many_arguments)] // Plain facts, known at open, named at the one call.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        dir: &Path,
        geometry: Geometry,
        log_id: u64,
        options: &crate::Options,
        counters: Arc<Counters>,
        numbers: &[u64],
        spares: Vec<PathBuf>,
    ) -> Segments {
        let path = |number| dir.join(segment_file_name(number));
        let by_number =
            numbers.iter().map(|&n| (n, Arc::new(Segment { number: n, path: path(n) }))).collect();
        Segments {
            disk,
            dir: dir.to_path_buf(),
            geometry,
            log_id,
            direct: options.direct_io,
            max_log_bytes: options.max_log_bytes,
            keep_free_bytes: options.reserve_bytes,
            counters,
            state: Mutex::new(State { by_number, retired: Vec::new(), spares }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn path(&self, number: u64) -> PathBuf {
        self.dir.join(segment_file_name(number))
    }

    /// Keeps segment `number` from being reused while the result lives.
    pub(crate) fn hold(&self, number: u64) -> Option<Arc<Segment>> {
        self.state().by_number.get(&number).cloned()
    }

    /// All numbers, in order.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.state().by_number.keys().copied().collect()
    }

    /// Files that belong to the log, whatever their state.
    pub(crate) fn file_count(&self) -> u64 {
        let state = self.state();
        (state.by_number.len() + state.retired.len() + state.spares.len()) as u64
    }

    pub(crate) fn open_for_write(&self, segment: &Segment) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(&segment.path, self.direct)
    }

    pub(crate) fn open_for_read(&self, segment: &Segment) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(&segment.path, false)
    }

    /// Takes a segment out of the log. Its file is reused by a later `prepare`, or removed by
    /// `remove_retired`.
    pub(crate) fn retire(&self, number: u64) -> bool {
        let mut state = self.state();
        let segment = state.by_number.remove(&number);
        let found = segment.is_some();
        state.retired.extend(segment);
        found
    }

    /// Free bytes of the disk.
    pub(crate) fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes(&self.dir)
    }

    /// Creates segment `number`: empty, of full size, with every block written once.
    ///
    /// The order makes every crash harmless: a file gets its new header under a name without a number,
    /// and the number only when the header is durable.
    pub(crate) fn prepare(&self, number: u64) -> io::Result<Prepared> {
        let spare = self.dir.join(format!("{number:020}.spare"));
        match self.source() {
            Source::Spare(path) => {
                if path != spare {
                    self.disk.rename(&path, &spare)?;
                }
            }
            Source::Retired(segment) => {
                self.disk.rename(&segment.path, &spare)?;
                // Before its blocks change, the file must have lost its old number durably.
                self.disk.sync_dir(&self.dir)?;
                self.counters.recycled.add(1);
            }
            Source::New => {
                if self.create_spare(&spare)? == Prepared::NoSpace {
                    return Ok(Prepared::NoSpace);
                }
            }
        }
        let header =
            FileHeader { log_id: self.log_id, number, segment_bytes: self.geometry.segment_bytes };
        let mut block = AlignedBuffer::with_capacity(crate::limits::BLOCK_BYTES as usize);
        block.extend(&header.encode(SEGMENT_MAGIC));
        block.pad_to_block();
        self.disk.open(&spare, self.direct)?.write_durable_at(block.as_slice(), 0)?;
        let path = self.path(number);
        self.disk.rename(&spare, &path)?;
        self.disk.sync_dir(&self.dir)?;
        self.state().by_number.insert(number, Arc::new(Segment { number, path }));
        Ok(Prepared::Yes)
    }

    fn source(&self) -> Source {
        let mut state = self.state();
        if let Some(path) = state.spares.pop() {
            return Source::Spare(path);
        }
        for at in 0..state.retired.len() {
            // Nobody can take a new hold of a retired segment, so the last owner is the only one.
            match Arc::try_unwrap(state.retired.swap_remove(at)) {
                Ok(segment) => return Source::Retired(segment),
                Err(held) => {
                    state.retired.push(held);
                    let last = state.retired.len() - 1;
                    state.retired.swap(at, last);
                }
            }
        }
        Source::New
    }

    fn create_spare(&self, path: &Path) -> io::Result<Prepared> {
        let segment_bytes = u64::from(self.geometry.segment_bytes);
        let all_bytes = (self.file_count() + 1) * segment_bytes;
        if self.max_log_bytes.is_some_and(|max| all_bytes > max)
            || self.disk.free_bytes(&self.dir)? < segment_bytes + self.keep_free_bytes
        {
            return Ok(Prepared::NoSpace);
        }
        let filled =
            self.disk.create(path, self.direct).and_then(|file| file.fill_zeros(segment_bytes));
        match filled {
            Ok(()) => {
                self.counters.prewritten.add(1);
                Ok(Prepared::Yes)
            }
            Err(error) if is_no_space(&error) => match self.disk.remove(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(Prepared::NoSpace),
            },
            Err(error) => Err(error),
        }
    }

    /// Removes the files of retired segments that nobody holds.
    pub(crate) fn remove_retired(&self) -> io::Result<()> {
        while let Source::Retired(segment) = self.retired_source() {
            self.disk.remove(&segment.path)?;
            self.counters.recycled.add(1);
        }
        Ok(())
    }

    fn retired_source(&self) -> Source {
        let spares = std::mem::take(&mut self.state().spares);
        let source = self.source();
        self.state().spares.extend(spares);
        source
    }
}
