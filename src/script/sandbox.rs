//! What a script finds: Lua's own functions made safe, and tables that cannot be changed.
//!
//! Plain Lua 5.1 has no read-only tables. A protected table is an empty one (its proxy) whose metatable reads from the real
//! table, refuses assignments, and carries a mark. The few functions that work around metatables are replaced by ones that know
//! the mark: `rawset`, `setmetatable` and `table.insert` refuse, `rawget`, `next`, `pairs` and `getmetatable` look through.
//! The globals are protected the same way, so a script can neither leave anything behind nor change what the next one finds.
//!
//! `load` and `loadstring` take source text only: bytecode could do anything. The functions here are C functions in form (they
//! may raise at any call), so they own nothing that would have to be dropped.

use super::lua::RawState;
use mlua_sys as ffi;
use std::ffi::{CStr, c_int, c_void};

/// The mark's address is the key under which a proxy's metatable holds the real table.
static MARK: u8 = 0;
/// Its address is the key under which it holds what `getmetatable` shows.
static SHOWN: u8 = 0;

const READ_ONLY: &CStr = c"Attempt to modify a readonly table";

/// What `lua-enable-deprecated-api` adds to them.
const DEPRECATED: [&[u8]; 3] = [b"getfenv", b"setfenv", b"newproxy"];

/// Globals of Lua's own that a script may see; everything else is taken away.
const ALLOWED: [&[u8]; 29] = [
    b"_G",
    b"_VERSION",
    b"assert",
    b"collectgarbage",
    b"coroutine",
    b"error",
    b"gcinfo",
    b"getmetatable",
    b"ipairs",
    b"load",
    b"loadstring",
    b"math",
    b"next",
    b"os",
    b"pairs",
    b"pcall",
    b"rawequal",
    b"rawget",
    b"rawset",
    b"redis",
    b"select",
    b"setmetatable",
    b"string",
    b"table",
    b"tonumber",
    b"tostring",
    b"type",
    b"unpack",
    b"xpcall",
];

fn key(mark: &'static u8) -> *mut c_void {
    (mark as *const u8).cast_mut().cast()
}

/// Replaces the table on top by its proxy. `shown` (a stack index, or 0 for nil) is what `getmetatable` gives for it.
///
/// # Safety
/// `l` must be a live state whose heap is native, with room for eight values and a table on top.
pub unsafe fn protect(l: *mut RawState, shown: c_int) {
    // SAFETY: the caller's; every push is matched below.
    unsafe {
        let real = ffi::lua_gettop(l);
        ffi::lua_createtable(l, 0, 0);
        ffi::lua_createtable(l, 0, 4);
        ffi::lua_pushvalue(l, real);
        ffi::lua_setfield(l, -2, c"__index".as_ptr());
        ffi::lua_pushcfunction(l, refuse_assignment);
        ffi::lua_setfield(l, -2, c"__newindex".as_ptr());
        ffi::lua_pushlightuserdata(l, key(&MARK));
        ffi::lua_pushvalue(l, real);
        ffi::lua_rawset(l, -3);
        if shown != 0 {
            ffi::lua_pushlightuserdata(l, key(&SHOWN));
            ffi::lua_pushvalue(l, shown);
            ffi::lua_rawset(l, -3);
        }
        ffi::lua_setmetatable(l, -2);
        ffi::lua_remove(l, real);
    }
}

/// Makes the proxy at `proxy` read from the table on top (popped) from now on.
///
/// # Safety
/// As for [`protect`]; `proxy` must be made by it.
pub unsafe fn redirect(l: *mut RawState, proxy: c_int) {
    // SAFETY: the caller's.
    unsafe {
        let real = ffi::lua_gettop(l);
        ffi::lua_getmetatable(l, proxy);
        ffi::lua_pushvalue(l, real);
        ffi::lua_setfield(l, -2, c"__index".as_ptr());
        ffi::lua_pushlightuserdata(l, key(&MARK));
        ffi::lua_pushvalue(l, real);
        ffi::lua_rawset(l, -3);
        ffi::lua_settop(l, real - 1);
    }
}

