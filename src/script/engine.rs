//! One Lua state with its environment: making it, compiling into it, running a function of it.
//!
//! There are two: one for EVAL, thrown away by SCRIPT FLUSH, and one for functions. Between runs a state's heap is native (see
//! `lua.rs`): whatever Rust does to it cannot raise. Only while Lua code runs ([`Handle::run`]) allocations may be refused.
//!
//! A [`Handle`] is a plain pointer, so that the server, which owns the engines, can be lent to the running script. It stays
//! valid because engines are not dropped while `Scripts::running` holds; nobody outside this room sees one.

use super::loan;
use super::lua::{Heap, Lua, RawState, allocate, heap_of};
use super::{api, busy, debugger, lib, sandbox};
use crate::client::Client;
use crate::resp::Args;
use crate::server::Server;
use mlua_sys as ffi;
use std::ffi::{CString, c_int};
use std::marker::PhantomData;

/// Instructions between two looks at the time.
const HOOK_EVERY: c_int = 100_000;

/// Runs between two steps of the collector, beside those that Lua takes as it allocates: garbage of the last scripts must not
/// lie around until the next big one.
const COLLECT_EVERY: u32 = 50;

/// What an engine is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// EVAL and its kin.
    Eval,
    /// Function libraries.
    Functions,
}

/// A function kept in a state's registry, until [`Engine::forget`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function(c_int);

/// One Lua state.
#[derive(Debug)]
pub struct Engine {
    l: *mut RawState,
    heap: *mut Heap,
    env: Environment,
}

/// Where the parts of the environment are, in the registry.
#[derive(Debug, Clone, Copy)]
struct Environment {
    /// The globals, unprotected.
    real: c_int,
    /// What scripts see.
    proxy: c_int,
    /// The message handler.
    handler: c_int,
}

/// See the file header.
#[derive(Debug, Clone, Copy)]
pub struct Handle {
    l: *mut RawState,
    heap: *mut Heap,
    env: Environment,
}

/// How a run ended; the result or the error is on top of the stack, until [`Handle::clear`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With one result.
    Well,
    /// With an error: a table with `err` and perhaps `source` and `line`, or a string.
    Badly,
}

impl Engine {
    /// A state that may use `limit` bytes. `deprecated`: with what `lua-enable-deprecated-api` brings back.
    pub fn new(purpose: Purpose, limit: usize, deprecated: bool) -> Engine {
        let heap = Box::into_raw(Box::new(Heap::new(limit)));
        // SAFETY: the heap was just made and is freed after the state is closed; it is native from here on, so nothing below
        // raises. The stack is left empty.
        unsafe {
            (*heap).native(true);
            let l = ffi::lua_newstate(allocate, heap.cast());
            assert!(!l.is_null(), "no memory for a Lua state");
            ffi::lua_checkstack(l, 40);
            sandbox::open_libraries(l, deprecated);
            let mut lua = Lua::from_raw(l);
            for (name, install) in lib::ALL {
                install(&mut lua);
                ffi::lua_setfield(l, ffi::LUA_GLOBALSINDEX, name.as_ptr());
            }
            api::install(&mut lua, purpose);
            ffi::lua_setfield(l, ffi::LUA_GLOBALSINDEX, c"redis".as_ptr());
            ffi::lua_getfield_(l, ffi::LUA_GLOBALSINDEX, c"math".as_ptr());
            super::random::install(&mut lua);
            ffi::lua_settop(l, 0);
            ffi::lua_pushcfunction(l, sandbox::error_handler);
            if purpose == Purpose::Eval {
                ffi::lua_pushvalue(l, -1);
                let name = c"__redis__err__handler";
                ffi::lua_setfield(l, ffi::LUA_GLOBALSINDEX, name.as_ptr());
            }
            let handler = ffi::luaL_ref(l, ffi::LUA_REGISTRYINDEX);
            sandbox::close_globals(l);
            let proxy = ffi::luaL_ref(l, ffi::LUA_REGISTRYINDEX);
            let real = ffi::luaL_ref(l, ffi::LUA_REGISTRYINDEX);
            ffi::lua_settop(l, 0);
            watch(l);
            let env = Environment {
                real,
                proxy,
                handler,
            };
            Engine { l, heap, env }
        }
    }

    /// Bytes the state uses.
    pub fn memory(&self) -> usize {
        // SAFETY: the heap lives as long as the engine, and nobody holds a reference to it.
        unsafe { (*self.heap).used() }
    }

