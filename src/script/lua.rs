//! A safe face for the C API of Lua 5.1, for functions written in Rust.
//!
//! **The one danger** of Lua's API is that it raises errors by `longjmp`, which must not skip Rust frames that own something.
//! So a [`NativeFn`] never raises: it returns `Err(Raise)`, and [`trampoline`] raises when all Rust values are gone. What is
//! left that could raise by itself is an allocation that fails; while Rust code runs the allocator therefore does not refuse
//! ([`Heap`]): passing the limit there is noticed by the trampoline, which raises the memory error in its stead. Only raw
//! table accesses are offered, because metamethods could raise as well.
//!
//! **Arguments stay.** A function's arguments are the stack slots 1 to `nargs`; nothing here can remove or replace them, so
//! their strings may be borrowed for the whole call ([`Lua::arg_bytes`]).
//!
//! Indices are Lua's: positive from the bottom, negative from the top, [`upvalue`] for upvalues; an index beyond the stack
//! is a bug of ours and panics.

use mlua_sys as ffi;
use std::alloc::Layout;
use std::any::TypeId;
use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;

pub use ffi::lua_State as RawState;

/// A function of a library: takes its arguments from the stack, pushes its results and returns how many.
pub type NativeFn = for<'c> fn(&mut Lua<'c>) -> Result<usize, Raise>;

/// An error to raise in the script.
#[derive(Debug)]
pub enum Raise {
    /// A text; the position (`user_script:1: `) is put before it.
    Text(Vec<u8>),
    /// Argument `n` (from 1) is wrong, and how: `bad argument #n to 'f' (..)`.
    Arg(usize, String),
    /// The value on top of the stack, as it is.
    Top,
}

impl Raise {
    /// A text.
    pub fn text(text: impl AsRef<[u8]>) -> Self {
        Raise::Text(text.as_ref().to_vec())
    }
}

/// A value that a command takes as an argument.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Word<'c> {
    /// A string.
    Bytes(&'c [u8]),
    /// A number.
    Number(f64),
}

/// What kind of value a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No value (beyond the arguments).
    None,
    /// nil.
    Nil,
    /// A truth value.
    Boolean,
    /// A bare pointer (`cjson.null`).
    Light,
    /// A number.
    Number,
    /// A string.
    String,
    /// A table.
    Table,
    /// A function.
    Function,
    /// Userdata.
    UserData,
    /// A coroutine.
    Thread,
}

impl Kind {
    fn of(t: c_int) -> Kind {
        match t {
            ffi::LUA_TNIL => Kind::Nil,
            ffi::LUA_TBOOLEAN => Kind::Boolean,
            ffi::LUA_TLIGHTUSERDATA => Kind::Light,
            ffi::LUA_TNUMBER => Kind::Number,
            ffi::LUA_TSTRING => Kind::String,
            ffi::LUA_TTABLE => Kind::Table,
            ffi::LUA_TFUNCTION => Kind::Function,
            ffi::LUA_TUSERDATA => Kind::UserData,
            ffi::LUA_TTHREAD => Kind::Thread,
            _ => Kind::None,
        }
    }

    /// Its name in Lua's messages.
    pub fn name(self) -> &'static str {
        match self {
            Kind::None => "no value",
            Kind::Nil => "nil",
            Kind::Boolean => "boolean",
            Kind::Light | Kind::UserData => "userdata",
            Kind::Number => "number",
            Kind::String => "string",
            Kind::Table => "table",
            Kind::Function => "function",
            Kind::Thread => "thread",
        }
    }
}

/// The pseudo-index of upvalue `i` (from 1) of a closure made by [`Lua::push_closure`].
pub const fn upvalue(i: c_int) -> c_int {
    // Upvalue 1 is the Rust function itself.
    ffi::LUA_GLOBALSINDEX - (i + 1)
}

/// Memory of one Lua state: what it uses and what it may use.
#[derive(Debug)]
pub struct Heap {
    used: usize,
    limit: usize,
    /// Rust functions called from Lua that run now: while there is one, the limit does not refuse.
    native: u32,
    /// What `loan.rs` lends to the running script.
    pub(super) loan: *mut c_void,
    /// When the loading of a library is to be given up, monotonic us.
    pub(super) deadline_us: u64,
    /// Runs so far.
    pub(super) runs: u32,
}

