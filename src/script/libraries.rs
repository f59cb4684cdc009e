//! Function libraries: FUNCTION LOAD, DELETE, FLUSH, DUMP and RESTORE, and what RDB files and the AOF bring.
//!
//! A library is source text whose run registers functions. While it is loaded its code sees nothing but a small table `redis`
//! (`register_function`, `log`, the version); its functions later see what scripts see. Loading is done in two steps, so that a
//! failure changes nothing: [`compile`] makes a [`Library`] that nobody knows, [`Libraries::add`] lets it in.
//!
//! Function names are unique over all libraries and not case-sensitive; library names are case-sensitive.
//!
//! `Server::persist.functions` holds the sources as snapshots write them; [`publish`] renews it after every change.

use super::busy::LOAD_LIMIT_US;
use super::engine::{Ended, Function, Handle};
use super::lua::{Kind, Lua, Raise, upvalue};
use super::shebang::{self, FLAG_WORDS, ScriptFlags};
use super::{Scripts, api, call::fail};
use crate::keyspace::lazyfree::Garbage;
use crate::resp::Error;
use crate::server::Server;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A function of a library.
#[derive(Debug, Clone)]
pub struct FunctionEntry {
    /// Its name as registered.
    pub name: Arc<[u8]>,
    /// What it promises.
    pub flags: ScriptFlags,
    /// Its description, if it has one.
    pub description: Option<Vec<u8>>,
    /// The callback in the functions' state.
    pub function: Function,
}

/// A library.
#[derive(Debug)]
pub struct Library {
    /// Its name.
    pub name: Vec<u8>,
    /// The text it was loaded from.
    pub source: Vec<u8>,
    /// Its functions, in the order they were registered.
    pub entries: Vec<FunctionEntry>,
}

/// All libraries.
#[derive(Debug, Default)]
pub struct Libraries {
    by_name: BTreeMap<Vec<u8>, Library>,
    /// Folded function name to library name and place.
    functions: BTreeMap<Vec<u8>, (Vec<u8>, usize)>,
}

impl Libraries {
    /// A function by its name, any case.
    pub fn find(&self, name: &[u8]) -> Option<&FunctionEntry> {
        let (library, at) = match self.functions.get(name) {
            Some(found) => found,
            None => self.functions.get(&name.to_ascii_lowercase())?,
        };
        self.by_name.get(library)?.entries.get(*at)
    }

    /// Every library, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Library> {
        self.by_name.values()
    }

    /// Numbers of libraries and functions.
    pub fn counts(&self) -> (usize, usize) {
        (self.by_name.len(), self.functions.len())
    }

    /// Bytes of the sources and tables.
    pub fn mem_bytes(&self) -> usize {
        let one = |l: &Library| {
            let entries = l.entries.iter().map(|e| {
                size_of::<FunctionEntry>()
                    + 2 * e.name.len()
                    + e.description.as_ref().map_or(0, Vec::len)
            });
            size_of::<Library>() + 2 * l.name.len() + l.source.len() + entries.sum::<usize>()
        };
        self.iter().map(one).sum()
    }

    /// Whether `new` could be added if the libraries named in `leaving` were gone.
    fn collision(&self, new: &Library, leaving: &[&[u8]]) -> Result<(), Error> {
        for entry in &new.entries {
            let taken = self.functions.get(&entry.name.to_ascii_lowercase());
            if taken.is_some_and(|(library, _)| !leaving.contains(&&library[..])) {
                return Err(quoting(b"ERR Function ", &entry.name, b" already exists"));
            }
        }
        Ok(())
    }

    fn insert(&mut self, library: Library) {
        for (at, entry) in library.entries.iter().enumerate() {
            let folded = entry.name.to_ascii_lowercase();
            self.functions.insert(folded, (library.name.clone(), at));
        }
        self.by_name.insert(library.name.clone(), library);
    }

    fn remove(&mut self, name: &[u8]) -> Option<Library> {
        let library = self.by_name.remove(name)?;
        self.functions.retain(|_, (of, _)| of != name);
        Some(library)
    }
}

fn quoting(before: &[u8], name: &[u8], after: &[u8]) -> Error {
    Error::Bytes([before, name, after].concat())
}

impl Scripts {
    fn forget(&mut self, library: Library) {
        for entry in library.entries {
            self.functions.forget(entry.function);
        }
    }
}

