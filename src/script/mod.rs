//! Scripts and functions: Lua 5.1 with the server at hand.
//!
//! | file | what it is |
//! |--|--|
//! | `lua` | a safe face for Lua's C API: functions in Rust, errors, memory |
//! | `sandbox` | what of Lua's own scripts get, and tables that cannot be changed |
//! | `engine` | a Lua state with its environment: compiling, running, the hook |
//! | `loan` | how a function called by a script reaches the server |
//! | `run` | EVAL, EVALSHA, FCALL: the frame around a run |
//! | `call` | `redis.call`: a command of a script, with `checks` before it |
//! | `api` | the rest of the table `redis` |
//! | `convert` | replies to Lua values and back |
//! | `busy` | scripts that run for long: serving others, killing |
//! | `cache`, `libraries`, `shebang` | what is loaded, and what the first lines say |
//! | `lib` | cjson, cmsgpack, struct, bit |
//!
//! Only `lua`, `sandbox`, `engine` and `loan` contain unsafe code. The frame of a run is told in `run`; a new function of `redis`
//! goes to the table in `api`.
#![allow(unsafe_code)] // Lifted for the four files above only; `tests/tidy.rs` names them.

pub mod api;
pub mod busy;
pub mod cache;
pub mod call;
pub mod checks;
pub mod convert;
pub mod debugger;
pub mod effects;
pub mod engine;
pub mod lib;
pub mod libraries;
pub mod loan;
pub mod lua;
pub mod number;
pub mod random;
pub mod run;
pub mod sandbox;
pub mod shebang;

use crate::keyspace::lazyfree::Garbage;
use crate::resp::{OutBuf, OwnedArgs};
use cache::{Cache, Sha};
use engine::{Engine, Purpose};
use libraries::Libraries;

/// Commands that run scripts or throw engines away: never to be called by a script, whatever DEBUG allows.
pub const RUNS_SCRIPTS: [&str; 13] = [
    "eval",
    "eval_ro",
    "evalsha",
    "evalsha_ro",
    "fcall",
    "fcall_ro",
    "script|load",
    "script|flush",
    "function|load",
    "function|delete",
    "function|flush",
    "function|restore",
    "exec",
];

/// The script engines of a server and what is loaded into them.
#[derive(Debug)]
pub struct Scripts {
    eval: Engine,
    functions: Engine,
    /// Scripts of EVAL.
    pub cache: Cache,
    /// Function libraries.
    pub libraries: Libraries,
    /// Scripts that had to leave the cache (INFO `evicted_scripts`).
    pub evicted: u64,
    /// `lua-enable-deprecated-api`.
    deprecated: bool,
    /// The debugging session under way.
    debug: Option<Box<debugger::Session>>,
    /// Processes of forked debugging sessions.
    sessions: Vec<i32>,
    /// The run under way.
    run: Option<Run>,
    /// The client's output while a script runs.
    out: OutBuf,
    /// Arguments of the command a script runs; kept for their room.
    args: OwnedArgs,
}

/// What a run is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// A script of EVAL.
    Script(Sha),
    /// A function.
    Function(std::sync::Arc<[u8]>),
}

impl Default for Name {
    fn default() -> Self {
        Name::Script([0; 20])
    }
}

/// A run under way.
#[derive(Debug)]
pub struct Run {
    /// A script or a function.
    pub purpose: Purpose,
    /// Its name.
    pub name: Name,
    /// The command that runs it; known once it is busy.
    pub command: OwnedArgs,
    /// When it began, monotonic us.
    pub started_us: u64,
    /// It may not write.
    pub read_only: bool,
    /// It may run over `maxmemory`.
    pub allow_oom: bool,
    /// The server was over `maxmemory` when it began.
    pub out_of_memory: bool,
    /// Our master sent it.
    pub from_master: bool,
    /// Who is told of its changes: bits of `effects`.
    pub propagate_to: u8,
    /// It ran a writing command.
    pub wrote: bool,
    /// It is to end.
    pub killed: bool,
    /// It runs for so long that others are served meanwhile.
    pub busy: bool,
}

impl Scripts {
    /// Both engines, empty. `deprecated`: as `lua-enable-deprecated-api` says.
    pub fn new(deprecated: bool) -> Self {
        Scripts {
            eval: new_engine(Purpose::Eval, deprecated),
            functions: new_engine(Purpose::Functions, deprecated),
            deprecated,
            cache: Cache::default(),
            libraries: Libraries::default(),
            evicted: 0,
            debug: None,
            sessions: Vec::new(),
            run: None,
            out: OutBuf::new(),
            args: OwnedArgs::new(),
        }
    }

    /// The run under way.
    pub fn current(&self) -> Option<&Run> {
        self.run.as_ref()
    }

    /// Forgets all scripts of EVAL, and whatever they left in their state. What they held is handed back, to be freed where that
    /// does not stop others.
    pub fn flush(&mut self) -> Garbage {
        let cache = std::mem::take(&mut self.cache);
        let fresh = new_engine(Purpose::Eval, self.deprecated);
        let engine = std::mem::replace(&mut self.eval, fresh);
        let objects = cache.len();
        Garbage::Other(Box::new((engine, cache)), objects)
    }

    /// Forgets all libraries likewise.
    pub(super) fn flush_libraries(&mut self) -> Garbage {
        let libraries = std::mem::take(&mut self.libraries);
        let fresh = new_engine(Purpose::Functions, self.deprecated);
        let engine = std::mem::replace(&mut self.functions, fresh);
        let objects = libraries.counts().0;
        Garbage::Other(Box::new((engine, libraries)), objects)
    }

    /// Bytes of the two Lua states.
    pub fn vm_bytes(&self) -> (usize, usize) {
        (self.eval.memory(), self.functions.memory())
    }

    /// Bytes of both together.
    pub fn vm_total(&self) -> usize {
        let (eval, functions) = self.vm_bytes();
        eval + functions
    }
}

/// A state may use half of the machine's memory: beyond that a script is told that there is none, before the system ends the
/// whole server.
fn new_engine(purpose: Purpose, deprecated: bool) -> Engine {
    let half = crate::sys::process::total_memory_bytes() as usize / 2;
    Engine::new(purpose, half.max(64 << 20), deprecated)
}
