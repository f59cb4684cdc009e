//! Replaying the AOF: at start, and for DEBUG LOADAOF.
//!
//! Commands are run by their functions alone: no guards, no statistics, no propagation; nothing expires on the way (a DEL says
//! when it did). A batch is resolved first and its keys are prefetched, as for clients. Between pieces one turn of the event
//! loop runs, so that clients are told `-LOADING`.
//!
//! A transaction runs when its EXEC was read; one that lacks it is as torn as half a command. A torn end is cut off, if
//! `aof-load-truncated` allows it and the file is the last one; anything else that is wrong ends the load with the name of the file and the
//! offset. Nothing damaged is ever skipped.

use super::super::input::Scratch;
use super::super::loading::LoadError;
use crate::client::{Client, CommandId};
use crate::config::values::PropagationError;
use crate::ds::hash::hash;
use crate::exec::{Ctx, effects, propagate};
use crate::keyspace::ExpiredKeys;
use crate::keyspace::prefetch::Lookup;
use crate::persist::aof::log::text;
use crate::persist::aof::manifest::FileType;
use crate::persist::aof::source::{AofError, Source};
use crate::persist::load::{LoadPlan, Loader, Step};
use crate::persist::rdb::format;
use crate::persist::snapshot::delay;
use crate::persist::state::Loading;
use crate::resp::{Args, OwnedArgs};
use crate::script::libraries::Restore;
use crate::server::{Server, ServerState};
use std::io::{Cursor, Read};
use std::path::PathBuf;
use std::time::Instant;

/// Commands taken at once.
const BATCH: usize = 32;
/// Where upstream's own tool is told of.
const USE_THE_TOOL: &str =
    "make a backup of your AOF file, then use ./redis-check-aof --fix <filename.manifest>";

/// Why the AOF was not loaded.
#[derive(Debug)]
pub enum LoadFailed {
    /// The log says why.
    Logged,
    /// The RDB file it begins with is wrong; where it is.
    Rdb(PathBuf, LoadError),
    /// Somebody ended the server meanwhile.
    Ended,
}

/// One file that is being replayed.
struct Replay<'a> {
    name: &'a str,
    path: PathBuf,
    is_base: bool,
    is_last: bool,
    /// Bytes of the files before it.
    before: u64,
}

/// Commands between MULTI and EXEC, and the offset in front of MULTI.
type Transaction = Option<(Vec<(CommandId, OwnedArgs)>, u64)>;

type Input = Box<dyn Read>;

impl Server {
    /// Reads the manifest (and moves an AOF of older versions into its folder). False when that failed; the log says why.
    pub fn find_aof(&mut self, upgrade: bool) -> bool {
        if let Err(e) = self.persist.aof.read_manifest() {
            log::error!("\n*** FATAL AOF MANIFEST FILE ERROR ***");
            e.to_string().lines().for_each(|l| log::error!("{l}"));
            return false;
        }
        if upgrade && let Err(e) = self.persist.aof.upgrade_single_file() {
            log::error!("Moving the old AOF into its new folder: {e}");
            return false;
        }
        true
    }

    /// Replays all files of the manifest. False when there are none.
    pub fn load_aof(&mut self) -> Result<bool, LoadFailed> {
        let files: Vec<_> = self.persist.aof.manifest.replay().cloned().collect();
        if files.is_empty() {
            return Ok(false);
        }
        let total_bytes = self.persist.aof.bytes_on_disk().map_err(|(name, e)| {
            log::error!(
                "Unable to obtain the AOF file {name} length. stat: {}",
                text(&e)
            );
            LoadFailed::Logged
        })?;
        self.clock.resync();
        let start = Instant::now();
        self.state.insert(ServerState::LOADING);
        let expired = std::mem::replace(&mut self.expired_keys, ExpiredKeys::Show);
        self.persist.loading = Some(Loading {
            started_s: self.clock.now_s(),
            total_bytes,
            loaded_bytes: 0,
            rdb_used_memory: 0,
        });
        propagate::refresh_listening(self);
        let mut before = 0;
        let mut result = Ok(());
        for (i, file) in files.iter().enumerate() {
            let replay = Replay {
                name: &file.name,
                path: self.persist.aof.path_of(&file.name),
                is_base: file.ty == FileType::Base,
                is_last: i + 1 == files.len(),
                before,
            };
            result = self.load_file(&replay);
            if result.is_err() {
                break;
            }
            before += self.persist.aof.storage.len_of(&replay.path).unwrap_or(0);
        }
        self.state.remove(ServerState::LOADING);
        self.expired_keys = expired;
        self.persist.loading = None;
        self.clock.resync();
        propagate::refresh_listening(self);
        result?;
        self.note_sizes();
        let seconds = start.elapsed().as_secs_f64();
        log::debug!("AOF replayed in {seconds:.3} seconds");
        Ok(true)
    }