/// Pushes the real table when slot `i` is a proxy.
unsafe fn push_real(l: *mut RawState, i: c_int) -> bool {
    // SAFETY: a C function's stack with room left.
    unsafe {
        if ffi::lua_type(l, i) != ffi::LUA_TTABLE || ffi::lua_getmetatable(l, i) == 0 {
            return false;
        }
        ffi::lua_pushlightuserdata(l, key(&MARK));
        ffi::lua_rawget_(l, -2);
        ffi::lua_remove(l, -2);
        if ffi::lua_type(l, -1) == ffi::LUA_TTABLE {
            return true;
        }
        ffi::lua_settop(l, -2);
        false
    }
}

/// Raises the complaint, without a position, when slot `i` is a proxy.
unsafe fn refuse_if_protected(l: *mut RawState, i: c_int) {
    // SAFETY: nothing to drop when this raises.
    unsafe {
        if push_real(l, i) {
            ffi::lua_pushstring_(l, READ_ONLY.as_ptr());
            ffi::lua_error(l);
        }
    }
}

unsafe extern "C-unwind" fn refuse_assignment(l: *mut RawState) -> c_int {
    // SAFETY: raises, with nothing to drop.
    unsafe { ffi::luaL_error(l, c"%s".as_ptr(), READ_ONLY.as_ptr()) }
}

/// `__index` of the globals: the name is not there.
unsafe extern "C-unwind" fn refuse_unknown(l: *mut RawState) -> c_int {
    // SAFETY: slot 2 is the key that was looked up; a name is a string nearly always.
    unsafe {
        let name = ffi::lua_tolstring(l, 2, std::ptr::null_mut());
        let name = if name.is_null() { c"?".as_ptr() } else { name };
        let text = c"Script attempted to access nonexistent global variable '%s'";
        ffi::luaL_error(l, text.as_ptr(), name)
    }
}

unsafe extern "C-unwind" fn raw_set(l: *mut RawState) -> c_int {
    // SAFETY: as Lua's own.
    unsafe {
        ffi::luaL_checktype(l, 1, ffi::LUA_TTABLE);
        ffi::luaL_checkany(l, 2);
        ffi::luaL_checkany(l, 3);
        refuse_if_protected(l, 1);
        ffi::lua_settop(l, 3);
        if is_finalizer(l, 2) {
            ffi::lua_settop(l, 1);
            return 1;
        }
        ffi::lua_rawset(l, 1);
        1
    }
}

unsafe extern "C-unwind" fn raw_get(l: *mut RawState) -> c_int {
    // SAFETY: as Lua's own.
    unsafe {
        ffi::luaL_checktype(l, 1, ffi::LUA_TTABLE);
        ffi::luaL_checkany(l, 2);
        ffi::lua_settop(l, 2);
        if push_real(l, 1) {
            ffi::lua_replace(l, 1);
        }
        ffi::lua_rawget_(l, 1);
        1
    }
}

unsafe extern "C-unwind" fn set_metatable(l: *mut RawState) -> c_int {
    // SAFETY: as Lua's own.
    unsafe {
        let t = ffi::lua_type(l, 2);
        ffi::luaL_checktype(l, 1, ffi::LUA_TTABLE);
        if t != ffi::LUA_TNIL && t != ffi::LUA_TTABLE {
            ffi::luaL_argerror(l, 2, c"nil or table expected".as_ptr());
        }
        refuse_if_protected(l, 1);
        if ffi::luaL_getmetafield_(l, 1, c"__metatable".as_ptr()) != 0 {
            return ffi::luaL_error(l, c"cannot change a protected metatable".as_ptr());
        }
        ffi::lua_settop(l, 2);
        ffi::lua_setmetatable(l, 1);
        1
    }
}

