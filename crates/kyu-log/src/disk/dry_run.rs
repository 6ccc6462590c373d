//! A disk whose changes are kept in memory: a repair is tried on it before the user confirms it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskFile, DiskLock};

/// A view of another disk in which changes are kept in memory and never written.
///
/// The changes must be small: a repair rewrites headers and the end of one segment; other segments are
/// only renamed.
#[derive(Clone)]
pub struct DryRun {
    below: Arc<dyn Disk>,
    // A std Mutex: held for map operations only.
    changed: Arc<Mutex<BTreeMap<PathBuf, Option<Arc<Changed>>>>>,
}

/// A file that was written to or renamed.
struct Changed {
    state: Mutex<State>,
}

struct State {
    /// The file on the disk below; its first `below_bytes` bytes are visible.
    below: Option<PathBuf>,
    below_bytes: u64,
    len: u64,
    /// Writes in order of time; a later one hides an earlier one.
    writes: Vec<(u64, Vec<u8>)>,
}

impl DryRun {
    /// A view of `below` without changes.
    pub fn new(below: Arc<dyn Disk>) -> DryRun {
        DryRun { below, changed: Arc::default() }
    }

    fn changed(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Option<Arc<Changed>>>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn content(&self, file: &Path) -> io::Result<Arc<Changed>> {
        match self.changed().get(file) {
            Some(Some(content)) => return Ok(Arc::clone(content)),
            Some(None) => return Err(io::ErrorKind::NotFound.into()),
            None => {}
        }
        let len = self.below.open(file, false)?.len()?;
        let state =
            State { below: Some(file.to_path_buf()), below_bytes: len, len, writes: Vec::new() };
        Ok(Arc::new(Changed { state: Mutex::new(state) }))
    }

    fn handle(&self, path: &Path, content: Arc<Changed>) -> Box<dyn DiskFile> {
        Box::new(DryFile { disk: self.clone(), path: path.to_path_buf(), content })
    }
}

impl Disk for DryRun {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn open(&self, file: &Path, _direct: bool) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.handle(file, self.content(file)?))
    }

    fn create(&self, file: &Path, _direct: bool) -> io::Result<Box<dyn DiskFile>> {
        let state = State { below: None, below_bytes: 0, len: 0, writes: Vec::new() };
        let content = Arc::new(Changed { state: Mutex::new(state) });
        self.changed().insert(file.to_path_buf(), Some(Arc::clone(&content)));
        Ok(self.handle(file, content))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let content = self.content(from)?;
        let mut changed = self.changed();
        changed.insert(from.to_path_buf(), None);
        changed.insert(to.to_path_buf(), Some(content));
        Ok(())
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        self.content(file)?;
        self.changed().insert(file.to_path_buf(), None);
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let changed = self.changed();
        let mut names = self.below.list(dir)?;
        names.retain(|name| !changed.contains_key(&dir.join(name)));
        let here = changed.iter().filter(|(path, content)| {
            content.is_some() && path.parent().is_some_and(|parent| parent == dir)
        });
        names.extend(here.filter_map(|(path, _)| Some(path.file_name()?.to_str()?.to_owned())));
        Ok(names)
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.below.free_bytes(dir)
    }

    fn lock(&self, file: &Path) -> io::Result<Box<dyn DiskLock>> {
        self.below.lock(file)
    }

    fn unique(&self) -> u64 {
        self.below.unique()
    }
}

/// An open file of a dry run.
struct DryFile {
    disk: DryRun,
    path: PathBuf,
    content: Arc<Changed>,
}

impl DryFile {
    fn state(&self) -> MutexGuard<'_, State> {
        self.content.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the changed content visible to later calls of `open`.
    fn show(&self) {
        let mut changed = self.disk.changed();
        let entry = changed.entry(self.path.clone());
        entry.or_insert_with(|| Some(Arc::clone(&self.content)));
    }
}

impl DiskFile for DryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.state();
        let len = state.len.saturating_sub(offset).min(buffer.len() as u64) as usize;
        let Some(buffer) = buffer.get_mut(..len) else { return Ok(0) };
        buffer.fill(0);
        let from_below = state.below_bytes.saturating_sub(offset).min(len as u64) as usize;
        if let (Some(path), Some(part @ [_, ..])) = (&state.below, buffer.get_mut(..from_below)) {
            self.disk.below.open(path, false)?.read_exact_at(part, offset)?;
        }
        for (at, bytes) in &state.writes {
            let begin = offset.max(*at);
            let end = (offset + len as u64).min(at + bytes.len() as u64);
            if begin >= end {
                continue;
            }
            let to = buffer.get_mut((begin - offset) as usize..(end - offset) as usize);
            let from = bytes.get((begin - at) as usize..(end - at) as usize);
            if let (Some(to), Some(from)) = (to, from) {
                to.copy_from_slice(from);
            }
        }
        Ok(len)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.state();
        state.len = state.len.max(offset + bytes.len() as u64);
        state.writes.push((offset, bytes.to_vec()));
        drop(state);
        self.show();
        Ok(())
    }

    fn write_durable_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state().len)
    }

    fn fill_zeros(&self, len: u64) -> io::Result<()> {
        *self.state() = State { below: None, below_bytes: 0, len, writes: Vec::new() };
        self.show();
        Ok(())
    }

    fn is_direct(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SimDisk;

    #[test]
    fn what_is_changed_shows_and_the_disk_below_stays_as_it_is() {
        let below = SimDisk::new(1);
        let (dir, one, two) = (Path::new("/d"), Path::new("/d/one"), Path::new("/d/two"));
        below.put(one, b"0123456789".to_vec());
        let disk = DryRun::new(Arc::new(below.clone()));
        let read = |path: &Path| {
            let file = disk.open(path, false)?;
            let mut bytes = vec![0; file.len()? as usize];
            file.read_exact_at(&mut bytes, 0).map(|()| bytes)
        };
        let file = disk.open(one, false).expect("exists");
        file.write_at(b"ab", 2).expect("kept in memory");
        file.write_at(b"b", 11).expect("kept in memory");
        assert_eq!(read(one).expect("exists"), b"01ab456789\0b");
        disk.rename(one, two).expect("exists");
        assert!(read(one).is_err());
        assert_eq!(read(two).expect("renamed"), b"01ab456789\0b");
        assert_eq!(disk.list(dir).expect("listed"), ["two"]);
        disk.remove(two).expect("exists");
        assert_eq!(disk.list(dir).expect("listed"), [""; 0]);
        let new = disk.create(one, false).expect("created");
        new.fill_zeros(3).expect("kept in memory");
        assert_eq!(read(one).expect("created"), [0; 3]);
        assert_eq!(below.contents(one).expect("untouched"), b"0123456789");
        assert_eq!(below.files(), [one]);
    }
}
