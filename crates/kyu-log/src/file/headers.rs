//! The headers and lengths of the log's files, and their faults.

use std::io;
use std::path::Path;

use crate::disk::Disk;
use crate::error::OpenError;
use crate::file::format::{
    FILE_HEADER_BYTES, FileHeader, HeaderError, META_MAGIC, SEGMENT_MAGIC, u32_at, u64_at,
};
use crate::file::segments::segment_file_name;

pub(crate) const META_FILE: &str = "META";

/// The fault of a segment file that can be seen without reading its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileFault {
    /// The header cannot be read.
    Header(HeaderError),
    /// The header names another log.
    OtherLog { found: u64, expected: u64 },
    /// The header names another segment.
    OtherNumber(u64),
    /// The header names another segment size, in bytes.
    OtherSize { found: u32, expected: u32 },
    /// The file is shorter or longer than it was made, in bytes.
    Length { found: u64, expected: u32 },
}

impl std::fmt::Display for FileFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FileFault::Header(error) => error.fmt(f),
            FileFault::OtherLog { found, expected } => {
                write!(f, "belongs to another log (id {found:016x}, not {expected:016x})")
            }
            FileFault::OtherNumber(found) => write!(f, "is segment {found} under a wrong name"),
            FileFault::OtherSize { found, expected } => {
                write!(f, "has segments of {found} bytes, not {expected}")
            }
            FileFault::Length { found, expected } => {
                write!(f, "is {found} bytes long and not {expected}: it was cut or extended")
            }
        }
    }
}

/// The header bytes that a file begins with; zeros where it is shorter.
pub(crate) fn header_bytes(disk: &dyn Disk, path: &Path) -> io::Result<[u8; FILE_HEADER_BYTES]> {
    let file = disk.open(path, false)?;
    let there = file.len()?.min(FILE_HEADER_BYTES as u64) as usize;
    let mut bytes = [0; FILE_HEADER_BYTES];
    if let Some(begin) = bytes.get_mut(..there) {
        file.read_exact_at(begin, 0)?;
    }
    Ok(bytes)
}

/// The header of META.
pub(crate) fn read_meta(disk: &dyn Disk, dir: &Path) -> Result<FileHeader, OpenError> {
    let path = dir.join(META_FILE);
    let bytes =
        header_bytes(disk, &path).map_err(OpenError::io(format!("reading {}", path.display())))?;
    FileHeader::decode(META_MAGIC, &bytes)
        .map_err(|error| OpenError::Incompatible { file: path, reason: error.to_string() })
}

/// The identity of the stopped log in `dir`.
pub fn log_id(disk: &dyn Disk, dir: &Path) -> Result<u64, OpenError> {
    read_meta(disk, dir).map(|meta| meta.log_id)
}

/// The header that segment `number` of this log must have.
pub(crate) fn segment_header(meta: &FileHeader, number: u64) -> FileHeader {
    FileHeader { number, ..*meta }
}

/// The fault of segment `number`, if its header or its length shows one.
pub(crate) fn segment_fault(
    disk: &dyn Disk,
    dir: &Path,
    number: u64,
    meta: &FileHeader,
) -> io::Result<Option<FileFault>> {
    let path = dir.join(segment_file_name(number));
    let header = match FileHeader::decode(SEGMENT_MAGIC, &header_bytes(disk, &path)?) {
        Err(error) => return Ok(Some(FileFault::Header(error))),
        Ok(header) => header,
    };
    let (found, expected) = (header.segment_bytes, meta.segment_bytes);
    let fault = if header.log_id != meta.log_id {
        FileFault::OtherLog { found: header.log_id, expected: meta.log_id }
    } else if header.number != number {
        FileFault::OtherNumber(header.number)
    } else if found != expected {
        FileFault::OtherSize { found, expected }
    } else {
        let found = disk.open(&path, false)?.len()?;
        if found == u64::from(expected) {
            return Ok(None);
        }
        FileFault::Length { found, expected }
    };
    Ok(Some(fault))
}

/// Returns true for a header of this program whose version field alone is damaged: with this
/// program's version in its place the checksum fits.
pub(crate) fn only_version_is_damaged(bytes: &[u8; FILE_HEADER_BYTES], magic: [u8; 8]) -> bool {
    let mended = FileHeader {
        segment_bytes: u32_at(bytes, 12),
        log_id: u64_at(bytes, 16),
        number: u64_at(bytes, 24),
    };
    let mended = mended.encode(magic);
    mended.get(..8) == bytes.get(..8) && mended.get(12..) == bytes.get(12..)
}
