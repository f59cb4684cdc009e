//! The snapshot of a full resync: received to a file and loaded from it, or straight into the loader (`repl-diskless-load`).
//!
//! Straight loading goes on from turn to turn of the loop, a bounded piece at a time, so clients are served between two pieces:
//! with `-LOADING`, or, when the master's history is our own (`swapdb` after a short break), from the old data, which are
//! exchanged for the new ones only when those are complete. A file is loaded as at start-up, in nested turns.
//!
//! Until the new data are about to replace the old ones nothing is given up: sub-replicas stay, and the old history can still
//! be gone on with.

use super::connect::LinkRead;
use super::{Server, ServerState, history};
use crate::config::values::DisklessLoad;
use crate::exec::{blocking, multi};
use crate::keyspace::lazyfree::LazyFree;
use crate::keyspace::{ExpiredKeys, Keyspace};
use crate::net::Conn;
use crate::persist::load::{LoadPlan, Loader, Step};
use crate::persist::state::Loading;
use crate::repl::ReplId;
use crate::repl::feed::{Feed, Pumped};
use crate::repl::link::{Parsing, Receiving, Sink, Stage};
use crate::repl::transfer::Framing;
use crate::script::libraries::Restore;
use crate::server::host::os_text;
use crate::server::loading::LoadError;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;
/// Reads of one turn; then others get theirs.
const READS_PER_TURN: usize = 16;
/// A file is synced after so many bytes, so that the sync at the end is short.
const SYNC_EVERY: u64 = 8 * 1024 * 1024;
/// While a snapshot is still coming, so many bytes stay buffered: the loader then rarely meets the middle of a value.
const AHEAD: usize = 256 * 1024;

impl Server {
    /// The link is readable while a snapshot is awaited or comes.
    pub(super) fn receive_snapshot(&mut self) {
        for _ in 0..READS_PER_TURN {
            let Stage::Receiving(r) = &mut self.repl.link.stage else {
                return;
            };
            match r.sink {
                Sink::Undecided => {
                    let read = self.read_link(CHUNK);
                    if !self.open_sink() {
                        match read {
                            LinkRead::More => continue,
                            LinkRead::Drained => return,
                            LinkRead::Closed(why) => return self.transfer_broke(&why),
                        }
                    }
                    if matches!(read, LinkRead::Closed(_)) && !self.link_feeds_loader() {
                        // What came before it may still be all of it.
                        self.write_body();
                        if let LinkRead::Closed(why) = read {
                            self.transfer_broke(&why);
                        }
                        return;
                    }
                }
                Sink::File { .. } => {
                    if !self.write_body() {
                        return;
                    }
                    match self.read_link(CHUNK) {
                        LinkRead::More => {}
                        LinkRead::Drained => return,
                        LinkRead::Closed(why) => return self.transfer_broke(&why),
                    }
                }
                Sink::Loader(_) => return self.parse_some(),
            }
        }
        self.repl.link.again = true;
    }

    fn link_feeds_loader(&self) -> bool {
        match &self.repl.link.stage {
            Stage::Receiving(r) => matches!(r.sink, Sink::Loader(_)),
            _ => false,
        }
    }

    fn transfer_broke(&mut self, why: &str) {
        if matches!(self.repl.link.stage, Stage::Receiving(_)) {
            log::warn!("I/O error trying to sync with MASTER: {why}");
            self.retry_now();
        }
    }

