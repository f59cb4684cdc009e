//! Options of SET and GETEX, and times given by clients.

use crate::exec::Ctx;
use crate::keyspace::{DbView, Key, StrRef};
use crate::resp::Error;

/// What becomes of the key's expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expiry {
    /// Nothing was said: SET clears it, GETEX leaves it.
    #[default]
    None,
    /// KEEPTTL
    Keep,
    /// PERSIST
    Persist,
    /// EX, PX, EXAT, PXAT: a Unix time in ms.
    At(i64),
}

/// When SET stores.
#[derive(Debug, Clone, Copy, Default)]
pub enum SetCondition {
    /// Always.
    #[default]
    Always,
    /// NX
    Absent,
    /// XX
    Present,
}

impl SetCondition {
    /// Whether the condition holds for `key` now.
    pub fn holds(self, db: &mut DbView<'_>, key: Key<'_>) -> Result<bool, Error> {
        Ok(match self {
            SetCondition::Always => true,
            SetCondition::Absent => !db.exists(key),
            SetCondition::Present => db.exists(key),
        })
    }
}

/// Everything that may follow SET key value.
#[derive(Debug, Clone, Copy, Default)]
pub struct SetOptions {
    /// EX, PX, EXAT, PXAT, KEEPTTL.
    pub expiry: Expiry,
    /// NX, XX.
    pub condition: SetCondition,
    /// GET
    pub get: bool,
}

impl SetOptions {
    /// Parses the options from argument 3 on.
    pub fn parse(ctx: &Ctx<'_>) -> Result<Self, Error> {
        let mut o = SetOptions::default();
        // Times are looked at when the syntax is known to be right.
        let (mut i, mut time) = (3, None);
        while i < ctx.args.len() {
            let fresh = o.expiry == Expiry::None && time.is_none();
            if ctx.is(i, "NX") && !matches!(o.condition, SetCondition::Present) {
                o.condition = SetCondition::Absent;
            } else if ctx.is(i, "XX") && !matches!(o.condition, SetCondition::Absent) {
                o.condition = SetCondition::Present;
            } else if ctx.is(i, "GET") {
                o.get = true;
            } else if ctx.is(i, "KEEPTTL") && (fresh || o.expiry == Expiry::Keep) {
                o.expiry = Expiry::Keep;
            } else if let Some((unit, absolute)) = time_word(ctx, i)
                && fresh
                && i + 1 < ctx.args.len()
            {
                i += 1;
                time = Some((i, unit, absolute));
            } else {
                return Err(Error::Syntax);
            }
            i += 1;
        }
        if let Some((i, unit, absolute)) = time {
            o.expiry = Expiry::At(expire_at(ctx, i, unit, absolute)?);
        }
        Ok(o)
    }
}

/// Parses the options of GETEX. A wrong time (the inner error) counts only if the key is there.
pub fn parse_getex(ctx: &Ctx<'_>) -> Result<Result<Expiry, Error>, Error> {
    match ctx.args.len() {
        2 => Ok(Ok(Expiry::None)),
        3 if ctx.is(2, "PERSIST") => Ok(Ok(Expiry::Persist)),
        4 => match time_word(ctx, 2) {
            Some((unit, absolute)) => Ok(expire_at(ctx, 3, unit, absolute).map(Expiry::At)),
            None => Err(Error::Syntax),
        },
        _ => Err(Error::Syntax),
    }
}

/// EX, PX, EXAT or PXAT: milliseconds per unit, and whether the time is absolute.
fn time_word(ctx: &Ctx<'_>, i: usize) -> Option<(i64, bool)> {
    let table = [
        ("EX", 1000, false),
        ("PX", 1, false),
        ("EXAT", 1000, true),
        ("PXAT", 1, true),
    ];
    table
        .iter()
        .find(|(w, ..)| ctx.is(i, w))
        .map(|(_, unit, absolute)| (*unit, *absolute))
}

/// Argument `i` as a time to live or point in time, to Unix ms. It must be positive and must not overflow.
pub fn expire_at(ctx: &Ctx<'_>, i: usize, unit_ms: i64, absolute: bool) -> Result<i64, Error> {
    let v = ctx.int(i)?;
    let invalid = || {
        Error::text(format!(
            "ERR invalid expire time in '{}' command",
            ctx.command.name
        ))
    };
    if v <= 0 {
        return Err(invalid());
    }
    let ms = v.checked_mul(unit_ms).ok_or_else(invalid)?;
    if absolute {
        Ok(ms)
    } else {
        ms.checked_add(ctx.now_ms()).ok_or_else(invalid)
    }
}

/// Whether a string equals `bytes`, without copying it.
pub fn equals(value: StrRef<'_>, bytes: &[u8]) -> bool {
    value.bytes(&mut itoa::Buffer::new()) == bytes
}
