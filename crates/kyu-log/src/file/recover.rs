//! Prepares a surveyed log for writing: creates the identity of a new log, and cleans up what the last
//! process left unfinished.

use std::io;
use std::path::{Path, PathBuf};

use crate::Options;
use crate::disk::Disk;
use crate::error::OpenError;
use crate::file::buffer::AlignedBuffer;
use crate::file::format::{FileHeader, META_MAGIC};
use crate::file::headers::META_FILE;
use crate::file::segments::segment_file_name;
use crate::file::survey::{LastBatch, Survey, survey};
use crate::limits::{BLOCK_BYTES, MAX_SEGMENT_BYTES, MIN_SEGMENT_BYTES};
use crate::lsn::Geometry;

/// A surveyed log, and files without a number that can become segments.
pub(crate) struct Recovered {
    pub(crate) survey: Survey,
    pub(crate) spares: Vec<PathBuf>,
}

/// Surveys a directory and makes it ready to be written to, creating the identity of a new log.
pub(crate) fn recover(
    disk: &dyn Disk,
    dir: &Path,
    options: &Options,
) -> Result<Recovered, OpenError> {
    let found = match survey(disk, dir)? {
        Some(found) => Some(found),
        None => {
            create_meta(disk, dir, options)?;
            survey(disk, dir)?
        }
    };
    let Some(survey) = found else {
        let doing = format!("creating {}", dir.join(META_FILE).display());
        return Err(OpenError::io(doing)(io::ErrorKind::NotFound.into()));
    };
    if let Some(batch) = survey.end.last_batch {
        let path = dir.join(segment_file_name(batch.segment));
        make_durable(disk, &path, batch)
            .map_err(OpenError::io(format!("syncing {}", path.display())))?;
    }
    let geometry = Geometry { segment_bytes: survey.meta.segment_bytes };
    let spares = existing_spares(disk, dir, &survey.names, geometry)?;
    disk.sync_dir(dir).map_err(OpenError::io(format!("syncing {}", dir.display())))?;
    Ok(Recovered { survey, spares })
}

fn create_meta(disk: &dyn Disk, dir: &Path, options: &Options) -> Result<(), OpenError> {
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
    let doing = format!("creating {}", dir.join(META_FILE).display());
    write_meta(disk, dir, &meta).map_err(OpenError::io(doing))
}

pub(crate) fn write_meta(disk: &dyn Disk, dir: &Path, meta: &FileHeader) -> io::Result<()> {
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

/// Makes the last batch durable before anything is built on it.
///
/// It was found valid, but the process before may have died between write and sync, or after a failed
/// sync; then it may exist only in a cache that counts it as written. Writing the same bytes again
/// makes every cache write them.
fn make_durable(disk: &dyn Disk, path: &Path, batch: LastBatch) -> io::Result<()> {
    let file = disk.open(path, false)?;
    let mut bytes = vec![0; batch.to.saturating_sub(batch.from) as usize];
    file.read_exact_at(&mut bytes, u64::from(batch.from))?;
    if !bytes.is_empty() {
        file.write_at(&bytes, u64::from(batch.from))?;
    }
    file.sync()
}
