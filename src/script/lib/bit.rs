//! `bit`: 32-bit arithmetic with the semantics of LuaBitOp.
//!
//! Every argument is reduced to 32 bits by adding 2^52 + 2^51, which leaves its low bits (rounded to the nearest whole number)
//! at the low end of the double's mantissa; results are signed.

use crate::script::lua::{Lua, NativeFn, Raise};

const FUNCTIONS: &[(&str, NativeFn)] = &[
    ("tobit", |l| unary(l, |n| n)),
    ("bnot", |l| unary(l, |n| !n)),
    ("bswap", |l| unary(l, u32::swap_bytes)),
    ("band", |l| fold(l, |a, b| a & b)),
    ("bor", |l| fold(l, |a, b| a | b)),
    ("bxor", |l| fold(l, |a, b| a ^ b)),
    ("lshift", |l| shift(l, |n, by| n << by)),
    ("rshift", |l| shift(l, |n, by| n >> by)),
    ("arshift", |l| shift(l, |n, by| (n as i32 >> by) as u32)),
    ("rol", |l| shift(l, u32::rotate_left)),
    ("ror", |l| shift(l, u32::rotate_right)),
    ("tohex", to_hex),
];

/// Pushes the library's table.
pub fn install(lua: &mut Lua<'_>) {
    lua.new_table(0, FUNCTIONS.len());
    for (name, f) in FUNCTIONS {
        lua.push_fn(*f);
        lua.set_field(-2, name);
    }
}

/// Argument `i` as 32 bits.
fn bits(lua: &Lua<'_>, i: usize) -> Result<u32, Raise> {
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    Ok((lua.check_number(i)? + MAGIC).to_bits() as u32)
}

fn push(lua: &mut Lua<'_>, n: u32) -> Result<usize, Raise> {
    lua.push_number(f64::from(n as i32));
    Ok(1)
}

fn unary(lua: &mut Lua<'_>, f: fn(u32) -> u32) -> Result<usize, Raise> {
    let n = bits(lua, 1)?;
    push(lua, f(n))
}

fn fold(lua: &mut Lua<'_>, f: fn(u32, u32) -> u32) -> Result<usize, Raise> {
    let mut n = bits(lua, 1)?;
    // The last one first, as upstream: it is the one complained about.
    for i in (2..=lua.nargs()).rev() {
        n = f(n, bits(lua, i)?);
    }
    push(lua, n)
}

fn shift(lua: &mut Lua<'_>, f: fn(u32, u32) -> u32) -> Result<usize, Raise> {
    let n = bits(lua, 1)?;
    let by = bits(lua, 2)? & 31;
    push(lua, f(n, by))
}

/// `bit.tohex(n, digits)`: 8 digits unless told; capitals when `digits` is negative.
fn to_hex(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    let n = bits(lua, 1)?;
    let digits = if lua.nargs() < 2 {
        8
    } else {
        bits(lua, 2)? as i32
    };
    let text = if digits < 0 {
        format!("{n:08X}")
    } else {
        format!("{n:08x}")
    };
    let shown = digits.unsigned_abs().min(8) as usize;
    lua.push_bytes(&text.as_bytes()[8 - shown..]);
    Ok(1)
}
