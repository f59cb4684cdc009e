//! The files of the AOF: found at start, made, exchanged by a rewrite, removed.
//!
//! Order of steps is what makes it safe: a file is complete (and a base synced) before a manifest names it, a manifest is
//! replaced by a rename, and nothing is removed before the manifest on the disk has stopped naming it. A crash between two
//! steps leaves files that nobody names; they are overwritten when their name comes up again.

use super::manifest::{FileType, Manifest, ManifestError};
use super::{Aof, AofState};
use crate::observe::Event;
use crate::persist::storage::StoredFile;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

impl Aof {
    fn manifest_name(&self) -> String {
        format!("{}.manifest", self.filename)
    }

    /// A file of the AOF, relative to the working directory.
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The incremental file that no manifest names, of an AOF that is being switched on.
    pub fn temp_incr_name(&self) -> String {
        format!("temp-{}.incr", self.filename)
    }

    fn exists(&self, path: &Path) -> bool {
        self.storage.len_of(path).is_ok()
    }

    /// Reads the manifest from the disk; an AOF that is not there has an empty one.
    pub fn read_manifest(&mut self) -> Result<(), ManifestError> {
        let path = self.path_of(&self.manifest_name());
        self.manifest = match Manifest::read(&*self.storage, &path) {
            Err(ManifestError::Io(_, e)) if e.kind() == io::ErrorKind::NotFound => {
                Manifest::default()
            }
            other => other?,
        };
        Ok(())
    }

    fn put_manifest(&mut self, new: Manifest) -> io::Result<()> {
        new.write(&*self.storage, &self.dir, &self.manifest_name())?;
        self.manifest = new;
        Ok(())
    }

    /// Moves the single file of versions before 7 into the folder, where it becomes the base. Goes on where it was interrupted.
    /// True when it did so.
    pub fn upgrade_single_file(&mut self) -> io::Result<bool> {
        let old = PathBuf::from(&self.filename);
        let inside = self.path_of(&self.filename);
        let m = &self.manifest;
        let listed_alone =
            m.incr.is_empty() && m.base.as_ref().is_some_and(|b| b.name == self.filename);
        let nothing = m.base.is_none() && m.incr.is_empty() && m.history.is_empty();
        if !self.exists(&old) || !(nothing || listed_alone && !self.exists(&inside)) {
            return Ok(false);
        }
        self.storage.make_dir(&self.dir)?;
        if nothing {
            let base = super::manifest::AofFile {
                name: self.filename.clone(),
                seq: 1,
                ty: FileType::Base,
            };
            self.put_manifest(Manifest {
                base: Some(base),
                base_seq: 1,
                ..Manifest::default()
            })?;
        }
        self.storage.rename(&old, &inside)?;
        self.storage.sync_dir(&self.dir)?;
        log::info!(
            "Successfully migrated an old-style AOF file ({}) into the AOF directory ({}).",
            self.filename,
            self.dir.display()
        );
        Ok(true)
    }

    /// Bytes of the files to replay; the file that cannot be looked at.
    pub fn bytes_on_disk(&self) -> Result<u64, (String, io::Error)> {
        self.manifest.replay().try_fold(0, |sum, file| {
            let len = self.storage.len_of(&self.path_of(&file.name));
            len.map(|n| sum + n).map_err(|e| (file.name.clone(), e))
        })
    }

