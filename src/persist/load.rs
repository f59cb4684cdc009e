//! An RDB file into the keyspace: pulls events from the decoder, builds entries, inserts them.
//!
//! `Loader::step` loads a bounded piece and returns, so that its caller can serve clients (who get `-LOADING`) between two
//! pieces without this room knowing of them. Entries are inserted in small batches whose buckets were prefetched while the
//! next entries were decoded: the file is not in this process' hash order, so each insert alone would wait for memory.
//!
//! Nothing is loaded half silently: the first error ends the load, and the caller refuses to start or reports it. Keys that expired
//! while the file lay there are counted and left out (on a master), empty collections of old bugs likewise.

use super::rdb::{Decoder, Event, LoadOptions, RdbError, Reason};
use super::snapshot::delay;
use super::values::{self, Limits};
use crate::config::Config;
use crate::config::values::SanitizeDump;
use crate::ds::hash::hash;
use crate::ds::table::{Item, Table};
use crate::keyspace::{Db, Entry, Keyspace, lru};
use std::io::Read;

/// Entries decoded before they are inserted together.
const BATCH: usize = 16;
/// Fewest bytes a key takes in a file, for believing the size hints.
const LEAST_KEY_BYTES: u64 = 6;
/// Keys after which a step ends even if few bytes were read.
const KEYS_PER_STEP: u64 = 64 * 1024;

/// How to load.
#[derive(Debug, Clone)]
pub struct LoadPlan {
    /// How to read the file.
    pub options: LoadOptions,
    /// Encodings of what is built.
    pub limits: Limits,
    /// The time expires are compared with, Unix ms.
    pub now_ms: i64,
    /// Leave expired keys out.
    pub drop_expired: bool,
    /// A key that is there already is replaced instead of being an error.
    pub replace: bool,
    /// The access clocks count frequency.
    pub lfu: bool,
    /// The access clocks are times of last use.
    pub lru: bool,
    /// Bytes after which a step ends.
    pub step_bytes: u64,
    /// `key-load-delay`.
    pub key_delay_us: i64,
    /// Size of the input, if known, bytes: what size hints are believed against.
    pub total_bytes: u64,
}

impl LoadPlan {
    /// As configured.
    pub fn of(config: &Config, now_ms: i64, total_bytes: u64, drop_expired: bool) -> LoadPlan {
        LoadPlan {
            options: LoadOptions {
                checksum: config.rdbchecksum,
                deep: config.sanitize_dump_payload == SanitizeDump::Yes,
                skip_modules: false,
            },
            limits: Limits::of(config),
            now_ms,
            drop_expired,
            replace: false,
            lfu: config.maxmemory_policy.is_lfu(),
            lru: config.maxmemory_policy.is_lru(),
            step_bytes: config.loading_process_events_interval_bytes.into(),
            key_delay_us: config.key_load_delay,
            total_bytes,
        }
    }
}

/// What a load came to.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// Keys now in the keyspace.
    pub keys: u64,
    /// Keys left out because they had expired.
    pub expired: u64,
    /// Those keys with their databases, when the file is part of a history: its followers have to delete them too.
    pub dropped: Vec<(u32, Box<[u8]>)>,
    /// Keys left out because there was nothing in them.
    pub empty: u64,
    /// Sources of function libraries, in order.
    pub functions: Vec<Vec<u8>>,
    /// `used-mem` of the header: memory of the server that wrote the file, bytes.
    pub used_memory: u64,
    /// Replication identity, when the file was written for it.
    pub replication: Replication,
}

/// The replication fields of the header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replication {
    /// `repl-id`.
    pub id: Option<String>,
    /// `repl-offset`.
    pub offset: Option<i64>,
    /// `repl-stream-db`.
    pub db: Option<i64>,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is more.
    More,
    /// The end of the file.
    Done,
}

/// An entry that waits for its insertion.
struct Waiting {
    hash: u64,
    entry: Entry,
}