    /// Takes the header off the inbox and decides where the snapshot goes; false while the header is not there.
    fn open_sink(&mut self) -> bool {
        let link = &mut self.repl.link;
        let Stage::Receiving(r) = &mut link.stage else {
            return false;
        };
        match r.transfer.header(&mut link.inbox) {
            Ok(true) => {}
            Ok(false) => return false,
            Err(e) => {
                log::warn!("{e}");
                self.retry_now();
                return false;
            }
        }
        r.begun = true;
        let straight = match self.config.repl_diskless_load {
            DisklessLoad::Disabled => false,
            DisklessLoad::OnEmptyDb => self.ks.total_keys() == 0,
            DisklessLoad::SwapDb => true,
        };
        let to = if straight { "to parser" } else { "to disk" };
        match r.transfer.framing() {
            Framing::Sized(n) => {
                log::info!("MASTER <-> REPLICA sync: receiving {n} bytes from master {to}")
            }
            _ => log::info!(
                "MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF {to}"
            ),
        }
        if straight {
            self.open_loader();
        } else {
            self.open_file();
        }
        true
    }

    // ---- by way of a file ----

    fn open_file(&mut self) {
        let name = format!("temp-{}.{}.rdb", self.clock.now_s(), std::process::id());
        let path = self.config.dbfilename.as_path().with_file_name(name);
        match File::create(&path) {
            Ok(file) => {
                if let Stage::Receiving(r) = &mut self.repl.link.stage {
                    r.sink = Sink::File {
                        file,
                        path,
                        unsynced: 0,
                    };
                }
            }
            Err(e) => {
                log::warn!(
                    "Opening the temp file needed for MASTER <-> REPLICA synchronization: {}",
                    os_text(&e)
                );
                // Cron tries again.
                self.cancel_attempt();
            }
        }
    }

    /// Writes what of the inbox belongs to the snapshot; false when that was all of it, or the attempt is over.
    fn write_body(&mut self) -> bool {
        let link = &mut self.repl.link;
        let Stage::Receiving(r) = &mut link.stage else {
            return false;
        };
        let body = r.transfer.body(&link.inbox);
        let Sink::File { file, unsynced, .. } = &mut r.sink else {
            return false;
        };
        let written = file.write_all(&link.inbox[..body.bytes]).and_then(|()| {
            *unsynced += body.bytes as u64;
            if *unsynced >= SYNC_EVERY {
                *unsynced = 0;
                file.sync_data()?;
            }
            Ok(())
        });
        link.inbox.drain(..body.bytes + body.skip);
        if let Err(e) = written {
            log::warn!(
                "Write error or short write writing to the DB dump file needed for MASTER <-> REPLICA synchronization: {}",
                os_text(&e)
            );
            self.retry_now();
            return false;
        }
        if body.last {
            self.load_received();
        }
        !body.last
    }

    /// The file is complete: it becomes the server's RDB file and is loaded.
    fn load_received(&mut self) {
        let stage = std::mem::replace(&mut self.repl.link.stage, Stage::Loading);
        let Stage::Receiving(r) = stage else { return };
        let Receiving { sink, history, .. } = *r;
        let Sink::File { file, path, .. } = sink else {
            return;
        };
        self.leave_old_history();
        if let Err(e) = self.put_in_place(file, path) {
            log::warn!(
                "Failed trying to rename the temp DB into {} in MASTER <-> REPLICA synchronization: {}",
                self.config.dbfilename.to_str_lossy(),
                os_text(&e)
            );
            return self.retry_now();
        }
        log::info!("MASTER <-> REPLICA sync: Loading DB in memory");
        self.empty_for_snapshot();
        let path = self.config.dbfilename.as_path().to_owned();
        match self.load_rdb(&path, Restore::Flush) {
            Ok(true) => {
                self.drop_file_if_unwanted();
                let link = &mut self.repl.link;
                let rest = std::mem::take(&mut link.inbox);
                if let Some(conn) = link.conn.take() {
                    self.synced(conn, rest, history);
                }
            }
            Err(LoadError::Ended) => {}
            Ok(false) | Err(_) => {
                log::warn!(
                    "Failed trying to load the MASTER synchronization DB from disk, check server logs."
                );
                self.empty_quietly();
                self.drop_file_if_unwanted();
                self.retry_now();
            }
        }
    }