    /// A handle; see the file header.
    pub(super) fn handle(&self) -> Handle {
        Handle {
            l: self.l,
            heap: self.heap,
            env: self.env,
        }
    }

    /// Drops a function.
    pub(super) fn forget(&mut self, f: Function) {
        // SAFETY: a live, native state.
        unsafe { ffi::luaL_unref(self.l, ffi::LUA_REGISTRYINDEX, f.0) }
    }
}

// SAFETY: a state and its heap belong to their engine alone and are tied to no thread. An engine changes hands only between runs,
// when no handle of it is in use.
unsafe impl Send for Engine {}

impl Drop for Engine {
    fn drop(&mut self) {
        // SAFETY: nothing runs in the state; the heap was made by Box and goes after it.
        unsafe {
            ffi::lua_close(self.l);
            drop(Box::from_raw(self.heap));
        }
    }
}

impl Handle {
    /// The stack, with nothing counted as arguments.
    pub(super) fn face<'a>(self) -> Lua<'a> {
        // SAFETY: the state lives and is native (file header); nobody else uses it meanwhile, as the room has one thread and
        // its functions do not nest.
        unsafe {
            debug_assert!(ffi::lua_gettop(self.l) == 0);
            Lua::from_raw(self.l)
        }
    }

    /// The stack as a run left it: its result is the only value, and counts as an argument, so it stays.
    pub(super) fn result<'a>(self) -> Lua<'a> {
        // SAFETY: as in `face`.
        unsafe { Lua::from_raw(self.l) }
    }

    /// Compiles a chunk called `name`; its globals are the protected ones.
    ///
    /// # Errors
    /// Lua's message.
    pub(super) fn compile(self, text: &[u8], name: &str) -> Result<Function, Vec<u8>> {
        let name = CString::new(name).unwrap_or_default();
        // SAFETY: a live state; compiling runs in a protected call of Lua's own (the heap is native all the same), and leaves
        // one value, which is taken off.
        unsafe {
            ffi::lua_checkstack(self.l, 8);
            let status = sandbox::load_bytes(self.l, text, name.as_ptr());
            if status == 0 {
                let f = ffi::luaL_ref(self.l, ffi::LUA_REGISTRYINDEX);
                ffi::lua_settop(self.l, 0);
                return Ok(Function(f));
            }
            let message = Lua::from_raw(self.l).bytes(-1).unwrap_or(b"?").to_vec();
            ffi::lua_settop(self.l, 0);
            Err(message)
        }
    }

    /// Keeps the function on top of the stack (popped).
    pub(super) fn keep(self, lua: &mut Lua<'_>) -> Function {
        debug_assert!(lua.raw() == self.l && lua.top() > lua.nargs());
        // SAFETY: a live state with a value on top.
        unsafe { Function(ffi::luaL_ref(self.l, ffi::LUA_REGISTRYINDEX)) }
    }

    /// Pushes what [`Handle::keep`] kept.
    pub(super) fn push_kept(self, f: Function) {
        // SAFETY: a live, native state.
        unsafe {
            ffi::lua_checkstack(self.l, 2);
            ffi::lua_rawgeti_(self.l, ffi::LUA_REGISTRYINDEX, f.0);
        }
    }

    /// Sets a global to the value on top (popped).
    pub(super) fn set_global(self, lua: &mut Lua<'_>, name: &str) {
        // SAFETY: a live state; the reference holds the globals' table.
        unsafe { ffi::lua_rawgeti_(self.l, ffi::LUA_REGISTRYINDEX, self.env.real) };
        lua.insert(-2);
        lua.set_field(-2, name);
        lua.pop(1);
    }

    /// While a library is loaded scripts see the table on top (popped) instead of the globals; unknown names are an error.
    pub(super) fn narrow(self) {
        // SAFETY: a live, native state with a table on top.
        unsafe {
            ffi::lua_checkstack(self.l, 8);
            self.push_unknown_refused();
            ffi::lua_rawgeti_(self.l, ffi::LUA_REGISTRYINDEX, self.env.proxy);
            ffi::lua_insert(self.l, -2);
            sandbox::redirect(self.l, -2);
            ffi::lua_settop(self.l, -2);
        }
    }

    /// Gives the table on top the metatable of the globals, under which unknown names are an error.
    pub(super) fn push_unknown_refused(self) {
        // SAFETY: as above; the globals have a metatable since `close_globals`.
        unsafe {
            ffi::lua_rawgeti_(self.l, ffi::LUA_REGISTRYINDEX, self.env.real);
            ffi::lua_getmetatable(self.l, -1);
            ffi::lua_remove(self.l, -2);
            ffi::lua_setmetatable(self.l, -2);
        }
    }