    /// Sizes for INFO and automatic rewrites, as of now.
    fn note_sizes(&mut self) {
        let aof = &mut self.persist.aof;
        let len = |name: &str| aof.storage.len_of(&aof.path_of(name)).unwrap_or(0);
        let base = aof.manifest.base.as_ref().map_or(0, |b| len(&b.name));
        let all = aof.bytes_on_disk().unwrap_or(0);
        let last = aof.manifest.incr.last().map(|f| len(&f.name));
        if let Some(last) = last
            && aof.log.is_open()
        {
            aof.log.set_written(last);
        }
        aof.earlier_size = all.saturating_sub(aof.log.written());
        aof.base_size = base;
    }

    fn load_file(&mut self, replay: &Replay<'_>) -> Result<(), LoadFailed> {
        let start = Instant::now();
        let (mut source, offset) = self.open_source(replay)?;
        self.replay_commands(replay, &mut source, offset)?;
        let kind = if replay.is_base { "base" } else { "incr" };
        log::info!(
            "DB loaded from {kind} file {}: {:.3} seconds",
            replay.name,
            start.elapsed().as_secs_f64()
        );
        Ok(())
    }

    /// Opens a file; an RDB part in front is loaded. Gives what follows it and the offset of that.
    fn open_source(&mut self, replay: &Replay<'_>) -> Result<(Source<Input>, u64), LoadFailed> {
        let cannot = |e: std::io::Error| {
            log::error!(
                "Fatal error: can't open the append log file {} for reading: {}",
                replay.name,
                text(&e)
            );
            LoadFailed::Logged
        };
        let mut file = self
            .persist
            .aof
            .storage
            .read(&replay.path)
            .map_err(cannot)?;
        let mut head = Vec::new();
        let taken = file
            .by_ref()
            .take(format::MAGIC_SEEN as u64)
            .read_to_end(&mut head);
        taken.map_err(cannot)?;
        let is_rdb = format::begins_rdb(&head);
        let input: Input = Box::new(Cursor::new(head).chain(file));
        if !is_rdb {
            return Ok((Source::new(input, 0), 0));
        }
        log::info!("Reading RDB base file on AOF loading...");
        self.load_rdb_part(replay, input)
    }

    fn load_rdb_part(
        &mut self,
        replay: &Replay<'_>,
        input: Input,
    ) -> Result<(Source<Input>, u64), LoadFailed> {
        let total = self.persist.loading.map_or(0, |l| l.total_bytes);
        // What expired since the base was written is deleted by the commands behind it.
        let plan = LoadPlan::of(&self.config, self.clock.now_ms, total, false);
        let mut loader = Loader::new(input, plan);
        let mut scratch = Scratch::default();
        loop {
            let step = loader.step(&mut self.ks);
            self.persist.last_load_keys_loaded = loader.loaded.keys;
            self.persist.last_load_keys_expired = loader.loaded.expired;
            if let Some(loading) = &mut self.persist.loading {
                loading.rdb_used_memory = loader.loaded.used_memory;
            }
            match step {
                Ok(Step::Done) => break,
                Ok(Step::More) => self.pause_loading(replay, loader.offset(), &mut scratch)?,
                Err(e) => {
                    e.log_lines().iter().for_each(|line| log::warn!("{line}"));
                    log::error!(
                        "Error reading the RDB preamble of the AOF file {}, AOF loading aborted",
                        replay.name
                    );
                    return Err(LoadFailed::Rdb(replay.path.clone(), LoadError::Rdb(e)));
                }
            }
        }
        if !self.loaded_well(loader.loaded.clone(), Restore::Flush) {
            return Err(LoadFailed::Rdb(replay.path.clone(), LoadError::Library));
        }
        let offset = loader.offset();
        let (rest, left) = loader.into_parts();
        let input: Input = Box::new(Cursor::new(left).chain(rest));
        Ok((Source::new(input, offset), offset))
    }

