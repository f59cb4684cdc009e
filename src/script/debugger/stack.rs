//! The debugger's look into a stopped script: Lua's hook, the functions being called, their local variables, and code run beside
//! the script's.

use super::{Verdict, stop_here};
use crate::script::engine;
use crate::script::lua::{Lua, RawState, heap_of};
use crate::script::sandbox;
use mlua_sys as ffi;
use std::ffi::{CStr, c_int};

/// A function being called.
pub struct Frame {
    /// Its name, where the caller had one for it.
    pub name: Option<String>,
    /// The line it is at.
    pub line: i32,
    /// It is the script's, not one of ours or Lua's.
    pub ours: bool,
}

/// What Lua calls before each line, and every so many instructions, of a script that is debugged.
///
/// # Safety
/// To be called by Lua only, for a state whose allocator is ours.
pub unsafe extern "C-unwind" fn hook(l: *mut RawState, ar: *mut ffi::lua_Debug) {
    // SAFETY: `ar` is Lua's record of the present function; the state is native while Rust works on it, and nothing with a
    // destructor lives when the error is raised.
    unsafe {
        let heap = heap_of(l);
        (*heap).native(true);
        let counted = (*ar).event == ffi::LUA_HOOKCOUNT;
        ffi::lua_getinfo(l, c"Sl".as_ptr(), ar);
        let (ours, line) = (is_ours(&*ar), (*ar).currentline);
        let verdict = match ours {
            true => stop_here(&mut Lua::from_raw(l), counted, line),
            false => Verdict::GoOn,
        };
        match verdict {
            Verdict::GoOn => {}
            Verdict::LeaveAlone => engine::watch(l),
            Verdict::End(text) => {
                ffi::lua_checkstack(l, 6);
                ffi::lua_createtable(l, 0, 3);
                ffi::lua_pushlstring_(l, text.as_ptr().cast(), text.len());
                ffi::lua_setfield(l, -2, c"err".as_ptr());
            }
        }
        (*heap).native(false);
        if matches!(verdict, Verdict::End(_)) {
            ffi::lua_error(l);
        }
    }
}

fn is_ours(ar: &ffi::lua_Debug) -> bool {
    // SAFETY: Lua filled the name in, with a zero at its end.
    let source = unsafe { CStr::from_ptr(ar.short_src.as_ptr()) };
    source.to_bytes() == b"user_script"
}

/// The record of the function `level` calls above the stopped one.
fn at_level(lua: &Lua<'_>, level: i32) -> Option<ffi::lua_Debug> {
    // SAFETY: the record is plain data, for which zeros are values; Lua fills in what identifies the call.
    unsafe {
        let mut ar: ffi::lua_Debug = std::mem::zeroed();
        (ffi::lua_getstack(lua.raw(), level as c_int, &mut ar) == 1).then_some(ar)
    }
}

/// The function `level` calls above the stopped one.
pub fn frame(lua: &Lua<'_>, level: i32) -> Option<Frame> {
    let mut ar = at_level(lua, level)?;
    // SAFETY: the record was just made for this state; its name is null or a string that lives as long as the call.
    let name = unsafe {
        ffi::lua_getinfo(lua.raw(), c"Snl".as_ptr(), &mut ar);
        let name = (!ar.name.is_null()).then(|| CStr::from_ptr(ar.name));
        name.map(|n| n.to_string_lossy().into_owned())
    };
    Some(Frame {
        name,
        line: ar.currentline,
        ours: is_ours(&ar),
    })
}

/// Pushes local variable `n` (from 1) of that function and gives its name; None, and nothing pushed, when there are no more.
pub fn local(lua: &mut Lua<'_>, level: i32, n: i32) -> Option<String> {
    let ar = at_level(lua, level)?;
    if !lua.reserve(1) {
        return None;
    }
    // SAFETY: the record was just made for this state, and there is room for the value.
    unsafe {
        let name = ffi::lua_getlocal(lua.raw(), &ar, n as c_int);
        (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned())
    }
}

/// Runs code as the script's own, though in a call of its own, and pushes its first result (true) or its error (false).
pub fn evaluate(lua: &mut Lua<'_>, code: &[u8]) -> bool {
    if !lua.reserve(8) {
        lua.push_nil();
        return false;
    }
    if compile(lua, &[b"return ", code].concat()) {
        return call(lua, 0);
    }
    // No expression: statements, or an error worth telling.
    lua.pop(1);
    compile(lua, code) && call(lua, 0)
}

/// Pushes the function of this text (true) or the message why there is none.
fn compile(lua: &mut Lua<'_>, text: &[u8]) -> bool {
    lua.push_bytes(text);
    let l = lua.raw();
    // SAFETY: the caller made room, and the text is on top; it is taken from below what came of it.
    unsafe {
        let status = sandbox::load_text(l, -1, c"@ldb_eval".as_ptr());
        ffi::lua_remove(l, -2);
        status == 0
    }
}

/// Calls the function below `nargs` arguments; its result or the error is left in their place.
fn call(lua: &mut Lua<'_>, nargs: usize) -> bool {
    let l = lua.raw();
    // SAFETY: function and arguments are on top; what is raised is caught here, above frames that hold nothing of Rust's, and
    // only Lua's code runs while the heap is not native.
    unsafe {
        (*heap_of(l)).native(false);
        let status = ffi::lua_pcall(l, nargs as c_int, 1, 0);
        (*heap_of(l)).native(true);
        status == 0
    }
}

/// `redis.pcall` with these arguments; what it gives is dropped, as the session was told of it.
pub fn call_redis(lua: &mut Lua<'_>, args: &[Vec<u8>]) -> bool {
    if !lua.reserve(args.len() + 8) {
        return false;
    }
    let l = lua.raw();
    // SAFETY: there is room; `redis` is a table of ours, whose metatable raises nothing for this name.
    unsafe {
        ffi::lua_getfield(l, ffi::LUA_GLOBALSINDEX, c"redis".as_ptr());
        ffi::lua_getfield(l, -1, c"pcall".as_ptr());
        ffi::lua_remove(l, -2);
    }
    for arg in args {
        lua.push_bytes(arg);
    }
    call(lua, args.len());
    lua.pop(1);
    true
}

/// Where a function, a coroutine or the like is.
pub fn address(lua: &Lua<'_>, i: i32) -> usize {
    // SAFETY: asking for the address of any slot is allowed.
    unsafe { ffi::lua_topointer(lua.raw(), i as c_int) as usize }
}
