//! The disk as persistence sees it: a few operations on named files, behind a trait so that tests can put a failing one in.
//!
//! [`Disk`] is the real one. `sim::SimDisk` (tests only) keeps files in memory, tells what would survive a loss of power from
//! what was merely written, and fails, writes short or stops the machine where it is told to.
//!
//! A file is written at its end only, apart from one header that is put in place last ([`Sink`]). Handles are shared
//! (`Arc`): the loop writes while the background thread syncs.
//!
//! Extending: an operation goes into the trait only when something that must survive a crash depends on it; reading a file
//! for a look (sizes in INFO) does not.

#[cfg(test)]
pub mod sim;

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// An open file.
pub trait StoredFile: Send + Sync + Debug {
    /// Writes at the end; may write less than asked for.
    fn append(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Overwrites bytes that are there.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts the file to `len` bytes.
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// Returns when everything written so far would survive a loss of power.
    fn sync(&self) -> io::Result<()>;
    /// Present length, bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether there is nothing in it.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// Where files are. Paths are relative to the working directory, as the configuration gives them.
pub trait Storage: Send + Sync + Debug {
    /// A new file, or an emptied one.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn StoredFile>>;
    /// A file to be written on at its end; made when it is not there.
    fn open_end(&self, path: &Path) -> io::Result<Arc<dyn StoredFile>>;
    /// A file to be read from its start.
    fn read(&self, path: &Path) -> io::Result<Box<dyn Read>>;
    /// Gives a file another name; what had that name is gone.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a file's name at once, and gives back what frees its room when dropped: with big files that takes a while, and
    /// another thread may do it.
    fn unlink(&self, path: &Path) -> io::Result<Box<dyn Send>>;
    /// Length of a file, bytes.
    fn len_of(&self, path: &Path) -> io::Result<u64>;
    /// Makes a folder unless it is there.
    fn make_dir(&self, path: &Path) -> io::Result<()>;
    /// Returns when creations, renames and removals in a folder would survive a loss of power.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

/// Writes all of `bytes` at the end, however short the single writes are.
pub fn append_all(file: &dyn StoredFile, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.append(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// The real disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl StoredFile for File {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut file = self;
        file.write(bytes)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl Storage for Disk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn StoredFile>> {
        Ok(Arc::new(File::create(path)?))
    }

    fn open_end(&self, path: &Path) -> io::Result<Arc<dyn StoredFile>> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Arc::new(file))
    }

    fn read(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(File::open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn unlink(&self, path: &Path) -> io::Result<Box<dyn Send>> {
        let file = File::open(path)?;
        fs::remove_file(path)?;
        Ok(Box::new(file))
    }

    fn len_of(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            other => other,
        }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let here = Path::new(".");
        let path = if path.as_os_str().is_empty() {
            here
        } else {
            path
        };
        File::open(path)?.sync_all()
    }
}

/// A stored file as an output for encoders: writes go to the end, except after a seek to the start, which is for putting a
/// header in place.
#[derive(Debug)]
pub struct Sink {
    file: Arc<dyn StoredFile>,
    /// Where the next write goes when not to the end.
    at: Option<u64>,
}

impl Sink {
    /// An output at the end of `file`.
    pub fn new(file: Arc<dyn StoredFile>) -> Self {
        Sink { file, at: None }
    }

    /// The file.
    pub fn file(&self) -> &dyn StoredFile {
        &*self.file
    }
}

impl Write for Sink {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match &mut self.at {
            None => self.file.append(buf),
            Some(at) => {
                self.file.write_at(*at, buf)?;
                *at += buf.len() as u64;
                Ok(buf.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Sink {
    fn seek(&mut self, pos: SeekFrom) -> io::Result<u64> {
        match pos {
            SeekFrom::Start(at) => {
                self.at = Some(at);
                Ok(at)
            }
            SeekFrom::End(0) => {
                self.at = None;
                self.file.len()
            }
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both kinds of storage do the same.
    #[test]
    fn disk_and_simulation_agree() {
        let dir = tempfile::tempdir().unwrap();
        let sim = sim::SimDisk::default();
        let disk: [&dyn Storage; 2] = [&Disk, &sim];
        for s in disk {
            let d = dir.path().join("d");
            s.make_dir(&d).unwrap();
            s.make_dir(&d).unwrap();
            let f = s.create(&d.join("a")).unwrap();
            append_all(&*f, b"hello world").unwrap();
            f.write_at(0, b"J").unwrap();
            f.truncate(5).unwrap();
            f.sync().unwrap();
            let g = s.open_end(&d.join("a")).unwrap();
            append_all(&*g, b"!").unwrap();
            assert_eq!((g.len().unwrap(), f.is_empty().unwrap()), (6, false));
            s.rename(&d.join("a"), &d.join("b")).unwrap();
            s.sync_dir(&d).unwrap();
            let mut text = String::new();
            s.read(&d.join("b"))
                .unwrap()
                .read_to_string(&mut text)
                .unwrap();
            assert_eq!(text, "Jello!");
            assert!(s.read(&d.join("a")).is_err());
            assert_eq!(s.len_of(&d.join("b")).unwrap(), 6);
            s.remove(&d.join("b")).unwrap();
            assert!(s.len_of(&d.join("b")).is_err());
            let mut sink = Sink::new(s.create(&d.join("c")).unwrap());
            sink.write_all(b"0000 body").unwrap();
            sink.seek(SeekFrom::Start(0)).unwrap();
            sink.write_all(b"1234").unwrap();
            sink.seek(SeekFrom::End(0)).unwrap();
            sink.write_all(b" end").unwrap();
            assert_eq!(sink.file().len().unwrap(), 13);
        }
    }
}