unsafe extern "C-unwind" fn get_metatable(l: *mut RawState) -> c_int {
    // SAFETY: as Lua's own.
    unsafe {
        ffi::luaL_checkany(l, 1);
        if ffi::lua_getmetatable(l, 1) == 0 {
            ffi::lua_pushnil(l);
            return 1;
        }
        for mark in [&SHOWN, &MARK] {
            ffi::lua_pushlightuserdata(l, key(mark));
            ffi::lua_rawget_(l, -2);
            if std::ptr::eq(mark, &SHOWN) && ffi::lua_type(l, -1) != ffi::LUA_TNIL {
                return 1;
            }
            if std::ptr::eq(mark, &MARK) && ffi::lua_type(l, -1) != ffi::LUA_TNIL {
                ffi::lua_pushnil(l);
                return 1;
            }
            ffi::lua_settop(l, -2);
        }
        ffi::luaL_getmetafield_(l, 1, c"__metatable".as_ptr());
        1
    }
}

unsafe extern "C-unwind" fn next(l: *mut RawState) -> c_int {
    // SAFETY: as Lua's own.
    unsafe {
        ffi::luaL_checktype(l, 1, ffi::LUA_TTABLE);
        ffi::lua_settop(l, 2);
        if push_real(l, 1) {
            ffi::lua_replace(l, 1);
        }
        if ffi::lua_next(l, 1) != 0 {
            return 2;
        }
        ffi::lua_pushnil(l);
        1
    }
}

/// Upvalue 1 is `next`, which looks through proxies, upvalue 2 Lua's own.
unsafe extern "C-unwind" fn pairs(l: *mut RawState) -> c_int {
    // SAFETY: as Lua's own.
    unsafe {
        ffi::luaL_checktype(l, 1, ffi::LUA_TTABLE);
        let which = if push_real(l, 1) { 1 } else { 2 };
        ffi::lua_pushvalue(l, ffi::lua_upvalueindex(which));
        ffi::lua_pushvalue(l, 1);
        ffi::lua_pushnil(l);
        3
    }
}

unsafe extern "C-unwind" fn table_insert(l: *mut RawState) -> c_int {
    // SAFETY: as Lua's own.
    unsafe {
        ffi::luaL_checktype(l, 1, ffi::LUA_TTABLE);
        let end = ffi::lua_objlen(l, 1) as c_int + 1;
        let pos = match ffi::lua_gettop(l) {
            2 => end,
            3 => {
                let pos = ffi::luaL_checkinteger(l, 2) as c_int;
                let mut i = end.max(pos);
                if i > pos {
                    refuse_if_protected(l, 1);
                }
                while i > pos {
                    ffi::lua_rawgeti_(l, 1, i - 1);
                    ffi::lua_rawseti_(l, 1, i);
                    i -= 1;
                }
                pos
            }
            _ => return ffi::luaL_error(l, c"wrong number of arguments to 'insert'".as_ptr()),
        };
        refuse_if_protected(l, 1);
        ffi::lua_rawseti_(l, 1, pos);
        0
    }
}

/// `pcall`: an error table made by `redis.call` or `error{err=..}` comes as its text.
unsafe extern "C-unwind" fn pcall(l: *mut RawState) -> c_int {
    // SAFETY: as Lua's own; what is called may raise, and is caught.
    unsafe {
        ffi::luaL_checkany(l, 1);
        let status = ffi::lua_pcall(l, ffi::lua_gettop(l) - 1, ffi::LUA_MULTRET, 0);
        ffi::luaL_checkstack_(l, 3, c"too many results".as_ptr());
        if status != 0 && ffi::lua_type(l, -1) == ffi::LUA_TTABLE {
            ffi::lua_pushlstring_(l, c"err".as_ptr(), 3);
            ffi::lua_rawget_(l, -2);
            if ffi::lua_type(l, -1) == ffi::LUA_TSTRING {
                ffi::lua_replace(l, -2);
            } else {
                ffi::lua_settop(l, -2);
            }
        }
        ffi::lua_pushboolean(l, c_int::from(status == 0));
        ffi::lua_insert(l, 1);
        ffi::lua_gettop(l)
    }
}

