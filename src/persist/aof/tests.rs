//! The fault bench: a small writer of keys on a simulated disk, stopped at every single operation, then loaded again.
//!
//! The writer keeps every state it went through. Whatever happens to the disk, what is loaded must be one of these states, and not
//! older than what was acknowledged: what the disk was told to keep (power loss), or what was written (death of the process).
//! The replication offset serves as the number of the state, so the bounds are the AOF's own.

use super::log::{FlushPlan, Flushed};
use super::source::{AofError, Source};
use super::{Aof, AofState};
use crate::config::Config;
use crate::config::values::AppendFsync;
use crate::ds::hash::hash;
use crate::ds::rng::Rng;
use crate::ds::table::Item;
use crate::keyspace::lazyfree::LazyFree;
use crate::keyspace::{Entry, Keyspace, NewStr};
use crate::persist::aof::rewrite::write_commands;
use crate::persist::load::{LoadPlan, Loader, Step};
use crate::persist::snapshot::{self, Plan};
use crate::persist::storage::sim::{Fault, SimDisk};
use crate::persist::storage::{Sink, Storage};
use crate::resp::OwnedArgs;
use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::Arc;

type Data = BTreeMap<Vec<u8>, Vec<u8>>;

fn new_aof(disk: &SimDisk) -> Aof {
    let mut aof = Aof::new();
    aof.configure(&Config::default());
    aof.storage = Arc::new(disk.clone());
    aof
}

fn empty() -> Keyspace {
    Keyspace::new(16, 1, LazyFree::inline())
}

fn keyspace(data: &Data) -> Keyspace {
    let mut ks = empty();
    for (k, v) in data {
        let entry = Entry::string(k, &NewStr::Copy(v), None);
        ks.dbs[0].keys.insert_marked(hash(k), entry, false);
    }
    ks
}

fn contents(ks: &Keyspace) -> Data {
    let text = |e: &Entry| e.str().expect("a string").to_vec();
    let entries = ks.dbs[0].keys.iter();
    entries.map(|e| (e.key().to_vec(), text(&e))).collect()
}

fn plan_of_base() -> Plan {
    Plan::of(&Config::default(), 1_700_000_000_000, 0, &[])
}

/// The writer.
struct Bench {
    disk: SimDisk,
    aof: Aof,
    /// Every state, the present one last.
    states: Vec<Data>,
    fsync: AppendFsync,
    now_ms: u64,
    /// States up to here were given to the system.
    written: usize,
    rng: Rng,
}

impl Bench {
    fn new(disk: &SimDisk, fsync: AppendFsync, seed: u64) -> Self {
        Bench {
            disk: disk.clone(),
            aof: new_aof(disk),
            states: vec![Data::new()],
            fsync,
            now_ms: 0,
            written: 0,
            rng: Rng::new(seed),
        }
    }

    fn now(&self) -> usize {
        self.states.len() - 1
    }

    fn write_base(&self, path: &Path, rdb: bool) -> io::Result<()> {
        let ks = keyspace(&self.states[self.now()]);
        let (plan, file) = (plan_of_base(), self.disk.create(path)?);
        if rdb {
            return snapshot::write_synced(&ks, &plan, file, &mut |_| {}).map_err(|(_, e)| e);
        }
        let mut out = Sink::new(file);
        write_commands(&mut out, &ks, &plan, Some(5), &mut |_| Ok(()), &mut |_| {})?;
        out.file().sync()
    }

    fn start(&mut self, rdb: bool) -> io::Result<()> {
        self.aof.state = AofState::On;
        let mut aof = std::mem::take(&mut self.aof);
        aof.storage = Arc::new(self.disk.clone());
        let done = aof.create_base(rdb, |path| self.write_base(path, rdb));
        self.aof = aof;
        done?;
        self.aof.open_at_start()
    }