    /// A turn of the event loop in the middle of the work.
    fn pause_loading(
        &mut self,
        replay: &Replay<'_>,
        offset: u64,
        scratch: &mut Scratch,
    ) -> Result<(), LoadFailed> {
        if let Some(loading) = &mut self.persist.loading {
            loading.loaded_bytes = replay.before + offset;
        }
        self.serve_while_busy(scratch);
        if self.shutdown.done().is_some() {
            return Err(LoadFailed::Ended);
        }
        Ok(())
    }

    fn replay_commands(
        &mut self,
        replay: &Replay<'_>,
        source: &mut Source<Input>,
        start: u64,
    ) -> Result<(), LoadFailed> {
        let mut client = Client::fake(self.clock.now_s());
        let mut scratch = Scratch::default();
        let mut transaction: Transaction = None;
        // Everything before it was run.
        let mut valid = start;
        let step_bytes = u64::from(self.config.loading_process_events_interval_bytes);
        let mut pause_at = start + step_bytes;
        let mut count = 0;
        loop {
            let n = match source.next_batch(BATCH) {
                Ok(0) if transaction.is_none() => return Ok(()),
                Ok(0) => return self.torn(replay, valid, transaction),
                Ok(n) => n,
                Err(AofError::Torn) => return self.torn(replay, valid, transaction),
                Err(e) => return Err(self.bad(replay, &e)),
            };
            let found = self.look_up(replay, source, n, client.db)?;
            for (i, &(id, first_hash)) in found[..n].iter().enumerate() {
                let (args, offset) = source.command(i);
                self.take_command(&mut client, &mut transaction, id, args, first_hash, valid);
                valid = offset;
                count += 1;
                delay(self.config.key_load_delay, count);
            }
            if valid >= pause_at {
                pause_at = valid + step_bytes;
                self.pause_loading(replay, valid, &mut scratch)?;
            }
        }
    }

    /// Finds the commands of a batch and fetches their keys ahead.
    fn look_up(
        &self,
        replay: &Replay<'_>,
        source: &Source<Input>,
        n: usize,
        db: u32,
    ) -> Result<[(CommandId, Option<u64>); BATCH], LoadFailed> {
        let mut found = [(CommandId(0), None); BATCH];
        let mut elements = false;
        for (i, place) in found.iter_mut().enumerate().take(n) {
            let (args, offset) = source.command(i);
            let id = self.registry.resolve(&args).map_err(|_| {
                log::error!(
                    "Unknown command '{}' reading the append only file {}",
                    String::from_utf8_lossy(args.at(0)),
                    replay.name
                );
                LoadFailed::Logged
            })?;
            if !self.registry.row(id).arity_fits(args.len()) {
                log::error!(
                    "Bad file format reading the append only file {}: wrong number of arguments for '{}' before offset {offset}: {USE_THE_TOOL}",
                    replay.name,
                    String::from_utf8_lossy(args.at(0)),
                );
                return Err(LoadFailed::Logged);
            }
            let foreseen = self.registry.foreseen(id);
            let key = args.get(1).filter(|_| foreseen.key_at_1);
            *place = (id, key.map(hash));
            elements |= foreseen.element != 0;
        }
        let lookups = (0..n).filter_map(|i| {
            let (id, hash) = found[i];
            let element = self.registry.foreseen(id).element;
            Some(Lookup::new(hash?, source.command(i).0, element))
        });
        self.ks.dbs[db as usize].prefetch(lookups, elements);
        Ok(found)
    }

