//! Snapshots: the caller's state at one address, in one file that is complete or does not exist.
//!
//! ```text
//! snapshot-<address, 20 digits>
//!   header  40 bytes as in `format.rs`, magic "KYUSNAP\0", number = the address
//!   blocks  length u32, CRC-32C u32 (of length and data, seeded with the CRC before it), data
//!   end     a block of length 8: the number of data bytes u64, with bit 31 of its length set
//! ```
//!
//! A file gets its name only when it is complete and durable.

mod blocks;

use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Lsn;
use crate::disk::Disk;
use crate::file::format::{FILE_HEADER_BYTES, FileHeader, u32_at};
use crate::limits::SNAPSHOT_BLOCK_BYTES;

use blocks::{BlockReader, BlockWriter};

const MAGIC: [u8; 8] = *b"KYUSNAP\0";
const NEW_FILE: &str = "snapshot.new";

/// The snapshots of one log.
#[derive(Clone)]
pub struct SnapshotStore {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    log_id: u64,
}

/// The reason why there is no snapshot to start from.
#[derive(Debug)]
pub enum SnapshotError {
    /// The newest snapshot is damaged and the log does not reach back to an older whole one.
    Damaged {
        /// The file.
        file: PathBuf,
        /// The fault, in words.
        reason: String,
    },
    /// An operation of the system failed.
    Io(io::Error),
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotError::Damaged { file, reason } => write!(
                f,
                "{} is damaged ({reason}), and the log no longer holds the records since an older \
                 snapshot",
                file.display()
            ),
            SnapshotError::Io(error) => write!(f, "reading a snapshot: {error}"),
        }
    }
}

impl std::error::Error for SnapshotError {}

impl From<io::Error> for SnapshotError {
    fn from(error: io::Error) -> Self {
        SnapshotError::Io(error)
    }
}

/// A snapshot that was found whole; read the state from it, in the order it was written.
pub struct Snapshot {
    /// The address from which replay continues.
    pub lsn: Lsn,
    /// Newer snapshots that were skipped because they are damaged; worth a warning.
    pub skipped: Vec<PathBuf>,
    reader: BlockReader,
}

impl Read for Snapshot {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

impl SnapshotStore {
    /// The snapshots in `dir` of the log with this identity (`Opened::log_id`).
    pub fn new(disk: Arc<dyn Disk>, dir: &Path, log_id: u64) -> SnapshotStore {
        SnapshotStore { disk, dir: dir.to_path_buf(), log_id }
    }