    /// A few commands and the end of a turn.
    fn turn(&mut self) -> io::Result<()> {
        for _ in 0..1 + self.rng.below(3) {
            let key = format!("k{}", self.rng.below(6));
            let mut data = self.states[self.now()].clone();
            let command = if self.rng.below(4) == 0 {
                data.remove(key.as_bytes());
                OwnedArgs::from_iter(["DEL", &key])
            } else {
                let value = format!("{} {}", self.now(), "x".repeat(self.rng.below(40)));
                data.insert(key.clone().into(), value.clone().into());
                OwnedArgs::from_iter(["SET", &key, &value])
            };
            // A transaction now and then: one state for all of it.
            let several = self.rng.below(5) == 0;
            if several {
                self.feed(None, &OwnedArgs::from_iter(["MULTI"]));
                let more = OwnedArgs::from_iter(["SET", "both", &key]);
                self.feed(Some(0), &more);
                data.insert(b"both".to_vec(), key.clone().into());
            }
            self.feed(Some(0), &command);
            if several {
                self.feed(None, &OwnedArgs::from_iter(["EXEC"]));
            }
            self.states.push(data);
        }
        self.now_ms += 400;
        self.flush(false)
    }

    fn feed(&mut self, db: Option<u32>, command: &OwnedArgs) {
        self.aof.log.take(db, command.view(), None);
    }

    fn flush(&mut self, force: bool) -> io::Result<()> {
        let plan = FlushPlan {
            fsync: self.fsync,
            may_sync: true,
            force,
            now_ms: self.now_ms,
            repl_offset: self.now() as i64,
        };
        match self.aof.log.flush(&plan, &self.aof.syncer) {
            Flushed::Done => {
                self.written = self.now();
                Ok(())
            }
            Flushed::Postponed => Ok(()),
            Flushed::Failed if self.disk.stopped() => Err(io::Error::other("stopped")),
            Flushed::Failed => Ok(()),
            Flushed::Fatal(line) => Err(io::Error::other(line)),
        }
    }

    fn rewrite(&mut self, rdb: bool, fails: bool) -> io::Result<()> {
        self.flush(true)?;
        match self.aof.state {
            AofState::On => self
                .aof
                .open_next_incr("in a test", self.fsync != AppendFsync::No)?,
            _ => self.aof.open_temp_incr()?,
        }
        let temp = Path::new("temp-rewriteaof-bg-1.aof");
        self.write_base(temp, rdb)?;
        // What happens while the child works is in the new file only.
        self.turn()?;
        if fails {
            return self.disk.remove(temp);
        }
        self.aof.install_base(temp, rdb)?;
        self.aof.state = AofState::On;
        self.aof.remove_history(self.rng.below(3) == 0)
    }

    /// A whole life.
    fn live(&mut self) -> io::Result<()> {
        let rdb = self.rng.below(2) == 0;
        self.start(rdb)?;
        for i in 0..14 {
            self.turn()?;
            if i % 5 == 3 {
                let rdb = self.rng.below(2) == 0;
                let fails = self.rng.below(4) == 0;
                self.rewrite(rdb, fails)?;
            }
        }
        Ok(())
    }

    /// What was loaded is a state, and not older than this one.
    #[track_caller]
    fn check(&self, loaded: Result<Data, String>, at_least: usize, how: &str) {
        let loaded = loaded.unwrap_or_else(|e| panic!("{how}: {e}"));
        let found = self.states[at_least..].contains(&loaded);
        assert!(
            found,
            "{how}: not a state since {at_least} of {}: {loaded:?}",
            self.now()
        );
    }
}

/// Loads whatever AOF there is on a disk.
fn load(disk: &SimDisk) -> Result<Data, String> {
    let mut aof = new_aof(disk);
    aof.read_manifest().map_err(|e| e.to_string())?;
    aof.upgrade_single_file().map_err(|e| e.to_string())?;
    let mut data = Data::new();
    let files: Vec<_> = aof.manifest.replay().cloned().collect();
    for (i, file) in files.iter().enumerate() {
        let name = &file.name;
        let input = disk.read(&aof.path_of(name));
        let mut input = input.map_err(|e| format!("{name}: {e}"))?;
        let mut head = Vec::new();
        input.by_ref().take(5).read_to_end(&mut head).unwrap();
        let is_rdb = head == b"REDIS";
        let mut input: Box<dyn Read> = Box::new(Cursor::new(head).chain(input));
        if is_rdb {
            let mut ks = empty();
            let plan = LoadPlan::of(&Config::default(), 0, 0, false);
            let mut loader = Loader::new(input, plan);
            while loader.step(&mut ks).map_err(|e| format!("{name}: {e:?}"))? == Step::More {}
            data = contents(&ks);
            let (rest, left) = loader.into_parts();
            input = Box::new(Cursor::new(left).chain(rest));
        }
        match replay(input, &mut data) {
            Err(AofError::Torn) if i + 1 == files.len() => {}
            other => other.map_err(|e| format!("{name}: {e}"))?,
        }
    }
    Ok(data)
}