impl Heap {
    /// A heap that may hold `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Heap {
            used: 0,
            limit,
            native: 0,
            loan: std::ptr::null_mut(),
            deadline_us: 0,
            runs: 0,
        }
    }

    /// Rust code begins (true) or ends (false) to work on the state: meanwhile no allocation is refused.
    #[inline]
    pub fn native(&mut self, begins: bool) {
        if begins {
            self.native += 1;
        } else {
            self.native -= 1;
        }
    }

    /// So much is in use that what no script needs any more should go before the next one finds no room.
    pub fn crowded(&self) -> bool {
        self.used > self.limit / 2
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.used
    }
}

/// The allocator of a state whose user data is a [`Heap`]; blocks come from the server's allocator.
///
/// # Safety
/// To be called by Lua only, with a `Heap` that outlives the state and that nobody borrows meanwhile.
pub unsafe extern "C" fn allocate(
    ud: *mut c_void,
    ptr: *mut c_void,
    osize: usize,
    nsize: usize,
) -> *mut c_void {
    /// Lua's largest alignment.
    const ALIGN: usize = 8;
    // SAFETY: `ud` is the Heap of the contract; `ptr` is null or a block made here with `osize` bytes, so the layouts match.
    unsafe {
        let heap = ud.cast::<Heap>();
        let old = if ptr.is_null() { 0 } else { osize };
        if nsize == 0 {
            (*heap).used -= old;
            if old > 0 {
                std::alloc::dealloc(ptr.cast(), Layout::from_size_align_unchecked(old, ALIGN));
            }
            return std::ptr::null_mut();
        }
        let used = (*heap).used - old + nsize;
        if nsize > old && used > (*heap).limit && (*heap).native == 0 {
            return std::ptr::null_mut();
        }
        let Ok(layout) = Layout::from_size_align(nsize, ALIGN) else {
            return refuse(heap, nsize);
        };
        let new = if old == 0 {
            std::alloc::alloc(layout)
        } else {
            let before = Layout::from_size_align_unchecked(old, ALIGN);
            std::alloc::realloc(ptr.cast(), before, nsize)
        };
        if new.is_null() {
            return refuse(heap, nsize);
        }
        (*heap).used = used;
        new.cast()
    }
}

/// No memory: an error of the script, unless a Rust frame would be jumped over by it; then what every failed allocation of the
/// server does.
#[cold]
unsafe fn refuse(heap: *const Heap, nsize: usize) -> *mut c_void {
    // SAFETY: as in `allocate`.
    if unsafe { (*heap).native } > 0 {
        let size = nsize.min(isize::MAX as usize - 8);
        std::alloc::handle_alloc_error(
            Layout::from_size_align(size, 8).unwrap_or(Layout::new::<u8>()),
        );
    }
    std::ptr::null_mut()
}

/// The stack of a running Rust function, or of the engine while it builds the environment.
#[derive(Debug)]
pub struct Lua<'c> {
    l: *mut RawState,
    heap: *mut Heap,
    nargs: c_int,
    call: PhantomData<&'c ()>,
}

impl<'c> Lua<'c> {
    /// A face for a state whose present stack are the arguments.
    ///
    /// # Safety
    /// `l` must be a live state, used by nobody else for `'c`, whose allocator is [`allocate`]; its Heap must be marked native
    /// (or the state be in a protected call that holds no Rust values).
    pub unsafe fn from_raw(l: *mut RawState) -> Self {
        // SAFETY: live by contract, with our allocator.
        unsafe {
            Lua {
                l,
                heap: heap_of(l),
                nargs: ffi::lua_gettop(l),
                call: PhantomData,
            }
        }
    }

    /// The state itself, for the engine's own files.
    pub fn raw(&self) -> *mut RawState {
        self.l
    }

    /// The state's heap.
    pub fn heap(&self) -> *mut Heap {
        self.heap
    }

    // ---- arguments ----

    /// Number of arguments.
    pub fn nargs(&self) -> usize {
        self.nargs as usize
    }