/// FUNCTION LOAD: the name of the new library.
///
/// # Errors
/// The source is none, its run failed, or a name is taken; nothing has changed then.
pub fn load(server: &mut Server, source: &[u8], replace: bool) -> Result<Vec<u8>, Error> {
    let scripts = &mut server.scripts;
    let head = shebang::of_library(source)?;
    if !replace && scripts.libraries.by_name.contains_key(&head.name) {
        return Err(quoting(b"ERR Library '", &head.name, b"' already exists"));
    }
    let library = compile(scripts, source)?;
    let name = library.name.clone();
    if let Err(e) = scripts.libraries.collision(&library, &[&name]) {
        scripts.forget(library);
        return Err(e);
    }
    if let Some(old) = scripts.libraries.remove(&name) {
        scripts.forget(old);
    }
    scripts.libraries.insert(library);
    publish(server);
    Ok(name)
}

/// FUNCTION DELETE.
///
/// # Errors
/// There is no such library.
pub fn delete(server: &mut Server, name: &[u8]) -> Result<(), Error> {
    let scripts = &mut server.scripts;
    let Some(old) = scripts.libraries.remove(name) else {
        return Err(Error::new("ERR Library not found"));
    };
    scripts.forget(old);
    publish(server);
    Ok(())
}

/// FUNCTION FLUSH: the whole state goes, and is handed back.
pub fn flush(server: &mut Server) -> Garbage {
    let old = server.scripts.flush_libraries();
    publish(server);
    old
}

/// What FUNCTION RESTORE does with the libraries that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restore {
    /// They go.
    Flush,
    /// They stay; a collision is an error.
    Append,
    /// They stay, but for those with the name of a new one.
    Replace,
}

/// FUNCTION RESTORE, and what a snapshot brings.
///
/// # Errors
/// A source is none, or a name is taken; nothing has changed then.
pub fn restore(server: &mut Server, sources: &[Vec<u8>], policy: Restore) -> Result<(), Error> {
    let scripts = &mut server.scripts;
    let mut new = Libraries::default();
    let mut result = Ok(());
    for source in sources {
        let added = compile(scripts, source).and_then(|library| {
            let fits = check_new(scripts, &new, &library, policy);
            match fits {
                Ok(()) => new.insert(library),
                Err(_) => scripts.forget(library),
            }
            fits
        });
        if added.is_err() {
            result = added;
            break;
        }
    }
    if result.is_ok() && policy == Restore::Replace {
        let leaving: Vec<&[u8]> = new.by_name.keys().map(|n| &n[..]).collect();
        result = new
            .iter()
            .try_for_each(|l| scripts.libraries.collision(l, &leaving));
    }
    if result.is_err() {
        for (_, library) in std::mem::take(&mut new.by_name) {
            scripts.forget(library);
        }
        return result;
    }
    if policy == Restore::Flush {
        for (_, old) in std::mem::take(&mut scripts.libraries).by_name {
            scripts.forget(old);
        }
    }
    for (name, library) in new.by_name {
        if let Some(old) = scripts.libraries.remove(&name) {
            scripts.forget(old);
        }
        scripts.libraries.insert(library);
    }
    publish(server);
    Ok(())
}

fn check_new(
    scripts: &Scripts,
    new: &Libraries,
    library: &Library,
    policy: Restore,
) -> Result<(), Error> {
    let taken = new.by_name.contains_key(&library.name)
        || policy == Restore::Append && scripts.libraries.by_name.contains_key(&library.name);
    if taken {
        let name = &library.name;
        return Err(quoting(b"ERR Library ", name, b" already exists"));
    }
    if policy == Restore::Append {
        scripts.libraries.collision(library, &[])?;
    }
    new.collision(library, &[])
}

/// Takes in the libraries of a file that was loaded. False when one of them is broken or collides; the log says which.
pub fn adopt(server: &mut Server, sources: Vec<Vec<u8>>, policy: Restore) -> bool {
    match restore(server, &sources, policy) {
        Ok(()) => true,
        Err(e) => {
            log::warn!("Failed creating a function library: {e}");
            false
        }
    }
}

/// Renews what snapshots write.
fn publish(server: &mut Server) {
    let sources = server.scripts.libraries.iter().map(|l| l.source.clone());
    server.persist.functions = sources.collect();
}

