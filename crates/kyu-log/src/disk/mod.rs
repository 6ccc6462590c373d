//! The file operations that the log needs, as traits, so that tests can put a faulty disk under it.

mod dry_run;
mod real;
mod sim;

pub use dry_run::DryRun;
pub use real::RealDisk;
pub use sim::{SimDisk, SimFaults};

use std::io;
use std::path::Path;

/// A file system, reduced to what the log needs.
pub trait Disk: Send + Sync {
    /// Creates `dir` and its parents if they do not exist, durably.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Opens an existing file. With `direct`, `write_durable_at` bypasses the page cache; a disk that
    /// cannot do so ignores it.
    fn open(&self, file: &Path, direct: bool) -> io::Result<Box<dyn DiskFile>>;
    /// Creates an empty file; an existing one is emptied. Otherwise like `open`.
    fn create(&self, file: &Path, direct: bool) -> io::Result<Box<dyn DiskFile>>;
    /// Renames within a directory, replacing the target. Durable after `sync_dir`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file. Durable after `sync_dir`.
    fn remove(&self, file: &Path) -> io::Result<()>;
    /// The names of the files in a directory, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Makes earlier creations, renames and removals in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Free bytes for this process.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;
    /// Takes an exclusive lock on a file, creating it if needed. `WouldBlock` if another holds it.
    fn lock(&self, file: &Path) -> io::Result<Box<dyn DiskLock>>;
    /// A random number to identify a new log.
    fn unique(&self) -> u64;
}

/// A lock that lasts until it is dropped.
pub trait DiskLock: Send + Sync {}

/// An open file with positioned reads and writes.
pub trait DiskFile: Send + Sync {
    /// Reads up to `buffer.len()` bytes; fewer is possible anywhere, zero only at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all bytes. Durable after `sync`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Writes all bytes and returns when they are durable. Memory, offset and length must be multiples
    /// of 4 KiB, inside the file.
    fn write_durable_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes earlier writes and the length durable.
    fn sync(&self) -> io::Result<()>;
    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Makes the file `len` zero bytes long with real blocks behind them, durably.
    fn fill_zeros(&self, len: u64) -> io::Result<()>;

    /// Returns true if `write_durable_at` bypasses the page cache.
    fn is_direct(&self) -> bool;

    /// Returns true if the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads exactly `buffer.len()` bytes or fails.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            let rest = buffer.get_mut(done..).unwrap_or_default();
            match self.read_at(rest, offset + done as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Returns true for an error that means "no space": the log refuses appends then, and does not fail.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
