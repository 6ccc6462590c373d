//! The disk of the operating system.

use std::fs::{File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, OFlags};
use rustix::io::Errno;

use super::{Disk, DiskFile, DiskLock};
use crate::file::buffer::AlignedBuffer;
use crate::limits::{FILL_STEP_BYTES, OPEN_PATIENCE};

/// Files of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)?;
        match dir.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => self.sync_dir(parent),
            _ => Ok(()),
        }
    }

    fn open(&self, file: &Path, direct: bool) -> io::Result<Box<dyn DiskFile>> {
        open(file, direct, false)
    }

    fn create(&self, file: &Path, direct: bool) -> io::Result<Box<dyn DiskFile>> {
        open(file, direct, true)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        std::fs::remove_file(file)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            // A name that is not UTF-8 is not ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        patiently(|| File::open(dir))?.sync_all()
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Locks the directory as well: a lock file that is deleted and created again is another file,
    /// and would let a second process in.
    fn lock(&self, file: &Path) -> io::Result<Box<dyn DiskLock>> {
        let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty());
        let dir = File::open(dir.unwrap_or(Path::new(".")))?;
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(file)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        match dir.try_lock() {
            // Some file systems of networks lock no directories: there the file has to do.
            Ok(()) | Err(TryLockError::Error(_)) => {
                Ok(Box::new(RealLock { _file: file, _dir: dir }))
            }
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn unique(&self) -> u64 {
        // The standard library's only source of randomness: the keys of its hash maps.
        RandomState::new().build_hasher().finish()
    }
}

fn open(path: &Path, direct: bool, create: bool) -> io::Result<Box<dyn DiskFile>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(create).truncate(create);
    let buffered = patiently(|| options.open(path))?;
    // Opening is where a file system says that it cannot do direct I/O (EINVAL).
    let direct = direct
        .then(|| {
            let flags = OFlags::DIRECT | OFlags::DSYNC;
            let mut options = OpenOptions::new();
            options.write(true).custom_flags(flags.bits() as i32);
            patiently(|| options.open(path)).ok()
        })
        .flatten();
    Ok(Box::new(RealFile { buffered, direct }))
}

/// Opens a file, and retries for [`OPEN_PATIENCE`] while there is no free descriptor or memory.
/// Connections come and go, so a momentary lack of descriptors must not end the process. A failed write
/// or sync is never retried: afterwards nobody knows what is on disk.
fn patiently(mut open: impl FnMut() -> io::Result<File>) -> io::Result<File> {
    let began = Instant::now();
    loop {
        match open() {
            Err(error) if is_exhausted(&error) && began.elapsed() < OPEN_PATIENCE => {
                std::thread::sleep(OPEN_PAUSE);
            }
            done => return done,
        }
    }
}

/// The pause between two attempts to open a file: long enough for a connection to end.
const OPEN_PAUSE: Duration = Duration::from_millis(10);

/// Returns true if the process or the system has run out of file descriptors or memory.
fn is_exhausted(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
}

/// A file of the operating system. Reads go through the page cache, which the kernel keeps coherent
/// with direct writes and which reads ahead.
struct RealFile {
    buffered: File,
    /// Opened with O_DIRECT|O_DSYNC: a returned write is on disk.
    direct: Option<File>,
}

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.buffered.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.buffered.write_all_at(bytes, offset)
    }

    fn write_durable_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match &self.direct {
            Some(direct) => direct.write_all_at(bytes, offset),
            None => {
                self.buffered.write_all_at(bytes, offset)?;
                self.buffered.sync_data()
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.buffered.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.buffered.metadata()?.len())
    }

    fn is_direct(&self) -> bool {
        self.direct.is_some()
    }

    fn fill_zeros(&self, len: u64) -> io::Result<()> {
        // Reserving first keeps the file in few extents and finds a full disk before any work. A file
        // system without it is filled all the same.
        match rustix::fs::fallocate(&self.buffered, FallocateFlags::empty(), 0, len) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
        // Past the page cache where possible: copying zeros into it costs more CPU than anything else
        // a new log does, and the writer's direct writes would have to push them out again.
        let past_cache = self.direct.is_some() && set_direct(&self.buffered, true).is_ok();
        let filled = write_zeros(&self.buffered, len);
        if past_cache {
            set_direct(&self.buffered, false)?;
        }
        filled?;
        self.buffered.sync_all()
    }
}

fn set_direct(file: &File, on: bool) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(file)?;
    rustix::fs::fcntl_setfl(
        file,
        if on { flags | OFlags::DIRECT } else { flags - OFlags::DIRECT },
    )?;
    Ok(())
}

fn write_zeros(file: &File, len: u64) -> io::Result<()> {
    let mut zeros = AlignedBuffer::with_capacity(FILL_STEP_BYTES);
    zeros.extend(&vec![0; FILL_STEP_BYTES]);
    let mut done = 0;
    while done < len {
        let step = (len - done).min(FILL_STEP_BYTES as u64);
        file.write_all_at(zeros.as_slice().get(..step as usize).unwrap_or_default(), done)?;
        file.sync_data()?;
        done += step;
    }
    Ok(())
}

struct RealLock {
    /// The locks end when the files are closed.
    _file: File,
    _dir: File,
}

impl DiskLock for RealLock {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Idle connections up to the limit of descriptors, and then an ordinary send that needed the next
    /// segment: preparing it failed with EMFILE, and that ended the process.
    #[test]
    fn a_file_is_opened_when_there_is_a_descriptor_again() {
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM] {
            let mut refusals = 3;
            let opened = patiently(|| {
                if refusals == 0 {
                    return File::open("/dev/null");
                }
                refusals -= 1;
                Err(errno.into())
            });
            assert!(opened.is_ok() && refusals == 0, "{errno}");
        }
    }

    /// `rm LOCK` under a running server let a second one in.
    #[test]
    fn a_deleted_lock_file_lets_nobody_in() {
        let dir = std::env::temp_dir().join(format!("kyu-lock-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("LOCK");
        let held = RealDisk.lock(&file).unwrap();
        let refused = |file: &Path| RealDisk.lock(file).map(drop).unwrap_err().kind();
        assert_eq!(refused(&file), io::ErrorKind::WouldBlock);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(refused(&file), io::ErrorKind::WouldBlock);
        drop(held);
        assert!(RealDisk.lock(&file).is_ok());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn other_errors_are_told_at_once() {
        let mut tries = 0;
        let opened = patiently(|| {
            tries += 1;
            Err(Errno::IO.into())
        });
        assert!(opened.is_err() && tries == 1);
    }
}
