//! Loading at start-up and for DEBUG RELOAD, while clients are told `-LOADING`.
//!
//! The loader works in steps; between two steps one turn of the event loop runs (`serve_while_busy`), so clients can connect, ask
//! INFO or shut the server down. A file that is damaged is not loaded half: its error is logged with the offset, the check tool's
//! view of it is printed, and the process ends with code 1.

use super::aof::LoadFailed;
use super::input::Scratch;
use super::{Server, ServerState, shutdown};
use crate::observe::Event;
use crate::persist::aof::AofState;
use crate::persist::load::{LoadPlan, Loaded, Loader, Step};
use crate::persist::rdb::{RdbError, Reason, check};
use crate::persist::state::Loading;
use crate::script::libraries::{self, Restore};
use crate::sys::clock::mono_ns;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// Why a file was not loaded.
#[derive(Debug)]
pub enum LoadError {
    /// It could not be opened.
    Open(io::Error),
    /// What is in it is wrong.
    Rdb(RdbError),
    /// A function library in it cannot be loaded.
    Library,
    /// Somebody ended the server meanwhile.
    Ended,
}

impl Server {
    /// Loads the data from disk at start-up. False when the server cannot go on: the log says why. A shutdown meanwhile is no
    /// failure.
    pub fn load_data(&mut self) -> bool {
        if self.config.appendonly {
            return self.load_data_of_aof();
        }
        let path = self.config.dbfilename.as_path().to_owned();
        let start = Instant::now();
        match self.load_rdb(&path, Restore::Flush) {
            Ok(true) => {
                let seconds = start.elapsed().as_secs_f64();
                log::info!("DB loaded from disk: {seconds:.3} seconds");
            }
            Ok(false) | Err(LoadError::Ended) => {}
            Err(e) => {
                give_up(&path, &e);
                return false;
            }
        }
        true
    }

    fn load_data_of_aof(&mut self) -> bool {
        self.persist.aof.state = AofState::On;
        if !self.find_aof(true) {
            return false;
        }
        let start = Instant::now();
        match self.load_aof() {
            Ok(true) => {
                let seconds = start.elapsed().as_secs_f64();
                log::info!("DB loaded from append only file: {seconds:.3} seconds");
            }
            Ok(false) => self.warn_of_unread_rdb(),
            // Nothing may be written behind what was not read.
            Err(LoadFailed::Ended) => {
                self.persist.aof.state = AofState::Off;
                return true;
            }
            Err(LoadFailed::Logged) => return false,
            Err(LoadFailed::Rdb(path, e)) => {
                give_up(&path, &e);
                return false;
            }
        }
        self.open_aof_at_start()
    }

    /// With `appendonly yes` the RDB file does not count, as upstream; whoever switched it on in the file alone should know.
    fn warn_of_unread_rdb(&self) {
        let path = self.config.dbfilename.as_path();
        if path.exists() {
            log::warn!(
                "There is no append only file yet, and {} is not loaded, because appendonly is yes. To keep its data start with 'appendonly no' and use CONFIG SET appendonly yes.",
                path.display()
            );
        }
    }