    /// Writes the state at `lsn`, the end of the last record it contains, which must be durable.
    /// Returns the size when it is on disk under its name; after an error nothing has changed.
    pub fn write(
        &self,
        lsn: Lsn,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<u64> {
        let new = self.dir.join(NEW_FILE);
        let header = FileHeader {
            log_id: self.log_id,
            number: lsn.0,
            segment_bytes: SNAPSHOT_BLOCK_BYTES as u32,
        };
        let header = header.encode(MAGIC);
        let file = self.disk.create(&new, false)?;
        file.write_at(&header, 0)?;
        let mut writer = BlockWriter::new(file, u32_at(&header, FILE_HEADER_BYTES - 4));
        fill(&mut writer)?;
        let bytes = writer.finish()?;
        self.disk.rename(&new, &self.path(lsn))?;
        self.disk.sync_dir(&self.dir)?;
        Ok(bytes)
    }

    /// Addresses of all snapshots, newest first, whole or not.
    pub fn list(&self) -> io::Result<Vec<Lsn>> {
        let names = self.disk.list(&self.dir)?;
        let mut all: Vec<Lsn> = names.iter().filter_map(|name| parse_name(name)).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        Ok(all)
    }

    /// The newest whole snapshot. `reaches` says whether the log can replay from an address
    /// (`FileLog::reaches`): a damaged snapshot is passed over only for an older one that the log
    /// still reaches, or, when no other is whole, for the very beginning of the log.
    pub fn load(&self, reaches: impl Fn(Lsn) -> bool) -> Result<Option<Snapshot>, SnapshotError> {
        let mut skipped: Vec<PathBuf> = Vec::new();
        let mut newest_reason = None;
        for lsn in self.list()? {
            match self.open(lsn)? {
                Ok(reader) if skipped.is_empty() || reaches(lsn) => {
                    return Ok(Some(Snapshot { lsn, skipped, reader }));
                }
                Ok(_) => break,
                Err(reason) => {
                    newest_reason.get_or_insert(reason);
                    skipped.push(self.path(lsn));
                }
            }
        }
        match (newest_reason, skipped.into_iter().next()) {
            (Some(reason), Some(file)) if !reaches(Lsn::ZERO) => {
                Err(SnapshotError::Damaged { file, reason })
            }
            _ => Ok(None),
        }
    }

    /// Renames damaged snapshots, so that they are no longer in the way of others but can be looked at.
    pub fn set_aside(&self, damaged: &[PathBuf]) -> io::Result<()> {
        for file in damaged {
            self.disk.rename(file, &file.with_extension("damaged"))?;
        }
        if damaged.is_empty() { Ok(()) } else { self.disk.sync_dir(&self.dir) }
    }

    /// Checks every snapshot, newest first; the second part says what is wrong with one.
    pub fn verify(&self) -> io::Result<Vec<(Lsn, Option<String>)>> {
        let check = |lsn| Ok((lsn, self.open(lsn)?.err()));
        self.list()?.into_iter().map(check).collect()
    }

    /// The address of the newest whole snapshot; zero if there is none.
    pub fn newest_whole(&self) -> io::Result<Lsn> {
        for lsn in self.list()? {
            if self.open(lsn)?.is_ok() {
                return Ok(lsn);
            }
        }
        Ok(Lsn::ZERO)
    }

    /// Removes all but the `keep` newest snapshots, and what an interrupted `write` left.
    pub fn prune(&self, keep: usize) -> io::Result<()> {
        for lsn in self.list()?.into_iter().skip(keep.max(1)) {
            self.disk.remove(&self.path(lsn))?;
        }
        if self.disk.list(&self.dir)?.iter().any(|name| name == NEW_FILE) {
            self.disk.remove(&self.dir.join(NEW_FILE))?;
        }
        self.disk.sync_dir(&self.dir)
    }

    pub(crate) fn path(&self, lsn: Lsn) -> PathBuf {
        self.dir.join(format!("snapshot-{:020}", lsn.0))
    }

    /// Opens and verifies a whole snapshot; the inner error says what is wrong with it.
    fn open(&self, lsn: Lsn) -> io::Result<Result<BlockReader, String>> {
        let file = self.disk.open(&self.path(lsn), false)?;
        let mut header = [0; FILE_HEADER_BYTES];
        match file.read_exact_at(&mut header, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok(Err("it has no header".to_owned()));
            }
            read => read?,
        }
        match FileHeader::decode(MAGIC, &header) {
            Err(error) => return Ok(Err(error.to_string())),
            Ok(found) if found.log_id != self.log_id => {
                return Ok(Err("it belongs to another log".to_owned()));
            }
            Ok(found) if found.number != lsn.0 => {
                return Ok(Err(format!("it is of address {}", found.number)));
            }
            Ok(_) => {}
        }
        let mut reader = BlockReader::new(file, u32_at(&header, FILE_HEADER_BYTES - 4));
        match reader.verify() {
            Ok(()) => Ok(Ok(reader)),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Err(error.to_string())),
            Err(error) => Err(error),
        }
    }
}

/// The address in the name of a snapshot.
pub(crate) fn parse_name(name: &str) -> Option<Lsn> {
    let digits = name.strip_prefix("snapshot-")?;
    let plain = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok().map(Lsn)).flatten()
}