/// A load under way.
pub struct Loader<R> {
    decoder: Decoder<R>,
    plan: LoadPlan,
    db: usize,
    waiting: Vec<Waiting>,
    seen: u64,
    /// What was loaded so far.
    pub loaded: Loaded,
}

impl<R: Read> Loader<R> {
    /// Loads from `input`.
    pub fn new(input: R, plan: LoadPlan) -> Loader<R> {
        Loader {
            decoder: Decoder::new(input, plan.options),
            plan,
            db: 0,
            waiting: Vec::with_capacity(BATCH),
            seen: 0,
            loaded: Loaded::default(),
        }
    }

    /// The next steps end after so many bytes; one at least, so that each goes on: the decoder may hold the rest already.
    pub fn set_step_bytes(&mut self, bytes: u64) {
        self.plan.step_bytes = bytes.max(1);
    }

    /// What it loads from, to look at.
    pub fn feed(&self) -> &R {
        self.decoder.input()
    }

    /// What it loads from.
    pub fn input(&mut self) -> &mut R {
        self.decoder.get_mut()
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.decoder.offset()
    }

    /// The reader and the bytes read but not used: what follows the RDB part of an AOF.
    pub fn into_parts(self) -> (R, Vec<u8>) {
        self.decoder.into_parts()
    }

    /// Loads on until `step_bytes` were read, or to the end.
    pub fn step(&mut self, ks: &mut Keyspace) -> Result<Step, RdbError> {
        let result = self.step_on(ks);
        // Even when the file is broken: what was decoded belongs to the part that was sound.
        let flushed = self.insert_waiting(ks);
        let step = result.map_err(|mut e| {
            if e.offset == 0 {
                e.offset = self.decoder.offset();
            }
            e
        })?;
        flushed?;
        Ok(step)
    }

    fn step_on(&mut self, ks: &mut Keyspace) -> Result<Step, RdbError> {
        let until = self.decoder.offset().saturating_add(self.plan.step_bytes);
        let keys_until = self.seen + KEYS_PER_STEP;
        while self.decoder.offset() < until && self.seen < keys_until {
            let entry = match self.decoder.next()? {
                Event::Entry(entry) => entry,
                Event::Eof(_) => return Ok(Step::Done),
                Event::Aux(name, value) => {
                    note_aux(&mut self.loaded, name, value, self.plan.now_ms);
                    continue;
                }
                Event::Function(source) => {
                    self.loaded.functions.push(source.to_vec());
                    continue;
                }
                Event::SelectDb(n) => {
                    self.select(ks, n)?;
                    continue;
                }
                Event::ResizeDb { keys, .. } => {
                    let left = self.plan.total_bytes.saturating_sub(self.decoder.offset());
                    reserve(&mut ks.dbs[self.db], keys.min(left / LEAST_KEY_BYTES));
                    continue;
                }
                Event::SlotInfo { .. } | Event::ModuleAux(..) => continue,
            };
            self.seen += 1;
            delay(self.plan.key_delay_us, self.seen);
            let plan = &self.plan;
            if plan.drop_expired && entry.expire_ms.is_some_and(|at| at < plan.now_ms) {
                self.loaded.expired += 1;
                if self.loaded.replication.id.is_some() {
                    self.loaded.dropped.push((self.db as u32, entry.key.into()));
                }
                continue;
            }
            let clock = access_clock(plan, entry.idle_s, entry.freq);
            let key = entry.key;
            let hash = hash(key);
            ks.dbs[self.db].keys.prefetch_bucket(hash);
            let Some(mut made) = values::build(key, entry.value, entry.expire_ms, &plan.limits)?
            else {
                log::info!("rdbLoadObject skipping empty key: {}", key.escape_ascii());
                self.loaded.empty += 1;
                continue;
            };
            made.set_clock(clock);
            self.waiting.push(Waiting { hash, entry: made });
            if self.waiting.len() == BATCH {
                self.insert_waiting(ks)?;
            }
        }
        Ok(Step::More)
    }

