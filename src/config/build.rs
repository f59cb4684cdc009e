//! How rows are written: a constructor per kind of value, and macros that reach a field of the configuration.
//!
//! Everything here is `const`, so that the tables are plain statics. See `rows/` for their use.
use super::directive::{Access, ChoiceAccess, Kind, NumAccess, Row, RowFlags, Special, Unit};
use super::values::Text;

/// A yes/no directive.
pub const fn flag(name: &'static str, at: Access<bool>) -> Row {
    Row::new(name, Kind::Bool(at))
}

/// A number.
pub const fn int(name: &'static str, at: NumAccess, min: i64, max: i64) -> Row {
    Row::new(
        name,
        Kind::Int {
            at,
            min,
            max,
            unit: Unit::Plain,
            unsigned: false,
        },
    )
}

/// A number that upstream keeps unsigned (another message for negative values).
pub const fn uint(name: &'static str, at: NumAccess, min: i64, max: i64) -> Row {
    Row::new(
        name,
        Kind::Int {
            at,
            min,
            max,
            unit: Unit::Plain,
            unsigned: true,
        },
    )
}

/// A size in bytes, signed upstream.
pub const fn size(name: &'static str, at: NumAccess, min: i64) -> Row {
    Row::new(
        name,
        Kind::Int {
            at,
            min,
            max: i64::MAX,
            unit: Unit::Memory,
            unsigned: false,
        },
    )
}

/// A size in bytes, unsigned upstream.
pub const fn usize_bytes(name: &'static str, at: NumAccess, min: i64) -> Row {
    Row::new(
        name,
        Kind::Int {
            at,
            min,
            max: i64::MAX,
            unit: Unit::Memory,
            unsigned: true,
        },
    )
}

/// A file mode.
pub const fn octal(name: &'static str, at: NumAccess, max: i64) -> Row {
    Row::new(
        name,
        Kind::Int {
            at,
            min: 0,
            max,
            unit: Unit::Octal,
            unsigned: true,
        },
    )
}

/// A text that may be empty.
pub const fn text(name: &'static str, at: Access<Text>) -> Row {
    Row::new(name, Kind::Text(at))
}

/// A text for which empty means unset.
pub const fn optional_text(name: &'static str, at: Access<Text>) -> Row {
    text(name, at).flags(RowFlags::EMPTY_IS_UNSET)
}

/// One of several names.
pub const fn choice(name: &'static str, at: ChoiceAccess) -> Row {
    Row::new(name, Kind::Choice(at))
}

/// A single word of its own shape.
pub const fn word(name: &'static str, special: &'static Special) -> Row {
    Row::new(name, Kind::Special(special))
}

/// Several words of their own shape; they are split when they come as one.
pub const fn words(name: &'static str, special: &'static Special) -> Row {
    Row::new(name, Kind::Special(special)).flags(RowFlags::MULTI)
}

/// Access to a field as it is.
macro_rules! at {
    ($field:ident) => {
        $crate::config::directive::Access {
            get: |c| &c.$field,
            get_mut: |c| &mut c.$field,
        }
    };
}

/// Access to a numeric field.
macro_rules! num {
    ($field:ident) => {
        $crate::config::directive::NumAccess {
            get: |c| c.$field as i64,
            set: |c, n| c.$field = n as _,
        }
    };
}

/// Access to a field whose type is a `Choice`.
macro_rules! pick {
    ($field:ident: $ty:ident) => {
        $crate::config::directive::ChoiceAccess {
            get: |c| $crate::config::values::Choice::name(c.$field),
            set: |c, name| {
                let value = <$ty as $crate::config::values::Choice>::named(name);
                value.map(|v| c.$field = v).is_some()
            },
            names: || {
                <$ty as $crate::config::values::Choice>::NAMES
                    .iter()
                    .map(|(n, _)| *n)
                    .collect()
            },
        }
    };
}

pub(crate) use {at, num, pick};