    /// Argument `i` (from 1) as bytes: strings, and numbers in their text form. None otherwise.
    pub fn arg_bytes(&mut self, i: usize) -> Option<&'c [u8]> {
        if i > self.nargs() || !matches!(self.kind(i as c_int), Kind::String | Kind::Number) {
            return None;
        }
        // SAFETY: the slot holds a string or a number, which is converted in place; arguments stay on the stack for 'c, so
        // the string is not collected.
        unsafe {
            let mut len = 0;
            let p = ffi::lua_tolstring(self.l, i as c_int, &mut len);
            Some(bytes_at(p.cast(), len))
        }
    }

    /// Argument `i` (from 1) as a command takes it: a string or a number.
    #[inline]
    pub fn arg_word(&self, i: usize) -> Option<Word<'c>> {
        if i == 0 || i > self.nargs() {
            return None;
        }
        let i = i as c_int;
        // SAFETY: a slot of the arguments, which stay on the stack for 'c, so a string is not collected; it is one where its
        // bytes are asked for, so nothing is converted.
        unsafe {
            match Kind::of(ffi::lua_type(self.l, i)) {
                Kind::String => {
                    let mut len = 0;
                    let p = ffi::lua_tolstring(self.l, i, &mut len);
                    Some(Word::Bytes(bytes_at(p.cast(), len)))
                }
                Kind::Number => Some(Word::Number(ffi::lua_tonumber(self.l, i))),
                _ => None,
            }
        }
    }

    /// Argument `i` as a number: numbers, and strings that read as one (Lua's own rule).
    pub fn arg_number(&self, i: usize) -> Option<f64> {
        if i > self.nargs() {
            return None;
        }
        // SAFETY: a valid index.
        unsafe {
            (ffi::lua_isnumber(self.l, i as c_int) != 0)
                .then(|| ffi::lua_tonumber(self.l, i as c_int))
        }
    }

    /// Argument `i` as bytes, or Lua's complaint.
    pub fn check_bytes(&mut self, i: usize) -> Result<&'c [u8], Raise> {
        self.arg_bytes(i).ok_or_else(|| self.expected(i, "string"))
    }

    /// Argument `i` as a number, or Lua's complaint.
    pub fn check_number(&self, i: usize) -> Result<f64, Raise> {
        self.arg_number(i).ok_or_else(|| self.expected(i, "number"))
    }

    /// The complaint that argument `i` is not a `wanted`.
    pub fn expected(&self, i: usize, wanted: &str) -> Raise {
        let got = if i > self.nargs() {
            Kind::None
        } else {
            self.kind(i as c_int)
        };
        Raise::Arg(i, format!("{wanted} expected, got {}", got.name()))
    }

    // ---- looking at slots ----

    /// Number of values on the stack.
    pub fn top(&self) -> usize {
        // SAFETY: a live state.
        unsafe { ffi::lua_gettop(self.l) as usize }
    }

    /// Panics unless `i` is a slot in use or a pseudo-index.
    #[inline]
    fn at(&self, i: c_int) -> c_int {
        let top = self.top() as c_int;
        assert!(
            (i > 0 && i <= top) || (i < 0 && (i >= -top || i <= ffi::LUA_REGISTRYINDEX)),
            "no Lua slot {i} on a stack of {top}"
        );
        i
    }

    /// The positive index of a slot.
    #[inline]
    pub fn absolute(&self, i: c_int) -> c_int {
        if i < 0 && i > ffi::LUA_REGISTRYINDEX {
            self.top() as c_int + i + 1
        } else {
            i
        }
    }

    /// What a slot holds; [`Kind::None`] for positive indices beyond the stack.
    #[inline]
    pub fn kind(&self, i: c_int) -> Kind {
        if i > self.top() as c_int {
            return Kind::None;
        }
        // SAFETY: a checked index.
        Kind::of(unsafe { ffi::lua_type(self.l, self.at(i)) })
    }

    /// The string in a slot (no numbers: those would be converted in place, which disturbs `next`).
    pub fn bytes(&self, i: c_int) -> Option<&[u8]> {
        if self.kind(i) != Kind::String {
            return None;
        }
        // SAFETY: the slot holds a string; `&self` keeps it there.
        unsafe {
            let mut len = 0;
            let p = ffi::lua_tolstring(self.l, i, &mut len);
            Some(bytes_at(p.cast(), len))
        }
    }

    /// The number in a slot (no strings).
    pub fn number(&self, i: c_int) -> Option<f64> {
        // SAFETY: a checked index.
        (self.kind(i) == Kind::Number).then(|| unsafe { ffi::lua_tonumber(self.l, i) })
    }

    /// Whether the value is true in Lua's sense: not nil, not false.
    pub fn truth(&self, i: c_int) -> bool {
        // SAFETY: a checked index.
        unsafe { ffi::lua_toboolean(self.l, self.at(i)) != 0 }
    }

    /// Whether the slot holds the null pointer (`cjson.null`).
    pub fn is_null_pointer(&self, i: c_int) -> bool {
        // SAFETY: a checked index.
        self.kind(i) == Kind::Light && unsafe { ffi::lua_touserdata(self.l, i).is_null() }
    }

    /// Length of a string or table (without metamethods).
    pub fn raw_len(&self, i: c_int) -> usize {
        // SAFETY: a checked index.
        unsafe { ffi::lua_objlen(self.l, self.at(i)) }
    }

    /// The number as Lua writes it: `%.14g`.
    pub fn number_text(n: f64) -> String {
        crate::script::number::lua_text(n)
    }

    // ---- pushing ----

    /// Makes room for `n` more values. False when the script's stack is full.
    pub fn reserve(&mut self, n: usize) -> bool {
        // SAFETY: a live state; a refusal is a result, and no memory error is raised under a native Heap.
        n <= 8000 && unsafe { ffi::lua_checkstack(self.l, n as c_int) != 0 }
    }

    /// Room for one value. Some are granted to every function above its arguments, however many those are; where there are
    /// close to as many arguments as Lua allows, asking for more would be refused.
    #[inline]
    fn room(&mut self) {
        const GRANTED: usize = ffi::LUA_MINSTACK as usize - 4;
        if self.top() < self.nargs() + GRANTED {
            return;
        }
        assert!(self.reserve(1), "Lua stack overflow: reserve() first");
    }

    /// Pushes nil.
    pub fn push_nil(&mut self) {
        self.room();
        // SAFETY: there is room.
        unsafe { ffi::lua_pushnil(self.l) }
    }

    /// Pushes a truth value.
    pub fn push_bool(&mut self, v: bool) {
        self.room();
        // SAFETY: there is room.
        unsafe { ffi::lua_pushboolean(self.l, c_int::from(v)) }
    }

    /// Pushes a number.
    pub fn push_number(&mut self, v: f64) {
        self.room();
        // SAFETY: there is room.
        unsafe { ffi::lua_pushnumber(self.l, v) }
    }

    /// Pushes a string.
    pub fn push_bytes(&mut self, v: &[u8]) {
        self.room();
        // SAFETY: there is room; Lua copies the bytes.
        unsafe { ffi::lua_pushlstring_(self.l, v.as_ptr().cast(), v.len()) }
    }

    /// Pushes the null pointer (`cjson.null`).
    pub fn push_null_pointer(&mut self) {
        self.room();
        // SAFETY: there is room; nothing ever follows the pointer.
        unsafe { ffi::lua_pushlightuserdata(self.l, std::ptr::null_mut()) }
    }

    /// Pushes a copy of a slot.
    pub fn push_value(&mut self, i: c_int) {
        let i = self.at(i);
        self.room();
        // SAFETY: a checked index, and room.
        unsafe { ffi::lua_pushvalue(self.l, i) }
    }

    /// Pushes a function.
    pub fn push_fn(&mut self, f: NativeFn) {
        self.push_closure(f, 0);
    }

    /// Pushes a function that keeps the topmost `n` values (popped) as upvalues 1 to `n`.
    pub fn push_closure(&mut self, f: NativeFn, n: usize) {
        self.room();
        self.owned(n);
        // SAFETY: there is room; a function pointer fits a light pointer; `n` values are on the stack above it once it is
        // moved below them.
        unsafe {
            ffi::lua_pushlightuserdata(self.l, f as *mut c_void);
            ffi::lua_insert(self.l, -1 - n as c_int);
            ffi::lua_pushcclosure(self.l, trampoline, n as c_int + 1);
        }
    }

    /// Pushes userdata that holds `value`; see [`Lua::cell`].
    pub fn push_cell<T: Copy + 'static>(&mut self, value: T) {
        self.room();
        // SAFETY: Lua hands out 8-aligned memory of the size asked for, which is filled before anybody sees it.
        unsafe {
            const { assert!(align_of::<Cell<T>>() <= 8) };
            let p = ffi::lua_newuserdata(self.l, size_of::<Cell<T>>()).cast::<Cell<T>>();
            p.write(Cell {
                kind: TypeId::of::<T>(),
                value,
            });
        }
    }

    /// The value in userdata made by [`Lua::push_cell`] with the same type.
    pub fn cell<T: Copy + 'static>(&self, i: c_int) -> Option<T> {
        // SAFETY: cell_at gives a valid cell of this type.
        self.cell_at(i).map(|p: *mut Cell<T>| unsafe { (*p).value })
    }

    /// Replaces the value of a cell. False when the slot holds none of this type.
    pub fn set_cell<T: Copy + 'static>(&mut self, i: c_int, value: T) -> bool {
        let Some(p) = self.cell_at::<T>(i) else {
            return false;
        };
        // SAFETY: cell_at gives a valid cell of this type.
        unsafe { (*p).value = value };
        true
    }

    fn cell_at<T: Copy + 'static>(&self, i: c_int) -> Option<*mut Cell<T>> {
        if self.kind(i) != Kind::UserData || self.raw_len(i) != size_of::<Cell<T>>() {
            return None;
        }
        // SAFETY: all userdata of a state is made by push_cell; the size fits, and the type is compared before the value is
        // touched.
        unsafe {
            let p = ffi::lua_touserdata(self.l, i).cast::<Cell<T>>();
            ((*p).kind == TypeId::of::<T>()).then_some(p)
        }
    }

    /// Panics unless the topmost `n` values are ours rather than arguments.
    #[inline]
    fn owned(&self, n: usize) {
        assert!(
            self.top() >= self.nargs() + n,
            "arguments must stay on the Lua stack"
        );
    }

    /// Drops the topmost `n` values; arguments stay.
    pub fn pop(&mut self, n: usize) {
        self.owned(n);
        // SAFETY: that many values are there.
        unsafe { ffi::lua_settop(self.l, -(n as c_int) - 1) }
    }

    /// Moves the top to slot `i`, shifting up what is there; `i` must lie above the arguments.
    pub fn insert(&mut self, i: c_int) {
        self.owned(1);
        let i = self.absolute(self.at(i));
        assert!(i > self.nargs, "arguments must stay on the Lua stack");
        // SAFETY: a checked index.
        unsafe { ffi::lua_insert(self.l, i) }
    }

    /// Moves the top (popped) into slot `i`, which lies above the arguments.
    pub fn replace(&mut self, i: c_int) {
        self.owned(1);
        let i = self.absolute(self.at(i));
        assert!(i > self.nargs, "arguments must stay on the Lua stack");
        // SAFETY: a checked index.
        unsafe { ffi::lua_replace(self.l, i) }
    }

    /// The string in a slot, or a number's text (from a copy: the slot stays a number).
    pub fn text(&mut self, i: c_int) -> Option<Vec<u8>> {
        match self.kind(i) {
            Kind::Number => self.number(i).map(|n| Self::number_text(n).into_bytes()),
            _ => self.bytes(i).map(<[u8]>::to_vec),
        }
    }

    /// The same stack, whose present values all count as arguments.
    pub fn again(&self) -> Lua<'c> {
        Lua {
            l: self.l,
            heap: self.heap,
            nargs: self.top() as c_int,
            call: PhantomData,
        }
    }

    // ---- tables, without metamethods ----

    #[inline]
    fn table(&self, i: c_int) -> c_int {
        assert!(self.kind(i) == Kind::Table, "slot {i} holds no table");
        i
    }

    /// Pushes a table with these strings as elements 1, 2 and so on. Their number is that of a command's arguments.
    pub fn push_list<'s>(&mut self, items: impl ExactSizeIterator<Item = &'s [u8]>) {
        self.new_table(items.len(), 0);
        self.room();
        for (i, text) in items.enumerate() {
            // SAFETY: there is room for the one value on top of the table; Lua copies the bytes and takes it off again.
            unsafe {
                ffi::lua_pushlstring_(self.l, text.as_ptr().cast(), text.len());
                ffi::lua_rawseti_(self.l, -2, i as c_int + 1);
            }
        }
    }

    /// Pushes a new table with room for `array` elements and `fields` others (hints; bounded here).
    pub fn new_table(&mut self, array: usize, fields: usize) {
        const MOST: usize = 1 << 24;
        self.room();
        // SAFETY: there is room; the sizes are far below what Lua refuses.
        unsafe { ffi::lua_createtable(self.l, array.min(MOST) as c_int, fields.min(MOST) as c_int) }
    }

    /// Pushes `t[n]`.
    pub fn raw_get_i(&mut self, t: c_int, n: c_int) {
        let t = self.table(t);
        self.room();
        // SAFETY: a table, and room.
        unsafe { ffi::lua_rawgeti_(self.l, t, n) }
    }

    /// `t[n] = top`, which is popped.
    pub fn raw_set_i(&mut self, t: c_int, n: c_int) {
        let t = self.table(t);
        self.owned(1);
        // SAFETY: a table, and a value on top.
        unsafe { ffi::lua_rawseti_(self.l, t, n) }
    }

    /// Replaces the key on top by `t[key]`.
    pub fn raw_get(&mut self, t: c_int) {
        let t = self.table(t);
        self.owned(1);
        // SAFETY: a table, and a key on top.
        unsafe { ffi::lua_rawget_(self.l, t) }
    }

    /// `t[key] = value` with the key below the value on top; both are popped. False (nothing set) when the key is nil or NaN.
    pub fn raw_set(&mut self, t: c_int) -> bool {
        let t = self.table(t);
        self.owned(2);
        let bad = self.kind(-2) == Kind::Nil || self.number(-2).is_some_and(f64::is_nan);
        if bad {
            self.pop(2);
            return false;
        }
        // SAFETY: a table, a value and a key that may be one.
        unsafe { ffi::lua_rawset(self.l, t) }
        true
    }

    /// `t[name] = top`, which is popped.
    pub fn set_field(&mut self, t: c_int, name: &str) {
        let t = self.absolute(t);
        self.push_bytes(name.as_bytes());
        self.insert(-2);
        self.raw_set(t);
    }

    /// Pushes `t[name]`.
    pub fn get_field(&mut self, t: c_int, name: &str) {
        let t = self.absolute(t);
        self.push_bytes(name.as_bytes());
        self.raw_get(t);
    }

    /// Replaces the key on top by the next key and its value (false: no more, and the key is popped). Begin with nil; the
    /// key must be one this walk gave, unconverted.
    pub fn next(&mut self, t: c_int) -> bool {
        let t = self.table(t);
        self.owned(1);
        self.room();
        // SAFETY: a table and a key on top, one of the table's by contract.
        unsafe { ffi::lua_next(self.l, t) != 0 }
    }

    /// Makes the table on top (popped) the metatable of the table in `t`.
    pub fn set_metatable(&mut self, t: c_int) {
        let t = self.table(t);
        self.owned(1);
        self.table(-1);
        // SAFETY: both are tables.
        unsafe { ffi::lua_setmetatable(self.l, t) };
    }

    /// Pushes the metatable of a value; false (nothing pushed) when it has none.
    pub fn get_metatable(&mut self, i: c_int) -> bool {
        let i = self.at(i);
        self.room();
        // SAFETY: a checked index, and room.
        unsafe { ffi::lua_getmetatable(self.l, i) != 0 }
    }

    /// Whether two slots hold the same value (without metamethods).
    pub fn raw_equal(&self, a: c_int, b: c_int) -> bool {
        // SAFETY: checked indices.
        unsafe { ffi::lua_rawequal(self.l, self.at(a), self.at(b)) != 0 }
    }
}

