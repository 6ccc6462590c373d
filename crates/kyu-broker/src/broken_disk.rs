//! The positive control of fault tests: a disk that is always behind. Together with
//! `SyncMode::Broken`, by which replies do not wait, a killed process loses what it acknowledged.

use std::io;
use std::path::Path;
use std::time::Duration;

use kyu_log::disk::{Disk, DiskFile, DiskLock, RealDisk};

/// The delay of each write of the log: long enough that any kill finds delayed writes.
const HELD_BACK: Duration = Duration::from_millis(300);

/// A real disk whose durable writes come late.
pub(crate) struct BrokenDisk;

struct BrokenFile(Box<dyn DiskFile>);

impl Disk for BrokenDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.create_dir(dir)
    }

    fn open(&self, file: &Path, direct: bool) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(BrokenFile(RealDisk.open(file, direct)?)))
    }

    fn create(&self, file: &Path, direct: bool) -> io::Result<Box<dyn DiskFile>> {
        RealDisk.create(file, direct)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        RealDisk.remove(file)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        RealDisk.free_bytes(dir)
    }

    fn lock(&self, file: &Path) -> io::Result<Box<dyn DiskLock>> {
        RealDisk.lock(file)
    }

    fn unique(&self) -> u64 {
        RealDisk.unique()
    }
}

impl DiskFile for BrokenFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        std::thread::sleep(HELD_BACK);
        self.0.write_at(bytes, offset)
    }

    fn write_durable_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        std::thread::sleep(HELD_BACK);
        self.0.write_durable_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn fill_zeros(&self, len: u64) -> io::Result<()> {
        self.0.fill_zeros(len)
    }

    fn is_direct(&self) -> bool {
        self.0.is_direct()
    }
}