    fn select(&mut self, ks: &mut Keyspace, n: u64) -> Result<(), RdbError> {
        self.insert_waiting(ks)?;
        match usize::try_from(n) {
            Ok(n) if n < ks.dbs.len() => {
                self.db = n;
                Ok(())
            }
            _ => {
                log::error!(
                    "FATAL: Data file was created with a Redis server configured to handle more than {} databases. Exiting",
                    ks.dbs.len()
                );
                Err(self.decoder.corrupt("Database number out of range"))
            }
        }
    }

    fn insert_waiting(&mut self, ks: &mut Keyspace) -> Result<(), RdbError> {
        let db = &mut ks.dbs[self.db];
        for Waiting { hash, entry } in self.waiting.drain(..) {
            let there = db.keys.contains(hash, entry.key());
            if there && !self.plan.replace {
                let reason = Reason::DuplicateKey(entry.key().to_vec(), db.id.into());
                return Err(RdbError::new(self.decoder.offset(), reason));
            }
            if there && let Some(old) = db.keys.remove(hash, entry.key()) {
                db.fields.left(&old);
            }
            let volatile = entry.expire().is_some();
            db.fields.entered(&entry);
            db.keys.insert_marked(hash, entry, volatile);
            self.loaded.keys += 1;
        }
        Ok(())
    }
}

/// Sizes a database that is empty for what its hint announces.
fn reserve(db: &mut Db, keys: u64) {
    if db.is_empty() && keys > 0 {
        db.keys = Table::with_capacity(keys as usize);
    }
}

#[inline]
fn access_clock(plan: &LoadPlan, idle_s: Option<u64>, freq: Option<u8>) -> u32 {
    match (freq, idle_s) {
        (Some(freq), _) if plan.lfu => lru::lfu_clock(freq, plan.now_ms),
        (_, Some(idle)) if plan.lru => lru::clock_of_idle(idle, plan.now_ms),
        _ if plan.lfu => lru::lfu_clock(lru::LFU_INIT, plan.now_ms),
        _ => lru::lru_clock(plan.now_ms),
    }
}

fn number(value: &[u8]) -> i64 {
    crate::ds::numtext::parse_i64(value).unwrap_or(0)
}

/// Takes in one field of the header, telling the log what upstream tells it.
fn note_aux(loaded: &mut Loaded, name: &[u8], value: &[u8], now_ms: i64) {
    let text = || String::from_utf8_lossy(value);
    match name {
        b"redis-ver" => log::info!("Loading RDB produced by version {}", text()),
        b"valkey-ver" => log::info!("Loading RDB produced by Valkey version {}", text()),
        b"ctime" => {
            let age = (now_ms / 1000 - number(value)).max(0);
            log::info!("RDB age {age} seconds");
        }
        b"used-mem" => {
            loaded.used_memory = number(value).max(0) as u64;
            log::info!(
                "RDB memory usage when created {:.2} Mb",
                loaded.used_memory as f64 / (1024.0 * 1024.0)
            );
        }
        b"aof-preamble" if number(value) != 0 => {
            log::info!("RDB has an AOF tail");
        }
        b"aof-base" if number(value) != 0 => {
            log::info!("RDB is base AOF");
        }
        b"repl-id" => loaded.replication.id = Some(text().into_owned()),
        b"repl-offset" => loaded.replication.offset = Some(number(value)),
        b"repl-stream-db" => loaded.replication.db = Some(number(value)),
        b"redis-bits" | b"aof-preamble" | b"aof-base" | b"lua" => {}
        [b'%', ..] => log::info!("RDB '{}': {}", name.escape_ascii(), text()),
        _ => log::debug!(
            "Unrecognized RDB AUX field: '{}' '{}'",
            name.escape_ascii(),
            text()
        ),
    }
}