    /// Runs a command, or keeps it until EXEC.
    fn take_command(
        &mut self,
        client: &mut Client,
        transaction: &mut Transaction,
        id: CommandId,
        args: Args<'_>,
        first_hash: Option<u64>,
        offset: u64,
    ) {
        let name = self.registry.row(id).name;
        match transaction {
            None if name == "multi" => *transaction = Some((Vec::new(), offset)),
            None => self.replay_one(client, id, args, first_hash),
            Some(_) if name == "exec" => {
                let (commands, _) = transaction.take().unwrap_or_default();
                for (id, args) in &commands {
                    self.replay_one(client, *id, args.view(), None);
                }
            }
            Some((commands, _)) => commands.push((id, OwnedArgs::copy_of(args))),
        }
    }

    #[inline]
    fn replay_one(
        &mut self,
        client: &mut Client,
        id: CommandId,
        args: Args<'_>,
        first_hash: Option<u64>,
    ) {
        let command = self.registry.row(id);
        let mut ctx = Ctx {
            server: self,
            client,
            args,
            command,
            first_hash,
        };
        if let Err(e) = (command.handler)(&mut ctx) {
            ctx.reply().error(&e);
        }
        let fx = &mut self.ks.fx;
        fx.force = None;
        fx.instead = None;
        if fx.pending() {
            effects::deliver(self, client);
        }
        if client.out.single().is_some_and(|reply| reply[0] == b'-') {
            self.told_an_error(client, command.name);
        }
        client.out.clear();
    }

    /// A command of the AOF worked once; that it fails now means that the data differ from what they were.
    #[cold]
    fn told_an_error(&self, client: &Client, command: &str) {
        let reply = client.out.single().unwrap_or_default();
        let error = String::from_utf8_lossy(&reply[1..]);
        log::error!(
            "== CRITICAL == This server is sending an error to its AOF-loading-client: '{}' after processing the command '{command}'",
            error.trim_end()
        );
        if self.config.propagation_error_behavior == PropagationError::Panic {
            log::error!("Ending, as propagation-error-behavior asks.");
            std::process::abort();
        }
    }

    /// The file ends in the middle of something.
    fn torn(
        &mut self,
        replay: &Replay<'_>,
        valid: u64,
        transaction: Transaction,
    ) -> Result<(), LoadFailed> {
        let name = replay.name;
        let valid = match transaction {
            Some((_, before)) => {
                log::warn!("Revert incomplete MULTI/EXEC transaction in AOF file {name}");
                before
            }
            None => valid,
        };
        if !self.config.aof_load_truncated {
            log::error!(
                "Unexpected end of file reading the append only file {name}. You can: 1) Make a backup of your AOF file, then use ./redis-check-aof --fix <filename.manifest>. 2) Alternatively you can set the 'aof-load-truncated' configuration option to yes and restart the server."
            );
            return Err(LoadFailed::Logged);
        }
        log::warn!("!!! Warning: short read while loading the AOF file {name}!!!");
        if !replay.is_last {
            // Compat: upstream cuts the file before it refuses.
            log::error!("Fatal error: the truncated file is not the last file");
            return Err(LoadFailed::Logged);
        }
        log::warn!("!!! Truncating the AOF {name} at offset {valid} !!!");
        let cut = self
            .persist
            .aof
            .storage
            .open_end(&replay.path)
            .and_then(|file| file.truncate(valid));
        if let Err(e) = cut {
            log::error!("Error truncating the AOF file {name}: {}", text(&e));
            return Err(LoadFailed::Logged);
        }
        log::warn!("AOF {name} loaded anyway because aof-load-truncated is enabled");
        Ok(())
    }

    fn bad(&self, replay: &Replay<'_>, e: &AofError) -> LoadFailed {
        let name = replay.name;
        match e {
            AofError::Bad(at) => log::error!(
                "Bad file format reading the append only file {name} at offset {at}: {USE_THE_TOOL}"
            ),
            e => log::error!("{name}: {e}"),
        }
        LoadFailed::Logged
    }
}
