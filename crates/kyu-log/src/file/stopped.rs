//! A stopped log: read as a start would read it, and never changed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Lsn;
use crate::disk::{Disk, DiskFile, DiskLock};
use crate::error::{OpenError, ReplayError};
use crate::file::replay::{self, Files};
use crate::file::segments::segment_file_name;
use crate::file::survey::{Survey, survey};
use crate::log::{History, MissingSegment, Opened, Visit};
use crate::lsn::Geometry;

/// A log that no process has open.
pub struct StoppedLog {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    survey: Survey,
}

impl StoppedLog {
    /// Surveys the log in `dir` as `FileLog::open` does, with the same errors; `None` if there is no
    /// log yet. The caller holds the directory's lock ([`lock`]).
    pub fn read(disk: Arc<dyn Disk>, dir: &Path) -> Result<Option<StoppedLog>, OpenError> {
        let survey = survey(disk.as_ref(), dir)?;
        Ok(survey.map(|survey| StoppedLog { disk, dir: dir.to_path_buf(), survey }))
    }

    /// The facts that `FileLog::open` would return.
    pub fn opened(&self) -> Opened {
        self.survey.opened()
    }

    /// The address where the next batch would go.
    pub(crate) fn next_batch_at(&self) -> Lsn {
        self.geometry().at(self.survey.end.segment, self.survey.end.offset)
    }

    /// The `len` bytes at `at`, from the disk and not verified.
    pub fn read_at(&self, at: Lsn, len: usize) -> io::Result<Vec<u8>> {
        let geometry = self.geometry();
        let file = self.open(geometry.segment(at))?.ok_or(io::ErrorKind::NotFound)?;
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, u64::from(geometry.offset(at)))?;
        Ok(bytes)
    }
}

impl Files for StoppedLog {
    fn geometry(&self) -> Geometry {
        Geometry { segment_bytes: self.survey.meta.segment_bytes }
    }

    fn log_id(&self) -> u64 {
        self.survey.meta.log_id
    }

    fn durable(&self) -> Lsn {
        self.survey.end.chain.record_end
    }

    fn numbers(&self) -> Vec<u64> {
        self.survey.numbers.clone()
    }

    fn open(&self, number: u64) -> io::Result<Option<Box<dyn DiskFile>>> {
        if !self.survey.numbers.contains(&number) {
            return Ok(None);
        }
        self.disk.open(&self.path(number), false).map(Some)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(segment_file_name(number))
    }
}

impl History for StoppedLog {
    fn replay<E>(&self, from: Lsn, visit: Visit<'_, E>) -> Result<Lsn, ReplayError<E>> {
        replay::replay(self, from, visit)
    }

    fn reaches(&self, from: Lsn) -> bool {
        replay::reaches(self, from)
    }

    fn missing(&self, segments: &[u64]) -> io::Result<Vec<MissingSegment>> {
        replay::missing_of(self, segments)
    }

    fn segment_bytes(&self) -> u32 {
        self.survey.meta.segment_bytes
    }
}

/// Locks a log directory, as `FileLog::open` does, against every other process.
pub fn lock(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn DiskLock>, OpenError> {
    let file = dir.join("LOCK");
    disk.lock(&file).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked(file.clone()),
        _ => OpenError::io(format!("locking {}", file.display()))(error),
    })
}