/// What userdata holds: a plain value with its type.
#[repr(C)]
struct Cell<T> {
    kind: TypeId,
    value: T,
}

/// # Safety
/// `p` must point to `len` bytes that live for `'a`.
#[inline]
unsafe fn bytes_at<'a>(p: *const u8, len: usize) -> &'a [u8] {
    // SAFETY: the caller's.
    unsafe { std::slice::from_raw_parts(p, len) }
}

/// What Lua calls: runs the Rust function in upvalue 1 and raises its error when nothing of Rust is left on the stack.
unsafe extern "C-unwind" fn trampoline(l: *mut RawState) -> c_int {
    // SAFETY: upvalue 1 is the function pointer that push_closure put there; the allocator's user data is our Heap. No value
    // with a destructor lives when `raise` or `raise_memory` jumps.
    unsafe {
        let f = ffi::lua_touserdata(l, ffi::lua_upvalueindex(1));
        let f = std::mem::transmute::<*mut c_void, NativeFn>(f);
        let mut lua = Lua::from_raw(l);
        let heap = lua.heap;
        (*heap).native += 1;
        let raised = match f(&mut lua) {
            Ok(n) if !over_limit(heap) => {
                (*heap).native -= 1;
                return n as c_int;
            }
            Ok(_) => ON_MEMORY,
            Err(e) => prepare(l, e),
        };
        (*heap).native -= 1;
        raise(l, raised)
    }
}

