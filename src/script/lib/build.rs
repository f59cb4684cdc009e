//! What a decoder builds values with: the few stack operations of Lua that `cjson`, `cmsgpack` and `struct` need.
//!
//! The decoders read foreign bytes, so they are kept away from the Lua C API: they speak to this trait, which
//! [`Lua`](crate::script::lua::Lua) implements for scripts and a counting stack of a few lines for tests, fuzz targets and
//! Miri. Values are pushed on a stack; a table is filled by pushing key and value and calling [`Build::set`].

use crate::script::lua::Lua;

/// A stack on which values are built.
pub trait Build {
    /// Makes sure that `n` more slots may be used; false when the script's stack is at its limit.
    fn reserve(&mut self, n: usize) -> bool;
    /// Pushes nil.
    fn nil(&mut self);
    /// Pushes the null of JSON, a null pointer.
    fn null(&mut self);
    /// Pushes a truth value.
    fn boolean(&mut self, value: bool);
    /// Pushes a number.
    fn number(&mut self, value: f64);
    /// Pushes a string.
    fn bytes(&mut self, value: &[u8]);
    /// Pushes an empty table.
    fn table(&mut self);
    /// Takes a value and the key below it off the stack and stores them in the table below both. The key is neither nil nor
    /// NaN.
    fn set(&mut self);
    /// Takes a value off the stack and stores it at `index` of the table below it.
    fn set_index(&mut self, index: usize);
    /// Takes the topmost value off the stack, as a number if it is one (or a text of one).
    fn take_number(&mut self) -> Option<f64>;
}

impl Build for Lua<'_> {
    fn reserve(&mut self, n: usize) -> bool {
        Lua::reserve(self, n)
    }

    fn nil(&mut self) {
        self.push_nil();
    }

    fn null(&mut self) {
        self.push_null_pointer();
    }

    fn boolean(&mut self, value: bool) {
        self.push_bool(value);
    }

    fn number(&mut self, value: f64) {
        self.push_number(value);
    }

    fn bytes(&mut self, value: &[u8]) {
        self.push_bytes(value);
    }

    fn table(&mut self) {
        self.new_table(0, 0);
    }

    fn set(&mut self) {
        self.raw_set(-3);
    }

    fn set_index(&mut self, index: usize) {
        self.raw_set_i(-2, index as i32);
    }

    fn take_number(&mut self) -> Option<f64> {
        let n = match Lua::number(self, -1) {
            Some(n) => Some(n),
            None => Lua::bytes(self, -1).and_then(text_as_number),
        };
        self.pop(1);
        n
    }
}

/// A text that is a number for Lua: blanks around it allowed, nothing else.
fn text_as_number(text: &[u8]) -> Option<f64> {
    let text = text.trim_ascii();
    super::number::read_prefix(text)
        .filter(|(_, used)| *used == text.len())
        .map(|(n, _)| n)
}

/// A stack for tests and fuzz targets: it keeps kinds and sizes, not values, and panics on misuse (a decoder's bug).
#[derive(Debug, Default)]
pub struct Sketch {
    stack: Vec<Slot>,
    /// Bytes of strings pushed in all.
    pub string_bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Slot {
    Scalar,
    Number(f64),
    Table,
}

/// Slots a C function of Lua 5.1 may use.
const MAX_SLOTS: usize = 8000;

impl Sketch {
    /// Values on the stack.
    pub fn len(&self) -> usize {
        self.stack.len()
    }

    /// True when nothing is on it.
    pub fn is_empty(&self) -> bool {
        self.stack.is_empty()
    }

    fn pop(&mut self) -> Slot {
        self.stack
            .pop()
            .expect("the decoder took more than it pushed")
    }
}

impl Build for Sketch {
    fn reserve(&mut self, n: usize) -> bool {
        self.stack.len() + n <= MAX_SLOTS
    }

    fn nil(&mut self) {
        self.stack.push(Slot::Scalar);
    }

    fn null(&mut self) {
        self.stack.push(Slot::Scalar);
    }

    fn boolean(&mut self, _: bool) {
        self.stack.push(Slot::Scalar);
    }

    fn number(&mut self, value: f64) {
        self.stack.push(Slot::Number(value));
    }

    fn bytes(&mut self, value: &[u8]) {
        self.string_bytes += value.len();
        self.stack.push(Slot::Scalar);
    }

    fn table(&mut self) {
        self.stack.push(Slot::Table);
    }

    fn set(&mut self) {
        self.pop();
        assert!(
            !matches!(self.pop(), Slot::Number(n) if n.is_nan()),
            "NaN as a key"
        );
        assert_eq!(self.stack.last(), Some(&Slot::Table));
    }

    fn set_index(&mut self, index: usize) {
        assert!(index > 0);
        self.pop();
        assert_eq!(self.stack.last(), Some(&Slot::Table));
    }

    fn take_number(&mut self) -> Option<f64> {
        match self.pop() {
            Slot::Number(n) => Some(n),
            _ => None,
        }
    }
}
