//! The settings of one `cjson` table and the functions that read and change them.
//!
//! Each such function takes nil (or nothing) for "leave it" and answers the setting as it is afterwards. The settings live in
//! userdata shared by the functions of one table; `cjson.new()` makes a table with settings of its own.

use crate::script::lua::{Kind, Lua, Raise, upvalue};

/// What becomes of infinity and NaN when they are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidNumbers {
    /// An error.
    Refuse,
    /// Written as they are, which is no JSON.
    Write,
    /// Written as null.
    Null,
}

/// The settings.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Too sparse arrays become objects rather than an error.
    pub sparse_convert: bool,
    /// An array is too sparse when its greatest index is over `sparse_ratio` times its elements (0: never) ..
    pub sparse_ratio: i32,
    /// .. and over this.
    pub sparse_safe: i32,
    /// Deepest nesting when encoding, from 1.
    pub encode_max_depth: i32,
    /// Deepest nesting when decoding, from 1.
    pub decode_max_depth: i32,
    /// Significant digits of numbers, 1 to 14.
    pub precision: i32,
    /// Accepted and answered; buffers are not kept here.
    pub keep_buffer: bool,
    /// Infinity and NaN when encoding.
    pub encode_invalid: InvalidNumbers,
    /// Whether numbers that are not JSON's are decoded.
    pub decode_invalid: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            sparse_convert: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_max_depth: 1000,
            decode_max_depth: 1000,
            precision: 14,
            keep_buffer: true,
            encode_invalid: InvalidNumbers::Refuse,
            decode_invalid: true,
        }
    }
}

/// The settings of the running function's table.
pub fn of(lua: &Lua<'_>) -> Config {
    lua.cell(upvalue(1)).unwrap_or_default()
}

fn keep(lua: &mut Lua<'_>, config: Config) {
    lua.set_cell(upvalue(1), config);
}

/// Refuses more than `most` arguments.
fn at_most(lua: &Lua<'_>, most: usize) -> Result<(), Raise> {
    if lua.nargs() > most {
        return Err(Raise::Arg(most + 1, "found too many arguments".into()));
    }
    Ok(())
}

fn is_given(lua: &Lua<'_>, i: usize) -> bool {
    !matches!(lua.kind(i as i32), Kind::None | Kind::Nil)
}

/// Argument `i` as a whole number within the bounds, or `old`.
fn integer(lua: &Lua<'_>, i: usize, old: i32, least: i32, most: i32) -> Result<i32, Raise> {
    if !is_given(lua, i) {
        return Ok(old);
    }
    // As C truncates it: to 64 bits, then to 32.
    let value = whole(lua.check_number(i)?) as i32;
    if value < least || value > most {
        // Upstream names the first argument whichever it is.
        return Err(Raise::Arg(
            1,
            format!("expected integer between {least} and {most}"),
        ));
    }
    Ok(value)
}

/// A double as C casts it to a 64-bit integer on x86-64 (and Lua with it): truncated, the smallest number if it does not fit.
pub fn whole(value: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&value) {
        value as i64
    } else {
        i64::MIN
    }
}

/// Argument `i` as one of `words` (its index; true and false stand for 1 and 0), or `old`.
fn option(lua: &mut Lua<'_>, i: usize, old: usize, words: &[&str]) -> Result<usize, Raise> {
    if !is_given(lua, i) {
        return Ok(old);
    }
    if lua.kind(i as i32) == Kind::Boolean {
        return Ok(usize::from(lua.truth(i as i32)));
    }
    let word = lua.check_bytes(i)?;
    words
        .iter()
        .position(|w| w.as_bytes() == word)
        .ok_or_else(|| {
            let word = word.split(|c| *c == 0).next().unwrap_or_default();
            Raise::Arg(
                i,
                format!("invalid option '{}'", String::from_utf8_lossy(word)),
            )
        })
}

const SWITCH: &[&str] = &["off", "on"];

/// `cjson.encode_sparse_array(convert, ratio, safe)`
pub fn encode_sparse_array(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    at_most(lua, 3)?;
    let mut c = of(lua);
    c.sparse_convert = option(lua, 1, usize::from(c.sparse_convert), SWITCH)? == 1;
    keep(lua, c);
    c.sparse_ratio = integer(lua, 2, c.sparse_ratio, 0, i32::MAX)?;
    keep(lua, c);
    c.sparse_safe = integer(lua, 3, c.sparse_safe, 0, i32::MAX)?;
    keep(lua, c);
    lua.push_bool(c.sparse_convert);
    lua.push_number(c.sparse_ratio.into());
    lua.push_number(c.sparse_safe.into());
    Ok(3)
}

/// A function of one whole-number setting.
fn one_integer(
    lua: &mut Lua<'_>,
    field: fn(&mut Config) -> &mut i32,
    most: i32,
) -> Result<usize, Raise> {
    at_most(lua, 1)?;
    let mut c = of(lua);
    let value = integer(lua, 1, *field(&mut c), 1, most)?;
    *field(&mut c) = value;
    keep(lua, c);
    lua.push_number(value.into());
    Ok(1)
}

/// `cjson.encode_max_depth(n)`
pub fn encode_max_depth(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    one_integer(lua, |c| &mut c.encode_max_depth, i32::MAX)
}

/// `cjson.decode_max_depth(n)`
pub fn decode_max_depth(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    one_integer(lua, |c| &mut c.decode_max_depth, i32::MAX)
}

/// `cjson.encode_number_precision(n)`
pub fn encode_number_precision(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    one_integer(lua, |c| &mut c.precision, 14)
}

/// A function of one on/off setting.
fn one_switch(lua: &mut Lua<'_>, field: fn(&mut Config) -> &mut bool) -> Result<usize, Raise> {
    at_most(lua, 1)?;
    let mut c = of(lua);
    let on = option(lua, 1, usize::from(*field(&mut c)), SWITCH)? == 1;
    *field(&mut c) = on;
    keep(lua, c);
    lua.push_bool(on);
    Ok(1)
}

/// `cjson.encode_keep_buffer(on)`
pub fn encode_keep_buffer(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    one_switch(lua, |c| &mut c.keep_buffer)
}

/// `cjson.decode_invalid_numbers(on)`
pub fn decode_invalid_numbers(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    one_switch(lua, |c| &mut c.decode_invalid)
}

/// `cjson.encode_invalid_numbers(on or "null")`
pub fn encode_invalid_numbers(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    use InvalidNumbers::{Null, Refuse, Write};
    const MODES: [InvalidNumbers; 3] = [Refuse, Write, Null];
    at_most(lua, 1)?;
    let mut c = of(lua);
    c.encode_invalid = MODES[option(lua, 1, c.encode_invalid as usize, &["off", "on", "null"])?];
    keep(lua, c);
    match c.encode_invalid {
        Null => lua.push_bytes(b"null"),
        mode => lua.push_bool(mode == Write),
    }
    Ok(1)
}