/// Runs the code of a library and collects what it registers.
///
/// # Errors
/// The head, Lua's message, or what went wrong while it ran.
pub fn compile(scripts: &mut Scripts, source: &[u8]) -> Result<Library, Error> {
    let head = shebang::of_library(source)?;
    let handle = scripts.functions.handle();
    let chunk = handle
        .compile(&source[head.code..], "@user_function")
        .map_err(|m| Error::Bytes([b"ERR Error compiling function: ".as_slice(), &m].concat()))?;
    let pending = prepare(handle);
    let deadline_us = crate::sys::clock::mono_us() + LOAD_LIMIT_US;
    let ended = handle.run_alone(chunk, deadline_us);
    scripts.functions.forget(chunk);
    let failed = (ended == Ended::Badly).then(|| message(&handle.result()));
    handle.clear();
    handle.widen();
    let entries = registered(handle, pending);
    scripts.functions.forget(pending);
    if let Some(text) = failed {
        entries
            .iter()
            .for_each(|e| scripts.functions.forget(e.function));
        let head = b"ERR Error registering functions: ".as_slice();
        return Err(Error::Bytes([head, &text].concat()));
    }
    if entries.is_empty() {
        return Err(Error::new("ERR No functions registered"));
    }
    Ok(Library {
        name: head.name,
        source: source.to_vec(),
        entries,
    })
}

fn message(lua: &Lua<'_>) -> Vec<u8> {
    if lua.kind(1) != Kind::Table {
        return [b"ERR ", lua.bytes(1).unwrap_or(b"unknown error")].concat();
    }
    let mut lua = lua.again();
    lua.get_field(1, "err");
    lua.bytes(-1).unwrap_or(b"ERR unknown error").to_vec()
}

/// Puts up the environment of loading; returns the table that collects what is registered.
fn prepare(handle: Handle) -> Function {
    let mut lua = handle.face();
    lua.new_table(4, 1);
    lua.push_bool(true);
    lua.set_field(-2, "open");
    lua.push_value(-1);
    let pending = handle.keep(&mut lua);
    lua.push_closure(register_function, 1);
    api::install_for_load(&mut lua);
    handle.push_unknown_refused();
    handle.protect();
    lua.new_table(0, 1);
    lua.insert(-2);
    lua.set_field(-2, "redis");
    handle.narrow();
    pending
}

/// Takes what was registered out of the collecting table, and closes it.
fn registered(handle: Handle, pending: Function) -> Vec<FunctionEntry> {
    let mut lua = handle.face();
    handle.push_kept(pending);
    let table = lua.top() as i32;
    lua.push_bool(false);
    lua.set_field(table, "open");
    let mut entries = Vec::new();
    for i in 1.. {
        lua.raw_get_i(table, i);
        if lua.kind(-1) != Kind::Table {
            break;
        }
        lua.get_field(-1, "name");
        let name = Arc::from(lua.bytes(-1).unwrap_or_default());
        lua.get_field(-2, "description");
        let description = lua.bytes(-1).map(<[u8]>::to_vec);
        lua.get_field(-3, "flags");
        let flags = ScriptFlags::from_bits_truncate(lua.number(-1).unwrap_or(0.0) as u8);
        lua.get_field(-4, "callback");
        let function = handle.keep(&mut lua);
        entries.push(FunctionEntry {
            name,
            flags,
            description,
            function,
        });
        lua.pop(4);
    }
    handle.clear();
    entries
}

/// `redis.register_function(name, callback)` and `redis.register_function{function_name=.., callback=.., ..}`.
fn register_function(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    lua.get_field(upvalue(1), "open");
    let open = lua.truth(-1);
    lua.pop(1);
    if !open {
        let text = "redis.register_function can only be called on FUNCTION LOAD command";
        return Err(fail(lua, text));
    }
    let given = match lua.nargs() {
        1 => named(lua),
        2 => positional(lua),
        _ => Err("wrong number of arguments to redis.register_function".to_string()),
    };
    let added = given.and_then(|(name, flags)| add(lua, &name, flags));
    added.map(|()| 0).map_err(|text| fail(lua, &text))
}

