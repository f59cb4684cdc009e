//! A simulated disk for tests: it counts operations, fails where it is told to, and knows what a crash leaves behind.
//!
//! Two kinds of death: of the process ([`SimDisk::after_process_death`], kill -9: everything written is there) and of the
//! machine ([`SimDisk::after_power_loss`]: of each file what was synced, and of what was written behind that an arbitrary
//! beginning, perhaps with rubbish at its end; of each folder the names as of its last sync, except that a rename may have got
//! through or not). Both give a new disk to start from.
//!
//! Faults: [`Fault::Stop`] makes every operation from the n-th on fail, as if the machine had stopped there (a write in
//! flight may have got through in part); the others make single operations fail as a full or a broken disk does.

use super::{Storage, StoredFile};
use crate::ds::rng::Rng;
use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// From this operation on nothing gets through; the write at it gets through in part.
    Stop(u64),
    /// Room for so many bytes more; then ENOSPC, after a short write.
    Full(u64),
    /// The same, and cutting fails as well.
    FullForGood(u64),
    /// Every sync fails with EIO.
    SyncFails,
    /// Every write takes at most so many bytes.
    Short(usize),
    /// Every write fails with EIO, and so does cutting.
    WriteFails,
}

#[derive(Debug, Default, Clone)]
struct Content {
    bytes: Vec<u8>,
    /// What is safe.
    synced: Vec<u8>,
}

type FileId = usize;

#[derive(Debug)]
struct State {
    files: Vec<Content>,
    names: BTreeMap<PathBuf, FileId>,
    /// The names that are safe.
    synced_names: BTreeMap<PathBuf, FileId>,
    operations: u64,
    fault: Fault,
    rng: Rng,
}

/// See the file header. Clones share the disk.
#[derive(Debug, Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    id: FileId,
}

fn os(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

impl Default for SimDisk {
    /// An empty disk.
    fn default() -> Self {
        SimDisk(Arc::new(Mutex::new(State {
            files: Vec::new(),
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            operations: 0,
            fault: Fault::None,
            rng: Rng::new(1),
        })))
    }
}

impl SimDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// From now on this goes wrong.
    pub fn set_fault(&self, fault: Fault) {
        self.state().fault = fault;
    }

    /// Operations so far.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Whether the machine has stopped.
    pub fn stopped(&self) -> bool {
        let s = self.state();
        matches!(s.fault, Fault::Stop(n) if s.operations >= n)
    }

    /// What a file holds now.
    pub fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let s = self.state();
        s.names.get(path).map(|id| s.files[*id].bytes.clone())
    }

    /// Names of all files.
    pub fn names(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }

    /// The disk as the next process finds it after a kill -9.
    pub fn after_process_death(&self) -> SimDisk {
        let s = self.state();
        let found = s.names.clone();
        SimDisk::holding(&s, &found, |c| c.bytes.clone())
    }

    /// The disk as the next start of the machine may find it.
    pub fn after_power_loss(&self, seed: u64) -> SimDisk {
        let s = self.state();
        let mut rng = Rng::new(seed);
        // Unsynced changes of names get through all together or not at all, as a journal does it.
        let names = if rng.below(2) == 0 {
            &s.synced_names
        } else {
            &s.names
        };
        let names = names.clone();
        SimDisk::holding(&s, &names, |c| {
            let safe = c.synced.len();
            if !c.bytes.starts_with(&c.synced) {
                return c.synced.clone();
            }
            let more = rng.below(c.bytes.len() - safe + 1);
            c.bytes[..safe + more].to_vec()
        })
    }

    fn holding(
        s: &State,
        names: &BTreeMap<PathBuf, FileId>,
        mut content: impl FnMut(&Content) -> Vec<u8>,
    ) -> SimDisk {
        let new = SimDisk::default();
        {
            let mut n = new.state();
            for (path, id) in names {
                let bytes = content(&s.files[*id]);
                let at = n.files.len();
                n.files.push(Content {
                    synced: bytes.clone(),
                    bytes,
                });
                n.names.insert(path.clone(), at);
            }
            n.synced_names = n.names.clone();
        }
        new
    }
}