/// `unpack` with bounds that do not overflow.
unsafe extern "C-unwind" fn unpack(l: *mut RawState) -> c_int {
    const TOO_MANY: &CStr = c"too many results to unpack";
    // SAFETY: as Lua's own, with the count in 64 bits.
    unsafe {
        ffi::luaL_checktype(l, 1, ffi::LUA_TTABLE);
        let first = match ffi::lua_type(l, 2) {
            t if t <= ffi::LUA_TNIL => 1,
            _ => ffi::luaL_checkinteger(l, 2) as c_int,
        };
        let last = match ffi::lua_type(l, 3) {
            t if t <= ffi::LUA_TNIL => ffi::lua_objlen(l, 1) as c_int,
            _ => ffi::luaL_checkinteger(l, 3) as c_int,
        };
        if first > last {
            return 0;
        }
        let n = i64::from(last) - i64::from(first) + 1;
        if n >= 8000 || ffi::lua_checkstack(l, n as c_int) == 0 {
            return ffi::luaL_error(l, TOO_MANY.as_ptr());
        }
        for i in first..=last {
            ffi::lua_rawgeti_(l, 1, i);
        }
        n as c_int
    }
}

/// Longest pattern, bytes: matching takes some C stack for each of its items.
const LONGEST_PATTERN: usize = 16 * 1024;

/// A function of `string` whose second argument is a pattern. Upvalue 1 is Lua's own, which is called in our place: it finds
/// the arguments where it expects them, and its messages name it rightly.
unsafe extern "C-unwind" fn with_pattern(l: *mut RawState) -> c_int {
    // SAFETY: the upvalue is the C function that `guard_patterns` put there, which takes its arguments from the stack.
    unsafe {
        if ffi::lua_type(l, 2) == ffi::LUA_TSTRING
            && ffi::lua_objlen(l, 2) > LONGEST_PATTERN
            && (ffi::lua_toboolean(l, ffi::lua_upvalueindex(2)) == 0
                || ffi::lua_toboolean(l, 4) == 0)
        {
            return ffi::luaL_error(l, c"pattern too complex".as_ptr());
        }
        let own = ffi::lua_touserdata(l, ffi::lua_upvalueindex(1));
        std::mem::transmute::<*mut c_void, ffi::lua_CFunction>(own)(l)
    }
}

/// Puts [`with_pattern`] before the functions of `string`, which is on top.
unsafe fn guard_patterns(l: *mut RawState) {
    // SAFETY: called by `open_libraries`, with room on the stack.
    unsafe {
        for name in [c"find", c"match", c"gmatch", c"gfind", c"gsub"] {
            ffi::lua_getfield_(l, -1, name.as_ptr());
            let own = ffi::lua_tocfunction(l, -1);
            ffi::lua_settop(l, -2);
            if let Some(own) = own {
                ffi::lua_pushlightuserdata(l, own as *mut c_void);
                // Only `find` can be told that its pattern is plain text.
                ffi::lua_pushboolean(l, c_int::from(name == c"find"));
                ffi::lua_pushcclosure(l, with_pattern, 2);
                ffi::lua_setfield(l, -2, name.as_ptr());
            }
        }
    }
}

/// Longest chunk, bytes: the lexer counts in 32 bits.
const LONGEST_CHUNK: usize = 1 << 30;

/// Whether text begins as bytecode does.
fn is_bytecode(text: &[u8]) -> bool {
    text.first() == Some(&ffi::LUA_SIGNATURE[0])
}

