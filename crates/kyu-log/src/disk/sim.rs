//! A disk in memory that misbehaves as real ones do, from a seed.
//!
//! It keeps two images: `live` is what the running system sees, `durable` is what the platter has.
//! A crash keeps the durable image and, of what was written but not synced, a random subset of
//! sectors, some of them torn in the middle; unsynced directory entries survive or not one by one. A
//! failed sync drops what it should have written but the live image keeps showing it, as Linux does:
//! a second sync then succeeds and means nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskFile, DiskLock};
use crate::random::Random;

const SECTOR_BYTES: u64 = 512;

/// The faults to come. Operations that change something (write, sync, create, rename, remove,
/// sync of a directory) are counted from 1; see `SimDisk::operations`.
#[derive(Clone, Debug, Default)]
pub struct SimFaults {
    /// The power goes at this operation: it and all later ones fail until `SimDisk::crash`.
    pub crash_at: Option<u64>,
    /// This operation fails with EIO.
    pub fail_at: Option<u64>,
    /// Reads return fewer bytes than asked.
    pub short_reads: bool,
    /// All files together cannot grow beyond this.
    pub capacity_bytes: Option<u64>,
    /// A sector written but not synced may come out of a crash half old, half new.
    pub torn_sectors: bool,
}

/// A simulated disk. Clones share the same disk.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

struct State {
    random: Random,
    faults: SimFaults,
    operations: u64,
    /// The number of crashes; files that were opened before the last one are dead.
    life: u64,
    power: bool,
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// Changes of names since the last sync of their directory, in order.
    unsynced_names: Vec<NameChange>,
    locks: BTreeSet<PathBuf>,
}

/// A change of the directory, atomic as on a journalling file system: a crash keeps all of it or none.
#[derive(Clone)]
enum NameChange {
    Create(PathBuf, usize),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            NameChange::Create(file, inode) => {
                names.insert(file.clone(), *inode);
            }
            NameChange::Remove(file) => {
                names.remove(file);
            }
            NameChange::Rename(from, to) => {
                // Without its source (a creation that was lost) the rename is lost too.
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
        }
    }

    fn path(&self) -> &Path {
        match self {
            NameChange::Create(file, _) | NameChange::Remove(file) => file,
            NameChange::Rename(_, to) => to,
        }
    }
}

#[derive(Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    dirty_sectors: BTreeSet<u64>,
}