fn replay(input: Box<dyn Read>, data: &mut Data) -> Result<(), AofError> {
    let mut source = Source::new(input, 0);
    let mut waiting: Option<Vec<Vec<Vec<u8>>>> = None;
    loop {
        let n = source.next_batch(5)?;
        if n == 0 {
            return if waiting.is_some() {
                Err(AofError::Torn)
            } else {
                Ok(())
            };
        }
        for i in 0..n {
            let args: Vec<Vec<u8>> = source.command(i).0.iter().map(<[u8]>::to_vec).collect();
            match (&args[0][..], &mut waiting) {
                (b"MULTI", _) => waiting = Some(Vec::new()),
                (b"EXEC", _) => {
                    for command in waiting.take().unwrap_or_default() {
                        apply(&command, data);
                    }
                }
                (_, Some(queue)) => queue.push(args),
                (_, None) => apply(&args, data),
            }
        }
    }
}

fn apply(args: &[Vec<u8>], data: &mut Data) {
    match &args[0][..] {
        b"SET" => drop(data.insert(args[1].clone(), args[2].clone())),
        b"DEL" => drop(data.remove(&args[1])),
        b"SELECT" => assert_eq!(args[1], b"0"),
        other => panic!("{}", other.escape_ascii()),
    }
}

#[test]
fn the_machine_stops_at_every_operation() {
    for fsync in [AppendFsync::Always, AppendFsync::EverySec, AppendFsync::No] {
        for seed in 0..6 {
            let whole = SimDisk::default();
            let mut bench = Bench::new(&whole, fsync, seed);
            bench.live().expect("nothing goes wrong");
            let last = bench.now();
            bench.check(load(&whole), last, "no fault");
            for at in 0..whole.operations() {
                let disk = SimDisk::default();
                disk.set_fault(Fault::Stop(at));
                let mut bench = Bench::new(&disk, fsync, seed);
                // An error of the background thread does not end it at once, or not at all.
                let _ = bench.live();
                assert!(disk.stopped());
                let how = format!("{fsync:?}, seed {seed}, operation {at}");
                bench.check(load(&disk.after_process_death()), bench.written, &how);
                let durable = bench.aof.syncer.durable().max(0) as usize;
                if fsync == AppendFsync::Always {
                    assert_eq!(durable, bench.written, "{how}");
                }
                for loss in 0..4 {
                    let loaded = load(&disk.after_power_loss(loss * 100 + at));
                    // Without syncs the file before the last one may be torn; that is said, and nothing is loaded.
                    let torn = loaded.as_ref().is_err_and(|e| e.contains("Unexpected end"));
                    if !(torn && fsync == AppendFsync::No) {
                        bench.check(loaded, durable, &format!("{how}, power lost"));
                    }
                }
            }
        }
    }
}

#[test]
fn switching_on_leaves_nothing_or_everything() {
    for rdb in [true, false] {
        for at in 0..40 {
            let disk = SimDisk::default();
            disk.set_fault(Fault::Stop(at));
            let mut bench = Bench::new(&disk, AppendFsync::Always, 3);
            bench
                .states
                .push(Data::from([(b"old".to_vec(), b"1".to_vec())]));
            bench.aof.state = AofState::WaitRewrite;
            let mut life = || {
                bench.aof.storage.make_dir(&bench.aof.dir)?;
                bench.rewrite(rdb, false)?;
                bench.turn()
            };
            let done = life().is_ok();
            for after in [disk.after_process_death(), disk.after_power_loss(at)] {
                let loaded = load(&after).unwrap();
                let complete = bench.aof.state == AofState::On;
                let at_least = if complete { bench.written } else { 0 };
                bench.check(Ok(loaded), at_least, &format!("{rdb} {at}"));
            }
            if done {
                assert!(at > 10);
                break;
            }
        }
    }
}