/// Compiles source text that lies outside of Lua: no string is made of it, which would be garbage at once and fill memory until the next
/// collection when thousands of scripts are loaded. Leaves the function or the message.
///
/// # Safety
/// `l` must be a live state with room for four values, whose heap refuses nothing.
pub unsafe fn load_bytes(l: *mut RawState, text: &[u8], name: *const std::ffi::c_char) -> c_int {
    if is_bytecode(text) {
        // As in `load_text`.
        let text = [b" ", text].concat();
        // SAFETY: the caller's promise.
        return unsafe { load_bytes(l, &text, name) };
    }
    // SAFETY: the caller's promise; compiling is a protected call of Lua's own, so nothing is jumped over.
    unsafe {
        if text.len() > LONGEST_CHUNK {
            ffi::lua_pushstring_(l, c"chunk too long".as_ptr());
            return ffi::LUA_ERRSYNTAX;
        }
        // The parser does not hold on to the string it makes of the name: it must be held here.
        ffi::lua_pushstring_(l, name);
        let held = ffi::lua_gettop(l);
        let status = ffi::luaL_loadbuffer(l, text.as_ptr().cast(), text.len(), name);
        ffi::lua_remove(l, held);
        status
    }
}

/// Compiles source text. The first byte of bytecode is no character of Lua: after a blank the parser says so.
///
/// # Safety
/// `l` must be a live state with room for four values, and slot `source` must hold a string.
pub unsafe fn load_text(l: *mut RawState, source: c_int, name: *const std::ffi::c_char) -> c_int {
    // SAFETY: the caller's; the string stays on the stack while it is read.
    unsafe {
        let source = if source < 0 {
            ffi::lua_gettop(l) + 1 + source
        } else {
            source
        };
        let mut len = 0;
        let mut text = ffi::lua_tolstring(l, source, &mut len);
        // The parser does not hold on to the string it makes of the name: it must be held here.
        ffi::lua_pushstring_(l, name);
        let held = ffi::lua_gettop(l);
        if len > LONGEST_CHUNK {
            ffi::lua_pushstring_(l, c"chunk too long".as_ptr());
            ffi::lua_remove(l, held);
            return ffi::LUA_ERRSYNTAX;
        }
        let bytecode = len > 0 && *text.cast::<u8>() == ffi::LUA_SIGNATURE[0];
        if bytecode {
            ffi::lua_pushlstring_(l, c" ".as_ptr(), 1);
            ffi::lua_pushvalue(l, source);
            ffi::lua_concat(l, 2);
            text = ffi::lua_tolstring(l, -1, &mut len);
        }
        let status = ffi::luaL_loadbuffer(l, text, len, name);
        if bytecode {
            ffi::lua_remove(l, -2);
        }
        ffi::lua_remove(l, held);
        status
    }
}

unsafe fn loaded(l: *mut RawState, status: c_int) -> c_int {
    // SAFETY: the function or the message is on top.
    unsafe {
        if status == 0 {
            return 1;
        }
        ffi::lua_pushnil(l);
        ffi::lua_insert(l, -2);
        2
    }
}

unsafe extern "C-unwind" fn load_string(l: *mut RawState) -> c_int {
    // SAFETY: as Lua's own.
    unsafe {
        let text = ffi::luaL_checklstring(l, 1, std::ptr::null_mut());
        let name = ffi::luaL_optlstring(l, 2, text, std::ptr::null_mut());
        ffi::luaL_checkstack_(l, 8, c"loadstring".as_ptr());
        loaded(l, load_text(l, 1, name))
    }
}

/// `load(f [, name])`: the pieces that `f` gives are one chunk.
unsafe extern "C-unwind" fn load(l: *mut RawState) -> c_int {
    // SAFETY: as Lua's own: pieces are concatenated one by one at slot 3.
    unsafe {
        let name = ffi::luaL_optlstring(l, 2, c"=(load)".as_ptr(), std::ptr::null_mut());
        ffi::luaL_checktype(l, 1, ffi::LUA_TFUNCTION);
        ffi::lua_settop(l, 2);
        ffi::lua_pushlstring_(l, c"".as_ptr(), 0);
        let mut pieces = 1;
        loop {
            ffi::luaL_checkstack_(l, 4, c"too many nested functions".as_ptr());
            ffi::lua_pushvalue(l, 1);
            ffi::lua_call(l, 0, 1);
            let t = ffi::lua_type(l, -1);
            if t == ffi::LUA_TNIL {
                ffi::lua_settop(l, -2);
                break;
            }
            if ffi::lua_isstring(l, -1) == 0 {
                return ffi::luaL_error(l, c"reader function must return a string".as_ptr());
            }
            let mut len = 0;
            ffi::lua_tolstring(l, -1, &mut len);
            pieces += 1;
            if len == 0 {
                break;
            }
            if pieces > 64 {
                ffi::lua_concat(l, pieces);
                pieces = 1;
            }
        }
        ffi::lua_concat(l, pieces);
        loaded(l, load_text(l, 3, name))
    }
}