    fn put_in_place(&mut self, file: File, path: PathBuf) -> io::Result<()> {
        let to = self.config.dbfilename.as_path().to_owned();
        file.sync_all()
            .and_then(|()| std::fs::rename(&path, &to))
            .inspect_err(|_| {
                let _ = std::fs::remove_file(&path);
            })?;
        let folder = to.parent().filter(|p| !p.as_os_str().is_empty());
        File::open(folder.unwrap_or(std::path::Path::new(".")))?.sync_all()
    }

    /// `rdb-del-sync-files`: without persistence of its own a replica need not keep the master's data on disk.
    fn drop_file_if_unwanted(&mut self) {
        let persists = self.config.appendonly || !self.config.save.is_empty();
        if self.config.rdb_del_sync_files && !persists {
            log::info!(
                "Removing the RDB file obtained from the master. This replica has persistence disabled"
            );
            let _ = std::fs::remove_file(self.config.dbfilename.as_path());
        }
    }

    // ---- straight from the socket ----

    fn open_loader(&mut self) {
        let swap = self.config.repl_diskless_load == DisklessLoad::SwapDb;
        let link = &mut self.repl.link;
        let Some(conn) = link.conn.take() else { return };
        let inbox = std::mem::take(&mut link.inbox);
        let Stage::Receiving(r) = &link.stage else {
            return;
        };
        let same_history = r.history.is_some_and(|(id, _)| id == self.repl.id);
        let (transfer, timeout_s) = (r.transfer.clone(), self.config.repl_timeout);
        let total_bytes = transfer.total().unwrap_or(0);
        let serve_old = swap && same_history;
        self.leave_old_history();
        log::info!("MASTER <-> REPLICA sync: Loading DB in memory");
        let aside = if swap {
            let n = self.ks.dbs.len();
            Some(Box::new(Keyspace::new(
                n,
                crate::sys::entropy::random_u64(),
                LazyFree::inline(),
            )))
        } else {
            self.empty_for_snapshot();
            None
        };
        self.clock.resync();
        let plan = self.sync_plan(total_bytes);
        let feed = Feed::new(conn, transfer, inbox, i64::from(timeout_s));
        self.state.insert(if serve_old {
            ServerState::ASYNC_LOADING
        } else {
            ServerState::LOADING
        });
        self.persist.loading = Some(Loading {
            started_s: self.clock.now_s(),
            total_bytes,
            loaded_bytes: 0,
            rdb_used_memory: 0,
        });
        if let Stage::Receiving(r) = &mut self.repl.link.stage {
            r.sink = Sink::Loader(Box::new(Parsing {
                loader: Loader::new(feed, plan),
                aside,
                loaded: None,
            }));
        }
        self.repl.link.again = true;
    }

    /// How a master's snapshot is loaded: everything, expired or not.
    fn sync_plan(&self, total_bytes: u64) -> LoadPlan {
        let mut plan = LoadPlan::of(&self.config, self.clock.now_ms, total_bytes, false);
        if total_bytes == 0 {
            // The size is not known: believe the hints as far as memory is used already somewhere.
            plan.total_bytes = u64::from(u32::MAX);
        }
        plan
    }