    /// Puts a finished base file (with the name that `write` was given) under the manifest: the start of an AOF that was not
    /// there.
    pub fn create_base(
        &mut self,
        rdb: bool,
        write: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<()> {
        self.storage.make_dir(&self.dir)?;
        let mut new = self.manifest.clone();
        let name = new.next_base(&self.filename, rdb);
        log::info!("Creating AOF base file {name} on server start");
        let path = self.path_of(&name);
        write(&path)?;
        self.put_manifest(new)?;
        self.earlier_size = self.storage.len_of(&path)?;
        self.base_size = self.earlier_size;
        Ok(())
    }

    /// Opens the last incremental file to go on with it, or a first one.
    pub fn open_at_start(&mut self) -> io::Result<()> {
        self.storage.make_dir(&self.dir)?;
        let Some(name) = self.manifest.incr.last().map(|f| f.name.clone()) else {
            return self.open_next_incr("on server start", false);
        };
        log::info!("Opening AOF incr file {name} on server start");
        let file = self.storage.open_end(&self.path_of(&name))?;
        let len = file.len()?;
        self.earlier_size = self.earlier_size.saturating_sub(len);
        self.log.switch_to(file, len);
        Ok(())
    }

    /// Begins a new incremental file; the one before is synced in the background, or before the new one is named (`sync_first`):
    /// a loss of power must not leave a torn file in front of a whole one, unless nothing was promised. `why` is for the log.
    pub fn open_next_incr(&mut self, why: &str, sync_first: bool) -> io::Result<()> {
        if sync_first {
            self.log.sync_now()?;
        }
        let mut new = self.manifest.clone();
        let name = new.next_incr(&self.filename);
        log::info!("Creating AOF incr file {name} {why}");
        let file = self.storage.create(&self.path_of(&name))?;
        self.put_manifest(new)?;
        self.go_on_with(file);
        Ok(())
    }

    /// Begins the incremental file of an AOF that is being switched on.
    pub fn open_temp_incr(&mut self) -> io::Result<()> {
        let name = self.temp_incr_name();
        log::info!("Creating AOF incr file {name} on background rewrite");
        let file = self.storage.create(&self.path_of(&name))?;
        self.go_on_with(file);
        Ok(())
    }

    fn go_on_with(&mut self, file: Arc<dyn StoredFile>) {
        let before = self.log.written();
        let repl = self.log.written_repl();
        if let Some(old) = self.log.switch_to(file, 0) {
            self.earlier_size += before;
            self.syncer.sync(old, repl);
        }
    }

    /// Takes a finished base file into the AOF: renames it into the folder, replaces the manifest, removes what it replaces.
    /// On an error everything is as before, except that `temp` may be gone.
    pub fn install_base(&mut self, temp: &Path, rdb: bool) -> io::Result<()> {
        let mut new = self.manifest.clone();
        let base = new.next_base(&self.filename, rdb);
        let base_path = self.path_of(&base);
        self.rename(temp, &base_path)?;
        log::info!(
            "Successfully renamed the temporary AOF base file {} into {base}",
            temp.display()
        );
        let renamed = self.name_temp_incr(&mut new);
        // With an AOF the last incremental file is the one being written since the child was started.
        new.retire_incr(usize::from(self.state != AofState::Off));
        let put = renamed
            .and_then(|()| self.storage.sync_dir(&self.dir))
            .and_then(|()| self.put_manifest(new));
        if let Err(e) = put {
            let _ = self.storage.remove(&base_path);
            return Err(e);
        }
        let start = Instant::now();
        self.earlier_size = self.storage.len_of(&base_path)?;
        self.moments.push((Event::AofFstat, millis_since(start)));
        self.base_size = self.size();
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let start = Instant::now();
        let renamed = self.storage.rename(from, to);
        self.moments.push((Event::AofRename, millis_since(start)));
        renamed
    }

    fn name_temp_incr(&mut self, new: &mut Manifest) -> io::Result<()> {
        if self.state != AofState::WaitRewrite {
            return Ok(());
        }
        let temp = self.temp_incr_name();
        let name = new.next_incr(&self.filename);
        self.rename(&self.path_of(&temp), &self.path_of(&name))?;
        log::info!("Successfully renamed the temporary AOF incr file {temp} into {name}");
        Ok(())
    }

    /// Removes the incremental file of an AOF whose first rewrite failed.
    pub fn drop_temp_incr(&mut self) {
        let name = self.temp_incr_name();
        let path = self.path_of(&name);
        self.log.close();
        log::info!("Removing the temp incr aof file {name} in the background");
        self.syncer.remove(&*self.storage, &path);
    }

    /// Removes what rewrites replaced, unless `keep` (`aof-disable-auto-gc`).
    pub fn remove_history(&mut self, keep: bool) -> io::Result<()> {
        if keep || self.manifest.history.is_empty() {
            return Ok(());
        }
        let mut new = self.manifest.clone();
        let history = std::mem::take(&mut new.history);
        self.put_manifest(new)?;
        for file in history {
            log::info!("Removing the history file {} in the background", file.name);
            let path = self.path_of(&file.name);
            self.syncer.remove(&*self.storage, &path);
        }
        Ok(())
    }
}

fn millis_since(start: Instant) -> u64 {
    start.elapsed().as_millis() as u64
}