/// Turns the `err` of a script into a table that says where it was raised; the message handler of every run, visible to
/// scripts as `__redis__err__handler`.
///
/// # Safety
/// Called by Lua only, with its state.
pub unsafe extern "C-unwind" fn error_handler(l: *mut RawState) -> c_int {
    // SAFETY: slot 1 is the error; lua_Debug is plain data filled by Lua.
    unsafe {
        ffi::lua_settop(l, 1);
        let mut ar: ffi::lua_Debug = std::mem::zeroed();
        let mut known = ffi::lua_getstack(l, 1, &mut ar) != 0;
        if known {
            ffi::lua_getinfo(l, c"Sl".as_ptr(), &mut ar);
            if *ar.what.cast::<u8>() == b'C' {
                known = ffi::lua_getstack(l, 2, &mut ar) != 0;
                if known {
                    ffi::lua_getinfo(l, c"Sl".as_ptr(), &mut ar);
                }
            }
        }
        if ffi::lua_type(l, 1) != ffi::LUA_TTABLE || push_real(l, 1) {
            ffi::lua_settop(l, 1);
            ffi::lua_createtable(l, 0, 3);
            ffi::lua_pushlstring_(l, c"ERR ".as_ptr(), 4);
            match ffi::lua_type(l, 1) {
                ffi::LUA_TSTRING | ffi::LUA_TNUMBER => ffi::lua_pushvalue(l, 1),
                ffi::LUA_TBOOLEAN if ffi::lua_toboolean(l, 1) != 0 => {
                    ffi::lua_pushstring_(l, c"true".as_ptr());
                }
                ffi::LUA_TBOOLEAN => ffi::lua_pushstring_(l, c"false".as_ptr()),
                t => ffi::lua_pushstring_(l, ffi::lua_typename(l, t)),
            }
            ffi::lua_concat(l, 2);
            set_raw(l, 2, c"err");
            ffi::lua_replace(l, 1);
        }
        if known {
            ffi::lua_pushstring_(l, ar.source);
            set_raw(l, 1, c"source");
            ffi::lua_pushnumber(l, f64::from(ar.currentline));
            set_raw(l, 1, c"line");
        }
        1
    }
}

/// `t[name] = top`, popped, without metamethods.
unsafe fn set_raw(l: *mut RawState, t: c_int, name: &CStr) {
    // SAFETY: the caller has a table at `t` and a value on top.
    unsafe {
        ffi::lua_pushstring_(l, name.as_ptr());
        ffi::lua_insert(l, -2);
        ffi::lua_rawset(l, t);
    }
}

