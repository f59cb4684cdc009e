//! `FIELDS numfields field ...` and the times that come with it.

use crate::exec::Ctx;
use crate::resp::{Args, Error};

/// The largest time a field can have, Unix ms (46 bits, as upstream).
pub const FIELD_TIME_MAX: i64 = (1 << 46) - 1;

/// What is said about a number of fields that is none.
pub const BAD_COUNT: &str = "ERR Number of fields must be a positive integer";
/// The same, as HEXPIRE and its kin say it.
pub const BAD_COUNT_EXPIRE: &str = "ERR Parameter `numFields` should be greater than 0";

/// The fields of `FIELDS numfields field ...`, which starts at argument `i` and must be last.
pub fn fields<'a>(ctx: &Ctx<'a>, i: usize, bad_count: &'static str) -> Result<Args<'a>, Error> {
    if i >= ctx.args.len() || !ctx.is(i, "FIELDS") {
        return Err(Error::new(
            "ERR Mandatory argument FIELDS is missing or not at the right position",
        ));
    }
    let count = ctx.args.get(i + 1).and_then(crate::ds::numtext::parse_i64);
    let Some(n) = count.filter(|n| *n > 0) else {
        return Err(Error::new(bad_count));
    };
    let fields = ctx.args.from(i + 2);
    if fields.len() as u64 != n as u64 {
        return Err(Error::new(
            "ERR The `numfields` parameter must match the number of arguments",
        ));
    }
    Ok(fields)
}

/// Argument `i` as a time to live or a point in time, to Unix ms.
pub fn time(ctx: &Ctx<'_>, i: usize, unit_ms: i64, absolute: bool) -> Result<i64, Error> {
    let v = ctx.int(i)?;
    if v < 0 {
        return Err(Error::new("ERR invalid expire time, must be >= 0"));
    }
    let base = if absolute { 0 } else { ctx.now_ms() };
    v.checked_mul(unit_ms)
        .and_then(|ms| ms.checked_add(base))
        .filter(|at| *at <= FIELD_TIME_MAX)
        .ok_or_else(|| {
            Error::text(format!(
                "ERR invalid expire time in '{}' command",
                ctx.command.name
            ))
        })
}

/// EX, PX, EXAT or PXAT at argument `i`: milliseconds per unit, and whether the time is absolute.
pub fn time_word(ctx: &Ctx<'_>, i: usize) -> Option<(i64, bool)> {
    let words = [
        ("EX", 1000, false),
        ("PX", 1, false),
        ("EXAT", 1000, true),
        ("PXAT", 1, true),
    ];
    let found = words.iter().find(|(word, ..)| ctx.is(i, word));
    found.map(|(_, unit, absolute)| (*unit, *absolute))
}