    /// Replaces the table on top by a protected one.
    pub(super) fn protect(self) {
        // SAFETY: as above.
        unsafe {
            ffi::lua_checkstack(self.l, 12);
            sandbox::protect(self.l, 0);
        }
    }

    /// Ends [`Handle::narrow`].
    pub(super) fn widen(self) {
        // SAFETY: a live, native state.
        unsafe {
            ffi::lua_checkstack(self.l, 8);
            ffi::lua_rawgeti_(self.l, ffi::LUA_REGISTRYINDEX, self.env.proxy);
            ffi::lua_rawgeti_(self.l, ffi::LUA_REGISTRYINDEX, self.env.real);
            sandbox::redirect(self.l, -2);
            ffi::lua_settop(self.l, -2);
        }
    }

    /// Runs a function with the arguments that `push` pushes, while server and client are lent to it.
    #[inline]
    pub(super) fn run(
        self,
        f: Function,
        server: &mut Server,
        client: &mut Client,
        args: Args<'_>,
        push: impl FnOnce(&mut Lua<'_>) -> usize,
    ) -> Ended {
        let nargs = self.prepare(f, push);
        // SAFETY: the heap is the state's; `call` touches the server through the loan only.
        unsafe { loan::lend(self.heap, server, client, args, || self.call(nargs)) }
    }

    /// The next run is one under the debugger.
    pub(super) fn debug(self) {
        let mask = ffi::LUA_MASKLINE | ffi::LUA_MASKCOUNT;
        // SAFETY: a live state whose allocator is ours.
        unsafe { ffi::lua_sethook(self.l, Some(debugger::stack::hook), mask, HOOK_EVERY) };
    }

    /// Runs a function that loads a library: without a server, until `deadline_us` (monotonic).
    pub(super) fn run_alone(self, f: Function, deadline_us: u64) -> Ended {
        let nargs = self.prepare(f, |_| 0);
        // SAFETY: the heap is the state's, and nobody else touches it.
        unsafe {
            (*self.heap).deadline_us = deadline_us;
            let ended = self.call(nargs);
            (*self.heap).deadline_us = 0;
            ended
        }
    }

    #[inline]
    fn prepare(self, f: Function, push: impl FnOnce(&mut Lua<'_>) -> usize) -> usize {
        // SAFETY: a live, native state, whose stack is empty between runs.
        unsafe {
            ffi::lua_settop(self.l, 0);
            ffi::lua_checkstack(self.l, 20);
            ffi::lua_rawgeti_(self.l, ffi::LUA_REGISTRYINDEX, self.env.handler);
            ffi::lua_rawgeti_(self.l, ffi::LUA_REGISTRYINDEX, f.0);
            push(&mut Lua::from_raw(self.l))
        }
    }

    #[inline]
    unsafe fn call(self, nargs: usize) -> Ended {
        // SAFETY: the stack holds handler, function and arguments; whatever is raised is caught by the protected call, whose
        // frames below hold nothing of Rust's but plain values.
        unsafe {
            (*self.heap).native(false);
            let status = ffi::lua_pcall(self.l, nargs as c_int, 1, 1);
            (*self.heap).native(true);
            ffi::lua_remove(self.l, 1);
            if ffi::lua_gethookmask(self.l) != ffi::LUA_MASKCOUNT {
                watch(self.l);
            }
            match status {
                0 => Ended::Well,
                _ => Ended::Badly,
            }
        }
    }

    /// Drops what a run left.
    pub(super) fn clear(self) {
        // SAFETY: a live, native state.
        unsafe {
            ffi::lua_settop(self.l, 0);
            (*self.heap).runs += 1;
            if (*self.heap).crowded() {
                ffi::lua_gc(self.l, ffi::LUA_GCCOLLECT, 0);
            } else if (*self.heap).runs.is_multiple_of(COLLECT_EVERY) {
                ffi::lua_gc(self.l, ffi::LUA_GCSTEP, 2);
            }
        }
    }
}

/// Has Lua call [`hook`], as is the rule.
///
/// # Safety
/// `l` must be a live state whose allocator is ours.
pub(super) unsafe fn watch(l: *mut RawState) {
    // SAFETY: a live state by contract.
    unsafe { ffi::lua_sethook(l, Some(hook), ffi::LUA_MASKCOUNT, HOOK_EVERY) };
}

/// Called by Lua every [`HOOK_EVERY`] instructions, and at every line once the script is to end.
pub(super) unsafe extern "C-unwind" fn hook(l: *mut RawState, _ar: *mut ffi::lua_Debug) {
    // SAFETY: the allocator's user data is our Heap; the references of the loan end before Lua goes on or is left, and
    // nothing with a destructor lives when the error is raised.
    unsafe {
        let heap = heap_of(l);
        (*heap).native(true);
        let verdict = match loan::borrow_raw(l, PhantomData) {
            Some((server, _, args)) => busy::look(server, args),
            None => busy::look_at_load((*heap).deadline_us),
        };
        if let Some(text) = verdict {
            ffi::lua_checkstack(l, 6);
            ffi::lua_sethook(
                l,
                Some(hook),
                ffi::LUA_MASKLINE | ffi::LUA_MASKCOUNT,
                HOOK_EVERY,
            );
            ffi::lua_createtable(l, 0, 3);
            ffi::lua_pushlstring_(l, text.as_ptr().cast(), text.len());
            ffi::lua_setfield(l, -2, c"err".as_ptr());
        }
        (*heap).native(false);
        if verdict.is_some() {
            ffi::lua_error(l);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::lua::Kind;

    fn told(engine: &Engine, text: &str) -> String {
        let handle = engine.handle();
        let f = handle.compile(text.as_bytes(), "@t").expect("it compiles");
        let ended = handle.run_alone(f, 0);
        let mut lua = handle.result();
        if lua.kind(1) == Kind::Table {
            lua.get_field(1, "err");
        }
        let told = String::from_utf8_lossy(lua.bytes(-1).unwrap_or_default()).into_owned();
        handle.clear();
        format!("{ended:?} {told}")
    }

    #[test]
    fn no_memory_is_an_error_and_nothing_else() {
        let engine = Engine::new(Purpose::Eval, 4 << 20, false);
        for bomb in [
            "local s = string.rep('x', 1024) while true do s = s .. s .. s end",
            "return string.rep('x', 100000000)",
            "local t = {} for i = 1, 100000000 do t[i] = {i} end",
            "local t = {} for i = 1, 1000 do t[i] = string.rep('x', 10000) .. i end return cjson.encode({t, t, t})",
            "return cmsgpack.unpack(string.rep(string.char(0xdd, 0, 0, 0xff, 0xff), 15) .. string.rep('\\192', 10))",
        ] {
            let told = told(&engine, bomb);
            assert!(told.starts_with("Badly"), "{bomb}: {told}");
        }
        assert_eq!(told(&engine, "return 'alive'"), "Well alive");
        assert!(engine.memory() < 4 << 20);
    }

    /// Loading a script leaves the function and no copy of its text, which would wait for a collection.
    #[test]
    fn loading_leaves_no_garbage() {
        let engine = Engine::new(Purpose::Eval, 256 << 20, false);
        let before = engine.memory();
        for i in 0..100 {
            let text = format!("--{}\nreturn {i}", "x".repeat(100_000));
            assert!(engine.handle().compile(text.as_bytes(), "@test").is_ok());
        }
        let grown = engine.memory() - before;
        assert!(
            grown < 200_000,
            "{grown} bytes for a hundred tiny functions"
        );
        let bytecode = engine.handle().compile(b"\x1bLua", "@test");
        assert!(bytecode.is_err());
    }

    #[test]
    fn deep_things_are_errors() {
        let engine = Engine::new(Purpose::Eval, 256 << 20, false);
        for deep in [
            "local function f() return f() + 1 end return f()",
            "local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k .. 'x'] end return t.a",
            "return string.rep('a', 40000):match(string.rep('a?', 40000))",
            "local f = coroutine.wrap(function() end) f() f()",
            "return loadstring(string.rep('(', 1000))()",
            "return {unpack({1,2,3}, -2, 2147483647)}",
            "return {unpack({}, 1, 100000)}",
            // Not as a tail call: that grows nothing but its arguments, up to all memory, and takes hours.
            "local function f(...) return 1 + f(1, ...) end f()",
            "local t = {} for i = 1, 20000 do t = {t} end return cjson.encode(t)",
        ] {
            let told = told(&engine, deep);
            assert!(told.starts_with("Badly"), "{deep}: {told}");
        }
        assert_eq!(told(&engine, "return 'alive'"), "Well alive");
    }
}