/// Opens Lua's libraries, takes away what scripts may not have, and puts the safe functions in place. Leaves nothing on the
/// stack: the globals are those of the state, still open.
///
/// # Safety
/// `l` must be a fresh state whose heap is native.
pub unsafe fn open_libraries(l: *mut RawState, deprecated: bool) {
    // SAFETY: the caller's; nothing raises in a native heap but out of a bug here.
    unsafe {
        for (open, name) in [
            (ffi::luaopen_base as ffi::lua_CFunction, c""),
            (ffi::luaopen_table, c"table"),
            (ffi::luaopen_string, c"string"),
            (ffi::luaopen_math, c"math"),
            (ffi::luaopen_os, c"os"),
        ] {
            ffi::lua_pushcfunction(l, open);
            ffi::lua_pushstring_(l, name.as_ptr());
            ffi::lua_call(l, 1, 0);
        }
        ffi::lua_getfield_(l, ffi::LUA_GLOBALSINDEX, c"string".as_ptr());
        guard_patterns(l);
        ffi::lua_settop(l, -2);
        let more: &[&[u8]] = if deprecated { &DEPRECATED } else { &[] };
        keep_only(l, ffi::LUA_GLOBALSINDEX, &[&ALLOWED, more].concat());
        if deprecated {
            install_new_proxy(l);
        }
        ffi::lua_getfield_(l, ffi::LUA_GLOBALSINDEX, c"os".as_ptr());
        keep_only(l, ffi::lua_gettop(l), &[b"clock"]);
        ffi::lua_settop(l, -2);
        let safe: [(&CStr, ffi::lua_CFunction); 9] = [
            (c"rawset", raw_set),
            (c"rawget", raw_get),
            (c"setmetatable", set_metatable),
            (c"getmetatable", get_metatable),
            (c"next", next),
            (c"unpack", unpack),
            (c"pcall", pcall),
            (c"loadstring", load_string),
            (c"load", load),
        ];
        ffi::lua_pushcfunction(l, next);
        ffi::lua_getfield_(l, ffi::LUA_GLOBALSINDEX, c"next".as_ptr());
        ffi::lua_pushcclosure(l, pairs, 2);
        ffi::lua_setfield(l, ffi::LUA_GLOBALSINDEX, c"pairs".as_ptr());
        for (name, f) in safe {
            ffi::lua_pushcfunction(l, f);
            ffi::lua_setfield(l, ffi::LUA_GLOBALSINDEX, name.as_ptr());
        }
        ffi::lua_getfield_(l, ffi::LUA_GLOBALSINDEX, c"table".as_ptr());
        ffi::lua_pushcfunction(l, table_insert);
        ffi::lua_setfield(l, -2, c"insert".as_ptr());
        ffi::lua_settop(l, -2);
    }
}

/// `newproxy` whose proxies cannot have finalizers: the collector would run them in the middle of anything.
unsafe fn install_new_proxy(l: *mut RawState) {
    // SAFETY: called by `open_libraries`. Upvalue 1 is the metatable of the proxies' metatables.
    unsafe {
        ffi::lua_createtable(l, 0, 1);
        ffi::lua_pushcfunction(l, set_proxy_field);
        ffi::lua_setfield(l, -2, c"__newindex".as_ptr());
        ffi::lua_pushcclosure(l, new_proxy, 1);
        ffi::lua_setfield(l, ffi::LUA_GLOBALSINDEX, c"newproxy".as_ptr());
    }
}

unsafe extern "C-unwind" fn new_proxy(l: *mut RawState) -> c_int {
    // SAFETY: as Lua's own.
    unsafe {
        ffi::lua_settop(l, 1);
        ffi::lua_newuserdata(l, 0);
        if ffi::lua_type(l, 1) == ffi::LUA_TUSERDATA {
            if ffi::lua_getmetatable(l, 1) != 0 {
                ffi::lua_setmetatable(l, 2);
            }
        } else if ffi::lua_toboolean(l, 1) != 0 {
            ffi::lua_createtable(l, 0, 0);
            ffi::lua_pushvalue(l, ffi::lua_upvalueindex(1));
            ffi::lua_setmetatable(l, -2);
            ffi::lua_setmetatable(l, 2);
        }
        1
    }
}

/// Whether slot `i` holds the name of the finalizer.
unsafe fn is_finalizer(l: *mut RawState, i: c_int) -> bool {
    // SAFETY: a string in the slot stays while it is read.
    unsafe {
        let mut len = 0;
        if ffi::lua_type(l, i) != ffi::LUA_TSTRING {
            return false;
        }
        let p = ffi::lua_tolstring(l, i, &mut len);
        std::slice::from_raw_parts(p.cast::<u8>(), len) == b"__gc"
    }
}