/// The heap of a state.
///
/// # Safety
/// The state's allocator must be [`allocate`].
#[inline]
pub unsafe fn heap_of(l: *mut RawState) -> *mut Heap {
    let mut ud = std::ptr::null_mut();
    // SAFETY: a live state; its user data is a Heap by contract.
    unsafe { ffi::lua_getallocf(l, &mut ud) };
    ud.cast()
}

/// # Safety
/// `heap` must be valid.
unsafe fn over_limit(heap: *const Heap) -> bool {
    // SAFETY: the caller's.
    unsafe { (*heap).used > (*heap).limit && (*heap).native == 1 }
}

/// How to raise: 0 the value on top, n > 0 argument n with the text on top.
const ON_TOP: c_int = 0;
const ON_MEMORY: c_int = -1;

/// Turns an error into what [`raise`] needs, dropping it.
unsafe fn prepare(l: *mut RawState, e: Raise) -> c_int {
    // SAFETY: the stack has room for a few values more (Lua grants 20 to every C function, checked again here); nothing
    // raises while the Heap is native.
    unsafe {
        if !matches!(e, Raise::Top) {
            // A function may fail because its stack is full: what it built makes room for the text.
            ffi::lua_settop(l, 0);
        }
        match e {
            Raise::Top => ON_TOP,
            Raise::Text(t) => {
                ffi::luaL_where(l, 1);
                ffi::lua_pushlstring_(l, t.as_ptr().cast(), t.len());
                ffi::lua_concat(l, 2);
                ON_TOP
            }
            Raise::Arg(n, t) => {
                ffi::lua_pushlstring_(l, t.as_ptr().cast(), t.len());
                n.clamp(0, 1000) as c_int + 1
            }
        }
    }
}

/// Raises what [`prepare`] prepared.
unsafe fn raise(l: *mut RawState, how: c_int) -> ! {
    const NO_MEMORY: &CStr = c"not enough memory";
    // SAFETY: called by the trampoline with nothing to drop.
    unsafe {
        match how {
            ON_TOP => {}
            ON_MEMORY => {
                // Room is freed first, for the text itself.
                ffi::lua_settop(l, 0);
                ffi::lua_gc(l, ffi::LUA_GCCOLLECT, 0);
                ffi::lua_pushstring_(l, NO_MEMORY.as_ptr());
            }
            n => {
                ffi::luaL_argerror(l, n - 1, ffi::lua_tolstring(l, -1, std::ptr::null_mut()));
            }
        }
        ffi::lua_error(l)
    }
}