    /// Loads a file into the keyspace; false when there is none. `libraries`: what becomes of the function libraries that are
    /// there; under `Replace` keys that are there are replaced as well. What went wrong is logged.
    pub fn load_rdb(&mut self, path: &Path, libraries: Restore) -> Result<bool, LoadError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(e) => {
                log::warn!(
                    "Fatal error: can't open the RDB file {} for reading: {e}",
                    path.display()
                );
                return Err(LoadError::Open(e));
            }
        };
        self.clock.resync();
        let total_bytes = file.metadata().map_or(0, |m| m.len());
        let mut plan = LoadPlan::of(
            &self.config,
            self.clock.now_ms,
            total_bytes,
            self.expired_keys == crate::keyspace::ExpiredKeys::Delete,
        );
        plan.replace = libraries == Restore::Replace;
        self.state.insert(ServerState::LOADING);
        self.persist.loading = Some(Loading {
            started_s: self.clock.now_s(),
            total_bytes,
            loaded_bytes: 0,
            rdb_used_memory: 0,
        });
        let result = self.load_in_steps(Loader::new(file, plan));
        self.state.remove(ServerState::LOADING);
        self.persist.loading = None;
        self.clock.resync();
        if self.loaded_well(result?, libraries) {
            Ok(true)
        } else {
            Err(LoadError::Library)
        }
    }

    fn load_in_steps(&mut self, mut loader: Loader<File>) -> Result<Loaded, LoadError> {
        let mut scratch = Scratch::default();
        loop {
            let step = loader.step(&mut self.ks);
            // INFO shows these while the load goes on.
            self.persist.last_load_keys_loaded = loader.loaded.keys;
            self.persist.last_load_keys_expired = loader.loaded.expired;
            if let Some(loading) = &mut self.persist.loading {
                loading.loaded_bytes = loader.offset();
                loading.rdb_used_memory = loader.loaded.used_memory;
            }
            match step {
                Ok(Step::Done) => return Ok(loader.loaded),
                Ok(Step::More) => {
                    self.serve_while_busy(&mut scratch);
                    self.keep_master_waiting();
                }
                Err(e) => {
                    e.log_lines().iter().for_each(|line| log::warn!("{line}"));
                    return Err(LoadError::Rdb(e));
                }
            }
            if self.shutdown.done().is_some() {
                return Err(LoadError::Ended);
            }
        }
    }

    /// Tells the log, and takes over what does not lie in the keyspace.
    pub(super) fn loaded_well(&mut self, loaded: Loaded, policy: Restore) -> bool {
        let empty = match loaded.empty {
            0 => String::new(),
            n => format!(", empty keys skipped: {n}"),
        };
        log::info!(
            "Done loading RDB, keys loaded: {}, keys expired: {}{empty}.",
            loaded.keys,
            loaded.expired
        );
        self.persist.loaded_history = loaded.replication;
        self.persist.loaded_dropped = loaded.dropped;
        libraries::adopt(self, loaded.functions, policy)
    }

    /// One turn of the event loop while a script runs for long. Nothing else happens meanwhile: keys do not expire, and who waits
    /// for keys or for time goes on when the script has ended.
    pub fn serve_while_script_runs(&mut self, scratch: &mut Scratch) {
        let mut batch = Vec::new();
        if let Err(e) = self.poller.wait(Some(Duration::ZERO), &mut batch) {
            log::error!("Waiting for events failed: {e}");
            return;
        }
        self.clock.resync();
        self.serve(&batch, scratch);
        let start = mono_ns();
        shutdown::on_signal(self);
        // Of those served before the script in this turn.
        self.flush_aof(false);
        self.write_all_pending();
        self.close_marked();
        self.note_cron_while_blocked(start);
    }

    fn note_cron_while_blocked(&mut self, start_ns: u64) {
        let took_ms = (mono_ns() - start_ns) / 1_000_000;
        self.latency
            .note(Event::WhileBlockedCron, took_ms, self.clock.now_s());
    }

    /// One turn of the event loop in the middle of long work: serves what is ready without waiting.
    pub fn serve_while_busy(&mut self, scratch: &mut Scratch) {
        let mut batch = Vec::new();
        if let Err(e) = self.poller.wait(Some(Duration::ZERO), &mut batch) {
            log::error!("Waiting for events failed: {e}");
            return;
        }
        self.clock.resync();
        self.serve(&batch, scratch);
        let start = mono_ns();
        shutdown::on_signal(self);
        self.before_sleep(scratch);
        self.note_cron_while_blocked(start);
    }
}

/// Tells why the server does not start.
fn give_up(path: &Path, error: &LoadError) {
    let fatal = "Fatal error loading the DB, check server logs. Exiting.";
    let LoadError::Rdb(e) = error else {
        return log::error!("{fatal}");
    };
    if matches!(e.reason, Reason::WrongSignature | Reason::Version(_)) {
        return log::error!("{fatal}");
    }
    // The check tool's view tells what was read before and where; like upstream's, it goes to standard output.
    if let Ok(file) = File::open(path) {
        let mut out = io::stdout().lock();
        let shown = writeln_path(path, &mut out)
            .and_then(|()| check::check(file, crate::sys::clock::wall_ms(), &mut out));
        if let Err(e) = shown {
            log::debug!("Printing the check of the RDB file: {e}");
        }
    }
    log::error!("Terminating server after rdb file reading failure.");
}

fn writeln_path(path: &Path, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "[offset 0] Checking RDB file {}", path.display())
}
