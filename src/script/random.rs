//! `math.random` and `math.randomseed`: the same numbers on every machine for the same seed.
//!
//! The generator is the 48-bit linear congruential one of `lrand48` (multiplier 0x5DEECE66D, increment 11, the seed in the upper
//! 32 bits above 0x330E), cut to 31 bits and divided by 2^31 - 1, as upstream's scripts see it. Each state starts from a random
//! seed; scripts are replicated by their effects, so they need not be repeatable.

use super::lua::{Lua, Raise, upvalue};

const MASK: u64 = (1 << 48) - 1;
const MAX: f64 = 2_147_483_647.0;

/// The state of the generator.
#[derive(Debug, Clone, Copy)]
struct Lrand48(u64);

impl Lrand48 {
    fn seeded(seed: u32) -> Self {
        Lrand48(u64::from(seed) << 16 | 0x330E)
    }

    /// 31 bits.
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(0x5_DEEC_E66D).wrapping_add(11) & MASK;
        (self.0 >> 17) as u32
    }
}

/// Puts both functions into the table on top of the stack.
pub fn install(lua: &mut Lua<'_>) {
    let seed = crate::sys::entropy::random_u64() as u32;
    lua.push_cell(Lrand48::seeded(seed));
    lua.push_value(-1);
    lua.push_closure(random, 1);
    lua.set_field(-3, "random");
    lua.push_closure(randomseed, 1);
    lua.set_field(-2, "randomseed");
}

fn randomseed(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    let seed = lua.check_number(1)?;
    lua.set_cell(upvalue(1), Lrand48::seeded(seed as i64 as u32));
    Ok(0)
}

fn random(lua: &mut Lua<'_>) -> Result<usize, Raise> {
    let mut state: Lrand48 = lua.cell(upvalue(1)).unwrap_or(Lrand48::seeded(0));
    let r = f64::from(state.next() % 0x7fff_ffff) / MAX;
    lua.set_cell(upvalue(1), state);
    let empty = |n| Err(Raise::Arg(n, "interval is empty".into()));
    let value = match lua.nargs() {
        0 => r,
        1 => {
            let high = lua.check_number(1)?.trunc();
            if high < 1.0 {
                return empty(1);
            }
            (r * high).floor() + 1.0
        }
        2 => {
            let (low, high) = (lua.check_number(1)?.trunc(), lua.check_number(2)?.trunc());
            if low > high {
                return empty(2);
            }
            (r * (high - low + 1.0)).floor() + low
        }
        _ => return Err(Raise::text("wrong number of arguments")),
    };
    lua.push_number(value);
    Ok(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_upstream() {
        // redis-8.2.3: math.randomseed(5) return tostring(math.random())
        let mut r = Lrand48::seeded(5);
        let v = f64::from(r.next() % 0x7fff_ffff) / MAX;
        assert_eq!(super::super::number::lua_text(v), "0.52483957937213");
    }
}