impl State {
    /// Counts an operation; the error when the machine has stopped.
    fn step(&mut self) -> io::Result<()> {
        if matches!(self.fault, Fault::Stop(n) if self.operations >= n) {
            return Err(io::Error::other("the machine has stopped"));
        }
        self.operations += 1;
        Ok(())
    }

    fn id(&self, path: &Path) -> io::Result<FileId> {
        self.names
            .get(path)
            .copied()
            .ok_or_else(|| os(libc::ENOENT))
    }

    fn new_file(&mut self, path: &Path) -> FileId {
        self.files.push(Content::default());
        let id = self.files.len() - 1;
        self.names.insert(path.into(), id);
        id
    }
}

impl StoredFile for SimFile {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut s = self.disk.state();
        if let Fault::Stop(n) = s.fault
            && s.operations == n
        {
            // The one write in flight gets through up to somewhere.
            s.operations += 1;
            s.fault = Fault::Stop(0);
            let part = s.rng.below(bytes.len() + 1);
            s.files[self.id].bytes.extend_from_slice(&bytes[..part]);
            return Err(io::Error::other("the machine has stopped"));
        }
        s.step()?;
        let n = match &mut s.fault {
            Fault::Full(0) | Fault::FullForGood(0) if !bytes.is_empty() => {
                return Err(os(libc::ENOSPC));
            }
            Fault::Full(left) | Fault::FullForGood(left) => {
                let n = bytes.len().min(*left as usize);
                *left -= n as u64;
                n
            }
            Fault::Short(most) => bytes.len().min((*most).max(1)),
            Fault::WriteFails => return Err(os(libc::EIO)),
            _ => bytes.len(),
        };
        s.files[self.id].bytes.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut s = self.disk.state();
        s.step()?;
        let at = offset as usize;
        s.files[self.id].bytes[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut s = self.disk.state();
        s.step()?;
        if matches!(s.fault, Fault::WriteFails | Fault::FullForGood(_)) {
            return Err(os(libc::EIO));
        }
        s.files[self.id].bytes.truncate(len as usize);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut s = self.disk.state();
        s.step()?;
        if s.fault == Fault::SyncFails {
            return Err(os(libc::EIO));
        }
        let file = &mut s.files[self.id];
        file.synced = file.bytes.clone();
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().files[self.id].bytes.len() as u64)
    }
}

impl Storage for SimDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn StoredFile>> {
        let mut s = self.state();
        s.step()?;
        let id = s.new_file(path);
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            id,
        }))
    }

    fn open_end(&self, path: &Path) -> io::Result<Arc<dyn StoredFile>> {
        let mut s = self.state();
        s.step()?;
        let id = match s.id(path) {
            Ok(id) => id,
            Err(_) => s.new_file(path),
        };
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            id,
        }))
    }

    fn read(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        let bytes = self.bytes(path).ok_or_else(|| os(libc::ENOENT))?;
        Ok(Box::new(Cursor::new(bytes)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut s = self.state();
        s.step()?;
        let id = s.id(from)?;
        s.names.remove(from);
        s.names.insert(to.into(), id);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut s = self.state();
        s.step()?;
        s.id(path)?;
        s.names.remove(path);
        Ok(())
    }

    fn unlink(&self, path: &Path) -> io::Result<Box<dyn Send>> {
        self.remove(path)?;
        Ok(Box::new(()))
    }

    fn len_of(&self, path: &Path) -> io::Result<u64> {
        let s = self.state();
        Ok(s.files[s.id(path)?].bytes.len() as u64)
    }

    fn make_dir(&self, _: &Path) -> io::Result<()> {
        self.state().step()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut s = self.state();
        s.step()?;
        let within = |p: &Path| p.parent() == Some(path);
        let now: BTreeMap<_, _> = s
            .names
            .iter()
            .filter(|(p, _)| within(p))
            .map(|(p, id)| (p.clone(), *id))
            .collect();
        s.synced_names.retain(|p, _| !within(p));
        s.synced_names.extend(now);
        Ok(())
    }
}