    /// Receives and loads some.
    fn parse_some(&mut self) {
        self.newline_while_loading();
        let now_s = self.clock.now_s();
        let Stage::Receiving(r) = &mut self.repl.link.stage else {
            return;
        };
        let Sink::Loader(p) = &mut r.sink else { return };
        let pumped = p.loader.input().pump();
        let feed = p.loader.input();
        let came = std::mem::take(&mut feed.net_in);
        let (ready, complete) = (feed.ready(), feed.complete);
        if came > 0 {
            self.repl.link.last_io_s = now_s;
            self.stats.net_in += came;
        }
        match pumped {
            Ok(Pumped::Closed) => return self.parsing_failed("the master closed the connection"),
            Err(e) => return self.parsing_failed(&os_text(&e)),
            Ok(Pumped::Full | Pumped::Drained) => {}
        }
        if p.loaded.is_none() && (complete || ready >= AHEAD) {
            // What is left behind the step is enough for the value at its end, mostly.
            let ahead = if complete { ready } else { ready - AHEAD / 2 };
            let most = u64::from(self.config.loading_process_events_interval_bytes);
            p.loader.set_step_bytes(most.min(ahead as u64));
            let ks = p.aside.as_deref_mut().unwrap_or(&mut self.ks);
            let step = p.loader.step(ks);
            let loader = &p.loader;
            self.persist.last_load_keys_loaded = loader.loaded.keys;
            self.persist.last_load_keys_expired = loader.loaded.expired;
            if let Some(l) = &mut self.persist.loading {
                l.loaded_bytes = loader.offset();
                l.rdb_used_memory = loader.loaded.used_memory;
            }
            match step {
                Ok(Step::Done) => p.loaded = Some(p.loader.loaded.clone()),
                Ok(Step::More) => {}
                Err(e) => {
                    e.log_lines().iter().for_each(|line| log::warn!("{line}"));
                    return self.parsing_failed("the snapshot is damaged or broke off");
                }
            }
        }
        if p.loaded.is_some() && p.loader.input().complete {
            return self.parsed();
        }
        let feed = p.loader.input();
        // A loader that had to wait has read behind the poller's back.
        self.repl.link.again = feed.ready() >= AHEAD
            || feed.complete
            || feed.net_in > 0
            || matches!(pumped, Ok(Pumped::Full));
    }

    fn parsing_failed(&mut self, why: &str) {
        log::warn!(
            "Failed trying to load the MASTER synchronization DB from socket, check server logs."
        );
        log::info!("The transfer ended: {why}");
        self.retry_now();
    }

    /// Gives up a load from the socket: what was loaded goes, the old data stay if they were kept. Returns the connection.
    pub(super) fn abandon_parsing(&mut self, parsing: Parsing) -> Conn {
        self.loading_ended();
        match parsing.aside {
            Some(aside) => {
                log::info!("MASTER <-> REPLICA sync: Discarding temporary DB in background");
                self.free_aside(*aside);
            }
            // Half a dataset is none.
            None => self.empty_quietly(),
        }
        parsing.loader.into_parts().0.into_rest().0
    }

    fn loading_ended(&mut self) {
        self.state
            .remove(ServerState::LOADING | ServerState::ASYNC_LOADING);
        self.persist.loading = None;
    }

    /// Everything is loaded and received.
    fn parsed(&mut self) {
        let stage = std::mem::take(&mut self.repl.link.stage);
        let Stage::Receiving(r) = stage else { return };
        let Receiving { sink, history, .. } = *r;
        let Sink::Loader(parsing) = sink else { return };
        self.loading_ended();
        let Parsing {
            loader,
            aside,
            loaded,
        } = *parsing;
        let (feed, unread) = loader.into_parts();
        let (mut conn, rest) = feed.into_rest();
        let Some(loaded) = loaded.filter(|_| unread.is_empty()) else {
            log::warn!("Replication stream EOF marker is broken");
            self.unwatch_link(&mut conn);
            match aside {
                Some(aside) => self.free_aside(*aside),
                None => self.empty_quietly(),
            }
            return self.retry_now();
        };
        // The libraries first: when one of them is no good here, the old data stay as they are.
        if !self.loaded_well(loaded, Restore::Flush) {
            log::warn!(
                "Failed trying to load the MASTER synchronization DB from socket, check server logs."
            );
            self.unwatch_link(&mut conn);
            match aside {
                Some(aside) => self.free_aside(*aside),
                None => self.empty_quietly(),
            }
            return self.retry_now();
        }
        if let Some(aside) = aside {
            log::info!("MASTER <-> REPLICA sync: Swapping active DB with loaded DB");
            self.swap_in(*aside);
        }
        self.synced(conn, rest, history);
    }