#[test]
fn a_disk_that_is_full_or_broken_for_a_while_loses_nothing() {
    let mut rng = Rng::new(8);
    for seed in 0..40 {
        let disk = SimDisk::default();
        let mut bench = Bench::new(&disk, AppendFsync::EverySec, seed);
        bench.start(true).unwrap();
        for _ in 0..10 {
            disk.set_fault(match rng.below(6) {
                0 => Fault::Full(rng.below(200) as u64),
                1 => Fault::FullForGood(rng.below(200) as u64),
                2 => Fault::Short(1 + rng.below(9)),
                3 => Fault::WriteFails,
                4 => Fault::SyncFails,
                _ => Fault::None,
            });
            bench.turn().unwrap();
            // The process may die at any time: what is there is a state, perhaps torn at its end.
            let dead = load(&disk.after_process_death());
            bench.check(dead, bench.written.min(bench.now()), "while it fails");
        }
        disk.set_fault(Fault::None);
        bench.now_ms += 2000;
        bench.flush(true).unwrap();
        assert!(bench.aof.error().is_none());
        bench.check(load(&disk), bench.now(), "after it works again");
    }
}

#[test]
fn a_snapshot_is_replaced_whole_or_not_at_all() {
    let old = Data::from([(b"a".to_vec(), b"old".to_vec())]);
    let new: Data = (0..300)
        .map(|i| (format!("key {i}").into(), vec![b'v'; i]))
        .collect();
    let path = Path::new("dump.rdb");
    let save = |disk: &SimDisk, data: &Data| {
        let ks = keyspace(data);
        snapshot::save_file_on(disk, &ks, &plan_of_base(), path, &mut |_| {})
    };
    let load = |disk: &SimDisk| {
        let mut ks = empty();
        let input = disk.read(path).expect("a file");
        let plan = LoadPlan::of(&Config::default(), 0, 0, false);
        let mut loader = Loader::new(input, plan);
        while loader.step(&mut ks).expect("a whole file") == Step::More {}
        contents(&ks)
    };
    let mut faults: Vec<Fault> = (0..30).map(Fault::Stop).collect();
    faults.extend([
        Fault::SyncFails,
        Fault::WriteFails,
        Fault::Full(100),
        Fault::Short(7),
    ]);
    let mut finished = 0;
    for fault in faults {
        let disk = SimDisk::default();
        save(&disk, &old).unwrap();
        disk.set_fault(match fault {
            Fault::Stop(n) => Fault::Stop(n + disk.operations()),
            other => other,
        });
        let saved = save(&disk, &new).is_ok();
        finished += usize::from(saved);
        let died = load(&disk.after_process_death());
        assert!(died == old && !saved || died == new, "{fault:?}");
        for seed in 0..4 {
            let found = load(&disk.after_power_loss(seed));
            assert!(found == old && !saved || found == new, "{fault:?}");
        }
        if !disk.stopped() && !saved {
            assert_eq!(disk.names(), [path], "{fault:?}: the temporary file stays");
        }
    }
    assert!(finished > 10);
}

#[test]
fn the_single_file_of_old_versions_moves_in_wherever_it_is_interrupted() {
    let set = OwnedArgs::from_iter(["SET", "a", "1"]);
    let mut bytes = Vec::new();
    super::encode::command(&mut bytes, set.view());
    let want = Data::from([(b"a".to_vec(), b"1".to_vec())]);
    for at in 0..20 {
        let disk = SimDisk::default();
        let file = disk.create(Path::new("appendonly.aof")).unwrap();
        crate::persist::storage::append_all(&*file, &bytes).unwrap();
        file.sync().unwrap();
        disk.sync_dir(Path::new("")).unwrap();
        disk.set_fault(Fault::Stop(disk.operations() + at));
        let mut aof = new_aof(&disk);
        aof.read_manifest().unwrap();
        let moved = aof.upgrade_single_file();
        assert_eq!(load(&disk.after_process_death()).unwrap(), want, "{at}");
        if moved.is_ok() {
            let names = disk.names();
            let inside = Path::new("appendonlydir/appendonly.aof");
            assert!(names.iter().any(|n| n == inside) && names.len() == 2);
            return;
        }
    }
    panic!("it was never moved");
}