impl SimDisk {
    /// An empty disk. The same seed and the same calls give the same disk.
    pub fn new(seed: u64) -> SimDisk {
        let state = State {
            random: Random(seed),
            faults: SimFaults::default(),
            operations: 0,
            life: 0,
            power: true,
            inodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            unsynced_names: Vec::new(),
            locks: BTreeSet::new(),
        };
        SimDisk { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the faults to come.
    pub fn set_faults(&self, faults: SimFaults) {
        self.state().faults = faults;
    }

    /// The number of changing operations so far.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Power loss and restart: loses what was not synced, kills open files and locks, clears
    /// `crash_at` and `fail_at`.
    pub fn crash(&self) {
        self.state().crash();
    }

    /// The process dies but the machine stays up: open files and locks end, no byte is lost.
    pub fn kill_process(&self) {
        let mut state = self.state();
        state.life += 1;
        state.locks.clear();
    }

    /// Flips one bit, on the platter and in memory. False if the file has no such byte.
    pub fn flip_bit(&self, file: &Path, offset: u64, bit: u8) -> bool {
        let mut state = self.state();
        let Some(inode) = state.names.get(file).copied().and_then(|i| state.inodes.get_mut(i))
        else {
            return false;
        };
        let at = offset as usize;
        let mask = 1 << (bit % 8);
        if let Some(byte) = inode.durable.get_mut(at) {
            *byte ^= mask;
        }
        inode.live.get_mut(at).map(|byte| *byte ^= mask).is_some()
    }

    /// Makes a file disappear, durably. False if it does not exist.
    pub fn vanish(&self, file: &Path) -> bool {
        let mut state = self.state();
        state.durable_names.remove(file);
        state.unsynced_names.retain(|change| change.path() != file);
        state.names.remove(file).is_some()
    }

    /// The bytes of a file as the running system sees them.
    pub fn contents(&self, file: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        let inode = state.names.get(file)?;
        state.inodes.get(*inode).map(|inode| inode.live.clone())
    }

    /// Replaces a file's bytes, durably.
    pub fn put(&self, file: &Path, bytes: Vec<u8>) {
        let mut state = self.state();
        let inode = Inode { live: bytes.clone(), durable: bytes, ..Inode::default() };
        let existing = state.names.get(file).copied();
        let index = existing.unwrap_or(state.inodes.len());
        match state.inodes.get_mut(index) {
            Some(place) => *place = inode,
            None => state.inodes.push(inode),
        }
        state.names.insert(file.to_path_buf(), index);
        state.durable_names.insert(file.to_path_buf(), index);
        state.unsynced_names.retain(|change| change.path() != file);
    }

    /// All files that exist now.
    pub fn files(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }
}

impl State {
    /// Counts an operation. True if it shall fail with EIO after half its work.
    fn begin(&mut self) -> io::Result<bool> {
        if !self.power {
            return Err(eio("the power is off"));
        }
        self.operations += 1;
        if self.faults.crash_at == Some(self.operations) {
            self.power = false;
            return Ok(true);
        }
        Ok(self.faults.fail_at == Some(self.operations))
    }

    fn alive(&self, life: u64) -> io::Result<()> {
        if self.power && self.life == life { Ok(()) } else { Err(eio("the power was off")) }
    }

    fn inode(&mut self, index: usize) -> io::Result<&mut Inode> {
        self.inodes.get_mut(index).ok_or_else(|| eio("no such inode"))
    }

    fn used_bytes(&self) -> u64 {
        let live: BTreeSet<usize> = self.names.values().copied().collect();
        live.iter().filter_map(|i| self.inodes.get(*i)).map(|i| i.live.len() as u64).sum()
    }

    fn grow(&mut self, index: usize, len: u64) -> io::Result<()> {
        let used = self.used_bytes();
        let capacity = self.faults.capacity_bytes.unwrap_or(u64::MAX);
        let inode = self.inode(index)?;
        let more = len.saturating_sub(inode.live.len() as u64);
        if more > 0 {
            if used + more > capacity {
                return Err(io::ErrorKind::StorageFull.into());
            }
            inode.live.resize(len as usize, 0);
        }
        Ok(())
    }

    fn write(&mut self, index: usize, bytes: &[u8], offset: u64) -> io::Result<()> {
        let fails = self.begin()?;
        self.grow(index, offset + bytes.len() as u64)?;
        // A failing write still may have reached the disk in part.
        let reached =
            if fails { self.random.next() as usize % (bytes.len() + 1) } else { bytes.len() };
        let inode = self.inode(index)?;
        if let (Some(to), Some(from)) =
            (inode.live.get_mut(offset as usize..offset as usize + reached), bytes.get(..reached))
        {
            to.copy_from_slice(from);
        }
        if reached > 0 {
            let last = (offset + reached as u64 - 1) / SECTOR_BYTES;
            inode.dirty_sectors.extend(offset / SECTOR_BYTES..=last);
        }
        if fails { Err(eio("write failed")) } else { Ok(()) }
    }

    fn sync(&mut self, index: usize) -> io::Result<()> {
        let fails = self.begin()?;
        let power = self.power;
        let inode = self.inode(index)?;
        if fails {
            if power {
                inode.dirty_sectors.clear();
            }
            return Err(eio("sync failed"));
        }
        inode.durable.resize(inode.live.len(), 0);
        for sector in std::mem::take(&mut inode.dirty_sectors) {
            inode.persist(sector, SECTOR_BYTES as usize);
        }
        Ok(())
    }

    fn change_names(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.unsynced_names.push(change);
    }

    fn crash(&mut self) {
        for change in std::mem::take(&mut self.unsynced_names) {
            if self.random.next().is_multiple_of(2) {
                change.apply(&mut self.durable_names);
            }
        }
        self.names = self.durable_names.clone();
        // One crash in four loses all, one keeps all: the extremes are where mistakes hide.
        let mood = self.random.next() % 4;
        let named: BTreeSet<usize> = self.names.values().copied().collect();
        for index in 0..self.inodes.len() {
            if !named.contains(&index) {
                // Nobody can open it again.
                if let Some(inode) = self.inodes.get_mut(index) {
                    *inode = Inode::default();
                }
                continue;
            }
            let mut inode = self.inodes.get_mut(index).map(std::mem::take).unwrap_or_default();
            if inode.live.len() > inode.durable.len() && self.random.next().is_multiple_of(2) {
                inode.durable.resize(inode.live.len(), 0);
            }
            for sector in std::mem::take(&mut inode.dirty_sectors) {
                let dice = self.random.next();
                match (mood, dice % 3) {
                    (0, _) | (2.., 0) => {}
                    (2.., 1) if self.faults.torn_sectors => {
                        inode.persist(sector, (dice >> 8) as usize % SECTOR_BYTES as usize);
                    }
                    _ => inode.persist(sector, SECTOR_BYTES as usize),
                }
            }
            inode.live.clone_from(&inode.durable);
            if let Some(place) = self.inodes.get_mut(index) {
                *place = inode;
            }
        }
        self.faults.crash_at = None;
        self.faults.fail_at = None;
        self.life += 1;
        self.power = true;
        self.locks.clear();
    }
}

impl Inode {
    /// Copies the first `len` bytes of a sector to the durable image, as far as it reaches.
    fn persist(&mut self, sector: u64, len: usize) {
        let from = (sector * SECTOR_BYTES) as usize;
        let to = (from + len).min(self.live.len()).min(self.durable.len());
        if let (Some(durable), Some(live)) =
            (self.durable.get_mut(from..to), self.live.get(from..to))
        {
            durable.copy_from_slice(live);
        }
    }
}

fn eio(what: &str) -> io::Error {
    io::Error::other(format!("simulated EIO: {what}"))
}

impl Disk for SimDisk {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn open(&self, file: &Path, direct: bool) -> io::Result<Box<dyn DiskFile>> {
        let state = self.state();
        state.alive(state.life)?;
        let inode = *state.names.get(file).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(SimFile { disk: self.clone(), inode, direct, life: state.life }))
    }

    fn create(&self, file: &Path, direct: bool) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        if state.begin()? {
            return Err(eio("create failed"));
        }
        state.inodes.push(Inode::default());
        let inode = state.inodes.len() - 1;
        state.change_names(NameChange::Create(file.to_path_buf(), inode));
        Ok(Box::new(SimFile { disk: self.clone(), inode, direct, life: state.life }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.begin()? {
            return Err(eio("rename failed"));
        }
        if !state.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change_names(NameChange::Rename(from.to_path_buf(), to.to_path_buf()));
        Ok(())
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.begin()? {
            return Err(eio("remove failed"));
        }
        if !state.names.contains_key(file) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change_names(NameChange::Remove(file.to_path_buf()));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        state.alive(state.life)?;
        let in_dir = state.names.keys().filter(|file| file.parent() == Some(dir));
        Ok(in_dir.filter_map(|f| f.file_name()?.to_str().map(str::to_owned)).collect())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.begin()? {
            return Err(eio("sync of the directory failed"));
        }
        for change in std::mem::take(&mut state.unsynced_names) {
            if change.path().parent() == Some(dir) {
                change.apply(&mut state.durable_names);
            } else {
                state.unsynced_names.push(change);
            }
        }
        Ok(())
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        let state = self.state();
        let capacity = state.faults.capacity_bytes.unwrap_or(u64::MAX);
        Ok(capacity.saturating_sub(state.used_bytes()))
    }

    fn lock(&self, file: &Path) -> io::Result<Box<dyn DiskLock>> {
        let mut state = self.state();
        state.alive(state.life)?;
        if !state.locks.insert(file.to_path_buf()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(SimLock { disk: self.clone(), file: file.to_path_buf(), life: state.life }))
    }

    fn unique(&self) -> u64 {
        self.state().random.next()
    }
}

struct SimFile {
    disk: SimDisk,
    inode: usize,
    direct: bool,
    life: u64,
}

impl SimFile {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        state.alive(self.life)?;
        Ok(state)
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.state()?;
        let short = state.faults.short_reads && buffer.len() > 1;
        let want =
            if short { 1 + state.random.next() as usize % buffer.len() } else { buffer.len() };
        let inode = state.inode(self.inode)?;
        let rest = inode.live.get(offset as usize..).unwrap_or_default();
        let count = want.min(rest.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.state()?.write(self.inode, bytes, offset)
    }

    fn write_durable_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.state()?;
        state.write(self.inode, bytes, offset)?;
        state.sync(self.inode)
    }

    fn sync(&self) -> io::Result<()> {
        self.state()?.sync(self.inode)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state()?.inode(self.inode)?.live.len() as u64)
    }

    fn is_direct(&self) -> bool {
        self.direct
    }

    fn fill_zeros(&self, len: u64) -> io::Result<()> {
        let mut state = self.state()?;
        state.write(self.inode, &vec![0; len as usize], 0)?;
        state.sync(self.inode)
    }
}

struct SimLock {
    disk: SimDisk,
    file: PathBuf,
    life: u64,
}

impl DiskLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.life == self.life {
            state.locks.remove(&self.file);
        }
    }
}