    /// The new data take the place of the old ones.
    fn swap_in(&mut self, mut new: Keyspace) {
        for i in 0..self.ks.dbs.len() {
            multi::touch_all_watched(self, i as u32);
            self.ks.exchange(i as u32, &mut new);
        }
        if self
            .ks
            .fx
            .listening
            .contains(crate::keyspace::effects::Listening::TRACKING)
        {
            self.ks
                .fx
                .invalid
                .push(crate::keyspace::effects::Stale::All);
        }
        log::info!("MASTER <-> REPLICA sync: Discarding old DB in background");
        self.free_aside(new);
    }

    fn free_aside(&mut self, old: Keyspace) {
        for mut db in old.dbs {
            let keys = db.keys.take();
            self.ks
                .lazy
                .free(crate::keyspace::lazyfree::Garbage::Table(keys));
        }
    }

    // ---- both ways ----

    /// The old data are about to go: nobody can go on with their history any more.
    fn leave_old_history(&mut self) {
        self.discard_cached_master();
        // Children write the old data, and would copy every page that loading changes.
        self.suspend_aof();
        if self.persist.rdb_child() {
            log::warn!(
                "Replica is about to load the RDB file received from the master, but there is a pending RDB child running. Killing it and removing its temp file to avoid any race"
            );
            self.end_rdb_child();
        }
        history::leave(self);
    }

    fn empty_for_snapshot(&mut self) {
        log::info!("MASTER <-> REPLICA sync: Flushing old data");
        self.empty_quietly();
    }

    /// Empties every database; tells those who watch, cache or wait.
    fn empty_quietly(&mut self) {
        let lazy = self.config.replica_lazy_flush;
        for db in 0..self.ks.dbs.len() as u32 {
            multi::touch_all_watched(self, db);
            self.ks.flush(db, lazy);
        }
        self.deliver_background_effects();
    }

    /// While a load keeps us from reading, the master needs a sign of life now and then.
    fn newline_while_loading(&mut self) {
        let now_s = self.clock.now_s();
        let link = &mut self.repl.link;
        if link.last_newline_s == now_s {
            return;
        }
        link.last_newline_s = now_s;
        let conn = match &mut link.stage {
            Stage::Receiving(r) => match &mut r.sink {
                Sink::Loader(p) => Some(&mut p.loader.input().conn),
                _ => None,
            },
            Stage::Loading => link.conn.as_mut(),
            _ => None,
        };
        if let Some(conn) = conn {
            // Best effort: a full socket is sign enough that there is life.
            let _ = conn.write(b"\n");
        }
    }

    /// In the middle of loading a file: see `newline_while_loading`.
    pub fn keep_master_waiting(&mut self) {
        if matches!(self.repl.link.stage, Stage::Loading) {
            self.newline_while_loading();
        }
    }

    /// The master's data are ours: its stream begins.
    fn synced(&mut self, conn: Conn, rest: Vec<u8>, history: Option<(ReplId, i64)>) {
        debug_assert!(self.expired_keys == ExpiredKeys::Hide || !self.is_replica());
        history::adopt(self, history);
        self.repl.link.old_master = history.is_none();
        let db = self.persist.loaded_history.db.unwrap_or(0);
        let db = u32::try_from(db)
            .ok()
            .filter(|db| (*db as usize) < self.ks.dbs.len())
            .unwrap_or(0);
        let offset = self.repl.offset;
        self.begin_stream(conn, rest, offset, db);
        log::info!("MASTER <-> REPLICA sync: Finished with success");
        self.host.supervisor.notify(
            "STATUS=MASTER <-> REPLICA sync: Finished with success. Ready to accept connections in read-write mode.\n",
        );
        for db in 0..self.ks.dbs.len() as u32 {
            blocking::all_keys_changed(self, db);
        }
        self.deliver_background_effects();
        // The first word puts us online.
        self.acknowledge_now();
    }
}