unsafe extern "C-unwind" fn set_proxy_field(l: *mut RawState) -> c_int {
    // SAFETY: table, key and value are the arguments of `__newindex`.
    unsafe {
        if !is_finalizer(l, 2) {
            ffi::lua_settop(l, 3);
            ffi::lua_rawset(l, 1);
        }
        0
    }
}

/// Removes every field of a table that is not named.
unsafe fn keep_only(l: *mut RawState, t: c_int, names: &[&[u8]]) {
    // SAFETY: a table at `t`; assigning nil to a field while walking is allowed.
    unsafe {
        ffi::lua_pushnil(l);
        while ffi::lua_next(l, t) != 0 {
            ffi::lua_settop(l, -2);
            let mut len = 0;
            let p = ffi::lua_tolstring(l, -1, &mut len);
            let name = std::slice::from_raw_parts(p.cast::<u8>(), len);
            if !names.contains(&name) {
                ffi::lua_pushvalue(l, -1);
                ffi::lua_pushnil(l);
                ffi::lua_rawset(l, t);
            }
        }
    }
}

/// Protects the globals and every library in them; afterwards slot [`ffi::LUA_GLOBALSINDEX`] holds the proxy that scripts see.
/// Leaves the real globals and the proxy on the stack, in this order.
///
/// # Safety
/// As for [`open_libraries`], which must have run.
pub unsafe fn close_globals(l: *mut RawState) {
    // SAFETY: the caller's.
    unsafe {
        let base = ffi::lua_gettop(l);
        ffi::lua_pushvalue(l, ffi::LUA_GLOBALSINDEX);
        let real = base + 1;
        protect_members(l, real);
        hide_string_metatable(l, real);
        // Unknown names are an error; the metatable may be looked at.
        ffi::lua_createtable(l, 0, 1);
        ffi::lua_pushcfunction(l, refuse_unknown);
        ffi::lua_setfield(l, -2, c"__index".as_ptr());
        ffi::lua_pushvalue(l, -1);
        ffi::lua_setmetatable(l, real);
        protect(l, 0);
        ffi::lua_pushvalue(l, real);
        protect(l, base + 2);
        ffi::lua_remove(l, base + 2);
        ffi::lua_pushvalue(l, -1);
        ffi::lua_setfield(l, real, c"_G".as_ptr());
        ffi::lua_pushvalue(l, -1);
        ffi::lua_replace(l, ffi::LUA_GLOBALSINDEX);
    }
}

/// Replaces every table among the globals by its proxy.
unsafe fn protect_members(l: *mut RawState, real: c_int) {
    // SAFETY: existing fields are assigned while walking, which is allowed.
    unsafe {
        ffi::lua_pushnil(l);
        while ffi::lua_next(l, real) != 0 {
            if ffi::lua_type(l, -1) == ffi::LUA_TTABLE && ffi::lua_rawequal(l, -1, real) == 0 {
                protect(l, 0);
                ffi::lua_pushvalue(l, -2);
                ffi::lua_insert(l, -2);
                ffi::lua_rawset(l, real);
            } else {
                ffi::lua_settop(l, -2);
            }
        }
    }
}

/// `getmetatable("")` shows a protected table whose `__index` is the protected `string`.
unsafe fn hide_string_metatable(l: *mut RawState, real: c_int) {
    // SAFETY: strings have a metatable since the string library was opened.
    unsafe {
        let top = ffi::lua_gettop(l);
        ffi::lua_pushlstring_(l, c"".as_ptr(), 0);
        ffi::lua_getmetatable(l, -1);
        ffi::lua_pushlightuserdata(l, key(&SHOWN));
        ffi::lua_createtable(l, 0, 1);
        ffi::lua_getfield_(l, real, c"string".as_ptr());
        ffi::lua_setfield(l, -2, c"__index".as_ptr());
        protect(l, 0);
        ffi::lua_rawset(l, -3);
        ffi::lua_settop(l, top);
    }
}