/// Leaves the callback and the description (or nil) on the stack; returns name and flags.
fn positional(lua: &mut Lua<'_>) -> Result<(Vec<u8>, ScriptFlags), String> {
    let name = lua
        .arg_bytes(1)
        .ok_or("first argument to redis.register_function must be a string")?;
    if lua.kind(2) != Kind::Function {
        return Err("second argument to redis.register_function must be a function".into());
    }
    lua.push_value(2);
    lua.push_nil();
    Ok((name.to_vec(), ScriptFlags::empty()))
}

/// As [`positional`], from a table of named arguments.
fn named(lua: &mut Lua<'_>) -> Result<(Vec<u8>, ScriptFlags), String> {
    if lua.kind(1) != Kind::Table {
        return Err("calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).".into());
    }
    let mut name = None;
    let mut flags = ScriptFlags::empty();
    lua.push_nil();
    lua.push_nil();
    let (callback, description) = (lua.top() as i32 - 1, lua.top() as i32);
    lua.push_nil();
    while lua.next(1) {
        let key = lua.bytes(-2).unwrap_or_default().to_ascii_lowercase();
        match &key[..] {
            b"function_name" => {
                let text = lua.text(-1);
                name = Some(text.ok_or(
                    "function_name argument given to redis.register_function must be a string",
                )?);
            }
            b"description" => {
                let text = lua.text(-1).ok_or(
                    "description argument given to redis.register_function must be a string",
                )?;
                lua.push_bytes(&text);
                lua.replace(description);
            }
            b"callback" => {
                if lua.kind(-1) != Kind::Function {
                    return Err(
                        "callback argument given to redis.register_function must be a function"
                            .into(),
                    );
                }
                lua.push_value(-1);
                lua.replace(callback);
            }
            b"flags" => flags = read_flags(lua)?,
            _ => return Err("unknown argument given to redis.register_function".into()),
        }
        lua.pop(1);
    }
    let name = name.ok_or("redis.register_function must get a function name argument")?;
    if lua.kind(callback) == Kind::Nil {
        return Err("redis.register_function must get a callback argument".into());
    }
    Ok((name, flags))
}

/// The list of flag words on top.
fn read_flags(lua: &mut Lua<'_>) -> Result<ScriptFlags, String> {
    if lua.kind(-1) != Kind::Table {
        return Err(
            "flags argument to redis.register_function must be a table representing function flags"
                .into(),
        );
    }
    let mut flags = ScriptFlags::empty();
    for i in 1.. {
        lua.raw_get_i(-1, i);
        let (nil, word) = (lua.kind(-1) == Kind::Nil, lua.bytes(-1));
        let found = word.and_then(shebang::flag);
        lua.pop(1);
        if nil {
            break;
        }
        flags |= found.ok_or("unknown flag given")?;
    }
    Ok(flags)
}

/// Adds the function whose callback and description are on top to the collecting table.
fn add(lua: &mut Lua<'_>, name: &[u8], flags: ScriptFlags) -> Result<(), String> {
    shebang::check_name(name).map_err(|e| e.to_string().replacen("ERR ", "", 1))?;
    let (callback, description) = (lua.top() as i32 - 1, lua.top() as i32);
    let mut n = 0;
    loop {
        lua.raw_get_i(upvalue(1), n + 1);
        if lua.kind(-1) != Kind::Table {
            lua.pop(1);
            break;
        }
        lua.get_field(-1, "name");
        let same = lua
            .bytes(-1)
            .is_some_and(|other| other.eq_ignore_ascii_case(name));
        lua.pop(2);
        if same {
            return Err("Function already exists in the library".into());
        }
        n += 1;
    }
    lua.new_table(0, 4);
    lua.push_bytes(name);
    lua.set_field(-2, "name");
    lua.push_value(callback);
    lua.set_field(-2, "callback");
    lua.push_value(description);
    lua.set_field(-2, "description");
    lua.push_number(f64::from(flags.bits()));
    lua.set_field(-2, "flags");
    lua.raw_set_i(upvalue(1), n + 1);
    Ok(())
}

/// The words of flags, as FUNCTION LIST tells them.
pub fn flag_words(flags: ScriptFlags) -> impl Iterator<Item = &'static str> {
    let set = FLAG_WORDS.iter().filter(move |(_, f)| flags.contains(*f));
    set.map(|(w, _)| *w)
}
